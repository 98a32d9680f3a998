"""Work killed at any moment and begun again ends in the bytes of work that nobody disturbed."""

import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.faults.children import contents, differences
from tests.faults.conftest import LONG
from tests.faults.jobs import TINY

pytestmark = pytest.mark.slow

WORK = [
    "index",
    "append",
    "sparse16",
    "pooled",
    "layers",
    "annoy",
    "faiss",
    "codes",
    "part",
    "join",
    "search part",
    "observe accuracy",
]
AT_A_WRITE = (
    WORK
    if LONG
    else ["index", "append", "sparse16", "layers", "annoy", "faiss", "part", "join", "search part"]
)
AT_A_TIME = WORK if LONG else ["index", "join", "search part"]
STOPPED_WORK = (
    ["index", "append", "layers", "annoy", "part", "join", "observe accuracy"] if LONG else ["index"]
)
IN_TURN = ["index", "append", "sparse16", "part", "join", *(["faiss"] if LONG else [])]
POWER = IN_TURN if LONG else ["index", "join"]
KILLS = {"index": 120, "append": 80, "observe accuracy": 25}
CRITICAL = (
    "write memory.json",
    "write ledger",
    "fsync ledger",
    r"replace .*\.vectors",
    "replace source",
    "rename",
    "link",
    "unlink parts.json",
)
STOPPED = "hueprobe: stopped; finished work is kept: run the same command again to resume"


def killed_until_done(children, job, folder, draw):
    """Run a job until it is done, killed as `draw()` says; return kills and the first thing wrong or None."""
    job.prepare(folder)
    for kills in range(1000):
        how = draw()
        ended = children.run(*job.command(folder), **how)
        if not ended.killed:
            wrong = ended.code and f"{job.name}, {how}: ended with {ended.code}: {ended.err[-400:]}"
            return kills, wrong or (differences(folder, job.whole) or None)
        if wrong := job.unsound(folder):
            return kills + 1, f"{how}: {wrong}"
    raise AssertionError("never done")


def kill(children, jobs, faults, tmp_path, name, draw, n_kills):
    failures, kills, trials = [], 0, 0
    while kills < n_kills:
        folder = tmp_path / f"{trials}"
        more, wrong = killed_until_done(children, jobs[name], folder, draw)
        kills, trials = kills + more, trials + 1
        failures += [f"trial {trials}: {wrong}"] if wrong else []
        shutil.rmtree(folder)
    return kills, trials, failures


@pytest.mark.parametrize("name", AT_A_WRITE)
def test_killed_at_a_write_drawn_at_random(children, jobs, faults, tmp_path, name):
    # Work that goes on may reach some points more: a part of a search first copies what is there.
    n_points = int(1.3 * len(jobs[name].points))
    n_kills = faults.n(4 if name == "index" else 2, KILLS.get(name, 40))
    kills, trials, failures = kill(
        children, jobs, faults, tmp_path, name,
        lambda: {"points": {"at": int(faults.rng.integers(1, n_points + 1))}}, n_kills,
    )  # fmt: skip
    faults.tried(f"SIGKILL at a write, {name} ({trials} memories)", kills, failures)


@pytest.mark.parametrize("name", AT_A_TIME)
def test_killed_at_a_time_drawn_at_random(children, jobs, faults, tmp_path, name):
    seconds = jobs[name].seconds
    n_kills = faults.n(4 if name == "index" else 2, KILLS.get(name, 40))
    kills, trials, failures = kill(
        children, jobs, faults, tmp_path, name,
        lambda: {"signal": signal.SIGKILL, "after": float(faults.rng.uniform(0, seconds))}, n_kills,
    )  # fmt: skip
    faults.tried(f"SIGKILL at a time, {name} ({trials} memories)", kills, failures)


@pytest.mark.parametrize("name", IN_TURN)
def test_killed_at_every_write_in_turn(children, jobs, faults, tmp_path, name):
    """Once at each; the short version at one of each critical kind."""
    job, failures = jobs[name], []
    drawn = job.moments
    if not LONG:
        kinds = [[i for i in drawn if re.match(kind, job.points[i - 1])] for kind in CRITICAL]
        drawn = [int(faults.rng.choice(kind)) for kind in kinds if kind]
    for at in drawn:
        folder = job.prepare(tmp_path / f"{at}")
        ended = children.run(*job.command(folder), points={"at": at})
        wrong = None if ended.killed else f"ended with {ended.code}"
        wrong = wrong or job.unsound(folder) or job.finished_wrong(children, folder)
        failures += [f"at {job.points[at - 1]} (number {at}): {wrong}"] if wrong else []
        shutil.rmtree(folder)
    faults.tried(f"SIGKILL at each write in turn, {name}", len(drawn), failures)


@pytest.mark.parametrize("name", POWER)
def test_the_power_fails(children, jobs, faults, tmp_path, name):
    """What no fsync made durable is lost with it, but no line of the ledger that was entered."""
    job, failures = jobs[name], []
    n = faults.n(8, 150)
    for at in faults.rng.integers(1, len(job.points) + 1, n).tolist():
        folder = job.prepare(tmp_path / f"{at}")
        before = ledger_lines(job, folder)
        ended = children.run(*job.command(folder), points={"at": at, "action": "power"})
        # A line counts when its file and, the first time, its folder could be synced behind it.
        entered = job.points[: max(0, at - 3)].count("write ledger.jsonl")
        wrong = None if ended.killed else f"ended with {ended.code}: {ended.err[-300:]}"
        if (left := ledger_lines(job, folder)) < before + entered:
            wrong = wrong or f"{before + entered} lines were entered, {left} are left"
        wrong = wrong or job.unsound(folder) or job.finished_wrong(children, folder)
        failures += [f"at {job.points[at - 1]} (number {at}): {wrong}"] if wrong else []
        shutil.rmtree(folder)
    faults.tried(f"power cut at a write, {name}", n, failures)


