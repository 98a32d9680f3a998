"""Match tables as files: .parquet, .arrow (IPC file) or .csv, written in parts and read at once."""

import contextlib
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
_FLOATS = ("distance", "weight")
_LONGEST_METADATA = 2**31 - 1  # bytes; the image tables of a million images exceed Parquet's default limit


class HasRows(Protocol):
    """What a file needs of a match table (`hueprobe.matches.Matches`)."""

    def to_arrow(self, *, with_images: bool = ...) -> "pa.Table":
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

    Raises
    ------
    InputError
        The extension is none of these.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._suffix = _suffix(self._path, "save matches as")
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
        table = matches.to_arrow(with_images=self._writer is None)  # the file holds the images once
        if self._writer is None:
            self._writer = self._stack.enter_context(self._open(table.schema))
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
    suffix = _suffix(path, "read matches from")
    try:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            limit = {"thrift_string_size_limit": _LONGEST_METADATA}
            with pq.ParquetFile(path, **limit) as file:
                return file.read()
        if suffix == ".arrow":
            with pa.OSFile(str(path)) as file:
                return pa.ipc.open_file(file).read_all()
        return _read_csv(path)
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


def _suffix(path: Path, what: str) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"cannot {what} {path.name!r}; use one of the extensions {', '.join(SUFFIXES)}")
    return suffix
