"""Equal vectors: exact search says of them what brute force says, without the work of each."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hueprobe import memory_from_arrays, open_searcher
from hueprobe.search import reranking
from hueprobe.search.exact import blocks, equal_vectors, grouped, self_check
from hueprobe.search.exact import searcher as exact
from hueprobe.search.exact.equal_vectors import EqualVectors
from hueprobe.search.exact.searcher import ExactSearcher
from tests.oracles import nearest

FORMATS = self_check.sound_formats(torch.device("cpu"))
GRID = (3, 3)


def memory_of(path, rows, *, dtype="float16"):
    """A memory of given activations (n_images * 9, channels), nine an image."""
    n = len(rows) // 9
    return memory_from_arrays(
        path, rows.reshape(n, *GRID, -1).transpose(0, 3, 1, 2), dtype=dtype, overwrite=True
    )


def crowded(seed, *, n=8, share=0.5, n_groups=1, spread=0.0, channels=24):
    """Rows of images of nine cells, a share of which belong to a few groups of (nearly) equal ones."""
    rng = np.random.default_rng(seed)
    rows = rng.random((n * 9, channels)).astype(np.float32)
    members = rng.permutation(len(rows))[: round(share * len(rows))]
    models = rng.random((n_groups, channels)).astype(np.float32)
    rows[members] = models[rng.integers(0, n_groups, len(members))]
    rows[members] *= 1 + spread * rng.standard_normal((len(members), channels)).astype(np.float32)
    rows[rng.integers(0, len(rows), 2)] = 0
    return rows


def require_as_brute_force(searcher, queries, k, excluded, images=None):
    memory = searcher.memory
    stored = memory.vectors(np.arange(memory.n_slots))
    image = np.arange(memory.n_slots) // memory.grid.n_cells
    allowed = ~(image[None, :, None] == excluded[:, None, :]).any(axis=2)
    if images is not None:
        allowed &= np.isin(image, images)
    ids, distances = nearest(queries, stored, k, allowed)
    found = searcher.search(queries, k, exclude_images=excluded)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=1e-15)


@pytest.mark.slow
@given(
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.3, 0.5, 0.9, 1.0]),
    n_groups=st.sampled_from([1, 2, 5, 30]),
    spread=st.sampled_from([0.0, 0.0, 2e-4]),
    k=st.sampled_from([1, 3, 10, 40, 80]),
    n_barred=st.integers(0, 6),
    block=st.sampled_from([7, 40, 1_000]),
    group=st.sampled_from([1, 32]),
    products=st.sampled_from(FORMATS),
    dtype=st.sampled_from(["float16", "float32"]),
    some=st.booleans(),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_search_among_equal_vectors_equals_brute_force(
    seed, share, n_groups, spread, k, n_barred, block, group, products, dtype, some, tmp_path, monkeypatch
):
    monkeypatch.setattr(blocks, "BLOCK", block)
    monkeypatch.setattr(grouped, "GROUP", group)
    monkeypatch.setattr(exact, "_EXTRA", dict.fromkeys(FORMATS, seed % 3))
    monkeypatch.setattr(equal_vectors, "_READ", 10)
    monkeypatch.setattr(equal_vectors, "_PLACES", 300)
    rows = crowded(seed, share=share, n_groups=n_groups, spread=spread)
    memory = memory_of(tmp_path / "m", rows, dtype=dtype)
    rng = np.random.default_rng(seed)
    images = np.sort(rng.permutation(8)[:5]) if some else None
    searcher = ExactSearcher(memory, products=products, images=images)
    for n_queries in (5, 15):  # the second search finds the groups made
        asked = rng.integers(0, memory.n_slots, n_queries)
        excluded = rng.integers(-1, 8, (n_queries, n_barred))  # also the same image twice
        require_as_brute_force(searcher, memory.vectors(asked), k, excluded, images)


def test_of_each_group_the_lowest_members_that_may_be_matched_are_taken(tmp_path):
    """Image 0 to 3 all blank, 4 half blank, and every subset of them barred."""
    rows = np.random.default_rng(0).random((7 * 9, 8)).astype(np.float32)
    rows[: 4 * 9 + 5] = rows[0]
    memory = memory_of(tmp_path / "m", rows)
    searcher = ExactSearcher(memory)
    barred = np.array([[i if bits >> i & 1 else -1 for i in range(7)] for bits in range(128)])
    query = np.repeat(memory.vectors(np.array([40])), 128, axis=0)
    require_as_brute_force(searcher, query, 12, barred)
    found = searcher.search(query[:1], 3, exclude_images=np.array([[0, 2]]))
    assert found.ids.tolist() == [[9, 10, 11]] and found.distances.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("products", ["int8", "half"])
def test_groups_stand_in_a_file_of_codes_too(tmp_path, products, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 50)
    monkeypatch.setattr(exact, "fastest_format", lambda *_, **_more: products)
    memory = memory_of(tmp_path / "m", crowded(3, n=30, n_groups=2))
    searcher = open_searcher(memory, memory_budget=0, device="cpu")
    file = searcher.quantized.file
    rng = np.random.default_rng(0)
    for _ in range(2):
        asked = rng.integers(0, memory.n_slots, 40)
        require_as_brute_force(searcher, memory.vectors(asked), 10, (asked // 9)[:, None])
    assert searcher._equal is not None and searcher.quantized.file == file


def work_of(memory, monkeypatch, *, products, n_batches=1):
    """Search for all of a memory's vectors; return exact distances and (query, pass) pairs, a query."""
    stored = memory.vectors(np.arange(memory.n_slots))
    own = (np.arange(memory.n_slots) // 9)[:, None]
    n_distances, n_passed = [], []
    distances, passed = reranking.exact_distances, ExactSearcher._pass

    def counted(vectors, rows, where):
        n_distances.append(where.size)
        return distances(vectors, rows, where)

    def noted(self, queries, *rest):
        n_passed.append(len(queries))
        return passed(self, queries, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(reranking, "exact_distances", counted)
        patch.setattr(ExactSearcher, "_pass", noted)
        searcher = ExactSearcher(memory, products=products)
        for part in np.array_split(np.arange(len(stored)), n_batches):
            searcher.search(stored[part], 10, exclude_images=own[part])
    return sum(n_distances) / len(stored), sum(n_passed) / len(stored)


@pytest.mark.parametrize("products", FORMATS)
@pytest.mark.parametrize("share, n_groups", [(0.5, 1), (0.5, 4), (1.0, 1), (0.9, 12)])
def test_equal_vectors_cost_one_distance_a_group(tmp_path, monkeypatch, products, share, n_groups):
    apart = memory_of(tmp_path / "a", crowded(1, n=60, share=0.0, channels=64))
    together = memory_of(tmp_path / "b", crowded(1, n=60, share=share, n_groups=n_groups, channels=64))
    few, once = work_of(apart, monkeypatch, products=products)
    n_distances, n_passed = work_of(together, monkeypatch, products=products)
    width = 10 + exact._EXTRA[products]
    assert n_distances <= few + 1.5 * width  # not the hundreds of a group
    assert n_passed <= once + 1  # members are looked for twice
    _, n_passed = work_of(together, monkeypatch, products=products, n_batches=6)
    assert n_passed <= once + 1 / 6 + 0.05  # and only until the groups are known


def test_groups_are_made_only_where_a_query_needs_them(tmp_path, monkeypatch):
    made = []
    of = EqualVectors.of
    monkeypatch.setattr(EqualVectors, "of", lambda *given: made.append(1) or of(*given))
    work_of(memory_of(tmp_path / "a", crowded(2, n=40, share=0.0)), monkeypatch, products="half")
    assert not made
    near = crowded(2, n=60, share=0.9, spread=1e-3)  # no two equal, yet not to be told apart
    searcher = ExactSearcher(memory_of(tmp_path / "b", near, dtype="float32"), products="half")
    searcher.search(searcher.memory.vectors(np.arange(90)), 10)
    assert searcher.certified < 1 and not made
    work_of(memory_of(tmp_path / "c", crowded(2, n=60)), monkeypatch, products="half", n_batches=5)
    assert made == [1]


def test_groups_are_those_of_equal_vectors(tmp_path, monkeypatch):
    rows = np.repeat(np.eye(6, dtype=np.float32), 3, axis=0) + 1
    rows[4] *= 2  # of another length: the same direction
    rows[5] = -rows[5]
    rows[8], rows[17] = 0, rows[0]
    rows = np.concatenate([rows, [[0.0, 1, 0, 0, 0, 0], [-0.0, 1, 0, -0.0, 0, 0]] * 4, [[3, 1, 4, 1, 5, 9]]])
    memory = memory_of(tmp_path / "m", rows.astype(np.float32), dtype="float32")
    ids = np.flatnonzero(memory.valid())
    stored = memory.vectors(np.arange(memory.n_slots))
    expected = {}
    for i in ids.tolist():
        expected.setdefault(tuple((stored[i] + 0.0).tolist()), []).append(i)
    expected = [group for group in expected.values() if len(group) > 1]

    def found():
        equal = EqualVectors.of(memory, ids)
        groups = [group.tolist() for group in np.split(equal.members, equal.starts[1:-1])]
        assert equal.n_distinct == len(ids) - sum(len(group) - 1 for group in groups)
        return groups

    assert found() == expected and [0, 1, 2, 17] in expected
    assert list(range(18, 26)) in expected
    # Where all hashes collide, only those that equal the first are found, and none that does not.
    monkeypatch.setattr(equal_vectors, "hashes_of", lambda vectors: np.zeros(len(vectors), np.uint64))
    assert found() == [[0, 1, 2, 17]]
