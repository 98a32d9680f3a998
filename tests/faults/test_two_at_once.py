"""Two at one memory: one writer at a time, the other says so at once; readers see what is finished."""

import fcntl
import shutil
import subprocess
import sys
import time

import pytest

from hueprobe import open_memory
from hueprobe.errors import MemoryDamagedError, MemoryFormatError
from hueprobe.memory.files import one_writer
from hueprobe.memory.writer import open_writer, remove_memory
from tests.faults.children import contents, differences
from tests.faults.conftest import LONG

pytestmark = pytest.mark.slow

BUSY = "another process is writing"


@pytest.mark.parametrize(
    "name",
    ["index", "append", "annoy", "pooled", "layers", "search part"] if LONG else ["index", "append"],
)
def test_two_of_one_command(children, jobs, faults, tmp_path, name):
    """Either the second says that the first is writing, or it finds all done; nobody's work is lost."""
    job, failures, refused = jobs[name], [], 0
    n = faults.n(2, 30)
    for trial in range(n):
        folder = job.prepare(tmp_path / f"{trial}")
        children.begin(job.command(folder), job.command(folder))
        ended = children.end()
        busy = [one for one in ended if one.code == 1 and BUSY in one.err]
        good = [one for one in ended if one.code == 0]
        refused += len(busy)
        wrong = None
        if len(busy) + len(good) < 2 or not good:
            wrong = [(one.code, one.err[-300:]) for one in ended]
        elif different := differences(folder, job.whole):
            # Whoever came second may have been refused behind the build, before the indexes.
            wrong = different if len(good) == 2 or job.finished_wrong(children, folder) else None
        failures += [f"trial {trial}: {wrong}"] if wrong else []
        shutil.rmtree(folder)
    faults.tried(f"two at once, {name} ({refused} refused)", n, failures)


def test_a_reader_sees_finished_shards_only(children, jobs, faults, tmp_path):
    job, failures, looks = jobs["index"], [], 0
    n = faults.n(2, 40)
    for trial in range(n):
        folder = job.prepare(tmp_path / f"{trial}")
        children.begin(job.command(folder))
        most = 0
        while most < 23:
            try:
                memory = open_memory(folder / "m")
                shard = memory.shards[-1].vectors.tobytes()
            except MemoryFormatError:
                continue
            except MemoryDamagedError as error:
                failures.append(f"trial {trial}: {error}")
                break
            looks += 1
            whole = job.whole[f"m/shards/{len(memory.shards) - 1:06d}.vectors.npy"]
            if memory.n_images < most or not whole.endswith(shard) or len(memory.images) != memory.n_images:
                failures.append(f"trial {trial}: {memory.n_images} images behind {most}")
            most = memory.n_images
        (ended,) = children.end()
        failures += [] if ended.code == 0 else [f"trial {trial}: {ended.err[-300:]}"]
        shutil.rmtree(folder)
    faults.tried(f"readers during a build ({looks} looks)", n, failures)


def test_the_second_says_so_at_once_and_a_dead_holder_does_not_count(tmp_path, small_memory):
    small_memory(tmp_path / "m")
    whole = contents(tmp_path / "m")
    code = (
        "import sys, time; from pathlib import Path; from hueprobe.memory.files import one_writer\n"
        "with one_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "m")], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    started = time.monotonic()
    with pytest.raises(MemoryFormatError, match=rf"{BUSY} .*m; wait for it to end"):
        small_memory(tmp_path / "m", n=7, overwrite=True)
    with pytest.raises(MemoryFormatError, match=BUSY):
        remove_memory(tmp_path / "m")
    assert time.monotonic() - started < 5
    assert contents(tmp_path / "m") == whole
    holder.kill()
    holder.communicate()
    small_memory(tmp_path / "m", n=7, overwrite=True)
    assert open_memory(tmp_path / "m").n_images == 7


def test_who_is_refused_takes_nothing_away(tmp_path, small_memory, monkeypatch):
    """Both saw no folder; the first has locked it and has no shard yet. The second must leave it alone."""
    settings = small_memory(tmp_path / "model").settings
    exists, first = type(tmp_path).exists, []
    folder = tmp_path / "m"

    def not_yet(path, **options):
        return exists(path, **options) if path != folder or first else False

    monkeypatch.setattr(type(tmp_path), "exists", not_yet)
    with open_writer(folder, settings):
        with pytest.raises(MemoryFormatError, match=BUSY):
            small_memory(folder)
        assert (folder / "memory.json").is_file() and (folder / "lock").is_file()


def test_a_memory_finished_by_another_before_the_lock_is_not_overwritten(tmp_path, small_memory, monkeypatch):
    """What the folder holds is asked behind the lock, not only before."""
    settings = small_memory(tmp_path / "model", descriptor="gap").settings
    flock = fcntl.flock

    def late(file, operation):
        monkeypatch.setattr(fcntl, "flock", flock)
        small_memory(tmp_path / "m")
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(MemoryFormatError, match="other settings"), open_writer(tmp_path / "m", settings):
        pass
    assert open_memory(tmp_path / "m").complete


def test_a_lock_that_was_removed_with_its_memory_is_none(tmp_path, monkeypatch):
    """Opened before the removal, locked behind it: somebody else may hold the new one."""
    flock, held = fcntl.flock, []

    def removed_meanwhile(file, operation):
        flock(file, operation)
        if not held:
            (tmp_path / "lock").unlink()
            held.append(one_writer(tmp_path))
            held[0].__enter__()

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with pytest.raises(MemoryFormatError, match=BUSY), one_writer(tmp_path):
        pass
    held[0].__exit__(None, None, None)
    with one_writer(tmp_path):
        pass
