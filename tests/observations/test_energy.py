"""Observation 1 against slow sums, known patterns and its own simulated coverage."""

import numpy as np
import pytest

from hueprobe.errors import InputError, NumericsError, ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.energy import measure as measure_energy
from hueprobe.observations.energy import symmetric_share

SEVEN = Grid(7, 7)


def bump(grid, u=0.0, v=0.0, width=2.0):
    uu, vv = grid.centered(*grid.rows_and_columns())
    return np.exp(-((uu - u) ** 2 + (vv - v) ** 2) / (2 * width**2))


def noisy(rng, mean, n, sd=0.5):
    return mean * rng.lognormal(0, sd, (n, *mean.shape)) * rng.lognormal(0, 1, (n, 1, 1))


def test_rho_profile_and_centroid_are_slow_sums():
    rng = np.random.default_rng(0)
    grid = Grid(4, 6)
    maps = noisy(rng, bump(grid, 1.0, 0.5), 30)
    result = measure_energy(maps, grid, image_class=np.repeat([0, 1], 15), classes=("a", "b"))
    ratios, centroids, at_corner = [], [], []
    for one in maps:
        share = one / one.sum()
        weighted = uniform = u = v = 0.0
        for y in range(4):
            for x in range(6):
                du, dv = x - 2.5, 1.5 - y
                weighted += share[y, x] * (du**2 + dv**2)
                uniform += (du**2 + dv**2) / 24
                u, v = u + share[y, x] * du, v + share[y, x] * dv
        ratios.append(weighted / uniform)
        centroids.append((u, v))
        at_corner.append((share[0, 0] + share[0, 5] + share[3, 0] + share[3, 5]) / 4 * 24)
    assert result.rho.estimate == pytest.approx(np.mean(ratios))
    assert result.rho.standard_error == pytest.approx(np.std(ratios, ddof=1) / np.sqrt(30))
    assert result.class_rho[1].estimate == pytest.approx(np.mean(ratios[15:]))
    np.testing.assert_allclose(result.centroids[0], np.mean(centroids[:15], axis=0))
    assert result.profile.value[-1] == pytest.approx(np.mean(at_corner))
    assert result.mean_map.mean() == pytest.approx(1)
    assert result.class_images.tolist() == [15, 15]


def test_every_image_counts_alike_whatever_its_brightness():
    rng = np.random.default_rng(1)
    maps = noisy(rng, bump(SEVEN), 20)
    brighter = maps * np.linspace(1, 1000, 20)[:, None, None]
    assert measure_energy(maps, SEVEN).rho.estimate == pytest.approx(
        measure_energy(brighter, SEVEN).rho.estimate
    )


def test_flat_maps_have_rho_one_and_no_pattern():
    result = measure_energy(np.ones((5, 7, 7)), SEVEN)
    assert result.rho.estimate == pytest.approx(1)
    assert result.profile.value == pytest.approx(np.ones(10))
    assert np.isnan(result.symmetry.estimate)


def test_dark_images_are_left_out_and_counted():
    rng = np.random.default_rng(2)
    maps = noisy(rng, bump(SEVEN), 12)
    with_dark = np.concatenate([maps, np.zeros((3, 7, 7))])
    result = measure_energy(with_dark, SEVEN)
    assert (result.n_images, result.n_dark) == (12, 3)
    assert result.rho == measure_energy(maps, SEVEN).rho


def test_mirroring_every_image_mirrors_the_result():
    rng = np.random.default_rng(3)
    maps = noisy(rng, bump(SEVEN, 1.0, -0.7), 25)
    one = measure_energy(maps, SEVEN, image_class=np.zeros(25, int), classes=("a",))
    other = measure_energy(maps[..., ::-1], SEVEN, image_class=np.zeros(25, int), classes=("a",))
    np.testing.assert_allclose(other.mean_map, one.mean_map[:, ::-1])
    np.testing.assert_allclose(other.centroids, one.centroids * [-1, 1])
    assert other.rho.estimate == pytest.approx(one.rho.estimate)
    assert other.symmetry.estimate == pytest.approx(one.symmetry.estimate)
    turned = measure_energy(np.rot90(maps, axes=(1, 2)), SEVEN, image_class=np.zeros(25, int), classes=("a",))
    np.testing.assert_allclose(turned.centroids[0], [-one.centroids[0, 1], one.centroids[0, 0]])


def test_symmetry_of_known_patterns():
    u, v = SEVEN.centered(*SEVEN.rows_and_columns())

    def share(pattern):
        return measure_energy(np.repeat((5 + pattern)[None], 4, axis=0), SEVEN)

    round_one = share(-np.hypot(u, v))
    assert round_one.symmetry.estimate == pytest.approx(1)
    assert all(interval.estimate == pytest.approx(1) for interval in round_one.operations.values())
    slope = share(u)
    assert slope.symmetry.estimate == pytest.approx(0)
    found = {name: interval.estimate for name, interval in slope.operations.items()}
    assert found == pytest.approx({"left-right": -1, "up-down": 1, "half turn": -1, "quarter turn": 0})
    # u^2 + v^2 has norm^2 2 (a + b), u^2 - v^2 has 2 (a - b), from sums over the grid
    oval = share(0.1 * u**2)
    round_part, oval_part = (0.05 * (u**2 + s * v**2) for s in (1, -1))
    round_part = round_part - round_part.mean()
    expected = (round_part**2).sum() / ((round_part**2).sum() + (oval_part**2).sum())
    assert oval.symmetry.estimate == pytest.approx(expected)
    assert slope.symmetry_by_chance == pytest.approx(9 / 48)  # 10 kinds of cells on 7x7
    assert measure_energy(np.ones((3, 2, 4)), Grid(2, 4)).symmetry_by_chance == pytest.approx(1 / 7)
    assert set(measure_energy(np.ones((3, 2, 4)), Grid(2, 4)).operations) == {
        "left-right",
        "up-down",
        "half turn",
    }


