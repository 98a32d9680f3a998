import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from hueprobe.grid import Grid
from hueprobe.plots import style


def test_importing_plots_loads_no_matplotlib_and_drawing_no_pyplot():
    code = (
        "import sys, hueprobe.plots as plots; assert 'matplotlib' not in sys.modules; "
        "names = [getattr(plots, name) for name in plots.__all__]; assert 'matplotlib' in sys.modules; "
        "from hueprobe.plots.style import drawing\n"
        "with drawing(None) as ax: ax.plot([1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_drawing_into_axes_leaves_the_callers_settings(ax):
    size = mpl.rcParams["font.size"]
    with style.drawing(ax) as same:
        assert same is ax and mpl.rcParams["font.size"] == size


def test_new_axes_belong_to_pyplot_where_it_is_loaded(monkeypatch):
    from matplotlib import pyplot

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    with style.drawing(None) as ax:
        pass
    assert pyplot.get_fignums() == [ax.figure.number]
    pyplot.close(ax.figure)
    with style.composing(3, 2):
        pass
    assert pyplot.get_fignums() == []


def test_our_style_holds_when_the_figure_is_drawn_later():
    before = dict(mpl.rcParams)
    with style.composing(3, 2) as figure:
        ax = figure.add_subplot()
        ax.plot([1, 2], [3, 4])
        ax.set(xlabel="x", title="t")
    assert dict(mpl.rcParams) == before
    figure.canvas.draw()
    sizes = {label.get_fontsize() for label in [*ax.get_xticklabels(), *ax.get_yticklabels()]}
    assert sizes == {6.5}
    assert ax.xaxis.label.get_fontsize() == 7.0 and ax.title.get_fontsize() == 7.5


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (5, 9), (28, 14)])
def test_cell_axes_have_row_0_on_top_and_whole_ticks(ax, shape):
    style.cell_axes(ax, Grid(*shape))
    bottom, top = ax.get_ylim()
    assert (bottom, top) == (shape[0] - 0.5, -0.5)
    assert ax.get_xlim() == (-0.5, shape[1] - 0.5)
    assert all(tick == int(tick) for tick in [*ax.get_xticks(), *ax.get_yticks()])
    assert len(ax.get_xticks()) <= 8


def test_colorbar_names_its_unit():
    figure = Figure()
    axes = figure.subplots(1, 2)
    image = axes[0].imshow(np.eye(2))
    assert style.colorbar(image, axes, "energy (1 is the mean)").ax.get_ylabel() == "energy (1 is the mean)"


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mpl.colors.to_rgb(color)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_every_color_of_a_line_or_dot_can_be_seen_on_white_paper():
    drawn = [*style.CATEGORIES, style.GRAY, style.INK, *style.angle_colors(np.linspace(-np.pi, np.pi, 100))]
    for color in drawn:
        assert 1.05 / (luminance(color) + 0.05) >= 3, color  # WCAG's bound for graphics


def test_colors_of_angles_go_round_and_opposite_ones_are_far_apart():
    turns = np.linspace(-np.pi, np.pi, 73)
    colors = style.angle_colors(turns)[:, :3]
    steps = np.abs(np.diff(colors, axis=0)).max(axis=1)
    assert steps.max() < 0.15 and np.abs(colors[0] - colors[-1]).max() < 0.02
    assert np.linalg.norm(colors[:36] - colors[36:72], axis=1).min() > 0.35


def test_figures_are_at_least_a_thousand_pixels_wide():
    for width in (2.0, style.COLUMN, style.PAGE):
        with style.composing(width, 2) as figure:
            figure.add_subplot()
        assert figure.bbox.width >= 1000 and figure.dpi >= 200


@pytest.mark.parametrize("name", ["a$b", "Tomato___Tomato_Yellow_Leaf_Curl_Virus", "w" * 200, "i" * 200])
def test_fitting_leaves_no_more_than_there_is_room_for(name):
    ax = Figure(figsize=(5, 1), dpi=200).add_subplot()
    text = ax.text(0, 0, style.fitting(name, 1.2, fontsize=7), fontsize=7)
    assert text.get_window_extent().width <= 1.25 * 200
    assert len(text.get_text()) >= min(len(name), 10)


def test_text_can_be_read_on_every_category():
    for color in (*style.CATEGORIES, style.GRAY):
        dark, light = sorted([luminance(color), luminance(style.text_on(color))])
        assert (light + 0.05) / (dark + 0.05) > 3, color  # WCAG's bound for bold and large text


@pytest.mark.parametrize("name", ["a", "abcdefgh", "abcdefghi", "a" * 100])
def test_shortened_keeps_to_its_length(name):
    text = style.shortened(name, 8)
    assert len(text) <= 8 and (text == name) == (len(name) <= 8)
