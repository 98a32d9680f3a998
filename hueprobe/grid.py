"""Cells, centered coordinates and angles: the only place with half-pixel arithmetic.

A grid has H rows and W columns of cells (y, x), as arrays are indexed. Centerd coordinates point
right and up: u = x - (W-1)/2, v = (H-1)/2 - y, theta = atan2(v, u) in (-pi, pi].
"""

from dataclasses import dataclass

import numpy as np

from hueprobe.errors import ShapeError


@dataclass(frozen=True)
class Grid:
    """H rows and W columns of activation vectors.

    Parameters
    ----------
    height, width : int
        Numbers of rows and of columns, at least 1.

    Examples
    --------
    >>> grid = Grid(7, 7)
    >>> u, v = grid.centered(0, 6)  # top right cell
    >>> float(u), float(v), float(np.degrees(grid.theta(0, 6)))
    (3.0, 3.0, 45.0)
    """

    height: int
    width: int

    def __post_init__(self) -> None:
        """Refuse an empty grid."""
        if self.height < 1 or self.width < 1:
            raise ShapeError(f"a grid needs at least one row and one column, got {self.height}x{self.width}")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), as arrays are shaped."""
        return self.height, self.width

    @property
    def n_cells(self) -> int:
        """H * W."""
        return self.height * self.width

    def rows_and_columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Return y and x of every cell, each of shape (H, W)."""
        y, x = np.indices(self.shape)
        return y, x

    def cell_index(self, y: np.ndarray | int, x: np.ndarray | int) -> np.ndarray:
        """Return y*W + x (int64), the cell's number in reading order."""
        return np.asarray(y, np.int64) * self.width + np.asarray(x, np.int64)

    def cell(self, index: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        """Return (y, x) of a cell's number; the inverse of `cell_index`."""
        y, x = np.divmod(np.asarray(index, np.int64), self.width)
        return y, x

    def vector_id(self, image: np.ndarray | int, y: np.ndarray | int, x: np.ndarray | int) -> np.ndarray:
        """Return image*(H*W) + y*W + x (int64), the id under which a memory and its indexes hold a vector."""
        ids: np.ndarray = np.asarray(image, np.int64) * self.n_cells + self.cell_index(y, x)
        return ids

    def locate(self, vector_id: np.ndarray | int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (image, y, x) of a vector id; the inverse of `vector_id`.

        >>> image, y, x = Grid(7, 7).locate(np.array([49 * 3 + 7 * 2 + 5]))
        >>> int(image[0]), int(y[0]), int(x[0])
        (3, 2, 5)
        """
        image, index = np.divmod(np.asarray(vector_id, np.int64), self.n_cells)
        y, x = self.cell(index)
        return image, y, x

    def centered(
        self, y: np.ndarray | float, x: np.ndarray | float, *, center: tuple[float, float] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return centered coordinates (u, v) in cells, u to the right, v upwards.

        Parameters
        ----------
        y, x : array_like
            Rows and columns; fractions (means of rows and columns) are fine.
        center : (float, float), optional
            (y, x) of another origin than the middle of the grid, such as the center that a
            backbone's strides shift.
        """
        y0, x0 = center if center is not None else ((self.height - 1) / 2, (self.width - 1) / 2)
        return np.asarray(x, float) - x0, y0 - np.asarray(y, float)

    def theta(
        self, y: np.ndarray | float, x: np.ndarray | float, *, center: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Return atan2(v, u) in radians, in (-pi, pi]; NaN at the center itself."""
        u, v = self.centered(y, x, center=center)
        angle = np.arctan2(v, u)
        angle = np.where(angle == -np.pi, np.pi, angle)  # v = -0.0 left of the center
        return np.where((u == 0) & (v == 0), np.nan, angle)

    def radius(
        self, y: np.ndarray | float, x: np.ndarray | float, *, center: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Return the distance from the center, in cells."""
        radii: np.ndarray = np.hypot(*self.centered(y, x, center=center))
        return radii

    def bounds_in_image(
        self, y: np.ndarray | int, x: np.ndarray | int, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return (left, top, right, bottom) in image pixels of the part a cell stands for.

        Parameters
        ----------
        y, x : array_like of int
            Rows and columns of the grid.
        size : (int, int)
            Height and width, in pixels, of the image that the network saw. Edges lie between
            pixels: the first pixel covers 0 to 1.
        """
        cell_height, cell_width = size[0] / self.height, size[1] / self.width
        y, x = np.asarray(y), np.asarray(x)
        return x * cell_width, y * cell_height, (x + 1) * cell_width, (y + 1) * cell_height
