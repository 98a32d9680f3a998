"""Seconds by stage: each counts once, for the innermost stage, and together they are the whole time."""

import time

import numpy as np
import pytest

from hueprobe.classifier import KernelDensityClassifier
from hueprobe.errors import InputError
from hueprobe.memory import memory_from_arrays
from hueprobe.observations.accuracy.baselines import KS
from hueprobe.observations.verdicts.documents import verdicts_json
from hueprobe.search.exact.searcher import ExactSearcher
from hueprobe.studies import ObserveSettings, accuracy_grid, observe
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


def test_a_classification_counts_for_search_and_its_parts_for_themselves(clock, small_memory):
    memory, stages = small_memory(n=6, grid=(2, 2), classes="ab"), Stages()

    def classifier():
        clock[0] += 1  # opening the searcher
        made = KernelDensityClassifier(memory, k=2)
        by_k = made.leave_one_out_by_k

        def taking_time(ks, **options):
            clock[0] += 20
            found = by_k(ks, **options)
            for k, result in found.items():
                result.seconds.update({"extract": 4.0 * (k == 3), "search": 100.0, "density": 2.0})
            return found

        made.leave_one_out_by_k = taking_time
        return made

    with stages.of("locations"):
        found = stages.classified(classifier, [2, 3])
    assert sorted(found) == [2, 3] and len(found[3].matches) > len(found[2].matches)
    assert stages.seconds == {"extract": 4, "density": 2 * 2, "search": 21 - 4 - 2 * 2, "locations": 0}


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


def searched(monkeypatch):
    """Return a list that every exact search of vectors of five cells by five adds its k to."""
    seen, real = [], ExactSearcher.search

    def search(self, vectors, k, **options):
        if self.memory.settings.descriptor == "pixel":
            seen.append((k, len(vectors)))
        return real(self, vectors, k, **options)

    monkeypatch.setattr(ExactSearcher, "search", search)
    return seen


def test_observations_share_one_leave_one_out(memory, tmp_path, monkeypatch):
    """Accuracy, its choice of K and the other observations; none of their numbers differ from apart."""
    seen = searched(monkeypatch)
    settings = ObserveSettings(k=2)
    shared = observe(memory, ["accuracy", "conditional", "hue"], settings=settings, folder=tmp_path / "w")
    assert seen == [(max(KS), 24 * 25)]

    seen.clear()
    accuracy = accuracy_grid(memory, tmp_path / "x", k=2)
    apart = observe(memory, ["conditional", "hue"], settings=settings)
    assert seen == [(max(KS), 24 * 25), (2, 24 * 25)]
    assert accuracy == shared.memories[0].accuracy
    both = [v for v in shared.verdicts if v.id != "2 pixel"]
    assert verdicts_json(both) == verdicts_json(apart.verdicts)


def test_another_searcher_than_exact_is_not_shared_with_the_choice_of_k(memory, tmp_path, monkeypatch):
    seen = searched(monkeypatch)
    accuracy_grid(memory, tmp_path / "w", k=2, searcher="faiss:Flat")
    asked = [call for call in seen if call[1] == 24 * 25]  # fewer measure the recall of the index
    assert asked == [(max(KS), 24 * 25)]  # only K is chosen by exact search
