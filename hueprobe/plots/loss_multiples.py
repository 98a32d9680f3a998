"""Many training losses side by side: a small panel each, on one scale, before one-hot in gray."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from hueprobe.plots.style import GRAY, SAME, shortened
from hueprobe.stats.intervals import Interval
from hueprobe.studies.comparison.loss_comparison import BASELINE, LossCurves, LossSummary

Found = TypeVar("Found", LossCurves, LossSummary)

_ROW, _MARGIN = 1.2, 0.6  # inches: a row of panels, and the words around all of them


def seeds_told(mean: Interval) -> str:
    """Return on how many seeds a mean stands, "n = 6"."""
    return f"n = {int(mean.degrees) + 1}"


def multiples_height(found: Sequence[Found]) -> float:
    """Return the inches that the panels of so many losses need."""
    return _shape(len(_others(found)))[0] * _ROW + _MARGIN


def curve_multiples(
    part: SubFigure, curves: Sequence[LossCurves], values: Callable[[LossCurves], Sequence[Interval]],
    label: str, *, limits: tuple[float, float] | None = None,
) -> None:  # fmt: skip
    """Draw a quantity against the epoch, a panel a loss: the mean over seeds with its 95 % interval.

    Parameters
    ----------
    part : SubFigure
        Where to.
    curves : sequence of LossCurves
    values : callable
        The quantity of each epoch.
    label : str
        Of the quantity, with its unit.
    limits : (float, float), optional
        Of the axis.
    """
    plain = [found for found in curves if found.loss == BASELINE]
    gray = "".join(f"{BASELINE} ({seeds_told(values(one)[0])})" for one in plain)
    for ax, found in _panels(part, _others(curves), label, "epoch", gray=gray):
        for one, color in [(one, GRAY) for one in plain] + [(found, SAME)]:
            curve = values(one)
            epochs, low, high = range(1, len(curve) + 1), [at.low for at in curve], [at.high for at in curve]
            ax.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)
            ax.plot(epochs, [at.estimate for at in curve], color=color, linewidth=1)
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.set_title(f"{shortened(found.loss, 22)} ({seeds_told(values(found)[0])})", fontsize=6.5)
        if limits is not None:
            ax.set_ylim(*limits)


def robustness_multiples(part: SubFigure, summaries: Sequence[LossSummary]) -> None:
    """Draw accuracies on perturbed test images, a panel a loss; severity 0 is unperturbed.

    Parameters
    ----------
    part : SubFigure
        Where to.
    summaries : sequence of LossSummary
        Tested on the same perturbed images.
    """
    kinds = list(dict.fromkeys(name.split()[0] for name in summaries[0].robustness))
    n_severities = len(summaries[0].robustness) // len(kinds) + 1
    plain = [found for found in summaries if found.loss == BASELINE]
    gray = "".join(f"{BASELINE} (n = {one.n_seeds})" for one in plain)
    told = f"severity 0 to {n_severities - 1} of {', '.join(kinds)}"
    for ax, found in _panels(part, _others(summaries), "test accuracy (share)", told, gray=gray):
        for one, color, beside in [(one, GRAY, -0.15) for one in plain] + [(found, SAME, 0.15)]:
            for number, kind in enumerate(kinds):
                shown = [
                    one.accuracy,
                    *(at for name, at in one.robustness.items() if name.split()[0] == kind),
                ]
                places = number * (n_severities + 0.5) + beside + np.arange(n_severities)
                for place, at in zip(places, shown, strict=True):
                    ax.plot([place, place], [at.low, at.high], color=color, linewidth=0.8)
                ax.plot(places, [at.estimate for at in shown], "o-", color=color, linewidth=0.4, markersize=2)
        starts = np.arange(len(kinds)) * (n_severities + 0.5)
        ax.set_xticks(starts + (n_severities - 1) / 2, kinds)
        ax.tick_params(axis="x", length=0)
        for start in starts[1:]:
            ax.axvline(start - 0.75, color=GRAY, linewidth=0.4)
        ax.set_title(f"{shortened(found.loss, 22)} (n = {found.n_seeds})", fontsize=6.5)


def _others(found: Sequence[Found]) -> list[Found]:
    return [one for one in found if one.loss != BASELINE]


def _shape(n: int) -> tuple[int, int]:
    """Return rows and columns of n panels: three columns where four would leave more places empty."""
    columns = 3 if -n % 3 < -n % 4 else 4
    return max(1, -(-n // columns)), columns


def _panels(
    part: SubFigure, found: Sequence[Found], y_label: str, x_label: str, *, gray: str
) -> list[tuple[Axes, Found]]:
    """Return an Axes for each, all of one scale, under a heading that says what is drawn."""
    n_rows, n_columns = _shape(len(found))
    axes = part.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.ravel()[len(found) :]:
        ax.set_visible(False)
    for column in range(n_columns):  # the lowest panel of a column that is not full has the numbers, too
        last = (len(found) - 1 - column) // n_columns
        if 0 <= last < n_rows - 1:
            axes[last, column].tick_params(axis="x", labelbottom=True)
    heading = "mean over seeds with its 95 % interval, a panel a loss"
    part.suptitle(f"{heading}; gray: {gray}" if gray else heading, fontsize=7)
    part.supylabel(y_label, fontsize=7)
    part.supxlabel(x_label, fontsize=7)
    return list(zip(axes.ravel(), found, strict=False))
