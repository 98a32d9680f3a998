"""Observation 4 against loops and finite differences, on known effects and on poor input."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from scipy import stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.conditional.conditional import measure as measure_conditional
from hueprobe.observations.units.match_units import influence_interval, match_units, pigeonhole_variance
from hueprobe.observations.units.weighted import weighted_matches

GRID = Grid(3, 4)


def drawn(build_matches, rng, *, n_images=130, n_classes=4, grid=GRID, k=3, groups=None, **columns):
    """Matches with a pull towards the query cell, more of it for the own class."""
    image_class = np.arange(n_images) % n_classes
    query_image = np.repeat(np.arange(n_images), grid.n_cells * k)
    query_cell = np.tile(np.repeat(np.arange(grid.n_cells), k), n_images)
    n = len(query_cell)
    image = (query_image + rng.integers(1, n_images, n)) % n_images
    same = image_class[image] == image_class[query_image]
    stays = rng.random(n) < np.where(same, 0.5, 0.2)
    matches = build_matches(
        query_image=query_image, query_cell=query_cell, image=image,
        cell=np.where(stays, query_cell, rng.integers(0, grid.n_cells, n)),
        image_class=image_class, grid=grid, weight=rng.uniform(0.1, 1, n), groups=groups, **columns,
    )  # fmt: skip
    return replace(matches, distance=rng.uniform(0.3, 0.9, n))


def test_density_and_shares_are_those_of_the_slow_loop(build_matches):
    matches = drawn(build_matches, np.random.default_rng(0), n_images=20)
    for weighting in ("count", "kernel"):
        found = measure_conditional(matches, seed=0, weighting=weighting, n_permutations=2)
        for side, wanted in (("same", True), ("other", False)):
            table, stay, moved, total = np.zeros((3, 4, 3, 4)), 0.0, 0.0, 0.0
            for row in range(len(matches)):
                if matches.same_class[row] == wanted:
                    w = matches.weight[row] if weighting == "kernel" else 1.0
                    qy, qx, y, x = (getattr(matches, name)[row] for name in ("query_y", "query_x", "y", "x"))
                    table[qy, qx, y, x] += w
                    stay += w * ((qy, qx) == (y, x))
                    moved += w * ((qy - y) ** 2 + (qx - x) ** 2)
                    total += w
            part = getattr(found, side)
            np.testing.assert_allclose(part.density, table / table.sum((2, 3), keepdims=True))
            np.testing.assert_allclose(part.query_share, table.sum((2, 3)) / total)
            assert part.stay.estimate == pytest.approx(stay / total)
            assert part.spread.estimate == pytest.approx(np.sqrt(moved / total))
            chance = (table.sum((2, 3)) * table.sum((0, 1))).sum() / total**2
            assert part.stay_excess.estimate == pytest.approx(stay / total - chance)
        assert found.stay.raw.estimate == pytest.approx(found.same.stay.estimate - found.other.stay.estimate)


def statistics(found):
    first = found.tangential[0]
    return {
        "stay": found.all.stay_excess, "stay raw": found.stay.raw, "stay adjusted": found.stay.adjusted,
        "spread": found.all.spread, "spread raw": found.spread.raw, "spread adjusted": found.spread.adjusted,
        "tangential": first.all.excess, "difference": first.difference,
        "isotropic": found.tangential[3].difference,
    }  # fmt: skip


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_standard_errors_come_from_what_each_match_does(build_matches, leave_one_out):
    """Influence by finite differences of each match's weight, then the plain sums over matches."""
    rng = np.random.default_rng(1)
    matches = drawn(build_matches, rng, n_images=8, n_classes=2, grid=Grid(2, 3), k=2)
    if leave_one_out:
        matches = replace(matches, query_paths=matches.image_paths)
    found = measure_conditional(matches, seed=0, weighting="kernel", n_permutations=1)
    slopes = {name: np.zeros(len(matches)) for name in statistics(found)}
    for row in range(len(matches)):
        weight = matches.weight.copy()
        weight[row] += 1e-5
        moved = measure_conditional(
            replace(matches, weight=weight), seed=0, weighting="kernel", n_permutations=1
        )
        for name, part in statistics(moved).items():
            slopes[name][row] = (part.estimate - statistics(found)[name].estimate) / 1e-5
    for name, interval in statistics(found).items():
        influence = slopes[name] * matches.weight
        units = match_units(matches)
        assert units.shared == leave_one_out
        variance = pigeonhole_variance(influence, units)
        assert interval.standard_error == pytest.approx(np.sqrt(variance), rel=1e-3), name


def test_information_and_its_error(build_matches):
    matches = drawn(build_matches, np.random.default_rng(2))
    found = measure_conditional(matches, seed=0, n_permutations=30)
    same, other = found.same.information, found.other.information
    assert same.undecided is None and same.n_images == 130
    assert same.bits.estimate == pytest.approx(same.plug_in - same.by_chance)
    assert same.p == pytest.approx(1 / 31)
    assert found.information.estimate == pytest.approx(same.bits.estimate - other.bits.estimate)
    # true values: a mixture of 'stays' and 'anywhere' on 12 cells
    for part, stays in ((same, 0.5), (other, 0.2)):
        p = np.full((12, 12), (1 - stays) / 12) + stays * np.eye(12)
        truth = np.log2(12) - stats.entropy(p[0], base=2)
        assert part.bits.low < truth < part.bits.high
    assert found.information.low > 0


