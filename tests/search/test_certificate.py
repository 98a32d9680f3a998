"""The bound of exact search: tried to break by vectors that rounding treats as badly as it can."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hueprobe import memory_from_arrays, open_memory, open_searcher
from hueprobe.errors import HueprobeWarning, InputError, SearcherError
from hueprobe.search.exact import blocks, double, formats, grouped, quantized, self_check
from hueprobe.search.exact import searcher as exact
from hueprobe.search.exact.searcher import ExactSearcher
from hueprobe.search.index import list_indexes
from tests.oracles import nearest

ROUNDED = ("uint8", "int8", "half")
CPU = torch.device("cpu")
FORMATS = self_check.sound_formats(CPU)
FIXED = [name for name in FORMATS if name in formats.FIXED_FORMATS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("memories")


def memory_of(path, rows):
    """A float32 memory of given vectors (n, d), one a cell."""
    return memory_from_arrays(path, rows.T[None, :, :, None], dtype="float32", overwrite=True)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def colliding(seed, *, n=300, d=48, spread=1e-3, signed=False):
    """Vectors that differ by less than rounding shows, and a query among them."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal(d) if signed else rng.random(d) * (rng.random(d) < 0.4) + 1e-3
    return unit(base + spread * rng.standard_normal((n, d))), unit(base[None])


def fitting(rows, number_format):
    """The vectors; without their signs for a format that has none."""
    return np.abs(rows) if number_format == "uint8" else rows


