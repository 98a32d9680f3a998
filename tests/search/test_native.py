"""Native products: the sums of whole numbers, the highest of them, and what is used where there are none."""

import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from hueprobe import memory_from_arrays, open_searcher, threads
from hueprobe.cli import main
from hueprobe.errors import HueprobeWarning, InputError, SearcherError
from hueprobe.memory.vectors import renormalize
from hueprobe.search.exact import fixed_point, formats, native, quantized, self_check
from hueprobe.search.exact.fixed_point import FixedBlock, FixedCandidates
from hueprobe.search.exact.searcher import ExactSearcher
from tests.oracles import nearest

CPU = torch.device("cpu")
needs_native = pytest.mark.skipif(native.instructions() is None, reason="built without a C compiler")
LEVELS = range(len(native._native.levels())) if native._native else ()


def unit(rows):
    return (rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-30)).astype(np.float32)


def sparse_unit(rng, n, d, share):
    return unit(rng.standard_normal((n, d)) * (rng.random((n, d)) < share))


def exact_codes(vectors):
    return np.rint(vectors.astype(np.float64) * 32_767).astype(np.int64)


def lists_of(n, keep):
    return (
        np.full((n, keep), native.LOWEST, np.int32),
        np.full((n, keep), -1, np.int32),
        np.full(n, native.LOWEST, np.int32),
    )


@needs_native
@pytest.mark.parametrize("level", LEVELS)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 150),
    n_queries=st.integers(1, 64),
    d=st.sampled_from([1, 2, 7, 64, 129, 300]),
    share=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    keep=st.sampled_from([1, 3, 20, 200]),
    pieces=st.integers(1, 3),
    barred=st.booleans(),
    sparse=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_highest_products_are_those_of_whole_numbers(
    level, seed, n, n_queries, d, share, keep, pieces, barred, sparse
):
    rng = np.random.default_rng(seed)
    rows, queries = sparse_unit(rng, n, d, share), sparse_unit(rng, n_queries, d, max(share, 0.5))
    codes, residuals = native.round_to_codes(rows)
    asked, _ = native.round_to_codes(queries)
    np.testing.assert_array_equal(codes[:, :d], exact_codes(rows))
    off = np.linalg.norm(rows.astype(np.float64) - codes[:, :d] / 32_767, axis=1)
    assert (off <= residuals).all() and (residuals <= off * (1 + 1e-6) + 1e-9).all()
    pointers, values = native.coupled(codes) if sparse else (None, codes)
    allowed = rng.random((n_queries, n)) < 0.7 if barred else np.ones((n_queries, n), bool)
    query, place = np.nonzero(~allowed)
    bars = (np.searchsorted(query, np.arange(n_queries + 1)).astype(np.int64), place.astype(np.int32))
    found = lists_of(n_queries, keep)
    ends = np.sort(rng.integers(0, n + 1, pieces - 1)).tolist()
    for start, stop in zip([0, *ends], [*ends, n], strict=True):
        native.keep_highest(
            asked, pointers, values, bars, found, part=slice(start, stop), first=1_000, level=level
        )
    truth = np.where(allowed, asked.astype(np.int64) @ codes.astype(np.int64).T, native.LOWEST)
    truth = -np.sort(-np.pad(truth, ((0, 0), (0, keep + 1)), constant_values=native.LOWEST), axis=1)
    scores, names, left = found
    np.testing.assert_array_equal(-np.sort(-scores.astype(np.int64), axis=1), truth[:, :keep])
    np.testing.assert_array_equal(left, truth[:, keep])
    for i in range(n_queries):
        there = names[i][names[i] >= 0] - 1_000
        assert len(set(there)) == len(there) and allowed[i, there].all()
        np.testing.assert_array_equal(
            scores[i][names[i] >= 0], asked[i].astype(int) @ codes[there].T.astype(int)
        )


@needs_native
def test_arguments_that_do_not_fit_are_refused():
    codes, _ = native.round_to_codes(sparse_unit(np.random.default_rng(0), 9, 8, 0.5))
    pointers, couples = native.coupled(codes)
    bars = (np.zeros(10, np.int64), np.empty(0, np.int32))

    def search(
        queries=codes, pointers=pointers, rows=couples, bars=bars, part=slice(0, 9), found=None, **more
    ):
        native.keep_highest(
            queries, pointers, rows, bars, found or lists_of(9, 2), part=part, first=0, **more
        )

    search()
    for wrong in (
        {"rows": couples[:-1].copy()}, {"part": slice(0, 10)}, {"part": slice(-1, 3)}, {"level": 99},
        {"bars": (np.zeros(9, np.int64), bars[1])}, {"bars": (np.arange(10), bars[1])},
        {"found": lists_of(8, 2)}, {"pointers": None}, {"queries": np.tile(codes, (8, 1))},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="fit the other arguments"):
            search(**wrong)
    with pytest.raises(ValueError, match="contiguous"):
        search(queries=codes[:, ::2])
    assert native.are_coupled(pointers, couples, 8)
    assert not native.are_coupled(pointers, couples, int(couples[:, :2].max()))
    assert not native.are_coupled(pointers[::-1].copy(), couples, 8)


