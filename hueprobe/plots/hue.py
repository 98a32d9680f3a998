"""Observation 5 in images: what the axis and the angle across it tell about the class."""

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
    """Draw how well the angle in each plane tells the class, with the histogram of random planes: the null.

    Filled dots are the angle alone, open ones both coordinates in the plane; lines are 95 % intervals. The
    dotted line is chance.

    Parameters
    ----------
    result : HueAccuracy
        `Hue.accuracy`.
    ax : Axes, optional
    """
    rows: list[tuple[str, list[tuple[Interval, bool]]]] = [("saturation alone", [(result.saturation, True)])]
    rows += [(f"{plane.name} plane", [(plane.angle, True), (plane.both, False)]) for plane in result.planes]
    rows += [("full direction", [(result.direction, True)])]
    with drawing(ax, height=1.2 + 0.24 * len(rows)) as ax:
        counts, edges = np.histogram(result.random, bins=_BINS, range=(0, 1))
        top = max(int(counts.max()), 1)
        ax.bar(edges[:-1], 0.85 * counts / top, np.diff(edges), bottom=-0.45, align="edge", color=GRAY)
        ax.axvline(result.chance, color=INK, linewidth=0.8, linestyle=":", zorder=0)
        for row, (_, intervals) in enumerate(rows, start=1):
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
        labels = [f"{len(result.random)} random planes", *(name for name, _ in rows)]
        ax.set_yticks(range(len(labels)), labels)
        ax.set(
            xlim=(0, 1), ylim=(-0.6, len(rows) + 0.5),
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

    Rising from left to right is an axis without information on the class, as the paper says.

    Parameters
    ----------
    result : AxisInformation
        `Hue.information`.
    ax : Axes, optional
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
    """Say how many images, or groups of them, the intervals count; the t quantile has one less."""
    degrees = [part.degrees for part in result.rate if not np.isnan(part.degrees)]
    return f"of {max(degrees) + 1:,.0f} images or groups, lines: 95 % intervals" if degrees else ""


@takes(Hue)
def class_hues(result: Hue, *, ax: Axes | None = None) -> Axes:
    """Draw each class's mean activation hue as a dot in the unit disc; its radius is the concentration R.

    On the rim all cells of a class have one hue, in the middle their hues cancel. The rim shows the colors
    of the angles.

    Parameters
    ----------
    result : Hue
    ax : Axes, optional

    Raises
    ------
    InputError
        No class has a hue.
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
    """Draw the activation hue of every cell of one image, in cyclic colors; cells without one are gray.

    Parameters
    ----------
    result : HueMap
        `Hue.map`.
    image : int
        Row of the image in the memory.
    ax : Axes, optional
    show_colorbar : bool

    Raises
    ------
    InputError
        No such image.
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
