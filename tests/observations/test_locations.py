"""Observation 3: densities against slow counts, class positions, and what planted matches must show."""

import numpy as np
import pytest
from scipy import stats

from hueprobe.errors import HueprobeWarning, InputError, ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.locations.maps import measure as measure_locations
from hueprobe.observations.locations.positions import class_positions, naive_rayleigh
from hueprobe.observations.units.match_units import match_units, ratio_interval

LABELS = np.repeat([0, 1, 2], 5)


@pytest.mark.parametrize("weighting", ["count", "kernel"])
def test_densities_are_slow_counts(simulate_matches, weighting):
    grid = Grid(3, 4)
    matches = simulate_matches(np.random.default_rng(0), LABELS, grid=grid)
    result = measure_locations(matches, weighting=weighting)
    tables = {name: np.zeros((3, 3, 4)) for name in ("same", "other")}
    by_query = {name: np.zeros((3, 4)) for name in ("same", "other")}
    squared, total = {"same": 0.0, "other": 0.0}, {"same": 0.0, "other": 0.0}
    for row in range(len(matches)):
        asking = LABELS[matches.query_image[row]]
        kind = "same" if asking == LABELS[matches.image[row]] else "other"
        w = matches.weight[row] if weighting == "kernel" else 1.0
        y, x = matches.y[row], matches.x[row]
        tables[kind][asking, y, x] += w
        by_query[kind][matches.query_y[row], matches.query_x[row]] += w
        squared[kind] += w * ((x - 1.5) ** 2 + (1 - y) ** 2)
        total[kind] += w
    for kind in ("same", "other"):
        whole = tables[kind].sum(0)
        np.testing.assert_allclose(getattr(result, kind), whole / whole.sum())
        np.testing.assert_allclose(
            getattr(result, f"class_{kind}"), tables[kind] / tables[kind].sum((1, 2), keepdims=True)
        )
        uniform = np.mean([(x - 1.5) ** 2 + (1 - y) ** 2 for y in range(3) for x in range(4)])
        rho = getattr(result, f"rho_{kind}").estimate
        assert rho == pytest.approx(squared[kind] / total[kind] / uniform)
    same, other = tables["same"].sum(0), tables["other"].sum(0)
    np.testing.assert_allclose(result.same_share_by_match_cell, same / (same + other))
    np.testing.assert_allclose(
        result.same_share_by_query_cell, by_query["same"] / (by_query["same"] + by_query["other"])
    )
    assert result.same_share.estimate == pytest.approx(same.sum() / (same + other).sum())
    assert result.rho_difference.estimate == pytest.approx(
        result.rho_same.estimate - result.rho_other.estimate
    )
    np.testing.assert_allclose(result.all.sum(), 1)
    corners = result.same[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
    assert result.profile_same.value[-1] == pytest.approx(corners * 12)


def test_the_base_rate_counts_vectors_that_can_be_matched(simulate_matches):
    grid = Grid(3, 3)
    matches = simulate_matches(np.random.default_rng(1), LABELS, grid=grid)
    assert measure_locations(matches).base == pytest.approx(np.full((3, 3), 1 / 9))
    valid = np.ones((15, 3, 3), bool)
    valid[:5, 0, 0] = False  # a third of the top left vectors are zero
    result = measure_locations(matches, valid=valid.ravel())
    assert result.base[0, 0] == pytest.approx(10 / 130) and result.base.sum() == pytest.approx(1)
    expected = (result.base * [[2, 1, 2], [1, 0, 1], [2, 1, 2]]).sum()
    ratio = measure_locations(matches).rho_same.estimate / result.rho_same.estimate
    assert ratio == pytest.approx(expected / (12 / 9))
    with pytest.raises(ShapeError, match="has 9 entries, and the memory has 135 vectors"):
        measure_locations(matches, valid=np.ones(9, bool))


def test_uniform_matches_have_rho_one(build_matches):
    grid = Grid(7, 7)
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(40):
        image = np.repeat(rng.permutation(15), 49)
        matches = build_matches(
            query_image=np.repeat(np.arange(15), 49),
            query_cell=np.tile(np.arange(49), 15),
            image=np.where(image == np.repeat(np.arange(15), 49), (image + 5) % 15, image),
            cell=rng.integers(0, 49, 15 * 49),
            image_class=LABELS,
            grid=grid,
        )
        result = measure_locations(matches)
        hits += result.rho_other.low <= 1 <= result.rho_other.high
        hits += result.rho_same.low <= 1 <= result.rho_same.high if result.n_same else 1
    assert hits >= 70


def test_matches_near_the_center_and_about_the_border_are_told_apart(build_matches):
    rng = np.random.default_rng(3)
    grid = Grid(7, 7)
    inner, outer = grid.cell_index(3, 3), grid.cell_index(0, 0)
    query = np.repeat(np.arange(12), 40)
    image = (query + rng.integers(1, 12, len(query))) % 12
    labels = np.repeat([0, 1], 6)
    near = (labels[query] == labels[image]) ^ (rng.random(len(query)) < 0.1)
    matches = build_matches(
        query_image=query,
        query_cell=np.full(len(query), 8),
        image=image,
        cell=np.where(near, inner, outer),
        image_class=labels,
    )
    result = measure_locations(matches)
    assert result.rho_same.high < 1 < result.rho_other.low
    assert result.rho_difference.high < 0
    assert result.profile_same.value[0] > 30 and result.profile_other.value[-1] > 9
    assert result.same_share_by_match_cell[3, 3] > 0.8


def test_what_both_kinds_share_leaves_their_difference(build_matches):
    rng = np.random.default_rng(4)
    query = np.repeat(np.arange(20), 40)
    reach = np.repeat(rng.random(20) < 0.5, 40)  # images whose matches of either kind lie far out
    matches = build_matches(
        query_image=query,
        query_cell=np.zeros(800, int),
        image=(query + rng.integers(1, 20, 800)) % 20,
        cell=np.where(reach ^ (rng.random(800) < 0.05), 0, 24),
        image_class=np.arange(20) % 2,
    )
    result = measure_locations(matches)
    apart = np.hypot(result.rho_same.standard_error, result.rho_other.standard_error)
    assert result.rho_difference.standard_error < 0.6 * apart


def test_mirroring_images_and_queries_mirrors_everything(simulate_matches, build_matches):
    shift = [[1.0, 0.5], [-1.0, 0.0], [0.0, -1.0]]
    one = simulate_matches(np.random.default_rng(4), LABELS, shift=shift)
    other = build_matches(
        query_image=one.query_image,
        query_cell=one.query_grid.cell_index(one.query_y, 6 - one.query_x),
        image=one.image,
        cell=one.grid.cell_index(one.y, 6 - one.x),
        image_class=LABELS,
    )
    a, b = measure_locations(one), measure_locations(other)
    np.testing.assert_allclose(b.class_same, a.class_same[..., ::-1])
    np.testing.assert_allclose(b.same_share_by_query_cell, a.same_share_by_query_cell[:, ::-1])
    np.testing.assert_allclose(b.positions.points(), a.positions.points() * [-1, 1], atol=1e-12)
    np.testing.assert_allclose(
        np.exp(1j * b.positions.direction), np.exp(1j * (np.pi - a.positions.direction))
    )
    np.testing.assert_allclose(b.positions.resultant, a.positions.resultant)
    assert b.rho_same.estimate == pytest.approx(a.rho_same.estimate)


def test_class_positions_are_means_over_images_with_pigeonhole_intervals(simulate_matches):
    matches = simulate_matches(np.random.default_rng(5), LABELS)
    positions = class_positions(matches)
    angles, means = [], []
    for image in range(5, 10):
        mine = (matches.query_image == image) & matches.same_class
        mean = np.array([(matches.x[mine] - 3).mean(), (3 - matches.y[mine]).mean()])
        means.append(mean)
        angles.append(np.arctan2(mean[1], mean[0]))
    np.testing.assert_allclose(positions.points()[1], np.mean(means, axis=0))
    vectors = np.column_stack([np.cos(angles), np.sin(angles)])
    expected = stats.directional_stats(vectors)
    assert positions.resultant[1] == pytest.approx(expected.mean_resultant_length)
    toward = np.array([np.cos(positions.direction[1]), np.sin(positions.direction[1])])
    np.testing.assert_allclose(toward, expected.mean_direction)
    own = matches.select(matches.same_class & (matches.query_class == 1))
    share = 1 / np.bincount(own.query_image)[own.query_image]
    interval = ratio_interval(share * (own.x - 3), share, match_units(own))
    assert positions.u[1] == interval
    assert positions.n_images.tolist() == [5, 5, 5]
    assert positions.resultant_by_chance[0] == pytest.approx(np.sqrt(np.pi / 20))


def test_another_center_moves_positions_and_radii(simulate_matches):
    matches = simulate_matches(np.random.default_rng(6), LABELS)
    middle, moved = measure_locations(matches), measure_locations(matches, center=(2.0, 3.5))
    np.testing.assert_allclose(
        moved.positions.points() - middle.positions.points(), np.tile([-0.5, -1.0], (3, 1))
    )
    assert moved.rho_same.estimate != middle.rho_same.estimate


def test_queries_without_labels_leave_only_the_whole(simulate_matches, build_matches):
    one = simulate_matches(np.random.default_rng(7), LABELS)
    matches = build_matches(
        query_image=one.query_image,
        query_cell=one.query_cell,
        image=one.image,
        cell=one.match_cell,
        image_class=LABELS,
        query_image_class=np.full(15, -1),
    )
    result = measure_locations(matches)
    assert (result.n_same, result.n_other, result.n_unlabeled) == (0, 0, len(matches))
    assert result.all.sum() == pytest.approx(1)
    assert np.isnan(result.same).all() and np.isnan(result.rho_same.estimate)
    assert np.isnan(result.positions.points()).all() and (result.positions.n_images == 0).all()


def test_queries_of_a_class_that_the_memory_lacks_are_left_out(build_matches):
    matches = build_matches(
        query_image=[0, 0, 1, 1],
        query_cell=[0, 1, 0, 1],
        image=[0, 1, 0, 1],
        cell=[0, 1, 2, 3],
        image_class=[0, 1],
        query_image_class=[0, 2],
    )
    result = measure_locations(matches)
    assert (result.n_same, result.n_other, result.n_unlabeled) == (1, 1, 2)


@pytest.mark.parametrize(
    "labels", [np.zeros(6, int), np.repeat([0, 1], 3), np.arange(6)], ids=["one", "two", "one image each"]
)
def test_few_classes_and_images(simulate_matches, labels):
    result = measure_locations(simulate_matches(np.random.default_rng(8), labels))
    assert result.n_same + result.n_other > 0
    if len(set(labels)) == 1:
        assert result.n_other == 0 and np.isnan(result.other).all() and np.isnan(result.rho_difference.low)
    if len(set(labels)) == 6:  # no same-class match at all
        assert result.n_same == 0 and np.isnan(result.class_same).all()
        assert np.isnan(result.positions.resultant).all()


@pytest.mark.parametrize("shape", [(8, 8), (2, 2), (1, 6)])
def test_even_and_narrow_grids(simulate_matches, shape):
    grid = Grid(*shape)
    result = measure_locations(simulate_matches(np.random.default_rng(9), LABELS, grid=grid))
    expected = (result.profile_same.n_cells / grid.n_cells * result.profile_same.value).sum()
    assert expected == pytest.approx(1)
    assert np.isfinite(result.positions.points()).all()


def test_a_grid_of_one_cell_and_a_wrong_weighting_are_refused(simulate_matches):
    with pytest.raises(InputError, match="locations observation needs a grid of cells, and this one is 1x1"):
        measure_locations(simulate_matches(np.random.default_rng(10), LABELS, grid=Grid(1, 1)))
    with pytest.raises(InputError, match="choose one of: count, kernel"):
        measure_locations(simulate_matches(np.random.default_rng(10), LABELS), weighting="vote")


def test_the_naive_test_warns_and_rejects_what_is_not_there(simulate_matches):
    rejected = 0
    for seed in range(10):
        matches = simulate_matches(np.random.default_rng(seed), LABELS)  # no class effect
        with pytest.warns(HueprobeWarning, match=r"assumes independent matches.*blocked_replicate_test"):
            rejected += (naive_rayleigh(matches) <= 0.05).sum()
    assert rejected >= 10  # of 30, where 1.5 are due
