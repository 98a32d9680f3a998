"""Training losses compared, drawn."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.plots.style import GRAY, SAME
from hueprobe.studies import LossRun, compare_curves, compare_losses

MANY = (
    "onehot", "hue:eq5", "hue:chord", "hue:l2", "smooth", "al2", "maxdropout", "catchup", "hue:eq5:detached",
    "hue:eq5:shuffled", "auxiliary",
)  # fmt: skip
SHARING = ("hue", "auxiliary")
PERTURBED = (("blur", 1), ("blur", 2), ("noise", 1), ("noise", 2))


def runs_of(losses):
    rng = np.random.default_rng(0)
    return [
        LossRun(
            loss=loss, seed=seed, fold="", learning_rate=1e-3, n_right=int(rng.integers(60, 80)), n_test=100,
            curve=tuple(rng.random(4)), train_loss=(1.0,),
            shares=tuple(rng.random(4)) if loss.startswith(SHARING) else (), seconds_per_step=1.0,
            saved_bytes=9, n_parameters=5, n_extra=0,
            robustness={f"{kind} {level}": 50 - 9 * level + seed for kind, level in PERTURBED},
        )
        for loss in losses
        for seed in range(3)
    ]  # fmt: skip


def test_robustness_has_a_part_a_perturbation_and_an_interval_a_point():
    summaries = compare_losses(runs_of(MANY[:2]))
    ax = plots.loss_robustness(summaries)
    assert [text.get_text() for text in ax.texts] == ["blur", "noise"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "1", "2"] * 2
    points = [line for line in ax.lines if line.get_marker() == "o"]
    bars = [line for line in ax.lines if line.get_marker() != "o" and len(set(line.get_ydata())) > 1]
    assert len(points) == 4 and [line.get_label() for line in points[::2]] == [
        "onehot (n = 3)",
        "hue:eq5 (n = 3)",
    ]
    for found, blur, noise in zip(summaries, points[::2], points[1::2], strict=True):
        for kind, line in (("blur", blur), ("noise", noise)):
            expected = [found.accuracy, found.robustness[f"{kind} 1"], found.robustness[f"{kind} 2"]]
            assert line.get_ydata() == pytest.approx([at.estimate for at in expected])
            for place, at in zip(line.get_xdata(), expected, strict=True):
                (bar,) = [bar for bar in bars if bar.get_xdata()[0] == place]
                assert bar.get_ydata() == pytest.approx([at.low, at.high])
    ticks = ax.get_xticks().reshape(2, 3)
    assert np.abs(points[0].get_xdata() - ticks[0]).max() < 0.5  # beside its own level
    assert np.abs(points[1].get_xdata() - ticks[1]).max() < 0.5
    with pytest.raises(InputError, match="perturbed"):
        plots.loss_robustness([])


def visible(figure):
    return [ax for ax in figure.axes if ax.get_visible()]


def beyond(ax):
    """Return the labels of ticks that lie outside of what is shown, and are not drawn."""
    for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


def overlapping(figure):
    """Return pairs of texts that lie over each other, of all that is drawn."""
    figure.draw_without_rendering()
    hidden = {id(text) for ax in figure.axes for text in beyond(ax)}
    hidden |= {id(text) for ax in figure.axes if not ax.get_visible() for text in ax.findobj(Text)}
    drawn = [
        (text.get_text(), text.get_window_extent().shrunk(0.9, 0.9))
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and id(text) not in hidden
    ]
    assert len(drawn) > 20
    return [
        (one, other)
        for number, (one, box) in enumerate(drawn)
        for other, beside in drawn[:number]
        if box.overlaps(beside)
    ]


def one_scale(axes):
    return len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1


@pytest.mark.parametrize("n_losses", [2, 4])
def test_few_losses_share_panels_whose_legends_hide_nothing(n_losses):
    runs = runs_of(MANY[:n_losses])
    figure = plots.loss_figure(compare_losses(runs, primary="hue:eq5"), compare_curves(runs))
    accuracies, curves, shares, robust = visible(figure)
    assert [text.get_text().split(",")[0] for text in accuracies.texts] == ["n = 3"] * n_losses
    assert "full dot: hue:eq5" in accuracies.get_xlabel()
    figure.draw_without_rendering()
    for ax in (curves, robust):
        legend = ax.get_legend()
        told = [text.get_text() for text in legend.get_texts()]
        assert told == [f"{loss} (n = 3)" for loss in MANY[:n_losses]]
        assert legend.get_window_extent().y1 <= ax.get_window_extent().y0
    lines = {line.get_label(): line.get_color() for line in curves.lines}
    assert len(set(lines.values())) == n_losses and lines["onehot (n = 3)"] == GRAY
    assert [line.get_color() for line in shares.lines] == [lines[line.get_label()] for line in shares.lines]
    assert not overlapping(figure)


@pytest.mark.parametrize("n_losses", [5, 6, 11])
def test_of_many_losses_each_has_a_panel_before_one_hot(n_losses):
    runs = runs_of(MANY[:n_losses])
    curves = compare_curves(runs)
    figure = plots.loss_figure(compare_losses(runs, primary="hue:eq5"), curves)
    first, *panels = visible(figure)
    assert len(first.texts) == n_losses
    names = [f"{loss} (n = 3)" for loss in MANY[1:n_losses]]
    shared = [name for name in names if name.startswith(SHARING)]
    assert [ax.get_title() for ax in panels] == names + shared + names
    of_curves, rest = panels[: len(names)], panels[len(names) :]
    of_shares, robust = rest[: len(shared)], rest[len(shared) :]
    assert one_scale(of_curves) and one_scale(of_shares) and one_scale(robust)
    for ax, found in zip(of_curves, curves[1:], strict=True):
        gray, own = ax.lines
        assert (gray.get_color(), own.get_color()) == (GRAY, SAME)
        assert gray.get_ydata() == pytest.approx([at.estimate for at in curves[0].accuracy])
        assert own.get_ydata() == pytest.approx([at.estimate for at in found.accuracy])
    assert not overlapping(figure) and figure.get_figwidth() * 200 >= 1000


def test_colors_are_not_given_twice():
    curves = compare_curves(runs_of(MANY[:8]))
    colors = [line.get_color() for line in plots.loss_curves(curves).lines]
    assert len(set(colors)) == 8
    with pytest.raises(InputError, match="8 losses in one panel are more than 7 colors tell apart"):
        plots.loss_curves(compare_curves(runs_of(MANY[:9])))


def test_equal_seeds_are_a_dot_that_says_it_has_no_interval():
    runs = [replace(run, n_right=70) for run in runs_of(MANY[:2])]
    ax = plots.loss_accuracies(compare_losses(runs))
    assert [text.get_text() for text in ax.texts] == ["n = 3, no interval"] * 2  # nor a p: no seed differs
    assert np.isnan(ax.lines[0].get_xdata()).all() and ax.lines[1].get_xdata() == pytest.approx(0.7)
