"""A process that was forked after its parent computed with threads says so instead of waiting for them."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from hueprobe import KernelDensityClassifier, open_searcher, threads
from hueprobe.activations import Extractor, load_backbone
from hueprobe.errors import ForkedError
from hueprobe.training import Objective, TrainingSettings, train

SPECS = ("exact", "faiss:Flat")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def forked(monkeypatch, two_threads):
    """What a child of this process would see, had this process computed; called when that is to begin."""

    def begin():
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        for library in ("torch", "FAISS"):
            monkeypatch.setitem(threads._computed_by, library, os.getpid() + 1)

    return begin


@pytest.mark.parametrize("spec", SPECS)
def test_a_search_after_a_fork_is_an_error(small_memory, forked, spec):
    memory = small_memory()
    searcher, vectors = open_searcher(memory, spec), memory.vectors(np.arange(3))
    forked()
    with pytest.raises(ForkedError, match=r"torch's|FAISS's threads.*'spawn'") as error:
        searcher.search(vectors, 2)
    assert "\n" not in str(error.value)
    with pytest.raises(ForkedError):
        KernelDensityClassifier(memory, k=2, searcher=spec).leave_one_out()
    if spec == "exact":
        with pytest.raises(ForkedError):
            open_searcher(memory, spec)


def test_extraction_and_training_after_a_fork_are_errors(forked):
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    extractor = Extractor(load_backbone(network, layer="1"), device="cpu")
    forked()
    with pytest.raises(ForkedError):
        extractor(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ForkedError):
        load_backbone(network, layer="1")
    with pytest.raises(ForkedError):
        train(Objective(network), None, TrainingSettings(device="cpu"))


def test_with_one_thread_nothing_is_waited_for(small_memory, forked, monkeypatch):
    memory = small_memory()
    searchers, vectors = [open_searcher(memory, spec) for spec in SPECS], memory.vectors(np.arange(3))
    forked()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for searcher in searchers:
        assert searcher.search(vectors, 2).ids.shape == (3, 2)


CHILDREN = """
import os, signal, sys, time
import numpy as np, torch, hueprobe as hp
from hueprobe.errors import ForkedError
torch.set_num_threads(2)
rng = np.random.default_rng(0)
memory = hp.memory_from_arrays(sys.argv[1], rng.random((4, 60, 8, 8), np.float32), ["a", "b"] * 2)
vectors = memory.vectors(np.arange(250))

def forks(job):
    child = os.fork()
    if child == 0:
        try:
            job()
            os._exit(0)
        except ForkedError:
            os._exit(7)
        except BaseException:
            os._exit(8)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "waits"

def search():
    hp.open_searcher(memory).search(vectors, 3)

def alone():
    torch.set_num_threads(1)
    search()

print(forks(search), end=" ")  # before its parent computed
search()
print(forks(search), forks(alone), end=" ")
search()
print("done")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_children_end_whatever_their_parent_did(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILDREN, str(tmp_path / "m")],
        capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.stdout.split() == ["0", "7", "0", "done"], done.stderr
