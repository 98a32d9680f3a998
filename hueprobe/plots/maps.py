"""Maps of values by grid cell: row 0 on top, square cells, one scale for maps that are compared."""

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LogNorm, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.observations.units.radial import RadialProfile
from hueprobe.plots.style import GRAY, INK, PAGE, PALE, cell_axes, colorbar, fitting

_TITLE = 6.5  # points: font size of a small map's title
_LEAST_TOP = 2.0  # least upper end of a scale of multiples, or noise would look like a pattern


def cell_map(
    values: np.ndarray,
    ax: Axes,
    *,
    cmap: str | Colormap,
    norm: Normalize,
    center: tuple[float, float] | None = None,
) -> AxesImage:
    """Draw values of shape (H, W); cells without a value (NaN) are gray.

    Parameters
    ----------
    values : ndarray of shape (H, W)
        A value for each cell.
    ax : Axes
        Where to draw.
    cmap : str or Colormap
        Matplotlib colormap.
    norm : Normalize
        Matplotlib norm.
    center : (float, float), optional
        Position (y, x) to mark with a cross; no mark by default.
    """
    image = draw_cells(values, ax, cmap=cmap, norm=norm)
    cell_axes(ax, Grid(*values.shape))
    for spine in ax.spines.values():
        spine.set_visible(True)
    if center is not None:
        for color, width in (("white", 2.0), (INK, 0.8)):
            ax.plot(center[1], center[0], "+", color=color, markersize=5, markeredgewidth=width)
    return image


def draw_cells(
    values: np.ndarray,
    ax: Axes,
    *,
    cmap: str | Colormap,
    norm: Normalize,
    extent: tuple[float, float, float, float] | None = None,
) -> AxesImage:
    """Draw values of shape (H, W) with row 0 on top, without axis labels or limits; see `cell_map`.

    Parameters
    ----------
    values, ax, cmap, norm
        As in `cell_map`.
    extent : (left, right, bottom, top), optional
        Position in the coordinates of the Axes; cell (y, x) is at (x, y) by default.
    """
    gray = mpl.colormaps.get_cmap(cmap).with_extremes(bad=PALE)
    return ax.imshow(values, cmap=gray, norm=norm, interpolation="nearest", origin="upper", extent=extent)


def ratio_norm(maps: Iterable[np.ndarray], *, vmax: float | None = None) -> TwoSlopeNorm:
    """Return a norm for multiples of a base rate: 0 and `vmax` at the ends, 1 (the base rate) in the middle.

    Parameters
    ----------
    maps : iterable of ndarray
        All maps to be compared; NaN is ignored.
    vmax : float, optional
        Upper end, above 1; by default the largest value of the maps, and at least 2.
    """
    return TwoSlopeNorm(vmin=0.0, vcenter=1.0, vmax=vmax if vmax is not None else largest(maps, _LEAST_TOP))


def ratio_colorbar(image: AxesImage, axes: Axes | Sequence[Axes], label: str, **options: Any) -> Colorbar:
    """Add a color bar for maps with `ratio_norm`; 1, the base rate, always has a tick."""
    _, top = image.get_clim()
    nice = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(1.0, top)
    above = [tick for tick in nice if 0.2 * (top - 1) < tick - 1 and tick <= top]
    return colorbar(image, axes, label, ticks=[0.0, 0.5, 1.0, *above], **options)


def log_ratio_norm(maps: Iterable[np.ndarray], *, vmax: float | None = None) -> LogNorm:
    """Return a logarithmic norm for multiples of a base rate: 1 / `vmax` and `vmax` at the ends, 1 between.

    Smaller multiples, such as 0, have the color of the lower end.

    Parameters
    ----------
    maps : iterable of ndarray
        All maps to be compared; NaN is ignored.
    vmax : float, optional
        Upper end, above 1; by default the largest value of the maps, and at least 2.
    """
    top = vmax if vmax is not None else largest(maps, _LEAST_TOP)
    if not 1 < top < np.inf:
        raise InputError(f"vmax is {top:g}; a logarithmic scale of multiples needs an upper end above 1")
    return LogNorm(1 / top, top, clip=True)


