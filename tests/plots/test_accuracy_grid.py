import pytest
from matplotlib.colors import to_hex

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.observations.accuracy.best import times_best
from hueprobe.observations.accuracy.grid import AccuracyGrid
from hueprobe.plots.style import CATEGORIES
from tests.plots.readable import require_readable
from tests.plots.test_accuracy import run_of

GRID = AccuracyGrid(
    (
        run_of("lite0", "pixel", "objects", 19),
        run_of("lite0", "gap", "objects", 18),
        run_of("lite0", "gap", "objects", 20, "nearest centroid"),
        run_of("densenet", "pixel", "objects", 16),
        run_of("densenet", "gap", "objects", 17),
        run_of("lite0", "pixel", "textures", 10),
        run_of("densenet", "pixel", "textures", 10),
        run_of("lite0", "pixel", "faces", 8),
    )
)


def dots(ax):
    """(color, accuracy, row) of each dot."""
    lines = [line for line in ax.lines if line.get_marker() == "o"]
    return [(color(line), float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines]


def dashed(ax):
    """(color, accuracy) of each dashed line, which crosses the whole of the Axes."""
    lines = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert all(list(line.get_ydata()) == [0, 1] for line in lines)
    return [(color(line), float(line.get_xdata()[0])) for line in lines]


def color(line):
    return to_hex(line.get_color()).upper()


def test_networks_are_on_the_left_and_descriptors_on_the_right():
    left, right, *_ = plots.accuracy_grid_figure(GRID).axes
    lite0, densenet = CATEGORIES[:2]
    assert [label.get_text() for label in left.get_yticklabels()] == ["lite0", "densenet"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["pixel", "gap"]
    assert dots(left) == [(lite0, 0.95, 0.0), (densenet, 0.8, 1.0)]
    of_right = dots(right)
    assert [dot[:2] for dot in of_right] == [(lite0, 0.95), (lite0, 0.9), (densenet, 0.8), (densenet, 0.85)]
    assert [round(dot[2]) for dot in of_right] == [0, 1, 0, 1] and len({dot[2] for dot in of_right}) == 4
    spans = [tuple(line.get_xdata()) for line in left.lines if line.get_linestyle() == "-"]
    assert GRID.runs[0].ci95 in spans and GRID.runs[3].ci95 in spans
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first name on top
    assert left.get_xlim() == right.get_xlim()


def test_dashed_lines_stand_at_the_network_and_at_the_descriptor():
    lite0, densenet = CATEGORIES[:2]
    axes = plots.accuracy_grid_figure(GRID).axes
    assert dashed(axes[0]) == [(lite0, 0.95)]  # best in objects, tied in textures
    assert dashed(axes[1]) == [(lite0, 0.95), (densenet, 0.8)]
    axes = plots.accuracy_grid_figure(GRID, network="densenet", descriptor="gap").axes
    assert dashed(axes[0]) == [(densenet, 0.85)]
    assert dashed(axes[1]) == [(lite0, 0.9), (densenet, 0.85)]


def test_the_title_counts_how_often_they_are_best():
    told = plots.accuracy_grid_figure(GRID).get_suptitle().split("\n")
    assert told[0] == "left: pixel by network; dashed: lite0, best or tied in 2 of 2 tasks"
    assert told[1].endswith("dashed: pixel, best or tied in 1 of 2 pairs of task and network")
    assert times_best(GRID.rows()[:1], "pixel", of="descriptor") == (0, 0)  # nothing to compare with
    alone = plots.accuracy_grid_figure(AccuracyGrid(GRID.runs[:1])).get_suptitle()
    assert alone.count("nothing to compare") == 2


def test_rows_of_several_grids_are_drawn_like_one_grid():
    rows = [row for run in GRID.runs for row in AccuracyGrid((run,)).rows()]
    one, several = (plots.accuracy_grid_figure(found) for found in (GRID, rows))
    parts = [AccuracyGrid(GRID.runs[:4]), AccuracyGrid(GRID.runs[4:])]
    assert plots.accuracy_grid_figure(parts).get_suptitle() == one.get_suptitle()
    with pytest.raises(InputError, match=r"grids\[1\] has no 'low'"):
        plots.accuracy_grid_figure([rows[0], {name: rows[1][name] for name in rows[1] if name != "low"}])
    assert one.get_suptitle() == several.get_suptitle()
    assert [dots(ax) for ax in one.axes] == [dots(ax) for ax in several.axes]
    titles = [ax.get_title(loc="left") for ax in one.axes[::2]]
    assert titles == ["objects, n = 20 images", "textures, n = 20 images", "faces, n = 20 images"]


def test_many_networks_and_descriptors_can_be_read():
    runs = [
        run_of(f"a_network_with_quite_a_long_name_{i}", descriptor, f"task {task}", 10 + i)
        for task in range(3)
        for i in range(6)
        for descriptor in ("pixel", "gap", "gmp", "gem", "rmac", "flat")
    ]
    require_readable(plots.accuracy_grid_figure(AccuracyGrid(tuple(runs))))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"descriptor": "flat"}, "'flat' to draw; there are: pixel, gap"),
        ({"network": "vgg"}, "lite0, densenet"),
    ],
)
def test_what_is_not_there_cannot_be_drawn(options, words):
    with pytest.raises(InputError, match=words):
        plots.accuracy_grid_figure(GRID, **options)
