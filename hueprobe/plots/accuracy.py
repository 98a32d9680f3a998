"""Observation 2 in images: accuracy by network, descriptor and classifier."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.observations.accuracy.grid import CLASSIFIER, AccuracyGrid
from hueprobe.plots.style import CATEGORIES, GRAY, PAGE, PALE, SAME, composing, drawing, shortened
from hueprobe.stats.paired import PairedComparison

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_COLUMNS = 3  # tasks in a row


@takes(AccuracyGrid)
def accuracy_figure(grid: AccuracyGrid) -> Figure:
    """Draw the accuracies of every task side by side, on one scale; see `accuracy_dots`.

    Parameters
    ----------
    grid : AccuracyGrid

    Raises
    ------
    InputError
        The grid has no runs.
    """
    tasks = list(dict.fromkeys(run.task for run in grid.runs))
    if not tasks:
        raise InputError("the accuracy grid has no runs to draw; give at least one")
    columns = min(len(tasks), _COLUMNS)
    n_panels, series = -(-len(tasks) // columns), _series(grid)
    n_rows = max(len(_networks(grid, task)) for task in tasks) * (len(series) + 1)
    height = n_panels * (0.6 + 0.11 * n_rows) + 0.3 + 0.15 * -(-len(series) // 4)
    with composing(PAGE if columns > 1 else 4.5, height) as figure:
        axes = figure.subplots(n_panels, columns, squeeze=False, sharex=True).ravel()
        for i, (ax, task) in enumerate(zip(axes, tasks, strict=False)):
            accuracy_dots(grid, task, legend=False, ax=ax)
            ax.xaxis.set_tick_params(labelbottom=True)
            if i % columns and _networks(grid, task) == _networks(grid, tasks[i - 1]):
                ax.tick_params(labelleft=False)
        for ax in axes[len(tasks) :]:
            ax.set_visible(False)
        handles = {str(line.get_label()): line for ax in axes for line in ax.lines}
        labels = [_label(key) for key in series]
        figure.legend([handles[label] for label in labels], labels, loc="outside lower center", ncols=4)
    return figure


@takes(AccuracyGrid)
def accuracy_dots(grid: AccuracyGrid, task: str, *, legend: bool = True, ax: Axes | None = None) -> Axes:
    """Draw the accuracies of one task, a group of rows a network, with 95 % Wilson intervals.

    Color is the descriptor, shape the classifier; filled dots are the kernel density, Eq. (1)-(3).

    Parameters
    ----------
    grid : AccuracyGrid
    task : str
    legend : bool
    ax : Axes, optional

    Raises
    ------
    InputError
        The grid has no such task.
    """
    networks, series = _networks(grid, task), _series(grid)
    if not networks:
        known = ", ".join(dict.fromkeys(run.task for run in grid.runs)) or "(none)"
        raise InputError(f"no task {task!r} in this accuracy grid; it has: {known}")
    descriptors = list(dict.fromkeys(descriptor for descriptor, _ in series))
    classifiers = [CLASSIFIER, *dict.fromkeys(name for _, name in series if name != CLASSIFIER)]
    step = len(series) + 1
    named: set[tuple[str, str]] = set()
    with drawing(ax, width=4.5, height=1.1 + 0.11 * step * len(networks)) as ax:
        for run in grid.runs:
            if run.task != task:
                continue
            key = (run.descriptor, run.classifier)
            row = networks.index(run.network) * step + series.index(key)
            color = CATEGORIES[descriptors.index(run.descriptor) % len(CATEGORIES)]
            ax.plot(run.ci95, [row, row], color=color, linewidth=0.9)
            ax.plot(
                run.accuracy, row, _MARKERS[classifiers.index(run.classifier) % len(_MARKERS)], color=color,
                markerfacecolor=color if run.classifier == CLASSIFIER else "white", linestyle="none",
                label=None if key in named else _label(key),
            )  # fmt: skip
            named.add(key)
        for number in range(1, len(networks)):
            ax.axhline(number * step - 1, color=PALE, linewidth=0.6, zorder=0)
        middles = [number * step + (len(series) - 1) / 2 for number in range(len(networks))]
        ax.set_yticks(middles, [shortened(network, 22) for network in networks])
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.set(ylim=(len(networks) * step - 0.5, -1.0), xlabel="accuracy (share of images)", title=task)
        if legend:
            ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


@takes(PairedComparison, several=True)
def paired_differences(comparisons: Sequence[PairedComparison], *, ax: Axes | None = None) -> Axes:
    """Draw how much better the first classifier of each pair is, with 95 % intervals and p-values.

    Parameters
    ----------
    comparisons : sequence of PairedComparison
        Such as `AccuracyGrid.comparisons` gives.
    ax : Axes, optional

    Raises
    ------
    InputError
        There is none.
    """
    if not comparisons:
        raise InputError("no comparisons to draw; give at least one")
    with drawing(ax, height=0.7 + 0.2 * len(comparisons)) as ax:
        ax.axvline(0, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
        for row, found in enumerate(comparisons):
            difference = found.difference
            ax.plot([difference.low, difference.high], [row, row], color=SAME)
            ax.plot(difference.estimate, row, "o", color=SAME)
            ax.annotate(
                f"p = {found.p:.2g}", (1, row), xycoords=("axes fraction", "data"), xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=6.5,
            )  # fmt: skip
        names = [f"{found.first} − {shortened(found.second, 26)}" for found in comparisons]
        ax.set_yticks(range(len(comparisons)), names)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.set(ylim=(len(comparisons) - 0.5, -0.5), xlabel="difference in accuracy")
    return ax


def _networks(grid: AccuracyGrid, task: str) -> list[str]:
    return list(dict.fromkeys(run.network for run in grid.runs if run.task == task))


def _series(grid: AccuracyGrid) -> list[tuple[str, str]]:
    """(descriptor, classifier) in order of appearance, the same in every task."""
    return list(dict.fromkeys((run.descriptor, run.classifier) for run in grid.runs))


def _label(key: tuple[str, str]) -> str:
    descriptor, classifier = key
    return descriptor if classifier == CLASSIFIER else f"{descriptor}, {classifier}"
