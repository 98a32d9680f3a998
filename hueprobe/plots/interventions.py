"""Plots of interventions: what of the class positions follows the content, and what stays."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hueprobe.arguments import takes
from hueprobe.errors import InputError, require_choice
from hueprobe.observations.interventions.result import WORDS, Interventions
from hueprobe.observations.interventions.separation import Part, Separation
from hueprobe.plots.labels import key_size, name_points
from hueprobe.plots.style import (
    COLUMN,
    GRAY,
    INK,
    OTHER,
    PALE,
    SAME,
    angle_colors,
    composing,
    drawing,
    interval_text,
    p_label,
)
from hueprobe.stats.intervals import Interval

_LEVEL = 0.05
_COLORS = {"as_is": GRAY, "content": SAME, "network": OTHER}
_MARKERS = {"as_is": "s", "content": "o", "network": "D"}


@takes(Interventions)
def class_vectors(result: Interventions, *, estimator: str | None = None) -> Figure:
    """Draw the content-locked and the network-locked vector of each class as arrows, side by side.

    Vectors are positions less the mean over classes, u to the right and v upwards. Gray crosses are 95 %
    intervals, gray lines the borders of cells around the middle one. Arrows are colored by the angle of the
    content. Dots are filled where the class's own p, adjusted for testing all of them, is below 0.05.

    Parameters
    ----------
    result : Interventions
        From `hueprobe.intervene`.
    estimator : str, optional
        One of `result.separations`; the first by default.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        There is no such estimator, or no class has a vector.

    See Also
    --------
    hueprobe.plots.intervention_effects : Distances between classes with their intervals.

    Examples
    --------
    >>> angles = np.radians([90, 210, 330])
    >>> content = 0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> found = hp.observations.interventions.measure(
    ...     hp.observations.interventions.simulate(content, 0 * content, n_images=40, seed=0)
    ... )
    >>> figure = hp.plots.class_vectors(found)
    >>> [ax.get_title().splitlines()[0] for ax in figure.axes]
    ['content-locked', 'network-locked']
    """
    found = _separation(result, estimator)
    parts = {"content": found.content, "network": found.network}
    known = np.flatnonzero(~np.isnan(found.content.vectors).any(axis=1))
    if not len(known):
        raise InputError("no class has a vector in both coordinates; there is nothing to draw")
    names = [found.classes[c] for c in known]
    across, up = key_size(names)
    colors = angle_colors(np.arctan2(found.content.vectors[:, 1], found.content.vectors[:, 0]))
    ends = [np.abs(edge[known]).max() for part in parts.values() for edge in (part.low, part.high)]
    side = 1.08 * max(ends)
    with composing(6.2 + across, max(3.4, up + 0.5)) as figure:
        axes = figure.subplots(1, 2, sharex=True, sharey=True)
        panels = []
        for ax, (name, part) in zip(axes, parts.items(), strict=True):
            _draw_vectors(ax, part, known, colors)
            ax.set(
                xlim=(-side, side), ylim=(-side, side), aspect="equal", xlabel="u, to the right (cells)",
                title=f"{WORDS[name]}\n{interval_text(part.effect)} cells, {p_label(_p(part.effect))}",
            )  # fmt: skip
            panels.append((ax, part.vectors[known]))
        axes[0].set_ylabel("v, upwards (cells)")
        figure.suptitle(f"{len(known)} classes, {found.n_images:,} images; crosses: 95 % intervals")
        faces = [colors[c] for c in known]
        name_points(panels, names, [INK] * len(known), faces)
    return figure


def _draw_vectors(ax: Axes, part: Part, known: np.ndarray, colors: np.ndarray) -> None:
    reach = np.abs([part.low[known], part.high[known]]).max()
    for border in np.arange(0.5, reach + 1):
        for at in (-border, border):
            ax.axhline(at, color=PALE, linewidth=0.6, linestyle=":", zorder=0)
            ax.axvline(at, color=PALE, linewidth=0.6, linestyle=":", zorder=0)
    ax.axhline(0, color=PALE, linewidth=0.6, zorder=0)
    ax.axvline(0, color=PALE, linewidth=0.6, zorder=0)
    for c in known:
        u, v = part.vectors[c]
        ax.plot([part.low[c, 0], part.high[c, 0]], [v, v], color=GRAY, alpha=0.5, linewidth=0.5, zorder=1)
        ax.plot([u, u], [part.low[c, 1], part.high[c, 1]], color=GRAY, alpha=0.5, linewidth=0.5, zorder=1)
        ax.plot([0, u], [0, v], color=colors[c], linewidth=1.0, solid_capstyle="butt", zorder=2)
        face = colors[c] if part.class_p[c] < _LEVEL else "white"
        ax.plot(u, v, "o", color=INK, markerfacecolor=face, markersize=4.5, markeredgewidth=0.7, zorder=3)


@takes(Interventions)
def intervention_effects(result: Interventions, *, ax: Axes | None = None) -> Axes:
    """Draw the distances between classes of each part with their 95 % intervals, and the axes of the content.

    Filled markers are the first estimator, open ones the others. The margin of distances that are too small
    to matter is shaded.

    Parameters
    ----------
    result : Interventions
        From `hueprobe.intervene`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    Raises
    ------
    InputError
        No distance could be measured.

    See Also
    --------
    hueprobe.plots.class_vectors : The vector of each class.

    Examples
    --------
    >>> up = [(0, 0.5), (0, -0.5), (0, 0)]
    >>> found = hp.observations.interventions.measure(
    ...     hp.observations.interventions.simulate(up, [(0, 0)] * 3, n_images=40, seed=0)
    ... )
    >>> ax = hp.plots.intervention_effects(found)
    >>> ax.get_xlabel()
    'distance between classes (cells)'
    """
    rows = list(_rows(next(iter(result.separations.values()))))
    if all(np.isnan(interval.estimate) for _, _, interval in rows):
        raise InputError("no distance could be measured; there is nothing to draw")
    with drawing(ax, width=4.6, height=0.9 + 0.22 * len(rows)) as ax:
        ax.axvspan(0, result.margin, color=PALE, alpha=0.5, linewidth=0, zorder=-1)
        ax.axvline(0, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
        for number, (estimator, found) in enumerate(result.separations.items()):
            for row, (_, part, interval) in enumerate(_rows(found)):
                if np.isnan(interval.estimate):
                    continue
                color, at = _COLORS[part], row + 0.24 * number
                ax.plot(
                    [interval.low, interval.high], [at, at], color=color, linewidth=1.2 if not number else 0.8
                )
                ax.plot(
                    interval.estimate, at, _MARKERS[part], color=color, zorder=3,
                    markersize=4.5 if not number else 3.5, markerfacecolor=color if not number else "white",
                    label=estimator if not row else None,
                )  # fmt: skip
                if not number:
                    ax.annotate(
                        p_label(_p(interval)), (1, row), xycoords=("axes fraction", "data"), xytext=(4, 0),
                        textcoords="offset points", va="center", fontsize=6.5,
                    )  # fmt: skip
        ax.set_yticks(range(len(rows)), [label for label, _, _ in rows])
        ax.set(ylim=(len(rows) - 0.3, -0.5), xlabel="distance between classes (cells)")
        if len(result.separations) > 1:
            ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=len(result.separations))
    return ax


def _rows(found: Separation) -> Iterator[tuple[str, str, Interval]]:
    """Yield label, part and distance of every row."""
    yield WORDS["as_is"], "as_is", found.as_is.effect
    for name in ("content", "network"):
        part: Part = getattr(found, name)
        yield WORDS[name], name, part.effect
        yield f"{WORDS[name]}, u", name, part.u
        yield f"{WORDS[name]}, v", name, part.v
        if name == "content" and found.major is not None and found.minor is not None:
            yield f"major axis, {np.degrees(found.major_angle):+.0f}°", name, found.major
            yield "minor axis", name, found.minor


@takes(Interventions)
def dose_response(result: Interventions, *, estimator: str | None = None) -> Figure:
    """Draw how far class positions move with the content, and the distances between classes, by dose.

    Left: how far positions move in the planted direction, with the fitted slopes in u and v; a position that
    followed the content wholly would be on the dotted line. Right: distances between classes of each part.

    Parameters
    ----------
    result : Interventions
        From `hueprobe.intervene`, with images that were moved.
    estimator : str, optional
        One of `result.separations`; the first by default.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        No image was moved, no distance could be measured, or there is no such estimator.

    See Also
    --------
    hueprobe.plots.intervention_effects : Distances without a dose.

    Examples
    --------
    >>> def positions(content):
    ...     return hp.observations.interventions.simulate(content, 0 * content, n_images=40, seed=0)
    >>> content, away = np.eye(3, 2) / 2, np.array([(1, 0), (-0.5, 0.9), (-0.5, -0.9)])
    >>> dose = hp.observations.interventions.Planted(32, away, positions(content + 0.4 * away))
    >>> found = hp.observations.interventions.measure(positions(content), planted=[dose])
    >>> figure = hp.plots.dose_response(found)
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['class positions moved by (cells)', 'distance between classes (cells)']
    """
    name = _estimator(result, estimator)
    if name not in result.responses:
        raise InputError("no image was moved; give a shift, such as shift=32")
    response = result.responses[name]
    doses = response.doses
    if all(np.isnan(dose.as_is.estimate) for dose in doses):
        raise InputError("no distance could be measured; there is nothing to draw")
    cells = np.array([dose.cells for dose in doses])
    with composing(2 * COLUMN, 3.1) as figure:
        left, right = figure.subplots(1, 2)
        left.plot(cells, cells, ":", color=GRAY, linewidth=0.8)
        for axis, slope, style in zip("uv", response.slope, ("-", "--"), strict=True):
            if not np.isnan(slope.estimate):
                label = f"slope in {axis}: {interval_text(slope)}"
                left.plot(cells, slope.estimate * cells, style, color=SAME, linewidth=1.0, label=label)
        _points(left, cells, [dose.moved for dose in doses], INK, "o", "mean over classes")
        top = max((dose.moved.high for dose in doses if dose.moved.high == dose.moved.high), default=0)
        left.set(
            xlabel="content moved by (cells)", ylabel="class positions moved by (cells)",
            ylim=(None, max(1.1 * top, 0.6 * cells.max())),
        )  # fmt: skip
        above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.0)}
        left.legend(**above)
        for number, part in enumerate(_COLORS):
            found = [getattr(dose, part) for dose in doses]
            shifted = cells + (number - 1) * 0.012 * cells.max()
            _points(right, shifted, found, _COLORS[part], _MARKERS[part], WORDS[part])
        right.axhline(0, color=PALE, linewidth=0.6, zorder=0)
        right.set(xlabel="content moved by (cells)", ylabel="distance between classes (cells)")
        right.legend(**above)
        n = next(iter(result.separations.values())).n_images
        figure.suptitle(f"each class moved at its own angle, {n:,} images; bars: 95 % intervals")
    return figure


def _points(ax: Axes, x: np.ndarray, found: list[Interval], color: str, marker: str, label: str) -> None:
    value = np.array([one.estimate for one in found])
    known = ~np.isnan(value)
    if not known.any():
        return
    ends = np.array([[one.estimate - one.low, one.high - one.estimate] for one in found]).T
    ends = np.nan_to_num(ends)[:, known]
    ax.errorbar(
        x[known], value[known], ends, fmt=marker, color=color, markersize=3.5, elinewidth=0.8, label=label
    )


def _estimator(result: Interventions, estimator: str | None) -> str:
    name = next(iter(result.separations)) if estimator is None else estimator
    require_choice("estimator", name, result.separations)
    return name


def _separation(result: Interventions, estimator: str | None) -> Separation:
    return result.separations[_estimator(result, estimator)]


def _p(found: Interval) -> float:
    return float("nan") if found.p_value is None else found.p_value
