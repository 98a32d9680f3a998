"""Seconds by stage: each counts once, for the innermost stage, and together they are the whole time."""

import time

import numpy as np
import pytest

from hueprobe.classifier import KernelDensityClassifier
from hueprobe.errors import InputError
from hueprobe.memory import memory_from_arrays
from hueprobe.studies import ObserveSettings, observe
from hueprobe.studies.observing.stages import Stages


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that stands still, as a list of its one time."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_a_second_counts_for_the_innermost_stage(clock):
    stages = Stages()
    with stages.of("accuracy"):
        clock[0] += 1
        with stages.of("search"):
            clock[0] += 2
            with stages.of("pool"):
                clock[0] += 4
            clock[0] += 8
        clock[0] += 16
        with stages.of("search"):
            clock[0] += 32
    clock[0] += 64  # within none
    assert stages.seconds == {"pool": 4, "search": 2 + 8 + 32, "accuracy": 1 + 16}


def test_a_stage_that_fails_counts_too(clock):
    stages = Stages()

    def fail():
        with stages.of("hue"):
            clock[0] += 1
            with stages.of("search"):
                clock[0] += 2
                raise InputError("no")

    with pytest.raises(InputError, match="no"):
        fail()
    with stages.of("hue"):
        clock[0] += 4
    assert stages.seconds == {"search": 2, "hue": 1 + 4}


def test_a_classification_tells_what_is_no_search(clock, small_memory):
    result = KernelDensityClassifier(small_memory(n=6, grid=(2, 2), classes="ab"), k=2).leave_one_out()
    result.seconds.update({"extract": 1.0, "search": 100.0, "density": 2.0})
    stages = Stages()
    with stages.of("locations"), stages.of("search"):
        clock[0] += 10
        stages.add_classified(result)
    assert stages.seconds == {"extract": 1, "density": 2, "search": 7, "locations": 0}


@pytest.fixture
def memory(tmp_path):
    values = np.random.default_rng(0).random((24, 8, 5, 5))
    return memory_from_arrays(tmp_path / "m", values, [f"c{i % 3}" for i in range(24)])


def test_a_report_tells_the_stages_that_ran(memory, tmp_path):
    started = time.perf_counter()
    report = observe(memory, ["energy", "accuracy"], settings=ObserveSettings(k=2), folder=tmp_path / "w")
    took = time.perf_counter() - started
    (one,) = report.memories
    assert set(one.seconds) == {"energy", "accuracy", "pool", "extract", "search", "density"}
    assert min(one.seconds.values()) > 0 and 0.8 * took < sum(one.seconds.values()) <= took
    assert report.seconds == one.seconds

    again = observe(memory, "accuracy", settings=ObserveSettings(k=2), folder=tmp_path / "w")
    assert set(again.seconds) == {"accuracy"}  # finished runs are only read


def test_controls_and_several_memories_add_up(memory):
    plain = observe(memory, "conditional", settings=ObserveSettings(k=2))
    both = observe(
        [memory, memory], "conditional", settings=ObserveSettings(k=2), controls=["no-near-duplicates"]
    )
    assert set(plain.seconds) == set(both.seconds) == {"conditional", "extract", "search", "density"}
    parts = [one.seconds for one in both.memories]
    assert both.seconds == {name: parts[0][name] + parts[1][name] for name in parts[0]}
    assert "seconds" not in repr(plain.memories[0])
