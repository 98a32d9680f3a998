"""Samples of a memory's cells, against the loop of the reference code and against slow search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueprobe.dense import sample_cells
from hueprobe.errors import InputError, ShapeError


def reference(counts, n, seed):
    """`HbirdEvaluation.sample_features`, cell by cell, with the same random numbers."""
    chosen = []
    rng = np.random.default_rng(seed)
    for i, image in enumerate(counts.reshape(len(counts), -1, counts.shape[-1])):
        frequency = np.zeros(counts.shape[-1])
        for cell in image:
            for label in np.flatnonzero(cell):
                frequency[label] += 1
        scores = [sum(frequency[label] for label in np.flatnonzero(cell)) for cell in image]
        random = rng.random(len(image))
        scored = sorted(
            (scores[j] * random[j], j) for j, cell in enumerate(image) if cell.sum() > 0
        )  # cells without labels are last in the reference code; here they are left out
        chosen += [i * len(image) + j for _, j in scored[:n]]
    return sorted(chosen)


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_rare_is_the_loop_of_the_reference_code(seed, n, height, width, n_labels):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 3, (3, height, width, n_labels)) * rng.integers(0, 2, (3, height, width, 1))
    found = sample_cells(counts, n, rule="rare", seed=seed)
    assert found.tolist() == reference(counts, n, seed)


def test_rare_labels_are_chosen_more_often():
    counts = np.zeros((200, 1, 10, 2), int)
    counts[:, :, :9, 0] = counts[:, :, 9, 1] = 16
    shares = {
        rule: np.mean(sample_cells(counts, 1, rule=rule, seed=3) % 10 == 9) for rule in ("uniform", "rare")
    }
    # Uniform: 1 of 10. Rare: P(u / 9 < min of nine others' u), the integral of (1 - u / 9)^9 over u: .623.
    assert abs(shares["uniform"] - 0.1) < 0.07
    expected = 0.9 * (1 - (8 / 9) ** 10)
    assert abs(shares["rare"] - expected) < 0.11


def test_each_cell_is_as_likely_when_uniform():
    counts = np.ones((4000, 2, 2, 1), int)
    hits = np.bincount(sample_cells(counts, 1, seed=0) % 4, minlength=4)
    assert hits.sum() == 4000 and np.abs(hits - 1000).max() < 130  # 4.7 standard deviations


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(rule="most"), InputError, "sampling"),
        (dict(n_per_image=0), InputError, "cells_per_image"),
        (dict(counts=np.ones((3, 2))), ShapeError, r"\(3, 2\)"),
    ],
)
def test_a_wrong_argument_is_named(arguments, error, message):
    given = {"counts": np.ones((1, 2, 2, 1)), "n_per_image": 2, **arguments}
    with pytest.raises(error, match=message):
        sample_cells(given.pop("counts"), given.pop("n_per_image"), **given)
