"""Means over seeds: their intervals cover, stay within what can be, and are absent where nothing tells."""

import numpy as np
import pytest
from scipy import stats

from hueprobe.stats.over_seeds import estimate_text, interval_text, mean_over_seeds, p_text, paired_p


@pytest.mark.parametrize("n", [3, 6])
@pytest.mark.parametrize("center", [0.3, 0.9])
def test_intervals_cover_the_mean_of_seeds_and_none_leaves_the_limits(n, center):
    rng = np.random.default_rng(n)
    drawn = rng.beta(20 * center, 20 * (1 - center), (1500, n))
    found = [mean_over_seeds(values, within=(0, 1)) for values in drawn]
    assert all(0 <= one.low <= one.estimate <= one.high <= 1 for one in found)
    covered = np.mean([one.low <= center <= one.high for one in found])
    assert 0.92 < covered < 0.98, f"{covered:.3f} of 95 % intervals hold the mean"


def test_a_small_error_gives_students_interval():
    values = np.array([0.7161, 0.7158, 0.7165, 0.7160])
    found = mean_over_seeds(values, within=(0, 1))
    ends = stats.t.interval(0.95, 3, loc=values.mean(), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-6)
    assert mean_over_seeds(values).low == pytest.approx(ends[0], abs=1e-12)


@pytest.mark.parametrize("values, text, whole", [
    ([], "not measurable", "not measurable"),
    ([0.5], "not measurable (1 seed)", "0.500 (interval not measurable: 1 seed)"),
    ([1.0, 1.0], "not measurable (2 equal seeds)", "1.000 (interval not measurable: 2 equal seeds)"),
    ([0.3, 0.1 + 0.2], "not measurable (2 equal seeds)", "0.300 (interval not measurable: 2 equal seeds)"),
    ([0.0] * 6, "not measurable (6 equal seeds)", "0.000 (interval not measurable: 6 equal seeds)"),
])  # fmt: skip
def test_without_spread_there_is_no_interval_and_it_is_said(values, text, whole):
    found = mean_over_seeds(values, within=(0, 1))
    assert np.isnan([found.low, found.high, found.standard_error]).all() and np.isnan(found.p())
    assert (interval_text(found), estimate_text(found)) == (text, whole)


def test_a_paired_test_needs_two_seeds_and_a_difference():
    assert paired_p([0.1, 0.2]) == 0.5 and paired_p([0.1, -0.1, 0.1]) == 1
    assert np.isnan([paired_p([]), paired_p([0.3]), paired_p([0.0, 0.0])]).all()
    texts = [p_text(paired_p(d), mean_over_seeds(d)) for d in ([0.1, 0.2], [0.3], [0.0, 0.0])]
    assert texts == ["0.5", "not measurable (1 seed)", "not measurable (no seed differs)"]
    assert p_text(np.nan, None) == estimate_text(None) == ""
    assert estimate_text(mean_over_seeds([0.1, 0.3]), sign="+").startswith("+0.200 [-")
