"""How many faults to try, under which seed, and the table of what was tried.

`make test` runs a short version under seed 0, `make faults` the long one (`HUEPROBE_FAULTS=long`) under a
seed drawn anew; `HUEPROBE_FAULT_SEED=N` runs either under that of another run. `make faults` ends with the
table.
"""

import os
import secrets
import zlib

import numpy as np
import pytest

from tests.faults.children import Children
from tests.faults.jobs import Jobs

LONG = os.environ.get("HUEPROBE_FAULTS", "short") == "long"
# Kept in the environment, so that pytest's worker processes have the same.
SEED = int(os.environ.setdefault("HUEPROBE_FAULT_SEED", str(secrets.randbelow(2**31) if LONG else 0)))
_TRIED = "faults tried"


class Faults:
    """What a test of faults asks for: `faults.n(20, 300)` trials, drawn with `faults.rng`, then `tried`."""

    def __init__(self, node):
        self._node = node
        self.seed = SEED
        self.long = LONG
        self.rng = np.random.default_rng([SEED, zlib.crc32(node.nodeid.encode())])

    def n(self, short, long):
        """Return the number of trials of this run."""
        return long if LONG else short

    def tried(self, what, n, failures):
        """Enter trials into the table, and fail where one of them failed; `failures` lists them."""
        failures = list(failures)
        self._node.user_properties.append((_TRIED, [what, int(n), len(failures)]))
        shown = "\n".join(map(str, failures[:10]))
        assert not failures, f"{what}: {len(failures)} of {n} failed under seed {SEED}:\n{shown}"


@pytest.fixture
def faults(request):
    return Faults(request.node)


def pytest_terminal_summary(terminalreporter):
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    rows = [
        value
        for report in reports
        if report.when == "call"
        for name, value in report.user_properties
        if name == _TRIED
    ]
    if rows:
        terminalreporter.section(f"faults ({'long' if LONG else 'short'}, HUEPROBE_FAULT_SEED={SEED})")
        for what, n, failed in sorted(map(tuple, rows)):
            terminalreporter.write_line(f"{n:>8} trials  {failed:>4} failed  {what}")


@pytest.fixture(scope="session")
def children():
    with Children() as running:
        yield running


@pytest.fixture(scope="session")
def jobs(children, tmp_path_factory):
    return Jobs(children, tmp_path_factory.mktemp("jobs"))
