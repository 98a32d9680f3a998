"""Training losses compared: accuracy over seeds, curves, the hue term's share, robustness."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.plots.loss_multiples import (
    curve_multiples,
    multiples_height,
    robustness_multiples,
    seeds_told,
)
from hueprobe.plots.style import CATEGORIES, GRAY, INK, PAGE, SAME, composing, drawing, shortened
from hueprobe.stats.intervals import Interval
from hueprobe.studies.comparison.loss_comparison import BASELINE, LossCurves, LossSummary

_MOST_TOGETHER = 4  # losses of one panel; more get a panel each


@takes(LossSummary, several=True)
def loss_figure(summaries: Sequence[LossSummary], curves: Sequence[LossCurves]) -> Figure:
    """Draw accuracies, curves and, where measured, the terms' shares and robustness, of one learning rate.

    Up to four losses are drawn together; of more each has a panel of its own, before one-hot in gray.

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
    if not summaries or not curves:
        raise InputError("no losses to draw; give at least one")
    draw = _together if max(len(summaries), len(curves)) <= _MOST_TOGETHER else _apart
    return draw(summaries, curves)


def _together(summaries: Sequence[LossSummary], curves: Sequence[LossCurves]) -> Figure:
    panels: list[Callable[[Axes], Axes]] = [
        lambda ax: loss_accuracies(summaries, ax=ax),
        lambda ax: loss_curves(curves, ax=ax),
    ]
    if any(found.shares for found in curves):
        panels.append(lambda ax: loss_shares(curves, ax=ax))
    if any(summary.robustness for summary in summaries):
        panels.append(lambda ax: loss_robustness(summaries, ax=ax))
    n_rows = -(-len(panels) // 2)
    with composing(PAGE, n_rows * 2.7) as figure:
        axes = figure.subplots(n_rows, 2, squeeze=False).ravel()
        for ax, panel in zip(axes, panels, strict=False):
            panel(ax)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
    return figure


def _apart(summaries: Sequence[LossSummary], curves: Sequence[LossCurves]) -> Figure:
    sharing = [found for found in curves if found.shares]
    tested = [found for found in summaries if found.robustness]
    parts: list[tuple[float, Callable[[SubFigure], object]]] = [
        (0.8 + 0.2 * len(summaries), lambda part: loss_accuracies(summaries, ax=part.subplots())),
        (
            multiples_height(curves),
            lambda part: curve_multiples(part, curves, lambda one: one.accuracy, "test accuracy (share)"),
        ),
    ]
    if sharing:
        parts.append(
            (
                multiples_height(sharing),
                lambda part: curve_multiples(
                    part, sharing, lambda one: one.shares, "share of gradient norm", limits=(0, 1)
                ),
            )
        )
    if tested:
        parts.append((multiples_height(tested), lambda part: robustness_multiples(part, tested)))
    heights = [height for height, _ in parts]
    with composing(PAGE, sum(heights)) as figure:
        rows = figure.subfigures(len(parts), 1, squeeze=False, height_ratios=heights).ravel()
        for row, (_, draw) in zip(rows, parts, strict=True):
            draw(row)
    return figure


@takes(LossSummary, several=True)
def loss_accuracies(summaries: Sequence[LossSummary], *, ax: Axes | None = None) -> Axes:
    """Draw the mean test accuracy of each loss with its 95 % interval over seeds, their number, and p.

    The contrast declared beforehand is a full dot; the dashed line is one-hot's mean, with which p compares.

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
            draw_mean(ax, row, found.accuracy, found.loss, filled=found.primary)
            write_behind(ax, row, found.accuracy, found.n_seeds, found.p)
        label_rows(ax, [found.loss for found in summaries])
        told = "test accuracy after the last epoch (share)"
        for found in summaries:
            if found.primary:
                told += f"\nfull dot: {shortened(found.loss, 22)}, the contrast declared beforehand"
        ax.set_xlabel(told)
    return ax


def draw_mean(ax: Axes, row: int, mean: Interval, loss: str, *, filled: bool = True) -> None:
    """Draw a mean over seeds with its interval into a row, and one-hot's as a line through all rows."""
    color = INK if loss == BASELINE else SAME
    if np.isnan(mean.estimate):
        write_inside(ax, row, "not measurable")
        return
    ax.plot([mean.low, mean.high], [row, row], color=color)
    ax.plot(mean.estimate, row, "o", color=color, markerfacecolor=color if filled else "white")
    if loss == BASELINE:
        ax.axvline(mean.estimate, color=GRAY, linewidth=0.7, linestyle="--", zorder=0)


def write_inside(ax: Axes, row: int, told: str) -> None:
    """Write into a row why nothing is drawn there."""
    place = ("axes fraction", "data")
    ax.annotate(told, (0.02, row), xycoords=place, va="center", color=GRAY, fontsize=6.5)


def label_rows(ax: Axes, losses: Sequence[str]) -> None:
    """Name the rows, the first on top, and give the axis below few ticks."""
    ax.set_yticks(range(len(losses)), [shortened(loss, 22) for loss in losses])
    ax.set_ylim(len(losses) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(4))


def write_behind(ax: Axes, row: int, mean: Interval, n_seeds: int, p: float) -> None:
    """Write behind a row how many seeds it has, that they give no interval, and p where it is known."""
    told = f"n = {n_seeds}"
    if np.isnan(mean.low) and n_seeds:
        told += ", no interval"
    if not np.isnan(p):
        told += f", p = {p:.2g}"
    ax.annotate(
        told, (1, row), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
        va="center", fontsize=6.5,
    )  # fmt: skip


@takes(LossCurves, several=True)
def loss_curves(curves: Sequence[LossCurves], *, ax: Axes | None = None) -> Axes:
    """Draw test accuracy against the epoch, a line a loss: the mean over its seeds, and its 95 % interval.

    Parameters
    ----------
    curves : sequence of LossCurves
        One-hot is gray; of others there are as many as there are colors, at most.
    ax : Axes, optional

    Raises
    ------
    InputError
        There is none, or there are more than colors tell apart.
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
        No loss has a second term, or there are more losses than colors tell apart.
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
        None was tested on perturbed images, or there are more losses than colors tell apart.
    """
    tested = [found for found in summaries if found.robustness]
    if not tested:
        raise InputError("no loss was tested on perturbed images; compare with robustness=True")
    kinds = list(dict.fromkeys(name.split()[0] for name in tested[0].robustness))
    n_severities = len(tested[0].robustness) // len(kinds) + 1
    starts = np.arange(len(kinds)) * (n_severities + 0.5)
    colors = _colors([found.loss for found in tested])
    with drawing(ax) as ax:
        for number, found in enumerate(tested):
            beside = 0.6 * ((number + 0.5) / len(tested) - 0.5)
            color = colors[found.loss]
            for kind, start in zip(kinds, starts, strict=True):
                perturbed = [i for name, i in found.robustness.items() if name.split()[0] == kind]
                shown = [found.accuracy, *perturbed]
                places = start + beside + np.arange(n_severities)
                name = f"{shortened(found.loss, 22)} (n = {found.n_seeds})"
                label = name if kind == kinds[0] else None
                for place, at in zip(places, shown, strict=True):
                    ax.plot([place, place], [at.low, at.high], color=color, linewidth=0.8)
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


def _colors(losses: Sequence[str]) -> dict[str, str]:
    """Return a color for each loss, gray for one-hot."""
    others = [loss for loss in losses if loss != BASELINE]
    if len(others) > len(CATEGORIES):
        raise InputError(
            f"{len(others)} losses in one panel are more than {len(CATEGORIES)} colors tell apart; draw "
            "fewer, or `loss_figure`, where each has a panel of its own"
        )
    return {BASELINE: GRAY, **dict(zip(others, CATEGORIES, strict=False))}


def _lines(
    curves: Sequence[LossCurves],
    values: Callable[[LossCurves], Sequence[Interval]],
    y_label: str,
    ax: Axes | None,
) -> Axes:
    if not curves:
        raise InputError("no curves to draw; give at least one")
    colors = _colors([found.loss for found in curves])
    with drawing(ax) as ax:
        for found in curves:
            curve, color = values(found), colors[found.loss]
            if not curve:  # passed over, but with its color kept
                continue
            epochs, means = range(1, len(curve) + 1), [at.estimate for at in curve]
            # One-hot on top of what equals it, which is then seen between its dashes.
            style, order = ("--", 3) if found.loss == BASELINE else ("-", 2)
            label = f"{shortened(found.loss, 22)} ({seeds_told(curve[0])})"
            ax.plot(epochs, means, style, color=color, zorder=order, label=label)
            low, high = [at.low for at in curve], [at.high for at in curve]
            ax.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="epoch", ylabel=y_label)
        _legend_below(ax)
    return ax


def _legend_below(ax: Axes) -> None:
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, columnspacing=1.2, handlelength=1.6,
    )  # fmt: skip
