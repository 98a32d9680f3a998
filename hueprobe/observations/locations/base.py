"""Densities of match locations over the grid, and the density of a random memory vector."""

import numpy as np

from hueprobe.errors import ShapeError
from hueprobe.grid import Grid


def base_density(valid: np.ndarray | None, n_images: int, grid: Grid) -> np.ndarray:
    """Return the density of a random memory vector over the grid, shape (H, W).

    Parameters
    ----------
    valid : ndarray of bool, shape (n_images * H * W,), or None
        Memory vectors that can be matched; None for all.
    n_images : int
        Number of memory images.
    grid : Grid
        Grid of H rows and W columns.

    Raises
    ------
    ShapeError
        The mask has another length.
    """
    if valid is None:
        return np.full(grid.shape, 1 / grid.n_cells)
    if np.size(valid) != n_images * grid.n_cells:
        raise ShapeError(
            f"the mask of valid vectors has {np.size(valid)} entries, and the memory has "
            f"{n_images * grid.n_cells} vectors; give one for each"
        )
    counts = np.reshape(valid, (n_images, *grid.shape)).sum(0)
    share: np.ndarray = counts / counts.sum()
    return share


def normalized(counts: np.ndarray) -> np.ndarray:
    """Return counts (..., H, W) as densities that sum to 1 over each grid; NaN where there are none."""
    total = counts.sum((-2, -1), keepdims=True)
    density: np.ndarray = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    return density