def ledger_lines(job, folder):
    """Count the lines of all ledgers, but for those of parts, which a join removes."""
    ledgers = [path for path in folder.rglob("ledger.jsonl") if "-of-" not in path.parent.name]
    ledgers = ledgers if job.name == "join" else folder.rglob("ledger.jsonl")
    return sum(path.read_bytes().count(b"\n") for path in ledgers)


def test_every_critical_moment_is_among_the_points(jobs):
    reached = set(jobs["index"].points)
    for moment in (
        "write 000001.vectors.npy.partial", "fsync 000001.vectors.npy.partial",
        "replace 000001.vectors.npy.partial", "replace 000001.energy.npy.partial",
        "replace 000001.images.parquet.partial", "fsync shards", "write ledger.jsonl", "fsync ledger.jsonl",
        "replace source.parquet.partial", "replace memory.json.partial", "write index.faiss.partial",
        "rename annoy-trees=2.partial", "replace index.json.partial",
        "replace build.json.partial", "replace trained.faiss.partial", "rename faiss-IVF4,Flat.unfinished",
        "unlink build.json",
    ):  # fmt: skip
        assert moment in reached, sorted(reached)
    pieces = [name for name in jobs["index"].points if re.match(r"replace .*\.lists\.partial", name)]
    assert len(pieces) == 3
    reached = set(jobs["part"].points)
    for moment in ("replace parts.json.partial", "replace source.parquet.partial", "write ledger.jsonl"):
        assert moment in reached, sorted(reached)
    reached = set(jobs["join"].points)
    for moment in (
        "link 000000.vectors.npy", "link 000000.energy.npy", "replace 000002.images.parquet.partial",
        "fsync shards", "write ledger.jsonl", "fsync ledger.jsonl", "rename whole",
        "replace ledger.jsonl", "unlink 000000.vectors.npy",
        "unlink parts.json", "rmdir m.parts",
    ):  # fmt: skip
        assert moment in reached, sorted(reached)


def test_a_join_ends_in_the_bytes_of_an_undisturbed_build(jobs):
    """What the kills of joins are compared with."""
    assert jobs["join"].whole == {f"m/{name}": data for name, data in jobs.undisturbed.items()}


@pytest.mark.parametrize("name", STOPPED_WORK)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_asked_to_stop(children, jobs, faults, tmp_path, name, number):
    """Exit code 130 or 143, one line that says how to go on, nothing half-written, and it does go on."""
    job, failures, stops, code = jobs[name], [], 0, 128 + number
    being_removed = {"ledger.jsonl.partial"} if name == "join" else set()  # of a part that is joined
    n = faults.n(3, 8 if name == "observe accuracy" else 20)
    for trial in range(n):
        folder, wrong = job.prepare(tmp_path / f"{trial}"), None
        after = float(faults.rng.uniform(0, job.seconds * 0.9))
        ended = children.run(*job.command(folder), signal=number, after=after)
        if ended.code not in (0, code):
            wrong = f"ended with {ended.code}: {ended.err[-600:]}"
        elif ended.code and (STOPPED not in ended.err.splitlines() or "Traceback" in ended.err):
            wrong = f"said: {ended.err[-600:]}"
        elif left := {p.name for p in folder.rglob("*.partial")} - being_removed:
            wrong = f"left {left}"
        stops += ended.code == code
        wrong = wrong or job.unsound(folder) or job.finished_wrong(children, folder)
        failures += [f"after {after:.3f} s: {wrong}"] if wrong else []
        shutil.rmtree(folder)
    faults.tried(f"{signal.Signals(number).name}, {name} ({stops} stopped, others done before)", n, failures)


@pytest.mark.skipif(not LONG, reason="seconds of imports for each process; `make faults` runs it")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_real_command_is_stopped_and_continued(jobs, faults, tmp_path, number):
    """As from a shell: `python -m hueprobe`, a process of its own."""
    job, failures = jobs["index"], []
    n = 6
    images = job.command(tmp_path)[1]
    slow = ["--backbone", "tests.faults.slow_network:slow", *TINY[2:]]
    command = [sys.executable, "-m", "hueprobe", "index", str(images), *slow, "-o"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    for trial in range(n):
        memory = tmp_path / f"{trial}"
        running = subprocess.Popen([*command, str(memory)], stderr=subprocess.PIPE, text=True)
        while not (memory / "ledger.jsonl").exists():
            time.sleep(0.01)
        time.sleep(float(faults.rng.uniform(0, 0.8)))
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
        expected = -9 if number == signal.SIGKILL else 128 + number
        if running.returncode != expected or (number != signal.SIGKILL and STOPPED not in err.splitlines()):
            failures.append(f"ended with {running.returncode}: {err[-400:]}")
        subprocess.run([*command, str(memory)], check=True, capture_output=True)
        if different := differences(memory, contents(tmp_path / "whole")):
            failures.append(f"not the undisturbed bytes: {different}")
    faults.tried(f"{signal.Signals(number).name}, a process of its own", n, failures)


def test_a_second_signal_ends_a_command_that_does_not_stop():
    code = (
        "import time; from hueprobe import cli\n"
        f"with cli._stopped_by_signals({STOPPED!r}):\n"
        "  while True:\n"
        "    try: print('working', flush=True); time.sleep(60)\n"
        "    except KeyboardInterrupt: pass"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        assert running.stdout.readline() == "working\n"
        running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 143 and err.strip() == STOPPED
