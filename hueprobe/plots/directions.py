"""Positions and directions of classes in the image plane, as arrows from the center: u right, v up."""

from collections.abc import Sequence

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.observations.energy import Energy
from hueprobe.observations.hue.relations import EnergyPosition
from hueprobe.observations.locations.maps import Locations
from hueprobe.observations.locations.positions import ClassPositions
from hueprobe.observations.locations.replicate_test import BlockedTest
from hueprobe.plots.style import (
    GRAY,
    INK,
    PALE,
    SAME,
    angle_colors,
    composing,
    drawing,
    interval_text,
    shortened,
)

_MOST_LABELS = 24


@takes(ClassPositions, BlockedTest)
def class_directions(
    result: ClassPositions | BlockedTest, *, level: float = 0.05, ax: Axes | None = None
) -> Axes:
    """Draw where each class's same-class matches lie, as an arrow from the center; color is the angle.

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
    with drawing(ax, width=5.0, height=2.8) as ax:
        ax.axhline(0, color=PALE, linewidth=0.6, zorder=0)
        ax.axvline(0, color=PALE, linewidth=0.6, zorder=0)
        reach = float(np.abs(points[known]).max())
        if isinstance(result, BlockedTest):
            filled = result.class_p_adjusted < level
            ax.set_title(_test_title(result))
        else:
            filled = np.ones(len(points), bool)
            reach = _draw_intervals(ax, result, known, reach)
        colors = angle_colors(np.arctan2(points[:, 1], points[:, 0]))
        outline = [effects.withStroke(linewidth=2.6, foreground=GRAY)]
        for c in known:
            u, v = points[c]
            ax.plot(
                [0, u], [0, v], color=colors[c], linewidth=1.8, path_effects=outline, solid_capstyle="butt"
            )
            face = colors[c] if filled[c] else "white"
            ax.plot(u, v, "o", color=INK, markerfacecolor=face, markersize=4, markeredgewidth=0.7, zorder=3)
        side = 1.05 * reach or 1.0
        ax.set(
            xlim=(-1.9 * side, 1.9 * side), ylim=(-side, side), aspect="equal",
            xlabel="u, to the right (cells)", ylabel="v, upwards (cells)",
        )  # fmt: skip
        ax.set_xticks([tick for tick in ax.get_xticks() if abs(tick) <= side])
        label_sides(ax, points[known], [shortened(result.classes[c], 13) for c in known], side)
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


def label_sides(ax: Axes, points: np.ndarray, names: Sequence[str], side: float) -> None:
    """Write names left and right of points, evenly and in order of v, with a line to each point.

    Parameters
    ----------
    ax : Axes
        With room from `side` to about twice as far, on the left and on the right.
    points : ndarray of shape (n, 2)
        (u, v); the 24 farthest from the center get their names.
    names : sequence of str
    side : float
        Half the height of the Axes.
    """
    farthest = np.argsort(-np.hypot(*points.T), kind="stable")[:_MOST_LABELS]
    by_u = farthest[np.argsort(points[farthest, 0], kind="stable")]
    halves = by_u[: len(by_u) // 2], by_u[len(by_u) // 2 :]
    for half, x, align in zip(halves, (-1.12 * side, 1.12 * side), ("right", "left"), strict=True):
        order = half[np.argsort(points[half, 1], kind="stable")]
        heights = _apart(points[order, 1], gap=min(0.16, 1.9 / max(len(order), 1)) * side, limit=0.95 * side)
        for i, y in zip(order, heights, strict=True):
            ax.annotate(
                names[i], points[i], (x, y), fontsize=6.5, va="center", ha=align,
                arrowprops={"arrowstyle": "-", "color": GRAY, "linewidth": 0.4, "shrinkA": 1, "shrinkB": 2},
            )  # fmt: skip


def _apart(heights: np.ndarray, *, gap: float, limit: float) -> np.ndarray:
    """Move ascending heights at least `gap` apart, within -limit to limit, and little otherwise."""
    placed = np.array(heights, float)
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    ceiling = limit
    for i in reversed(range(len(placed))):
        placed[i] = min(placed[i], ceiling)
        ceiling = placed[i] - gap
    return placed


def _test_title(test: BlockedTest) -> str:
    effect = f"effect {interval_text(test.both.effect)} cells"
    return f"{effect}, {'undecided' if test.undecided else f'p = {test.both.p:.2g}'}"


@takes(Energy)
def energy_and_matches(
    energy: Energy, locations: Locations, *, relation: EnergyPosition | None = None
) -> Figure:
    """Draw each class's energy centroid against the mean position of its same-class matches, u and v.

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
        The results share no class.
    """
    names = [name for name in energy.classes if name in locations.classes]
    if not names:
        raise InputError("energy and locations share no class; give results of one memory")
    centroids = energy.centroids[[energy.classes.index(name) for name in names]]
    positions = locations.positions.points()[[locations.classes.index(name) for name in names]]
    with composing(5.0, 2.5) as figure:
        axes = figure.subplots(1, 2)
        for part, (ax, name) in enumerate(zip(axes, ("u, to the right", "v, upwards"), strict=True)):
            x, y = centroids[:, part], positions[:, part]
            ax.axhline(0, color=PALE, linewidth=0.6, zorder=0)
            ax.axvline(0, color=PALE, linewidth=0.6, zorder=0)
            ax.plot(x, y, "o", color=SAME, markersize=3.5)
            ax.locator_params(nbins=5)
            found = None if relation is None else (relation.u, relation.v)[part]
            title = name if found is None else f"{name}\nr = {interval_text(found.r)}, p = {found.p:.2g}"
            ax.set(title=title, xlabel="energy centroid (cells)", ylabel="same-class matches (cells)")
    return figure
