"""Engines' names, and what is started, started again, reported and given up: with made-up workers."""

import os
import socket
import sys
from pathlib import Path

import pytest

import hueprobe as hp
from hueprobe.cli.engine_options import _settings
from hueprobe.errors import (
    HueprobeError,
    HueprobeWarning,
    InputError,
    MemoryFormatError,
    MissingDependencyError,
    NumericsError,
    WorkerError,
)
from hueprobe.scale import Part, joining
from hueprobe.scale.engines.engine import EngineName, Job
from hueprobe.scale.engines.local import LocalEngine
from hueprobe.scale.engines.opening import open_engine
from hueprobe.scale.engines.outcomes import DIED, DONE, REFUSED, Outcome, run_logged
from hueprobe.scale.engines.ray import load_ray
from hueprobe.scale.engines.running import Piece, Work, run_pieces
from tests.scale.sets import SMALL, Killed, contents, killed, network

UNITS = 3  # of each part


class Parts:
    """Parts whose workers end as a script says: (units that it finishes, outcome) for each start of a part.

    `None` for an outcome is a worker that never ends.
    """

    capacity, n_parts, decoders = 2, 2, None

    def __init__(self, script, *, held=()):
        self.script = {number: list(ends) for number, ends in script.items()}
        self.done = dict.fromkeys(script, 0)
        self.started, self.stopped, self.most_at_once, self.at_work = [], [], 0, 0
        self.held = set(held)

    def pieces(self):
        n = len(self.script)
        return [
            Piece(
                Part(number, n), print,
                lambda number=number: (self.done[number], self.done[number] == UNITS),
                lambda number=number: number in self.held,
            )
            for number in self.script
        ]  # fmt: skip

    def require_sendable(self, task):
        pass

    def start(self, jobs):
        self.at_work += len(jobs)
        self.most_at_once = max(self.most_at_once, self.at_work)
        return [self.worker(job.part.number) for job in jobs]

    def worker(self, number):
        parts, (units, outcome) = self, self.script[number].pop(0)
        self.started.append(number)

        class Worker:
            n_polls = 0

            def poll(self):
                self.n_polls += 1
                if self.n_polls < number:  # the first part is the fastest
                    return None
                if outcome is not None:
                    parts.at_work -= 1
                    parts.done[number] += units
                return outcome

            def stop(self):
                parts.stopped.append(number)

        return Worker()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("hueprobe.scale.engines.running._BETWEEN_POLLS", 0.0)
    monkeypatch.setattr("hueprobe.scale.engines.running._BETWEEN_STATES", 0.0)


def run(parts, tmp_path, restarts=3, **options):
    work = Work("index", n_images=len(parts.script) * UNITS, units_per_image=1, logs=tmp_path / "l",
                restarts=restarts)  # fmt: skip
    run_pieces(parts.pieces(), parts, work, **options)


DEAD, FINE = Outcome.of_exit(-9), Outcome(DONE)


def test_all_parts_are_started_once_and_not_more_at_a_time_than_the_engine_takes(tmp_path, capsys):
    parts = Parts({number: [(UNITS, FINE)] for number in (1, 2, 3, 4, 5)})
    run(parts, tmp_path, progress=True)
    assert parts.started == [1, 2, 3, 4, 5] and parts.most_at_once == 2 and parts.stopped == []
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("5 parts: index: 15/15 images, ") and last.endswith(
        "; 5 of 5 parts complete, 0 started"
    )


def test_what_is_complete_is_not_started(tmp_path):
    parts = Parts({1: [], 2: [(UNITS, FINE)]})
    parts.done[1] = UNITS
    run(parts, tmp_path)
    assert parts.started == [2]
    run(parts, tmp_path / "again")
    assert parts.started == [2] and not (tmp_path / "again").exists()


def test_a_worker_that_died_is_started_again(tmp_path):
    parts = Parts(
        {1: [(0, DEAD), (0, Outcome(DIED, "ended with OSError")), (UNITS, FINE)], 2: [(UNITS, FINE)]}
    )
    with pytest.warns(HueprobeWarning) as warned:
        run(parts, tmp_path)
    assert parts.started == [1, 2, 1, 1]
    first, second = (str(one.message) for one in warned)
    assert first == (
        "the worker of part 1/2 was killed by SIGKILL, perhaps for lack of RAM; it is started again (1 of 3 "
        f"times without finishing more of it; log {tmp_path}/l/0001-of-0002.log)"
    )
    assert "ended with OSError; it is started again (2 of 3" in second


