"""The parts of a memory, built by several processes at once, that die and are started again."""

import shutil
import signal

import pytest

from tests.faults.children import contents, differences
from tests.faults.conftest import LONG
from tests.faults.jobs import N_PARTS, TINY

pytestmark = pytest.mark.slow

BUSY = "another process"


@pytest.fixture
def commands(jobs):
    """Return the commands that build the parts of a memory in a folder."""

    def of(folder):
        images = jobs["part"].command(folder)[1]
        return [
            ("index", images, *TINY, "-o", folder / "m", "--part", f"{number}/{N_PARTS}")
            for number in range(1, N_PARTS + 1)
        ]

    return of


def whole_of(jobs):
    return {f"m/{name}": data for name, data in jobs.undisturbed.items()}


def test_all_parts_at_once(children, jobs, faults, tmp_path, commands):
    """Whoever comes first begins; the others find the same settings and images."""
    failures = []
    n = faults.n(3, 40)
    for trial in range(n):
        folder = tmp_path / f"{trial}"
        folder.mkdir()
        children.begin(*commands(folder))
        wrong = [one.err[-300:] for one in children.end() if one.code != 0]
        ended = children.run("join", folder / "m")
        wrong = wrong or (ended.code and ended.err[-300:]) or differences(folder, whole_of(jobs))
        failures += [f"trial {trial}: {wrong}"] if wrong else []
        shutil.rmtree(folder)
    faults.tried("all parts at once", n, failures)


def test_two_of_one_part_and_a_join_that_comes_too_early(children, jobs, faults, tmp_path, commands):
    """One of the two may be told that the other writes; the join says what is missing."""
    failures, refused = [], 0
    n = faults.n(3, 30)
    for trial in range(n):
        folder = tmp_path / f"{trial}"
        folder.mkdir()
        first, second, third = commands(folder)
        begun = children.run(*second)
        children.begin(first, first, ("join", folder / "m"))
        one, other, early = children.end()
        busy = [each for each in (one, other) if each.code == 1 and BUSY in each.err]
        good = [each for each in (one, other) if each.code == 0]
        refused += len(busy)
        wrong = None
        if len(busy) + len(good) < 2 or not good or begun.code != 0:
            wrong = [(each.code, each.err[-300:]) for each in (one, other, begun)]
        elif early.code != 1 or "cannot be joined yet: of 3 parts, part" not in early.err:
            wrong = f"the early join ended with {early.code}: {early.err[-300:]}"
        for command in (third, ("join", folder / "m")):
            ended = children.run(*command)
            wrong = wrong or (ended.code and ended.err[-300:])
        wrong = wrong or differences(folder, whole_of(jobs))
        failures += [f"trial {trial}: {wrong}"] if wrong else []
        shutil.rmtree(folder)
    faults.tried(f"two of one part at once ({refused} refused)", n, failures)


def test_workers_killed_at_random_and_started_again(children, jobs, faults, tmp_path, commands):
    """All parts at work, all killed after some time, all started again until all are done; then the join."""
    seconds = jobs["part"].seconds
    kills, trials, failures = 0, 0, []
    n_kills = faults.n(12, 200)
    while kills < n_kills:
        folder = tmp_path / f"{trials}"
        folder.mkdir()
        wrong, waiting = None, commands(folder)
        while waiting and wrong is None:
            after = float(faults.rng.uniform(0, 2 * seconds))
            children.begin(*waiting, signal=signal.SIGKILL, after=after)
            ended = children.end()
            kills += sum(one.killed for one in ended)
            wrong = next((one.err[-400:] for one in ended if one.code not in (0, -9)), None)
            waiting = [command for command, one in zip(waiting, ended, strict=True) if one.code != 0]
        while wrong is None:
            after = float(faults.rng.uniform(0, jobs["join"].seconds))
            ended = children.run("join", folder / "m", signal=signal.SIGKILL, after=after)
            kills += ended.killed
            wrong = ended.err[-400:] if ended.code not in (0, -9) else None
            if ended.code == 0:
                break
        wrong = wrong or differences(folder, whole_of(jobs))
        failures += [f"trial {trials}: {wrong}"] if wrong else []
        trials += 1
        shutil.rmtree(folder)
    faults.tried(f"SIGKILL of workers at any time ({trials} memories)", kills, failures)


@pytest.mark.skipif(not LONG, reason="a join of parts beside builds of them; `make faults` runs it")
def test_joins_beside_builds(children, jobs, faults, tmp_path, commands):
    """A join beside a build of a part that was complete: one waits or is refused, nothing is lost."""
    failures = []
    n = faults.n(0, 30)
    for trial in range(n):
        folder = jobs["join"].prepare(tmp_path / f"{trial}")
        children.begin(commands(folder)[1], ("join", folder / "m"))
        part, joined = children.end()
        wrong = None
        if part.code and (part.code != 1 or part.err.count("hueprobe: error:") != 1):
            wrong = part.err[-300:]
        if joined.code and BUSY not in joined.err:
            wrong = wrong or joined.err[-300:]
        ended = children.run("join", folder / "m")
        left = {name for name in contents(folder) if name.startswith("m.parts/")}
        wrong = wrong or (ended.code and ended.err[-300:]) or left or differences(folder, whole_of(jobs))
        failures += [f"trial {trial}: {wrong}"] if wrong else []
        shutil.rmtree(folder)
    faults.tried("joins beside builds", n, failures)
