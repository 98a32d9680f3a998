"""Flips and the algebra of content and network; positions against slow loops."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hueprobe.errors import InputError, ShapeError
from hueprobe.grid import Grid
from hueprobe.images.motions import FLIPS
from hueprobe.observations.interventions.image_positions import ImagePositions
from hueprobe.observations.interventions.own_block import matched_positions, nearest_in_block
from hueprobe.observations.interventions.simulation import simulate
from hueprobe.observations.interventions.symmetries import decompose, parse_flips, separable

NUMBERS = arrays(np.float64, (4, 3, 2), elements=st.floats(-5, 5))


def test_the_decomposition_worked_by_hand():
    """Identity, left-right mirror, half turn: the formulas of the review."""
    e, h, r = (0.7, 1.0), (-0.1, 0.8), (-0.5, -1.2)
    found = decompose(np.array([e, h, r]), ("e", "h", "r"))
    # o_u = (.7 - mean(-.1, -.5)) / 2, o_v = (mean(1, .8) - -1.2) / 2; n with plus signs
    np.testing.assert_allclose(found.content, [0.5, 1.05])
    np.testing.assert_allclose(found.network, [0.2, -0.15])
    v = (0.9, -0.6)
    whole = decompose(np.array([e, h, r, v]), ("e", "h", "r", "v"))
    np.testing.assert_allclose(whole.content, [(0.8 + 0.3) / 2, (0.9 + 0.9) / 2])
    np.testing.assert_allclose(whole.network, [(0.8 - 0.3) / 2, 0], atol=1e-15)


@pytest.mark.parametrize(
    "flips", [flips for n in (2, 3, 4) for flips in itertools.combinations(FLIPS, n) if "e" in flips]
)
def test_known_parts_are_recovered_wherever_flips_separate_them(flips):
    rng = np.random.default_rng(0)
    content, network = rng.normal(size=(2, 5, 2))
    seen = np.array([content * FLIPS[flip] + network for flip in flips])
    found = decompose(seen, flips)
    for axis, separated in enumerate(separable(flips)):
        if separated:
            np.testing.assert_allclose(found.content[:, axis], content[:, axis])
            np.testing.assert_allclose(found.network[:, axis], network[:, axis])
        else:
            assert np.isnan(found.content[:, axis]).all() and np.isnan(found.network[:, axis]).all()


@given(NUMBERS, st.sampled_from(sorted(FLIPS)))
def test_whatever_positions_are_content_flips_with_the_images_and_network_does_not(positions, flip):
    """For any positions under the four flips: start from images that are flipped already."""
    names = list(FLIPS)
    of_product = []
    for name in names:
        signs = tuple(a * b for a, b in zip(FLIPS[name], FLIPS[flip], strict=True))
        of_product.append(next(i for i, other in enumerate(names) if FLIPS[other] == signs))
    first, again = decompose(positions, names), decompose(positions[of_product], names)
    np.testing.assert_allclose(again.content, first.content * FLIPS[flip], atol=1e-12)
    np.testing.assert_allclose(again.network, first.network, atol=1e-12)


@given(NUMBERS)
def test_both_parts_add_up_to_the_position_as_is_where_the_model_holds(numbers):
    content, network = numbers[0], numbers[1]
    seen = np.array([content * FLIPS[flip] + network for flip in FLIPS])
    found = decompose(seen, tuple(FLIPS))
    np.testing.assert_allclose(found.content + found.network, seen[0], atol=1e-12)


@pytest.mark.parametrize("wrong", ["h,r", "e,e,r", "e,q", "e", ""])
def test_refuses_flips_that_separate_nothing(wrong):
    with pytest.raises(InputError, match="flips"):
        parse_flips(wrong)


def test_flips_may_be_named_in_any_order():
    assert parse_flips(" v, e ,h") == ("e", "h", "v")
    assert separable(("e", "h", "v")) == (True, True) and separable(("e", "v")) == (False, True)


def test_refuses_positions_of_another_shape():
    with pytest.raises(ShapeError, match="3 flips need"):
        decompose(np.zeros((2, 5, 2)), ("e", "h", "r"))


def drawn_lists(seed, *, n_images=6, n_cells=4, depth=15):
    """Neighbor lists of every vector of some images, own image excluded, in a random order."""
    rng = np.random.default_rng(seed)
    ids = []
    for vector in range(n_images * n_cells):
        others = [i for i in range(n_images * n_cells) if i // n_cells != vector // n_cells]
        ids.append(rng.permutation(others)[:depth])
    return np.array(ids, np.int32)


@pytest.mark.parametrize("seed", range(5))
def test_neighbors_within_a_block_are_the_first_that_lie_in_it(seed):
    ids, n_cells, k = drawn_lists(seed), 4, 3
    rng = np.random.default_rng(seed + 100)
    block = np.array([0, 0, 1, 1, 1, 0])[rng.permutation(6)]
    own = np.repeat(block, n_cells)
    found, deep = nearest_in_block(ids, ids // n_cells, block, own, k)
    for row, listed in enumerate(ids):
        inside = [i for i in listed if block[i // n_cells] == own[row]]
        assert found[row].tolist() == (inside + [-1] * k)[:k]
        assert deep[row] == (len(inside) >= k)


def test_a_list_that_ends_is_deep_enough():
    ids = np.array([[4, 8, -1, -1], [4, 8, 12, 5]], np.int32)
    found, deep = nearest_in_block(ids, ids // 4, np.array([0, 0, 1, 1]), np.array([0, 0]), 3)
    assert found.tolist() == [[4, -1, -1], [4, 5, -1]] and deep.tolist() == [True, False]


@pytest.mark.parametrize("weighted", [False, True])
def test_matched_positions_are_a_slow_loop(weighted):
    grid, rng = Grid(2, 3), np.random.default_rng(1)
    n_images = 7
    label = np.array([0, 1, 0, 1, 2, 0, -1])
    image = np.repeat(np.arange(n_images), grid.n_cells)
    ids = rng.integers(-1, n_images * grid.n_cells, (len(image), 4))
    energy = rng.random(n_images * grid.n_cells) if weighted else None
    found = matched_positions(ids, image, label, label, grid, energy)
    for query in range(n_images):
        total, sums = 0.0, np.zeros(2)
        for row in np.flatnonzero(image == query):
            for vector in ids[row]:
                if vector < 0 or label[query] < 0 or label[vector // 6] != label[query]:
                    continue
                y, x = divmod(vector % 6, 3)
                weight = 1.0 if energy is None else energy[vector]
                total += weight
                sums += weight * np.array([x - 1.0, 0.5 - y])  # v points up
        expected = sums / total if total else [np.nan, np.nan]
        np.testing.assert_allclose(found[query], expected)
    assert np.isnan(found[6]).all()


def test_image_positions_refuse_parts_that_do_not_fit():
    good = simulate([(1, 0), (0, 1), (0, 0)], np.zeros((3, 2)), n_images=10, seed=0, n_deals=2)
    with pytest.raises(ShapeError, match="positions have shape"):
        ImagePositions(
            good.classes,
            good.flips,
            good.estimators,
            good.image_class[1:],
            good.unit,
            good.block,
            good.position,
        )
    with pytest.raises(InputError, match="in the order e, h, r, v"):
        ImagePositions(
            good.classes, ("e", "v", "h", "r"), good.estimators, good.image_class, good.unit, good.block,
            good.position,
        )  # fmt: skip
    some = good.select(("h", "e"))
    assert some.flips == ("e", "h")
    np.testing.assert_array_equal(some.of("energy"), good.of("energy")[:2])
    with pytest.raises(InputError, match="no positions by 'plain'"):
        good.of("plain")
