"""The same inputs, settings and seed give the same bytes, however many threads read the images."""

import os
import subprocess
import sys

import pytest

from tests.faults.children import contents
from tests.faults.conftest import LONG
from tests.faults.jobs import INDEXES, TINY

pytestmark = pytest.mark.slow


def test_workers_do_not_change_a_byte(children, jobs, faults, tmp_path):
    job, failures = jobs["index"], []
    counts = [0, 1, 2, 3] * faults.n(1, 10)
    for trial, workers in enumerate(counts):
        folder = job.prepare(tmp_path / f"{trial}")
        ended = children.run(*job.command(folder), "--workers", workers)
        if ended.code or contents(folder) != job.whole:
            failures.append(f"--workers {workers}: {ended.code} {ended.err[-300:]}")
    faults.tried("byte-identical whatever --workers", len(counts), failures)


def test_workers_do_not_change_a_byte_of_what_is_appended(children, jobs, faults, tmp_path):
    job, failures = jobs["append"], []
    counts = [0, 3] * faults.n(1, 10)
    for trial, workers in enumerate(counts):
        folder = job.prepare(tmp_path / f"{trial}")
        ended = children.run(*job.command(folder), "--workers", workers)
        if ended.code or contents(folder) != job.whole:
            failures.append(f"--workers {workers}: {ended.code} {ended.err[-300:]}")
    faults.tried("byte-identical whatever --workers, append", len(counts), failures)


@pytest.mark.skipif(not LONG, reason="seconds of imports for each process; `make faults` runs it")
def test_processes_do_not_change_a_byte(jobs, faults, tmp_path):
    """Of their own, with other hash seeds, and as many threads as there are cores."""
    images, failures, wholes = jobs["index"].command(tmp_path)[1], [], []
    n = 4
    for trial in range(n):
        command = ["index", str(images), *TINY, "-o", str(tmp_path / f"{trial}"), *INDEXES]
        environment = {**os.environ, "PYTHONHASHSEED": str(trial)}
        environment.pop("OMP_NUM_THREADS", None)
        subprocess.run(
            [sys.executable, "-m", "hueprobe", *command], check=True, capture_output=True, env=environment
        )
        wholes.append(contents(tmp_path / f"{trial}"))
        if wholes[-1] != wholes[0]:
            names = wholes[0].keys() | wholes[-1].keys()
            failures.append([name for name in names if wholes[0].get(name) != wholes[-1].get(name)])
    faults.tried("byte-identical in processes of their own", n, failures)
