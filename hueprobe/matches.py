"""The match table: which query pixel matched which memory pixel, of what class, how far, with what weight."""

from collections.abc import Iterable
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
    """One row a match; n rows, ordered by query image, query cell and rank.

    It has what `MatchImages` has, and its own:

    Attributes
    ----------
    query_image : ndarray of int64, shape (n,)
        Which query image: a position in `query_paths`. In leave-one-out these are memory rows.
    query_y, query_x, rank, y, x : ndarray of int32, shape (n,)
        Row and column of the query pixel and of the memory pixel; rank of the match, from 1.
    image : ndarray of int64, shape (n,)
        Memory row of the matched image.
    distance, weight : ndarray of float64, shape (n,)
        Euclidean distance between the unit vectors; kernel weight, Eq. (3).
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
        """Say how many matches there are, and of what."""
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
        """Whether query and matched image share a class, shape (n,) bool; False without a class."""
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
        """Return some of the matches; image tables stay whole.

        Parameters
        ----------
        rows : ndarray of bool, shape (n,), or of int
            A mask, or positions.
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
        """Make the table from a search result.

        Parameters
        ----------
        neighbors : Neighbors
            Ids and distances of shape (n_queries, k); id -1, a missing neighbor, makes no row.
        weights : ndarray of shape (n_queries, k)
            Kernel weights, Eq. (3).
        query_image, query_cell : ndarray of shape (n_queries,)
            Image and cell of each query vector.
        images : MatchImages
            What is known of the images on both sides.
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
        """Join tables of the same images, in the order given.

        Parameters
        ----------
        parts : iterable of Matches

        Raises
        ------
        InputError
            There is none.
        """
        parts = list(parts)
        if not parts:
            raise InputError("no match tables to join; give at least one")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _ROW_FIELDS
        }
        return replace(parts[0], **joined)

    def to_arrow(self, *, with_images: bool = True) -> "pa.Table":
        """Return the table with the columns of `COLUMNS`; names are dictionary-encoded strings.

        Parameters
        ----------
        with_images : bool
            Whether the schema's metadata holds the image tables too, from which `from_arrow` takes them.
        """
        import pyarrow as pa

        def named(codes: np.ndarray, names: tuple[str, ...]) -> pa.DictionaryArray:
            return pa.DictionaryArray.from_arrays(
                pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(names, pa.string())
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
        """Return the matches of a table as `to_arrow` gives it, or of any with its columns; see `load`.

        Parameters
        ----------
        table : pyarrow.Table
        grid : Grid, optional
            As in `load`.
        source : str
            What messages call it.
        """
        try:
            rows = read_rows(table, source)
            images = read_images(table, rows, source, grid=grid)
        except UnicodeDecodeError:  # Arrow looks at no string before it is asked for
            raise InputError(f"{source} holds names that are no UTF-8; save the table again") from None
        return cls(**_image_tables(images), **rows)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the columns of `COLUMNS` as a data frame; names are categories.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        return to_frame(self.to_arrow(with_images=False))

    def save(self, path: str | Path) -> None:
        """Write a file whole or not at all.

        Parameters
        ----------
        path : path
            Its ending is the format: .parquet or .arrow (IPC file), which hold all there is, or .csv, which
            holds the rows alone.
        """
        with MatchWriter(path) as writer:
            writer.write(self)

    @classmethod
    def load(cls, path: str | Path, *, grid: Grid | None = None) -> "Matches":
        """Read a file of matches.

        A .parquet or .arrow file of `save` gives back all that was saved. A .csv file, and any that was saved
        by 0.1, holds the rows alone. Then an image is what the rows that name it say, without a group, or ""
        without a class where none does; classes are numbered in the order of their names; and queries are
        taken for the memory's own images where no number means two images.

        Parameters
        ----------
        path : path
            A .parquet, .arrow or .csv file.
        grid : Grid, optional
            Of both sides, where the file does not say; by default the smallest that holds every y and x.

        Raises
        ------
        InputError
            There is no such file, it is damaged or no match table, or the grid does not fit.

        Warns
        -----
        HueprobeWarning
            The file holds the rows alone: what was taken from them, and what is not known.
        """
        return cls.from_arrow(read_match_file(path), grid=grid, source=str(path))


_ROW_FIELDS = tuple(
    field.name for field in fields(Matches) if field.name not in {f.name for f in fields(MatchImages)}
)


def _image_tables(images: MatchImages) -> dict[str, Any]:
    return {field.name: getattr(images, field.name) for field in fields(MatchImages)}


def read_matches(path: str | Path, *, grid: Grid | None = None) -> Matches:
    """Read a file of matches; `Matches.load` says what each format gives back.

    Parameters
    ----------
    path : path
        A .parquet, .arrow or .csv file.
    grid : Grid, optional
        Of both sides, where the file does not say.
    """
    return Matches.load(path, grid=grid)
