"""Distances to convex hulls: SciPy's QP says the same, and small cases by hand."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from hueprobe.errors import ShapeError
from hueprobe.stats.hulls import hull_distances


def by_scipy(point, corners):
    k = len(corners)
    found = minimize(
        lambda w: ((w @ corners - point) ** 2).sum(), np.full(k, 1 / k),
        jac=lambda w: 2 * corners @ (w @ corners - point), method="SLSQP", bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(k)},
        options={"ftol": 1e-15, "maxiter": 500},
    )  # fmt: skip
    return np.sqrt(found.fun)


@given(seed=st.integers(0, 500), k=st.integers(1, 10), c=st.integers(1, 30))
@example(seed=0, k=10, c=3)  # a flat hull: Frank-Wolfe steps alone end at .047255, the truth is .046699
@settings(max_examples=60, deadline=None)
def test_equals_scipys_quadratic_program(seed, k, c):
    rng = np.random.default_rng(seed)
    points, corners = rng.normal(size=(4, c)), rng.normal(size=(4, k, c))
    corners /= np.linalg.norm(corners, axis=2, keepdims=True)
    points *= rng.choice([0.1, 1.0])
    expected = [by_scipy(*pair) for pair in zip(points, corners, strict=True)]
    assert hull_distances(points, corners) == pytest.approx(expected, abs=2e-5)


@pytest.mark.slow
def test_the_promised_gap_is_reached_everywhere():
    """The weights are of the hull, so no distance is too small; none is larger than SciPy's either."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        k, c = rng.integers(1, 12), rng.integers(1, 6)
        corners = rng.normal(size=(6, k, c))
        corners /= np.linalg.norm(corners, axis=2, keepdims=True)
        points = rng.normal(size=(6, c)) * rng.choice([0.01, 0.1, 1.0])
        found = hull_distances(points, corners)
        offsets = corners - points[:, None]
        for offset, distance in zip(offsets, found, strict=True):
            assert distance <= by_scipy(np.zeros(c), offset) + 1e-6


def test_by_hand_inside_on_an_edge_at_a_corner_and_without_corners():
    triangle = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    points = np.array([[1.0, 1.0], [2.0, -3.0], [-3.0, -4.0], [4.0, 4.0], [9.0, 9.0]])
    there = np.ones((5, 3), bool)
    there[4] = False
    found = hull_distances(points, np.repeat(triangle[None], 5, 0), there)
    assert found == pytest.approx([0, 3, 5, np.sqrt(8), np.inf], abs=1e-6)
    assert hull_distances(points[:1], triangle[None], np.array([[True, False, False]])) == pytest.approx(
        np.sqrt(2)
    )


def test_corners_that_are_left_out_or_doubled_change_nothing_and_more_never_move_it_away():
    rng = np.random.default_rng(0)
    points, corners = rng.normal(size=(6, 12)), rng.normal(size=(6, 9, 12))
    few = hull_distances(points, corners[:, :5])
    there = np.arange(9) < 5
    assert hull_distances(points, corners, np.tile(there, (6, 1))) == pytest.approx(few)
    assert hull_distances(points, np.concatenate((corners[:, :5], corners[:, :5]), 1)) == pytest.approx(
        few, abs=1e-6
    )
    assert (hull_distances(points, corners) <= few + 1e-6).all()
    with pytest.raises(ShapeError, match=r"need \(n, C\) and \(n, k, C\)"):
        hull_distances(points, corners[0])
