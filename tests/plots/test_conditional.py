import dataclasses

import numpy as np
import pytest
from matplotlib.colors import to_hex

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.matches import Matches
from hueprobe.observations.conditional.conditional import measure as measure_conditional
from hueprobe.plots.style import OTHER, SAME


def found(shape=(3, 4), *, labeled=True, n_images=6, seed=0):
    """Same-class matches land one column to the right of the query, in its row; others anywhere."""
    grid, generator = Grid(*shape), np.random.default_rng(seed)
    query = np.repeat(np.arange(n_images), grid.n_cells * 3)
    cell = np.tile(np.repeat(np.arange(grid.n_cells), 3), n_images)
    image = (query + generator.integers(1, n_images, len(query))) % n_images
    classes = np.arange(n_images) % 2 if labeled else np.full(n_images, -1)
    y, x = grid.cell(cell)
    other_y, other_x = grid.cell(generator.integers(0, grid.n_cells, len(query)))
    same = classes[query] == classes[image]
    names = tuple(f"i{i}" for i in range(n_images))
    matches = Matches(
        grid=grid, query_grid=grid, classes=("a", "b") if labeled else (), query_paths=names,
        query_image_class=classes, query_image_group=(None,) * n_images, image_paths=names,
        image_class=classes, image_group=(None,) * n_images, query_image=query, query_y=y, query_x=x,
        rank=np.ones_like(query), image=image, y=np.where(same, y, other_y),
        x=np.where(same, (x + 1) % grid.width, other_x), distance=generator.random(len(query)),
        weight=np.ones(len(query)),
    )  # fmt: skip
    return measure_conditional(matches, seed=0, n_permutations=5)


@pytest.fixture(scope="module")
def result():
    return found()


def tiles(ax):
    """Maps by the (column, row) of the Axes where each begins."""
    return {(image.get_extent()[0] + 0.5, image.get_extent()[3] + 0.5): image for image in ax.images}


