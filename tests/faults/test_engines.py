"""Real workers of each engine: killed, stopped, refused, and at the end the undisturbed bytes."""

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import hueprobe as hp
from hueprobe.cli import main
from hueprobe.errors import HueprobeWarning, NumericsError, WorkerError
from hueprobe.scale import Part
from hueprobe.scale.engines.engine import Job
from hueprobe.scale.engines.local import LocalEngine
from hueprobe.scale.engines.outcomes import Outcome
from hueprobe.scale.engines.ray import running_ray
from tests.exact_network import activations, draw_pictures
from tests.faults.children import contents
from tests.scale.sets import draw

pytestmark = pytest.mark.slow

ROOT = Path(hp.__file__).parents[1]
SECONDS = 120  # after which something hangs
SLOW = {"backbone": "tests.faults.slow_network:slow", "layer": "3", "batch_size": 2, "shard_images": 4}
EXACT = ("--backbone", "tests.exact_network:exact", "--layer", "1", "--layer", "3")
SHARDS = 3  # of 512 images, in `many`


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """22 images, masks, and the memory of them: six shards, a batch takes a quarter of a second."""
    folder = tmp_path_factory.mktemp("few")
    images = draw(folder)
    asked = {**SLOW, "masks": folder / "masks"}
    return images, asked, contents(hp.build_memory(folder / "m", images, **asked).path)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """1050 images for the command line, which cannot make small shards, and the memories of two layers."""
    folder = tmp_path_factory.mktemp("many")
    draw_pictures(folder / "images", 350)
    run("index", folder / "images", "-o", folder / "m", *EXACT)
    memory = hp.open_memory(folder / "m.3")
    assert len(memory.shards) == SHARDS
    hp.KernelDensityClassifier(memory, k=3).leave_one_out().matches.save(folder / "whole.parquet")
    return folder


def run(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def until(condition):
    """Wait until a condition holds, and return what it returned."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)
    return found


def workers(logs):
    """Return the processes that the logs of workers name, the last of each part."""
    with contextlib.suppress(FileNotFoundError):
        texts = [log.read_text() for log in sorted(logs.glob("*.log"))]
        return [int(found[-1]) for text in texts if (found := re.findall(r", process (\d+)$", text, re.M))]
    return []


def runs(process):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


class Killer(threading.Thread):
    """Kills the worker of part 1 with SIGKILL once it has finished a shard."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self._path = path
        self.start()

    def run(self):
        logs = self._path.with_name("m.logs")
        until(lambda: any(state.number == 1 and state.n_done for state in hp.scale.parts_of(self._path)))
        os.kill(workers(logs)[0], signal.SIGKILL)


def test_a_local_worker_killed_in_the_middle_changes_no_byte(few, tmp_path, capsys):
    images, asked, whole = few
    killer = Killer(tmp_path / "m")
    with pytest.warns(
        HueprobeWarning, match=r"the worker of part 1/2 was killed by SIGKILL.*started again \(1"
    ):
        memory = hp.scale.build_in_parts(tmp_path / "m", images, engine="local:2", progress=True, **asked)
    killer.join()
    assert contents(memory.path) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    shown = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"2 parts: index: 22/22 images, \S+ .*; 2 of 2 parts complete, 0 started", shown[-2])


def test_a_worker_that_dies_again_and_again_is_given_up(few, tmp_path):
    asked = {**SLOW, "backbone": "tests.faults.deadly_network:deadly"}
    with (
        pytest.warns(HueprobeWarning, match="SIGKILL"),
        pytest.raises(
            WorkerError, match=r"of part 1/1 died 2 times in a row .*SIGKILL.*m\.logs/0001-of-0001\.log"
        ),
    ):
        hp.scale.build_in_parts(tmp_path / "m", few[0], engine="local:1", restarts=1, **asked)
    log = (tmp_path / "m.logs" / "0001-of-0001.log").read_text()
    assert log.count("part 1/1 begins on") == 2
    live = {**SLOW, "backbone": "tests.tiny_network:tiny"}
    (part,) = hp.scale.parts_of(tmp_path / "m")
    assert not part.complete
    with pytest.raises(hp.HueprobeError, match="tiny"):  # what was begun goes on with its own network only
        hp.scale.build_in_parts(tmp_path / "m", few[0], engine="local:1", **live)


