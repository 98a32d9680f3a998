import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hueprobe import memory_from_arrays, open_memory, open_searcher
from hueprobe.errors import InputError, NumericsError, SearcherError, ShapeError
from hueprobe.memory import as_stored
from hueprobe.search import approximate, build_index, measure_recall, reranking
from hueprobe.search.approximate import n_threads
from hueprobe.search.exact import blocks as blocks_module
from hueprobe.search.exact import grouped
from hueprobe.search.exact import searcher as exact_module
from hueprobe.search.exact.searcher import ExactSearcher
from hueprobe.search.exact.self_check import sound_formats
from hueprobe.search.index import StoredIndex, list_indexes, recall_of
from tests.oracles import nearest, stored_vector

FORMATS = sound_formats(torch.device("cpu"))
APPROXIMATE = ["annoy:trees=5,search_k=100000", "faiss:Flat", "faiss:HNSW32;efSearch=256"]


def activations(seed, *, n=6, channels=5, grid=(2, 3), levels=None):
    """Positive activations; `levels` makes many vectors coincide."""
    rng = np.random.default_rng(seed)
    values = (
        rng.random((n, channels, *grid)) if levels is None else rng.integers(0, levels, (n, channels, *grid))
    )
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    values = activations(0, n=40, channels=16, grid=(3, 3))
    values[3, :, 1, 1] = 0  # a zero vector
    values[11] = values[10]  # a duplicate image
    return memory_from_arrays(tmp_path_factory.mktemp("m") / "a.memory", values, ["a", "b"] * 20)


def allowed_mask(memory, excluded):
    image = np.arange(memory.n_slots) // memory.grid.n_cells
    return ~(image[None, :, None] == excluded[:, None, :]).any(axis=2)


