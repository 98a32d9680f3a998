"""Comparison at equal match quality against loops, least squares and finite differences."""

import numpy as np
import pytest

from hueprobe.errors import InputError
from hueprobe.observations.conditional.stratified import quality_strata, stratified_means


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    n = 300
    strata = rng.integers(0, 12, n)
    same = rng.random(n) < 0.2 + 0.05 * strata
    same[strata == 3], same[strata == 4] = True, False  # strata of one kind say nothing
    values = strata + 2.0 * same + rng.normal(size=n)
    return values, same, rng.uniform(0.1, 1, n), strata


def test_difference_is_the_least_squares_effect_with_a_constant_a_stratum(data):
    values, same, weight, strata = data
    found = stratified_means(values, same, weight, strata)
    design = np.column_stack([same, strata[:, None] == np.arange(12)]).astype(float)
    root = np.sqrt(weight)
    effect = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0][0]
    assert found.same - found.other == pytest.approx(effect)


def test_means_are_those_of_the_slow_loop(data):
    values, same, weight, strata = data
    worth, ours, theirs = [], [], []
    for stratum in range(12):
        a, b = (strata == stratum) & same, (strata == stratum) & ~same
        if a.any() and b.any():
            worth.append(weight[a].sum() * weight[b].sum() / (weight[a].sum() + weight[b].sum()))
            ours.append(np.average(values[a], weights=weight[a]))
            theirs.append(np.average(values[b], weights=weight[b]))
    found = stratified_means(values, same, weight, strata)
    assert found.same == pytest.approx(np.average(ours, weights=worth))
    assert found.other == pytest.approx(np.average(theirs, weights=worth))


def test_influence_is_what_a_match_more_does(data):
    values, same, weight, strata = data
    found = stratified_means(values, same, weight, strata)
    for row in range(0, 300, 17):
        step = np.zeros(300)
        step[row] = 1e-5
        above = stratified_means(values, same, weight + step, strata)
        below = stratified_means(values, same, weight - step, strata)
        for side in ("same", "other"):
            slope = (getattr(above, side) - getattr(below, side)) / 2e-5
            influence = getattr(found, f"{side}_influence")[row] / weight[row]
            assert influence == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_strata_are_deciles_and_query_cells():
    rng = np.random.default_rng(1)
    distance, cell = rng.random(1000), rng.integers(0, 9, 1000)
    strata = quality_strata(distance, cell, n_cells=9, n_bins=10)
    np.testing.assert_array_equal(strata % 9, cell)
    np.testing.assert_array_equal(np.bincount(strata // 9), 100)
    ranks = np.argsort(np.argsort(distance))
    np.testing.assert_array_equal(strata // 9, ranks // 100)
    assert quality_strata(np.zeros(0), np.zeros(0, int), n_cells=9).shape == (0,)
    with pytest.raises(InputError, match="n_bins is 0"):
        quality_strata(distance, cell, n_cells=9, n_bins=0)


def test_confounding_by_quality_is_taken_out():
    """Same-class matches are closer, close ones score higher, class itself does nothing."""
    rng = np.random.default_rng(2)
    same = rng.random(20_000) < 0.5
    distance = rng.normal(0, 1, 20_000) - 1.0 * same
    values = (rng.random(20_000) < np.clip(0.5 - 0.1 * distance, 0, 1)).astype(float)
    strata = quality_strata(distance, np.zeros(20_000, int), n_cells=1)
    found = stratified_means(values, same, np.ones(20_000), strata)
    assert values[same].mean() - values[~same].mean() > 0.08
    assert abs(found.same - found.other) < 0.02


def test_no_stratum_with_both_kinds_is_nan():
    found = stratified_means(np.ones(4), np.array([1, 1, 0, 0], bool), np.ones(4), np.array([0, 0, 1, 1]))
    assert np.isnan(found.same) and np.isnan(found.same_influence).all()
