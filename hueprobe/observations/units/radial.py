"""Rings of cells about a center, used by the energy and the location observations."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.stats.intervals import Interval

MAX_DISTINCT = 12


@dataclass(frozen=True)
class RadialProfile:
    """A quantity by distance from the center, in multiples of a uniform distribution.

    Attributes
    ----------
    radius : ndarray of shape (n_rings,)
        Mean distance of each ring's cells from the center, in cells, ascending.
    n_cells : ndarray of int64, shape (n_rings,)
        Number of cells in each ring.
    value, low, high : ndarray of shape (n_rings,)
        Multiple of the uniform distribution (1 is uniform) with its 95 % interval.
    """

    radius: np.ndarray
    n_cells: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, radius: np.ndarray, ring: np.ndarray, parts: Sequence[Interval]) -> "RadialProfile":
        """Return the profile of rings (`rings`) with one interval each."""
        return cls(
            radius=radius,
            n_cells=np.bincount(ring.ravel()),
            value=np.array([part.estimate for part in parts]),
            low=np.array([part.low for part in parts]),
            high=np.array([part.high for part in parts]),
        )


def require_grid(grid: Grid, observation: str) -> None:
    """Raise InputError if the grid is a single cell, which has no location and no angle."""
    if grid.n_cells == 1:
        raise InputError(
            f"the {observation} observation needs a grid of cells, and this one is 1x1 "
            "(a pooled descriptor); use a memory of the 'pixel' descriptor"
        )


def rings(grid: Grid, *, center: tuple[float, float] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Group the cells of a grid into rings about its center.

    Parameters
    ----------
    grid : Grid
        Grid of the cells.
    center : (float, float), optional
        Center (y, x) in cells; by default the middle of the grid.

    Returns
    -------
    radius : ndarray of shape (n_rings,)
        Mean distance of each ring's cells from the center, in cells, ascending.
    ring : ndarray of int64, shape (H, W)
        Ring of each cell.

    Notes
    -----
    Each distinct distance is a ring if there are at most 12 of them (7x7 has 10, 8x8 has 9). Otherwise rings
    are one cell wide.
    """
    distance = grid.radius(*grid.rows_and_columns(), center=center)
    keys, ring = np.unique(np.round(distance, 9), return_inverse=True)
    if len(keys) > MAX_DISTINCT:
        keys, ring = np.unique(np.floor(distance + 1e-9), return_inverse=True)
    ring = ring.reshape(grid.shape)
    radius = np.bincount(ring.ravel(), distance.ravel()) / np.bincount(ring.ravel())
    return radius, ring
