"""Rows and headers of CSV and Parquet tables of images."""

import csv
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hueprobe.errors import HueprobeWarning, ImageError
from hueprobe.images.endings import is_image
from hueprobe.images.limits import UNPACKED, max_unpacked

COLUMNS = ("path", "class", "group", "split")
MANIFEST = "manifest"  # the column with the data set of the paths, wherever that is
MASK = "mask"  # the column with the mask of an image, for hueprobe.images.pair_masks
_KNOWN = (*COLUMNS, MANIFEST, MASK)
_REQUIRED = ("path", "class")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# Other common names of the required columns.
_ALSO_CALLED = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img",
             "img_path", "name"),
    "class": ("label", "labels", "class_name", "classname", "category", "target", "species", "y"),
}  # fmt: skip
_PANDAS_INDEX = re.compile(r"|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")


@dataclass(frozen=True)
class Row:
    """The cells of a row by column, None if empty, and the row's place in the file ("line 3")."""

    place: str
    cells: dict[str, str | None]


def csv_rows(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a CSV file (UTF-8) with any of the common separators.

    Raises
    ------
    ImageError
        If the file is not CSV, not UTF-8, or has no column `path` or `class`.

    Warns
    -----
    HueprobeWarning
        If the file is not read literally, or has unknown columns.
    """
    line = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            told = re.fullmatch(r"sep=(.)\s*", first)  # written by spreadsheets
            header = file.readline() if told else first
            separator = told[1] if told else _separator_of(header)
            padded = any(name != name.strip() for name in _split(header.rstrip("\r\n"), separator))
            file.seek(0)
            reader = csv.reader(file, strict=True, delimiter=separator, skipinitialspace=padded)
            if told:
                next(reader)
            names = _columns(next(reader, []), path, separator=separator, padded=padded)
            for cells in reader:
                line = reader.line_num
                if not cells:
                    continue  # a blank line
                if len(cells) != len(names):
                    raise ImageError(
                        f"{os.fspath(path)!r}, line {line}: {len(cells)} cells under {len(names)} columns; "
                        f"quote a {'comma' if separator == ',' else repr(separator)} inside a cell"
                    )
                if padded:
                    cells = [cell.strip() for cell in cells]
                yield Row(f"line {line}", {n: c or None for n, c in zip(names, cells, strict=True)})
    except UnicodeDecodeError as error:
        raise ImageError(f"{os.fspath(path)!r} is not UTF-8 ({error.reason}); save it as UTF-8") from None
    except csv.Error as error:
        raise ImageError(f"{os.fspath(path)!r} is not valid CSV after line {line}: {error}") from None


def parquet_rows(path: str | Path) -> Iterator[Row]:
    """Yield the rows of a Parquet file.

    Raises
    ------
    ImageError
        If the file is invalid, has no column `path` or `class`, or unpacks to far more than a list of images.

    Warns
    -----
    HueprobeWarning
        As in `csv_rows`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            written = file.schema_arrow.names
            known = {name: old for name, old in zip(_columns(written, path), written, strict=True)}
            _require_modest(file.metadata)
            table = file.read(columns=[known[name] for name in _KNOWN if name in known])
        columns = {name: table[known[name]].cast(pa.string()).to_pylist() for name in _KNOWN if name in known}
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, ImageError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ImageError(f"{os.fspath(path)!r} is not a readable Parquet table: {reason}") from None
    for number, cells in enumerate(zip(*columns.values(), strict=True), start=1):
        yield Row(f"row {number}", {n: c or None for n, c in zip(columns, cells, strict=True)})


def _split(header: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=separator), [])
    except csv.Error:
        return []


def _separator_of(header: str) -> str:
    """Return the separator that gives a header most of the known columns; a comma if none does."""
    known = {
        separator: len({name.strip().lower() for name in _split(header, separator)} & set(_KNOWN))
        for separator in _SEPARATORS
    }
    return max(known, key=known.__getitem__)


def _columns(
    written: Sequence[str], path: str | Path, *, separator: str = ",", padded: bool = False
) -> list[str]:
    """Return the columns' canonical names, and warn of deviations from them."""
    table = os.fspath(path)
    names = [_as_known(name, written) for name in written]
    _require_columns(names, table)
    said = []
    if separator != ",":
        said.append(f"cells are separated by {_SEPARATORS.get(separator, repr(separator))}")
    if padded:
        said.append("spaces around cells are removed")
    pairs = [(old.strip() if padded else old, new) for old, new in zip(written, names, strict=True)]
    if renamed := [f"{old!r} as {new!r}" for old, new in pairs if old != new]:
        said.append(f"columns are renamed: {', '.join(renamed)}")
    if said:
        _warn(f"{table!r}: {'; '.join(said)}")
    if unknown := [name for name in names if name not in _KNOWN]:
        index = [name for name in unknown if _PANDAS_INDEX.fullmatch(name)]
        shown = [repr(name) if name in index else name for name in unknown]
        which = " and ".join(map(repr, index))
        hint = f"; {which}: the index written by pandas, omitted with index=False" if index else ""
        _warn(f"unknown columns of {table!r} are ignored: {', '.join(shown)}{hint}")
    return names


def _as_known(name: str, names: Iterable[str]) -> str:
    """Return a column's name without space around it, in lower case if it is then known."""
    bare = name.strip()
    small = bare.lower()
    return small if small in _KNOWN and (bare == small or small not in names) else bare


def _warn(text: str) -> None:
    """Warn the caller of `from_table`."""
    warnings.warn(text, HueprobeWarning, stacklevel=6)


def _require_columns(names: list[str], table: str) -> None:
    if missing := [column for column in _REQUIRED if column not in names]:
        hints = [
            f"rename {name!r} to {column} if it is the same"
            for column in missing
            for name in names
            if name.lower() in _ALSO_CALLED[column]
        ]
        if any(is_image(name) for name in names):
            hints = ["the first line must be these names, not an image"]
        raise ImageError(
            f"{table!r} has no column {', '.join(map(repr, missing))}, only {', '.join(names) or 'none'}; "
            f"path and class are required, split and group optional{''.join(f'; {hint}' for hint in hints)}"
        )
    if twice := sorted({column for column in names if names.count(column) > 1 and column in _KNOWN}):
        raise ImageError(f"{table!r} has column {twice[0]!r} twice; rename one")


def _require_modest(metadata: Any) -> None:
    """Refuse a table before unpacking it if its declared size is too large for a list of images."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    most = max_unpacked(metadata.serialized_size)
    if size > most or metadata.num_rows > most:
        raise ValueError(
            f"it unpacks to {metadata.num_rows} rows, {size} bytes; if you trust it, set {UNPACKED}"
        )