def test_deaths_count_only_in_a_row_without_progress(tmp_path):
    parts = Parts({1: [(0, DEAD), (1, DEAD), (0, DEAD), (1, DEAD), (0, DEAD), (1, FINE)]})
    with pytest.warns(HueprobeWarning):
        run(parts, tmp_path, restarts=2)
    assert parts.started == [1] * 6


@pytest.mark.filterwarnings("ignore:the worker of part")
@pytest.mark.parametrize("restarts, times", [(0, "once"), (1, "2 times in a row"), (3, "4 times in a row")])
def test_a_part_that_dies_too_often_ends_all_and_is_named(tmp_path, restarts, times):
    parts = Parts({1: [(0, DEAD)] * 9, 2: [(0, None)]})
    with pytest.raises(WorkerError) as error:
        run(parts, tmp_path, restarts=restarts)
    assert str(error.value).startswith(f"the worker of part 1/2 died {times}")
    assert f"see {tmp_path}/l/0001-of-0002.log, remove the cause, then run the same" in str(error.value)
    assert parts.started.count(1) == restarts + 1 and parts.stopped == [2]


@pytest.mark.filterwarnings("ignore:the worker of part")
def test_a_worker_that_says_done_and_has_not_finished_counts_as_dead(tmp_path):
    parts = Parts({1: [(1, FINE), (0, FINE)]})
    with pytest.raises(WorkerError, match=r"1/1 died 2 times .*it ended without finishing it; see"):
        run(parts, tmp_path, restarts=1)


def test_what_refused_a_part_is_raised_and_not_tried_again(tmp_path):
    refused = Outcome(REFUSED, "images are NaN; check them", "NumericsError")
    parts = Parts({1: [(0, None)], 2: [(0, refused)]})
    with pytest.raises(NumericsError, match=r"^part 2/2: images are NaN; check them$"):
        run(parts, tmp_path)
    assert sorted(parts.started) == [1, 2] and parts.stopped == [1]
    assert type(Outcome(REFUSED, "x", "SystemExit").exception("")) is HueprobeError


def test_ctrl_c_stops_all_workers(tmp_path):
    class Stopped(Parts):
        def start(self, jobs):
            super().start(jobs[:1])
            raise KeyboardInterrupt

    parts = Stopped({1: [(0, None)]})
    with pytest.raises(KeyboardInterrupt):
        run(parts, tmp_path)
    parts = Parts({1: [(0, None)], 2: [(0, Outcome(REFUSED, "x", "InputError"))]})
    with pytest.raises(InputError):
        run(parts, tmp_path)
    assert parts.stopped == [1]


def test_a_part_that_another_process_does_is_waited_for(tmp_path):
    """A job of an earlier command is at part 1; it finishes it when part 2 is done."""
    parts = Parts({1: [], 2: [(UNITS, FINE)]}, held=[1])

    class Other(Parts):
        def worker(self, number):
            self.done[1] = UNITS
            return super().worker(number)

    parts.__class__ = Other
    run(parts, tmp_path)
    assert parts.started == [2]
    busy = Outcome(REFUSED, "another process is writing it", "MemoryFormatError")

    class Raced(Parts):  # the other one begins while a worker is being started, and leaves soon
        capacity = 1

        def worker(self, number):
            self.held = {1} if not self.started else set()
            return super().worker(number)

    parts = Raced({1: [(0, busy), (UNITS, FINE)], 2: [(UNITS, FINE)]})
    parts.held = set()
    run(parts, tmp_path)
    assert parts.started.count(1) == 2


