"""Observations of trained networks, compared over paired seeds."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from hueprobe.studies.comparison.trained_networks import Measured, TrainedObservation, summarize_measures


def observation(value, name="full direction"):
    numbers = {name: Measured(estimate=value, low=value - 0.1, high=value + 0.1)}
    return TrainedObservation(part="test", n_images=9, grid=(2, 2), numbers=numbers)


def test_pairs_seeds_averages_folds_and_flips_signs_exactly():
    rng = np.random.default_rng(0)
    plain, hue = rng.random((6, 2)), rng.random((6, 2)) + 0.2
    found = {("onehot", 0.1, seed): [observation(value) for value in plain[seed]] for seed in range(6)}
    found |= {("hue:eq5", 0.1, seed): [observation(value) for value in hue[seed]] for seed in range(5)}
    first, second = summarize_measures(found, baseline="onehot")
    assert (first.n_seeds, second.n_seeds) == (6, 5) and first.difference is None and np.isnan(first.p)
    gains = (hue.mean(1) - plain.mean(1))[:5]
    assert second.mean.estimate == pytest.approx(hue[:5].mean())
    assert second.difference.estimate == pytest.approx(gains.mean())
    flipped = [abs(np.dot(signs, gains)) for signs in product((-1, 1), repeat=5)]
    assert second.p == pytest.approx(np.mean(np.array(flipped) >= abs(gains.sum()) - 1e-12))


def test_a_measure_that_a_fold_lacks_leaves_its_seed_out():
    found = {
        ("onehot", 0.1, 0): [observation(0.5), observation(0.5, "class positions")],
        ("onehot", 0.1, 1): [observation(0.5), observation(0.7)],
    }
    lacking, one = summarize_measures(found, baseline="onehot")
    assert one.n_seeds == 1 and one.mean.estimate == pytest.approx(0.6) and np.isnan(one.mean.low)
    assert lacking.measure == "class positions" and lacking.n_seeds == 0 and np.isnan(lacking.mean.estimate)


def nothing(name):
    """A number as version 0.1 kept it where no image told anything."""
    return TrainedObservation(
        part="test", n_images=9, grid=(2, 2), numbers={name: Measured(estimate=0.0, low=0.0, high=0.0)}
    )


def test_a_contrast_without_any_spread_is_not_measured_and_an_accuracy_is():
    stay, full = "stay-put, same less other", "full direction"
    found = {
        (loss, 0.1, seed): [replace(nothing(stay), numbers=nothing(stay).numbers | nothing(full).numbers)]
        for loss in ("onehot", "hue:eq5")
        for seed in range(2)
    }
    of_stay, hue_stay, of_full, hue_full = summarize_measures(found, baseline="onehot")
    assert (of_stay.measure, hue_stay.loss, of_full.measure) == (stay, "hue:eq5", full)
    for one in (of_stay, hue_stay):
        assert one.n_seeds == 0 and np.isnan([one.mean.estimate, one.mean.low, one.p]).all()
        assert one.difference is None
    assert of_full.n_seeds == 2 and of_full.mean.estimate == 0 and np.isnan(of_full.mean.low)
    assert hue_full.difference.estimate == 0 and np.isnan([hue_full.difference.low, hue_full.p]).all()
    found["hue:eq5", 0.1, 1] = [observation(0.2, stay)]
    hue_stay = summarize_measures(found, baseline="onehot")[1]
    assert hue_stay.n_seeds == 1 and hue_stay.mean.estimate == 0.2  # the seed that tells something


def test_no_interval_of_a_share_reaches_beyond_it():
    found = {("onehot", 0.1, seed): [observation(value)] for seed, value in enumerate((0.5, 1.0))}
    (one,) = summarize_measures(found, baseline="onehot")
    assert 0 <= one.mean.low < 0.75 < one.mean.high <= 1
    bits = {
        ("onehot", 0.1, seed): [observation(value, "information, same less other")]
        for seed, value in enumerate((0.5, 1.0))
    }
    (one,) = summarize_measures(bits, baseline="onehot")
    ends = stats.t.interval(0.95, 1, loc=0.75, scale=0.25)
    assert (one.mean.low, one.mean.high) == pytest.approx(ends)  # bits have no limits: Student's