def edges(rng, name, n=80, d=130):
    rows = rng.random((n, d)) * (rng.random((n, d)) < 0.15)
    if name == "subnormal":
        rows = np.where(rng.random((n, d)) < 0.5, 6e-8 * rng.integers(1, 9, (n, d)), rows)  # of float16
    elif name == "all equal":
        rows[:] = rows[0]
    elif name == "empty":
        rows[::3] = 0
    elif name == "one full row":
        rows[7] = rng.random(d) + 0.1
    elif name == "single":
        rows = np.eye(d)[rng.integers(0, d, n)]
    return rows


EDGES = ["subnormal", "all equal", "empty", "one full row", "single"]


@needs_native
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("products", fixed_point.FIXED_FORMATS)
def test_edges_are_searched_exactly_at_every_level(level, products, tmp_path, monkeypatch):
    monkeypatch.setattr(fixed_point, "keep_highest", functools.partial(native.keep_highest, level=level))
    for name in EDGES:
        test_edges_are_searched_exactly_in_every_format(name, "float16", products, tmp_path)
    assert self_check._fixed_products_are_right(products)


@needs_native
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("d", [1, 16, 700])
def test_the_largest_sums_that_there_are_fit_at_every_level(level, sparse, d):
    """Equal and opposite vectors of few or many large codes, whose products sum to almost 2^30."""
    codes = np.zeros((90, d + d % 2), np.int16)
    codes[:, :d] = round(32_767 / d**0.5) * np.random.default_rng(0).choice([-1, 1], (90, d))
    codes[1::3], codes[2::3] = -codes[::3], codes[::3]
    pointers, rows = native.coupled(codes) if sparse else (None, codes)
    found = lists_of(64, 90)
    bars = (np.zeros(65, np.int64), np.empty(0, np.int32))
    asked = codes[:64].copy()
    native.keep_highest(asked, pointers, rows, bars, found, part=slice(0, 90), first=0, level=level)
    scores, names, left = found
    truth = np.take_along_axis(asked.astype(np.int64) @ codes.T.astype(np.int64), names.astype(int), axis=1)
    np.testing.assert_array_equal(scores, truth)
    assert scores.max() > 0.99 * 32_767**2 and scores.min() < -0.99 * 32_767**2
    assert (np.sort(names, axis=1) == np.arange(90)).all() and (left == native.LOWEST).all()


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("products", self_check.sound_formats(CPU))
def test_edges_are_searched_exactly_in_every_format(name, dtype, products, tmp_path):
    rng = np.random.default_rng(0)
    rows = edges(rng, name)
    memory = memory_from_arrays(
        tmp_path / "m", rows.reshape(20, 2, 2, -1).transpose(0, 3, 1, 2), dtype=dtype, overwrite=True
    )
    stored = memory.vectors(np.arange(80))
    queries = np.asfortranarray(stored[::2])[::-1]  # neither contiguous nor in order
    excluded = np.arange(0, 80, 2)[::-1, None] // 4
    excluded[::3] = -1
    found = ExactSearcher(memory, products=products).search(queries, 7, exclude_images=excluded)
    allowed = (np.arange(80) // 4 != excluded) & memory.valid()
    ids, distances = nearest(queries, stored, 7, allowed)
    asked = queries.any(axis=1)
    np.testing.assert_array_equal(found.ids[asked], ids[asked])
    np.testing.assert_allclose(found.distances[asked], distances[asked], rtol=1e-12, atol=1e-15)
    assert (found.ids[~asked] == -1).all()


@needs_native
@pytest.mark.parametrize("number_format", fixed_point.FIXED_FORMATS)
@pytest.mark.parametrize("n_queries", [1, 49, 63, 64, 65, 200])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_queries_in_any_number_and_by_any_number_of_threads(number_format, n_queries, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(fixed_point, "_DENSE_BYTES", 1 << 12)
    monkeypatch.setattr(fixed_point, "_READ", 50)
    rng = np.random.default_rng(n_queries)
    rows, queries = sparse_unit(rng, 300, 40, 0.3), sparse_unit(rng, n_queries, 40, 0.4)
    excluded = rng.integers(-1, 60, (n_queries, 1))
    candidates = FixedCandidates(queries, 12, excluded, 5)
    for ids in (np.arange(170), np.arange(170, 171), np.arange(171, 300)):
        candidates.take(FixedBlock.of(lambda chosen: rows[chosen], ids, number_format))
    products = np.where(
        np.arange(300) // 5 == excluded, native.LOWEST, exact_codes(queries) @ exact_codes(rows).T
    )
    scores, found, left = candidates.lists()
    ordered = -np.sort(-products, axis=1)
    np.testing.assert_array_equal(-np.sort(-scores.astype(np.int64), axis=1), ordered[:, :12])
    np.testing.assert_array_equal(np.take_along_axis(products, found, axis=1), scores)
    np.testing.assert_array_equal(left, ordered[:, 12])
    ids, bound = candidates.result(5)
    true = queries.astype(np.float64) @ rows.T.astype(np.float64)
    for i in range(n_queries):  # what was left out lies below the bound, and so do those that were sifted out
        outside = np.setdiff1d(np.flatnonzero(np.arange(300) // 5 != excluded[i]), found[i])
        assert (true[i, outside] <= bound[i] + candidates.residual[i]).all()
        best = [j for j in np.argsort(-true[i], kind="stable") if j // 5 != excluded[i, 0]][:5]
        assert set(best) <= set(ids[i].tolist())


@needs_native
@pytest.mark.parametrize("number_format", fixed_point.FIXED_FORMATS)
def test_sparse_rows_take_less_room(number_format):
    rng = np.random.default_rng(0)
    rows = sparse_unit(rng, 500, 200, 0.1)
    block = FixedBlock.of(lambda chosen: rows[chosen], np.arange(500), number_format)
    nonzero = int((exact_codes(rows) != 0).sum())
    size = 2 * rows.size if number_format == "int16" else 4 * nonzero
    assert size <= block.rows.nbytes <= size + 4 * 500
    kept = block.without(np.arange(0, 500, 3))
    assert kept.nbytes < block.nbytes and not np.isin(kept.ids, np.arange(0, 500, 3)).any()


@pytest.mark.parametrize("name", quantized.FORMATS)
def test_a_format_whose_products_are_wrong_is_dropped_by_name(name, monkeypatch):
    right = quantized.products

    def wrong(queries, rows, out, number_format):
        right(queries, rows, out, number_format)
        if number_format == name and len(queries) > 3:
            out[3, 5] += 2
        return out

    monkeypatch.setattr(quantized, "products", wrong)
    self_check.sound_formats.cache_clear()
    try:
        with pytest.warns(HueprobeWarning, match=f"{name} products are wrong on this machine's cpu"):
            sound = self_check.sound_formats(CPU)
        assert name not in sound and "float32" in (*sound, name)
        with pytest.raises(InputError, match=f"{name} products are not available"):
            formats.require_format(name, 8, CPU, nonnegative=True)
    finally:
        self_check.sound_formats.cache_clear()


@pytest.mark.parametrize("name", sorted({*quantized.FORMATS} & {*self_check.sound_formats(CPU)}))
def test_rows_in_any_layout_are_multiplied(name):
    """oneDNN has wrong 8-bit products of a single channel, and of rows that all lie at the same place."""
    rng = np.random.default_rng(0)
    vectors = torch.from_numpy(unit(rng.random((70, 40))))
    values = quantized.quantize(vectors, name).values
    by_column = values[:, ::2].T.contiguous().T
    for rows in (values, values[::3], by_column, values[:1].expand(33, 40), values[:1], values[:, :1]):
        asked = values[:, : rows.shape[1]].contiguous()
        out = torch.empty(70, len(rows), dtype=quantized.product_dtype(values))
        quantized.products(asked, rows, out, name)
        np.testing.assert_allclose(out.double(), asked.double() @ rows.double().T, rtol=2**-8, atol=1e-3)


def blas():
    return threads._blas().select(user_api="blas").info()


@pytest.fixture
def two_blas_threads():
    with threads._blas().limit(limits=2, user_api="blas"):
        yield


@pytest.mark.usefixtures("two_blas_threads")
@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n", [1, 3, 100])
def test_numpy_multiplies_in_any_number_of_threads_and_its_own_stay_as_they_were(n_threads, n, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    used = []
    rng = np.random.default_rng(0)
    queries, rows = rng.random((7, 20), np.float32), rng.random((n, 20), np.float32)
    multiply = np.matmul

    def noted(*arguments, **more):
        used.append({pool["num_threads"] for pool in blas()})
        return multiply(*arguments, **more)

    before = blas()
    monkeypatch.setattr(np, "matmul", noted)
    out = torch.empty(7, n)
    quantized.products(torch.from_numpy(queries), torch.from_numpy(rows), out, "float32-numpy")
    np.testing.assert_allclose(out, multiply(queries, rows.T), rtol=1e-6)
    assert len(used) == min(n_threads, n) and all(numbers <= {1} for numbers in used)
    assert blas() == before


@pytest.mark.usefixtures("two_blas_threads")
def test_products_by_numpy_at_the_same_time_leave_its_threads_as_they_were():
    before = blas()
    rows = torch.rand(300, 40)
    out = [torch.empty(300, 300) for _ in range(4)]

    def multiply(mine):
        for _ in range(20):
            quantized.products(rows, rows, mine, "float32-numpy")

    crew = [threading.Thread(target=multiply, args=(mine,)) for mine in out]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert blas() == before
    for mine in out:
        np.testing.assert_allclose(mine, rows @ rows.T, rtol=1e-5)


@needs_native
@pytest.mark.parametrize("broken", ["sum", "row", "left"])
def test_native_products_that_are_wrong_are_dropped(broken, monkeypatch):
    right = fixed_point.keep_highest

    def wrong(queries, pointers, rows, barred, found, **more):
        right(queries, pointers, rows, barred, found, **more)
        scores, names, left = found
        if broken == "sum":
            scores[-1, 0] += 1
        elif broken == "row":
            names[-1, :2] = names[-1, 1::-1]
        else:
            left[-1] -= 1

    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # no share of rows is empty
    monkeypatch.setattr(fixed_point, "keep_highest", wrong)
    self_check.sound_formats.cache_clear()
    try:
        with pytest.warns(HueprobeWarning, match="products are wrong") as told:
            sound = self_check.sound_formats(CPU)
        assert {str(warning.message).split()[0] for warning in told} == set(fixed_point.FIXED_FORMATS)
        assert not set(sound) & set(fixed_point.FIXED_FORMATS)
    finally:
        self_check.sound_formats.cache_clear()


def test_where_every_format_is_wrong_nothing_is_searched(monkeypatch):
    monkeypatch.setattr(self_check, "_products_are_right", lambda *_: False)
    monkeypatch.setattr(self_check, "_fixed_products_are_right", lambda *_: False)
    self_check.sound_formats.cache_clear()
    try:
        with pytest.warns(HueprobeWarning), pytest.raises(SearcherError, match="no products are right"):
            self_check.sound_formats(CPU)
    finally:
        self_check.sound_formats.cache_clear()


@pytest.mark.slow
def test_without_a_compiler_search_works_and_info_says_so(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    memory = memory_from_arrays(tmp_path / "m", rng.random((8, 6, 2, 2)) - 0.3, classes=list("abcdabcd"))
    queries = memory.vectors(np.arange(10))
    truth = open_searcher(memory).search(queries, 3)
    code = (
        "import sys; sys.modules['hueprobe.search.exact._native'] = None\n"
        "import numpy as np, hueprobe as hp\n"
        "memory = hp.open_memory(sys.argv[1]); searcher = hp.open_searcher(memory)\n"
        "found = searcher.search(memory.vectors(np.arange(10)), 3)\n"
        "np.save(sys.argv[2], np.stack([found.ids, found.distances])); print(searcher.format)\n"
    )
    run = [sys.executable, "-c", code, str(memory.path), str(tmp_path / "found.npy")]
    shown = subprocess.run(run, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() in quantized.FORMATS
    ids, distances = np.load(tmp_path / "found.npy")
    np.testing.assert_array_equal(ids, truth.ids)
    np.testing.assert_allclose(distances, truth.distances, rtol=1e-12, atol=1e-15)

    monkeypatch.setattr(native, "_native", None)
    assert native.native_distances(queries, queries, np.zeros((10, 1), int)) is None
    said = " ".join(CliRunner().invoke(main, ["info", str(memory.path)]).stdout.split())
    assert "no C compiler was found" in said
    told = CliRunner().invoke(main, ["-v", "evaluate", str(memory.path), "--leave-one-out"])
    quiet = CliRunner().invoke(main, ["evaluate", str(memory.path), "--leave-one-out"])
    assert "no C compiler was found" in told.stderr and "compiler" not in quiet.stderr


@needs_native
@pytest.mark.slow
def test_an_interrupt_is_answered_between_blocks():
    rng = np.random.default_rng(0)
    rows = unit(rng.random((4_096, 512)))
    block = FixedBlock.of(lambda chosen: rows[chosen], np.arange(4_096), "int16")
    candidates = FixedCandidates(rows, 20, np.full((len(rows), 0), -1), 1)
    started = time.perf_counter()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(map(candidates.take, itertools.repeat(block)))
    timer.join()
    assert time.perf_counter() - started < 10
    assert not [thread for thread in threading.enumerate() if "hueprobe-products" in thread.name]


@needs_native
def test_distances_are_those_of_float64():
    rng = np.random.default_rng(0)
    vectors, rows = rng.random((5, 37), np.float32), rng.random((9, 37), np.float32)
    where = rng.integers(0, 9, (5, 4))
    rows[where[2, 1]] = vectors[2]
    found = native.native_distances(vectors, rows, where)
    truth = np.linalg.norm(vectors.astype(np.float64)[:, None] - rows.astype(np.float64)[where], axis=2)
    np.testing.assert_allclose(found, truth, rtol=1e-14)
    assert found[2, 1] == 0
    with pytest.raises(ValueError, match="places"):
        native.native_distances(vectors, rows, where + 9)


@needs_native
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rows_are_normalized_to_the_bits_that_numpy_gives(dtype):
    rng = np.random.default_rng(0)
    for d in [*range(1, 40), 127, 128, 129, 200, 1_280, 2_053]:
        rows = (rng.standard_normal((6, d)) * rng.random((6, 1)) ** 8).astype(dtype)
        rows[rng.random((6, d)) < 0.5] = 0
        rows[1] = 0
        np.testing.assert_array_equal(native.normalized(rows), renormalize(rows), strict=True)
    assert native.normalized(np.empty((0, 5), dtype)).shape == (0, 5)


@needs_native
def test_every_half_is_widened_exactly():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    for width in (1, 31):  # singly, and in groups of eight with a rest
        rows = np.resize(halves, (-(-len(halves) // width), width))
        np.testing.assert_array_equal(native.normalized(rows), renormalize(rows), strict=True)


@needs_native
def test_numpy_normalizes_where_native_code_gives_other_bits(monkeypatch):
    class Wrong:
        @staticmethod
        def normalize(rows, vectors, channels):
            vectors[:] = 1

    native._normalizes_like_numpy.cache_clear()
    monkeypatch.setattr(native, "_native", Wrong)
    rows = np.array([[3, 4]], np.float16)
    np.testing.assert_array_equal(native.normalized(rows), renormalize(rows))
    native._normalizes_like_numpy.cache_clear()


@needs_native
def test_rows_that_do_not_fit_are_not_normalized():
    with pytest.raises(ValueError, match="rows and vectors"):
        native._native.normalize(np.empty((2, 3), np.float16), np.empty((3, 3), np.float32), 3)


@needs_native
def test_a_variable_limits_the_instructions(monkeypatch):
    monkeypatch.setenv(native.LIMIT, "plain")
    used = []

    class Watched:
        levels = staticmethod(native._native.levels)

        @staticmethod
        def highest_products(*arguments):
            used.append(arguments[-1])

    assert native.instructions() == "plain"
    assert "native (plain)" in native.native_text()
    monkeypatch.setattr(native, "_native", Watched)
    codes, empty = np.zeros((1, 2), np.int16), np.zeros((1, 1), np.int32)
    barred = (np.zeros(2, np.int64), np.zeros(0, np.int32))
    native.keep_highest(
        codes, None, codes, barred, (empty, empty, np.zeros(1, np.int32)), part=slice(0, 1), first=0
    )
    assert used == [0]
    monkeypatch.setenv(native.LIMIT, "mmx")
    with pytest.raises(InputError, match="unknown instruction set in HUEPROBE_INSTRUCTIONS 'mmx'"):
        native.instructions()


def test_the_blas_of_scipy_is_limited_even_if_it_was_loaded_later():
    """scikit-learn multiplies with it; a process that had searched before knew only NumPy's."""
    code = (
        "from hueprobe.threads import single_blas_threads\n"
        "with single_blas_threads(): pass\n"
        "import scipy.linalg\n"
        "from threadpoolctl import threadpool_info\n"
        "with single_blas_threads():\n"
        "    print({one['num_threads'] for one in threadpool_info() if one['user_api'] == 'blas'})\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("{1}", "set()")