def test_the_state_of_parts_is_shown_while_they_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("hueprobe.progress.SECONDS_BETWEEN_LINES", 0.0)

    class Slow(Parts):
        def worker(self, number):
            parts, worker, polls = self, super().worker(number), []

            def poll():
                polls.append(number)
                parts.done[number] = min(3, len(polls) // 100)
                return FINE if len(polls) == 300 else None

            worker.poll = poll
            return worker

    run(Slow({1: [(0, None)]}), tmp_path, progress=True)
    lines = [line.split(" images,")[0] for line in capsys.readouterr().err.splitlines()]
    assert [line for line in lines if "2/3" in line] and lines[-1] == "1 part: index: 3/3"


def test_names_of_engines():
    assert EngineName.parse("local:4") == EngineName("local", "4")
    assert EngineName.parse("ray:ray://head:10001").argument == "ray://head:10001"
    assert EngineName.parse("submitit:local").argument == "local"
    for text in ("local", "local:0", "local:x", "ray:", "submitit:pbs", "dask", "", "local:4:2"):
        with pytest.raises(InputError) as error:
            EngineName.parse(text)
        for choice in ("local:N", "ray[:ADDRESS]", "submitit", "local:4"):
            assert choice in str(error.value)


def test_settings_of_engines():
    texts = ("partition=gpu", "time=60", "mem_gb=1.5", "exclusive=true", "comment=a=b")
    assert _settings(None, None, texts) == {
        "partition": "gpu", "time": 60, "mem_gb": 1.5, "exclusive": True, "comment": "a=b"
    }  # fmt: skip
    with pytest.raises(InputError, match="engine local:2 has no options, got time="):  # noqa: SIM117
        with opened("local:2", options={"time": 60}):
            pass


def opened(name, *, options=(), device="auto", logs=Path("/nowhere")):
    return open_engine(EngineName.parse(name), options=dict(options), logs=logs, device=device, work="index")


@pytest.mark.parametrize("name", ["ray", "submitit:local"])
def test_a_package_that_is_not_installed_is_named_with_the_extra(monkeypatch, name, tmp_path):
    package = name.split(":")[0]
    monkeypatch.setitem(sys.modules, package, None)
    wanted = rf"^engine {package} needs the package {package}: pip install 'hueprobe\[{package}\]'$"
    with pytest.raises(MissingDependencyError, match=wanted), opened(name, logs=tmp_path):
        pass
    if package == "ray":
        with pytest.raises(MissingDependencyError, match=wanted):
            load_ray()


def test_a_ray_cluster_that_is_not_there_is_missed_at_once():
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        wanted = rf"no Ray at '127.0.0.1:{port}' \(.*refused.*ray start --head"
        with pytest.raises(InputError, match=wanted), opened(f"ray:127.0.0.1:{port}"):
            pass


def test_slurm_is_missed_before_anything_is_done(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="finds no SLURM here"), opened("submitit", logs=tmp_path / "m.logs"):
        pass
    assert not list(tmp_path.iterdir())


def test_cores_and_gpus_are_shared_between_local_workers(monkeypatch):
    local = "hueprobe.scale.engines.local"
    monkeypatch.setattr(f"{local}.n_cores", lambda: 16)
    monkeypatch.setattr(f"{local}.default_workers", lambda: 16)
    monkeypatch.setattr("hueprobe.activations.devices.n_cuda_devices", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    engine = LocalEngine(4, spread=True)
    assert (engine.capacity, engine.n_parts, engine.decoders, engine._threads) == (4, 4, 4, 4)
    assert engine._devices == ["0", "1"] and LocalEngine(4, spread=False)._devices == []
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-8a")
    assert LocalEngine(2, spread=True)._threads == 3 and LocalEngine(32, spread=True)._threads == 1
    assert LocalEngine(2, spread=True)._devices == ["5", "GPU-8a"]


def test_a_worker_tells_how_its_work_ended_and_logs_what_it_prints(tmp_path, capfd):
    log = tmp_path / "logs" / "1.log"

    def work():
        print("to Python's stdout")
        os.write(2, b"to a file descriptor\n")
        assert Path.cwd() == tmp_path

    def refuse():
        raise NumericsError("NaN in it")

    def fail():
        raise RuntimeError("CUDA out of memory")

    before = Path.cwd()
    asked = {"name": "1/3", "log": str(log), "folder": str(tmp_path)}
    assert run_logged(work, **asked) == Outcome(DONE)
    assert run_logged(refuse, **asked) == Outcome(REFUSED, "NaN in it", "NumericsError")
    assert run_logged(fail, **asked) == Outcome(DIED, "ended with RuntimeError: CUDA out of memory")
    assert Path.cwd() == before and capfd.readouterr() == ("", "")
    text = log.read_text()
    for said in ("to Python's stdout", "to a file descriptor", f"process {os.getpid()}", "1/3: refused NaN",
                 "Traceback", "CUDA out of memory"):  # fmt: skip
        assert said in text
    assert text.count("part 1/3 begins on ") == 3


def test_networks_that_cannot_be_sent_are_refused_with_what_to_give(tmp_path, images, options):
    local = network()
    local.register_forward_hook(lambda *_: None)
    for backbone in (local, *main_module_networks()):
        asked = {**options, "backbone": backbone}
        with pytest.raises(
            InputError, match=r"cannot be sent to another process .* 'package.module:callable'"
        ):
            hp.scale.build_in_parts(tmp_path / "m", images, engine="local:1", **asked)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "masks"]


def main_module_networks():
    """A network of a class that only the caller's `__main__` has."""
    from torch import nn

    of_main = type("Own", (nn.Sequential,), {"__module__": "__main__"})
    sys.modules["__main__"].Own = of_main
    return [of_main(*network())]


def test_parts_that_do_not_fit_are_refused_before_a_worker_is_started(tmp_path, images, options):
    m = tmp_path / "m"
    asked = {"engine": "local:1", **options}
    with pytest.raises(InputError, match=r"has 22 images in 6 shards, so at most 6 parts, got 7.*--parts 6"):
        hp.scale.build_in_parts(m, images, n_parts=7, **asked)
    with pytest.raises(InputError, match="restarts"):
        hp.scale.build_in_parts(m, images, restarts=-1, **asked)
    with pytest.raises(InputError, match="give --parts N"):
        hp.scale.build_in_parts(m, images, **{**asked, "engine": "submitit:local"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "masks"]
    hp.scale.build_part(m, images, "1/2", **options)
    with pytest.raises(MemoryFormatError, match=r"in 2 parts, got 3; give --parts 2"):
        hp.scale.build_in_parts(m, images, n_parts=3, **asked)
    with pytest.raises(MemoryFormatError, match=r"parts of other settings \(dtype"):
        hp.scale.build_in_parts(m, images, dtype="float32", **asked)
    assert not list(tmp_path.glob("m.logs"))


def test_a_memory_that_is_there_is_compared_and_a_half_one_refused(tmp_path, images, options, monkeypatch):
    whole = hp.build_memory(tmp_path / "m", images, **options)
    monkeypatch.setattr("hueprobe.scale.engines.local.LocalEngine.start", None)
    assert hp.scale.build_in_parts(tmp_path / "m", images, engine="local:1", **options).path == whole.path
    with pytest.raises(MemoryFormatError, match="dtype"):
        hp.scale.build_in_parts(tmp_path / "m", images, engine="local:1", dtype="float32", **options)
    ledger = whole.path / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(MemoryFormatError, match="was begun in one piece; continue it without an engine"):
        hp.scale.build_in_parts(tmp_path / "m", images, engine="local:1", **options)


def test_parts_that_are_all_complete_are_only_joined(tmp_path, images, options, monkeypatch):
    whole = hp.build_memory(tmp_path / "whole", images, **options)
    for part in ("1/2", "2/2"):
        hp.scale.build_part(tmp_path / "m", images, part, **options)
    monkeypatch.setattr("hueprobe.scale.engines.local.LocalEngine.start", None)
    memory = hp.scale.build_in_parts(tmp_path / "m", images, engine="local:1", **options)
    assert contents(memory.path) == contents(whole.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "m", "masks", "whole"]


def test_a_join_that_was_killed_is_finished(tmp_path, images, options, monkeypatch):
    whole = hp.build_memory(tmp_path / "whole", images, **options)
    for part in ("1/2", "2/2"):
        hp.scale.build_part(tmp_path / "m", images, part, **options)
    with monkeypatch.context() as patch:
        patch.setattr("hueprobe.scale.joining._add_shard", after(2, joining._add_shard, killed))
        with pytest.raises(Killed):
            hp.scale.join(tmp_path / "m")
    monkeypatch.setattr("hueprobe.scale.engines.local.LocalEngine.start", None)
    memory = hp.scale.build_in_parts(tmp_path / "m", images, engine="local:1", **options)
    assert contents(memory.path) == contents(whole.path)


def after(n, function, then):
    """Return a function that is another one from its call n on."""
    calls = iter([function] * (n - 1))
    return lambda *arguments: next(calls, then)(*arguments)


SBATCH = """#!/bin/sh
[ -n "$SBATCH_FAILS" ] && { echo "sbatch: error: invalid partition specified: gpu" >&2; exit 1; }
cp "$1" "$SCRIPTS/script"
echo "Submitted batch job 17"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands with the names of SLURM's, which keep the script that is submitted and run nothing."""
    for name, text in (("srun", "#!/bin/sh\n"), ("sacct", "#!/bin/sh\n"), ("sbatch", SBATCH)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SCRIPTS", str(tmp_path))
    return tmp_path


def test_slurm_gets_one_array_with_the_options(slurm, monkeypatch):
    pytest.importorskip("submitit")
    asked = {"partition": "gpu", "gpus_per_node": 1, "cpus_per_task": 8, "slurm_account": "us"}
    jobs = [Job(Part(number, 3), print, slurm / "m.logs" / f"{number}.log") for number in (1, 2, 3)]
    with opened("submitit", options=asked, logs=slurm / "m.logs") as engine:
        assert (engine.capacity, engine.n_parts) == (None, None)
        workers = engine.start(jobs)
        assert [worker.poll() for worker in workers] == [None] * 3
        script = (slurm / "script").read_text()
        for line in ("partition=gpu", "array=0-2%", "gpus-per-node=1", "cpus-per-task=8", "account=us",
                     "time=1440", "job-name=hueprobe-index"):  # fmt: skip
            assert f"#SBATCH --{line}" in script
        monkeypatch.setenv("SBATCH_FAILS", "1")
        with pytest.raises(InputError, match=r"SLURM refuses the jobs \(.*invalid partition specified: gpu"):
            engine.start(jobs[:1])
    with opened("submitit", options={"time": "2-0"}, logs=slurm / "m.logs") as engine:
        monkeypatch.delenv("SBATCH_FAILS")
        engine.start(jobs[:1])
        assert "#SBATCH --time=2-0" in (slurm / "script").read_text()


def test_searches_that_cannot_be_made_are_refused(tmp_path, images, options):
    memory = hp.build_memory(tmp_path / "m", images, **options)
    search, file = hp.scale.search_in_parts, tmp_path / "f.parquet"
    with pytest.raises(InputError, match=r"'f.txt'; use one of the extensions \.parquet"):
        search(tmp_path / "f.txt", memory, engine="local:1")
    with pytest.raises(InputError, match="6 shards, too few for 7 parts"):
        search(file, memory, engine="local:1", n_parts=7)
    with pytest.raises(InputError, match=r"leave-one-out without exclusion would"):
        search(file, memory, engine="local:1", exclude=None)
    with pytest.raises(InputError, match=r"folder .*none does not exist"):
        search(tmp_path / "none" / "f.csv", memory, engine="local:1")
    file.touch()
    with pytest.raises(
        InputError, match=r"f\.parquet exists; name another output, or replace it with --overwrite"
    ):
        search(file, memory, engine="local:1")
    file.unlink()
    parts = tmp_path / "f.parquet.parts"
    parts.mkdir()
    hp.search_part(parts / "0001-of-0002.arrow", memory, part="1/2", k=3)
    with pytest.raises(InputError, match="holds parts of 2, got 3; give --parts 2"):
        search(file, memory, engine="local:1", n_parts=3)
    with pytest.raises(InputError, match=r"0001-of-0002.arrow holds another search \(k 3, not 4\)"):
        search(file, memory, engine="local:1", k=4)
    assert SMALL["shard_images"] == 4 and not file.exists()
