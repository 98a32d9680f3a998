"""The blocked replicate test: slow oracle, level, power, and the inputs on which it cannot decide."""

from itertools import permutations, product

import numpy as np
import pytest

from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.observations.locations.blocks import BlockPositions, block_labels, search_blocks
from hueprobe.observations.locations.replicate_test import blocked_replicate_test, replicate_test


def drawn(rng, n_blocks, sizes, *, sd=1.0, effect=None, lean=1.0):
    """Positions as they come from `sizes` images a class in each block, with class effects (M, 2)."""
    n_classes = len(sizes)
    sd = np.broadcast_to(sd, n_classes)
    position, squares = np.zeros((n_blocks, n_classes, 2)), np.zeros(n_classes)
    for c, n in enumerate(sizes):
        images = rng.normal(0, sd[c], (n_blocks, n, 2))
        position[:, c] = images.mean(1)
        squares[c] = ((images - images.mean(1, keepdims=True)) ** 2).sum()
    if effect is not None:
        position += effect
    position += rng.normal(0, lean, (n_blocks, 1, 2))
    degrees = np.array([2 * n_blocks * (n - 1) for n in sizes])
    variance = np.divide(squares, degrees, out=np.full(n_classes, np.nan), where=degrees > 0)
    return BlockPositions(
        tuple(f"c{c}" for c in range(n_classes)), position, np.tile(sizes, (n_blocks, 1)), variance, degrees
    )


def slow_statistic(z):
    total = 0.0
    for b in range(len(z)):
        for other in range(b + 1, len(z)):
            for c in range(z.shape[1]):
                total += z[b, c] @ z[other, c]
    return total


def test_effect_is_the_slow_sum():
    positions = drawn(np.random.default_rng(0), 4, [5] * 6, effect=np.arange(12).reshape(6, 2) / 5)
    z = positions.position - positions.position.mean(1, keepdims=True)
    result = replicate_test(positions, seed=0, n_permutations=99)
    assert result.both.effect.estimate == pytest.approx(np.sqrt(slow_statistic(z) / 6 / 5))
    assert result.u.effect.estimate == pytest.approx(np.sqrt(slow_statistic(z[..., :1]) / 6 / 5))
    squares = [part.effect.estimate**2 for part in (result.u, result.v)]
    assert result.both.effect.estimate**2 == pytest.approx(sum(squares))
    np.testing.assert_allclose(result.position, z.mean(0))


def test_p_is_the_share_of_all_arrangements():
    # three classes of equal size and spread: precision is one number, so all 6^4 arrangements can be listed
    positions = drawn(np.random.default_rng(3), 5, [4] * 3, effect=[[0.4, 0], [0, 0], [-0.4, 0.2]])
    equal = BlockPositions(
        positions.classes, positions.position, positions.n_images, np.ones(3), positions.degrees
    )
    z = equal.position - equal.position.mean(1, keepdims=True)
    observed = slow_statistic(z)
    null = []
    for orders in product(list(permutations(range(3))), repeat=4):
        moved = np.concatenate([z[:1], [z[b + 1][list(order)] for b, order in enumerate(orders)]])
        null.append((moved.sum(0) ** 2).sum() / 2 - (moved**2).sum() / 2)
    exact = np.mean(np.array(null) >= observed - 1e-12)
    result = replicate_test(equal, seed=0, n_permutations=20_000)
    assert 0.01 < exact < 0.5  # a case worth telling apart
    assert result.both.p == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))


def test_a_lean_of_the_whole_set_does_not_matter():
    rng = np.random.default_rng(1)
    positions = drawn(rng, 4, [6] * 5, effect=rng.normal(0, 0.5, (5, 2)))
    shifted = BlockPositions(
        positions.classes,
        positions.position + rng.normal(0, 50, (4, 1, 2)),
        positions.n_images,
        positions.variance,
        positions.degrees,
    )
    one, other = (replicate_test(p, seed=0, n_permutations=199) for p in (positions, shifted))
    assert other.both.effect.estimate == pytest.approx(one.both.effect.estimate)
    assert other.both.p == one.both.p


def test_mirroring_all_images_changes_no_verdict():
    rng = np.random.default_rng(2)
    positions = drawn(rng, 4, [6, 3, 9, 5], effect=rng.normal(0, 0.5, (4, 2)))
    mirrored = BlockPositions(
        positions.classes,
        positions.position * [-1, 1],
        positions.n_images,
        positions.variance,
        positions.degrees,
    )
    one, other = (replicate_test(p, seed=0, n_permutations=199) for p in (positions, mirrored))
    np.testing.assert_allclose(other.position, one.position * [-1, 1])
    assert (one.both.p, one.u.p, one.v.p) == (other.both.p, other.u.p, other.v.p)