def log_ratio_colorbar(image: AxesImage, axes: Axes | Sequence[Axes], label: str, **options: Any) -> Colorbar:
    """Add a color bar for maps with `log_ratio_norm`, with ticks at multiples such as 0.2×, 1× and 5×."""
    _, top = image.get_clim()
    steps = (2, 5, 10, 20, 50, 100) if top < 200 else tuple(10.0**n for n in range(1, int(np.log10(top)) + 1))
    above = [step for step in steps if step <= top]
    ticks = sorted({*(1 / step for step in above), 1.0, *above})
    bar = colorbar(image, axes, label, ticks=ticks, extend="min", **options)
    bar.ax.set_yticklabels([f"{tick:.3g}×" for tick in ticks])
    bar.ax.yaxis.set_minor_locator(NullLocator())
    return bar


def over_base(density: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return density over base; NaN in cells that no query can match."""
    shape = np.broadcast_shapes(density.shape, base.shape)
    ratio: np.ndarray = np.divide(density, base, out=np.full(shape, np.nan), where=base > 0)
    return ratio


def largest(maps: Iterable[np.ndarray], least: float = 0.0) -> float:
    """Return the largest value of several maps, ignoring NaN, and not less than `least`."""
    values = np.concatenate([[least], *(np.ravel(values) for values in maps)])
    return float(np.nanmax(values))


def small_multiples(figure: Figure, n: int, *, columns: int) -> list[Axes]:
    """Return `n` Axes in rows of `columns`; positions that are left over stay empty.

    Call `label_outer` after drawing.
    """
    n_rows = -(-n // columns)
    grid = figure.add_gridspec(n_rows, min(columns, n))
    return [figure.add_subplot(grid[i // columns, i % columns]) for i in range(n)]


def label_outer(axes: Sequence[Axes], *, columns: int) -> None:
    """Remove axis labels and tick labels from all but the left column and the lowest map of each column."""
    for i, ax in enumerate(axes):
        if i % columns:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        if i + columns < len(axes):
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)


def class_ids(names: Sequence[str], chosen: Sequence[str] | None) -> list[int]:
    """Return the ids of the chosen class names, by default of all classes.

    Raises
    ------
    InputError
        A name is unknown, or there are no classes.
    """
    unknown = [name for name in chosen or () if name not in names]
    if unknown:
        raise InputError(f"no class {unknown[0]!r} in this result; it has: {', '.join(names)}")
    ids = [names.index(name) for name in (names if chosen is None else chosen)]
    if not ids:
        raise InputError("this result has no classes to draw; give class names with the images")
    return ids


def map_name(name: str, columns: int) -> str:
    """Return a name for the title of a map in a row of `columns` maps, no wider than the map."""
    return fitting(name, 0.97 * (PAGE - 1.0) / max(columns, 3), fontsize=_TITLE)


def title_map(ax: Axes, *lines: str) -> None:
    """Write the title of one of several maps."""
    ax.set_title("\n".join(lines), fontsize=_TITLE)


def bar_share(n: int, columns: int) -> float:
    """Return the height of the color bar as a share of the height of `n` maps in rows of `columns`."""
    return min(0.8, 2.0 / -(-n // columns))


def map_size(n: int, columns: int, *, lines: int = 2, told: int = 0) -> tuple[float, float]:
    """Return width and height, in inches, of a figure of `n` maps in rows of `columns`.

    Parameters
    ----------
    n, columns : int
        Number of maps, and of maps per row.
    lines, told : int
        Lines of each map's title, and of the figure's (`tell_maps`).
    """
    across = (PAGE - 1.0) / max(columns, 3)
    titles = 0.25 + 0.1 * (lines - 2)
    return across * columns + 1.0, (across + titles) * -(-n // columns) + 0.3 + 0.13 * told


def tell_maps(figure: Figure, *lines: str) -> None:
    """Write the title of a figure of several maps, in letters that fit one map with its color bar."""
    figure.suptitle("\n".join(lines), fontsize=_TITLE)


def profile_line(
    profile: RadialProfile, ax: Axes, *, color: str, label: str, per: float = 1.0, linestyle: Any = "-"
) -> Line2D:
    """Draw a radial profile with its interval as a band; one unit of the x axis is `per` cells."""
    radius = profile.radius / per
    ax.fill_between(radius, profile.low, profile.high, color=color, alpha=0.2, linewidth=0)
    (line,) = ax.plot(
        radius, profile.value, "o", linestyle=linestyle, color=color, markersize=2.5, label=label
    )
    return line


def uniform_line(ax: Axes) -> None:
    """Draw a line at 1, the level of a uniform distribution."""
    ax.axhline(1.0, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
