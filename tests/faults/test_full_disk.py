"""A disk that is full, fails, may only be read or is gone: one sentence, and what is finished stays."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from hueprobe import build_memory, open_memory
from hueprobe.errors import HueprobeError, MemoryFormatError, StorageError
from hueprobe.files import written_whole
from hueprobe.memory import ledger as ledger_file
from hueprobe.memory.files import FileEntry, one_writer
from hueprobe.memory.ledger import append_step, read_ledger
from hueprobe.memory.steps import ShardStep, SourceStep, shard_files
from hueprobe.memory.writer import remove_memory
from hueprobe.search import build_index, open_searcher
from tests.faults.children import Children, contents
from tests.faults.conftest import LONG
from tests.faults.jobs import INDEXES, TINY
from tests.tiny_network import tiny

pytestmark = pytest.mark.slow

REFUSALS = {
    errno.ENOSPC: "No space left on device",
    errno.EIO: "Input/output error",
    errno.EROFS: "Read-only file system",
    errno.ENOENT: "No such file or directory",
}


WORK = ["index", "append", "layers", "faiss", "part", "join", "search part", "observe accuracy"]


def one_sentence(err):
    """Whether stderr ends in one line that says what is wrong, and nothing else says so."""
    lines = [line for line in err.splitlines() if line.startswith("hueprobe: error:")]
    return len(lines) == 1 and err.splitlines()[-1] == lines[0] and "Traceback" not in err


def refused(children, job, folder, number, at, lasting):
    """Let the system refuse once, or from then on; return what is wrong with what follows, or None."""
    job.prepare(folder)
    ended = children.run(*job.command(folder), points={"at": at, "action": number, "lasting": lasting})
    if ended.code == 0:  # what only saves time may be left out; it is made up for below
        only_removes = all(name.startswith(("unlink", "rmdir")) for name in job.points[at - 1 :])
        wrong = None if not lasting or only_removes or at > len(job.points) - 6 else "no error"
    elif ended.code != 1 or not one_sentence(ended.err) or REFUSALS[number] not in ended.err:
        wrong = f"ended with {ended.code}: {ended.err[-500:]}"
    else:
        wrong = None
    return wrong or job.unsound(folder) or job.finished_wrong(children, folder)


@pytest.mark.parametrize("name", WORK if LONG else ["index"])
@pytest.mark.parametrize("number", REFUSALS, ids=[errno.errorcode[n] for n in REFUSALS])
def test_the_system_refuses(children, jobs, faults, tmp_path, name, number):
    """At each write in turn in the long version, but for observations; at some in the short one."""
    job, failures = jobs[name], []
    n = faults.n(2, 25 if name == "observe accuracy" else len(job.moments))
    for at in sorted(faults.rng.choice(job.moments, n, replace=False).tolist()):
        lasting = bool(faults.rng.integers(2))
        folder = tmp_path / f"{at}"
        wrong = refused(children, job, folder, number, at, lasting)
        failures += [f"{job.points[at - 1]} ({at}, lasting {lasting}): {wrong}"] if wrong else []
        shutil.rmtree(folder)
    faults.tried(f"{errno.errorcode[number]} at a write, {name}", n, failures)


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """Give child processes whose folder is a disk of its own, in a mount namespace of their own."""
    folder = tmp_path_factory.mktemp("disk")
    possible = ["unshare", "-m", "sh", "-c", f"mount -t tmpfs -o size=64k tmpfs '{folder}'"]
    try:
        tried = subprocess.run(possible, capture_output=True, text=True, check=False)
        reason = tried.stderr.strip() if tried.returncode else None
    except FileNotFoundError:
        reason = "no unshare command"
    if reason:
        pytest.skip(f"no mount namespace here ({reason}); test_the_system_refuses stands in for a full disk")
    with Children(disk=(folder, "64k")) as children:
        yield children, folder


def test_a_disk_that_is_full_and_then_is_not(small_disk, jobs, faults):
    children, disk = small_disk
    job, failures, stopped = jobs["index"], [], 0
    most = sum(-(-len(data) // 4096) * 4 for data in job.whole.values())
    n = faults.n(2, 60)
    for trial in range(n):
        size = int(faults.rng.integers(16, most + 16))
        children.remount(f"size={size}k")
        folder = disk / "f"
        children.seen(folder).mkdir()
        ended = children.run(*job.command(folder))
        wrong = None
        if ended.code and not (one_sentence(ended.err) and ended.code == 1):
            wrong = f"ended with {ended.code}: {ended.err[-500:]}"
        stopped += ended.code == 1
        wrong = wrong or job.unsound(children.seen(folder))
        children.remount("size=16m")
        again = children.run(*job.command(folder))
        if again.code or contents(children.seen(folder)) != job.whole:
            wrong = wrong or f"with room again: {again.code}, {again.err[-500:]}"
        failures += [f"trial {trial}, {size} KiB: {wrong}"] if wrong else []
        shutil.rmtree(children.seen(folder))
    assert stopped or not LONG
    faults.tried(f"disk of 16 to {most} KiB, index ({stopped} did not fit)", n, failures)


def test_a_memory_on_a_disk_that_may_only_be_read(small_disk, jobs):
    children, disk = small_disk
    children.remount("size=16m,rw")
    first = jobs["index"].command(disk)[1]
    memory, image = disk / "m", first / "a" / "first0.png"
    assert children.run("index", first, *TINY, "-o", memory, *INDEXES[:2]).code == 0
    before = contents(children.seen(disk))
    children.remount("ro")
    for command in (
        ("query", memory, image), ("info", memory), ("verify", memory),
        ("query", memory, image, "--searcher", "annoy:trees=2"),
        ("evaluate", memory, "--leave-one-out", "--searcher", "annoy:trees=2,search_k=77"),
        ("index", first, *TINY, "-o", memory, "--dry-run"),
    ):  # fmt: skip
        ended = children.run(*command)
        assert ended.code == 0, (command, ended.err)
    for command in (
        ("query", memory, image, "--searcher", "faiss:Flat"),
        ("index", first.parent / "more", "-o", memory, "--append"),
        ("index", first, *TINY, "-o", disk / "other"),
    ):
        ended = children.run(*command)
        assert ended.code == 1 and one_sentence(ended.err) and "Read-only file system" in ended.err, ended.err
    assert contents(children.seen(disk)) == before
    children.remount("rw")
    shutil.rmtree(children.seen(memory))


def test_annoy_on_a_disk_too_small_says_so(small_disk, jobs):
    """It writes through a memory map: without a look at the disk first, that is a bus error."""
    children, disk = small_disk
    children.remount("size=16m,rw")
    first = jobs["index"].command(disk)[1]
    assert children.run("index", first, *TINY, "-o", disk / "m").code == 0
    used = sum(-(-p.stat().st_size // 4096) * 4 for p in children.seen(disk).rglob("*") if p.is_file())
    children.remount(f"size={used + 48}k")
    ended = children.run("index", first, *TINY, "-o", disk / "m", *INDEXES[:2])
    assert ended.code == 1 and one_sentence(ended.err), ended
    assert "cannot build an Annoy index" in ended.err and "--searcher exact" in ended.err
    children.remount("size=16m")
    assert children.run("index", first, *TINY, "-o", disk / "m", *INDEXES[:2]).code == 0
    shutil.rmtree(children.seen(disk / "m"))


def test_a_folder_that_vanishes_under_a_build(jobs, tmp_path):
    """It is moved away while the third batch is read, and brought back."""
    images = jobs["index"].command(tmp_path)[1]
    memory, batches = tmp_path / "m", []
    network, transform = tiny()

    def moves(*_):
        batches.append(1)
        if len(batches) == 4:  # the first was a look at the grid
            memory.rename(tmp_path / "away")

    def build(path):
        options = {"layer": "3", "batch_size": 4, "workers": 0}
        build_memory(path, images, backbone=network, transform=transform, **options)

    hook = network.register_forward_pre_hook(moves)
    with pytest.raises(StorageError, match=r"cannot write .*: No such file or directory; restore the folder"):
        build(memory)
    hook.remove()
    assert not memory.exists()
    (tmp_path / "away").rename(memory)
    build(memory)
    build(tmp_path / "whole")
    assert contents(memory) == contents(tmp_path / "whole")


def files(*names):
    return {name: FileEntry(sha256="0" * 64, size=1) for name in names}


SOURCE = SourceStep(start=0, stop=1, files=files("memory.json", "source.parquet"))
SHARD = ShardStep(number=0, start=0, stop=1, nonnegative=True, files=files(*shard_files(0, "float16")))


@pytest.mark.parametrize("half", [False, True])
def test_a_ledger_line_that_fails_half_way_leaves_none(tmp_path, monkeypatch, half):
    """Even where the process goes on: the next line follows the one before."""
    ledger = append_step(tmp_path, read_ledger(tmp_path), SOURCE)
    before = (tmp_path / "ledger.jsonl").read_bytes()

    def fails(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def writes_half(file, data):
        file.write(data[: len(data) // 2])
        fails()

    with monkeypatch.context() as patched:
        if half:
            patched.setattr(ledger_file, "_write_all", writes_half)
        else:
            patched.setattr(os, "fsync", fails)
        with pytest.raises(StorageError, match=r"ledger\.jsonl: No space left on device; make room"):
            append_step(tmp_path, ledger, SHARD)
    assert (tmp_path / "ledger.jsonl").read_bytes() == before
    ledger = append_step(tmp_path, ledger, SHARD)
    assert read_ledger(tmp_path) == ledger


def test_a_disk_that_takes_a_line_byte_by_byte(tmp_path):
    class Slow:
        def __init__(self):
            self.taken = b""

        def write(self, data):
            self.taken += bytes(data[:1])
            return 1

    slow = Slow()
    ledger_file._write_all(slow, b'{"step"}\n')
    assert slow.taken == b'{"step"}\n'


def test_the_first_error_is_the_one_that_is_told(tmp_path):
    """Tidying up behind a failure may fail too."""
    (tmp_path / "there").mkdir()

    def write():
        with written_whole(tmp_path / "there" / "file") as file:
            file.write(b"some")
            shutil.rmtree(tmp_path / "there")
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(StorageError, match=r"there/file: Input/output error; check the disk"):
        write()


def test_a_mistake_that_is_none_of_the_disk_keeps_its_words(tmp_path):
    def write(error):
        with written_whole(tmp_path / "file"):
            raise error

    for error in (HueprobeError("mine"), ZeroDivisionError("mine"), KeyboardInterrupt("mine")):
        with pytest.raises(type(error), match="mine"):
            write(error)
    with pytest.raises(StorageError, match="cannot write /elsewhere/font: No such file"):
        write(FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/elsewhere/font"))
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be(tmp_path, small_memory):
    with (
        pytest.raises(StorageError, match=r"gone/lock: No such file or directory"),
        one_writer(tmp_path / "gone"),
    ):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Not a directory"):
        small_memory(tmp_path / "file" / "m")


def test_the_folder_is_made_durable_when_the_ledger_appears(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(ledger_file, "fsync_folder", made.append)
    ledger = append_step(tmp_path, read_ledger(tmp_path), SOURCE)
    append_step(tmp_path, ledger, SHARD)
    assert made == [tmp_path]


def test_removing_a_memory_leaves_what_is_not_its_own(tmp_path, small_memory):
    memory = small_memory(tmp_path / "m")
    build_index(memory, "annoy:trees=2")
    own = {
        "notes.txt", "source_notes.parquet", "thesis.partial", "shards/mine.npy", "indexes/mine/thesis.txt"
    }  # fmt: skip
    for name in own:
        (tmp_path / "m" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "m" / name).write_text("three years")
    small_memory(tmp_path / "m", n=7, overwrite=True)
    assert own < contents(tmp_path / "m").keys()
    remove_memory(tmp_path / "m")
    assert contents(tmp_path / "m").keys() == own
    small_memory(tmp_path / "n")
    remove_memory(tmp_path / "n")
    assert not (tmp_path / "n").exists()


def test_a_removal_that_is_killed_leaves_no_damaged_memory(tmp_path, small_memory, monkeypatch):
    small_memory(tmp_path / "m")
    whole = contents(tmp_path / "m")
    unlink, removed = type(tmp_path).unlink, []

    def killed(path, **options):
        assert not (tmp_path / "m" / "ledger.jsonl").exists()  # it goes first
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(path.name)
        unlink(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(type(tmp_path), "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_memory(tmp_path / "m")
    with pytest.raises(MemoryFormatError, match="no finished shard yet"):
        open_memory(tmp_path / "m")
    small_memory(tmp_path / "m")
    assert contents(tmp_path / "m") == whole


def test_a_removal_that_fails_at_once_leaves_the_memory_whole(tmp_path, small_memory, monkeypatch):
    """Found by ENOENT at each write in turn: the ledger stayed, and what it names was gone."""
    small_memory(tmp_path / "m")
    whole = contents(tmp_path / "m")

    def fails(*_):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    with monkeypatch.context() as patched:
        patched.setattr(type(tmp_path), "replace", fails)
        with pytest.raises(StorageError, match="No such file or directory"):
            remove_memory(tmp_path / "m")
    assert contents(tmp_path / "m") == whole


def test_what_a_killed_index_build_left_is_removed_by_the_next(tmp_path, small_memory):
    memory = small_memory(tmp_path / "m")
    (tmp_path / "m" / "indexes" / "faiss-Flat.partial").mkdir(parents=True)
    build_index(memory, "annoy:trees=2")
    assert [p.name for p in (tmp_path / "m" / "indexes").iterdir()] == ["annoy-trees=2"]


def test_a_failing_index_build_says_why_and_is_gone(tmp_path, small_memory, monkeypatch):
    memory = small_memory(tmp_path / "m")
    fsync = os.fsync

    def full(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("index.faiss.partial"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"index\.faiss: No space left"):
        open_searcher(memory, "faiss:Flat")
    # what was finished is kept for the next build, and is no index
    assert [path.name for path in (tmp_path / "m" / "indexes").iterdir()] == ["faiss-Flat.unfinished"]
    monkeypatch.undo()
    open_searcher(memory, "faiss:Flat")
    assert [path.name for path in (tmp_path / "m" / "indexes").iterdir()] == ["faiss-Flat"]


def test_a_full_disk_behind_standard_output(jobs, tmp_path, small_memory):
    memory = small_memory(tmp_path / "m")
    command = [sys.executable, "-m", "hueprobe", "info", str(memory.path), "--json"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1 and "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
