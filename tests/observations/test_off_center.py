"""Whether a class's mean position is off the center, against plain loops, and matches of single images."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from hueprobe.errors import InputError
from hueprobe.observations.locations.of_images import image_locations
from hueprobe.observations.locations.positions import class_positions
from hueprobe.stats.circular import rayleigh_p

LABELS = np.repeat([0, 1], 8)


def leave_one_out(matches):
    """The same matches, with the memory's own images as queries."""
    return dataclasses.replace(matches, query_paths=matches.image_paths)


def slow(matches, c, *, shared):
    """(distance, its standard error, p) of one class, by loops over matches."""
    unit = [group or f"only {i}" for i, group in enumerate(matches.image_group)]
    rows = [r for r in range(len(matches)) if matches.same_class[r] and matches.query_class[r] == c]
    points = np.stack(matches.grid.centered(matches.y, matches.x), axis=1)
    of_image = {}
    for row in rows:
        of_image.setdefault(matches.query_image[row], []).append(row)
    mean = np.mean([points[own].mean(0) for own in of_image.values()], axis=0)
    influence = {}
    for own in of_image.values():
        for row in own:
            part = (points[row] - mean) / len(own) / len(of_image)
            for side, image in (("query", matches.query_image[row]), ("memory", matches.image[row])):
                key = unit[image] if shared else (side, unit[image])
                influence[key] = influence.get(key, 0) + part
    psi = np.array(list(influence.values()))
    n = len(psi) if shared else min(sum(key[0] == side for key in influence) for side in ("query", "memory"))
    covariance = n / (n - 1) * sum(np.outer(one, one) for one in psi)
    lengths = np.array([one @ one for one in psi])
    degrees = min(n, 2 * lengths.sum() ** 2 / (lengths**2).sum()) - 1
    along = mean / np.hypot(*mean)
    squared = mean @ np.linalg.inv(covariance) @ mean
    p = stats.f.sf(squared * (degrees - 1) / (2 * degrees), 2, degrees - 1)
    return np.hypot(*mean), np.sqrt(along @ covariance @ along), p


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_units_are_counted_as_queries_and_as_memory_images(simulate_matches, groups, shared):
    matches = simulate_matches(np.random.default_rng(0), LABELS)
    if shared:
        matches = leave_one_out(matches)
    if groups:
        names = (*("twin", "twin"), *(None,) * 14)
        matches = dataclasses.replace(matches, query_image_group=names, image_group=names)
    found = class_positions(matches)
    for c, one in enumerate(found.distance):
        distance, error, p = slow(matches, c, shared=shared)
        assert one.estimate == pytest.approx(distance) == pytest.approx(np.hypot(*found.points()[c]))
        assert one.standard_error == pytest.approx(error)
        assert one.p_value == pytest.approx(p)
        assert 0 <= one.low < one.estimate < one.high


def test_matches_in_one_cell_are_off_the_center_without_doubt(simulate_matches):
    matches = leave_one_out(simulate_matches(np.random.default_rng(0), LABELS))
    height, width = matches.grid.shape
    right = dataclasses.replace(
        matches, y=np.full(len(matches), (height - 1) // 2), x=np.full(len(matches), width - 1)
    )
    one = class_positions(right).distance[0]
    assert (one.estimate, one.low, one.high) == pytest.approx((3, 3, 3)) and one.p_value < 1e-6
    middle = dataclasses.replace(right, x=np.full(len(matches), (width - 1) // 2))
    one = class_positions(middle).distance[0]
    assert one.estimate == 0 and one.p_value == 1


def test_too_few_units_have_no_p(simulate_matches):
    matches = simulate_matches(np.random.default_rng(0), np.repeat([0, 1, 2], [1, 2, 8]))
    none, few, many = class_positions(leave_one_out(matches)).distance
    assert np.isnan(none.estimate) and np.isnan(none.p_value)
    assert np.isnan(few.low) and np.isnan(few.p_value) and few.estimate >= 0
    assert not np.isnan(many.low) and not np.isnan(many.p_value)


def test_a_planted_position_is_found(simulate_matches):
    matches = simulate_matches(np.random.default_rng(0), LABELS, shift=[(1.5, 0.0), (0.0, 0.0)])
    planted, _ = class_positions(leave_one_out(matches)).distance
    assert planted.p_value < 0.01


def test_without_an_effect_it_keeps_its_level_and_rayleighs_test_does_not(simulate_matches):
    rng, n, draws = np.random.default_rng(1), 24, 100
    ours, naive = [], []
    for _ in range(draws):
        matches = shared_places(simulate_matches, rng, n)
        ours.append(class_positions(matches).distance[0].p_value)
        parts = matches.grid.centered(matches.y, matches.x)
        u, v = (np.bincount(matches.query_image, part, n) for part in parts)
        naive.append(rayleigh_p(np.arctan2(v, u)))
    assert np.mean(np.array(naive) < 0.05) > 0.3
    assert np.mean(np.array(ours) < 0.05) < 0.14


def shared_places(simulate_matches, rng, n):
    """One class without an effect, in which each memory image has a place of its own."""
    matches = leave_one_out(simulate_matches(rng, np.zeros(n, int), k=1))
    places, grid = rng.normal(0, 0.8, (n, 2)), matches.grid
    y, x = (
        (length - 1) / 2 + places[matches.image, i] + rng.normal(0, 1.2, len(matches))
        for i, length in enumerate(grid.shape)
    )
    limits = ((y, grid.height - 1), (x, grid.width - 1))
    y, x = (np.clip(np.round(at), 0, most).astype(int) for at, most in limits)
    return dataclasses.replace(matches, y=y, x=x)


@pytest.mark.parametrize("weighting", ["count", "kernel"])
def test_single_images_are_slow_counts(simulate_matches, weighting):
    matches = simulate_matches(np.random.default_rng(3), LABELS)
    valid = np.ones(16 * matches.grid.n_cells, bool)
    valid[:3] = False
    found = image_locations(
        matches, [matches.classes[1]], n_each=3, weighting=weighting, valid=valid, center=(1.0, 2.0)
    )
    assert found.paths == tuple(matches.query_paths[i] for i in (8, 9, 10))
    assert found.classes == (matches.classes[1],) * 3 and found.center == (1.0, 2.0)
    for i, image in enumerate((8, 9, 10)):
        rows = np.flatnonzero((matches.query_image == image) & matches.same_class)
        counts = np.zeros(matches.grid.shape)
        for row in rows:
            counts[matches.y[row], matches.x[row]] += matches.weight[row] if weighting == "kernel" else 1
        np.testing.assert_allclose(found.density[i], counts / counts.sum())
        y, x = np.indices(matches.grid.shape)
        assert found.u[i] == pytest.approx((counts * (x - 2)).sum() / counts.sum())
        assert found.v[i] == pytest.approx((counts * (1 - y)).sum() / counts.sum())
        assert found.n_matches[i] == len(rows)
    assert found.base.sum() == pytest.approx(1) and found.base.ravel()[0] < found.base.ravel()[-1]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"classes": ["zebra"]}, "no class 'zebra'"),
        ({"n_each": 0}, "n_each is 0"),
        ({"weighting": "x"}, "'x'"),
    ],
)
def test_wrong_images_are_refused(simulate_matches, options, words):
    matches = simulate_matches(np.random.default_rng(3), LABELS)
    with pytest.raises(InputError, match=words):
        image_locations(matches, **options)
