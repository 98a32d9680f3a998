"""Plots of dense labels by layer: scores, and differences that are paired by image."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hueprobe.arguments import takes
from hueprobe.dense.layer_scores import NEAREST, LayerScores
from hueprobe.plots.style import CATEGORIES, GRAY, PAGE, composing, drawing, shortened
from hueprobe.stats.intervals import Interval

_METHODS = {
    NEAREST: ("nearest cells", "o"),
    "position": ("position alone", "s"),
    "logistic": ("logistic regression", "^"),
    "pooled": ("pooled descriptor", "D"),
}
_APART = 0.14  # methods of one layer, as a share of the distance between layers
_FITTING = 36  # characters of all layers' names that fit beside each other


@takes(LayerScores)
def labels_by_layer(result: LayerScores, *, ax: Axes | None = None) -> Axes:
    """Draw the mean IoU of each layer, and of the baselines, with 95 % intervals.

    The intervals are of one layer each. All layers label the same images, so `layer_differences` shows
    whether two of them differ.

    Parameters
    ----------
    result : LayerScores
        The scores of `hueprobe.dense.segment_layers`.
    ax : Axes, optional
        Axes to draw into; those of a new figure by default.

    Returns
    -------
    Axes

    See Also
    --------
    hueprobe.plots.layer_differences : Differences between layers.
    hueprobe.plots.layer_figure : Both.

    Examples
    --------
    >>> both = hp.build_memories(
    ...     "m", "images", masks="masks", backbone=network, layers=["1", "3"], transform=transform
    ... )
    >>> options = {"masks": "other_masks", "backbone": network, "transform": transform}
    >>> found = hp.dense.segment_layers(both, "others", **options)
    >>> hp.plots.labels_by_layer(found.scores).get_ylabel()
    'mean IoU'
    """
    with drawing(ax, height=2.8) as ax:
        _draw_scores(ax, result)
        _add_legend(ax, result)
    return ax


@takes(LayerScores)
def layer_differences(result: LayerScores, *, ax: Axes | None = None) -> Axes:
    """Draw the mean IoU of layers and baselines minus that of the reference layer, paired by image.

    Parameters
    ----------
    result : LayerScores
        The scores of `hueprobe.dense.segment_layers`.
    ax : Axes, optional
        Axes to draw into; those of a new figure by default.

    Returns
    -------
    Axes

    See Also
    --------
    hueprobe.plots.labels_by_layer : The scores themselves.

    Examples
    --------
    >>> both = hp.build_memories(
    ...     "m", "images", masks="masks", backbone=network, layers=["1", "3"], transform=transform
    ... )
    >>> options = {"masks": "other_masks", "backbone": network, "transform": transform}
    >>> found = hp.dense.segment_layers(both, "others", **options)
    >>> hp.plots.layer_differences(found.scores).get_title()
    'paired by image'
    """
    with drawing(ax, height=2.8) as ax:
        _draw_differences(ax, result)
        _add_legend(ax, result)
    return ax


@takes(LayerScores)
def layer_figure(result: LayerScores) -> Figure:
    """Draw the mean IoU of each layer, and the differences to the reference layer.

    Parameters
    ----------
    result : LayerScores
        The scores of `hueprobe.dense.segment_layers`.

    Returns
    -------
    Figure

    See Also
    --------
    hueprobe.plots.labels_by_layer : The scores.
    hueprobe.plots.layer_differences : The differences.

    Examples
    --------
    >>> both = hp.build_memories(
    ...     "m", "images", masks="masks", backbone=network, layers=["1", "3"], transform=transform
    ... )
    >>> options = {"masks": "other_masks", "backbone": network, "transform": transform}
    >>> found = hp.dense.segment_layers(both, "others", **options)
    >>> len(hp.plots.layer_figure(found.scores).axes)
    2
    """
    with composing(PAGE, 3.1) as figure:
        left, right = figure.subplots(1, 2)
        _draw_scores(left, result)
        _draw_differences(right, result)
        handles, names = left.get_legend_handles_labels()
        if len(names) > 1:
            figure.legend(handles, names, loc="outside lower center", ncols=len(names))
        figure.suptitle("Dense labels by layer, 95 % intervals")
    return figure


def _draw_scores(ax: Axes, result: LayerScores) -> None:
    for method in result.methods:
        _draw(ax, result, method, {r.layer: r.scores.mean_iou for r in result.rows if r.method == method})
    _name_layers(ax, result)
    ends = [(row.scores.mean_iou.estimate, row.scores.mean_iou.high) for row in result.rows]
    ax.set(
        ylim=(0, min(1.0, 1.15 * float(np.nanmax(ends)) or 1.0)), ylabel="mean IoU",
        title=f"n = {result.rows[0].scores.n_images:,} images",
    )  # fmt: skip


def _draw_differences(ax: Axes, result: LayerScores) -> None:
    scores = result.rows[0].scores
    unit = "image" if scores.n_units == scores.n_images else f"group (n = {scores.n_units:,})"
    name = f"layer {shortened(result.reference)}" if result.reference else "the network's output"
    ax.axhline(0, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
    for method in result.methods:
        of_layers = {
            row.layer: row.difference.mean_iou
            for row in result.rows
            if row.method == method and row.difference is not None
        }
        _draw(ax, result, method, of_layers)
    _name_layers(ax, result)
    ax.set(ylabel=f"mean IoU minus that\nof {name}", title=f"paired by {unit}")


def _draw(ax: Axes, result: LayerScores, method: str, of_layers: Mapping[str, Interval]) -> None:
    """Draw one method: a dot with its interval at each layer, joined by a line."""
    i = result.methods.index(method)
    name, marker = _METHODS[method]
    aside = (i - (len(result.methods) - 1) / 2) * _APART
    at = np.array([result.layers.index(layer) for layer in of_layers]) + aside
    estimate, low, high = (
        np.array([getattr(one, bound) for one in of_layers.values()]) for bound in ("estimate", "low", "high")
    )
    ax.vlines(at, low, high, color=CATEGORIES[i], linewidth=1.2)
    ax.plot(at, estimate, marker=marker, color=CATEGORIES[i], linewidth=0.7, linestyle="--", label=name)


def _name_layers(ax: Axes, result: LayerScores) -> None:
    """Name the layers and their grids on the x axis."""
    grids = {row.layer: "{} x {}".format(*row.grid) for row in result.rows}
    longest = max(len(shortened(layer)) for layer in result.layers)
    ax.set_xticks(
        range(len(grids)),
        [f"{shortened(layer) or 'output'}\n{grid}" for layer, grid in grids.items()],
        rotation=0 if longest * len(grids) <= _FITTING else 90,
    )
    ax.set(xlim=(-0.6, len(grids) - 0.4), xlabel="layer, and its cells (rows x columns)")


def _add_legend(ax: Axes, result: LayerScores) -> None:
    """Put a legend above what is drawn, and no tick beside it, if there are baselines."""
    if len(result.methods) > 1:
        low, high = ax.get_ylim()
        ax.set_yticks([tick for tick in ax.get_yticks() if low <= tick <= high])
        ax.set_ylim(low, high + 0.3 * (high - low))
        ax.legend(loc="upper center", ncols=2, columnspacing=1.2)
