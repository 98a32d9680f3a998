"""Observations 3 to 5 with networks trained with different losses, side by side."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.plots.style import GRAY, PAGE, SAME, composing, drawing, shortened
from hueprobe.plots.training import write_p
from hueprobe.studies.comparison.loss_comparison import BASELINE
from hueprobe.studies.comparison.trained_networks import MEASURES, MeasureSummary

_COLUMNS = 2


@takes(MeasureSummary, several=True)
def measure_figure(summaries: Sequence[MeasureSummary]) -> Figure:
    """Draw each measure of one learning rate in a panel of its own, as `loss_measure` does.

    Parameters
    ----------
    summaries : sequence of MeasureSummary
        As `compare_observed` gives them.

    Raises
    ------
    InputError
        There is none, or there are several learning rates.
    """
    if not summaries:
        raise InputError("no trained network was observed, so there is nothing to draw")
    rates = {found.learning_rate for found in summaries}
    if len(rates) > 1:
        raise InputError(f"{len(rates)} learning rates in one figure; draw each by itself")
    measures = [name for name in MEASURES if any(found.measure == name for found in summaries)]
    n_losses = len({found.loss for found in summaries})
    n_rows = -(-len(measures) // _COLUMNS)
    with composing(PAGE, n_rows * (0.75 + 0.17 * n_losses)) as figure:
        axes = figure.subplots(n_rows, _COLUMNS, squeeze=False).ravel()
        for ax, name in zip(axes, measures, strict=False):
            loss_measure([found for found in summaries if found.measure == name], ax=ax)
        for ax in axes[len(measures) :]:
            ax.set_visible(False)
    return figure


@takes(MeasureSummary, several=True)
def loss_measure(summaries: Sequence[MeasureSummary], *, ax: Axes | None = None) -> Axes:
    """Draw one measure: each loss's mean over seeds with its interval, and p against one-hot.

    The dashed line is one-hot's mean.

    Parameters
    ----------
    summaries : sequence of MeasureSummary
        Of one measure.
    ax : Axes, optional

    Raises
    ------
    InputError
        There is none, or there are several measures.
    """
    measures = list(dict.fromkeys(found.measure for found in summaries))
    if len(measures) != 1:
        raise InputError(f"{len(measures)} measures in one panel; give the summaries of one")
    with drawing(ax, height=0.75 + 0.17 * len(summaries)) as ax:
        for row, found in enumerate(summaries):
            ax.plot([found.mean.low, found.mean.high], [row, row], color=SAME)
            ax.plot(found.mean.estimate, row, "o", color=SAME)
            if found.loss == BASELINE:
                ax.axvline(found.mean.estimate, color=GRAY, linewidth=0.7, linestyle="--", zorder=0)
            write_p(ax, row, found.p)
        ax.set_yticks(range(len(summaries)), [shortened(found.loss, 22) for found in summaries])
        ax.xaxis.set_major_locator(MaxNLocator(5))
        unit = MEASURES[measures[0]].partition(";")[0].partition(",")[0]
        ax.set(ylim=(len(summaries) - 0.5, -0.5), title=measures[0], xlabel=shortened(unit, 48))
    return ax
