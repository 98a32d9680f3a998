"""Plots of observation 3: where in the image plane matches land."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from hueprobe.arguments import takes
from hueprobe.errors import InputError, require_choice
from hueprobe.observations.locations.maps import Locations
from hueprobe.observations.locations.positions import ClassPositions
from hueprobe.plots.maps import (
    bar_share,
    cell_map,
    class_ids,
    label_outer,
    map_name,
    map_size,
    over_base,
    profile_line,
    ratio_colorbar,
    ratio_norm,
    small_multiples,
    tell_maps,
    title_map,
    uniform_line,
)
from hueprobe.plots.mean_arrows import fitting_stretch, mean_arrow, stretch_text
from hueprobe.plots.style import (
    COLUMN,
    OTHER,
    RATIO,
    SAME,
    SEQUENTIAL,
    SIDES,
    colorbar,
    composing,
    drawing,
    measurable,
    p_label,
)

_UNIT = "p(x, y), multiple of the base rate"
_SHARE = "share of same-class matches"


@takes(Locations)
def match_locations(result: Locations) -> Figure:
    """Draw p(x, y) of same-class and of other-class matches side by side, on one scale.

    Densities are divided by the base rate: 1 (white) means that matches land there as often as by chance.
    Without labels there is one map, of all matches.

    Parameters
    ----------
    result : Locations
        From `hueprobe.observations.locations.measure`.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    See Also
    --------
    hueprobe.plots.location_map : One of the two maps.
    hueprobe.plots.match_profile : Matches by distance from the center.

    Examples
    --------
    >>> where = hp.observations.locations.measure(matches, valid=memory.valid())
    >>> figure = hp.plots.match_locations(where)
    >>> [ax.get_title().splitlines()[0] for ax in figure.axes[:2]]
    ['same class', 'other classes']
    """
    kinds = ("same", "other") if result.n_same + result.n_other else ("all",)
    norm = ratio_norm([_ratio(result, kind) for kind in kinds])
    with composing(COLUMN if len(kinds) == 1 else 4.6, 2.45) as figure:
        axes = small_multiples(figure, len(kinds), columns=2)
        for ax, kind in zip(axes, kinds, strict=True):
            location_map(result, kind, vmax=norm.vmax, show_colorbar=False, ax=ax)
            ax.set_title("\n".join((*_title(result, kind).split(", ", 1), _count(result, kind))))
        label_outer(axes, columns=2)
        ratio_colorbar(axes[0].images[0], axes, _UNIT, shrink=0.8)
    return figure


@takes(Locations)
def location_map(
    result: Locations, kind: str = "same", *, vmax: float | None = None, show_colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw p(x, y) of one kind of matches, divided by the base rate.

    Parameters
    ----------
    result : Locations
        From `hueprobe.observations.locations.measure`.
    kind : {"same", "other", "all"}, default="same"
        Same-class matches, other-class matches, or all.
    vmax : float, optional
        Upper end of the color scale, above 1. By default the largest value of the map, and at least 2. Use
        one value for maps to be compared.
    show_colorbar : bool, default=True
        Draw a color bar beside the map.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.match_locations : Same-class and other-class matches on one scale.

    Examples
    --------
    >>> where = hp.observations.locations.measure(matches, valid=memory.valid())
    >>> ax = hp.plots.location_map(where, "all")
    >>> ax.get_title().splitlines()
    ['all matches', 'n = 2,940 matches']
    """
    require_choice("kind of matches", kind, SIDES)
    ratio = _ratio(result, kind)
    with drawing(ax) as ax:
        image = cell_map(ratio, ax, cmap=RATIO, norm=ratio_norm([ratio], vmax=vmax))
        ax.set_title(f"{_title(result, kind)}\n{_count(result, kind)}")
        if show_colorbar:
            ratio_colorbar(image, ax, _UNIT)
    return ax


@takes(Locations)
def class_locations(
    result: Locations, *, kind: str = "same", classes: Sequence[str] | None = None, columns: int = 5,
    stretch: float | None = None,
) -> Figure:  # fmt: skip
    """Draw p(x, y), divided by the base rate, for the queries of each class, on one scale.

    On maps of same-class matches an arrow points from the center to their mean position. The title tells
    whether that is chance: p is the p-value of a mean position at the center (`ClassPositions.distance`), not
    corrected for the number of classes. The resultant length R tells how far the directions of the class's n
    images agree; in parentheses is its expectation for independent random directions, which images that share
    memory images exceed without any effect. Directions that all classes share count in both;
    `hueprobe.plots.class_directions` of a blocked test draws what classes have of their own.

    Parameters
    ----------
    result : Locations
        From `hueprobe.observations.locations.measure`.
    kind : {"same", "other"}, default="same"
        Matches in the query's class, or in other classes.
    classes : sequence of str, optional
        Names of the classes to draw; all by default.
    columns : int, default=5
        Maps per row.
    stretch : float, optional
        How many times as long as the distance in cells arrows are; by default as long as fits on the grid.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        A name is unknown, or there are no classes.

    See Also
    --------
    hueprobe.plots.class_directions : The mean position of each class.
    hueprobe.plots.image_locations : The same for single images.

    Examples
    --------
    >>> where = hp.observations.locations.measure(matches, valid=memory.valid())
    >>> figure = hp.plots.class_locations(where, classes=["circle", "square"])
    >>> [ax.get_title().splitlines()[0] for ax in figure.axes[:2]]
    ['circle', 'square']
    """
    require_choice("kind of matches", kind, ("same", "other"))
    shown = class_ids(result.classes, classes)
    positions, same = result.positions, kind == "same"
    ratios = over_base((result.class_same if same else result.class_other)[shown], result.base)
    norm = ratio_norm([ratios])
    columns = min(columns, len(shown))
    u, v = positions.points()[shown].T
    stretch = fitting_stretch(u, v, result.grid.shape) if stretch is None else stretch
    with composing(*map_size(len(shown), columns, lines=3 if same else 2, told=4 if same else 1)) as figure:
        axes = small_multiples(figure, len(shown), columns=columns)
        for i, (ax, c) in enumerate(zip(axes, shown, strict=True)):
            image = cell_map(ratios[i], ax, cmap=RATIO, norm=norm)
            lines = ["other classes"]
            if same:
                mean_arrow(ax, u[i], v[i], center=positions.center, stretch=stretch)
                lines = _agreement(positions, c)
            title_map(ax, map_name(result.classes[c], columns), *lines)
        label_outer(axes, columns=columns)
        ratio_colorbar(image, axes, _UNIT, shrink=bar_share(len(shown), columns))
        told = (
            "same-class matches by class",
            stretch_text(stretch),
            "p: test of a mean position at the center",
            "R: agreement of the images' directions (by chance)",
        )
        tell_maps(figure, *(told if same else ("matches by class of the query",)))
    return figure