@pytest.mark.slow
@given(
    seed=st.integers(0, 10_000),
    number_format=st.sampled_from(FORMATS),
    spread=st.sampled_from([1e-6, 1e-4, 1e-3, 1e-2, 0.3]),
    signed=st.booleans(),
    k=st.sampled_from([1, 10, 299, 300]),
    extra=st.sampled_from([0, 1, 20]),
    against=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_what_is_certified_is_never_wrong(folder, seed, number_format, spread, signed, k, extra, against):
    rows, query = colliding(seed, spread=spread, signed=signed)
    if against:  # every product is negative, and scales differ
        rows[:, 0] -= np.random.default_rng(seed).random(len(rows)) * np.sign(query[0, 0])
        rows, query = unit(rows), -query
    rows = fitting(rows, number_format)
    memory = memory_of(folder / "a", rows)
    stored = memory.vectors(np.arange(300))
    searcher = ExactSearcher(memory, products=number_format)
    width = min(k + extra, 300)
    found, settled, _ = searcher._pass(query, k, width, np.empty((1, 0), np.int64), number_format)
    ids, distances = nearest(query, stored, k, np.ones((1, 300), bool))
    if settled[0]:
        np.testing.assert_array_equal(found.ids, ids)
    result = searcher.search(query, k)
    np.testing.assert_array_equal(result.ids, ids)
    np.testing.assert_allclose(result.distances, distances, rtol=1e-12, atol=1e-15)


@given(
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([0.0, 1e-8, 1e-7, 1e-6, 1e-4]),
    signed=st.booleans(),
    k=st.sampled_from([1, 10, 299]),
    extra=st.sampled_from([0, 6]),
    barred=st.booleans(),
    rows_at_a_time=st.sampled_from([7, 100, 1_000]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_float64_products_tell_neighbors_apart_and_are_never_wrong(
    folder, seed, spread, signed, k, extra, barred, rows_at_a_time, monkeypatch
):
    monkeypatch.setattr(double, "_ROWS", rows_at_a_time)
    monkeypatch.setattr(double, "_QUERIES", 2)
    rows, query = colliding(seed, spread=spread, signed=signed)
    memory = memory_from_arrays(
        folder / "f64",
        rows.reshape(30, 10, 48).transpose(0, 2, 1)[..., None],
        dtype="float32",
        overwrite=True,
    )
    stored = memory.vectors(np.arange(300))
    queries = np.concatenate([query, stored[:2], -query])
    excluded = np.full((4, 1), 3 if barred else -1)
    searcher = ExactSearcher(memory, products="float32")
    found, settled, _ = searcher._pass(queries, k, min(k + extra, 300), excluded, "float64")
    ids, distances = nearest(queries, stored, k, np.arange(300) // 10 != excluded)
    np.testing.assert_array_equal(found.ids[settled], ids[settled])
    np.testing.assert_allclose(found.distances[settled], distances[settled], rtol=1e-12, atol=1e-15)
    if spread >= 1e-4 and extra:
        assert settled.all()


def hidden_by_the_vectors(number_format, rng):
    """Query and vectors: the first is nearest, and rounding takes from it what it gives to the others."""
    d = 64
    steps = {"uint8": 255, "int8": 127, "half": 256}[number_format]  # bfloat16 has 8 bits from 128 to 256
    low = rng.integers(130, 180, d) if number_format == "half" else rng.integers(20, 60, d)
    up = np.stack([rng.permutation(d) < 0.6 * d for _ in range(40)])  # where the others show one more
    rows = np.concatenate([[low + 0.49], low + up - 0.49])
    rows[:, 0] = steps
    return unit(np.ones((1, d))), unit(rows)


def hidden_by_the_query(number_format, rng):
    """The same by the 8-bit rounding of the query: what it hides lies where the nearest vector is large."""
    d, steps = 65, {"uint8": 255, "int8": 127}[number_format]
    first = np.arange(d) < d // 2
    query = np.where(first, 40.49, 39.51)
    rows = np.array([np.where(first, 90.0, 30.0), *np.tile(np.where(first, 30.0, 90.0), (40, 1))])
    rows[np.arange(1, 41), rng.integers(0, d // 2, 40)] += 1
    query[-1] = rows[:, -1] = steps
    return unit(query[None]), unit(rows)


@pytest.mark.parametrize(
    ("number_format", "hide"),
    [
        *((name, hidden_by_the_vectors) for name in ROUNDED),
        *((name, hidden_by_the_query) for name in ("uint8", "int8")),
    ],
)
@pytest.mark.parametrize("group", [1, 32])
def test_a_neighbor_that_rounding_hides_is_found(folder, number_format, hide, group, monkeypatch):
    monkeypatch.setattr(exact, "_EXTRA", dict.fromkeys(FORMATS, 0))
    monkeypatch.setattr(grouped, "GROUP", group)
    fooled = 0
    for seed in range(10):
        query, rows = hide(number_format, np.random.default_rng(seed))
        memory = memory_of(folder / "b", rows)
        stored = memory.vectors(np.arange(len(rows)))
        codes, queried = (
            quantized.quantize(torch.from_numpy(part), number_format) for part in (stored, query)
        )
        whole = [part.values.float() + part.offset for part in (codes, queried)]
        shown = (whole[0] @ whole[1][0] * codes.scale).numpy()
        truth = int(np.argmax(stored.astype(float) @ query[0].astype(float)))
        fooled += int(np.argmax(shown) != truth)  # ranked by rounded products alone, another one wins
        assert ExactSearcher(memory, products=number_format).search(query, 1).ids[0, 0] == truth
    assert fooled >= 5, "the construction fooled nobody: is this test awake?"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_no_sum_that_is_rounded_to_a_product_exceeds_its_highest(dtype):
    patterns = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    raw = patterns[patterns.isfinite() & (patterns.abs() < 2)]
    bound = quantized.highest(raw).double()
    beyond = torch.nextafter(bound.float(), torch.tensor(torch.inf))  # the next float32 rounds higher
    again = beyond.to(dtype)
    tie = bound.float().to(dtype)  # half-way: to even, so up or down
    assert (again.double() > raw.double()).all()
    assert ((tie == raw) | (tie.double() > raw.double())).all()
    assert (bound - raw.double() <= 2.0**-8 + raw.double().abs() * 2.0**-7).all()


@given(st.integers(0, 10_000), st.sampled_from(ROUNDED), st.sampled_from([3, 100, 1280]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_residuals_and_sums_hold(seed, number_format, d, sparse):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((20, d)) * (rng.random((20, d)) < (0.1 if sparse else 1.0))
    rows[:, 0] += 0.1
    vectors = fitting(unit(rows), number_format)
    codes = quantized.quantize(torch.from_numpy(vectors), number_format)
    assert codes.offset == (128 if number_format == "uint8" else 0)
    decoded = (codes.values.double().numpy() + codes.offset) * codes.scale.double().numpy()[:, None]
    error = np.linalg.norm(vectors.astype(float) - decoded, axis=1)
    assert (error <= codes.residual.numpy()).all() and (codes.residual.numpy() < error * 1.01 + 1e-6).all()
    raw = torch.empty(20, 20, dtype=quantized.product_dtype(codes.values))
    quantized.products(codes.values, codes.values, raw, number_format)
    if codes.offset:
        raw += 128 * quantized.sums_of_rows(codes.values) + quantized.constant_of_queries(codes)[:, None]
    highest = quantized.highest(raw).numpy() * codes.scale.numpy()[:, None] * codes.scale.numpy()
    assert (decoded @ decoded.T <= highest + quantized.sum_error(number_format, d, CPU) * 1.02 + 1e-6).all()


def test_formats_that_cannot_be_had_are_refused(folder):
    memory = memory_of(folder / "c", unit(np.random.default_rng(0).random((5, 4))))
    every = "sparse, int16, uint8, int8, half, float32, float32-numpy"
    with pytest.raises(InputError, match=f"'fp4'; choose from: {every}$"):
        ExactSearcher(memory, products="fp4")
    for name in ("int8", "uint8", "int16"):
        with pytest.raises(InputError, match=r"at most 32768 channels, got 40000"):
            formats.require_format(name, 40_000, CPU, nonnegative=True)
    signed = memory_of(folder / "c2", unit(np.random.default_rng(0).random((5, 4)) - 0.5))
    with pytest.raises(InputError, match="uint8 products are for vectors without negative values"):
        ExactSearcher(signed, products="uint8")


def test_the_fastest_format_is_the_one_that_was_measured_fastest(monkeypatch):
    sample = unit(np.eye(30, 40) + 1e-3)
    sparse = unit(np.eye(30, 40))
    for times, vectors, fastest in (
        ({"int8": 1.0, "half": 2.0, "float32": 3.0}, sample, "int8"),
        ({"half": 2.0, "float32": 3.0}, sample, "half"),
        ({"int8": 0.9, "half": 1.0, "float32": 1.0}, sample, "float32"),  # too little gained
        ({"sparse": 0.9, "int16": 1.0, "float32": 1.1}, sparse, "sparse"),
        ({"sparse": 0.1, "int16": 1.0, "float32": 1.1}, sample, "int16"),  # they are not sparse
        ({"uint8": 1.0, "int8": 0.9, "float32": 1.6}, sample, "uint8"),
        ({"uint8": 0.1, "int8": 0.9, "float32": 1.6}, -sample, "int8"),
        ({"uint8": 0.9, "sparse": 1.0, "float32": 1.6}, sparse, "sparse"),
        ({"float32": 2.0, "float32-numpy": 1.9}, sample, "float32-numpy"),
    ):
        nonnegative = vectors.min() >= 0
        monkeypatch.setattr(formats, "_fastest", {})
        monkeypatch.setattr(formats, "sound_formats", lambda _, times=times: tuple(times))
        monkeypatch.setattr(
            formats, "pass_seconds", lambda _, names, *_trial, t=times: {name: t[name] for name in names}
        )
        assert formats.fastest_format(CPU, vectors, nonnegative=nonnegative) == fastest
        monkeypatch.setattr(formats, "pass_seconds", None)  # measured once
        assert formats.fastest_format(CPU, vectors, nonnegative=nonnegative) == fastest


@pytest.mark.parametrize(("n", "fastest"), [(2_048, "float32"), (2_047, "int16")])
def test_formats_that_are_close_are_measured_again_with_more_vectors(n, fastest, monkeypatch):
    """The caches hold a small trial: what wins there may lose among more vectors, if there are more."""
    trials = {
        formats._TRIAL: {"int16": 1.0, "float32": 2.4, "half": 2.6},
        formats._LARGE_TRIAL: {"int16": 9.0, "float32": 8.0},
    }
    measured = []

    def pass_seconds(sample, names, trial=formats._TRIAL):
        measured.append((trial, tuple(names)))
        return {name: trials[trial][name] for name in names}

    monkeypatch.setattr(formats, "_fastest", {})
    monkeypatch.setattr(formats, "sound_formats", lambda _: ("int16", "half", "float32"))
    monkeypatch.setattr(formats, "pass_seconds", pass_seconds)
    sample = np.full((n, 4), 0.5, np.float32)
    assert formats.fastest_format(CPU, sample, nonnegative=True) == fastest
    again = [(formats._LARGE_TRIAL, ("int16", "float32"))] if fastest == "float32" else []
    assert measured == [(formats._TRIAL, ("int16", "half", "float32")), *again]


def test_every_format_is_timed_with_the_vectors_that_it_is_for():
    seconds = formats.pass_seconds(unit(np.random.default_rng(0).random((50, 33))), list(FORMATS))
    assert set(seconds) == set(FORMATS) and all(0 < value < 60 for value in seconds.values())


@pytest.mark.parametrize("number_format", [*ROUNDED, *FIXED])
def test_a_memory_over_the_budget_is_read_from_a_file_of_codes(folder, number_format, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 100)
    monkeypatch.setattr(exact, "fastest_format", lambda *_, **_more: number_format)
    rows, query = colliding(5, n=330)
    rows = fitting(rows, number_format)
    shutil.rmtree(folder / "d", ignore_errors=True)
    memory = memory_of(folder / "d", rows)
    kept = open_searcher(memory).search(query, 7)
    assert not list_indexes(memory)
    searcher = open_searcher(memory, memory_budget=0, device="cpu")
    assert searcher.quantized.file.is_file() and not searcher.quantized.fits
    assert [name.partition(",")[0] for name in list_indexes(memory)] == [f"exact-{number_format}"]
    nonzero = int((np.rint(memory.vectors(np.arange(330)) * 32_767) != 0).sum())
    size = {
        "uint8": (3 * 128 + 32) * (48 + 16),
        "int8": (3 * 128 + 32) * (48 + 16),
        "half": (3 * 128 + 32) * (2 * 48 + 16),
        "int16": 4 * 16 + 330 * (2 * 48 + 8),
        "sparse": 4 * 16 + 330 * (8 + 8) + 4 * 8 + 4 * nonzero,
    }[number_format]
    written = searcher.quantized.file.stat().st_size
    assert size <= written <= size + (330 * 4 if number_format == "sparse" else 0)  # of a couple one is empty
    make, made = blocks.QuantizedVectors._make, []

    def counted(self, number):
        made.append(self._format)
        return make(self, number)

    monkeypatch.setattr(blocks.QuantizedVectors, "_make", counted)
    again = open_searcher(open_memory(memory.path), memory_budget=0, device="cpu")
    for _ in range(2):
        found = again.search(query, 7)
        np.testing.assert_array_equal(found.ids, kept.ids)
        np.testing.assert_array_equal(found.distances, kept.distances)
    assert number_format not in made, "vectors were rounded again"


def test_codes_of_another_state_are_made_anew_and_damaged_ones_named(folder, monkeypatch):
    monkeypatch.setattr(exact, "fastest_format", lambda *_, **_more: "int8")
    rows, query = colliding(6)
    shutil.rmtree(folder / "e", ignore_errors=True)
    file = open_searcher(memory_of(folder / "e", rows), memory_budget=0, device="cpu").quantized.file
    memory = memory_of(folder / "e2", rows[::-1].copy())
    shutil.copytree(file.parent, memory.path / "indexes" / file.parent.name)
    found = open_searcher(memory, memory_budget=0, device="cpu").search(query, 3)
    np.testing.assert_array_equal(found.ids, open_searcher(memory).search(query, 3).ids)
    codes = memory.path / "indexes" / file.parent.name / file.name
    searcher = open_searcher(memory, memory_budget=0, device="cpu")
    codes.write_bytes(codes.read_bytes()[:-9])
    with pytest.raises(SearcherError, match="ends too early"):
        searcher.search(query, 3)
    np.testing.assert_array_equal(
        open_searcher(memory, memory_budget=0, device="cpu").search(query, 3).ids, found.ids
    )
    assert codes.stat().st_size == file.stat().st_size


def test_without_a_file_the_search_is_slower_and_right(folder, monkeypatch):
    monkeypatch.setattr(exact, "fastest_format", lambda *_, **_more: "int8")
    rows, query = colliding(7)
    memory = memory_of(folder / "f", rows)
    truth = open_searcher(memory).search(query, 5)

    def full(self, path, *, progress=False):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blocks.QuantizedVectors, "write", full)
    with pytest.warns(HueprobeWarning, match=r"no file of quantized vectors.*No space left"):
        searcher = open_searcher(memory, memory_budget=0, device="cpu")
    assert searcher.quantized.file is None and not list_indexes(memory)
    np.testing.assert_array_equal(searcher.search(query, 5).ids, truth.ids)
    assert not open_searcher(memory, memory_budget=0, device="cpu", build=False).quantized.file


def test_certified_says_how_many_the_first_pass_settled(folder):
    rows, query = colliding(8, spread=0.3)
    searcher = ExactSearcher(memory_of(folder / "g", rows), products="int8")
    assert np.isnan(searcher.certified)
    searcher.search(query, 3)
    assert searcher.certified == 1
    equal = np.repeat(unit(np.ones((1, 8))), 200, axis=0)
    ties = ExactSearcher(memory_of(folder / "h", equal), products="int8")
    assert ties.search(equal[:1], 3).ids.tolist() == [[0, 1, 2]]
    assert ties.certified == 0  # all as near as the third: only looking at all of them settles it
    both = ExactSearcher(
        memory_of(folder / "i", np.concatenate([equal, np.eye(8, dtype=np.float32)])), products="int8"
    )
    both.search(equal[:1], 3)
    both.search(np.concatenate([np.eye(8, dtype=np.float32)[:2], np.zeros((1, 8), np.float32)]), 1)
    assert (both.n_queries, both.n_certified) == (3, 2) and both.certified == pytest.approx(2 / 3)


@pytest.mark.parametrize("number_format", [*ROUNDED, *FIXED])
@pytest.mark.parametrize("ranked", [exact._RERANKED, 0])
def test_a_few_queries_in_a_crowd_do_not_cost_a_scan_in_float64(folder, number_format, ranked, monkeypatch):
    """Hundreds within rounding of each other, as cells of blank background are: more candidates settle it."""
    monkeypatch.setattr(exact, "_RERANKED", ranked)
    rng = np.random.default_rng(0)
    base = rng.random(64)
    rows = unit(np.concatenate([rng.random((3_000, 64)), base + 1e-4 * rng.standard_normal((300, 64))]))
    memory = memory_of(folder / "crowd", rows)
    stored = memory.vectors(np.arange(len(rows)))
    queries = np.concatenate([stored[:20], stored[-2:]])
    looks = []
    passes = ExactSearcher._pass

    def noted(self, vectors, k, width, barred, form):
        looks.append((form, len(vectors), width))
        return passes(self, vectors, k, width, barred, form)

    monkeypatch.setattr(ExactSearcher, "_pass", noted)
    found = ExactSearcher(memory, products=number_format).search(queries, 10)
    ids, distances = nearest(queries, stored, 10, np.ones((len(queries), len(rows)), bool))
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=1e-15)
    assert len(looks) > 1 and looks[1][1] < len(queries), "nobody was searched again: is this test awake?"
    assert ("float64" in {form for form, _, _ in looks}) == (ranked == 0)
    assert all(n * width <= ranked * len(rows) for form, n, width in looks[1:] if form != "float64")


@pytest.mark.parametrize("number_format", FIXED)
def test_the_bound_of_fixed_point_counts_what_rounding_took_from_the_vectors(number_format):
    """Codes of all rows are rounded down, by almost half a unit in the direction of the query."""
    query = np.full((1, 64), 4096 / 32767, np.float32)  # a multiple of the unit: nothing is rounded
    rows = ((4096 - np.arange(20)[:, None] + 0.49) / 32767 * np.ones(64)).astype(np.float32)
    candidates = formats.new_candidates(number_format, query, 5, np.full((1, 0), -1), 1, device=CPU)
    candidates.take(formats.made_block(number_format, rows, np.arange(20)))
    ids, bound = candidates.result(5)
    products = rows.astype(np.float64) @ query[0].astype(np.float64)
    left_out = np.setdiff1d(np.arange(20), ids)
    assert len(left_out) == 15
    assert products[left_out].max() <= bound[0] + 1e-6 <= products[left_out].max() + 1e-3


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("n_channels", [1, 64, 1_000])
def test_the_bound_of_uint8_is_as_near_as_its_residuals_say(signed, n_channels, monkeypatch):
    """Products of codes less their offset are made whole again, for queries of either sign."""
    monkeypatch.setattr(grouped, "GROUP", 1)  # no vector has the scale of another
    rng = np.random.default_rng(0)
    rows = unit(rng.random((90, n_channels)) + 0.01)
    queries = unit(rng.random((20, n_channels)) - (0.5 if signed else -0.01))
    candidates = formats.new_candidates("uint8", queries, 5, np.full((20, 0), -1), 1, device=CPU)
    block = formats.made_block("uint8", rows, np.arange(90))
    candidates.take(block)
    ids, bound = candidates.result(5)
    products = queries.astype(np.float64) @ rows.T.astype(np.float64)
    np.put_along_axis(products, ids, -np.inf, axis=1)
    off = float(block.residual.max()) + candidates.residual + 1e-5
    assert (products.max(axis=1) <= bound + off).all()
    assert (bound <= products.max(axis=1) + 2 * off).all()