def test_an_error_of_a_part_is_raised_here_and_not_tried_again(few, tmp_path):
    asked = {**SLOW, "backbone": "tests.tiny_network:broken"}
    with pytest.raises(NumericsError, match=r"^part 1/1: .*NaN"):
        hp.scale.build_in_parts(tmp_path / "m", few[0], engine="local:1", **asked)
    assert (tmp_path / "m.logs" / "0001-of-0001.log").read_text().count("begins on") == 1


def ended_by(sent, *command, n, path):
    """Run a command with n local workers, send it a signal when they have begun; return what it said."""
    logs = path.with_name(f"{path.name}.logs")
    before = set(workers(logs))
    argv = [sys.executable, "-m", "hueprobe", *map(str, command), "--engine", f"local:{n}"]
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True) as child:
        until(lambda: hp.scale.parts_of(path) and len(set(workers(logs)) - before) == n)
        started = set(workers(logs)) - before
        child.send_signal(sent)
        said = child.stderr.read()
        assert child.wait() == (130 if sent == signal.SIGINT else -sent), said
    until(lambda: not any(map(runs, started)))
    return said


def test_a_local_worker_ends_with_its_parent(tmp_path):
    """The kernel closes the pipe of a parent that is killed."""
    engine = LocalEngine(1, spread=False)
    (worker,) = engine.start([Job(Part(1, 1), functools.partial(time.sleep, 600), tmp_path / "1.log")])
    (process,) = until(lambda: workers(tmp_path))
    assert worker.poll() is None and runs(process)
    worker._process.stdin.close()
    assert until(worker.poll) == Outcome("died", "ended with exit code 1")


def test_a_command_stopped_leaves_no_worker_and_goes_on(many, tmp_path):
    """Ctrl-C; then parts are built without an engine, and joined with one."""
    slow = ("--backbone", "tests.faults.slow_network:slow", "--layer", "3", "--batch-size", "128")
    images = many / "images"
    run("index", images, "-o", tmp_path / "whole", *slow[:1], "tests.tiny_network:tiny", *slow[2:])
    command = ("index", images, "-o", tmp_path / "m", *slow)
    said = ended_by(signal.SIGINT, *command, n=2, path=tmp_path / "m")
    assert "finished work is kept: run the same command again to resume" in said
    assert "Traceback" not in said and f"workers' output: {tmp_path}/m.logs" in said
    for part in ("1/2", "2/2"):
        run(*command, "--part", part)
    result = run(*command, "--engine", "local:1")
    assert f"{tmp_path}/m: resuming; 2 of 2 parts and 1050 of 1050 images are done" in result.stderr
    assert f"{tmp_path}/m: 1050 images in 3 classes" in result.stdout
    assert {**contents(tmp_path / "m"), "memory.json": b""} == {
        **contents(tmp_path / "whole"), "memory.json": b"",
        "ledger.jsonl": (tmp_path / "m" / "ledger.jsonl").read_bytes(),
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "whole"]
    assert "already complete; its 1050 images are compared" in run(*command, "--engine", "local:9").stderr