@pytest.mark.parametrize(
    "n_blocks, sizes, sd",
    [
        (4, [6] * 8, 1.0),
        (4, [2] * 4 + [12] * 4, 1.0),  # some classes have few images
        (4, [6] * 8, [3.0] + [1.0] * 7),  # one class is diffuse
        (11, [3, 12], [1.0, 2.0]),
    ],
)
def test_level(n_blocks, sizes, sd):
    rng = np.random.default_rng(7)
    runs, rejected, family, clear = 300, np.zeros(3), 0, 0
    for run in range(runs):
        result = replicate_test(drawn(rng, n_blocks, sizes, sd=sd), seed=run, n_permutations=199)
        rejected += [part.p <= 0.05 for part in (result.both, result.u, result.v)]
        family += (result.class_p_adjusted <= 0.05).any()
        clear += result.both.effect.low > 0
    assert (rejected / runs <= 0.085).all(), rejected / runs  # 5 % and 2.8 standard errors
    assert family / runs <= 0.085, family / runs
    assert clear / runs <= 0.05, clear / runs


def test_power_against_a_planted_effect_and_the_class_that_has_it():
    rng = np.random.default_rng(8)
    effect = np.zeros((10, 2))
    effect[3] = [0, 1.5]  # image spread 1, 10 images a block: standard error .32
    found, named, others = 0, 0, 0
    for run in range(40):
        result = replicate_test(drawn(rng, 4, [10] * 10, effect=effect), seed=run, n_permutations=999)
        found += result.both.p <= 0.05
        named += result.class_p_adjusted[3] <= 0.05
        others += (np.delete(result.class_p_adjusted, 3) <= 0.05).any()
    assert found >= 36 and named >= 36
    assert others <= 6


def test_interval_covers_the_true_effect():
    rng = np.random.default_rng(9)
    effect = rng.normal(0, 0.4, (8, 2))
    true = np.sqrt(((effect - effect.mean(0)) ** 2).sum() / 7)
    inside, low_misses = 0, 0
    for _ in range(300):
        interval = replicate_test(drawn(rng, 4, [8] * 8, effect=effect), seed=0, n_permutations=1).both.effect
        inside += interval.low <= true <= interval.high
        low_misses += interval.low > true
    assert inside >= 0.9 * 300
    assert low_misses <= 0.04 * 300


def test_all_the_way_from_matches(simulate_matches):
    labels = np.repeat(np.arange(6), 16)
    blocks = block_labels([f"{i}" for i in range(96)], labels, n_blocks=4)
    rng = np.random.default_rng(10)
    up = np.column_stack([np.zeros(6), [1, -1, 0, 0, 0, 0]])
    found = search_blocks(
        blocks, lambda rows: simulate_matches(rng, labels, rows, grid=Grid(5, 5), k=1, shift=up)
    )
    result = blocked_replicate_test(found, seed=0, n_permutations=999)
    assert result.undecided is None and result.n_images == 96
    assert result.v.p <= 0.01 < result.u.p
    assert result.both.effect.low > 0
    assert result.position[0, 1] > 0.3 and result.position[1, 1] < -0.3
    assert (result.class_p_adjusted[:2] <= 0.05).all() and (result.class_p_adjusted[2:] > 0.05).all()
    again = blocked_replicate_test(found, seed=0, n_permutations=999)
    assert again.both.p == result.both.p
    assert result.u.effect.p_value == result.u.p


def test_a_class_without_a_position_in_some_block_is_left_out():
    positions = drawn(np.random.default_rng(11), 4, [5] * 5)
    positions.position[2, 1] = np.nan
    positions.n_images[2, 1] = 0
    result = replicate_test(positions, seed=0, n_permutations=99)
    assert result.left_out == ("c1",) and result.classes == ("c0", "c2", "c3", "c4")
    assert result.undecided is None and 0 < result.both.p <= 1
    assert result.class_p.shape == (4,)


def test_two_classes_need_eleven_blocks():
    few = replicate_test(drawn(np.random.default_rng(12), 4, [9, 9]), seed=0)
    assert "8 arrangements of labels" in few.undecided and "make 11 blocks" in few.undecided
    assert np.isnan(few.both.p) and np.isnan(few.class_p).all()
    assert np.isfinite(few.both.effect.estimate)
    effect = [[1.0, 0.5], [0.0, 0.0]]
    enough = replicate_test(drawn(np.random.default_rng(13), 11, [9, 9], effect=effect), seed=0)
    assert enough.undecided is None and enough.both.p < 0.01
    # what one class is above the mean, the other is below it: one claim, not two
    assert enough.class_p == pytest.approx(enough.both.p, abs=0.002)


@pytest.mark.parametrize("labels", [np.zeros(8, int), np.arange(8), np.repeat([0, 1], [3, 3])])
def test_too_few_images_or_classes_are_undecided(simulate_matches, labels):
    blocks = block_labels([f"{i}" for i in range(len(labels))], labels, n_blocks=4)
    rng = np.random.default_rng(14)
    found = search_blocks(blocks, lambda rows: simulate_matches(rng, labels, rows, grid=Grid(3, 3)))
    result = blocked_replicate_test(found, seed=0)
    assert "have same-class matches in all" in result.undecided
    assert "at least 2 are needed" in result.undecided
    assert np.isnan([result.both.p, result.both.effect.estimate]).all()


def test_one_block_is_an_error():
    with pytest.raises(InputError, match="got 1 block; at least 2"):
        replicate_test(drawn(np.random.default_rng(15), 1, [5, 5]), seed=0)