def test_known_effects_are_found(build_matches):
    found = measure_conditional(drawn(build_matches, np.random.default_rng(3)), seed=0, n_permutations=20)
    assert found.stay.raw.estimate == pytest.approx(0.3 * 11 / 12, abs=0.03)
    assert found.stay.adjusted.low < 0.3 * 11 / 12 < found.stay.adjusted.high
    assert found.all.stay_excess.low > 0
    assert found.spread.raw.high < 0 and found.spread.adjusted.high < 0
    # nothing tangential was put in
    first = found.tangential[0]
    assert (first.base, first.form) == ("gravity", "polar")
    assert first.difference.low < 0 < first.difference.high
    assert set(found.numbers()) >= {"bits, same", "stay-put, same less other, adjusted"}


@pytest.mark.parametrize("leave_one_out", [False, True])
def test_pairs_give_the_interval_of_single_matches(build_matches, leave_one_out):
    groups = [f"g{i // 3}" if i % 4 else None for i in range(130)]
    matches = drawn(build_matches, np.random.default_rng(4), groups=groups)
    if leave_one_out:
        matches = replace(matches, query_paths=matches.image_paths)
    table = weighted_matches(matches, weighting="kernel")
    part = matches.same_class
    influence = np.random.default_rng(5).normal(size=len(matches)) * part
    found = table.interval(1.0, influence, part)
    single = influence_interval(1.0, influence[part], match_units(matches).select(part))
    assert astuple(found) == pytest.approx(astuple(single), nan_ok=True)


def test_mirrored_images_give_the_mirrored_density(build_matches):
    matches = drawn(build_matches, np.random.default_rng(6), n_images=20)
    mirrored = replace(matches, x=3 - matches.x, query_x=3 - matches.query_x)
    a, b = (measure_conditional(m, seed=0, n_permutations=2) for m in (matches, mirrored))
    np.testing.assert_allclose(a.same.density[:, ::-1, :, ::-1], b.same.density)
    for row, other in zip(a.tangential, b.tangential, strict=True):
        assert row.same.excess.estimate == pytest.approx(other.same.excess.estimate, abs=1e-6)


def test_few_images_leave_information_undecided(build_matches):
    found = measure_conditional(
        drawn(build_matches, np.random.default_rng(7), n_images=99), seed=0, n_permutations=5
    )
    information = found.same.information
    assert "99 query images" in information.undecided and "100" in information.undecided
    assert np.isnan(information.p) and np.isnan(information.bits.low)
    assert np.isnan(found.information.low)


@pytest.mark.parametrize("n_classes", [1, 2, 130])
def test_one_class_two_classes_one_image_a_class(build_matches, n_classes):
    matches = drawn(build_matches, np.random.default_rng(8), n_classes=n_classes)
    found = measure_conditional(matches, seed=0, n_permutations=5)
    assert found.n_unlabeled == 0 and not np.isnan(found.all.stay_excess.low)
    empty = {1: found.other, 130: found.same}.get(n_classes)
    if empty is None:
        assert not np.isnan(found.stay.adjusted.low)
        return
    assert empty.n == 0 and np.isnan(empty.density).all() and np.isnan(empty.stay.estimate)
    assert empty.information.undecided
    for interval in (found.stay.raw, found.stay.adjusted, found.spread.adjusted, found.information):
        assert np.isnan(interval.low)
    assert np.isnan(found.tangential[0].difference.estimate)


def test_no_labels_and_unknown_classes(build_matches):
    rng = np.random.default_rng(9)
    matches = drawn(build_matches, rng)
    nothing = replace(matches, image_class=np.full(130, -1), query_image_class=np.full(130, -1), classes=())
    found = measure_conditional(nothing, seed=0, n_permutations=5)
    assert found.n_unlabeled == len(matches) and found.same.n == found.other.n == 0
    assert not np.isnan(found.all.information.bits.low)
    # a query class that the memory lacks is neither same nor other
    asked = matches.query_image_class.copy()
    asked[:10] = 4
    found = measure_conditional(
        replace(matches, query_image_class=asked, classes=(*matches.classes, "new")), seed=0, n_permutations=2
    )
    assert found.n_unlabeled == 10 * 36 and found.all.n == len(matches)


def test_no_match_at_all_and_a_class_without_one(build_matches):
    matches = drawn(build_matches, np.random.default_rng(10))
    found = measure_conditional(matches.select(np.zeros(len(matches), bool)), seed=0, n_permutations=2)
    assert found.all.n == 0 and np.isnan(found.all.stay.estimate)
    without = matches.select(matches.match_class != 2)
    assert not np.isnan(measure_conditional(without, seed=0, n_permutations=2).stay.adjusted.low)


def test_every_match_in_place_has_nothing_to_say_of_directions(build_matches):
    matches = drawn(build_matches, np.random.default_rng(11))
    found = measure_conditional(
        replace(matches, y=matches.query_y, x=matches.query_x), seed=0, n_permutations=2
    )
    assert found.all.stay.estimate == 1 and found.all.spread.estimate == 0
    assert np.isnan(found.tangential[0].all.excess.estimate)


@pytest.mark.parametrize("grid", [Grid(4, 4), Grid(1, 6), Grid(2, 2)])
def test_even_and_narrow_grids(build_matches, grid):
    found = measure_conditional(
        drawn(build_matches, np.random.default_rng(12), grid=grid), seed=0, n_permutations=5
    )
    assert found.all.density.shape == (*grid.shape, *grid.shape)
    assert not np.isnan(found.stay.adjusted.low)


def test_bad_input_is_named(build_matches):
    rng = np.random.default_rng(13)
    with pytest.raises(InputError, match="conditional observation needs a grid of cells"):
        measure_conditional(drawn(build_matches, rng, grid=Grid(1, 1)), seed=0)
    matches = drawn(build_matches, rng)
    with pytest.raises(InputError, match="count, kernel"):
        measure_conditional(matches, seed=0, weighting="distance")
    with pytest.raises(ShapeError, match="4x4 grid, the memory 3x4"):
        measure_conditional(replace(matches, query_grid=Grid(4, 4)), seed=0)
