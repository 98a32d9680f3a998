"""Limits by extreme values, against SciPy's distributions and in sets with planted outliers."""

import numpy as np
import pytest
from scipy import stats

from hueprobe.errors import InputError
from hueprobe.stats import limit_of_maxima, limit_of_minima


@pytest.mark.parametrize("rate", [0.2, 0.01, 0.001, 1e-5])
@pytest.mark.parametrize("power", [1.5, 15.0])
def test_minima_of_a_weibull_distribution(rate, power):
    """Of exact quantiles the fit is exact."""
    model = stats.weibull_min(power, scale=0.8)
    minima = model.ppf((np.arange(20_001) + 0.5) / 20_001)
    assert limit_of_minima(minima, rate) == pytest.approx(model.ppf(rate), rel=2e-3)


def test_minima_of_many_distances_keep_the_rate():
    """Minima of 500 distances in 8 dimensions, which are not exactly of a Weibull distribution."""
    rng = np.random.default_rng(0)
    points = rng.random((4000, 8))
    minima = np.array([np.linalg.norm(rng.random((500, 8)) - point, axis=1).min() for point in points])
    for rate in (0.1, 0.03, 0.01):
        share = (minima < limit_of_minima(minima, rate)).mean()
        assert rate / 2.5 < share < 1.5 * rate


def test_a_few_duplicates_hardly_move_the_limit():
    rng = np.random.default_rng(0)
    minima = 0.8 * rng.weibull(15, 1000)
    mixed = np.concatenate([minima, 0.05 * rng.random(30)])
    clean, limit = limit_of_minima(minima, 0.001), limit_of_minima(mixed, 0.001)
    assert 0.9 * clean < limit <= clean and (mixed < limit).sum() >= 30


def test_minima_that_say_nothing():
    assert limit_of_minima(np.array([]), 0.01) == 0
    assert limit_of_minima(np.array([0, np.inf]), 0.01) == 0
    assert limit_of_minima(np.array([0.5, 0.5, 0.0, np.inf]), 0.01) == 0.5


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.5])
def test_maxima_of_a_gumbel_distribution(slope):
    """Of exact quantiles, shares at whole numbers are on the line, and so is the limit."""
    model = stats.gumbel_r(2.5, 1 / slope)
    maxima = np.floor(model.ppf((np.arange(20_001) + 0.5) / 20_001)).astype(int).clip(0)
    for rate in (0.05, 0.01, 0.001):
        limit = limit_of_maxima(maxima, rate)
        assert model.sf(limit) <= rate * 1.01 and model.sf(limit - 1) > rate * 0.99


def test_a_few_shared_patches_move_the_limit_little():
    """5 % of the images share 20 cells, far more than the others."""
    rng = np.random.default_rng(0)
    maxima = np.floor(rng.gumbel(2, 0.5, 1000)).astype(int).clip(0)
    mixed = np.concatenate([maxima, np.full(50, 20)])
    clean, limit = limit_of_maxima(maxima, 0.001), limit_of_maxima(mixed, 0.001)
    assert clean <= limit <= clean + 3 and limit < 20


def test_maxima_that_say_nothing():
    assert limit_of_maxima(np.array([], int), 0.01) == 1
    assert limit_of_maxima(np.zeros(50, int), 0.01) == 1


def test_fewer_false_alarms_need_stricter_limits():
    rng = np.random.default_rng(0)
    minima, maxima = rng.weibull(9, 300), np.floor(rng.gumbel(3, 1, 300)).astype(int).clip(0)
    rates = (0.3, 0.1, 0.03, 0.01, 0.001)
    distances = [limit_of_minima(minima, rate) for rate in rates]
    counts = [limit_of_maxima(maxima, rate) for rate in rates]
    assert distances == sorted(distances, reverse=True) and counts == sorted(counts)
    assert limit_of_minima(3 * minima, 0.01) == pytest.approx(3 * limit_of_minima(minima, 0.01))
    assert limit_of_maxima(maxima + 4, 0.01) == limit_of_maxima(maxima, 0.01) + 4


@pytest.mark.parametrize("rate", [0, 1, -0.1, float("nan")])
def test_rates_out_of_range(rate):
    for limit in (limit_of_minima, limit_of_maxima):
        with pytest.raises(InputError, match=r"give a share of images between 0 and 1, such as 0\.001"):
            limit(np.ones(5), rate)
