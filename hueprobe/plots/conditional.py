"""Plots of observation 4: where matches land, given the query cell."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hueprobe.arguments import takes
from hueprobe.errors import InputError, require_choice
from hueprobe.grid import Grid
from hueprobe.observations.conditional.conditional import Conditional
from hueprobe.observations.conditional.given_query import GivenQuery
from hueprobe.plots.maps import cell_map, draw_cells, log_ratio_colorbar, log_ratio_norm, over_base
from hueprobe.plots.style import (
    COLUMN,
    GRAY,
    INK,
    OTHER,
    RATIO,
    SAME,
    SIDES,
    composing,
    drawing,
)

_UNIT = "p(x, y | query cell), multiple of the base rate"
_MOST = 7  # rows and columns of query cells, unless the caller chooses more


@takes(Conditional)
def conditional_maps(
    result: Conditional, *, rows: Sequence[int] | None = None, columns: Sequence[int] | None = None
) -> Figure:
    """Draw p(x, y | x_i) for a grid of query cells, same class above and other class below, on one scale.

    Densities are divided by the base rate, on a logarithmic scale: at 1 (white) matches land as often as by
    chance, and cells without any have the color of the lower end. Each small map is placed where its query
    cell lies, and outlines that cell. Maps of query cells without such matches are gray. One row and one
    column give the pair of maps of a single query cell.

    Parameters
    ----------
    result : Conditional
        From `hueprobe.observations.conditional.measure`. Without labels there is one part with all matches.
    rows, columns : sequence of int, optional
        Query cells to show; at most 7 rows and columns, evenly spaced, by default.

    Returns
    -------
    Figure
        A new figure, not managed by pyplot.

    Raises
    ------
    InputError
        A row or column is outside the grid.

    See Also
    --------
    hueprobe.plots.conditional_map : One query cell.
    hueprobe.plots.match_locations : p(x, y) of the matches of all query cells.

    Examples
    --------
    >>> given = hp.observations.conditional.measure(matches, seed=0)
    >>> figure = hp.plots.conditional_maps(given, rows=[0, 3, 6], columns=[0, 3, 6])
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
    ('query column x', 'query row y')
    """
    rows = _chosen("row", rows, result.grid.height)
    columns = _chosen("column", columns, result.grid.width)
    sides = ("same", "other") if result.same.n + result.other.n else ("all",)
    chosen = [_ratio(result, side)[np.ix_(rows, columns)] for side in sides]
    norm = log_ratio_norm(chosen)
    across = COLUMN - 1.0
    with composing(COLUMN, (across * _shape_ratio(result.grid, rows, columns) + 0.4) * len(sides)) as figure:
        axes = figure.subplots(len(sides), 1, squeeze=False)[:, 0]
        for ax, side, ratio in zip(axes, sides, chosen, strict=True):
            image = _mosaic(ratio, ax, rows, columns, norm)
            ax.set_title(f"{SIDES[side]}, n = {getattr(result, side).n:,} matches")
        log_ratio_colorbar(image, list(axes), _UNIT, shrink=0.7 if len(sides) > 1 else 1.0)
    return figure


@takes(Conditional)
def conditional_map(
    result: Conditional,
    y: int,
    x: int,
    side: str = "same",
    *,
    vmax: float | None = None,
    show_colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw p(x, y | x_i) of one query cell, which is outlined, over the base rate, on a logarithmic scale.

    Parameters
    ----------
    result : Conditional
        From `hueprobe.observations.conditional.measure`.
    y, x : int
        Row and column of the query cell.
    side : {"same", "other", "all"}, default="same"
        Same-class matches, other-class matches, or all.
    vmax : float, optional
        Upper end of the color scale, above 1; the lower end is 1 / `vmax`. By default the largest value of
        the map, and at least 2. Use one value for maps to be compared.
    show_colorbar : bool, default=True
        Draw a color bar beside the map.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    Raises
    ------
    InputError
        The cell is outside the grid, the side is unknown, or `vmax` is not above 1.

    See Also
    --------
    hueprobe.plots.conditional_maps : A grid of query cells.

    Examples
    --------
    >>> given = hp.observations.conditional.measure(matches, seed=0)
    >>> ax = hp.plots.conditional_map(given, 1, 1, "other")
    >>> ax.get_title().splitlines()[0]
    'other classes, query cell row 1, column 1'
    """
    require_choice("kind of matches", side, SIDES)
    _chosen("row", [y], result.grid.height)
    _chosen("column", [x], result.grid.width)
    ratio = _ratio(result, side)[y, x]
    norm = log_ratio_norm([ratio], vmax=vmax)
    with drawing(ax) as ax:
        image = cell_map(ratio, ax, cmap=RATIO, norm=norm)
        _outline(ax, x, y, 1.5)
        ax.set_title(
            f"{SIDES[side]}, query cell row {y}, column {x}\n"
            f"n = {getattr(result, side).n:,} matches of all query cells"
        )
        if show_colorbar:
            log_ratio_colorbar(image, ax, _UNIT)
    return ax


