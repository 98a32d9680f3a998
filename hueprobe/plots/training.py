"""Training losses compared: accuracy over seeds, curves, the hue term's share, robustness."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.plots.style import CATEGORIES, GRAY, LINESTYLES, PAGE, SAME, composing, drawing, shortened
from hueprobe.stats.intervals import Interval
from hueprobe.studies.comparison.loss_comparison import LossCurves, LossSummary

_MOST_INSIDE = 5  # losses whose legend has room beside the lines


@takes(LossSummary, several=True)
def loss_figure(summaries: Sequence[LossSummary], curves: Sequence[LossCurves]) -> Figure:
    """Draw accuracies, curves and, where measured, the terms' shares and robustness, of one learning rate.

    Parameters
    ----------
    summaries : sequence of LossSummary
        As `compare_losses` gives them.
    curves : sequence of LossCurves
        Of the same runs, as `compare_curves` gives them.

    Raises
    ------
    InputError
        There is nothing to draw, or there are several learning rates.
    """
    rates = {found.learning_rate for found in summaries} | {found.learning_rate for found in curves}
    if len(rates) > 1:
        raise InputError(f"{len(rates)} learning rates in one figure; draw each by itself")
    panels: list[Callable[[Axes], Axes]] = [
        lambda ax: loss_accuracies(summaries, ax=ax),
        lambda ax: loss_curves(curves, ax=ax),
    ]
    if any(found.shares for found in curves):
        panels.append(lambda ax: loss_shares(curves, ax=ax))
    if any(summary.robustness for summary in summaries):
        panels.append(lambda ax: loss_robustness(summaries, ax=ax))
    n_rows = -(-len(panels) // 2)
    with composing(PAGE, n_rows * max(2.4, 0.9 + 0.16 * len(summaries))) as figure:
        axes = figure.subplots(n_rows, 2, squeeze=False).ravel()
        for ax, panel in zip(axes, panels, strict=False):
            panel(ax)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
    return figure


@takes(LossSummary, several=True)
def loss_accuracies(summaries: Sequence[LossSummary], *, ax: Axes | None = None) -> Axes:
    """Draw the mean test accuracy of each loss with its 95 % interval over seeds, and p against one-hot.

    Parameters
    ----------
    summaries : sequence of LossSummary
    ax : Axes, optional

    Raises
    ------
    InputError
        There is none.
    """
    if not summaries:
        raise InputError("no losses to draw; give at least one")
    with drawing(ax, height=0.7 + 0.2 * len(summaries)) as ax:
        for row, found in enumerate(summaries):
            accuracy = found.accuracy
            ax.plot([accuracy.low, accuracy.high], [row, row], color=SAME)
            ax.plot(
                accuracy.estimate, row, "o", color=SAME, markerfacecolor=SAME if found.primary else "white"
            )
            write_p(ax, row, found.p)
        ax.set_yticks(range(len(summaries)), [shortened(found.loss, 22) for found in summaries])
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.set(ylim=(len(summaries) - 0.5, -0.5), xlabel="test accuracy after the last epoch (share)")
    return ax


@takes(LossCurves, several=True)
def loss_curves(curves: Sequence[LossCurves], *, ax: Axes | None = None) -> Axes:
    """Draw test accuracy against the epoch, a line a loss: the mean over its seeds, and its 95 % interval.

    Parameters
    ----------
    curves : sequence of LossCurves
    ax : Axes, optional

    Raises
    ------
    InputError
        There is none.
    """
    return _lines(curves, lambda found: found.accuracy, "test accuracy (share)", ax)


@takes(LossCurves, several=True)
def loss_shares(curves: Sequence[LossCurves], *, ax: Axes | None = None) -> Axes:
    """Draw the share of the gradient norm at the bottleneck that the terms beside the class term have.

    Parameters
    ----------
    curves : sequence of LossCurves
        Those without a second term are left out.
    ax : Axes, optional

    Raises
    ------
    InputError
        No loss has a second term.
    """
    if not any(found.shares for found in curves):
        raise InputError(
            "no loss has a second term, so there are no shares to draw; give one with a hue loss"
        )
    ax = _lines(curves, lambda found: found.shares, "share of gradient norm", ax)
    ax.set_ylim(-0.02, 1.02)
    return ax


@takes(LossSummary, several=True)
def loss_robustness(summaries: Sequence[LossSummary], *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of each loss on perturbed test images, with its 95 % interval over seeds.

    A part of the axis a perturbation; severity 0 is unperturbed. Losses stand side by side at each.

    Parameters
    ----------
    summaries : sequence of LossSummary
    ax : Axes, optional

    Raises
    ------
    InputError
        None was tested on perturbed images.
    """
    tested = [found for found in summaries if found.robustness]
    if not tested:
        raise InputError("no loss was tested on perturbed images; compare with robustness=True")
    kinds = list(dict.fromkeys(name.split()[0] for name in tested[0].robustness))
    n_severities = len(tested[0].robustness) // len(kinds) + 1
    starts = np.arange(len(kinds)) * (n_severities + 0.5)
    with drawing(ax) as ax:
        for number, found in enumerate(tested):
            beside = 0.6 * ((number + 0.5) / len(tested) - 0.5)
            color, style = _color_and_style(number)
            for kind, start in zip(kinds, starts, strict=True):
                perturbed = [i for name, i in found.robustness.items() if name.split()[0] == kind]
                shown = [found.accuracy, *perturbed]
                places = start + beside + np.arange(n_severities)
                label = shortened(found.loss, 22) if kind == kinds[0] else None
                for place, at in zip(places, shown, strict=True):
                    ax.plot([place, place], [at.low, at.high], style, color=color, linewidth=0.8)
                ax.plot(places, [i.estimate for i in shown], "o", markersize=2.2, color=color, label=label)
        for kind, start in zip(kinds, starts, strict=True):
            ax.annotate(
                kind, (start + (n_severities - 1) / 2, 1), xycoords=("data", "axes fraction"), xytext=(0, 2),
                textcoords="offset points", ha="center",
            )  # fmt: skip
        for start in starts[1:]:
            ax.axvline(start - 0.75, color=GRAY, linewidth=0.5)
        severities = np.arange(n_severities)
        ax.set_xticks((starts[:, None] + severities).ravel(), np.tile(severities, len(kinds)).tolist())
        ax.set(xlabel="severity of the perturbation", ylabel="test accuracy (share)")
        _legend_below(ax)
    return ax


