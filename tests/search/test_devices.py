"""Where exact search runs. Its result is the same everywhere; no GPU is needed to see which is chosen."""

import msgspec
import pytest
import torch

from hueprobe import KernelDensityClassifier, open_searcher
from hueprobe.errors import InputError
from hueprobe.search.exact import formats
from hueprobe.search.exact import searcher as exact
from hueprobe.search.exact.device import search_device


@pytest.fixture
def memory(small_memory):
    return small_memory(n=6, classes="ab")


@pytest.fixture
def machine(monkeypatch):
    """Say what torch finds."""

    def has(*, cuda=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


def made_on(memory, device):
    memory.settings = msgspec.structs.replace(memory.settings, device=device, backbone="densenet201")
    return memory


def test_auto_is_the_device_that_made_the_memory_where_it_is_there(memory, machine):
    machine(cuda=2)
    assert str(search_device(made_on(memory, "cuda"), "auto")) == "cuda:0"
    assert str(search_device(made_on(memory, "cpu"), "auto")) == "cpu"
    assert str(search_device(made_on(memory, "mps"), "auto")) == "cuda:0"
    machine()
    assert str(search_device(made_on(memory, "cuda"), "auto")) == "cpu"


def test_auto_is_the_best_there_is_where_no_device_made_the_memory(memory, machine):
    machine(cuda=1)
    assert str(search_device(memory, "auto")) == "cuda:0"
    machine()
    assert str(search_device(memory, "auto")) == "cpu"


def test_auto_never_is_mps(memory, machine):
    machine(mps=True)
    assert str(search_device(memory, "auto")) == str(search_device(made_on(memory, "mps"), "auto")) == "cpu"
    assert str(search_device(memory, "mps")) == "mps"


def test_a_device_that_is_named_is_taken_or_refused(memory, machine):
    machine(cuda=2)
    assert str(search_device(memory, "cuda:1")) == "cuda:1" and str(search_device(memory, "cpu")) == "cpu"
    machine()
    with pytest.raises(InputError, match="'cuda' is not available"):
        open_searcher(memory, device="cuda")
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        KernelDensityClassifier(memory, device="gpu")


def test_classifier_and_searcher_search_there_by_default(memory, monkeypatch):
    """Shown on a device that computes nothing and is everywhere."""
    monkeypatch.setattr(exact, "search_device", lambda memory, device: torch.device({"auto": "meta"}[device]))
    monkeypatch.setattr(formats, "sound_formats", lambda device: ("float32",))  # nothing there to compare
    assert KernelDensityClassifier(memory).searcher.device.type == "meta"
    assert open_searcher(memory).device.type == "meta"
