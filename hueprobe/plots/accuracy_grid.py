"""Plot of observation 2 as the paper shows it: tasks by networks and by descriptors."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.observations.accuracy.best import times_best
from hueprobe.observations.accuracy.grid import CLASSIFIER, AccuracyGrid
from hueprobe.plots.style import CATEGORIES, PAGE, PALE, composing, shortened

_ROW = 0.15  # inches
_LINE = 0.9  # points

_NEEDED = ("network", "descriptor", "task", "classifier", "n", "accuracy", "low", "high")

Row = Mapping[str, Any]


@takes(AccuracyGrid, Mapping, several=True)
def accuracy_grid_figure(
    grids: Sequence[AccuracyGrid | Row], *, network: str | None = None, descriptor: str = "pixel"
) -> Figure:
    """Draw accuracies as in the paper's Fig. 4: per task, networks on the left and descriptors on the right.

    Dots are accuracies of the kernel density classifier, Eq. (1)-(3), with 95 % Wilson intervals; colors are
    networks. Dashed lines stand at the accuracy of one network (left), and of one descriptor with each
    network (right). In the paper they are those of DenseNet-201, the best network in 5 of 6 tasks, and of
    pixel vectors, the best descriptor in all. The title counts how often they are best here; ties count. No
    difference is tested: see `hueprobe.plots.paired_differences`.

    Parameters
    ----------
    grids : AccuracyGrid, or sequence of (AccuracyGrid or dict)
        Grids, or their rows, as in `AccuracyGrid.rows`.
    network : str, optional
        Network of the dashed lines on the left; by default the one that is best most often.
    descriptor : str, default="pixel"
        Descriptor on the left, and of the dashed lines on the right.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        No network has the descriptor, the network is not among those that have it, or a row lacks a number.

    See Also
    --------
    hueprobe.plots.accuracy_figure : All classifiers, one group of rows per network.

    Examples
    --------
    >>> names = {"network": "tiny", "task": "shapes", "held_out": False}
    >>> pixel = hp.observations.accuracy.accuracy_run(result, descriptor="pixel", **names)
    >>> none = np.zeros(12, int)
    >>> other = hp.observations.accuracy.accuracy_run(result, descriptor="gap", predicted=none, **names)
    >>> grid = hp.observations.accuracy.AccuracyGrid((pixel, other))
    >>> figure = hp.plots.accuracy_grid_figure(grid)
    >>> [[label.get_text() for label in ax.get_yticklabels()] for ax in figure.axes]
    [['tiny'], ['pixel', 'gap']]
    """
    rows = [row for row in _rows(grids) if row["classifier"] == CLASSIFIER]
    main = [row for row in rows if row["descriptor"] == descriptor]
    networks = _names(main, "network")
    if not networks:
        known = ", ".join(_names(rows, "descriptor")) or "none"
        raise InputError(f"no accuracy of descriptor {descriptor!r} to draw; there are: {known}")
    if network is None:
        network = max(networks, key=lambda name: times_best(main, name, of="network")[0])
    elif network not in networks:
        raise InputError(f"no network {network!r} with {descriptor}; there are: {', '.join(networks)}")
    tasks, descriptors = _names(main, "task"), _names(rows, "descriptor")
    colors = {name: CATEGORIES[i % len(CATEGORIES)] for i, name in enumerate(networks)}
    step = 1 + max(0, len(networks) - 1) // 3  # several dots share a row of descriptors
    height = len(tasks) * (0.55 + _ROW * max(len(networks), step * len(descriptors)))
    with composing(PAGE, height + 0.9) as figure:
        axes = figure.subplots(len(tasks), 2, squeeze=False, sharex="row")
        for (left, right), task in zip(axes, tasks, strict=True):
            of_task = [row for row in rows if row["task"] == task and row["network"] in colors]
            first = [row for row in of_task if row["descriptor"] == descriptor]
            for row in first:
                _dot(left, row, networks.index(row["network"]), colors)
                if row["network"] == network:
                    _dashed(left, row, colors)
                _dashed(right, row, colors)
            shift = 0.7 / len(networks)
            for row in of_task:
                at = networks.index(row["network"]) - (len(networks) - 1) / 2
                _dot(right, row, descriptors.index(row["descriptor"]) + shift * at, colors)
            _finish(left, networks, f"{shortened(task, 44)}, n = {_sizes(first)} images")
            _finish(right, descriptors, "")
        for ax in axes[-1]:
            ax.set_xlabel("accuracy (share of images)")
        told = (
            f"left: {descriptor} by network; dashed: {shortened(network, 24)}, "
            f"{_best(times_best(main, network, of='network'), 'tasks')}",
            f"right: by descriptor; dashed: {descriptor}, "
            f"{_best(times_best(rows, descriptor, of='descriptor'), 'pairs of task and network')}",
        )
        figure.suptitle("\n".join(told))
        handles = [
            Line2D(
                [], [], color=color, marker="o", linestyle="--", linewidth=_LINE, label=shortened(name, 24)
            )
            for name, color in colors.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    return figure


def _rows(grids: Sequence[AccuracyGrid | Row]) -> list[Row]:
    """Return the rows of all grids and the rows that were given as such, which must be whole."""
    rows: list[Row] = []
    for position, given in enumerate(grids):
        if isinstance(given, AccuracyGrid):
            rows += given.rows()
        elif missing := [name for name in _NEEDED if name not in given]:
            raise InputError(
                f"grids[{position}] has no {missing[0]!r}; give an AccuracyGrid or rows of AccuracyGrid.rows"
            )
        else:
            rows.append(given)
    return rows


def _names(rows: Sequence[Row], part: str) -> list[str]:
    return list(dict.fromkeys(row[part] for row in rows))


def _dot(ax: Axes, row: Row, at: float, colors: Mapping[str, str]) -> None:
    color = colors[row["network"]]
    ax.plot([row["low"], row["high"]], [at, at], color=color, linewidth=_LINE)
    ax.plot(row["accuracy"], at, "o", color=color, markersize=3, linestyle="none")


def _dashed(ax: Axes, row: Row, colors: Mapping[str, str]) -> None:
    ax.axvline(
        row["accuracy"], color=colors[row["network"]], linewidth=_LINE, linestyle="--", alpha=0.7, zorder=0
    )


def _finish(ax: Axes, names: Sequence[str], title: str) -> None:
    ax.set_yticks(range(len(names)), [shortened(name, 24) for name in names])
    for at in range(1, len(names)):
        ax.axhline(at - 0.5, color=PALE, linewidth=0.4, zorder=0)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_title(title, loc="left")


def _sizes(rows: Sequence[Row]) -> str:
    known = sorted({row["n"] for row in rows})
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"


def _best(found: tuple[int, int], what: str) -> str:
    best, compared = found
    return f"best or tied in {best} of {compared} {what}" if compared else "with nothing to compare"
