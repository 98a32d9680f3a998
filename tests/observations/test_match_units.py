"""Intervals against slow loops and against the variance that a simulation really has."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.observations.units.match_units import (
    MatchUnits,
    influence_interval,
    match_units,
    pigeonhole_variance,
    ratio_interval,
)
from hueprobe.stats.dyadic import dyadic_variance
from hueprobe.stats.intervals import (
    bootstrap_counts,
    normal_interval,
    ratio_influence,
    unit_codes,
    unit_interval,
)


def crossed(rng, n_query=30, n_memory=25, per_query=20, query_sd=1.0, memory_sd=1.0):
    """Values with a query effect, a memory effect and noise; each query meets some memory images."""
    query = np.repeat(np.arange(n_query), per_query)
    memory = rng.integers(0, n_memory, n_query * per_query)
    a, b = rng.normal(0, query_sd, n_query), rng.normal(0, memory_sd, n_memory)
    return a[query] + b[memory] + rng.normal(size=len(query)), MatchUnits(query, memory)


def test_variance_is_the_slow_sum_over_clusters():
    rng = np.random.default_rng(0)
    values, units = crossed(rng)
    weights = rng.uniform(0.1, 1, len(values))
    estimate = (weights * values).sum() / weights.sum()
    psi = weights * (values - estimate) / weights.sum()

    def slow(labels):
        total, seen = 0.0, set(labels)
        for label in seen:
            total += sum(p for p, other in zip(psi, labels, strict=True) if other == label) ** 2
        return total * len(seen) / (len(seen) - 1)

    query, memory = units.query.tolist(), units.memory.tolist()
    expected = slow(query) + slow(memory) - slow(list(zip(query, memory, strict=True)))
    interval = ratio_interval(weights * values, weights, units)
    assert interval.estimate == pytest.approx(estimate)
    assert interval.standard_error**2 == pytest.approx(expected)
    t = stats.t.ppf(0.975, 24)  # 25 memory images are the fewer
    assert interval.high - interval.estimate == pytest.approx(t * np.sqrt(expected))
    assert interval.p(interval.high) == pytest.approx(0.05)


@pytest.mark.parametrize("memory_sd", [0.0, 1.0, 2.0])
def test_intervals_cover_under_crossed_effects(memory_sd):
    rng = np.random.default_rng(int(10 * memory_sd))
    hits = queries_alone = 0
    runs = 400
    for _ in range(runs):
        values, units = crossed(rng, memory_sd=memory_sd)
        interval = ratio_interval(values, np.ones_like(values), units)
        hits += interval.low <= 0 <= interval.high
        one_way = unit_interval(values, np.ones_like(values), units.query)
        queries_alone += one_way.low <= 0 <= one_way.high
    assert 0.92 * runs <= hits <= 0.99 * runs, hits / runs
    if memory_sd == 2.0:  # and the wrong way is seen to be wrong
        assert queries_alone < 0.75 * runs, queries_alone / runs


def test_one_kind_of_unit_equals_the_t_interval_of_unit_means():
    rng = np.random.default_rng(1)
    means = rng.normal(size=12)
    interval = unit_interval(np.repeat(means, 5), np.ones(60), np.repeat(np.arange(12), 5))
    expected = stats.ttest_1samp(means, 0.0)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert interval.p() == pytest.approx(expected.pvalue)


def test_a_difference_has_the_difference_of_influences():
    # the halves share every unit, so their shared effects cancel: only the noise is left
    rng = np.random.default_rng(2)
    values, units = crossed(rng, query_sd=30.0, memory_sd=30.0)
    query = np.repeat(units.query, 2)
    units = MatchUnits(query, np.repeat(units.memory, 2))
    first = np.arange(len(query)) % 2 == 0
    values = np.repeat(values, 2) + rng.normal(size=len(query)) - 0.5 * first
    a, psi_a = ratio_influence(values * first, first)
    b, psi_b = ratio_influence(values * ~first, ~first)
    both = influence_interval(a - b, psi_a - psi_b, units)
    paired = stats.ttest_1samp(values[first] - values[~first], 0.0)
    assert both.estimate == pytest.approx(paired.statistic * paired._standard_error)
    assert both.standard_error == pytest.approx(paired._standard_error, rel=0.5)


def test_the_variance_never_falls_below_one_side():
    # each query image always says the same, the two memory images cancel: V_memory = 0 < V_pair
    units = MatchUnits(np.repeat(np.arange(4), 2), np.tile([0, 1], 4))
    influence = np.array([1, 1, -1, -1, 1, 1, -1, -1]) / 8
    # V_query = 4 * (2/8)^2 * 4/3; V_pair = 8 * (1/8)^2 * 8/7
    assert pigeonhole_variance(influence, units) == pytest.approx(4 * (2 / 8) ** 2 * 4 / 3)


def test_leave_one_out_counts_both_roles_of_an_image(simulate_matches):
    labels = np.repeat([0, 1], 4)
    own = simulate_matches(np.random.default_rng(4), labels, k=1)
    values = own.x - 3.0
    outside = match_units(own)
    assert not outside.shared
    units = match_units(replace(own, query_paths=own.image_paths))
    assert units.shared and units.select(np.arange(5)).shared
    estimate, psi = ratio_influence(values, np.ones(len(own)))
    interval = ratio_interval(values, np.ones(len(own)), units)
    assert interval.standard_error**2 == pytest.approx(dyadic_variance(psi, own.query_image, own.image))
    assert interval.degrees == 7 and interval.estimate == estimate
    assert ratio_interval(values, np.ones(len(own)), outside).standard_error != interval.standard_error


def test_units_outside_a_subset_do_not_count():
    rng = np.random.default_rng(3)
    values, units = crossed(rng)
    part = units.query < 5
    whole = ratio_interval(values * part, part, units)
    alone = ratio_interval(values[part], np.ones(part.sum()), units.select(part))
    assert whole == alone and whole.degrees == 4


def test_groups_take_the_place_of_images():
    assert unit_codes(None, 3).tolist() == [0, 1, 2]
    assert unit_codes(["b", "a", None, "b", None], 5).tolist() == [0, 1, 2, 0, 3]
    with pytest.raises(ShapeError, match="2 groups for 3 images"):
        unit_codes(["a", "b"], 3)


def test_one_unit_or_no_row_gives_no_interval():
    units = MatchUnits(np.zeros(6, int), np.arange(6))
    interval = ratio_interval(np.arange(6.0), np.ones(6), units)
    assert interval.estimate == 2.5
    assert np.isnan([interval.low, interval.high, interval.p()]).all()
    empty = ratio_interval(np.zeros(0), np.zeros(0), MatchUnits(np.zeros(0, int), np.zeros(0, int)))
    assert np.isnan([empty.estimate, empty.low, empty.p()]).all()


def test_bootstrap_draws_whole_units():
    codes = np.array([0, 0, 1, 2, 2, 2])
    counts = bootstrap_counts(codes, n_resamples=2000, seed=0)
    assert (counts[:, 0] == counts[:, 1]).all() and (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, [0, 2, 3]].sum(1) == 3).all()
    assert counts.mean(0) == pytest.approx(np.ones(6), abs=0.06)
    assert (counts == bootstrap_counts(codes, n_resamples=2000, seed=0)).all()


def test_an_impossible_level_is_refused():
    with pytest.raises(InputError, match=r"level 95 is not between 0 and 1"):
        normal_interval(0.0, 1.0, level=95)