@given(
    seed=st.integers(0, 10_000),
    levels=st.sampled_from([None, 2, 3]),
    k=st.integers(1, 40),
    block=st.sampled_from([1, 7, 64]),
    group=st.sampled_from([1, 3, 32]),
    products=st.sampled_from(FORMATS),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_exact_search_equals_brute_force(seed, levels, k, block, group, products, tmp_path, monkeypatch):
    memory = memory_from_arrays(tmp_path / "m", activations(seed, levels=levels), overwrite=True)
    monkeypatch.setattr(blocks_module, "BLOCK", block)
    monkeypatch.setattr(grouped, "GROUP", group)
    monkeypatch.setattr(exact_module, "_EXTRA", dict.fromkeys(FORMATS, seed % 3))
    rng = np.random.default_rng(seed)
    stored = memory.vectors(np.arange(memory.n_slots))
    queries = np.concatenate(
        [stored[rng.integers(0, len(stored), 4)], as_stored(activations(seed + 1)[0, :, 0].T, "float16")]
    )
    excluded = rng.integers(-1, memory.n_images, (len(queries), 2))
    found = ExactSearcher(memory, products=products).search(queries, k, exclude_images=excluded)
    ids, distances = nearest(queries, stored, k, allowed_mask(memory, excluded))
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(found.ids, ids)


@pytest.mark.parametrize("form", ["ids", "mask"])
def test_exact_search_of_some_vectors_is_brute_force_over_them(memory, form):
    rng = np.random.default_rng(4)
    chosen = rng.permutation(memory.n_slots)[:70]
    among = np.isin(np.arange(memory.n_slots), chosen)
    stored = memory.vectors(np.arange(memory.n_slots))
    queries, rows = stored[:60], rng.permutation(memory.n_images)[:30]
    given = chosen if form == "ids" else among
    found = open_searcher(memory, vectors=given, images=rows).search(queries, 12)
    searched = among & np.isin(np.arange(memory.n_slots) // memory.grid.n_cells, rows) & stored.any(axis=1)
    valid = queries.any(axis=1)
    ids, _ = nearest(queries[valid], stored, 12, np.tile(searched, (valid.sum(), 1)))
    np.testing.assert_array_equal(found.ids[valid], ids)


def test_an_index_cannot_be_asked_for_some_vectors(memory):
    with pytest.raises(SearcherError, match="only some of its vectors"):
        open_searcher(memory, "faiss:Flat", vectors=[0, 1])


def test_near_ties_below_float32_resolution_are_ranked_exactly(tmp_path):
    # Vectors whose float32 products with the query cannot be told apart.
    rng = np.random.default_rng(1)
    base = rng.random(64).astype(np.float32)
    rows = np.stack([base + 1e-4 * rng.standard_normal(64).astype(np.float32) for _ in range(300)])
    memory = memory_from_arrays(tmp_path / "m", rows.T.reshape(1, 64, 20, 15), dtype="float32")
    stored = memory.vectors(np.arange(memory.n_slots))
    query = as_stored(base[None], "float32")
    found = open_searcher(memory).search(query, 10)
    ids, _ = nearest(query, stored, 10, np.ones((1, 300), bool))
    np.testing.assert_array_equal(found.ids, ids)


@pytest.mark.parametrize("spec", ["exact", *APPROXIMATE])
def test_every_searcher_keeps_the_contract(memory, spec):
    stored = memory.vectors(np.arange(memory.n_slots))
    queries = stored[:30]
    excluded = (np.arange(30) // memory.grid.n_cells)[:, None]
    found = open_searcher(memory, spec).search(queries, 10, exclude_images=excluded)
    here = found.ids >= 0
    assert here.all() or not queries[~here.all(axis=1)].any()
    assert (np.diff(found.distances[here.all(axis=1)], axis=1) >= 0).all()
    assert not (found.ids // memory.grid.n_cells == excluded)[here].any()
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in found.ids)
    recomputed = np.linalg.norm(queries[:, None].astype(float) - stored[found.ids].astype(float), axis=2)
    np.testing.assert_allclose(found.distances[here], recomputed[here], rtol=1e-12)


@pytest.mark.parametrize("spec", APPROXIMATE)
def test_settings_generous_enough_find_what_exact_search_finds(memory, spec):
    queries = memory.vectors(np.arange(90, 190))
    excluded = (np.arange(90, 190) // memory.grid.n_cells)[:, None]
    truth = open_searcher(memory).search(queries, 10, exclude_images=excluded)
    found = open_searcher(memory, spec).search(queries, 10, exclude_images=excluded)
    recall = (found.distances <= truth.distances[:, -1:]).mean()
    assert recall >= 0.95, f"recall {recall} below 0.95 with {spec}"


@pytest.mark.parametrize("spec", ["exact", *APPROXIMATE])
def test_a_duplicate_is_at_distance_exactly_zero(memory, spec):
    query = memory.vectors(np.array([10 * 9 + 4]))
    found = open_searcher(memory, spec).search(query, 2)
    # Image 11 is a copy of image 10: both at zero, the lower id first.
    assert found.ids[0].tolist() == [10 * 9 + 4, 11 * 9 + 4]
    assert found.distances[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("spec", ["exact", *APPROXIMATE])
def test_zero_vectors_are_never_found_and_find_nothing(memory, spec):
    zero = 3 * 9 + 4
    searcher = open_searcher(memory, spec)
    found = searcher.search(memory.vectors(np.arange(27, 36)), 30)
    assert zero not in found.ids
    assert (searcher.search(np.zeros((1, 16)), 3).ids == -1).all()


@pytest.mark.parametrize("spec", ["exact", *APPROXIMATE])
def test_more_neighbors_than_vectors_are_padded(memory, spec):
    n = int(memory.valid().sum())
    found = open_searcher(memory, spec).search(memory.vectors(np.array([0])), n + 5)
    assert (found.ids[0, -5:] == -1).all() and np.isinf(found.distances[0, -5:]).all()
    if spec in ("exact", "faiss:Flat"):
        assert len(set(found.ids[0, :n])) == n


def test_excluding_every_image_leaves_nothing(memory):
    everything = np.arange(memory.n_images)[None]
    for spec in ("exact", "faiss:Flat"):
        assert (
            open_searcher(memory, spec)
            .search(memory.vectors(np.array([0])), 3, exclude_images=everything)
            .ids
            == -1
        ).all()


def test_bad_queries_are_refused(memory):
    searcher = open_searcher(memory)
    with pytest.raises(ShapeError, match=r"\(2, 5\).*16"):
        searcher.search(np.zeros((2, 5)), 3)
    with pytest.raises(InputError, match="got 0"):
        searcher.search(np.zeros((1, 16)), 0)
    with pytest.raises(NumericsError, match="NaN"):
        searcher.search(np.full((1, 16), np.nan), 1)
    with pytest.raises(ShapeError, match="exclude_images"):
        searcher.search(np.zeros((2, 16)), 1, exclude_images=np.zeros((1, 1), int))


def test_torch_settings_do_not_reach_the_products_and_are_given_back(memory):
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        found = open_searcher(memory).search(memory.vectors(np.arange(9)), 10)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(
        found.ids, open_searcher(memory).search(memory.vectors(np.arange(9)), 10).ids
    )


def test_indexes_are_reproducible_and_carry_their_recall(tmp_path, small_memory):
    files = []
    for name in ("one", "two"):
        memory = small_memory(tmp_path / name, n=30, channels=8, grid=(3, 3), seed=5)
        for spec in ("annoy:trees=4", "faiss:HNSW16", "faiss:IVF4,Flat"):
            build_index(memory, spec)
        files.append(
            {
                p.relative_to(memory.path): p.read_bytes()
                for p in memory.path.rglob("indexes/*/*")
                if p.is_file()
            }
        )
    assert files[0] == files[1]
    headers = list_indexes(memory)
    assert set(headers) == {"annoy-trees=4", "faiss-HNSW16", "faiss-IVF4,Flat"}
    for header in headers.values():
        assert 0 <= header["recall_at_10"]["default"] <= 1
        assert not header["stale"]


def test_search_settings_change_the_recall_and_not_the_index(small_memory):
    memory = small_memory(n=60, channels=8, grid=(3, 3), seed=6)
    few = open_searcher(memory, "faiss:IVF8,Flat")
    many = open_searcher(memory, "faiss:IVF8,Flat;nprobe=8")
    assert len(list_indexes(memory)) == 1
    assert recall_of(few) < recall_of(many) == 1.0
    assert recall_of(many) == pytest.approx(measure_recall(memory, many))


def test_an_index_of_another_state_or_memory_is_refused(small_memory):
    one = small_memory(n=8, seed=1)
    two = small_memory(n=8, seed=2)
    build_index(one, "annoy:trees=2")
    (two.path / "indexes").mkdir()
    (one.path / "indexes/annoy-trees=2").rename(two.path / "indexes/annoy-trees=2")
    with pytest.raises(SearcherError, match="another memory"):
        open_searcher(two, "annoy:trees=2")
    assert list_indexes(open_memory(two.path))["annoy-trees=2"]["stale"]
    build_index(two, "annoy:trees=2")  # rebuilding mends it
    index = two.path / "indexes/annoy-trees=2/index.annoy"
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(SearcherError, match="bytes"):
        open_searcher(two, "annoy:trees=2")


def test_an_absent_index_is_an_error_where_it_may_not_be_built(small_memory):
    memory = small_memory()
    assert not StoredIndex(memory, "annoy").exists and not StoredIndex(memory, "annoy").is_current
    with pytest.raises(SearcherError, match="'exact' search has no index"):
        StoredIndex(memory, "exact")
    with pytest.raises(SearcherError, match="hueprobe index --searcher annoy"):
        open_searcher(memory, "annoy", build=False)


@pytest.mark.parametrize(
    "spec, said",
    [
        ("fais:Flat", "choose exact, annoy"),
        ("exact:1", "choose exact, annoy"),
        ("annoy:trees=0", "positive whole number"),
        ("annoy:leaves=3", "allowed: trees, search_k"),
        ("annoy:trees=99999999999999999999", "positive whole number"),
        ("faiss:", "choose exact, annoy"),
        ("faiss:;nprobe=3", "no valid FAISS factory"),
        ("faiss:Nonsense", "does not accept the factory string"),
        ("faiss:Flat;nprobe=3", "no setting 'nprobe'"),
        ("faiss:IVF4096,Flat", "fewer lists"),
    ],
)
def test_wrong_specs_say_what_is_allowed(small_memory, spec, said):
    memory = small_memory()
    with pytest.raises(SearcherError, match=said):
        open_searcher(memory, spec)
    assert not list(memory.path.glob("indexes/*.partial"))


def test_a_broken_annoy_is_noticed(monkeypatch):
    from annoy import AnnoyIndex

    from hueprobe.search import annoy

    class OneNeighbor(AnnoyIndex):
        def get_nns_by_vector(self, vector, n, search_k=-1):
            return super().get_nns_by_vector(vector, 1, search_k=search_k)

    annoy.require_working_annoy.cache_clear()
    monkeypatch.setattr(annoy, "AnnoyIndex", OneNeighbor)
    with pytest.raises(SearcherError, match="broken"):
        annoy.require_working_annoy()
    annoy.require_working_annoy.cache_clear()


def test_stored_vectors_are_what_design_says(memory):
    raw = memory.raw(np.arange(50))
    expected = np.stack([stored_vector(row, "float16") for row in raw])
    np.testing.assert_array_equal(memory.vectors(np.arange(50)), expected)
    # Row by row or together: the same bits.
    np.testing.assert_array_equal(
        np.concatenate([memory.vectors(np.array([i])) for i in range(50)]), expected
    )
    blocks = dict(memory.blocks(7))
    np.testing.assert_array_equal(np.concatenate([blocks[i] for i in sorted(blocks)])[:50], expected)


@pytest.mark.parametrize("spec", ["annoy:trees=5", "faiss:HNSW16"])
def test_results_do_not_depend_on_the_number_of_threads(memory, spec, monkeypatch):
    queries = memory.vectors(np.arange(200))
    excluded = (np.arange(200) // memory.grid.n_cells)[:, None]
    searcher, found = open_searcher(memory, spec), []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(searcher.search(queries, 10, exclude_images=excluded))
    np.testing.assert_array_equal(found[0].ids, found[1].ids)
    np.testing.assert_array_equal(found[0].distances, found[1].distances)


@pytest.mark.parametrize("asked, threads", [("3", 3), ("2,4", 2)])
def test_the_number_of_threads_is_what_openmp_was_told(asked, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert n_threads() == threads


@pytest.mark.parametrize("asked", ["", "0", "many"])
def test_without_a_usable_word_threads_are_the_cores(asked, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert 1 <= n_threads() <= os.cpu_count()


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize(
    "spec", ["annoy:trees=5", "faiss:HNSW16", "faiss:IVF8,Flat;nprobe=4", "faiss:IVF8,PQ4x4"]
)
def test_candidates_left_unread_could_not_have_been_among_the_nearest(tmp_path, monkeypatch, spec, levels):
    memory = memory_from_arrays(
        tmp_path / "m", activations(3, n=80, channels=8, grid=(3, 3), levels=levels), dtype="float32"
    )
    queries = memory.vectors(np.arange(0, memory.n_slots, 5))
    excluded = (np.arange(0, memory.n_slots, 5) // memory.grid.n_cells)[:, None]
    searcher = open_searcher(memory, spec)
    found = searcher.search(queries, 5, exclude_images=excluded)
    monkeypatch.setattr(approximate, "plausible", lambda candidates, *_: (candidates, None))
    everything = searcher.search(queries, 5, exclude_images=excluded)
    np.testing.assert_array_equal(found.ids, everything.ids)
    np.testing.assert_array_equal(found.distances, everything.distances)


def test_some_candidates_are_left_unread(memory, monkeypatch):
    kept = []
    plausible = approximate.plausible
    monkeypatch.setattr(approximate, "plausible", lambda *a: kept.append(plausible(*a)) or kept[-1])
    queries = memory.vectors(np.arange(18))
    open_searcher(memory, "faiss:Flat").search(queries, 5, exclude_images=np.repeat([0, 1], 9)[:, None])
    assert 5 <= kept[0][0].shape[1] < 5 + memory.grid.n_cells


def test_another_order_of_adding_has_another_hash(monkeypatch):
    own = reranking.arithmetic.__wrapped__()
    assert own == reranking.arithmetic()

    def backwards(vectors, rows, where):
        differences = (vectors[:, None].astype(float) - rows[where])[..., ::-1]
        return np.sqrt(np.cumsum(differences**2, axis=-1)[..., -1])

    monkeypatch.setattr(reranking, "exact_distances", backwards)
    assert reranking.arithmetic.__wrapped__() != own
