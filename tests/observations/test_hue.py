"""Observation 5: accuracy by angle and class information about the axis, on spaces built for it."""

import numpy as np
import pytest

from hueprobe.errors import HueprobeWarning, InputError, ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.hue.accuracy import hue_accuracy
from hueprobe.observations.hue.hue import axis_information
from hueprobe.observations.hue.hue import measure as measure_hue
from hueprobe.observations.hue.planes import random_plane, uniform_axis


def images(rng, n_classes=4, per_class=20, channels=12, noise=0.3, signal=1.0):
    """Pooled vectors whose class is an angle in one plane; noise everywhere."""
    axis = uniform_axis(channels)
    plane = random_plane(axis, rng)
    labels = np.repeat(np.arange(n_classes), per_class)
    angle = 2 * np.pi * labels / n_classes
    points = signal * np.column_stack([np.cos(angle), np.sin(angle)]) @ plane.basis
    return points + rng.normal(0, noise, (len(labels), channels)) + 3 * axis, labels, plane


def slow_accuracy(features, labels, half, k):
    correct = 0
    for i in range(len(labels)):
        known = np.flatnonzero(half != half[i])
        order = known[np.argsort(np.linalg.norm(features[known] - features[i], axis=1))][:k]
        votes = np.bincount(labels[order], minlength=labels.max() + 1)
        correct += votes.argmax() == labels[i]
    return correct / len(labels)


def test_votes_are_a_slow_neighbor_search():
    from hueprobe.stats.dealing import deal

    rng = np.random.default_rng(0)
    vectors, labels, plane = images(rng, noise=0.8)
    found = hue_accuracy(vectors, labels, seed=5, planes=[plane], n_random=2, k=7)
    half = deal(np.random.default_rng([5, 0]).permutation(len(labels)), labels, n_parts=2)
    points = plane.coordinates(vectors)
    directions = points / np.linalg.norm(points, axis=1, keepdims=True)
    assert found.plane("random").angle.estimate == slow_accuracy(directions, labels, half, 7)
    assert found.plane("random").both.estimate == slow_accuracy(points, labels, half, 7)
    across = vectors - vectors.mean(1, keepdims=True)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    assert found.direction.estimate == slow_accuracy(across, labels, half, 7)
    assert found.chance == pytest.approx(0.25)


def test_the_plane_that_holds_the_classes_beats_random_ones():
    vectors, labels, _ = images(np.random.default_rng(1), n_classes=6)
    found = hue_accuracy(vectors, labels, seed=0, n_random=200)
    pca, dft = found.plane("pca"), found.plane("dft")
    assert pca.angle.estimate > 0.7 and pca.p == pytest.approx(1 / 201)
    assert pca.advantage.low > 0.2
    assert pca.advantage.estimate == pytest.approx(pca.angle.estimate - found.random.mean())
    assert dft.angle.estimate < 0.5 and dft.p > 0.01
    assert abs(found.saturation.estimate - found.chance) < 0.12
    assert found.direction.estimate > 0.75
    assert found.random.shape == (200,)
    assert hue_accuracy(vectors, labels, seed=0, n_random=20).planes[0].angle == pca.angle


def test_a_plane_fitted_to_noise_is_no_better_than_random():
    """Out of sample: fitting on the images that are asked would find classes in pure noise."""
    rng = np.random.default_rng(2)
    p, angle = [], []
    for run in range(60):
        vectors, labels, _ = images(rng, signal=0.0, channels=40, per_class=12)
        found = hue_accuracy(vectors, labels, seed=run, planes=("pca", "lda"), n_random=39)
        p += [plane.p for plane in found.planes]
        angle += [plane.angle.estimate for plane in found.planes]
    assert np.mean(np.array(p) <= 0.05) <= 0.1
    assert np.mean(angle) == pytest.approx(0.25, abs=0.03)


def several_planes(rng, spread, noise):
    """Seven classes in a span of six dimensions, along which they and their images differ by so much."""
    labels = np.repeat(np.arange(7), 20)
    means = rng.normal(size=(7, 6)) * spread
    basis = np.linalg.qr(rng.normal(size=(30, 6)))[0].T
    points = means[labels] + rng.normal(size=(140, 6)) * noise
    return points @ basis + rng.normal(0, 0.15, (140, 30)) + 3 * uniform_axis(30), labels


