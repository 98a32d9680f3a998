import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueprobe import Grid
from hueprobe.errors import ShapeError

grids = st.builds(Grid, st.integers(1, 9), st.integers(1, 9))


@given(grids, st.integers(0, 1000), st.data())
def test_vector_id_and_back_is_the_identity(grid, image, data):
    y = data.draw(st.integers(0, grid.height - 1))
    x = data.draw(st.integers(0, grid.width - 1))
    vector_id = int(grid.vector_id(image, y, x))
    assert vector_id == image * grid.height * grid.width + y * grid.width + x
    assert tuple(int(v) for v in grid.locate(vector_id)) == (image, y, x)


@given(grids)
def test_mirroring_turns_u_and_theta(grid):
    y, x = grid.rows_and_columns()
    u, v = grid.centered(y, x)
    mirrored_u, mirrored_v = grid.centered(y, grid.width - 1 - x)
    np.testing.assert_array_equal(mirrored_u, -u)
    np.testing.assert_array_equal(mirrored_v, v)
    theta, mirrored = grid.theta(y, x), grid.theta(y, grid.width - 1 - x)
    turned = np.angle(np.exp(1j * (np.pi - theta)))
    defined = ~np.isnan(theta)
    np.testing.assert_allclose(np.cos(mirrored[defined]), np.cos(turned[defined]), atol=1e-12)
    np.testing.assert_allclose(np.sin(mirrored[defined]), np.sin(turned[defined]), atol=1e-12)


def test_v_points_up_and_theta_is_in_its_half_open_range():
    grid = Grid(3, 3)
    # Row 0 is the top of the image: its cells have v = +1.
    assert [float(grid.centered(0, 1)[i]) for i in range(2)] == [0.0, 1.0]
    assert float(grid.theta(0, 1)) == pytest.approx(np.pi / 2)
    assert float(grid.theta(1, 0)) == np.pi  # left of the center: pi, not -pi
    assert float(grid.theta(2, 1)) == pytest.approx(-np.pi / 2)
    assert np.isnan(grid.theta(1, 1))


def test_an_even_grid_has_its_center_between_cells():
    grid = Grid(8, 8)
    y, x = grid.rows_and_columns()
    assert not np.isnan(grid.theta(y, x)).any()
    assert float(grid.radius(3, 3)) == pytest.approx(np.sqrt(0.5))


def test_another_center_is_taken_in_rows_and_columns():
    u, v = Grid(7, 7).centered(2, 4, center=(3.5, 3.25))
    assert (float(u), float(v)) == (0.75, 1.5)


def test_cells_tile_the_image():
    grid = Grid(2, 4)
    y, x = grid.rows_and_columns()
    left, top, right, bottom = grid.bounds_in_image(y, x, (100, 200))
    assert ((right - left) * (bottom - top)).sum() == 100 * 200
    assert (left[0, 1], top[1, 0], right[0, -1], bottom[-1, 0]) == (50, 50, 200, 100)


def test_a_grid_has_cells():
    with pytest.raises(ShapeError, match="0x3"):
        Grid(0, 3)
