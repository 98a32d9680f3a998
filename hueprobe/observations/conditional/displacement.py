"""Displacement from query cell to match cell, split into a radial and a tangential part.

There are two ways to split a displacement, both in cells. *Polar*: delta r, and mean r times delta theta, the
length of the arc. Pairs with the center of an odd grid have no angle and are ignored. *Projected*: along the
query cell's own radius and across it. Matches of a query at the center are ignored.
"""

from dataclasses import dataclass

import numpy as np

from hueprobe.errors import require_choice
from hueprobe.grid import Grid
from hueprobe.stats.circular import difference

FORMS = ("polar", "projected")


@dataclass(frozen=True)
class DisplacementParts:
    """Squared parts of the displacement of each pair of cells; n = H * W, query cells first.

    Attributes
    ----------
    form : str
        `polar` or `projected`.
    radial, tangential : ndarray of shape (n, n)
        Squared parts in cells^2; 0 where not defined.
    defined : ndarray of bool, shape (n, n)
        Pairs for which the parts are defined.
    """

    form: str
    radial: np.ndarray
    tangential: np.ndarray
    defined: np.ndarray


def displacement_parts(
    grid: Grid, form: str, *, center: tuple[float, float] | None = None
) -> DisplacementParts:
    """Split the displacement of each pair of cells into a radial and a tangential part.

    Parameters
    ----------
    grid : Grid
        Grid of both queries and memory.
    form : {"polar", "projected"}
        Way to split; see the module's docstring.
    center : (float, float), optional
        Center (y, x) in cells; by default the middle of the grid.
    """
    require_choice("form of displacement", form, FORMS)
    y, x = grid.cell(np.arange(grid.n_cells))
    radius, theta = grid.radius(y, x, center=center), grid.theta(y, x, center=center)
    angled = ~np.isnan(theta)
    if form == "polar":
        radial = radius - radius[:, None]
        arc = (radius + radius[:, None]) / 2 * difference(theta, theta[:, None])
        return _parts(form, radial, arc, angled[:, None] & angled)
    right, up = (x - x[:, None]).astype(float), (y[:, None] - y).astype(float)
    cosine, sine = np.cos(theta)[:, None], np.sin(theta)[:, None]
    outwards, around = right * cosine + up * sine, up * cosine - right * sine
    return _parts(form, outwards, around, np.broadcast_to(angled[:, None], right.shape))


def squared_distances(grid: Grid) -> np.ndarray:
    """Return the squared distance of each pair of cells, shape (n, n) int64, exact."""
    y, x = grid.cell(np.arange(grid.n_cells))
    squared: np.ndarray = (y - y[:, None]) ** 2 + (x - x[:, None]) ** 2
    return squared


def _parts(form: str, radial: np.ndarray, tangential: np.ndarray, defined: np.ndarray) -> DisplacementParts:
    return DisplacementParts(
        form, np.where(defined, radial**2, 0), np.where(defined, tangential**2, 0), defined
    )