@takes(Conditional)
def conditional_summary(result: Conditional) -> Figure:
    """Draw stay-put share, spread and mutual information of same-class and other-class matches.

    Filled dots are measured values with 95 % pigeonhole intervals. Open dots are adjusted to equal match
    quality. Ticks mark the value expected by chance.

    Parameters
    ----------
    result : Conditional
        From `hueprobe.observations.conditional.measure`.

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
    hueprobe.plots.tangential_excess : Whether the spread is larger tangentially than radially.

    Examples
    --------
    >>> given = hp.observations.conditional.measure(matches, seed=0)
    >>> figure = hp.plots.conditional_summary(given)
    >>> for ax in figure.axes:
    ...     print(ax.get_xlabel())
    share of matches in the query's own cell
    root mean square displacement (cells)
    mutual information of the two cells (bits)
    """
    if not result.same.n + result.other.n:
        raise InputError("no match has a class on both sides; same and other class need labels")
    with composing(COLUMN, 3.2) as figure:
        stay, spread, bits = figure.subplots(3, 1)
        rows = [f"{SIDES[side]}\n{getattr(result, side).n:,} matches" for side in ("other", "same")]
        for row, side in enumerate(("other", "same")):
            found: GivenQuery = getattr(result, side)
            color = SAME if side == "same" else OTHER
            for ax, interval in ((stay, found.stay), (spread, found.spread), (bits, found.information.bits)):
                ax.plot([interval.low, interval.high], [row, row], color=color)
                ax.plot(interval.estimate, row, "o", color=color, zorder=3)
            for ax, contrast in ((stay, result.stay), (spread, result.spread)):
                adjusted = getattr(contrast, f"{side}_adjusted")
                ax.plot(adjusted, row - 0.25, "o", color=color, markerfacecolor="white", zorder=3)
            stay.plot(found.stay_by_chance, row, "|", color=GRAY, markersize=9)
        bits.plot([0, 0], [0, 1], "|", color=GRAY, markersize=9, linestyle="none")
        stay.set_xlabel("share of matches in the query's own cell")
        spread.set_xlabel("root mean square displacement (cells)")
        bits.set_xlabel("mutual information of the two cells (bits)")
        for ax in (stay, spread, bits):
            ax.set(ylim=(-0.6, 1.4), yticks=[0, 1], yticklabels=rows)
            ax.margins(x=0.08)
        handles = [
            Line2D([], [], color=INK, marker="o", label="measured"),
            Line2D([], [], color=INK, marker="o", markerfacecolor="white", linestyle="none",
                   label="at equal match quality"),
            Line2D([], [], color=GRAY, marker="|", markersize=9, linestyle="none", label="chance"),
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside upper center", ncols=3, columnspacing=1.0)
    return figure


@takes(Conditional)
def tangential_excess(result: Conditional, *, ax: Axes | None = None) -> Axes:
    """Draw the excess of tangential over radial spread against every base rate, with 95 % intervals.

    At 0 the ratio equals that of the base rate. Verdicts use the first row, gravity in polar form.

    Parameters
    ----------
    result : Conditional
        From `hueprobe.observations.conditional.measure`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.tangential_spreads : The two spreads themselves.

    Examples
    --------
    >>> given = hp.observations.conditional.measure(matches, seed=0)
    >>> ax = hp.plots.tangential_excess(given)
    >>> ax.get_yticklabels()[0].get_text()
    'gravity, polar'
    """
    with drawing(ax, height=0.9 + 0.3 * len(result.tangential)) as ax:
        for row, found in enumerate(result.tangential):
            for side, color, marker, shift in (("same", SAME, "o", -0.15), ("other", OTHER, "s", 0.15)):
                excess = getattr(found, side).excess
                ax.plot([excess.low, excess.high], [row + shift] * 2, color=color)
                n = f"{SIDES[side]}, n = {getattr(result, side).n:,}"
                label = n if row == 0 else None
                ax.plot(excess.estimate, row + shift, marker, color=color, linestyle="none", label=label)
        ax.axvline(0, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
        ax.set_yticks(
            range(len(result.tangential)), [f"{found.base}, {found.form}" for found in result.tangential]
        )
        ax.set(
            ylim=(len(result.tangential) - 0.5, -0.5),
            xlabel="excess of log(tangential / radial) over n matches",
        )
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return ax


@takes(Conditional)
def tangential_spreads(result: Conditional, side: str = "same", *, ax: Axes | None = None) -> Axes:
    """Draw radial and tangential spread as measured (filled) and under every base rate (open).

    Parameters
    ----------
    result : Conditional
        From `hueprobe.observations.conditional.measure`.
    side : {"same", "other", "all"}, default="same"
        Same-class matches, other-class matches, or all.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.tangential_excess : Their ratio against that of every base rate.

    Examples
    --------
    >>> given = hp.observations.conditional.measure(matches, seed=0)
    >>> ax = hp.plots.tangential_spreads(given, "other")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['radial', 'tangential']
    """
    require_choice("kind of matches", side, SIDES)
    with drawing(ax, height=0.9 + 0.3 * len(result.tangential)) as ax:
        for row, found in enumerate(result.tangential):
            part = getattr(found, side)
            pairs = (
                ("radial", part.radial, part.base_radial, SAME, "o", -0.15),
                ("tangential", part.tangential, part.base_tangential, OTHER, "s", 0.15),
            )
            for name, measured, base, color, marker, shift in pairs:
                at = row + shift
                ax.plot([base, measured], [at, at], color=color, linewidth=0.8)
                ax.plot(base, at, marker, color=color, markerfacecolor="white", linestyle="none")
                label = name if row == 0 else None
                ax.plot(measured, at, marker, color=color, linestyle="none", label=label)
        ax.set_yticks(
            range(len(result.tangential)), [f"{found.base}, {found.form}" for found in result.tangential]
        )
        ax.set(
            xlim=(0, None), ylim=(len(result.tangential) - 0.5, -0.5),
            xlabel=f"{SIDES[side]}: RMS in cells (open: base)",
        )  # fmt: skip
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return ax


def _ratio(result: Conditional, side: str) -> np.ndarray:
    part: GivenQuery = getattr(result, side)
    return over_base(part.density, result.base)


def _chosen(what: str, numbers: Sequence[int] | None, length: int) -> list[int]:
    if numbers is None:
        every = np.linspace(0, length - 1, min(_MOST, length))
        return [int(number) for number in np.round(every)]
    wrong = [number for number in numbers if not 0 <= number < length]
    if wrong or not numbers:
        raise InputError(f"{what} {wrong[0] if wrong else '(none)'} of a grid; give 0 to {length - 1}")
    return list(numbers)


def _shape_ratio(grid: Grid, rows: Sequence[int], columns: Sequence[int]) -> float:
    """Return height over width of the mosaic."""
    return len(rows) * (grid.height + 1) / (len(columns) * (grid.width + 1))


def _mosaic(
    ratios: np.ndarray, ax: Axes, rows: Sequence[int], columns: Sequence[int], norm: Normalize
) -> AxesImage:
    """Draw maps (n_rows, n_columns, H, W) one cell apart, each where its query cell lies; return the last."""
    height, width = ratios.shape[2:]
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            top, left = i * (height + 1), j * (width + 1)
            extent = (left - 0.5, left + width - 0.5, top + height - 0.5, top - 0.5)
            image = draw_cells(ratios[i, j], ax, cmap=RATIO, norm=norm, extent=extent)
            _outline(ax, left + x, top + y, 0.7)
    ax.set(
        xlim=(-1, len(columns) * (width + 1) - 1), ylim=(len(rows) * (height + 1) - 1, -1), aspect="equal",
        xlabel="query column x", ylabel="query row y",
    )  # fmt: skip
    ax.set_xticks([j * (width + 1) + (width - 1) / 2 for j in range(len(columns))], map(str, columns))
    ax.set_yticks([i * (height + 1) + (height - 1) / 2 for i in range(len(rows))], map(str, rows))
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def _outline(ax: Axes, x: float, y: float, linewidth: float) -> None:
    """Outline the query cell, visibly on cells of all colors."""
    for color, width in (("white", linewidth), (INK, linewidth / 2)):
        ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, edgecolor=color, linewidth=width))
