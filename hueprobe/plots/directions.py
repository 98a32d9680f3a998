"""Positions and directions of classes in the image plane, as lines from the center: u right, v up."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.observations.energy import Energy
from hueprobe.observations.hue.relations import Correlation, EnergyPosition
from hueprobe.observations.locations.maps import Locations
from hueprobe.observations.locations.positions import ClassPositions
from hueprobe.observations.locations.replicate_test import BlockedTest
from hueprobe.plots.labels import key_size, name_points
from hueprobe.plots.style import (
    GRAY,
    INK,
    PALE,
    angle_colors,
    composing,
    drawing,
    interval_text,
    measurable,
)

_ARROW = 1.0  # points, of the line from the center to a class


@takes(ClassPositions, BlockedTest)
def class_directions(
    result: ClassPositions | BlockedTest, *, level: float = 0.05, ax: Axes | None = None
) -> Axes:
    """Draw where each class's same-class matches lie, as a line from the center; color is the angle.

    Parameters
    ----------
    result : ClassPositions or BlockedTest
        `Locations.positions`: mean positions as they are, with their 95 % intervals as gray crosses. A
        blocked test: positions less the mean over classes, filled dots where the class's own p, adjusted
        for the number of classes, is below `level`.
    level : float
        For a blocked test.
    ax : Axes, optional

    Raises
    ------
    InputError
        No class has a position.
    """
    points = result.position if isinstance(result, BlockedTest) else result.points()
    known = np.flatnonzero(~np.isnan(points).any(axis=1))
    if not len(known):
        raise InputError("no class has same-class matches, so none has a position to draw")
    names = [result.classes[c] for c in known]
    across, up = key_size(names)
    with drawing(ax, width=3.4 + across, height=max(3.5, up + 0.5)) as ax:
        ax.axhline(0, color=PALE, linewidth=0.6, zorder=0)
        ax.axvline(0, color=PALE, linewidth=0.6, zorder=0)
        reach = float(np.abs(points[known]).max())
        if isinstance(result, BlockedTest):
            filled = result.class_p_adjusted < level
            ax.set_title(_test_title(result, level))
        else:
            filled = np.ones(len(points), bool)
            reach = _draw_intervals(ax, result, known, reach)
            n_images = int(result.n_images[known].sum())
            ax.set_title(f"{len(known)} classes, {n_images:,} images\n(gray crosses: 95 % intervals)")
        colors = angle_colors(np.arctan2(points[:, 1], points[:, 0]))
        faces = [colors[c] if filled[c] else "white" for c in known]
        for c, face in zip(known, faces, strict=True):
            u, v = points[c]
            ax.plot([0, u], [0, v], color=colors[c], linewidth=_ARROW, solid_capstyle="butt", zorder=2)
            ax.plot(u, v, "o", color=INK, markerfacecolor=face, markersize=4.5, markeredgewidth=0.7, zorder=3)
        side = 1.12 * reach or 1.0
        ax.set(
            xlim=(-side, side), ylim=(-side, side), aspect="equal",
            xlabel="u, to the right (cells)", ylabel="v, upwards (cells)",
        )  # fmt: skip
        name_points([(ax, points[known])], names, [INK] * len(known), faces)
    return ax


def _draw_intervals(ax: Axes, positions: ClassPositions, known: np.ndarray, reach: float) -> float:
    """Draw gray crosses, and return how far they or `reach` go; a class without an interval has none."""
    for c in known:
        u, v = positions.u[c], positions.v[c]
        if np.isnan([u.low, v.low]).any():
            continue
        ax.plot([u.low, u.high], [v.estimate] * 2, color=GRAY, alpha=0.5, linewidth=0.5, zorder=1)
        ax.plot([u.estimate] * 2, [v.low, v.high], color=GRAY, alpha=0.5, linewidth=0.5, zorder=1)
        reach = max(reach, *(abs(end) for end in (u.low, u.high, v.low, v.high)))
    return reach


def _test_title(test: BlockedTest, level: float) -> str:
    if math.isnan(test.both.effect.estimate):
        return f"not measurable (n = {test.n_images:,} images)"
    found = "undecided" if test.undecided else f"p = {test.both.p:.2g}"
    effect = f"effect {interval_text(test.both.effect)} cells, {found}"
    return f"{effect}\n{test.n_images:,} images; filled: a class's own p < {level:g}"


@takes(Energy)
def energy_and_matches(
    energy: Energy, locations: Locations, *, relation: EnergyPosition | None = None
) -> Figure:
    """Draw each class's energy centroid against the mean position of its same-class matches, u and v.

    Many classes are numbered, and a key at the side names them; colors are the angles of their matches, as
    in `class_directions`.

    Parameters
    ----------
    energy : Energy
    locations : Locations
        Of the same memory.
    relation : EnergyPosition, optional
        Writes the correlations into the titles.

    Raises
    ------
    InputError
        The results share no class, or none has both.
    """
    shared = [name for name in energy.classes if name in locations.classes]
    if not shared:
        raise InputError("energy and locations share no class; give results of one memory")
    centroids = energy.centroids[[energy.classes.index(name) for name in shared]]
    positions = locations.positions.points()[[locations.classes.index(name) for name in shared]]
    known = np.flatnonzero(~np.isnan(np.hstack([centroids, positions])).any(axis=1))
    if not len(known):
        raise InputError(
            f"none of {len(shared)} classes has both energy and same-class matches; there is nothing to draw"
        )
    names = [shared[c] for c in known]
    colors = angle_colors(np.arctan2(positions[known, 1], positions[known, 0]))
    across, up = key_size(names)
    with composing(5.6 + across, max(3.1, up + 0.5)) as figure:
        axes = figure.subplots(1, 2)
        panels = []
        for part, (ax, name) in enumerate(zip(axes, ("u, to the right", "v, upwards"), strict=True)):
            x, y = centroids[known, part], positions[known, part]
            ax.axhline(0, color=PALE, linewidth=0.6, zorder=0)
            ax.axvline(0, color=PALE, linewidth=0.6, zorder=0)
            for at in zip(x, y, colors, strict=True):
                ax.plot(*at[:2], "o", color=INK, markerfacecolor=at[2], markersize=4.5, markeredgewidth=0.7)
            ax.margins(0.12)
            ax.locator_params(nbins=5)
            found = None if relation is None else (relation.u, relation.v)[part]
            title = name if found is None else f"{name}\n{_correlation(found)}"
            ax.set(title=title, xlabel="energy centroid (cells)", ylabel="same-class matches (cells)")
            panels.append((ax, np.stack([x, y], axis=1)))
        n_images = int(locations.positions.n_images.sum())
        few = f"{len(known)} of {len(shared)}" if len(known) < len(shared) else f"{len(known)}"
        figure.suptitle(f"{few} classes, {n_images:,} images; the zero lines are the grid's middle")
        name_points(panels, names, [INK] * len(names), list(colors))
    return figure


def _correlation(found: Correlation) -> str:
    r = measurable(found.r, found.n_classes, "classes")
    p = "" if math.isnan(found.p) else f", p = {found.p:.2g}"
    return f"r {r}{p}" if math.isnan(found.r.estimate) else f"r = {r}{p}"
