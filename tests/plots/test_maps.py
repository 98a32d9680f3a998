import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure

from hueprobe.errors import InputError
from hueprobe.plots import maps
from hueprobe.plots.style import PALE


def cell_color(ax, y, x):
    """Color of the drawn cell, and where on the canvas (row counted upwards, column) it lies."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    column, row = ax.transData.transform((x + 0.2, y + 0.2))
    return tuple(int(c) for c in pixels[pixels.shape[0] - 1 - round(row), round(column)][:3]), (row, column)


@pytest.mark.parametrize("shape", [(3, 5), (7, 7), (1, 4), (1, 1)])
def test_row_0_is_on_top_and_column_0_on_the_left(shape):
    values = np.zeros(shape)
    values[0, -1] = 1.0
    ax = Figure(figsize=(4, 4)).add_subplot()
    image = maps.cell_map(values, ax, cmap="gray", norm=Normalize(0, 1))
    np.testing.assert_array_equal(image.get_array(), values)
    assert tuple(image.get_extent()) == (-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5)
    hot, (hot_row, hot_column) = cell_color(ax, 0, shape[1] - 1)
    assert hot == (255, 255, 255)
    if shape[0] > 1:
        cold, (cold_row, _) = cell_color(ax, shape[0] - 1, shape[1] - 1)
        assert cold == (0, 0, 0) and hot_row > cold_row
    if shape[1] > 1:
        assert cell_color(ax, 0, 0)[1][1] < hot_column


def test_cells_without_a_value_are_gray(ax):
    image = maps.cell_map(np.array([[np.nan, 1.0]]), ax, cmap="viridis", norm=Normalize(0, 1))
    np.testing.assert_allclose(image.to_rgba(image.get_array())[0, 0], to_rgba(PALE), atol=0.01)


def test_ratio_scale_has_the_base_rate_in_its_middle():
    norm = maps.ratio_norm([np.array([0.0, 1.2]), np.array([np.nan, 5.0])])
    np.testing.assert_allclose(norm([0.0, 1.0, 5.0]), [0, 0.5, 1])
    assert maps.ratio_norm([np.array([0.9, 1.1])]).vmax == 2.0  # small differences stay pale
    assert maps.ratio_norm([np.full(3, np.nan)]).vmax == 2.0
    assert maps.ratio_norm([np.array([9.0])], vmax=3.0).vmax == 3.0


@pytest.mark.parametrize("top", [2.0, 7.3, 49.0, 5000.0])
def test_log_ratio_scale_has_the_base_rate_in_its_middle_and_ticks_at_multiples(ax, top):
    image = maps.cell_map(
        np.array([[top, 0.0, np.nan]]), ax, cmap="PuOr_r", norm=maps.log_ratio_norm([[top]])
    )
    np.testing.assert_allclose(image.norm([1 / top, 1.0, top]), [0, 0.5, 1], atol=1e-9)
    bar = maps.log_ratio_colorbar(image, ax, "multiple")
    ticks = bar.get_ticks()
    assert 1.0 in ticks and 3 <= len(ticks) <= 13 and 1 / top <= min(ticks) and max(ticks) <= top
    np.testing.assert_allclose(ticks * ticks[::-1], 1)  # as many below the base rate as above
    assert maps.log_ratio_norm([np.full(2, np.nan)]).vmax == 2.0


@pytest.mark.parametrize("n, columns", [(1, 4), (3, 4), (4, 2), (5, 2), (20, 5)])
def test_every_map_has_its_axes_labeled_or_a_neighbor_that_has(n, columns):
    axes = maps.small_multiples(Figure(), n, columns=columns)
    for ax in axes:
        ax.set(xlabel="column x", ylabel="row y")
    maps.label_outer(axes, columns=columns)
    assert len(axes) == n
    for i, ax in enumerate(axes):
        lowest = i + columns >= n
        assert bool(ax.get_xlabel()) == lowest and bool(ax.get_ylabel()) == (i % columns == 0)
        if not lowest:
            assert axes[i + columns].get_position().y1 <= ax.get_position().y0


def test_class_ids_follow_the_names_asked_for():
    assert maps.class_ids(("a", "b", "c"), None) == [0, 1, 2]
    assert maps.class_ids(("a", "b", "c"), ["c", "a"]) == [2, 0]
    with pytest.raises(InputError, match="no class 'd' in this result; it has: a, b, c"):
        maps.class_ids(("a", "b", "c"), ["d"])
    with pytest.raises(InputError, match="no classes"):
        maps.class_ids((), None)


@pytest.mark.parametrize("top", [2.0, 3.2, 9.0, 33.0])
def test_base_rate_has_its_tick_on_every_ratio_scale(ax, top):
    image = maps.cell_map(np.array([[0.0, top]]), ax, cmap="PuOr_r", norm=maps.ratio_norm([], vmax=top))
    ticks = maps.ratio_colorbar(image, ax, "multiple of the base rate").get_ticks()
    assert {0.0, 1.0} <= set(ticks) and 1 <= sum(1 < tick <= top for tick in ticks) <= 5