def test_noise_neither_adds_to_symmetry_nor_takes_from_it():
    rng = np.random.default_rng(4)
    u, v = SEVEN.centered(*SEVEN.rows_and_columns())
    mean = 1 + 0.05 * (v**2 + u**2 - 8) + 0.15 * u
    part = lambda pattern: ((pattern - pattern.mean()) ** 2).sum()  # noqa: E731
    true = part(u**2 + v**2) * 0.05**2 / (part(u**2 + v**2) * 0.05**2 + part(u) * 0.15**2)
    hits, estimates = 0, []
    for _ in range(150):
        maps = mean + rng.normal(0, 0.6, (25, 7, 7))
        interval = symmetric_share(maps, np.arange(25))
        hits += interval.low <= true <= interval.high
        estimates.append(interval.estimate)
    assert np.mean(estimates) == pytest.approx(true, abs=0.02)
    assert hits >= 0.9 * 150


def test_groups_widen_the_interval():
    rng = np.random.default_rng(5)
    maps = np.repeat(noisy(rng, bump(SEVEN), 10), 4, axis=0) * rng.lognormal(0, 0.05, (40, 7, 7))
    groups = [f"g{i // 4}" for i in range(40)]
    alone, grouped = measure_energy(maps, SEVEN), measure_energy(maps, SEVEN, groups=groups)
    assert grouped.rho.estimate == pytest.approx(alone.rho.estimate)
    assert grouped.rho.standard_error > 1.7 * alone.rho.standard_error
    assert grouped.rho.degrees == 9


def test_a_networks_own_center():
    maps = np.repeat(bump(SEVEN, -1.0, 1.0)[None], 3, axis=0)  # centered on cell (2, 2)
    own = measure_energy(maps, SEVEN, center=(2.2, 1.9))
    assert own.symmetry.estimate == pytest.approx(1)  # about the nearest half cell, within a 5x5 window
    assert measure_energy(maps, SEVEN).symmetry.estimate < 0.9
    assert own.rho.estimate < measure_energy(maps, SEVEN).rho.estimate
    with pytest.raises(InputError, match=r"center \(9.0, 3.0\) lies outside the 7x7 grid"):
        measure_energy(maps, SEVEN, center=(9.0, 3.0))


@pytest.mark.parametrize("shape", [(8, 8), (1, 5), (14, 14)])
def test_other_grids(shape):
    rng = np.random.default_rng(6)
    grid = Grid(*shape)
    result = measure_energy(noisy(rng, bump(grid), 10), grid)
    assert result.profile.n_cells.sum() == grid.n_cells
    weighted = (result.profile.value * result.profile.n_cells).sum() / grid.n_cells
    assert weighted == pytest.approx(1)


def test_few_images_have_an_estimate_and_no_interval():
    maps = bump(SEVEN)[None]
    result = measure_energy(maps, SEVEN, image_class=np.array([0]), classes=("a", "empty"))
    assert result.rho.estimate < 1
    assert np.isnan([result.rho.low, result.symmetry.estimate]).all()
    assert result.class_images.tolist() == [1, 0]
    assert np.isnan(result.class_maps[1]).all() and np.isnan(result.class_rho[1].estimate)


def test_unlabeled_images_count_in_the_whole_alone():
    maps = np.repeat(bump(SEVEN)[None], 4, axis=0)
    result = measure_energy(maps, SEVEN, image_class=np.array([0, 0, -1, -1]), classes=("a",))
    assert result.n_images == 4 and result.class_images.tolist() == [2]
    assert measure_energy(maps, SEVEN).classes == ()


def test_bad_input():
    with pytest.raises(InputError, match="energy observation needs a grid of cells"):
        measure_energy(np.ones((3, 1, 1)), Grid(1, 1))
    with pytest.raises(ShapeError, match=r"\(3, 6, 7\); the grid needs \(n, 7, 7\)"):
        measure_energy(np.ones((3, 6, 7)), SEVEN)
    with pytest.raises(InputError, match="all 3 energy maps are zero"):
        measure_energy(np.zeros((3, 7, 7)), SEVEN)
    with pytest.raises(NumericsError, match="negative or non-finite"):
        measure_energy(np.full((3, 7, 7), np.nan), SEVEN)
    with pytest.raises(ShapeError, match="2 class ids for 3"):
        measure_energy(np.ones((3, 7, 7)), SEVEN, image_class=np.zeros(2, int))
