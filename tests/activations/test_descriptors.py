"""Descriptors against slow loops and cases worked by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies
from hypothesis.extra.numpy import arrays

from hueprobe.activations import DESCRIPTORS, describe, pooled_from_vectors, unit_vectors
from hueprobe.activations.descriptors import rmac, rmac_regions
from hueprobe.errors import InputError, NumericsError, ShapeError


@pytest.fixture
def activations():
    rng = np.random.default_rng(0)
    grids = rng.normal(size=(2, 4, 5, 7)).astype(np.float32)
    grids[1, :, 2, 3] = 0
    return grids


def slow(grid, descriptor):
    """One image (C, H, W), cell by cell."""
    channels, height, width = grid.shape
    if descriptor == "flat":
        return [grid[c, y, x] for c in range(channels) for y in range(height) for x in range(width)]
    pooled = []
    for channel in grid:
        values = [float(value) for row in channel for value in row]
        if descriptor == "gap":
            pooled.append(sum(values) / len(values))
        elif descriptor == "gmp":
            pooled.append(max(values))
        else:
            pooled.append((sum(max(value, 1e-6) ** 3 for value in values) / len(values)) ** (1 / 3))
    return pooled


@pytest.mark.parametrize("descriptor", ["gap", "gmp", "gem", "flat"])
def test_pooled_descriptors_equal_loops(activations, descriptor):
    described = describe(activations, descriptor)
    assert described.shape == (2, 140 if descriptor == "flat" else 4, 1, 1)
    assert described.dtype == np.float32
    for grid, vector in zip(activations, described, strict=True):
        np.testing.assert_allclose(vector.ravel(), slow(grid, descriptor), rtol=1e-5, atol=1e-7)


def test_pixel_is_the_grid_itself(activations):
    np.testing.assert_array_equal(describe(activations, "pixel"), activations)


def test_gem_clamps_and_lies_between_mean_and_maximum():
    grid = np.array([[[[2.0, 0.0], [0.0, 0.0]]], [[[-1.0, -1.0], [-1.0, -1.0]]]])
    gem = describe(grid, "gem").ravel()
    np.testing.assert_allclose(gem[0], (8 / 4) ** (1 / 3))  # mean of 2^3, 0, 0, 0 is 2
    np.testing.assert_allclose(gem[1], 1e-6)


def test_rmac_worked_by_hand():
    # 2 x 2 cells, 2 channels. l = 1: side 2, the whole grid, maxima (3, 4), unit (.6, .8).
    # l = 2: side floor(4/3) = 1: the four cells, unit (1, 0), (0, 1), zero (left out), (.6, .8).
    # l = 3: side floor(4/4) = 1, three by three starts floor(i/2) = 0, 0, 1: cells once, twice or four
    # times over: (y, x) = (0, 0) 4 times, (0, 1) twice, (1, 0) twice, (1, 1) once.
    grid = np.zeros((1, 2, 2, 2))
    grid[0, :, 0, 0] = 2, 0
    grid[0, :, 0, 1] = 0, 4
    grid[0, :, 1, 1] = 3, 4
    grid[0, :, 1, 1] *= 0.5  # maxima are then (2, 4), unit (2, 4) / sqrt(20)
    whole = np.array([2, 4]) / np.sqrt(20)
    expected = (
        whole
        + ([1, 0] + np.array([0, 1]) + [0.6, 0.8])
        + (4 * np.array([1, 0]) + 2 * np.array([0, 1]) + [0.6, 0.8])
    )
    np.testing.assert_allclose(rmac(grid)[0], expected)
    assert describe(grid, "rmac").shape == (1, 2, 1, 1)


def test_rmac_regions_of_a_7_by_7_grid():
    # sides 7, floor(14/3) = 4, floor(14/4) = 3; starts 0; 0, 3; 0, 2, 4
    expected = [(0, 0, 7)]
    expected += [(y, x, 4) for y in (0, 3) for x in (0, 3)]
    expected += [(y, x, 3) for y in (0, 2, 4) for x in (0, 2, 4)]
    assert rmac_regions(7, 7) == expected


def test_rmac_regions_of_a_long_grid_overlap_by_about_40_percent():
    # 6 x 15: n squares of side 6 along 15 lie 9/(n-1) apart and overlap by 1 - 9/(n-1)/6:
    # n = 2: -.5, n = 3: .25, n = 4: .5, n = 5: .625. Nearest to .4 is n = 4 (.1 against .15), 3 apart.
    first = [region for region in rmac_regions(6, 15) if region[2] == 6]
    assert first == [(0, 0, 6), (0, 3, 6), (0, 6, 6), (0, 9, 6)]
    # l = 2: side 4, 2 along 6 (0, 2) and 5 along 15: i * 11 / 4 rounded down
    second = [region for region in rmac_regions(6, 15) if region[2] == 4]
    assert second == [(y, x, 4) for y in (0, 2) for x in (0, 2, 5, 8, 11)]
    turned = [(left, top, side) for top, left, side in rmac_regions(15, 6)]
    assert sorted(turned) == sorted(rmac_regions(6, 15))


@given(strategies.integers(1, 20), strategies.integers(1, 20))
def test_rmac_regions_lie_inside_and_reach_every_edge(height, width):
    regions = rmac_regions(height, width)
    assert all(
        0 <= top <= height - side and 0 <= left <= width - side and side > 0 for top, left, side in regions
    )
    assert max(top + side for top, _, side in regions) == height
    assert max(left + side for _, left, side in regions) == width
    assert (0, 0, min(height, width)) in regions


@given(arrays(np.float32, (2, 3, 2, 4), elements=strategies.floats(-(2.0**50), 2.0**50, width=32)))
def test_unit_vectors_have_length_one_and_give_the_activations_back(activations):
    vectors, energy = unit_vectors(activations)
    assert vectors.shape == (2, 2, 4, 3)
    assert vectors.dtype == energy.dtype == np.float32
    norms = np.linalg.norm(vectors.astype(float), axis=-1)
    np.testing.assert_allclose(norms[energy > 0], 1, atol=1e-6)
    assert (norms[energy == 0] == 0).all()
    cells = np.moveaxis(activations, 1, -1).astype(float)
    np.testing.assert_allclose(energy, (cells**2).sum(-1), rtol=1e-6, atol=1e-45)
    usual = energy > 1e-30  # below, float32 energies have fewer digits
    back = vectors * np.sqrt(energy.astype(float))[..., None]
    assert (np.abs(back - cells)[usual] <= 1e-6 * np.sqrt(energy[usual])[:, None]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_activations_that_are_no_numbers_are_refused(activations, bad):
    activations[1, 2, 0, 0] = bad
    with pytest.raises(NumericsError, match=r"1 of 2 images \(the first is number 1 of the batch\) are NaN"):
        unit_vectors(activations)


@pytest.mark.parametrize("descriptor", DESCRIPTORS)
def test_pooled_from_vectors_equals_describe(activations, descriptor):
    vectors, energy = unit_vectors(activations)
    pooled = pooled_from_vectors(vectors, energy, descriptor)
    np.testing.assert_allclose(pooled, describe(activations, descriptor), rtol=1e-5, atol=1e-5)
    assert pooled.dtype == np.float32


def test_messages(activations):
    with pytest.raises(InputError) as error:
        describe(activations, "max")
    assert all(descriptor in str(error.value) for descriptor in DESCRIPTORS)
    for shape in [(3, 4, 5), (2, 3, 0, 4), (2, 0, 3, 4)]:
        with pytest.raises(ShapeError, match=r"must be \(n, C, H, W\)"):
            describe(np.zeros(shape), "gap")
    with pytest.raises(ShapeError, match=r"must be \(n, C, H, W\)"):
        unit_vectors(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="differ"):
        pooled_from_vectors(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 3)), "gap")


def test_no_images_are_no_error():
    for descriptor, channels in itertools.product(DESCRIPTORS, (1, 3)):
        assert len(describe(np.zeros((0, channels, 2, 2), np.float32), descriptor)) == 0
    vectors, energy = unit_vectors(np.zeros((0, 3, 2, 2), np.float32))
    assert vectors.shape == (0, 2, 2, 3) and energy.shape == (0, 2, 2)
