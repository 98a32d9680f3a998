"""Observations 3 to 5 with networks trained with different losses, side by side."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.plots.style import PAGE, composing, drawing, shortened
from hueprobe.plots.training import draw_mean, label_rows, write_behind, write_inside
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
    losses = list(dict.fromkeys(found.loss for found in summaries))
    n_rows = -(-len(measures) // _COLUMNS)
    with composing(PAGE, n_rows * (0.8 + 0.17 * len(losses))) as figure:
        axes = figure.subplots(n_rows, _COLUMNS, squeeze=False).ravel()
        for ax, name in zip(axes, measures, strict=False):
            loss_measure([found for found in summaries if found.measure == name], losses=losses, ax=ax)
        for ax in axes[len(measures) :]:
            ax.set_visible(False)
    return figure


@takes(MeasureSummary, several=True)
def loss_measure(
    summaries: Sequence[MeasureSummary], *, losses: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw one measure: each loss's mean over seeds with its interval, their number, and p against one-hot.

    The dashed line is one-hot's mean.

    Parameters
    ----------
    summaries : sequence of MeasureSummary
        Of one measure.
    losses : sequence of str, optional
        A row each; those without the measure say so. By default the losses that have it.
    ax : Axes, optional

    Raises
    ------
    InputError
        There is none, or there are several measures.
    """
    measures = list(dict.fromkeys(found.measure for found in summaries))
    if len(measures) != 1:
        raise InputError(f"{len(measures)} measures in one panel; give the summaries of one")
    rows = list(losses or [found.loss for found in summaries])
    with drawing(ax, height=0.75 + 0.17 * len(rows)) as ax:
        for found in summaries:
            row = rows.index(found.loss)
            draw_mean(ax, row, found.mean, found.loss)
            write_behind(ax, row, found.mean, found.n_seeds, found.p)
        for row in set(range(len(rows))) - {rows.index(found.loss) for found in summaries}:
            write_inside(ax, row, "has none")
        label_rows(ax, rows)
        unit = MEASURES[measures[0]].partition(";")[0].partition(",")[0]
        ax.set(title=measures[0], xlabel=shortened(unit, 48))
    return ax
