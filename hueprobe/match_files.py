"""Match tables as files: .parquet, .arrow (IPC file) or .csv, written in parts, read at once or in groups."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol

from hueprobe.errors import InputError
from hueprobe.files import written_whole

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    "query_image", "query_path", "query_y", "query_x", "query_class", "rank",
    "image", "path", "y", "x", "class", "distance", "weight",
)  # fmt: skip
NAMES = ("query_path", "query_class", "path", "class")
SUFFIXES = (".parquet", ".arrow", ".csv")
PART_KEY = b"hueprobe.search_part"  # in the schema's metadata: ids and distances of one part of a memory
_FLOATS = ("distance", "weight")
_LONGEST_METADATA = 2**31 - 1  # bytes; the image tables of a million images exceed Parquet's default limit


class HasRows(Protocol):
    """What a file needs of a match table (`hueprobe.matches.Matches`)."""

    def to_arrow(self, *, with_images: bool = ..., all_names: bool = ...) -> "pa.Table":
        """Return the rows as an Arrow table."""
        ...


class MatchWriter:
    """Writes a match table in parts, so that the whole table is never in RAM.

    The file appears under its name when the `with` block ends without an error. All parts must be of the
    same images.

    Parameters
    ----------
    path : path
        File to write; its extension is the format: .parquet, .arrow (IPC file) or .csv.
    metadata : mapping of bytes to bytes, optional
        Entries to add to the metadata of the schema; a .csv file has none.

    Raises
    ------
    InputError
        The extension is none of these.
    """

    def __init__(self, path: str | Path, *, metadata: Mapping[bytes, bytes] | None = None) -> None:
        self._path, self._metadata = Path(path), dict(metadata or {})
        self._suffix = require_suffix(self._path, "save matches as")
        self._stack = contextlib.ExitStack()
        self._writer: Any = None

    def __enter__(self) -> "MatchWriter":
        self._file: IO[bytes] = self._stack.enter_context(written_whole(self._path))
        return self

    def write(self, matches: HasRows) -> None:
        """Append the rows of one table.

        Parameters
        ----------
        matches : Matches
            Part of the table, of the same images as the parts before.
        """
        # The file holds the images once. An .arrow file has one dictionary for all rows; a Parquet file has
        # one for each group of rows, which would repeat the names of all images.
        table = matches.to_arrow(with_images=self._writer is None, all_names=self._suffix == ".arrow")
        if self._writer is None:
            metadata = {**(table.schema.metadata or {}), **self._metadata}
            self._writer = self._stack.enter_context(self._open(table.schema.with_metadata(metadata)))
        self._writer.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _open(self, schema: "pa.Schema") -> Any:
        if self._suffix == ".parquet":
            import pyarrow.parquet as pq

            return pq.ParquetWriter(self._file, schema)
        if self._suffix == ".arrow":
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


def read_match_file(path: str | Path) -> "pa.Table":
    """Read the columns of a match table from a file, with the metadata of its schema.

    Parameters
    ----------
    path : path
        A .parquet, .arrow or .csv file.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    InputError
        There is no such file, its extension is none of these, or it is not a table of that format.
    """
    import pyarrow as pa

    path = Path(path)
    with _opened(path) as file:
        if file is None:
            return _read_csv(path)
        if isinstance(file, pa.ipc.RecordBatchFileReader):
            return file.read_all()
        return file.read()


def read_match_metadata(path: str | Path) -> dict[bytes, bytes]:
    """Return the metadata of a file's schema, without its rows; none for a .csv file.

    Parameters
    ----------
    path : path
        A .parquet, .arrow or .csv file.

    Raises
    ------
    InputError
        See `read_match_file`.
    """
    with _opened(Path(path)) as file:
        return {} if file is None else dict(_schema(file).metadata or {})


def read_match_groups(path: str | Path, columns: Sequence[str]) -> Iterator["pa.Table"]:
    """Yield some columns of a file group by group, as they were written, so that RAM holds one group.

    Parameters
    ----------
    path : path
        A .parquet or .arrow file.
    columns : sequence of str
        Names of the columns.

    Raises
    ------
    InputError
        See `read_match_file`; or a column is missing.
    """
    import pyarrow as pa

    path = Path(path)
    with _opened(path) as file:
        if file is None:
            raise InputError(f"{path} is not read in groups; save the matches as .parquet or .arrow")
        names = _schema(file).names
        if lacking := [name for name in columns if names.count(name) != 1]:
            raise InputError(
                f"{path} is not a match table: it should have one column {', one '.join(lacking)}; its "
                f"columns are {', '.join(names) or 'none'}"
            )
        if isinstance(file, pa.ipc.RecordBatchFileReader):
            for number in range(file.num_record_batches):
                yield pa.Table.from_batches([file.get_batch(number)]).select(columns)
        else:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, columns=list(columns))


def _schema(file: Any) -> "pa.Schema":
    return file.schema_arrow if hasattr(file, "schema_arrow") else file.schema


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield the reader of a .parquet or .arrow file, or None for .csv; raise InputError if it fails."""
    import pyarrow as pa

    suffix = require_suffix(path, "read matches from")
    try:
        with contextlib.ExitStack() as stack:
            reader = None
            if suffix == ".parquet":
                import pyarrow.parquet as pq

                limit = {"thrift_string_size_limit": _LONGEST_METADATA}
                reader = stack.enter_context(pq.ParquetFile(path, **limit))
            elif suffix == ".arrow":
                reader = pa.ipc.open_file(stack.enter_context(pa.OSFile(str(path))))
            if reader is not None and PART_KEY in (_schema(reader).metadata or {}):
                raise InputError(
                    f"{path} is one part of a search, without weights; merge all parts with `hueprobe merge` "
                    "and give the merged table"
                )
            yield reader
    except InputError:
        raise
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.strerror:  # an error of the system, not of the format
            raise InputError(
                f"cannot read matches from {path}: {error.strerror}; give a readable file"
            ) from None
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path} is not a {suffix} file of matches, or is damaged ({reason}); save the table again"
        ) from None


def _read_csv(path: Path) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import csv

    types = {name: pa.float64() if name in _FLOATS else pa.int64() for name in COLUMNS}
    types |= dict.fromkeys(NAMES, pa.dictionary(pa.int32(), pa.string()))
    return csv.read_csv(
        path,
        parse_options=csv.ParseOptions(newlines_in_values=True),
        # A class may be named NA or ""; only an empty field without quotes means no class.
        convert_options=csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


def require_suffix(path: Path, what: str) -> str:
    """Return the extension of a file of matches in lower case.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What is to be done with it, for the message.

    Raises
    ------
    InputError
        It is none of those that are written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"cannot {what} {path.name!r}; use one of the extensions {', '.join(SUFFIXES)}")
    return suffix
