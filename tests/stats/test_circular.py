"""Circular statistics against SciPy and the laws of the circle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from hueprobe.grid import Grid
from hueprobe.stats.circular import (
    difference,
    mean_direction,
    mirror,
    quarter_turn,
    rayleigh_p,
    resultant_by_chance,
    resultant_length,
    wrap,
)

angle = st.floats(-20, 20)
several = arrays(float, st.integers(1, 30), elements=st.floats(-np.pi, np.pi))


def same_angle(a, b, tolerance=1e-9):
    return abs(np.exp(1j * a) - np.exp(1j * b)) < tolerance


@given(angle, angle, st.integers(-3, 3))
def test_differences_forget_whole_turns(a, b, turns):
    found = difference(a, b)
    assert -np.pi < found <= np.pi
    assert same_angle(b + found, a)
    assert same_angle(difference(a + 2 * np.pi * turns, b), found, 1e-8)


def test_the_half_turn_is_plus_pi():
    assert wrap(np.pi) == np.pi
    assert wrap(-np.pi) == np.pi
    assert difference(0.0, np.pi) == np.pi


@given(several)
def test_mean_and_length_are_scipys(angles):
    if resultant_length(angles) < 1e-6:
        return
    expected = stats.directional_stats(np.column_stack([np.cos(angles), np.sin(angles)]))
    assert resultant_length(angles) == pytest.approx(expected.mean_resultant_length)
    assert same_angle(mean_direction(angles), stats.circmean(angles, high=np.pi, low=-np.pi), 1e-6)
    assert 1 - resultant_length(angles) == pytest.approx(stats.circvar(angles, high=np.pi, low=-np.pi))


@given(several, angle)
def test_turning_all_angles_turns_the_mean(angles, turn):
    assert resultant_length(angles + turn) == pytest.approx(resultant_length(angles))
    if resultant_length(angles) > 1e-6:
        assert same_angle(mean_direction(angles + turn), mean_direction(angles) + turn, 1e-6)
        assert same_angle(mean_direction(mirror(angles)), mirror(mean_direction(angles)), 1e-6)


def test_weights_count_like_repeats_and_nan_takes_no_part():
    angles = np.array([0.3, 2.0, np.nan])
    repeated = np.array([0.3, 0.3, 0.3, 2.0])
    weights = np.array([3.0, 1.0, 7.0])
    assert mean_direction(angles, weights) == pytest.approx(mean_direction(repeated))
    assert resultant_length(angles, weights) == pytest.approx(resultant_length(repeated))
    assert np.isnan(mean_direction(np.array([np.nan])))
    assert np.isnan(resultant_length(np.array([])))
    assert np.isnan(mean_direction(np.radians([0, 120, 240])))  # they cancel


@pytest.mark.parametrize("shape", [(7, 7), (8, 8), (4, 6)])
def test_mirror_and_turn_are_what_happens_to_cells(shape):
    grid = Grid(*shape)
    y, x = grid.rows_and_columns()
    theta = grid.theta(y, x)
    u, v = grid.centered(y, x)
    mirrored_u, mirrored_v = grid.centered(y, grid.width - 1 - x)
    assert (mirrored_u == -u).all() and (mirrored_v == v).all()
    np.testing.assert_allclose(
        np.exp(1j * mirror(theta)), np.exp(1j * grid.theta(y, grid.width - 1 - x)), atol=1e-12
    )
    if shape[0] == shape[1]:
        # a quarter turn against the clock carries (u, v) to (-v, u): row x from the other end, column y
        turned = grid.theta(grid.width - 1 - x, y)
        np.testing.assert_allclose(np.exp(1j * quarter_turn(theta)), np.exp(1j * turned), atol=1e-12)
        values = np.arange(grid.n_cells).reshape(shape)
        np.testing.assert_array_equal(np.rot90(values)[grid.width - 1 - x, y], values)


@given(angle)
def test_mirroring_twice_and_four_quarter_turns_change_nothing(theta):
    assert same_angle(mirror(mirror(theta)), theta, 1e-8)
    assert same_angle(quarter_turn(theta, 4), theta, 1e-8)
    assert same_angle(quarter_turn(mirror(theta), -1), mirror(quarter_turn(theta)), 1e-8)


def test_rayleigh_holds_its_level_for_independent_angles_and_sees_a_lean():
    rng = np.random.default_rng(0)
    p = np.array([rayleigh_p(rng.uniform(-np.pi, np.pi, 20)) for _ in range(2000)])
    assert 0.04 < (p <= 0.05).mean() < 0.06
    assert stats.kstest(p, "uniform").pvalue > 0.01
    large = np.array([rayleigh_p(rng.uniform(-np.pi, np.pi, 500)) for _ in range(500)])
    assert 0.03 < (large <= 0.05).mean() < 0.07
    assert rayleigh_p(rng.vonmises(1.0, 1.0, 50)) < 1e-4
    assert rayleigh_p(np.full(30, 0.7)) < 1e-12
    assert np.isnan(rayleigh_p(np.array([np.nan])))


def test_rayleigh_tends_to_its_chi_square():
    # 2 n R^2 is chi-square with 2 degrees of freedom for many angles
    angles = np.random.default_rng(1).vonmises(0, 0.05, 4000)
    statistic = 2 * len(angles) * resultant_length(angles) ** 2
    assert rayleigh_p(angles) == pytest.approx(stats.chi2.sf(statistic, 2), rel=0.02)


@pytest.mark.parametrize("n", [1, 2, 5, 20, 100])
def test_length_by_chance(n):
    rng = np.random.default_rng(n)
    drawn = np.abs(np.exp(1j * rng.uniform(-np.pi, np.pi, (20_000, n))).mean(1))
    assert float(resultant_by_chance(n)) == pytest.approx(drawn.mean(), rel=0.025)
    assert np.isnan(resultant_by_chance(0))