def test_each_map_stands_where_its_query_cell_lies_same_above_other_below(result):
    figure = plots.conditional_maps(result)
    same, other, bar = figure.axes
    for ax, side in ((same, result.same), (other, result.other)):
        shown = tiles(ax)
        assert set(shown) == {(5 * x, 4 * y) for x in range(4) for y in range(3)}
        for (left, top), image in shown.items():
            np.testing.assert_allclose(image.get_array(), 12 * side.density[int(top) // 4, int(left) // 5])
            left_edge, right_edge, bottom, upper = image.get_extent()
            assert (right_edge - left_edge, bottom - upper) == (4, 3)  # upright: row 0 on top
    assert same.get_ylim()[0] > same.get_ylim()[1]
    figure.canvas.draw()
    assert same.get_position().y0 > other.get_position().y1
    most = 12 * max(result.same.density.max(), result.other.density.max())
    assert {image.get_clim() for ax in (same, other) for image in ax.images} == {(1 / most, most)}
    assert bar.get_ylabel() == "p(x, y | query cell), multiple of the base rate"
    shown = [text.get_text() for text in bar.get_yticklabels()]
    assert shown == ["0.1×", "0.2×", "0.5×", "1×", "2×", "5×", "10×"]
    np.testing.assert_allclose([float(text.removesuffix("×")) for text in shown], bar.get_yticks())


def test_the_base_rate_has_the_middle_color_and_no_match_the_lowest(result):
    ax = plots.conditional_maps(result).axes[0]
    image = tiles(ax)[0, 0]
    lowest, middle, highest = image.norm([0.0, 1.0, image.get_clim()[1]])
    np.testing.assert_allclose([lowest, middle, highest], [0, 0.5, 1], atol=1e-9)
    assert (image.get_array() == 0).any() and not np.ma.getmaskarray(image.norm(image.get_array())).any()


def test_a_base_rate_that_is_not_uniform_divides_cell_by_cell(ax):
    given = found()
    base = np.arange(12.0).reshape(3, 4) / 66
    plots.conditional_map(dataclasses.replace(given, base=base), 1, 2, "other", ax=ax)
    drawn = np.ma.masked_invalid(ax.images[0].get_array())
    assert np.ma.getmaskarray(drawn)[0, 0]  # nothing can match there
    np.testing.assert_allclose(drawn[1:], given.other.density[1, 2, 1:] / base[1:])


def test_the_query_cell_is_outlined_in_its_own_map(result):
    same = plots.conditional_maps(result, rows=[1, 2], columns=[3]).axes[0]
    corners = {patch.get_xy() for patch in same.patches}
    assert corners == {(3 - 0.5, 1 - 0.5), (3 - 0.5, 4 + 2 - 0.5)}
    assert [tick.get_text() for tick in same.get_yticklabels()] == ["1", "2"]
    assert [tick.get_text() for tick in same.get_xticklabels()] == ["3"]


def test_large_grids_show_a_choice_of_query_cells_with_both_ends():
    same = plots.conditional_maps(found((3, 20))).axes[0]
    labels = [int(tick.get_text()) for tick in same.get_xticklabels()]
    assert len(labels) == 7 and labels[0] == 0 and labels[-1] == 19 and len(same.images) == 21


def test_one_cell_is_drawn_into_the_axes_given(result, ax):
    assert plots.conditional_map(result, 1, 2, ax=ax, vmax=5.0) is ax
    np.testing.assert_allclose(ax.images[0].get_array(), 12 * result.same.density[1, 2])
    assert np.unravel_index(ax.images[0].get_array().argmax(), (3, 4)) == (1, 3)
    assert ax.images[0].get_clim() == (0.2, 5.0) and ax.patches[0].get_xy() == (1.5, 0.5)


@pytest.mark.parametrize("y, x, words", [(3, 0, "row 3 of a grid; give 0 to 2"), (0, -1, "column -1")])
def test_cells_outside_of_the_grid_are_refused(result, y, x, words):
    with pytest.raises(InputError, match=words):
        plots.conditional_map(result, y, x)
    with pytest.raises(InputError, match="vmax is 1; a logarithmic scale"):
        plots.conditional_map(result, 0, 0, vmax=1.0)


def test_without_labels_all_matches_are_one_part():
    unlabeled = found(labeled=False)
    figure = plots.conditional_maps(unlabeled)
    only, _bar = figure.axes
    assert only.get_title() == "all matches, n = 216 matches"
    np.testing.assert_allclose(tiles(only)[0, 0].get_array(), 12 * unlabeled.all.density[0, 0])
    with pytest.raises(InputError, match="need labels"):
        plots.conditional_summary(unlabeled)


def test_summary_shows_measured_adjusted_and_chance(result):
    stay, spread, bits = plots.conditional_summary(result).axes

    def dots(ax, filled):
        return {
            (line.get_ydata()[0], float(line.get_xdata()[0]))
            for line in ax.lines
            if line.get_marker() == "o" and (to_hex(line.get_markerfacecolor()) != "#ffffff") == filled
        }

    assert dots(stay, True) == {(1, result.same.stay.estimate), (0, result.other.stay.estimate)}
    adjusted = {(0.75, result.spread.same_adjusted), (-0.25, result.spread.other_adjusted)}
    assert dots(spread, False) == adjusted
    assert dots(bits, True) == {
        (1, result.same.information.bits.estimate), (0, result.other.information.bits.estimate)
    }  # fmt: skip
    assert [label.get_text() for label in stay.get_yticklabels()] == [
        f"other classes\n{result.other.n} matches", f"same class\n{result.same.n} matches",
    ]  # fmt: skip
    assert "cells" in spread.get_xlabel() and "bits" in bits.get_xlabel()


def test_excess_has_a_row_for_each_base_rate_and_the_speaking_one_on_top(result, ax):
    plots.tangential_excess(result, ax=ax)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[0] == "gravity, polar" and len(labels) == len(result.tangential)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    marks = {(line.get_marker(), line.get_color()): line for line in ax.lines if line.get_marker() in "os"}
    assert set(marks) == {("o", SAME), ("s", OTHER)}  # told apart by shape and by color
    first = next(line for line in ax.lines if line.get_marker() == "o")
    assert first.get_xdata()[0] == result.tangential[0].same.excess.estimate


def test_spreads_show_base_rates_open(result, ax):
    plots.tangential_spreads(result, "other", ax=ax)
    row = result.tangential[0].other
    drawn = [
        (float(line.get_xdata()[0]), to_hex(line.get_markerfacecolor()) == "#ffffff")
        for line in ax.lines
        if line.get_marker() in "os"
    ]
    expected = [
        (row.base_radial, True), (row.radial, False), (row.base_tangential, True), (row.tangential, False)
    ]  # fmt: skip
    assert drawn[:4] == expected
    with pytest.raises(InputError, match="same, other, all"):
        plots.tangential_spreads(result, "both")
