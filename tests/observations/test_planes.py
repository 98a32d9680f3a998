"""Planes and hue against color theory, scikit-learn and rotations."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hueprobe.errors import InputError, ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.hue.planes import (
    across,
    choose_axis,
    fit_plane,
    hue_map,
    plane_through,
    pool,
    random_plane,
    saturation,
    uniform_axis,
)

color = arrays(float, 3, elements=st.floats(0, 1))
RGB = fit_plane("rgb", np.zeros((0, 3)), np.zeros(0, int), uniform_axis(3))


def degrees_apart(a, b):
    return abs((a - b + 180) % 360 - 180)


@given(color)
def test_the_rgb_plane_gives_hsi_hue(rgb):
    r, g, b = rgb
    if np.ptp(rgb) < 1e-3:
        return
    expected = np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b)
    assert degrees_apart(np.degrees(RGB.hue(rgb)), np.degrees(expected)) < 1e-6


@given(color)
def test_hsv_hue_differs_by_at_most_1_12_degrees(rgb):
    if np.ptp(rgb) < 1e-3:
        return
    hsv = 360 * colorsys.rgb_to_hsv(*rgb)[0]
    assert degrees_apart(np.degrees(RGB.hue(rgb)), hsv) < 1.125


def test_and_the_difference_is_reached():
    green = np.linspace(0, 1, 2001)
    rgb = np.column_stack([np.ones_like(green), green, np.zeros_like(green)])
    hsv = 360 * np.array([colorsys.rgb_to_hsv(*row)[0] for row in rgb])
    apart = degrees_apart(np.degrees(RGB.hue(rgb)), hsv)
    assert apart.max() == pytest.approx(1.12, abs=0.005)
    for primary, angle in (([1, 0, 0], 0), ([0, 1, 0], 120), ([0, 0, 1], -120), ([1, 1, 0], 60)):
        assert np.degrees(RGB.hue(np.array(primary, float))) == pytest.approx(angle)


def test_gray_has_no_hue_and_no_saturation():
    gray = np.array([[0.3, 0.3, 0.3], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert np.isnan(RGB.hue(gray)).all()
    assert saturation(gray, RGB.axis)[[0, 2]] == pytest.approx(0, abs=1e-7)
    assert np.isnan(saturation(gray, RGB.axis)[1])
    assert saturation(np.array([[1.0, -1.0, 0.0]]), RGB.axis) == pytest.approx(1)


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_saturation_is_the_sine_and_length_does_not_matter(seed, scale):
    rng = np.random.default_rng(seed)
    vector, axis = rng.normal(size=6), choose_axis(rng.normal(size=6), np.ones(6))[1]
    cosine = vector @ axis / np.linalg.norm(vector)
    assert saturation(vector, axis) == pytest.approx(np.sqrt(1 - cosine**2), abs=1e-7)
    plane = random_plane(axis, rng)
    assert plane.hue(scale * vector) == pytest.approx(plane.hue(vector))
    assert plane.hue(vector + 3 * axis) == pytest.approx(plane.hue(vector), abs=1e-6)
    assert abs(across(vector, axis) @ axis) < 1e-12


@pytest.mark.parametrize("name", ["pca", "lda", "dft"])
def test_every_plane_is_orthonormal_and_lies_across_the_axis(name):
    rng = np.random.default_rng(0)
    vectors, labels = rng.random((60, 8)), np.repeat(np.arange(4), 15)
    for axis in (uniform_axis(8), choose_axis("mean", vectors.mean(0))[1]):
        plane = fit_plane(name, vectors, labels, axis)
        np.testing.assert_allclose(plane.basis @ plane.basis.T, np.eye(2), atol=1e-12)
        np.testing.assert_allclose(plane.basis @ axis, 0, atol=1e-12)
        again = fit_plane(name, vectors, labels, axis)
        np.testing.assert_array_equal(again.basis, plane.basis)


def test_the_sign_of_a_fitted_direction_is_fixed():
    rng = np.random.default_rng(8)
    for _ in range(5):
        plane = fit_plane("pca", rng.random((60, 8)), np.repeat(np.arange(4), 15), uniform_axis(8))
        assert plane.basis[0, np.abs(plane.basis[0]).argmax()] > 0


def test_dft_of_three_channels_is_the_rgb_plane():
    rgb = np.random.default_rng(1).random((20, 3))
    dft = fit_plane("dft", rgb, np.zeros(20, int), uniform_axis(3))
    np.testing.assert_allclose(dft.hue(rgb), RGB.hue(rgb), atol=1e-9)


def test_a_planted_plane_is_found():
    rng = np.random.default_rng(2)
    axis = uniform_axis(30)
    planted = random_plane(axis, rng)
    angle = np.repeat(np.arange(6), 40) * np.pi / 3
    points = np.column_stack([np.cos(angle), np.sin(angle)])
    vectors = points @ planted.basis + rng.normal(0, 0.3, (240, 30)) + 2 * axis
    for name in ("pca", "lda"):
        plane = fit_plane(name, vectors, np.repeat(np.arange(6), 40), axis)
        # cosines of the principal angles between the two planes
        cosines = np.linalg.svd(plane.basis @ planted.basis.T)[1]
        assert (cosines > 0.97).all(), name


def test_lda_uses_ledoit_and_wolfs_covariance_and_the_discriminants():
    from sklearn import covariance
    from sklearn import discriminant_analysis as analysis

    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(3), 50)  # three classes: the discriminants span exactly a plane
    vectors = rng.normal(size=(150, 5)) @ rng.normal(size=(5, 5)) + rng.normal(0, 1, (3, 5))[labels]
    axis = uniform_axis(5)
    parts = across(vectors, axis)
    residuals = parts - np.stack([parts[labels == c].mean(0) for c in range(3)])[labels]
    shrunk, amount = covariance.ledoit_wolf(residuals, assume_centered=True)
    reference = analysis.LinearDiscriminantAnalysis(solver="eigen", shrinkage=amount)
    reference.fit(parts, labels)
    means = np.stack([parts[labels == c].mean(0) for c in range(3)])
    span = np.linalg.qr(np.linalg.solve(shrunk, (means - means.mean(0)).T)[:, :2])[0]
    plane = fit_plane("lda", vectors, labels, axis)
    ours = np.linalg.svd(plane.basis @ across(span.T, axis).T)[1]
    assert ours.min() > 0.99


def test_two_classes_still_give_a_plane():
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 20)
    vectors = rng.random((40, 6)) + labels[:, None] * np.array([1, -1, 0, 0, 0, 0])
    for name in ("pca", "lda"):
        plane = fit_plane(name, vectors, labels, uniform_axis(6))
        assert abs(np.corrcoef(plane.coordinates(vectors)[:, 0], labels)[0, 1]) > 0.8
    one = fit_plane("pca", vectors, np.zeros(40, int), uniform_axis(6))  # one class: its own spread
    np.testing.assert_allclose(one.basis @ one.basis.T, np.eye(2), atol=1e-12)


def test_refusals():
    axis = uniform_axis(8)
    with pytest.raises(InputError, match="plane 'rgb' is for 3 channels, the vectors have 8"):
        fit_plane("rgb", np.ones((2, 8)), np.zeros(2, int), axis)
    with pytest.raises(InputError, match="unknown plane 'hsv'; choose one of: rgb, pca, lda, dft"):
        fit_plane("hsv", np.ones((2, 8)), np.zeros(2, int), axis)
    with pytest.raises(InputError, match="needs at least 3 channels, the vectors have 2"):
        fit_plane("dft", np.ones((2, 2)), np.zeros(2, int), uniform_axis(2))
    with pytest.raises(InputError, match="span no plane across the axis"):
        plane_through(np.arange(8.0), 2 * np.arange(8.0) + 1, axis)  # parallel across the axis
    with pytest.raises(InputError, match="span no plane across the axis"):
        fit_plane("pca", np.ones((5, 8)), np.zeros(5, int), axis)
    with pytest.raises(ShapeError, match="7 channels cannot span a plane across 8"):
        plane_through(np.ones(7), np.arange(7.0), axis)
    with pytest.raises(InputError, match="choose one of: uniform, mean"):
        choose_axis("gray", np.ones(8))
    with pytest.raises(InputError, match="axis 'given' is the zero vector"):
        choose_axis(np.zeros(8), np.ones(8))
    with pytest.raises(ShapeError, match=r"shape \(4,\), the vectors have 8"):
        choose_axis(np.ones(4), np.ones(8))


@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_streaming_gives_what_whole_arrays_give(size):
    rng = np.random.default_rng(5)
    raw = rng.random((4, 2, 3, 7))
    raw[1, 0, 2] = 0  # a zero vector
    raw[3] = 0  # an image without energy
    energy = (raw**2).sum(-1)
    norm = np.sqrt(energy)[..., None]
    unit = np.divide(raw, norm, out=np.zeros_like(raw), where=norm > 0).astype(np.float32).reshape(-1, 7)
    blocks = [(start, unit[start : start + size]) for start in range(0, 24, size)]
    pooled = pool(blocks, energy)
    expected = raw.mean((1, 2))
    expected[:3] /= np.linalg.norm(expected[:3], axis=1, keepdims=True)
    np.testing.assert_allclose(pooled.vectors, expected, atol=1e-6)
    np.testing.assert_allclose(pooled.mean, unit.sum(0) / (energy > 0).sum(), rtol=1e-5)
    plane = random_plane(uniform_axis(7), rng)
    found = hue_map(blocks, plane, n_images=4, grid=Grid(2, 3))
    np.testing.assert_allclose(found.hue, plane.hue(unit).reshape(4, 2, 3), atol=1e-5)
    assert np.isnan(found.hue[1, 0, 2]) and np.isnan(found.saturation[3]).all()
    assert not found.signed
    assert hue_map([(0, -unit)], plane, n_images=4, grid=Grid(2, 3)).signed
