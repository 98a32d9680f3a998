import itertools
import json

import numpy as np
import pytest

from hueprobe import open_searcher
from hueprobe.errors import InputError, SearcherError
from hueprobe.search import Trial, Tuning, measure_recall, parse_spec, tune_searcher
from hueprobe.search import tuning as tuning_module
from hueprobe.search.index import StoredIndex, list_indexes
from hueprobe.search.tuning import candidate_specs

SPECS = ("annoy:trees=2", "faiss:IVF16,Flat;nprobe=1", "faiss:IVF16,Flat;nprobe=16", "exact")


@pytest.fixture
def memory(small_memory):
    return small_memory(n=80, channels=8, grid=(3, 3))


def files_of(memory):
    return sorted(path.relative_to(memory.path) for path in memory.path.rglob("*"))


def trial(spec, recall, times_exact):
    return Trial(spec, recall, 100 * times_exact, times_exact, 1.0, 1)


def tuning_of(*trials, wished=0.9):
    return Tuning("m", 100, 50, 10, wished, (Trial("exact", 1.0, 100.0, 1.0, 0.0, 0), *trials), ())


def test_recommended_is_the_fastest_that_is_good_enough():
    trials = trial("annoy:trees=10", 0.89, 9), trial("faiss:Flat", 0.9, 3), trial("faiss:HNSW32", 0.99, 2)
    assert tuning_of(*trials).recommended.spec == "faiss:Flat"
    assert tuning_of(*trials, wished=0.95).recommended.spec == "faiss:HNSW32"
    assert tuning_of(*trials, wished=1.0).recommended.spec == "exact"
    assert tuning_of(trial("faiss:HNSW32", float("nan"), 9)).recommended.spec == "exact"


def test_trials_say_what_each_searcher_does_and_leave_nothing_behind(memory):
    before = files_of(memory)
    tuning = tune_searcher(memory, specs=SPECS, n_queries=100, k=5)
    assert files_of(memory) == before
    found = {trial.spec: trial for trial in tuning.trials}
    assert list(found) == ["exact", *SPECS[:3]]
    assert found["exact"].recall == found[SPECS[2]].recall == 1.0
    assert found[SPECS[1]].recall < 1 and found[SPECS[0]].recall < 1
    assert found[SPECS[1]].n_bytes == found[SPECS[2]].n_bytes > memory.n_slots * memory.n_channels * 4
    assert found[SPECS[1]].build_seconds == found[SPECS[2]].build_seconds > 0
    assert all(trial.queries_per_second > 0 and trial.times_exact > 0 for trial in tuning.trials)
    assert (tuning.n_vectors, tuning.n_queries, tuning.k) == (720, 100, 5)
    # The same as the index itself, built and measured in the usual way.
    searcher = open_searcher(memory, SPECS[0])
    assert found[SPECS[0]].recall == measure_recall(memory, searcher, k=5, n_queries=100)
    json.dumps(tuning.document(), allow_nan=False)


def test_a_glitch_of_the_clock_moves_neither_median_nor_quartile_and_rounds_are_counted(memory, monkeypatch):
    """Exact search takes 20 ms, the other 10, save that every eleventh search takes 50 times as long."""
    calls = itertools.count()

    def seconds(self, searcher):
        glitch = 50.0 if next(calls) % 11 == 10 else 1.0
        return glitch * (0.02 if searcher is self._exact else 0.01)

    monkeypatch.setattr("hueprobe.search.tuning._Measurement._seconds", seconds)
    exact, other = tune_searcher(memory, specs=["faiss:Flat"], n_queries=20).trials
    assert other.rounds >= 7 and exact.rounds >= 7
    assert other.times_exact == pytest.approx(2.0) and other.queries_per_second == pytest.approx(2000)
    assert other.times_exact_low <= 2.0 <= other.times_exact_high < 50
    assert exact.times_exact_low == exact.times_exact_high == pytest.approx(1.0)


