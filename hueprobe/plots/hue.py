"""Plots of observation 5: what the axis and the angle across it tell about the class."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.observations.hue.accuracy import HueAccuracy
from hueprobe.observations.hue.hue import AxisInformation, Hue
from hueprobe.observations.hue.planes import HueMap
from hueprobe.plots.cyclic import CYCLIC
from hueprobe.plots.labels import key_size, name_points
from hueprobe.plots.maps import cell_map
from hueprobe.plots.style import (
    ANGLES,
    GRAY,
    INK,
    OTHER,
    PALE,
    SAME,
    angle_colors,
    colorbar,
    drawing,
)
from hueprobe.stats.intervals import Interval

_BINS = 100
_ANGLE_TICKS = {-np.pi: "-π", -np.pi / 2: "-π/2", 0.0: "0", np.pi / 2: "π/2", np.pi: "π"}


@takes(HueAccuracy)
def angle_accuracy(result: HueAccuracy, *, ax: Axes | None = None) -> Axes:
    """Draw the accuracy of classification by the angle in each plane, and its nulls, random planes.

    Filled dots use the angle alone, open dots both coordinates in the plane. Solid lines are 95 % intervals,
    the dotted line is chance. The bottom rows are histograms over random planes: of all dimensions, and
    within the span of the class means, which is the null of claim 5.

    Parameters
    ----------
    result : HueAccuracy
        `Hue.accuracy` of `hueprobe.observations.hue.measure`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.axis_information : What the distance from the axis tells.

    Examples
    --------
    >>> hue = hp.observations.hue.measure(matches, memory.blocks, memory.energy(), seed=0)
    >>> ax = hp.plots.angle_accuracy(hue.accuracy)
    >>> [label.get_text() for label in ax.get_yticklabels()][:3]
    ['200 random planes', 'saturation alone', 'one direction']
    """
    rows: list[tuple[str, list[tuple[Interval, bool]]]] = [
        ("saturation alone", [(result.saturation, True)]), ("one direction", [(result.line, True)])
    ]  # fmt: skip
    rows += [(f"{plane.name} plane", [(plane.angle, True), (plane.both, False)]) for plane in result.planes]
    rows += [("full direction", [(result.direction, True)])]
    with drawing(ax, height=1.2 + 0.24 * len(rows)) as ax:
        nulls = {f"{len(result.random)} random planes": result.random}
        if len(result.within):
            nulls["of the class means"] = result.within
        for row, accuracies in enumerate(nulls.values()):
            counts, edges = np.histogram(accuracies, bins=_BINS, range=(0, 1))
            high = 0.85 * counts / max(int(counts.max()), 1)
            ax.bar(edges[:-1], high, np.diff(edges), bottom=row - 0.45, align="edge", color=GRAY)
        ax.axvline(result.chance, color=INK, linewidth=0.8, linestyle=":", zorder=0)
        for row, (_, intervals) in enumerate(rows, start=len(nulls)):
            for found, filled in intervals:
                at = row + (0.0 if len(intervals) == 1 else 0.15 if filled else -0.15)
                color = SAME if filled else OTHER
                ax.plot([found.low, found.high], [at, at], color=color, linewidth=1.0)
                ax.plot(
                    found.estimate,
                    at,
                    "o",
                    color=color,
                    markerfacecolor=color if filled else "white",
                    clip_on=False,
                )
        labels = [*nulls, *(name for name, _ in rows)]
        ax.set_yticks(range(len(labels)), labels)
        ax.set(
            xlim=(0, 1), ylim=(-0.6, len(labels) - 0.5),
            xlabel=f"accuracy (share of {result.n_images:,} images)",
        )  # fmt: skip
        ax.legend(
            handles=[
                Line2D([], [], marker="o", color=SAME, label="angle alone"),
                Line2D([], [], marker="o", color=OTHER, markerfacecolor="white", label="both coordinates"),
                Line2D([], [], linestyle=":", color=INK, label="chance"),
            ],
            loc="lower right", bbox_to_anchor=(1, 1), ncols=3, columnspacing=1.0, handlelength=1.5,
            borderaxespad=0.2,
        )  # fmt: skip
    return ax


@takes(AxisInformation)
def axis_information(result: AxisInformation, *, ax: Axes | None = None) -> Axes:
    """Draw the share of same-class matches by the query vector's distance from the axis.

    A rise from left to right means that the axis is uninformative about the class, as the paper claims.

    Parameters
    ----------
    result : AxisInformation
        `Hue.information` of `hueprobe.observations.hue.measure`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.angle_accuracy : What the angle across the axis tells.

    Examples
    --------
    >>> hue = hp.observations.hue.measure(matches, memory.blocks, memory.energy(), seed=0)
    >>> ax = hp.plots.axis_information(hue.information)
    >>> ax.get_xlabel()
    'distance from the axis (sine of the angle)'
    """
    with drawing(ax) as ax:
        rate = np.array([[part.estimate, part.low, part.high] for part in result.rate])
        ax.vlines(result.distance, rate[:, 1], rate[:, 2], color=SAME, linewidth=1.0)
        ax.plot(result.distance, rate[:, 0], "o-", color=SAME)
        ax.set(
            xlabel="distance from the axis (sine of the angle)",
            ylabel="share of same-class matches",
            title=f"{len(rate)} bins of equally many query vectors\n{_units(result)}",
        )
    return ax


def _units(result: AxisInformation) -> str:
    """Return the number of images, or groups of them, behind the intervals: degrees of freedom plus one."""
    degrees = [part.degrees for part in result.rate if not np.isnan(part.degrees)]
    return f"of {max(degrees) + 1:,.0f} images or groups, lines: 95 % intervals" if degrees else ""


@takes(Hue)
def class_hues(result: Hue, *, ax: Axes | None = None) -> Axes:
    """Draw each class's mean activation hue as a dot in the unit disk; its radius is the concentration R.

    On the rim, all cells of a class have the same hue; at the center, their hues cancel out. The rim shows
    the colors of the angles.

    Parameters
    ----------
    result : Hue
        From `hueprobe.observations.hue.measure`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    Raises
    ------
    InputError
        No class has a hue.

    See Also
    --------
    hueprobe.plots.hue_map : The hue of each cell of one image.

    Examples
    --------
    >>> hue = hp.observations.hue.measure(matches, memory.blocks, memory.energy(), seed=0)
    >>> ax = hp.plots.class_hues(hue)
    >>> ax.get_title().splitlines()[0]
    'mean hue of 3 classes, 12 images'
    """
    points = result.class_concentration[:, None] * np.stack(
        [np.cos(result.class_hue), np.sin(result.class_hue)], axis=1
    )
    known = np.flatnonzero(~np.isnan(points).any(axis=1))
    if not len(known):
        raise InputError("no class has a hue to draw; give class names with the images")
    names = [result.classes[c] for c in known]
    across, up = key_size(names)
    with drawing(ax, width=3.4 + across, height=max(3.4, up + 0.5)) as ax:
        turns = np.linspace(-np.pi, np.pi, 181)
        rim = np.stack([np.cos(turns), np.sin(turns)], axis=1)
        for start, end, color in zip(
            rim[:-1], rim[1:], angle_colors((turns[:-1] + turns[1:]) / 2), strict=True
        ):
            ax.plot(*np.transpose([start, end]), color=color, linewidth=4, solid_capstyle="butt", zorder=1)
        ax.axhline(0, color=PALE, linewidth=0.6, zorder=0)
        ax.axvline(0, color=PALE, linewidth=0.6, zorder=0)
        colors = angle_colors(result.class_hue)
        for c in known:
            ax.plot(
                *points[c],
                "o",
                color=INK,
                markerfacecolor=colors[c],
                markersize=4.5,
                markeredgewidth=0.7,
                zorder=3,
            )
        ax.set(
            xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1],
            xlabel=f"R cos(hue), {result.map.plane.name} plane", ylabel="R sin(hue)",
            title=f"mean hue of {len(known)} classes, {len(result.map.hue):,} images\n(rim: R = 1)",
        )  # fmt: skip
        name_points([(ax, points[known])], names, [INK] * len(known), [colors[c] for c in known])
    return ax


@takes(HueMap)
def hue_map(result: HueMap, image: int, *, ax: Axes | None = None, show_colorbar: bool = True) -> Axes:
    """Draw the activation hue of every cell of one image in cyclic colors; cells without a hue are gray.

    Parameters
    ----------
    result : HueMap
        `Hue.map` of `hueprobe.observations.hue.measure`.
    image : int
        Row of the image in the memory, from 0.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.
    show_colorbar : bool, default=True
        Draw a color bar beside the map.

    Returns
    -------
    Axes
        The Axes drawn into.

    Raises
    ------
    InputError
        There is no such image.

    See Also
    --------
    hueprobe.plots.class_hues : Mean hues of classes.

    Examples
    --------
    >>> hue = hp.observations.hue.measure(matches, memory.blocks, memory.energy(), seed=0)
    >>> ax = hp.plots.hue_map(hue.map, 0)
    >>> ax.get_title()
    'image 0, n = 49 cells with a hue'
    """
    if not 0 <= image < len(result.hue):
        raise InputError(f"image {image} of {len(result.hue)}; count from 0")
    with drawing(ax) as ax:
        drawn = cell_map(result.hue[image], ax, cmap=CYCLIC, norm=ANGLES)
        known = int((~np.isnan(result.hue[image])).sum())
        ax.set_title(f"image {image}, n = {known} cells with a hue")
        if show_colorbar:
            label = f"activation hue, {result.plane.name} plane (radians)"
            bar = colorbar(drawn, ax, label, ticks=list(_ANGLE_TICKS))
            bar.ax.set_yticklabels(list(_ANGLE_TICKS.values()))
    return ax