def test_planes_within_the_span_of_the_class_means_are_the_harder_null():
    """Classes that differ alike in six dimensions: no plane of theirs is special, all beat other planes."""
    vectors, labels = several_planes(np.random.default_rng(21), np.ones(6), np.full(6, 0.15))
    even = hue_accuracy(vectors, labels, seed=0, n_random=99, planes=("pca", "unlabeled"))
    pca = even.plane("pca")
    assert pca.p == 0.01 and pca.advantage.low > 0.1
    assert pca.p_within > 0.05 and pca.beyond_within.low < 0
    high = np.sort(even.within)[94]  # the 95th of 99
    assert pca.beyond_within.estimate == pytest.approx(pca.angle.estimate - high)
    assert even.within.mean() > even.random.mean() + 0.1 and even.within.shape == (99,)
    assert pca.advantage_within.estimate == pytest.approx(pca.angle.estimate - even.within.mean())
    assert even.plane("unlabeled").angle.estimate == pytest.approx(pca.angle.estimate, abs=0.15)
    # images of a class are alike in two dimensions alone, in which classes also differ most
    spread, noise = np.array([3, 3, 1, 1, 1, 1]), np.array([0.1, 0.1, 2, 2, 2, 2])
    vectors, labels = several_planes(np.random.default_rng(23), spread, noise)
    special = hue_accuracy(vectors, labels, seed=0, n_random=99, planes=("pca",)).plane("pca")
    assert special.p_within <= 0.05 and special.beyond_within.low > 0


def test_three_classes_span_no_other_plane():
    vectors, labels, _ = images(np.random.default_rng(22), n_classes=3)
    found = hue_accuracy(vectors, labels, seed=0, n_random=5)
    assert len(found.within) == 0 and np.isnan(found.plane("pca").p_within)
    assert np.isnan(found.plane("pca").advantage_within.estimate)


def test_one_direction_is_a_slow_neighbor_search():
    from hueprobe.stats.dealing import deal

    vectors, labels, _ = images(np.random.default_rng(23), noise=0.8)
    found = hue_accuracy(vectors, labels, seed=5, n_random=2, k=7)
    half = deal(np.random.default_rng([5, 0]).permutation(len(labels)), labels, n_parts=2)
    correct = 0
    for fold in (0, 1):
        known, asked = np.flatnonzero(half == fold), np.flatnonzero(half != fold)
        parts = vectors - vectors.mean(1, keepdims=True)
        means = np.stack([parts[known][labels[known] == c].mean(0) for c in range(4)])
        direction = np.linalg.svd(means - means.mean(0))[2][0]
        for i in asked:
            order = known[np.argsort(abs(parts[known] @ direction - parts[i] @ direction))][:7]
            correct += np.bincount(labels[order], minlength=4).argmax() == labels[i]
    assert found.line.estimate == pytest.approx(correct / len(labels))


def test_groups_do_not_straddle_the_halves():
    rng = np.random.default_rng(3)
    identity = np.repeat(rng.normal(size=(40, 10)), 2, axis=0)  # twins, alike but for a trace
    vectors = identity + rng.normal(0, 0.01, (80, 10))
    labels = np.repeat(np.tile([0, 1], 20), 2)
    groups = [f"g{i // 2}" for i in range(80)]
    apart = hue_accuracy(vectors, labels, seed=0, n_random=5, k=1, groups=groups)
    mixed = hue_accuracy(vectors, labels, seed=0, n_random=5, k=1)
    assert apart.direction.estimate < 0.7 < 0.72 < mixed.direction.estimate
    assert apart.direction.degrees == 39


def test_images_without_label_energy_or_hue():
    vectors, labels, _ = images(np.random.default_rng(4))
    labels[:3] = -1
    vectors[5] = 0
    vectors[7] = uniform_axis(12)  # on the axis: no angle, told wrong
    found = hue_accuracy(vectors, labels, seed=0, n_random=3)
    assert found.n_images == 80 - 3 - 1
    few = hue_accuracy(vectors[[10, 11, 30, 31]], labels[[10, 11, 30, 31]], seed=0, n_random=3, k=10)
    assert (few.n_images, few.k) == (4, 1)  # ten votes would be more than a class has


@pytest.mark.parametrize("labels", [np.zeros(10, int), np.arange(10), np.full(10, -1)])
def test_too_few_classes(labels):
    vectors = np.random.default_rng(5).random((10, 6))
    with pytest.raises(InputError, match="needs two such classes"):
        hue_accuracy(vectors, labels, seed=0)


