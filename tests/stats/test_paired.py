"""Paired comparisons against SciPy, and against coverage in a simulation."""

import numpy as np
import pytest
from scipy import stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.stats.paired import compare_paired, split_spread


def answers(both, only_first, only_second, neither):
    first = np.repeat([True, True, False, False], [both, only_first, only_second, neither])
    second = np.repeat([True, False, True, False], [both, only_first, only_second, neither])
    return first, second


@pytest.mark.parametrize(("b", "c"), [(9, 2), (2, 9), (0, 0), (5, 5), (12, 0)])
def test_held_out_is_the_exact_mcnemar_test(b, c):
    found = compare_paired(*answers(30, b, c, 8), names=("pixel", "gap"))
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert found.p == pytest.approx(expected)
    assert (found.test, found.only_first, found.only_second) == ("mcnemar", b, c)
    assert found.difference.estimate == pytest.approx((b - c) / found.n)
    assert found.difference.low < found.difference.estimate < found.difference.high


def test_groups_count_as_one():
    first, second = answers(0, 8, 0, 2)
    alone = compare_paired(first, second, held_out=False)
    grouped = compare_paired(first, second, groups=["a"] * 8 + ["b", None])
    assert alone.p == pytest.approx(2 / 2**8) and alone.test == "sign-flip"
    assert grouped.p == 1.0 and grouped.test == "sign-flip" and grouped.n_units == 3
    assert grouped.difference.high - grouped.difference.low > alone.difference.high - alone.difference.low
    ungrouped = compare_paired(first, second, groups=[None] * 10)
    assert ungrouped.test == "mcnemar" and ungrouped.n_units == 10


def test_interval_is_agresti_and_mins_for_single_images():
    b, c, n = 7, 3, 60
    found = compare_paired(*answers(40, b, c, 10)).difference
    # half an image added to each cell
    b, c, m = b + 0.5, c + 0.5, n + 2
    error = np.sqrt(b + c - (b - c) ** 2 / m) / m
    # the clustered form has n / (n - 1) on the images' part
    assert found.standard_error == pytest.approx(error, rel=0.01)
    margin = stats.t.ppf(0.975, n - 1) * found.standard_error
    assert (found.low, found.high) == pytest.approx(((b - c) / m - margin, (b - c) / m + margin))


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_cover_and_the_test_keeps_its_level(grouped):
    rng = np.random.default_rng(int(grouped))
    covered = rejected = 0
    for _ in range(400):
        size = 4 if grouped else 1
        effects = np.repeat(rng.normal(0, 1.5 * grouped, 120 // size), size)
        disagree = rng.random(120) < 0.25
        first_wins = rng.random(120) < 1 / (1 + np.exp(-effects))
        agreed = rng.random(120) < 0.6
        first = np.where(disagree, first_wins, agreed)
        second = np.where(disagree, ~first_wins, agreed)
        groups = [f"g{i // size}" for i in range(120)] if grouped else None
        found = compare_paired(first, second, groups=groups)
        covered += found.difference.low <= 0 <= found.difference.high
        rejected += found.p <= 0.05
    assert 0.93 <= covered / 400 <= 0.99, f"covers {covered / 400:.3f}"
    assert rejected / 400 <= 0.07, f"rejects {rejected / 400:.3f}"


def test_one_image_has_no_interval_and_none_is_an_error():
    found = compare_paired(np.array([True]), np.array([False]))
    assert found.p == 1.0 and np.isnan(found.difference.low)
    with pytest.raises(InputError, match="no image"):
        compare_paired(np.zeros(0, bool), np.zeros(0, bool))
    with pytest.raises(ShapeError, match="'pixel' have shape"):
        compare_paired(np.zeros(3, bool), np.zeros(4, bool), names=("pixel", "gap"))


def test_spread_over_splits():
    found = split_spread([0.8, 0.9, 0.85])
    assert (found.n_splits, found.low, found.high) == (3, 0.8, 0.9)
    assert found.mean == pytest.approx(0.85) and found.standard_deviation == pytest.approx(0.05)
    assert np.isnan(split_spread([0.8]).standard_deviation)
    with pytest.raises(InputError, match="no split"):
        split_spread([])
