"""The match table: which query pixel matched which memory pixel, of what class, how far, with what weight."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hueprobe.errors import InputError
from hueprobe.files import written_whole
from hueprobe.grid import Grid

if TYPE_CHECKING:
    import pyarrow as pa

    from hueprobe.search.neighbors import Neighbors

COLUMNS = (
    "query_image", "query_path", "query_y", "query_x", "query_class", "rank",
    "image", "path", "y", "x", "class", "distance", "weight",
)  # fmt: skip
SUFFIXES = (".parquet", ".arrow", ".csv")


@dataclass(frozen=True)
class MatchImages:
    """What a match table knows of the images on both sides.

    Attributes
    ----------
    grid, query_grid : Grid
        Of the memory and of the query images.
    classes : tuple of str
        Class names by id: the memory's first, then those of query images that the memory lacks.
    query_paths : tuple of str
        Path (or name) of each query image, n_query_images long.
    query_image_class : ndarray of int64, shape (n_query_images,)
        Class id of each query image; -1 where it has none.
    query_image_group, image_group : tuple of (str or None)
        Group (subject, family, object) of each query image and of each memory image.
    image_paths : tuple of str
        Path of each memory image, n_images long.
    image_class : ndarray of int64, shape (n_images,)
        Class id of each memory image; -1 where it has none.
    """

    grid: Grid
    query_grid: Grid
    classes: tuple[str, ...]
    query_paths: tuple[str, ...]
    query_image_class: np.ndarray
    query_image_group: tuple[str | None, ...]
    image_paths: tuple[str, ...]
    image_class: np.ndarray
    image_group: tuple[str | None, ...]


@dataclass(frozen=True)
class Matches(MatchImages):
    """One row a match; n rows, ordered by query image, query cell and rank.

    Attributes, besides those of `MatchImages`
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

    @property
    def query_class(self) -> np.ndarray:
        """Class id of each match's query image, shape (n,); -1 where it has none."""
        return self.query_image_class[self.query_image]

    @property
    def match_class(self) -> np.ndarray:
        """Class id of each match's memory image, shape (n,); -1 where it has none."""
        return self.image_class[self.image]

    @property
    def same_class(self) -> np.ndarray:
        """Whether query and matched image share a class, shape (n,) bool; False without a class."""
        return (self.query_class == self.match_class) & (self.query_class >= 0)

    @property
    def query_cell(self) -> np.ndarray:
        """y*W + x of each query pixel, shape (n,)."""
        return self.query_grid.cell_index(self.query_y, self.query_x)

    @property
    def match_cell(self) -> np.ndarray:
        """y*W + x of each memory pixel, shape (n,)."""
        return self.grid.cell_index(self.y, self.x)

    def select(self, rows: np.ndarray) -> "Matches":
        """Return the matches that `rows` (a mask or positions) picks; image tables stay whole."""
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
            **{field.name: getattr(images, field.name) for field in fields(MatchImages)},
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
        """Join tables of the same images, in the order given."""
        parts = list(parts)
        if not parts:
            raise InputError("no match tables to join; give at least one")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _ROW_FIELDS
        }
        return replace(parts[0], **joined)

    def to_arrow(self) -> "pa.Table":
        """Return the table with the columns of `COLUMNS`; names are dictionary-encoded strings."""
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
        )  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write `path` whole or not at all: .parquet, .arrow (IPC file) or .csv by its ending."""
        with MatchWriter(path) as writer:
            writer.write(self)


_ROW_FIELDS = tuple(
    field.name for field in fields(Matches) if field.name not in {f.name for f in fields(MatchImages)}
)


class MatchWriter:
    """Writes a match table part by part, so that it never is in memory as a whole.

    The file appears under its name when the `with` block ends well; .parquet, .arrow (IPC file) or
    .csv by its ending. Parts must be of the same images.

    Raises
    ------
    InputError
        The ending is none of these.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        if self._path.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"cannot save matches as {self._path.name!r}; end the name in {', '.join(SUFFIXES)}"
            )
        self._stack = contextlib.ExitStack()
        self._writer: Any = None

    def __enter__(self) -> "MatchWriter":
        self._file: IO[bytes] = self._stack.enter_context(written_whole(self._path))
        return self

    def write(self, matches: Matches) -> None:
        """Append the rows of one table."""
        table = matches.to_arrow()
        if self._writer is None:
            self._writer = self._stack.enter_context(self._open(table.schema))
        self._writer.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _open(self, schema: "pa.Schema") -> Any:
        suffix = self._path.suffix.lower()
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            return pq.ParquetWriter(self._file, schema)
        if suffix == ".arrow":
            import pyarrow as pa

            return pa.ipc.new_file(self._file, schema)
        return _CsvWriter(self._file, schema)


class _CsvWriter:
    """pyarrow's CSV writer, with dictionary columns written as the strings they stand for."""

    def __init__(self, file: IO[bytes], schema: "pa.Schema") -> None:
        import pyarrow as pa
        from pyarrow import csv

        strings = [
            field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in schema
        ]
        self._schema = pa.schema(strings)
        self._writer = csv.CSVWriter(file, self._schema)

    def __enter__(self) -> "_CsvWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def write_table(self, table: "pa.Table") -> None:
        self._writer.write_table(table.cast(self._schema))