def test_mismatched_labels_are_refused():
    with pytest.raises(ShapeError, match="3 class ids for 10 pooled vectors"):
        hue_accuracy(np.ones((10, 6)), np.zeros(3, int), seed=0)


def graded(build_matches, rng, slope, *, n_images=16, grid=None, own_effects=0.0):
    """Matches whose chance of being same-class is .5 + slope * (distance - .5)."""
    grid = grid or Grid(4, 4)
    labels = np.arange(n_images) % 2
    distance = rng.random((n_images, *grid.shape))
    query = np.repeat(np.arange(n_images), grid.n_cells * 3)
    cell = np.tile(np.repeat(np.arange(grid.n_cells), 3), n_images)
    chance = 0.5 + slope * (distance[query, cell // grid.width, cell % grid.width] - 0.5)
    chance = np.clip(chance + rng.normal(0, own_effects, n_images)[query], 0, 1)
    same = rng.random(len(query)) < chance
    step = np.where(same, 2, 1) + 2 * rng.integers(0, n_images // 2 - 1, len(query))
    image = (query + step) % n_images
    matches = build_matches(
        query_image=query,
        query_cell=cell,
        image=image,
        cell=rng.integers(0, grid.n_cells, len(query)),
        image_class=labels,
        grid=grid,
    )
    return matches, distance


def test_rates_by_distance_are_slow_means(build_matches):
    matches, distance = graded(build_matches, np.random.default_rng(6), slope=0.8)
    found = axis_information(matches, distance, n_bins=4)
    flat = distance.ravel()
    edges = np.sort(flat)[[0, 64, 128, 192]]
    asked = flat[matches.query_image * 16 + matches.query_cell]
    for b in range(4):
        upper = edges[b + 1] if b < 3 else np.inf
        inside = (asked >= edges[b]) & (asked < upper)
        assert found.rate[b].estimate == pytest.approx(matches.same_class[inside].mean())
        assert found.distance[b] == pytest.approx(flat[(flat >= edges[b]) & (flat < upper)].mean())
    assert found.far_minus_near.estimate == pytest.approx(found.rate[3].estimate - found.rate[0].estimate)
    assert found.far_minus_near.low > 0 and found.far_minus_near_within_cell.low > 0
    assert (np.diff([rate.estimate for rate in found.rate]) > 0).all()


def test_no_slope_is_covered(build_matches):
    rng = np.random.default_rng(7)
    hits = sum(
        found.far_minus_near.low <= 0 <= found.far_minus_near.high
        for found in (
            axis_information(*graded(build_matches, rng, slope=0.0, own_effects=0.2)) for _ in range(100)
        )
    )
    assert hits >= 89


def test_what_both_ends_share_leaves_their_difference(build_matches):
    matches, distance = graded(build_matches, np.random.default_rng(6), slope=0.0, own_effects=0.4)
    found = axis_information(matches, distance, n_bins=2)  # images match well or badly near and far alike
    ends = np.hypot(found.rate[0].standard_error, found.rate[1].standard_error)
    assert found.far_minus_near.standard_error < 0.6 * ends


def test_within_cells_a_border_effect_is_gone(build_matches):
    rng = np.random.default_rng(8)
    grid = Grid(5, 5)
    border = np.ones((5, 5), bool)
    border[1:-1, 1:-1] = False
    labels = np.arange(20) % 2
    distance = rng.random((20, 5, 5)) + border  # cells at the border lie farther from the axis ...
    query = np.repeat(np.arange(20), 25 * 4)
    cell = np.tile(np.repeat(np.arange(25), 4), 20)
    same = rng.random(len(query)) < np.where(border.ravel()[cell], 0.3, 0.8)  # ... and match worse
    matches = build_matches(
        query_image=query,
        query_cell=cell,
        image=(query + np.where(same, 2, 1) + 2 * rng.integers(0, 9, len(query))) % 20,
        cell=cell,
        image_class=labels,
        grid=grid,
    )
    found = axis_information(matches, distance)
    assert found.far_minus_near.high < -0.3
    assert found.far_minus_near_within_cell.low < 0 < found.far_minus_near_within_cell.high


def test_information_refusals_and_unlabeled_queries(build_matches):
    matches, distance = graded(build_matches, np.random.default_rng(9), slope=0.0)
    with pytest.raises(ShapeError, match=r"\(16, 3, 4\); the query images need \(16, 4, 4\)"):
        axis_information(matches, distance[:, 1:])
    with pytest.raises(InputError, match="n_bins is 1"):
        axis_information(matches, distance, n_bins=1)
    blank = build_matches(
        query_image=[0],
        query_cell=[0],
        image=[1],
        cell=[0],
        image_class=[0, 1],
        query_image_class=[-1],
        grid=Grid(2, 2),
    )
    found = axis_information(blank, np.zeros((1, 2, 2)))
    assert np.isnan([rate.estimate for rate in found.rate]).all() and np.isnan(found.far_minus_near.low)


def memory(rng, simulate_matches, *, grid, signed=False, labels=None):
    """Unit vectors (n, H, W, C), energy and leave-one-out matches of a small memory."""
    labels = np.repeat([0, 1, 2], 6) if labels is None else labels
    raw = rng.random((len(labels), *grid.shape, 9)) + 2 * np.eye(9)[labels][:, None, None]
    raw = raw - 0.5 if signed else raw
    energy = (raw**2).sum(-1)
    vectors = (raw / np.sqrt(energy)[..., None]).astype(np.float32).reshape(-1, 9)
    matches = simulate_matches(rng, labels, grid=grid)
    return matches, lambda: iter([(0, vectors[:50]), (50, vectors[50:])]), energy


@pytest.mark.parametrize("axis", ["uniform", "mean", "given"])
def test_the_whole_observation(simulate_matches, axis):
    rng = np.random.default_rng(10)
    matches, blocks, energy = memory(rng, simulate_matches, grid=Grid(4, 4))
    given = np.arange(1.0, 10) if axis == "given" else axis
    found = measure_hue(matches, blocks, energy, seed=0, axis=given, n_random=20, n_permutations=99)
    assert found.axis == axis and not found.signed
    assert [plane.name for plane in found.accuracy.planes] == ["pca", "lda", "dft", "unlabeled"]
    assert found.accuracy.plane("pca").angle.estimate > 0.9
    assert found.map.hue.shape == (18, 4, 4) and found.class_hue.shape == (3,)
    assert (found.class_concentration > 0.8).all()
    assert 0 < found.relation.p <= 1 and found.class_relation.n_images == 3
    assert found.numbers()["full direction"].estimate == 1
    again = measure_hue(matches, blocks, energy, seed=0, axis=given, n_random=20, n_permutations=99)
    assert repr(again.numbers()) == repr(found.numbers())


def test_queries_from_outside_the_memory(simulate_matches, build_matches):
    rng = np.random.default_rng(11)
    matches, blocks, energy = memory(rng, simulate_matches, grid=Grid(3, 3))
    outside = build_matches(
        query_image=np.repeat([0, 1], 9),
        query_cell=np.tile(np.arange(9), 2),
        image=rng.integers(0, 18, 18),
        cell=rng.integers(0, 9, 18),
        image_class=matches.image_class,
        query_image_class=[0, 1],
        grid=Grid(3, 3),
    )
    asked = rng.random((18, 9)).astype(np.float32)
    found = measure_hue(
        outside, blocks, energy, seed=0, query_blocks=lambda: [(0, asked)], n_random=2, n_permutations=9
    )
    cosine = asked.sum(1) / 3 / np.linalg.norm(asked, axis=1)
    expected = np.sort(np.sqrt(1 - cosine**2))
    assert found.information.distance[0] == pytest.approx(expected[:2].mean(), rel=1e-5)


def test_signed_activations_warn(simulate_matches):
    matches, blocks, energy = memory(
        np.random.default_rng(12), simulate_matches, grid=Grid(3, 3), signed=True
    )
    with pytest.warns(HueprobeWarning, match="activations are signed"):
        assert measure_hue(matches, blocks, energy, seed=0, n_random=2, n_permutations=9).signed


def test_whole_observation_refusals(simulate_matches):
    rng = np.random.default_rng(13)
    matches, blocks, energy = memory(rng, simulate_matches, grid=Grid(1, 1))
    with pytest.raises(InputError, match="hue observation needs a grid"):
        measure_hue(matches, blocks, energy, seed=0)
    matches, blocks, energy = memory(rng, simulate_matches, grid=Grid(3, 3))
    with pytest.raises(ShapeError, match=r"energy has shape \(18, 2, 3\)"):
        measure_hue(matches, blocks, energy[:, 1:], seed=0)
    one_class = memory(rng, simulate_matches, grid=Grid(3, 3), labels=np.zeros(18, int))
    with pytest.raises(InputError, match="needs two such classes"):
        measure_hue(*one_class, seed=0)
