"""Intervals of shares, against the formulas of their authors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hueprobe.stats.intervals import proportion_interval

COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_wilson_is_where_the_score_test_turns(counts):
    """Both limits p solve (x/n - p)^2 = z^2 p (1 - p) / n."""
    x, n = counts
    for limit in proportion_interval(x, n):
        z = 1.959963984540054
        assert (x / n - limit) ** 2 == pytest.approx(z**2 * limit * (1 - limit) / n, rel=1e-9, abs=1e-15)


@given(COUNTS)
def test_exact_is_where_the_binomial_tails_are_a_fortieth(counts):
    x, n = counts
    low, high = proportion_interval(x, n, method="exact")
    assert (stats.binom.sf(x - 1, n, low) if x else low + 0.025) == pytest.approx(0.025)
    assert (stats.binom.cdf(x, n, high) if x < n else high - 0.975) == pytest.approx(0.025)


def test_nothing_is_known_without_trials_and_limits_stay_in_range():
    for method in ("wilson", "exact"):
        assert proportion_interval(0, 0, method=method) == (0.0, 1.0)
        assert proportion_interval(0, 9, method=method)[0] == 0.0
        assert proportion_interval(9, 9, method=method)[1] == 1.0
    assert all(type(limit) is float and not np.isnan(limit) for limit in proportion_interval(3, 7))
