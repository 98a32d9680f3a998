"""Plots of observations 3 to 5 with networks trained with different losses."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.plots.style import PAGE, composing, drawing, shortened
from hueprobe.plots.training import draw_mean, label_rows, write_beside, write_inside
from hueprobe.studies.comparison.trained_networks import MEASURES, MeasureSummary

_COLUMNS = 2


@takes(MeasureSummary, several=True)
def measure_figure(summaries: Sequence[MeasureSummary]) -> Figure:
    """Draw all measures of trained networks at one learning rate, one panel each.

    Parameters
    ----------
    summaries : sequence of MeasureSummary
        From `hueprobe.studies.compare_observed`, for one learning rate.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        The sequence is empty, or has several learning rates.

    See Also
    --------
    hueprobe.plots.loss_measure : One measure.
    hueprobe.plots.loss_figure : Accuracies and curves of the same runs.

    Examples
    --------
    >>> observed = hp.studies.compare_observed(runs)
    >>> figure = hp.plots.measure_figure(observed)
    >>> [ax.get_title() for ax in figure.axes if ax.get_visible()]
    ['angle, pca plane', "angle, head's plane", 'full direction']
    """
    if not summaries:
        raise InputError("no trained network was observed, so there is nothing to draw")
    rates = {found.learning_rate for found in summaries}
    if len(rates) > 1:
        raise InputError(f"{len(rates)} learning rates in one figure; draw one figure for each")
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
    """Draw one measure of trained networks: the mean of each loss over seeds, with its interval.

    Beside each row are the number of seeds and the p-value against one-hot, whose mean is the dashed line.

    Parameters
    ----------
    summaries : sequence of MeasureSummary
        From `hueprobe.studies.compare_observed`, for one measure.
    losses : sequence of str, optional
        Losses of the rows, from the top. Rows of losses without the measure say so. By default the losses
        that have it.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    Raises
    ------
    InputError
        The sequence is empty, or has several measures.

    See Also
    --------
    hueprobe.plots.measure_figure : All measures.
    hueprobe.studies.compare_observed : Summarize the measures over seeds.

    Examples
    --------
    >>> observed = hp.studies.compare_observed(runs)
    >>> ax = hp.plots.loss_measure([found for found in observed if found.measure == "full direction"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['onehot', 'hue:eq5']
    """
    measures = list(dict.fromkeys(found.measure for found in summaries))
    if len(measures) != 1:
        raise InputError(f"{len(measures)} measures in one panel; give the summaries of one measure")
    rows = list(losses or [found.loss for found in summaries])
    with drawing(ax, height=0.75 + 0.17 * len(rows)) as ax:
        for found in summaries:
            row = rows.index(found.loss)
            draw_mean(ax, row, found.mean, found.loss)
            write_beside(ax, row, found.mean, found.n_seeds, found.p)
        for row in set(range(len(rows))) - {rows.index(found.loss) for found in summaries}:
            write_inside(ax, row, "not available")
        label_rows(ax, rows)
        unit = MEASURES[measures[0]].partition(";")[0].partition(",")[0]
        ax.set(title=measures[0], xlabel=shortened(unit, 48))
    return ax