def test_quick_searches_are_timed_more_often_and_slow_ones_less(memory, monkeypatch):
    for seconds, rounds in ((0.0001, 25), (5.0, 7)):
        monkeypatch.setattr("hueprobe.search.tuning._Measurement._seconds", lambda *_, s=seconds: s)
        assert tune_searcher(memory, specs=["faiss:Flat"], n_queries=20).trials[1].rounds == rounds


def test_a_kept_index_is_the_one_that_is_recommended(memory, monkeypatch):
    monkeypatch.setattr(
        tuning_module, "_fastest", lambda trials, recall: max(trials, key=lambda t: t.n_bytes)
    )
    tuning = tune_searcher(memory, specs=SPECS, n_queries=20, keep=True)
    best = tuning.recommended
    assert best.spec != "exact"
    assert set(list_indexes(memory)) == {StoredIndex(memory, best.spec).folder.path.name}
    assert StoredIndex(memory, best.spec).is_current
    open_searcher(memory, best.spec, build=False)


def test_a_failure_removes_what_was_built(memory, monkeypatch):
    def fail(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(StoredIndex, "load", fail)
    with pytest.raises(KeyboardInterrupt):
        tune_searcher(memory, specs=["annoy:trees=2"])
    assert not (memory.path / "indexes").exists()


def test_what_a_killed_run_left_is_removed(memory):
    left = memory.path / "indexes/tune.partial/annoy-trees=2"
    left.mkdir(parents=True)
    (left / "index.annoy").write_bytes(b"half")
    assert list_indexes(memory) == {}
    tune_searcher(memory, specs=["annoy:trees=2"], n_queries=10)
    assert not (memory.path / "indexes").exists()


def test_an_index_that_cannot_be_built_is_named_and_the_others_go_on(memory):
    tuning = tune_searcher(
        memory, specs=["faiss:Nonsense", "faiss:Flat", "faiss:Flat;nprobe=3"], n_queries=10
    )
    assert [trial.spec for trial in tuning.trials] == ["exact"]  # Flat has no nprobe: its group is out
    assert dict(tuning.failed).keys() == {"faiss:Nonsense", "faiss:Flat", "faiss:Flat;nprobe=3"}
    assert "no setting 'nprobe'" in dict(tuning.failed)["faiss:Flat;nprobe=3"]


@pytest.mark.parametrize("n_images", [2, 80])
def test_candidates_can_all_be_built(small_memory, n_images):
    tuning = tune_searcher(small_memory(n=n_images, channels=8, grid=(3, 3)), n_queries=10, k=3)
    assert tuning.failed == ()
    assert {parse_spec(trial.spec).kind for trial in tuning.trials} == {"exact", "annoy", "faiss"}


@pytest.mark.parametrize("n, lists", [(88_200, 1024), (1_000_000, 4096), (39_200, 512), (500, 8)])
def test_candidates_grow_with_the_memory(n, lists):
    class Sized:
        class grid:
            n_cells = 49

        @staticmethod
        def valid():
            return np.ones(n, bool)

    specs = candidate_specs(Sized, 10)
    assert len(set(specs)) == len(specs)
    assert {spec.split(",")[0] for spec in specs if "IVF" in spec} == {f"faiss:IVF{lists}"}
    searched = [parse_spec(spec).search["search_k"] for spec in specs if "search_k" in spec]
    assert all(59 * 10 < number <= n / 3 for number in searched)


@pytest.mark.parametrize(
    "options, error, said",
    [
        ({"recall": 0.0}, InputError, "got 0.0"),
        ({"recall": 1.1}, InputError, "got 1.1"),
        ({"k": 0}, InputError, "k must be at least 1, got 0"),
        ({"specs": ["annoyed"]}, SearcherError, "choose exact, annoy"),
    ],
)
def test_wrong_wishes_are_refused_before_anything_is_built(memory, options, error, said):
    with pytest.raises(error, match=said):
        tune_searcher(memory, **options)
    assert not (memory.path / "indexes").exists()
