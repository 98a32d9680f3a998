from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.observations.energy import measure as measure_energy
from hueprobe.observations.hue.relations import energy_position
from hueprobe.observations.locations.maps import measure as measure_locations
from hueprobe.observations.locations.positions import ClassPositions
from hueprobe.observations.locations.replicate_test import BlockedTest, ComponentTest
from hueprobe.plots.directions import _ARROW
from hueprobe.plots.style import angle_colors
from hueprobe.stats.intervals import Interval


def interval(estimate, half=0.1):
    return Interval(estimate, estimate - half, estimate + half, half / 2, 10)


def positions(points, half=0.1, classes=None):
    n = len(points)
    return ClassPositions(
        classes=tuple(classes or [f"class {i}" for i in range(n)]), n_images=np.full(n, 5),
        u=tuple(interval(u, half) for u, _ in points), v=tuple(interval(v, half) for _, v in points),
        direction=np.zeros(n), resultant=np.zeros(n), resultant_by_chance=np.zeros(n),
        distance=(interval(0.0),) * n, center=(3.0, 3.0),
    )  # fmt: skip


def blocked(points, p, undecided=None):
    n = len(points)
    test = ComponentTest(interval(0.2), float("nan") if undecided else 0.002)
    return BlockedTest(
        classes=tuple(f"class {i}" for i in range(n)), left_out=(), n_blocks=4, n_images=80,
        n_permutations=999, arrangements=1e9, position=np.array(points, float), both=test, u=test, v=test,
        class_p=np.array(p), class_p_adjusted=np.array(p), undecided=undecided,
    )  # fmt: skip


def arrows(ax):
    """(u, v) of each arrow's tip: the lines that begin at the center."""
    lines = [line.get_xydata() for line in ax.lines if line.get_linewidth() == _ARROW]
    assert all((line[0] == 0).all() for line in lines)
    return [tuple(line[1]) for line in lines]


def test_a_class_above_the_center_points_up_and_to_the_right_points_right(ax):
    plots.class_directions(positions([(0.0, 1.0), (1.0, 0.0)]), ax=ax)
    assert arrows(ax) == [(0.0, 1.0), (1.0, 0.0)]
    up, right = (ax.transData.transform(tip) - ax.transData.transform((0, 0)) for tip in arrows(ax))
    assert up[1] > 0 and abs(up[0]) < 1e-6 and right[0] > 0 and abs(right[1]) < 1e-6
    assert ax.get_xlabel() == "u, to the right (cells)" and ax.get_ylabel() == "v, upwards (cells)"
    assert ax.get_aspect() == 1.0


def test_arrow_colors_go_round_with_the_angle(ax):
    points = [(1, 0), (0, 1), (-1, 1e-9), (-1, -1e-9), (0, -1)]
    plots.class_directions(positions(points), ax=ax)
    colors = [line.get_color() for line in ax.lines if line.get_linewidth() == _ARROW]
    np.testing.assert_allclose(colors, angle_colors(np.arctan2(*np.transpose(points)[::-1])))
    np.testing.assert_allclose(colors[2], colors[3], atol=0.02)  # both sides of pi
    assert np.abs(np.subtract(colors[1], colors[4])).max() > 0.2


def test_intervals_are_crosses_and_a_class_without_one_has_none(ax):
    found = positions([(0.5, 0.2), (0.1, -0.3)])
    lone = Interval(0.1, np.nan, np.nan, np.nan, 0)
    found = ClassPositions(**{**found.__dict__, "u": (found.u[0], lone)})
    plots.class_directions(found, ax=ax)
    crosses = [line.get_xydata() for line in ax.lines if line.get_linewidth() == 0.5]
    np.testing.assert_allclose(crosses, [[(0.4, 0.2), (0.6, 0.2)], [(0.5, 0.1), (0.5, 0.3)]])


