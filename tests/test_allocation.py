"""Freed memory is used again inside the block and given back behind it; tensors lie on huge pages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hueprobe.allocation import _glibc

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
MIB = 1 << 20
PAGES = 64 * MIB // 4096  # of one of the arrays below

needs_glibc = pytest.mark.skipif(_glibc() is None, reason="not glibc's allocator")

CALL = "from hueprobe.allocation import ask_for_huge_pages\nask_for_huge_pages()\n"
HELPERS = """
import json, resource
import numpy as np
from hueprobe.allocation import freed_memory_kept

def faults(n=8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n):
        np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))

found = {}
"""


def run(code, **environment):
    """Run code in a process of its own, in which nothing was allocated before; return its `found`."""
    inherited = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    done = subprocess.run(
        [sys.executable, "-c", f"{HELPERS}\n{code}\nprint(json.dumps(found))"],
        env={**inherited, "NUMPY_MADVISE_HUGEPAGE": "0", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@needs_glibc
def test_freed_memory_is_used_again_in_the_block_and_given_back_behind_it():
    found = run("""
found["before"] = faults()
start = anonymous()
with freed_memory_kept():
    faults(1)
    found["inside"] = faults()
    with freed_memory_kept():
        pass
    found["behind an inner block"] = faults()
    found["kept"] = anonymous() - start
found["left"] = anonymous() - start
found["behind"] = faults()
""")
    assert found["before"] > 7 * PAGES and found["behind"] > 7 * PAGES
    assert found["inside"] < PAGES / 10 and found["behind an inner block"] < PAGES / 10
    assert found["kept"] > 60 * MIB and found["left"] < 4 * MIB


@needs_glibc
def test_an_exception_ends_the_keeping():
    found = run("""
try:
    with freed_memory_kept():
        faults(1)
        raise ZeroDivisionError
except ZeroDivisionError:
    found["behind"] = faults()
""")
    assert found["behind"] > 7 * PAGES


@needs_glibc
def test_nothing_is_kept_unless_asked():
    found = run("""
with freed_memory_kept(False):
    faults(1)
    found["inside"] = faults()
""")
    assert found["inside"] > 7 * PAGES


def test_without_glibc_the_block_just_runs(monkeypatch):
    from hueprobe import allocation

    monkeypatch.setattr("ctypes.CDLL", lambda name: object())  # a library without glibc's names
    with allocation.freed_memory_kept():
        ran = True
    assert ran


@pytest.mark.slow
@pytest.mark.skipif(
    not HUGE_PAGES.exists() or "[madvise]" not in HUGE_PAGES.read_text(),
    reason="Linux does not grant huge pages to those who ask only",
)
@pytest.mark.parametrize(
    ("call", "chosen", "asked"),
    [("", None, False), (CALL, None, True), (CALL, "0", False), (CALL, "1", True)],
)
def test_torch_asks_for_huge_pages_where_told_to(call, chosen, asked):
    environment = {} if chosen is None else {"THP_MEM_ALLOC_ENABLE": chosen}
    # The tensor is held: this is about its pages, not about their being used again.
    found = run(
        call
        + """
import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
held = torch.ones(64 << 20, dtype=torch.uint8)
found["faults"] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
""",
        **environment,
    )
    if asked:
        assert found["faults"] < PAGES / 4
    else:
        assert found["faults"] > PAGES * 0.9
