"""The match table: pairs of a query pixel and a memory pixel, with class, distance and weight."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.errors import InputError
from hueprobe.frames import to_frame
from hueprobe.grid import Grid
from hueprobe.html_tables import html_table
from hueprobe.match_files import COLUMNS, MatchWriter, read_match_file
from hueprobe.match_images import MatchImages, images_to_json
from hueprobe.match_reading import IMAGES_KEY, read_images, read_rows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from hueprobe.search.neighbors import Neighbors

_SHOWN = 10  # rows, in a notebook


@dataclass(frozen=True, repr=False)
class Matches(MatchImages):
    """The match table: one row per match, ordered by query image, query cell and rank.

    It has the attributes of `MatchImages` and, for n matches, these columns:

    Attributes
    ----------
    query_image : ndarray of int64, shape (n,)
        Query image: a position in `query_paths`. In leave-one-out, these are memory rows.
    query_y, query_x, rank, y, x : ndarray of int32, shape (n,)
        Row and column of the query pixel and of the memory pixel; rank of the match, from 1.
    image : ndarray of int64, shape (n,)
        Memory row of the matched image.
    distance, weight : ndarray of float64, shape (n,)
        Euclidean distance between the unit vectors; kernel weight, Eq. (3).

    See Also
    --------
    hueprobe.read_matches : Read a match table from a file.
    hueprobe.Classification : Holds the match table of a classification.

    Examples
    --------
    >>> len(matches), matches.grid.shape, matches.classes
    (2940, (7, 7), ('circle', 'square', 'triangle'))
    >>> bool((matches.distance[matches.rank == 1] <= matches.distance[matches.rank == 2]).all())
    True
    """

    query_image: np.ndarray
    query_y: np.ndarray
    query_x: np.ndarray
    rank: np.ndarray
    image: np.ndarray
    y: np.ndarray
    x: np.ndarray
    distance: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        """Return the number of matches."""
        return len(self.query_image)

    def __repr__(self) -> str:
        """Count the matches, the images on both sides and the classes."""
        return super().__repr__().replace("(", f"({len(self)} matches, ", 1)

    def _repr_html_(self) -> str:
        """Show the first matches, for notebooks."""
        first = self.select(np.arange(min(len(self), _SHOWN))).to_arrow(with_images=False).to_pylist()
        rows = [
            [f"{value:.4g}" if isinstance(value, float) else value for value in row.values()] for row in first
        ]
        return html_table(COLUMNS, rows, caption=f"the first {len(rows)} of {len(self)} matches")

    @property
    def query_class(self) -> np.ndarray:
        """Class id of each match's query image, shape (n,); -1 where it has none."""
        of_query: np.ndarray = self.query_image_class[self.query_image]
        return of_query

    @property
    def match_class(self) -> np.ndarray:
        """Class id of each match's memory image, shape (n,); -1 where it has none."""
        of_match: np.ndarray = self.image_class[self.image]
        return of_match

    @property
    def same_class(self) -> np.ndarray:
        """Whether query image and memory image share a class, shape (n,) bool; False without a class."""
        same: np.ndarray = (self.query_class == self.match_class) & (self.query_class >= 0)
        return same

    @property
    def query_cell(self) -> np.ndarray:
        """y*W + x of each query pixel, shape (n,)."""
        return self.query_grid.cell_index(self.query_y, self.query_x)

    @property
    def match_cell(self) -> np.ndarray:
        """y*W + x of each memory pixel, shape (n,)."""
        return self.grid.cell_index(self.y, self.x)

    def select(self, rows: np.ndarray) -> "Matches":
        """Return some of the matches; the image tables stay complete.

        Parameters
        ----------
        rows : ndarray of bool, shape (n,), or of int
            A mask of the matches, or their positions.

        Returns
        -------
        Matches

        Examples
        --------
        >>> nearest = matches.select(matches.rank == 1)
        >>> len(nearest)  # 12 images x 49 cells
        588
        """
        picked: dict[str, Any] = {name: getattr(self, name)[rows] for name in _ROW_FIELDS}
        return replace(self, **picked)

    @classmethod
    def from_neighbors(
        cls,
        neighbors: "Neighbors",
        weights: np.ndarray,
        *,
        query_image: np.ndarray,
        query_cell: np.ndarray,
        images: MatchImages,
    ) -> "Matches":
        """Make a match table of a search result.

        Parameters
        ----------
        neighbors : Neighbors
            Ids and distances of shape (n_queries, k); id -1, a missing neighbor, makes no row.
        weights : ndarray of shape (n_queries, k)
            Kernel weights, Eq. (3).
        query_image, query_cell : ndarray of shape (n_queries,)
            Image and cell of each query vector.
        images : MatchImages
            Names, classes and groups of the images on both sides.

        Returns
        -------
        Matches

        See Also
        --------
        hueprobe.search.Searcher.search : Finds the neighbors.

        Examples
        --------
        >>> found = hp.open_searcher(memory).search(memory.image_vectors([0])[0], 2)
        >>> table = hp.Matches.from_neighbors(
        ...     found, np.ones((49, 2)), query_image=np.zeros(49), query_cell=np.arange(49), images=matches
        ... )
        >>> len(table), set(table.rank.tolist())
        (98, {1, 2})
        """
        found = neighbors.ids >= 0
        query, column = np.nonzero(found)
        image, y, x = images.grid.locate(neighbors.ids[found])
        query_y, query_x = images.query_grid.cell(np.asarray(query_cell)[query])
        return cls(
            **_image_tables(images),
            query_image=np.asarray(query_image, np.int64)[query],
            query_y=query_y.astype(np.int32),
            query_x=query_x.astype(np.int32),
            rank=(column + 1).astype(np.int32),
            image=image,
            y=y.astype(np.int32),
            x=x.astype(np.int32),
            distance=neighbors.distances[found].astype(np.float64),
            weight=np.asarray(weights, np.float64)[found],
        )

    @classmethod
    def concatenate(cls, parts: Iterable["Matches"]) -> "Matches":
        """Join match tables of the same images, in the order given.

        Parameters
        ----------
        parts : iterable of Matches
            Tables of the same query images and the same memory.

        Returns
        -------
        Matches

        Raises
        ------
        InputError
            There is no table.

        See Also
        --------
        hueprobe.Classification.concatenate : Join classifications with their match tables.

        Examples
        --------
        >>> first, second = matches.select(matches.rank == 1), matches.select(matches.rank == 2)
        >>> len(hp.Matches.concatenate([first, second]))
        1176
        """
        parts = list(parts)
        if not parts:
            raise InputError("no match tables to join; give at least one")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _ROW_FIELDS
        }
        return replace(parts[0], **joined)

    def to_arrow(self, *, with_images: bool = True, all_names: bool = True) -> "pa.Table":
        """Return an Arrow table with one row per match; names are dictionary-encoded strings.

        Parameters
        ----------
        with_images : bool, default=True
            Whether the schema's metadata also holds the image tables, which `from_arrow` reads.
        all_names : bool, default=True
            Whether dictionaries hold the names of all images and classes, so that tables of the same images
            have the same ones. With False they hold the names that occur in rows.

        Returns
        -------
        pyarrow.Table
            Columns `query_image`, `query_path`, `query_y`, `query_x`, `query_class`, `rank`, `image`, `path`,
            `y`, `x`, `class`, `distance` and `weight`.

        See Also
        --------
        hueprobe.Matches.from_arrow : Make matches of such a table.
        hueprobe.Matches.to_pandas : The same columns as a data frame.

        Examples
        --------
        >>> table = matches.to_arrow()
        >>> table.num_rows, table.column_names[:3]
        (2940, ['query_image', 'query_path', 'query_y'])
        """
        import pyarrow as pa

        def named(codes: np.ndarray, names: Sequence[str]) -> pa.DictionaryArray:
            absent = codes < 0
            if not all_names:
                used = np.unique(codes[~absent])
                codes, names = np.searchsorted(used, codes), tuple(names[i] for i in used.tolist())
            return pa.DictionaryArray.from_arrays(
                pa.array(codes.astype(np.int32), mask=absent), pa.array(names, pa.string())
            )

        return pa.table(
            [
                self.query_image, named(self.query_image, self.query_paths), self.query_y, self.query_x,
                named(self.query_class, self.classes), self.rank,
                self.image, named(self.image, self.image_paths), self.y, self.x,
                named(self.match_class, self.classes), self.distance, self.weight,
            ],
            names=list(COLUMNS),
            metadata={IMAGES_KEY: images_to_json(self)} if with_images else None,
        )  # fmt: skip

    @classmethod
    def from_arrow(
        cls, table: "pa.Table", *, grid: Grid | None = None, source: str = "the table"
    ) -> "Matches":
        """Make matches of an Arrow table: one of `to_arrow`, or any table with its columns.

        Parameters
        ----------
        table : pyarrow.Table
            The table.
        grid : Grid, optional
            Grid of both sides, for a table without image tables; see `load`.
        source : str, default="the table"
            Name of the table in error messages.

        Returns
        -------
        Matches

        Raises
        ------
        InputError
            A column is missing, a value is invalid, or the grid does not fit.

        See Also
        --------
        hueprobe.Matches.load : Read a file.

        Examples
        --------
        >>> hp.Matches.from_arrow(matches.to_arrow())
        Matches(2940 matches, 12 query images on 7x7 cells, 12 memory images on 7x7 cells, 3 classes)
        """
        try:
            rows = read_rows(table, source)
            images = read_images(table, rows, source, grid=grid)
        except UnicodeDecodeError:  # Arrow validates a string only when it is accessed
            raise InputError(f"{source} holds names that are not UTF-8; save the table again") from None
        return cls(**_image_tables(images), **rows)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a data frame with one row per match; names are categories.

        Returns
        -------
        pandas.DataFrame
            The columns of `to_arrow`.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.

        See Also
        --------
        hueprobe.Matches.to_arrow : The same columns, without pandas.

        Examples
        --------
        >>> frame = matches.to_pandas()
        >>> frame.groupby("query_class", observed=True)["weight"].count().to_dict()
        {'circle': 980, 'square': 980, 'triangle': 980}
        """
        return to_frame(self.to_arrow(with_images=False))

    def save(self, path: str | Path) -> None:
        """Write the match table to a file, completely or not at all.

        Parameters
        ----------
        path : path
            File to write. Its extension is the format: .parquet and .arrow (IPC file) hold rows and image
            tables, .csv holds only the rows.

        Raises
        ------
        InputError
            The extension is none of these.

        See Also
        --------
        hueprobe.Matches.load : Read the file.

        Examples
        --------
        >>> matches.save("matches.parquet")
        >>> len(hp.read_matches("matches.parquet"))
        2940
        """
        with MatchWriter(path) as writer:
            writer.write(self)

    @classmethod
    def load(cls, path: str | Path, *, grid: Grid | None = None) -> "Matches":
        """Read a match table from a file.

        A .parquet or .arrow file that `save` wrote gives back everything. A .csv file, and any file saved by
        version 0.1, holds only the rows. Then:

        - path and class of an image come from the rows that name it; it has no group;
        - an image that no row names has the path "" and no class;
        - classes are numbered in the order of their names;
        - queries count as the memory's own images, unless one number stands for two different images.

        Parameters
        ----------
        path : path
            A .parquet, .arrow or .csv file.
        grid : Grid, optional
            Grid of both sides, for a file that holds only the rows. By default, the smallest grid that
            contains every y and x.

        Returns
        -------
        Matches

        Raises
        ------
        InputError
            The file is missing, damaged or not a match table, or the grid does not fit.

        Warns
        -----
        HueprobeWarning
            The file holds only the rows. The warning names what was inferred and what is unknown.

        See Also
        --------
        hueprobe.Matches.save : Write the file.
        hueprobe.read_matches : The same as a function.

        Examples
        --------
        >>> matches.save("matches.arrow")
        >>> loaded = hp.Matches.load("matches.arrow")
        >>> np.array_equal(loaded.distance, matches.distance)
        True
        """
        return cls.from_arrow(read_match_file(path), grid=grid, source=str(path))


_ROW_FIELDS = tuple(
    field.name for field in fields(Matches) if field.name not in {f.name for f in fields(MatchImages)}
)


def _image_tables(images: MatchImages) -> dict[str, Any]:
    return {field.name: getattr(images, field.name) for field in fields(MatchImages)}


def read_matches(path: str | Path, *, grid: Grid | None = None) -> Matches:
    """Read a match table from a file; `Matches.load` describes what each format holds.

    Parameters
    ----------
    path : path
        A .parquet, .arrow or .csv file.
    grid : Grid, optional
        Grid of both sides, for a file that holds only the rows. By default, the smallest grid that contains
        every y and x.

    Returns
    -------
    Matches

    Raises
    ------
    InputError
        The file is missing, damaged or not a match table, or the grid does not fit.

    Warns
    -----
    HueprobeWarning
        The file holds only the rows. The warning names what was inferred and what is unknown.

    See Also
    --------
    hueprobe.Matches.save : Write the file.

    Examples
    --------
    >>> matches.save("matches.parquet")
    >>> hp.read_matches("matches.parquet")
    Matches(2940 matches, 12 query images on 7x7 cells, 12 memory images on 7x7 cells, 3 classes)
    """
    return Matches.load(path, grid=grid)
