"""P-values of permutation tests against counting, and against SciPy's own permutation test."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.stats.permutation import permutation_p, sign_flip_p

WHOLE = st.lists(st.integers(-5, 5), min_size=1, max_size=30)
EXTREME = {
    "greater": lambda null, at: null >= at,
    "less": lambda null, at: null <= at,
    "two-sided": lambda null, at: abs(null) >= abs(at),
}


@pytest.mark.parametrize("alternative", EXTREME)
@given(null=WHOLE, observed=st.integers(-6, 6))
def test_it_counts_what_is_as_extreme_and_the_observed_one(alternative, null, observed):
    extreme = sum(EXTREME[alternative](value, observed) for value in null)
    found = permutation_p(observed, np.array(null), alternative=alternative)
    assert float(found) == (1 + extreme) / (1 + len(null))


@pytest.mark.parametrize("alternative", EXTREME)
def test_scipy_finds_the_same(alternative):
    """SciPy's two-sided value is twice the smaller side, which is the same for a symmetric null."""
    rng = np.random.default_rng(0)
    values = rng.normal(0.4, 1, 8)
    kept = []

    def statistic(x, axis):
        kept.append(x.sum(axis))
        return kept[-1]

    expected = stats.permutation_test(
        (values,), statistic, permutation_type="samples", alternative=alternative, n_resamples=np.inf
    )
    null = np.asarray(expected.null_distribution)
    found = permutation_p(values.sum(), null, alternative=alternative)
    # all signs were tried, the observed ones among them; they are counted once more
    assert float(found) == pytest.approx((expected.pvalue * len(null) + 1) / (len(null) + 1))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e9])
def test_ties_up_to_rounding_count_and_neighbors_do_not(scale):
    observed = 0.7 * scale
    rounded = observed - 1e-14 * (1 + scale)
    below = observed - 1e-9 * (1 + scale)
    assert float(permutation_p(observed, np.array([rounded, below, below]))) == 2 / 4
    assert float(permutation_p(-observed, -np.array([rounded, below]), alternative="less")) == 2 / 3


def test_several_statistics_share_a_null_and_nan_stays():
    found = permutation_p(np.array([[0.0, 5.0], [np.nan, 2.0]]), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(found, [[1.0, 0.25], [np.nan, 0.75]])
    assert np.isnan(permutation_p(1.0, np.array([])))
    assert float(permutation_p(9.0, np.array([np.nan, 1.0, np.nan]))) == 3 / 4  # never too small
    with pytest.raises(InputError, match="greater, less, two-sided"):
        permutation_p(0.0, np.ones(2), alternative="both")
    with pytest.raises(ShapeError, match=r"shape \(2, 2\)"):
        permutation_p(0.0, np.ones((2, 2)))


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_sign_flip_is_all_signs_written_out(sums):
    total = abs(sum(sums))
    signs = itertools.product((-1, 1), repeat=len(sums))
    reached = [abs(sum(s * x for s, x in zip(row, sums, strict=True))) >= total for row in signs]
    assert sign_flip_p(np.array(sums, int)) == pytest.approx(np.mean(reached))