@takes(Locations)
def match_profile(result: Locations, *, ax: Axes | None = None) -> Axes:
    """Draw matches by distance from the center, divided by the base rate, with 95 % pigeonhole intervals.

    Parameters
    ----------
    result : Locations
        From `hueprobe.observations.locations.measure`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.match_locations : The maps that the profile summarizes.
    hueprobe.plots.energy_profile : The same for energy.

    Examples
    --------
    >>> where = hp.observations.locations.measure(matches, valid=memory.valid())
    >>> ax = hp.plots.match_profile(where)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('distance from the center (cells)', 'matches, multiple of the base rate')
    """
    with drawing(ax, height=2.9) as ax:
        for kind, profile, color, style in (
            ("same", result.profile_same, SAME, "-"),
            ("other", result.profile_other, OTHER, "--"),
        ):
            label = f"{_title(result, kind)}, {_count(result, kind)}"
            profile_line(profile, ax, color=color, label=label, linestyle=style)
        uniform_line(ax)
        ax.set(
            xlabel="distance from the center (cells)",
            ylabel="matches, multiple of the base rate",
            ylim=(0, None), title="bands: 95 % intervals",
        )  # fmt: skip
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return ax


@takes(Locations)
def same_class_shares(result: Locations) -> Figure:
    """Draw the share of same-class matches by matched cell and by query cell, on one scale.

    Parameters
    ----------
    result : Locations
        From `hueprobe.observations.locations.measure`.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        There is no match whose query and matched image both have a class.

    See Also
    --------
    hueprobe.plots.match_locations : Where same-class matches land.

    Examples
    --------
    >>> where = hp.observations.locations.measure(matches, valid=memory.valid())
    >>> figure = hp.plots.same_class_shares(where)
    >>> [ax.get_title() for ax in figure.axes[:2]]
    ['by matched cell', 'by query cell']
    """
    shares = {
        "by matched cell": result.same_share_by_match_cell,
        "by query cell": result.same_share_by_query_cell,
    }
    if not result.n_same + result.n_other:
        raise InputError("no match has a class on both sides; shares of same-class matches need labels")
    norm = Normalize(
        float(min(np.nanmin(share) for share in shares.values())),
        float(max(np.nanmax(share) for share in shares.values())),
    )
    with composing(4.6, 2.3) as figure:
        axes = small_multiples(figure, 2, columns=2)
        for ax, (title, share) in zip(axes, shares.items(), strict=True):
            image = cell_map(share, ax, cmap=SEQUENTIAL, norm=norm)
            ax.set_title(title)
        colorbar(image, axes, _SHARE, shrink=0.8)
        label_outer(axes, columns=2)
        n = result.n_same + result.n_other
        figure.suptitle(f"{_SHARE}, overall {measurable(result.same_share, n, 'matches')}, n = {n:,} matches")
    return figure


def _ratio(result: Locations, kind: str) -> np.ndarray:
    return over_base(getattr(result, kind), result.base)


def _agreement(positions: ClassPositions, c: int) -> list[str]:
    """Return a class's R, with that by chance, and the p-value of its position with the number of images."""
    n = f"n = {positions.n_images[c]} images"
    r, p = positions.resultant[c], positions.distance[c].p_value
    if math.isnan(r):
        return ["no direction", n]
    return [
        f"R = {r:.2f} ({positions.resultant_by_chance[c]:.2f})",
        f"{p_label(p)}, n = {positions.n_images[c]}" if p is not None and not math.isnan(p) else n,
    ]


def _title(result: Locations, kind: str) -> str:
    if kind == "all":
        return SIDES[kind]
    rho = result.rho_same if kind == "same" else result.rho_other
    return f"{SIDES[kind]}, ρ = {measurable(rho, _n(result, kind), 'matches')}"


def _n(result: Locations, kind: str) -> int:
    counts = {"same": result.n_same, "other": result.n_other}
    return counts.get(kind, result.n_same + result.n_other + result.n_unlabeled)


def _count(result: Locations, kind: str) -> str:
    return f"n = {_n(result, kind):,} matches"
