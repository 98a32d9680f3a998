"""Observation 2 in images: accuracy by network, descriptor and classifier."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.observations.accuracy.grid import CLASSIFIER, AccuracyGrid, AccuracyRun
from hueprobe.plots.style import CATEGORIES, GRAY, PAGE, PALE, SAME, composing, drawing, p_label, shortened
from hueprobe.stats.paired import PairedComparison

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_COLUMNS = 3  # tasks in a row
_ROW = 0.145  # inches


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
    n_panels = -(-len(tasks) // columns)
    n_rows = max(len(_networks(grid, task)) for task in tasks) * (len(_series(grid)) + 1)
    with composing(PAGE if columns > 1 else 4.5, n_panels * (0.75 + _ROW * n_rows)) as figure:
        axes = figure.subplots(n_panels, columns, squeeze=False, sharex=True).ravel()
        for i, (ax, task) in enumerate(zip(axes, tasks, strict=False)):
            accuracy_dots(grid, task, ax=ax)
            ax.xaxis.set_tick_params(labelbottom=True)
            if i % columns and _row_names(ax) == _row_names(axes[i - i % columns]):
                ax.tick_params(labelleft=False)
        for ax in axes[len(tasks) :]:
            ax.set_visible(False)
    return figure


@takes(AccuracyGrid)
def accuracy_dots(grid: AccuracyGrid, task: str, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracies of one task, a group of rows a network, with 95 % Wilson intervals.

    Every row bears its descriptor, and its classifier where that is another than the kernel density of
    Eq. (1)-(3), whose dots are filled; color is the descriptor, shape the classifier.

    Parameters
    ----------
    grid : AccuracyGrid
    task : str
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
    runs = [run for run in grid.runs if run.task == task]
    rows = {run.key: _row(run, networks, series, step) for run in runs}
    with drawing(ax, width=4.5, height=0.75 + _ROW * step * len(networks)) as ax:
        for run in runs:
            row, color = rows[run.key], CATEGORIES[descriptors.index(run.descriptor) % len(CATEGORIES)]
            ax.plot(run.ci95, [row, row], color=color, linewidth=0.9)
            ax.plot(
                run.accuracy, row, _MARKERS[classifiers.index(run.classifier) % len(_MARKERS)], color=color,
                markerfacecolor=color if run.classifier == CLASSIFIER else "white", linestyle="none",
            )  # fmt: skip
        for number in range(1, len(networks)):
            ax.axhline(number * step - 0.5, color=PALE, linewidth=0.6, zorder=0)
        heads = [number * step for number in range(len(networks))]
        names = {rows[run.key]: shortened(_label((run.descriptor, run.classifier)), 32) for run in runs}
        ax.set_yticks([*heads, *names], [*(shortened(network, 32) for network in networks), *names.values()])
        for head in ax.get_yticklabels()[: len(heads)]:
            head.set_fontweight("bold")
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        n = _sizes(run.n for run in runs)
        ax.set(
            ylim=(len(networks) * step - 0.4, -0.6), title=f"{shortened(task, 30)}\nn = {n} images",
            xlabel="accuracy (share of images)",
        )  # fmt: skip
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
                p_label(found.p), (1, row), xycoords=("axes fraction", "data"), xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=6.5,
            )  # fmt: skip
        names = [f"{found.first} − {shortened(found.second, 26)}" for found in comparisons]
        ax.set_yticks(range(len(comparisons)), names)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        n = _sizes(found.n for found in comparisons)
        ax.set(
            ylim=(len(comparisons) - 0.5, -0.5), xlabel="difference in accuracy", title=f"n = {n} images",
        )  # fmt: skip
    return ax


def _sizes(numbers: Iterable[int]) -> str:
    """Return how many images there are, "240"; or from how many to how many, "180 to 240"."""
    known = sorted(set(numbers))
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"


def _networks(grid: AccuracyGrid, task: str) -> list[str]:
    return list(dict.fromkeys(run.network for run in grid.runs if run.task == task))


def _series(grid: AccuracyGrid) -> list[tuple[str, str]]:
    """(descriptor, classifier) in order of appearance, the same in every task."""
    return list(dict.fromkeys((run.descriptor, run.classifier) for run in grid.runs))


def _row(run: AccuracyRun, networks: Sequence[str], series: Sequence[tuple[str, str]], step: int) -> int:
    """Return where a run stands, counted from the top; a network's name has the row above its first."""
    return networks.index(run.network) * step + 1 + series.index((run.descriptor, run.classifier))


def _row_names(ax: Axes) -> list[tuple[float, str]]:
    return [(tick, text.get_text()) for tick, text in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)]


def _label(key: tuple[str, str]) -> str:
    descriptor, classifier = key
    return descriptor if classifier == CLASSIFIER else f"{descriptor}, {classifier}"
