"""Cells, centered coordinates and angles: all half-pixel arithmetic is here.

A grid has H rows and W columns of cells, indexed (y, x) like arrays. Centered coordinates point right
and up: u = x - (W-1)/2, v = (H-1)/2 - y, theta = atan2(v, u) in (-pi, pi].
"""

from dataclasses import dataclass

import numpy as np

from hueprobe.errors import ShapeError


@dataclass(frozen=True)
class Grid:
    """Grid of H rows and W columns of activation vectors.

    Parameters
    ----------
    height, width : int
        Number of rows and number of columns, at least 1.

    See Also
    --------
    hueprobe.Memory : Its `grid` is one.

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
        """Return y and x of every cell.

        Returns
        -------
        y, x : ndarray of int64, shape (H, W)
            Row and column of each cell.

        Examples
        --------
        >>> y, x = Grid(2, 3).rows_and_columns()
        >>> x
        array([[0, 1, 2],
               [0, 1, 2]])
        """
        y, x = np.indices(self.shape)
        return y, x

    def cell_index(self, y: np.ndarray | int, x: np.ndarray | int) -> np.ndarray:
        """Return the number of a cell in reading order, y*W + x.

        Parameters
        ----------
        y, x : array_like of int
            Rows and columns.

        Returns
        -------
        ndarray of int64

        See Also
        --------
        hueprobe.Grid.cell : The inverse.

        Examples
        --------
        >>> int(Grid(7, 7).cell_index(2, 5))
        19
        """
        return np.asarray(y, np.int64) * self.width + np.asarray(x, np.int64)

    def cell(self, index: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        """Return (y, x) of a cell number; the inverse of `cell_index`.

        Parameters
        ----------
        index : array_like of int
            Numbers of cells, 0 to H*W - 1.

        Returns
        -------
        y, x : ndarray of int64
            Rows and columns.

        See Also
        --------
        hueprobe.Grid.locate : The same of vector ids.

        Examples
        --------
        >>> y, x = Grid(7, 7).cell(19)
        >>> int(y), int(x)
        (2, 5)
        """
        y, x = np.divmod(np.asarray(index, np.int64), self.width)
        return y, x

    def vector_id(self, image: np.ndarray | int, y: np.ndarray | int, x: np.ndarray | int) -> np.ndarray:
        """Return the id of a vector in a memory and its indexes, image*(H*W) + y*W + x.

        Parameters
        ----------
        image : array_like of int
            Memory rows.
        y, x : array_like of int
            Rows and columns of the grid.

        Returns
        -------
        ndarray of int64

        See Also
        --------
        hueprobe.Grid.locate : The inverse.
        hueprobe.Memory.vectors : Vectors by id.

        Examples
        --------
        >>> int(Grid(7, 7).vector_id(3, 2, 5))
        166
        """
        ids: np.ndarray = np.asarray(image, np.int64) * self.n_cells + self.cell_index(y, x)
        return ids

    def locate(self, vector_id: np.ndarray | int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (image, y, x) of a vector id; the inverse of `vector_id`.

        Parameters
        ----------
        vector_id : array_like of int
            Ids of vectors.

        Returns
        -------
        image, y, x : ndarray of int64
            Memory row, and row and column of the grid.

        See Also
        --------
        hueprobe.search.Neighbors : Its `ids` are vector ids.

        Examples
        --------
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
            Rows and columns; fractions (such as mean rows and columns) are valid.
        center : (float, float), optional
            (y, x) of the origin, such as a center that the strides of a backbone shift. By default the
            middle of the grid.

        Returns
        -------
        u, v : ndarray of float64
            Coordinates in cells.

        See Also
        --------
        hueprobe.Grid.theta : The angle of these coordinates.
        hueprobe.Grid.radius : Their length.

        Examples
        --------
        >>> u, v = Grid(7, 7).centered(0, 0)  # top left cell
        >>> float(u), float(v)
        (-3.0, 3.0)
        """
        y0, x0 = center if center is not None else ((self.height - 1) / 2, (self.width - 1) / 2)
        return np.asarray(x, float) - x0, y0 - np.asarray(y, float)

    def theta(
        self, y: np.ndarray | float, x: np.ndarray | float, *, center: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Return the angle atan2(v, u) of a cell in radians, in (-pi, pi].

        Parameters
        ----------
        y, x : array_like
            Rows and columns.
        center : (float, float), optional
            (y, x) of the origin; see `centered`. By default the middle of the grid.

        Returns
        -------
        ndarray of float64
            Angles in radians; NaN at the center itself.

        See Also
        --------
        hueprobe.Grid.centered : The coordinates u and v.

        Examples
        --------
        >>> np.degrees(Grid(3, 3).theta([0, 1, 1], [1, 0, 1]))  # above, left of and at the center
        array([ 90., 180.,  nan])
        """
        u, v = self.centered(y, x, center=center)
        angle = np.arctan2(v, u)
        angle = np.where(angle == -np.pi, np.pi, angle)  # v = -0.0 left of the center
        return np.where((u == 0) & (v == 0), np.nan, angle)

    def radius(
        self, y: np.ndarray | float, x: np.ndarray | float, *, center: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Return the distance of a cell from the center, in cells.

        Parameters
        ----------
        y, x : array_like
            Rows and columns.
        center : (float, float), optional
            (y, x) of the origin; see `centered`. By default the middle of the grid.

        Returns
        -------
        ndarray of float64

        See Also
        --------
        hueprobe.Grid.theta : The angle.

        Examples
        --------
        >>> float(Grid(7, 7).radius(0, 3))
        3.0
        """
        radii: np.ndarray = np.hypot(*self.centered(y, x, center=center))
        return radii

    def bounds_in_image(
        self, y: np.ndarray | int, x: np.ndarray | int, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the bounds of a cell in the image, in pixels.

        Parameters
        ----------
        y, x : array_like of int
            Rows and columns of the grid.
        size : (int, int)
            Height and width, in pixels, of the network's input image.

        Returns
        -------
        left, top, right, bottom : ndarray of float64
            Edges in pixels. Edges lie between pixels: the first pixel covers 0 to 1.

        Examples
        --------
        >>> [float(edge) for edge in Grid(7, 7).bounds_in_image(0, 6, (224, 224))]
        [192.0, 0.0, 224.0, 32.0]
        """
        cell_height, cell_width = size[0] / self.height, size[1] / self.width
        y, x = np.asarray(y), np.asarray(x)
        return x * cell_width, y * cell_height, (x + 1) * cell_width, (y + 1) * cell_height
