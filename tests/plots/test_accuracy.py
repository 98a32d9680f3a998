import numpy as np
import pytest
from matplotlib.colors import to_hex

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.observations.accuracy.grid import CLASSIFIER, AccuracyGrid, AccuracyRun
from hueprobe.plots.style import CATEGORIES
from tests.plots.readable import require_readable


def run_of(network, descriptor, task, n_right, classifier=CLASSIFIER, n=20):
    names = tuple(f"i{i}" for i in range(n))
    right = tuple(i < n_right for i in range(n))
    return AccuracyRun(network, descriptor, task, classifier, names, (None,) * n, right, held_out=True)


GRID = AccuracyGrid(
    (
        run_of("lite0", "pixel", "objects", 19),
        run_of("lite0", "gap", "objects", 18),
        run_of("lite0", "gap", "objects", 17, "nearest centroid"),
        run_of("resnet", "pixel", "objects", 16),
        run_of("resnet", "pixel", "textures", 10),
    )
)


def dots(ax):
    """Accuracy -> (row, marker, color, filled)."""
    return {
        float(line.get_xdata()[0]): (
            float(line.get_ydata()[0]), line.get_marker(), to_hex(line.get_color()).upper(),
            to_hex(line.get_markerfacecolor()) != "#ffffff",
        )
        for line in ax.lines
        if line.get_marker() not in ("", "None")
    }  # fmt: skip


def test_each_run_is_a_dot_with_its_wilson_interval(ax):
    assert plots.accuracy_dots(GRID, "objects", ax=ax) is ax
    drawn = dots(ax)
    assert set(drawn) == {0.95, 0.9, 0.85, 0.8}
    assert drawn[0.95][1:] == ("o", CATEGORIES[0], True)
    assert drawn[0.9][1:] == ("o", CATEGORIES[1], True)
    assert drawn[0.85][1:] == ("s", CATEGORIES[1], False)  # another classifier: open, another shape
    assert drawn[0.95][0] < drawn[0.9][0] < drawn[0.85][0] < drawn[0.8][0]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first network on top
    spans = [tuple(line.get_xdata()) for line in ax.lines if line.get_marker() == "None"]
    assert GRID.runs[0].ci95 in spans
    named = {text.get_text(): at for at, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)}
    assert named["lite0"] < drawn[0.95][0] and named["gap, nearest centroid"] == drawn[0.85][0]
    at = dict(zip(ax.get_yticks(), (text.get_text() for text in ax.get_yticklabels()), strict=True))
    assert [at[drawn[x][0]] for x in (0.95, 0.9, 0.85, 0.8)] == [  # every row bears its name
        "pixel", "gap", "gap, nearest centroid", "pixel",
    ]  # fmt: skip
    assert drawn[0.85][0] < named["resnet"] < drawn[0.8][0]


def test_a_descriptor_looks_the_same_in_every_task():
    figure = plots.accuracy_figure(GRID)
    objects, textures = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["objects\nn = 20 images", "textures\nn = 20 images"]
    assert dots(objects)[0.8][1:] == dots(textures)[0.5][1:]
    assert objects.get_xlim() == textures.get_xlim()


def test_many_tasks_take_several_rows():
    runs = tuple(run_of("lite0", "pixel", f"task {i}", 10 + i) for i in range(5))
    figure = plots.accuracy_figure(AccuracyGrid(runs))
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert len(shown) == 5 and shown[0].get_position().y0 > shown[3].get_position().y1


def test_accuracy_of_many_classifiers_can_be_read():
    names = ("kernel density, K tuned", "majority vote", "nearest centroid", "logistic regression")
    runs = [
        run_of(network, descriptor, task, 15, classifier)
        for network in ("efficientnet_lite0", "resnet50")
        for task in ("leave one out", "held out", "textures")
        for descriptor in ("pixel", "gap", "gmp", "gem", "rmac", "flat")
        for classifier in (CLASSIFIER, *names)
    ]
    require_readable(plots.accuracy_figure(AccuracyGrid(tuple(runs))))


@pytest.mark.parametrize(
    "draw", [lambda: plots.accuracy_dots(GRID, "faces"), lambda: plots.accuracy_figure(AccuracyGrid(()))]
)
def test_what_is_not_there_cannot_be_drawn(draw):
    with pytest.raises(InputError, match=r"objects, textures|no runs"):
        draw()


def test_paired_differences_have_zero_their_interval_and_p(ax):
    comparisons = GRID.comparisons("lite0", "objects")
    plots.paired_differences(comparisons, ax=ax)
    assert [round(d, 6) for d in dots(ax)] == [0.05, 0.1]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "pixel − gap",
        "pixel − gap, nearest centroid",
    ]
    np.testing.assert_allclose(
        ax.lines[1].get_xdata(), [comparisons[0].difference.low, comparisons[0].difference.high]
    )
    assert ax.texts[0].get_text() == f"p = {comparisons[0].p:.2g}"
    with pytest.raises(InputError, match="at least one"):
        plots.paired_differences(())
