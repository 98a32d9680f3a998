"""Dyadic variance against the sum over all pairs of rows, and against what a simulation really varies."""

import numpy as np
import pytest

from hueprobe.observations.units.match_units import MatchUnits, pigeonhole_variance
from hueprobe.stats.dyadic import dyadic_variance


def test_variance_is_the_sum_over_rows_that_share_a_unit():
    rng = np.random.default_rng(0)
    first, second, influence = rng.integers(0, 9, 60), rng.integers(0, 9, 60), rng.normal(size=60)
    total = 0.0
    units = 0.0
    for unit in range(9):
        units += influence[(first == unit) | (second == unit)].sum() ** 2
    for i in range(60):
        for j in range(60):
            if {first[i], second[i]} & {first[j], second[j]}:
                total += influence[i] * influence[j]
    expected = max(total + units / 8, units / 2)  # the G / (G - 1) of the units' part
    assert dyadic_variance(influence, first, second) == pytest.approx(expected)
    assert dyadic_variance(influence, second, first) == pytest.approx(expected)
    assert dyadic_variance(influence, 7 * first + 3, 7 * second + 3) == pytest.approx(expected)


def test_one_unit_has_no_variance():
    assert np.isnan(dyadic_variance(np.ones(3), np.zeros(3, int), np.zeros(3, int)))
    assert np.isnan(dyadic_variance(np.zeros(0), np.zeros(0, int), np.zeros(0, int)))


@pytest.mark.parametrize(("unit_sd", "dyad_sd"), [(1.0, 0.5), (0.0, 1.0)])
def test_standard_errors_are_right_where_both_roles_share_effects(unit_sd, dyad_sd):
    """Mean of values a_i + a_j + d_ij + noise, each dyad seen from both of its ends."""
    rng = np.random.default_rng(1)
    n = 25
    low, high = np.triu_indices(n, 1)
    first, second = np.concatenate([low, high]), np.concatenate([high, low])
    means, dyadic, pigeonhole = [], [], []
    for _ in range(500):
        a, d = rng.normal(0, unit_sd, n), rng.normal(0, dyad_sd, len(low))
        values = a[first] + a[second] + np.tile(d, 2) + rng.normal(0, 0.3, len(first))
        influence = (values - values.mean()) / len(values)
        means.append(values.mean())
        dyadic.append(dyadic_variance(influence, first, second))
        pigeonhole.append(pigeonhole_variance(influence, MatchUnits(first, second)))
    truth = np.var(means)
    assert np.mean(dyadic) / truth == pytest.approx(1.0, abs=0.2)
    assert np.mean(pigeonhole) / truth < 0.75