def _color_and_style(number: int) -> tuple[str, str]:
    """Return what tells a loss from others by its place among them."""
    return CATEGORIES[number % len(CATEGORIES)], LINESTYLES[number // len(CATEGORIES) % len(LINESTYLES)]


def write_p(ax: Axes, row: int, p: float) -> None:
    """Write a p-value at the right of a row; nothing where it is NaN."""
    if not np.isnan(p):
        ax.annotate(
            f"p = {p:.2g}", (1, row), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", va="center", fontsize=6.5,
        )  # fmt: skip


def _lines(
    curves: Sequence[LossCurves],
    values: Callable[[LossCurves], Sequence[Interval]],
    label: str,
    ax: Axes | None,
) -> Axes:
    if not curves:
        raise InputError("no curves to draw; give at least one")
    with drawing(ax) as ax:
        for number, found in enumerate(curves):
            curve = values(found)
            if not curve:  # passed over, but with its color kept
                continue
            epochs, (color, style) = range(1, len(curve) + 1), _color_and_style(number)
            means, name = [at.estimate for at in curve], shortened(found.loss, 22)
            ax.plot(epochs, means, style, color=color, label=name)
            low, high = [at.low for at in curve], [at.high for at in curve]
            ax.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="epoch", ylabel=label)
        if len(ax.lines) > _MOST_INSIDE:
            _legend_below(ax)
        else:
            ax.legend()
    return ax


def _legend_below(ax: Axes) -> None:
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, fontsize=5.5, columnspacing=1.2,
        handlelength=1.6,
    )  # fmt: skip