def test_classes_without_a_position_are_left_out(ax):
    plots.class_directions(positions([(0.5, 0.2), (np.nan, np.nan)]), ax=ax)
    assert [text.get_text() for text in ax.texts] == ["class 0"]
    with pytest.raises(InputError, match="none has a position"):
        plots.class_directions(positions([(np.nan, np.nan)]))


def test_blocked_test_fills_the_classes_that_stand_alone(ax):
    plots.class_directions(blocked([(0.3, 0.1), (-0.3, -0.1)], [0.01, 0.4]), ax=ax)
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [to_hex(dot.get_markerfacecolor()) == "#ffffff" for dot in dots] == [False, True]
    assert ax.get_title().startswith("effect 0.20 [0.10, 0.30] cells, p = 0.002\n80 images; filled")


def test_an_undecided_test_says_so(ax):
    plots.class_directions(blocked([(0.3, 0.1), (-0.3, -0.1)], [np.nan] * 2, undecided="too few"), ax=ax)
    assert "undecided" in ax.get_title()


def test_energy_and_matches_pairs_classes_by_name():
    grid = Grid(3, 3)
    maps = np.ones((2, 3, 3))
    maps[0, 0, :] = 5.0  # class "b" has its energy at the top
    found = measure_energy(maps, grid, image_class=np.array([0, 1]), classes=("b", "a"))
    table = _one_match_each(grid)
    figure = plots.energy_and_matches(found, measure_locations(table))
    across, upwards = figure.axes
    dots = [line.get_xydata()[0] for line in upwards.lines if line.get_marker() == "o"]
    b = found.centroids[0, 1]
    assert [text.get_text() for text in upwards.texts] == ["b", "a"]
    np.testing.assert_allclose(dots[0], [b, 1.0])  # b: energy up, matches in row 0
    assert b > 0 and dots[1][1] == -1.0
    assert across.get_xlabel() == "energy centroid (cells)"
    with pytest.raises(InputError, match="share no class"):
        plots.energy_and_matches(measure_energy(maps, grid), measure_locations(table))


def test_a_correlation_of_two_classes_is_not_measurable_and_no_text_says_nan():
    grid = Grid(3, 3)
    found = measure_energy(np.ones((2, 3, 3)), grid, image_class=np.array([0, 1]), classes=("b", "a"))
    locations = measure_locations(_one_match_each(grid))
    relation = energy_position(found.centroids, locations.positions.points(), seed=0)
    figure = plots.energy_and_matches(found, locations, relation=relation)
    titles = [ax.get_title() for ax in figure.axes]
    assert all(title.endswith("r not measurable (n = 2 classes)") for title in titles)
    assert not any("nan" in text.get_text() for text in figure.findobj(Text))


def test_a_class_without_matches_is_left_out_and_counted():
    grid = Grid(3, 3)
    found = measure_energy(np.ones((3, 3, 3)), grid, image_class=np.arange(3), classes=("b", "a", "c"))
    table = _one_match_each(grid)
    table = replace(table, classes=("a", "b", "c"))
    figure = plots.energy_and_matches(found, measure_locations(table))
    assert figure.get_suptitle().startswith("2 of 3 classes, 4 images")


def _one_match_each(grid):
    """Images of class a match in row 2, of class b in row 0, both in the middle column."""
    from hueprobe.matches import Matches

    classes = np.array([0, 0, 1, 1])
    names = tuple("wxyz")
    return Matches(
        grid=grid, query_grid=grid, classes=("a", "b"), query_paths=names, query_image_class=classes,
        query_image_group=(None,) * 4, image_paths=names, image_class=classes, image_group=(None,) * 4,
        query_image=np.arange(4), query_y=np.zeros(4, np.int32), query_x=np.zeros(4, np.int32),
        rank=np.ones(4, np.int32), image=np.array([1, 0, 3, 2]), y=np.array([2, 2, 0, 0]),
        x=np.ones(4, np.int32), distance=np.ones(4), weight=np.ones(4),
    )  # fmt: skip