def test_submitit_as_a_user_would(many, tmp_path):
    """Its local executor, which starts processes as SLURM would, of pickled jobs in a folder."""
    engine = ("--engine", "submitit:local", "--parts", SHARDS, "--engine-option", "timeout_min=5")
    result = run(
        "index", many / "images", "-o", tmp_path / "m", *EXACT, *engine, "--engine-option", "partition=x"
    )
    for name in ("m.1", "m.3"):
        assert contents(tmp_path / name) == contents(many / name)
    assert f"{SHARDS} of {SHARDS} parts complete" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.1", "m.3"]
    refused = CliRunner().invoke(main, ["index", str(many / "images"), "-o", str(tmp_path / "n"), *EXACT,
                                        *map(str, engine), "--engine-option", "nonsense=1"])  # fmt: skip
    assert refused.exit_code == 1 and "submitit refuses the options of a job" in refused.stderr


def test_ray_started_for_a_command_and_a_worker_of_it_killed(few, tmp_path, capsys):
    import ray

    images, asked, whole = few
    killer = Killer(tmp_path / "m")
    with running_ray(None):
        assert ray.is_initialized()
        with pytest.warns(HueprobeWarning, match=r"the worker of part 1/2 .*started again \(1 of 3"):
            memory = hp.scale.build_in_parts(tmp_path / "m", images, engine="ray", n_parts=2, **asked)
        killer.join()
        assert contents(memory.path) == whole and capsys.readouterr().out == ""
        assert [path.name for path in tmp_path.iterdir()] == ["m"]
        assert ray.is_initialized(), "what was there before is not shut down"
        searched_by_actors(ray, tmp_path)
        assert ray.is_initialized()
    assert not ray.is_initialized()


def searched_by_actors(ray, folder):
    """Each vector is there four times, in both parts, so that ids decide."""
    equal = np.tile(activations(16), (4, 1, 1, 1))
    memory = hp.memory_from_arrays(folder / "equal", equal, ["a", "b"] * 32, shard_images=32)
    queries = memory.vectors(np.arange(60))
    row = np.arange(60)[:, None] // memory.grid.n_cells
    expected = hp.open_searcher(memory).search(queries, 7, exclude_images=row)
    ties = (expected.distances[:, 1:] == expected.distances[:, :-1]) & (expected.ids[:, 1:] >= 0)
    assert ties.any(axis=1).mean() > 0.8
    with hp.scale.RaySearcher(memory, 2, actor_options={"num_cpus": 0.5}) as searcher:
        for _ in range(2):
            found = searcher.search(queries, 7, exclude_images=row)
            assert np.array_equal(found.ids, expected.ids)
            assert np.array_equal(found.distances, expected.distances)
            ray.kill(searcher._actors[1], no_restart=False)  # it reads its part again
        with pytest.raises(hp.errors.ShapeError, match="query vectors have shape"):
            searcher.search(queries[:, :3], 7)
        with pytest.raises(hp.errors.InputError, match=r"2 actors ask for 2000 CPUs|num_cpus=1000"):
            hp.scale.RaySearcher(memory, 2, actor_options={"num_cpus": 1000})


def test_a_search_in_parts_is_one_search(many, tmp_path):
    """Of the command line, with two processes; stopped after one part, it goes on with that."""
    file = tmp_path / "f.parquet"
    parts = tmp_path / "f.parquet.parts"
    parts.mkdir()
    hp.search_part(parts / "0002-of-0002.arrow", hp.open_memory(many / "m.3"), part="2/2", k=3)
    (parts / "0001-of-0002.arrow.partial").write_bytes(b"torn")
    engine = ("--leave-one-out", "--k", 3, "--engine", "local:2")
    result = run("search", many / "m.3", "-o", file, *engine)
    assert f"{file}: 2 parts merged, 3 neighbors of each query" in result.stdout
    assert "2 parts: search: 1050/1050 images" in result.stderr
    assert hp.read_matches(file).to_arrow().equals(hp.read_matches(many / "whole.parquet").to_arrow())
    assert [path.name for path in tmp_path.iterdir()] == ["f.parquet"]
    refused = CliRunner().invoke(main, ["search", str(many / "m.3"), "-o", str(file), *map(str, engine)])
    assert refused.exit_code == 1 and "f.parquet exists; name another output" in refused.stderr
