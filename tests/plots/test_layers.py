import numpy as np
import pytest

from hueprobe import plots
from hueprobe.dense.layer_comparison import compare_layers
from hueprobe.dense.scores import score_maps
from hueprobe.dense.segmentation import SegmentSettings
from hueprobe.errors import InputError

SETTINGS = SegmentSettings("eq3", 10, "strict", "exact", 1.0, "image", 30, 0, True)
LAYERS = ("block.early", "late", "")


def compared(methods=("nearest", "position"), groups=None):
    true = np.repeat([[0, 0, 0, 1, 1, 1]], 4, axis=0)

    def scores(shift):
        return score_maps(
            lambda i: (true, np.roll(true, (shift + i) % 3, axis=1)), 4, ("sky", "road"), groups=groups,
            n_resamples=30,
        )  # fmt: skip

    rows = [
        (layer, method, (9 - i, 10 + i), 4, scores(i + 2 * j))
        for i, layer in enumerate(LAYERS)
        for j, method in enumerate(methods)
    ]
    return compare_layers(rows, "late", groups=groups or (None,) * 4, settings=SETTINGS)


def test_dots_are_the_scores_in_the_order_of_the_layers(ax):
    found = compared()
    assert plots.labels_by_layer(found, ax=ax) is ax
    nearest, position = ax.lines
    for line, method in ((nearest, "nearest"), (position, "position")):
        ious = [found.row(layer, method).scores.mean_iou for layer in LAYERS]
        np.testing.assert_array_equal(line.get_ydata(), [one.estimate for one in ious])
    assert (nearest.get_xdata() < position.get_xdata()).all()
    np.testing.assert_allclose((nearest.get_xdata() + position.get_xdata()) / 2, [0, 1, 2])
    segments = ax.collections[1].get_segments()
    one = found.row("late", "position").scores.mean_iou
    np.testing.assert_allclose([point[1] for point in segments[1]], [one.low, one.high])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["nearest cells", "position alone"]
    assert [text.get_text() for text in ax.get_xticklabels()] == [
        "block.early\n9 x 10", "late\n8 x 11", "output\n7 x 12",
    ]  # fmt: skip
    assert ax.get_title() == "n = 4 images"


def test_differences_leave_the_reference_out(ax):
    found = compared(groups=("a", "a", "b", "c"))
    plots.layer_differences(found, ax=ax)
    zero, nearest, position = ax.lines
    assert list(zero.get_ydata()) == [0, 0]
    assert len(nearest.get_xdata()) == 2 and len(position.get_xdata()) == 3
    np.testing.assert_array_equal(
        nearest.get_ydata(), [found.row(layer).difference.mean_iou.estimate for layer in ("block.early", "")]
    )
    assert ax.get_ylabel() == "mean IoU minus that\nof layer late"
    assert ax.get_title() == "paired by group (n = 3)"


def test_one_method_needs_no_legend_and_the_figure_has_one():
    alone = plots.layer_figure(compared(("nearest",)))
    assert not alone.legends and all(ax.get_legend() is None for ax in alone.axes)
    both = plots.layer_figure(compared())
    assert len(both.legends) == 1 and len(both.axes) == 2
    with pytest.raises(InputError, match="give a LayerScores"):
        plots.layer_figure("layers.npz")
