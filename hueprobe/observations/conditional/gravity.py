"""Base rates of match locations from margins alone.

The *gravity model* of a table of query cells by match cells keeps three margins: how often each cell is a
query, how often each cell is matched, and how often each distance occurs. Otherwise it has maximum entropy::

    expected(q, m) = a(q) b(m) c(distance(q, m))

It is fitted by iterative proportional fitting. The *isotropic* base keeps query cells and distances, and
treats all cells of the grid at the same distance as equally likely. The *uniform* base keeps query cells
alone.

The mean of a quantity f(q, m) under any of the three is the mean over the *observed* matches of some E(q, m).
For the isotropic base, E is the mean of f over the cells at the same distance. For the uniform base it is the
mean of f over all cells. For the gravity model, an exponential family, it is the regression of f on its
margins under the model. So E is also the influence of a match on the base rate, and intervals are computed
from it.
"""

from dataclasses import dataclass

import numpy as np

from hueprobe.errors import require_choice
from hueprobe.grid import Grid
from hueprobe.observations.conditional.displacement import squared_distances

BASES = ("gravity", "isotropic", "uniform")
MAX_SWEEPS = 2000
TOLERANCE = 1e-10


@dataclass(frozen=True)
class GravityModel:
    """A fitted gravity model; n = H * W.

    Attributes
    ----------
    expected : ndarray of shape (n, n)
        Expected shares, query cells first; they sum to 1.
    ring : ndarray of int64, shape (n, n)
        Index of each pair's distance.
    residual : float
        Largest misfit of a margin, as a share of all matches.
    """

    expected: np.ndarray
    ring: np.ndarray
    residual: float


def distance_rings(grid: Grid) -> np.ndarray:
    """Return the index of each pair's distance, 0 for distance 0, shape (n, n) int64."""
    squared = squared_distances(grid)
    return np.unique(squared, return_inverse=True)[1].reshape(squared.shape)


def fit_gravity(table: np.ndarray, grid: Grid) -> GravityModel:
    """Fit row, column and distance margins to a table by iterative proportional fitting.

    Parameters
    ----------
    table : ndarray of shape (n, n)
        Matches (or their weight) of each query cell with each match cell; not all 0.
    grid : Grid
        Grid of both queries and memory.
    """
    ring = distance_rings(grid)
    table = table / table.sum()
    rows, columns = table.sum(1), table.sum(0)
    distances = np.bincount(ring.ravel(), table.ravel())
    expected = np.ones_like(table)
    residual = np.inf
    for _ in range(MAX_SWEEPS):
        expected *= _ratio(rows, expected.sum(1))[:, None]
        expected *= _ratio(columns, expected.sum(0))
        expected *= _ratio(distances, np.bincount(ring.ravel(), expected.ravel()))[ring]
        residual = float(max(np.abs(expected.sum(1) - rows).max(), np.abs(expected.sum(0) - columns).max()))
        if residual < TOLERANCE:
            break
    return GravityModel(expected, ring, residual)


def gravity_projection(model: GravityModel, values: np.ndarray) -> np.ndarray:
    """Return the regression of each quantity on rows, columns and distances, weighted by the model.

    Parameters
    ----------
    model : GravityModel
        Model of n cells.
    values : ndarray of shape (d, n, n)
        Quantities f(q, m).

    Returns
    -------
    ndarray of shape (d, n, n)
        E(q, m) = alpha(q) + beta(m) + gamma(distance).
    """
    expected, ring = model.expected, model.ring
    n, n_rings = len(expected), int(ring.max()) + 1
    rows = np.bincount(
        (np.arange(n)[:, None] * n_rings + ring).ravel(), expected.ravel(), n * n_rings
    ).reshape(n, n_rings)
    columns = np.bincount((np.arange(n) * n_rings + ring).ravel(), expected.ravel(), n * n_rings).reshape(
        n, n_rings
    )
    normal = np.block(
        [
            [np.diag(expected.sum(1)), expected, rows],
            [expected.T, np.diag(expected.sum(0)), columns],
            [rows.T, columns.T, np.diag(rows.sum(0))],
        ]
    )
    weighted = expected * values
    moments = np.concatenate(
        [
            weighted.sum(2),
            weighted.sum(1),
            [np.bincount(ring.ravel(), part.ravel(), n_rings) for part in weighted],
        ],
        axis=1,
    )
    scale = np.sqrt(np.diag(normal))
    scale = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    solution = np.linalg.lstsq(normal * scale * scale[:, None], (moments * scale).T, rcond=1e-10)[0]
    alpha, beta, gamma = np.split(solution.T * scale, [n, 2 * n], axis=1)
    projected: np.ndarray = alpha[:, :, None] + beta[:, None, :] + gamma[:, ring]
    return projected


def isotropic_projection(grid: Grid, values: np.ndarray) -> np.ndarray:
    """Return each quantity's mean over the cells at the same distance from the query cell, (d, n, n)."""
    ring = distance_rings(grid)
    n_rings = int(ring.max()) + 1
    slot = np.arange(len(ring))[:, None] * n_rings + ring
    count = np.bincount(slot.ravel())
    sums = np.stack([np.bincount(slot.ravel(), part.ravel(), len(count)) for part in values])
    return _ratio(sums, count)[:, slot]


def base_projection(base: str, table: np.ndarray, grid: Grid, values: np.ndarray) -> np.ndarray:
    """Return E(q, m) of each quantity under a base rate; see the module's docstring.

    Parameters
    ----------
    base : {"gravity", "isotropic", "uniform"}
        Which margins of the table are kept.
    table : ndarray of shape (n, n)
        Matches (or their weight) of each query cell with each match cell; not all 0.
    grid : Grid
        Grid of both queries and memory.
    values : ndarray of shape (d, n, n)
        Quantities f(q, m).

    Returns
    -------
    ndarray of shape (d, n, n)
        (table * E).sum() / table.sum() is the quantity's mean under the base rate.
    """
    require_choice("base rate", base, BASES)
    if base == "gravity":
        return gravity_projection(fit_gravity(table, grid), values)
    if base == "isotropic":
        return isotropic_projection(grid, values)
    return np.broadcast_to(values.mean(2, keepdims=True), values.shape)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return part / whole, 0 where nothing is expected."""
    ratio: np.ndarray = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return ratio
