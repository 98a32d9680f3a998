"""Values by grid cell as images: row 0 on top, a square a cell, one scale where maps are compared."""

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.observations.units.radial import RadialProfile
from hueprobe.plots.style import GRAY, INK, PAGE, PALE, cell_axes, colorbar, fitting

_TITLE = 6.5  # points, of a small map's title
_LEAST_TOP = 2.0  # a scale of multiples reaches at least this far, or noise would look like a pattern


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
    ax : Axes
    cmap, norm
        Of matplotlib.
    center : (float, float), optional
        (y, x) to mark with a cross.
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
    """Draw values of shape (H, W) with row 0 on top, and nothing around them; see `cell_map`.

    Parameters
    ----------
    extent : (left, right, bottom, top), optional
        Where to draw in the Axes' coordinates; cell (y, x) at (x, y) by default.
    """
    gray = mpl.colormaps.get_cmap(cmap).with_extremes(bad=PALE)
    return ax.imshow(values, cmap=gray, norm=norm, interpolation="nearest", origin="upper", extent=extent)


def ratio_norm(maps: Iterable[np.ndarray], *, vmax: float | None = None) -> TwoSlopeNorm:
    """Return the scale of multiples of a base rate: 0 and `vmax` at the ends, 1 (the base) in the middle.

    Parameters
    ----------
    maps : iterable of ndarray
        All that are to be compared; NaN is left out.
    vmax : float, optional
        Upper end, above 1; the largest value of the maps, and at least 2, by default.
    """
    return TwoSlopeNorm(vmin=0.0, vcenter=1.0, vmax=vmax if vmax is not None else largest(maps, _LEAST_TOP))


def ratio_colorbar(image: AxesImage, axes: Axes | Sequence[Axes], label: str, **options: Any) -> Colorbar:
    """Put a color bar beside maps on the scale of `ratio_norm`; 1, the base rate, always has its tick."""
    _, top = image.get_clim()
    nice = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(1.0, top)
    above = [tick for tick in nice if 0.2 * (top - 1) < tick - 1 and tick <= top]
    return colorbar(image, axes, label, ticks=[0.0, 0.5, 1.0, *above], **options)


def largest(maps: Iterable[np.ndarray], least: float = 0.0) -> float:
    """Return the largest value of several maps, NaN left out, and not less than `least`."""
    values = np.concatenate([[least], *(np.ravel(values) for values in maps)])
    return float(np.nanmax(values))


def small_multiples(figure: Figure, n: int, *, columns: int) -> list[Axes]:
    """Return `n` Axes in rows of `columns`, of which only the outer ones carry axis labels.

    Call `label_outer` on each after drawing; the figure's empty places stay empty.
    """
    n_rows = -(-n // columns)
    grid = figure.add_gridspec(n_rows, min(columns, n))
    return [figure.add_subplot(grid[i // columns, i % columns]) for i in range(n)]


def label_outer(axes: Sequence[Axes], *, columns: int) -> None:
    """Take axis labels and tick labels from all but the left column and the lowest map of each column."""
    for i, ax in enumerate(axes):
        if i % columns:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        if i + columns < len(axes):
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)


def class_ids(names: Sequence[str], chosen: Sequence[str] | None) -> list[int]:
    """Return the ids of the chosen class names, of all by default.

    Raises
    ------
    InputError
        A name is unknown, or there is none.
    """
    unknown = [name for name in chosen or () if name not in names]
    if unknown:
        raise InputError(f"no class {unknown[0]!r} in this result; it has: {', '.join(names)}")
    ids = [names.index(name) for name in (names if chosen is None else chosen)]
    if not ids:
        raise InputError("this result has no classes to draw; give class names with the images")
    return ids


def map_name(name: str, columns: int) -> str:
    """Return a name as the title of one of so many maps in a row, no wider than the map."""
    return fitting(name, 0.97 * (PAGE - 1.0) / max(columns, 3), fontsize=_TITLE)


def title_map(ax: Axes, *lines: str) -> None:
    """Write the title of one of several maps."""
    ax.set_title("\n".join(lines), fontsize=_TITLE)


def bar_share(n: int, columns: int) -> float:
    """Return the share of the height of `n` maps in rows of `columns` that their color bar takes."""
    return min(0.8, 2.0 / -(-n // columns))


def map_size(n: int, columns: int) -> tuple[float, float]:
    """Width and height, in inches, of a figure of `n` maps in rows of `columns`."""
    across = (PAGE - 1.0) / max(columns, 3)
    return across * columns + 1.0, (across + 0.25) * -(-n // columns) + 0.3


def profile_line(
    profile: RadialProfile, ax: Axes, *, color: str, label: str, per: float = 1.0, linestyle: Any = "-"
) -> Line2D:
    """Draw a radial profile with its interval as a band; `per` cells make a unit of the x axis."""
    radius = profile.radius / per
    ax.fill_between(radius, profile.low, profile.high, color=color, alpha=0.2, linewidth=0)
    (line,) = ax.plot(
        radius, profile.value, "o", linestyle=linestyle, color=color, markersize=2.5, label=label
    )
    return line


def uniform_line(ax: Axes) -> None:
    """Draw the level 1 that a uniform spread has."""
    ax.axhline(1.0, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
