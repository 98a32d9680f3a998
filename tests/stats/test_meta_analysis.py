"""The mean over studies against closed forms, and its coverage in simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.stats import random_effects


def test_equal_errors_give_the_plain_t_interval():
    """Studies of equal precision that truly differ: the mean, and Student's t of the estimates."""
    y = np.array([0.1, 0.5, 0.2, 0.7])
    found = random_effects(y, np.full(4, 0.02))
    half = stats.t.ppf(0.975, 3) * y.std(ddof=1) / 2
    assert found.estimate == pytest.approx(y.mean())
    assert (found.low, found.high) == pytest.approx((y.mean() - half, y.mean() + half))
    assert found.degrees == 3


def test_studies_that_agree_are_weighted_by_their_precision():
    """No variance between them: the weighted mean, its standard error that of a common effect."""
    found = random_effects([0.30, 0.31], [0.1, 0.2])
    weight = np.array([100, 25])
    assert found.estimate == pytest.approx(weight @ [0.30, 0.31] / 125)
    assert found.standard_error == pytest.approx(125**-0.5)


def test_between_studies_the_variance_solves_its_equation():
    y, error = np.array([0.1, 0.9, 0.4]), np.array([0.1, 0.2, 0.05])
    found = random_effects(y, error)
    grid = np.linspace(0, 2, 400_001)
    weight = 1 / (error[:, None] ** 2 + grid)
    mean = (weight * y[:, None]).sum(0) / weight.sum(0)
    best = np.abs((weight * (y[:, None] - mean) ** 2).sum(0) - 2).argmin()
    assert found.estimate == pytest.approx(mean[best], abs=1e-5)
    assert found.standard_error == pytest.approx(weight[:, best].sum() ** -0.5, abs=1e-5)


def test_intervals_cover_the_mean_of_studies():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        error = rng.uniform(0.02, 0.1, 3)
        found = random_effects(0.3 + rng.normal(0, 0.1, 3) + rng.normal(0, error), error)
        covered += found.low <= 0.3 <= found.high
    assert stats.binom.ppf(0.001, 400, 0.95) <= covered


def test_too_few_studies_and_wrong_errors():
    assert math.isnan(random_effects([0.1], [0.1]).estimate)
    with pytest.raises(InputError, match="each must be above 0"):
        random_effects([0.1, 0.2], [0.1, 0.0])
    with pytest.raises(ShapeError, match="give one for each"):
        random_effects([0.1, 0.2], [0.1])
