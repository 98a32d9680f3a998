"""Relations over classes and over images, against SciPy, slow turns and simulated nulls."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.hue.relations import (
    angle_relation,
    class_angle_relation,
    correlation,
    energy_position,
)

SEVEN = Grid(7, 7)


def test_correlation_is_scipys():
    rng = np.random.default_rng(0)
    a = rng.normal(size=20)
    b = 0.6 * a + rng.normal(size=20)
    found = correlation(a, b, seed=0, n_permutations=9999)
    expected = stats.pearsonr(a, b)
    assert found.r.estimate == pytest.approx(expected.statistic)
    ends = expected.confidence_interval()
    assert (found.r.low, found.r.high) == pytest.approx((ends.low, ends.high))
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)


def test_classes_with_a_gap_are_left_out_and_two_tell_nothing():
    a, b = np.array([1.0, 2, 3, np.nan, 5]), np.array([2.0, 1, 4, 3, 6])
    found = correlation(a, b, seed=0)
    assert found.n_classes == 4
    assert found.r.estimate == pytest.approx(np.corrcoef([1, 2, 3, 5], [2, 1, 4, 6])[0, 1])
    for short in (a[:0], a[:2], np.ones(5)):
        assert np.isnan(correlation(short, b[: len(short)], seed=0).p)
    three = correlation(a[:3], b[:3], seed=0)
    assert np.isfinite(three.p) and np.isnan(three.r.low)


def test_energy_and_position_by_component():
    rng = np.random.default_rng(1)
    centroids = rng.normal(size=(12, 2))
    positions = np.column_stack([centroids[:, 0], rng.normal(size=12)])
    found = energy_position(centroids, positions, seed=0)
    assert found.u.r.estimate == pytest.approx(1) and found.u.p < 0.001
    assert found.v.r.estimate == pytest.approx(np.corrcoef(centroids[:, 1], positions[:, 1])[0, 1])
    with pytest.raises(ShapeError, match="12 energy centroids for 5 class positions"):
        energy_position(centroids, positions[:5], seed=0)


def layout(rng, n, theta, *, sign=1, lock=0.0):
    """Hues that follow sign * theta in images, each turned by a constant of its own unless locked."""
    constant = np.where(rng.random(n) < lock, 0.0, rng.uniform(-np.pi, np.pi, n))
    return sign * theta + constant[:, None, None] + rng.normal(0, 1, (n, *theta.shape))


@pytest.mark.parametrize("sign", [1, -1])
def test_hue_that_follows_the_angle_is_found(sign):
    rng = np.random.default_rng(2)
    theta = SEVEN.theta(*SEVEN.rows_and_columns())
    found = angle_relation(layout(rng, 60, theta, sign=sign, lock=0.5), SEVEN, seed=0, n_permutations=999)
    assert found.p == pytest.approx(0.001)
    strong, weak = (
        (found.with_theta, found.against_theta) if sign == 1 else (found.against_theta, found.with_theta)
    )
    assert strong == pytest.approx(0.5 * np.exp(-0.5), abs=0.12) and weak < 0.1
    assert found.strength == pytest.approx(strong, abs=0.05)


def test_images_with_layouts_of_their_own_are_no_relation():
    rng = np.random.default_rng(3)
    theta = SEVEN.theta(*SEVEN.rows_and_columns())
    p = [angle_relation(layout(rng, 20, theta), SEVEN, seed=run, n_permutations=199).p for run in range(200)]
    assert 0.015 <= np.mean(np.array(p) <= 0.05) <= 0.09


def test_the_null_is_really_turning_and_mirroring_images():
    theta = SEVEN.theta(*SEVEN.rows_and_columns())
    hue = layout(np.random.default_rng(4), 3, theta, lock=0.8)
    known = ~np.isnan(theta)

    def statistic(images):
        with_theta, against = (np.exp(1j * (images + s * theta))[:, known].sum() for s in (-1, 1))
        return abs(with_theta) ** 2 + abs(against) ** 2

    ways = [[np.rot90(image[:, ::step], turns) for turns in range(4) for step in (1, -1)] for image in hue]
    null = np.array([statistic(np.array(choice)) for choice in product(*ways)])
    exact = np.mean(null >= statistic(hue) * (1 - 1e-9))
    found = angle_relation(hue, SEVEN, seed=0, n_permutations=9999)
    assert 0.005 < exact < 0.9
    assert found.p == pytest.approx(exact, abs=0.02)
    assert np.isnan(angle_relation(hue[:1], SEVEN, seed=0).p)  # one image has nothing to agree with


def test_a_group_turns_as_one():
    rng = np.random.default_rng(5)
    theta = SEVEN.theta(*SEVEN.rows_and_columns())
    hue = np.repeat(layout(rng, 6, theta), 10, axis=0)  # six scenes, ten copies each
    alone = angle_relation(hue, SEVEN, seed=0, n_permutations=199)
    grouped = angle_relation(
        hue, SEVEN, seed=0, groups=[f"g{i // 10}" for i in range(60)], n_permutations=199
    )
    assert grouped.with_theta == pytest.approx(alone.with_theta)
    assert grouped.p > alone.p


def test_grids_and_missing_hues():
    rng = np.random.default_rng(6)
    hue = rng.uniform(-np.pi, np.pi, (5, 2, 6))
    hue[0] = np.nan
    assert angle_relation(hue, Grid(2, 6), seed=0, n_permutations=99).n_images == 4
    assert np.isnan(angle_relation(np.full((3, 2, 6), np.nan), Grid(2, 6), seed=0).p)
    with pytest.raises(InputError, match="hue observation needs a grid"):
        angle_relation(np.zeros((3, 1, 1)), Grid(1, 1), seed=0)
    with pytest.raises(ShapeError, match="the grid needs"):
        angle_relation(hue, SEVEN, seed=0)


def test_class_angles():
    rng = np.random.default_rng(7)
    theta = rng.uniform(-np.pi, np.pi, 15)
    found = class_angle_relation(theta, theta + 0.7, seed=0)
    assert found.with_theta == pytest.approx(1) and found.p < 0.01 and found.n_images == 15
    against = class_angle_relation(theta, 0.7 - theta, seed=0)
    assert against.against_theta == pytest.approx(1) and against.p < 0.01
    p = [
        class_angle_relation(rng.normal(0, 1, 10), rng.normal(0, 1, 10), seed=i, n_permutations=199).p
        for i in range(300)
    ]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.09  # though both sides lean one way
    assert np.isnan(class_angle_relation(theta[:2], theta[:2], seed=0).p)
    assert class_angle_relation(np.append(theta, np.nan), np.append(theta, 1.0), seed=0).n_images == 15
