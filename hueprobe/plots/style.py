"""Fonts, colors and figures that the plots share; nothing global is changed."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from hueprobe.escapes import escape_controls
from hueprobe.grid import Grid
from hueprobe.plots.cyclic import CYCLIC
from hueprobe.plots.fonts import cover_scripts, missing_told
from hueprobe.stats.intervals import Interval

COLUMN, PAGE = 3.3, 6.9  # inches: one column of a paper, and both

# Okabe and Ito's two best told apart by color-blind readers; each has at least 3:1 against white paper.
SAME, OTHER = "#0072B2", "#D55E00"  # matches of the same class and of other classes
SIDES = {"same": "same class", "other": "other classes", "all": "all matches"}
CATEGORIES = (SAME, "#B8860B", "#008760", "#C25A8F", "#5E3C99", OTHER, "#7A1F2B")
INK, GRAY, PALE = "#222222", "#7F7F7F", "#D9D9D9"

LINESTYLES = ("-", "--", ":")

# Shares; energy; multiples of a base rate, white at 1.
SEQUENTIAL, ENERGY, RATIO = "viridis", "magma", "PuOr_r"

ANGLES = Normalize(-np.pi, np.pi)  # radians

_LEAST_WIDTH = 1100  # pixels of a figure, some of which a notebook cuts off at the sides
_LEAST_DPI = 200

_RC: Any = {
    "font.size": 7.0,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.0,
    "figure.titlesize": 8.0,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "savefig.dpi": "figure",
}


@contextmanager
def drawing(ax: Axes | None, *, width: float = COLUMN, height: float = 2.6) -> Iterator[Axes]:
    """Give the Axes to draw into: `ax`, with the caller's settings, or one of a new figure in our style.

    A new figure belongs to pyplot only where pyplot is loaded, so that notebooks and `plt.show()`
    show it and nobody else has to close it.

    Parameters
    ----------
    ax : Axes, optional
    width, height : float
        Inches of a new figure.
    """
    if ax is not None:
        yield ax
        cover_scripts(ax.figure.canvas.figure)
        return
    with mpl.rc_context(_RC):
        pyplot = sys.modules.get("matplotlib.pyplot")
        make: Any = Figure if pyplot is None else pyplot.figure
        figure = make(figsize=(width, height), layout="constrained", dpi=_dpi(width))
        yield figure.add_subplot()
        _finish(figure)


@contextmanager
def composing(width: float, height: float) -> Iterator[Figure]:
    """Give a new figure, unknown to pyplot, in whose `with` block everything is drawn in our style.

    Parameters
    ----------
    width, height : float
        Inches.
    """
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(width, height), layout="constrained", dpi=_dpi(width))
        yield figure
        _finish(figure)


def colorbar(mappable: ScalarMappable, axes: Any, label: str, **options: Any) -> Colorbar:
    """Put a color bar with a label, which names the unit, beside one Axes or several.

    Parameters
    ----------
    mappable : ScalarMappable
    axes : Axes or sequence of Axes
    label : str
    **options
        As `Figure.colorbar` takes them.
    """
    first = axes if isinstance(axes, Axes) else next(iter(axes))
    bar = first.figure.colorbar(mappable, ax=axes, label=label, **options)
    bar.outline.set_linewidth(0.5)
    return bar


def cell_axes(ax: Axes, grid: Grid) -> None:
    """Set limits and ticks of Axes in cells: row 0 on top, whole rows and columns, square cells."""
    height, width = grid.shape
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    step = max(1, -(-max(grid.shape) // 8))
    ax.set(xticks=range(0, width, step), yticks=range(0, height, step))
    ax.set(xlabel="column x", ylabel="row y")


def interval_text(interval: Interval, digits: int = 2) -> str:
    """Return an estimate with its interval, "0.68 [0.66, 0.70]"; the estimate alone where there is none."""
    estimate = f"{interval.estimate:.{digits}f}"
    if math.isnan(interval.low):
        return estimate
    return f"{estimate} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def angle_colors(angles: np.ndarray) -> np.ndarray:
    """Return a color (RGBA) for each angle in radians: -pi and pi are the same, pi/2 apart are distinct."""
    colors: np.ndarray = CYCLIC(ANGLES(np.asarray(angles, float)))
    return colors


def measurable(interval: Interval, n: int, unit: str = "images", digits: int = 2) -> str:
    """Return `interval_text`, or where there is no estimate what it would have been measured on.

    >>> measurable(Interval(math.nan, math.nan, math.nan, math.nan, 1), 2)
    'not measurable (n = 2 images)'
    """
    if math.isnan(interval.estimate):
        return f"not measurable (n = {n:,} {unit})"
    return interval_text(interval, digits)


def p_label(p: float) -> str:
    """Return a p-value as figures show it, and nothing where there is none.

    >>> p_label(0.0312), p_label(math.nan)
    ('p = 0.031', '')
    """
    return "" if math.isnan(p) else f"p = {p:.2g}"


def fitting(name: str, inches: float, *, fontsize: float) -> str:
    """Return a name as a figure may show it, shortened until it is at most so wide.

    Parameters
    ----------
    name : str
    inches : float
    fontsize : float
        Points.
    """
    font = FontProperties(size=fontsize)
    for length in range(min(len(name), 60), 3, -1):
        text = shortened(name, length)
        if TextPath((0, 0), text, prop=font).get_extents().width <= 72 * inches:
            return text
    return shortened(name, 3)


def text_on(color: str) -> str:
    """Return the color, light or dark, in which text can be read on `color`."""
    red, green, blue = to_rgb(color)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.6 else INK


def shortened(name: str, length: int = 18) -> str:
    """Return a name as a figure may show it, its middle left out where it is longer than `length`.

    No control character is drawn, and a `$` begins no formula.

    >>> shortened("immunohistochemistry", 12)
    'immuno…istry'
    """
    name = escape_controls(name)
    if len(name) > length:
        tail = (length - 1) // 2
        name = f"{name[: length - 1 - tail]}…{name[len(name) - tail :]}"
    return name.replace("$", r"\$")


def _finish(figure: Figure) -> None:
    """Fix sizes that matplotlib would look up again when it draws, outside of our settings, and lay out.

    One round of constrained layout leaves labels cut off beside maps of fixed aspect; saving does the second.
    """
    for ax in figure.axes:
        for axis, name in ((ax.xaxis, "xtick"), (ax.yaxis, "ytick")):
            chosen = axis.get_tick_params()
            axis.set_tick_params(
                labelsize=chosen.get("labelsize", _RC[f"{name}.labelsize"]),
                width=_RC[f"{name}.major.width"],
                length=chosen.get("length", _RC[f"{name}.major.size"]),
            )
    cover_scripts(figure)
    with missing_told():
        figure.draw_without_rendering()


def _dpi(width: float) -> float:
    """Return the dots an inch that make a figure wide enough to be read on a page."""
    return max(_LEAST_DPI, math.ceil(_LEAST_WIDTH / width))
