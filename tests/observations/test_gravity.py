"""Displacements, base rates and the tangential excess against loops, an optimizer and finite differences."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.observations.conditional.displacement import displacement_parts, squared_distances
from hueprobe.observations.conditional.gravity import (
    base_projection,
    distance_rings,
    fit_gravity,
    gravity_projection,
    isotropic_projection,
)
from hueprobe.observations.conditional.tangential import tangential_excess


def cells(grid):
    return [(y, x) for y in range(grid.height) for x in range(grid.width)]


def slow_parts(grid, form, query, match):
    """(radial, tangential) of one pair in cells, or None."""
    (u, v), (a, b) = ((x - (grid.width - 1) / 2, (grid.height - 1) / 2 - y) for y, x in (query, match))
    if form == "polar":
        if (u, v) == (0, 0) or (a, b) == (0, 0):
            return None
        turn = math.atan2(b, a) - math.atan2(v, u)
        turn = (turn + math.pi) % (2 * math.pi) - math.pi
        return math.hypot(a, b) - math.hypot(u, v), (math.hypot(a, b) + math.hypot(u, v)) / 2 * turn
    if (u, v) == (0, 0):
        return None
    r = math.hypot(u, v)
    return ((a - u) * u + (b - v) * v) / r, ((b - v) * u - (a - u) * v) / r


@pytest.mark.parametrize("form", ["polar", "projected"])
@pytest.mark.parametrize("grid", [Grid(3, 3), Grid(4, 4), Grid(3, 5)])
def test_parts_are_those_of_the_slow_loop(form, grid):
    parts = displacement_parts(grid, form)
    for i, query in enumerate(cells(grid)):
        for j, match in enumerate(cells(grid)):
            slow = slow_parts(grid, form, query, match)
            assert parts.defined[i, j] == (slow is not None)
            radial, tangential = slow or (0, 0)
            assert parts.radial[i, j] == pytest.approx(radial**2)
            assert parts.tangential[i, j] == pytest.approx(tangential**2)


def test_uniform_matches_on_7x7_spread_3_49_outwards_and_2_around():
    # around: the variance of 0..6 is 4; outwards: 4 + E[r^2] = 4 + 8 * 49/48 over the 48 cells off the center
    parts = displacement_parts(Grid(7, 7), "projected")
    assert np.sqrt(parts.radial.sum() / parts.defined.sum()) == pytest.approx(math.sqrt(4 + 8 * 49 / 48))
    assert np.sqrt(parts.tangential.sum() / parts.defined.sum()) == pytest.approx(2)


def test_an_even_grid_has_an_angle_everywhere_and_a_center_of_ones_own_moves_it():
    assert displacement_parts(Grid(8, 8), "polar").defined.all()
    assert not displacement_parts(Grid(8, 8), "polar", center=(3, 3)).defined[:, 27].any()


def test_unknown_names_list_the_choices():
    with pytest.raises(InputError, match="polar, projected"):
        displacement_parts(Grid(3, 3), "cartesian")
    with pytest.raises(InputError, match="gravity, isotropic, uniform"):
        base_projection("flat", np.ones((9, 9)), Grid(3, 3), np.ones((1, 9, 9)))


def random_table(rng, grid, *, sparse=False):
    n = grid.n_cells
    table = rng.gamma(1.0, size=(n, n)) * np.exp(-squared_distances(grid) / 4)
    return table * (rng.random((n, n)) < 0.5) if sparse else table


def test_gravity_is_the_flattest_table_with_those_margins():
    """Maximum entropy by its dual: minimize log Z(a, b, c) - <margins, (a, b, c)>."""
    grid = Grid(2, 3)
    table = random_table(np.random.default_rng(0), grid)
    table /= table.sum()
    n, squared = 6, squared_distances(grid)
    features = []
    for q in range(n):
        for m in range(n):
            row = np.zeros(2 * n + 6)
            row[q] = row[n + m] = 1
            row[2 * n + int(squared[q, m])] = 1  # 0, 1, 2, 4, 5 occur
            features.append(row)
    features = np.array(features)
    target = table.ravel() @ features

    def dual(a):
        logits = features @ a
        top = logits.max()
        p = np.exp(logits - top)
        return top + np.log(p.sum()) - target @ a, features.T @ (p / p.sum()) - target

    found = minimize(dual, np.zeros(features.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-9})
    p = np.exp(features @ found.x)
    model = fit_gravity(table, grid)
    np.testing.assert_allclose(model.expected.ravel(), p / p.sum(), atol=1e-6)
    assert model.residual < 1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(3, 3), (2, 4), (1, 5)]), st.booleans())
def test_gravity_keeps_margins_and_its_projection_keeps_means(seed, shape, sparse):
    grid, rng = Grid(*shape), np.random.default_rng(seed)
    table = random_table(rng, grid, sparse=sparse)
    if not table.any():
        return
    model = fit_gravity(table, grid)
    table = table / table.sum()
    ring = distance_rings(grid)
    atol = max(1e-8, 2 * model.residual)
    np.testing.assert_allclose(model.expected.sum(0), table.sum(0), atol=atol)
    np.testing.assert_allclose(model.expected.sum(1), table.sum(1), atol=atol)
    for number in range(ring.max() + 1):
        there = ring == number
        assert model.expected[there].sum() == pytest.approx(table[there].sum(), abs=atol)
    values = rng.normal(size=(2, grid.n_cells, grid.n_cells))
    expected = gravity_projection(model, values)
    np.testing.assert_allclose(
        (table * expected).sum((1, 2)), (model.expected * values).sum((1, 2)), atol=1e-6 + 50 * atol
    )


def test_a_gravity_table_is_its_own_base_rate():
    grid, rng = Grid(4, 4), np.random.default_rng(1)
    ring = distance_rings(grid)
    table = rng.uniform(1, 2, 16)[:, None] * rng.uniform(1, 2, 16) * rng.uniform(1, 2, ring.max() + 1)[ring]
    np.testing.assert_allclose(fit_gravity(table, grid).expected, table / table.sum(), atol=1e-9)
    found = tangential_excess(table, grid)
    assert found["gravity", "polar"].excess == pytest.approx(0, abs=1e-7)
    assert abs(found["uniform", "polar"].excess) > 1e-4  # and the others are not


def test_isotropic_base_takes_cells_at_one_distance_for_equal():
    grid = Grid(3, 4)
    values = np.random.default_rng(2).normal(size=(1, 12, 12))
    found = isotropic_projection(grid, values)[0]
    for q, (qy, qx) in enumerate(cells(grid)):
        for m, (y, x) in enumerate(cells(grid)):
            distance = (y - qy) ** 2 + (x - qx) ** 2
            peers = [i for i, (a, b) in enumerate(cells(grid)) if (a - qy) ** 2 + (b - qx) ** 2 == distance]
            assert found[q, m] == pytest.approx(values[0, q, peers].mean())


def test_influence_is_what_one_more_match_does_to_the_excess():
    grid = Grid(4, 3)
    table = random_table(np.random.default_rng(3), grid) * 1000
    before = tangential_excess(table, grid)
    assert next(iter(before)) == ("gravity", "polar") and len(before) == 6
    for q, m in ((0, 5), (4, 4), (7, 10), (11, 0)):
        more, less = table.copy(), table.copy()
        more[q, m] += 1e-2
        less[q, m] -= 1e-2
        above, below = tangential_excess(more, grid), tangential_excess(less, grid)
        for key, part in before.items():
            slope = (above[key].excess - below[key].excess) / 2e-2
            assert part.influence[q, m] == pytest.approx(slope, rel=1e-3, abs=1e-9), key


def test_matches_that_move_around_the_center_have_an_excess_above_zero():
    grid = Grid(7, 7)
    y, x = grid.cell(np.arange(49))
    radius = np.round(grid.radius(y, x), 6)
    around = (radius[:, None] == radius).astype(float) + 0.05
    towards = np.exp(-displacement_parts(grid, "polar").tangential * 3) + 0.05
    for form in ("polar", "projected"):
        assert tangential_excess(around, grid)["gravity", form].excess > 0.05
        assert tangential_excess(towards, grid)["gravity", form].excess < -0.05


def test_nothing_matched_or_nothing_moved_is_nan():
    grid = Grid(3, 3)
    for table in (np.zeros((9, 9)), np.eye(9)):
        for part in tangential_excess(table, grid).values():
            assert np.isnan(part.excess) and np.isnan(part.influence).all()
