"""Observations of trained networks, compared over paired seeds."""

from itertools import product

import numpy as np
import pytest

from hueprobe.studies.comparison.trained_networks import Measured, TrainedObservation, summarize_measures


def observation(value, name="full direction"):
    numbers = {name: Measured(estimate=value, low=value, high=value)}
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
    (one,) = summarize_measures(found, baseline="onehot")
    assert one.n_seeds == 1 and one.mean.estimate == pytest.approx(0.6) and np.isnan(one.mean.low)
