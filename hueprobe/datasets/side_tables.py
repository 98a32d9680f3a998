"""Side tables of a data set (text, CSV, MATLAB), read as rows of strings and joined to images."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hueprobe.datasets.mat_files import read_mat
from hueprobe.datasets.schema import SideTable
from hueprobe.errors import ImageError

Row = dict[str, str]


@dataclass
class Stack:
    """Side tables with the same columns, concatenated, and their problems.

    Attributes
    ----------
    key : str
        Column by which rows are looked up.
    rows : list of dict
        Rows of all tables.
    problems : list of str
        Files that cannot be read, and keys with contradictory rows.
    """

    key: str
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def by_key(self) -> dict[str, Row]:
        """Return the row of each key; if a key occurs again with other values, the first row counts."""
        return unique_rows(self.rows, self.key, self.problems)


def unique_rows(rows: Iterable[Row], key: str, problems: list[str]) -> dict[str, Row]:
    """Return the first row of each key, and append contradictions by later rows to `problems`."""
    found: dict[str, Row] = {}
    for row in rows:
        first = found.setdefault(row[key], row)
        for column in row:
            if (before := first.get(column)) != row[column]:
                problems.append(
                    f"{key} {row[key]!r} is listed twice, with {column} {before!r} and {row[column]!r}"
                )
    return found


def read_stacks(
    tables: Sequence[SideTable], base: Path, *, checksums: Mapping[str, str] | None = None
) -> list[Stack]:
    """Read side tables; those with the same columns become one stack, in the order of each one's first.

    Parameters
    ----------
    tables : sequence of SideTable
        Tables to read.
    base : Path
        The data set's own folder; files that a link leads out of it are not read.
    checksums : mapping of str to str, optional
        Known checksums (`md5:...` or `sha256:...`) by file; None if there are none.
    """
    stacks: dict[frozenset[str], Stack] = {}
    for table in tables:
        stack = stacks.setdefault(table.names, Stack(table.key))
        try:
            stack.rows += read_side_table(table, base, checksum=(checksums or {}).get(table.file))
        except ImageError as error:
            stack.problems.append(str(error))
    return list(stacks.values())


def read_side_table(table: SideTable, base: Path, *, checksum: str | None = None) -> list[Row]:
    """Return the rows of one side table.

    Parameters
    ----------
    table : SideTable
        Table to read.
    base : Path
        The data set's own folder.
    checksum : str, optional
        Checksum of its file; None if unknown.

    Raises
    ------
    ImageError
        If the file is missing, leads out of the folder, or is invalid; names the place.
    """
    file = base / table.file
    try:
        if not file.resolve().is_relative_to(base.resolve()):
            raise ImageError(
                f"{table.file}: a link leads out of the set's folder {str(base)!r}; put the file itself there"
            )
        if not file.is_file():
            raise ImageError(f"{table.file}: no such file in {str(base)!r}")
        if table.read_as == "mat":
            cells: Iterable[Row] = _mat_rows(file, table, checksum)
        else:
            cells = (_csv_rows if table.read_as == "csv" else _text_rows)(file, table)
        rows = [
            {**row, **table.constants, **({table.number: str(i)} if table.number else {})}
            for i, row in enumerate(cells, start=1)
        ]
    except UnicodeDecodeError:
        raise ImageError(f"{table.file}: not UTF-8; save it as UTF-8") from None
    except OSError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{table.file}: cannot be read: {error.strerror or error}") from None
    return rows


def join(rows: Iterable[Row], stacks: Iterable[Stack]) -> None:
    """Add the columns of each stack to the rows that have its key, in place.

    Rows without the key, or with an unlisted key, do not change. Existing columns keep their values.
    """
    rows = list(rows)
    for stack in stacks:
        listed = stack.by_key()
        for row in rows:
            found = listed.get(row.get(stack.key, ""))
            if found is not None:
                row.update({name: value for name, value in found.items() if name not in row})


def _text_rows(file: Path, table: SideTable) -> Iterator[Row]:
    """Yield rows of columns separated by blanks; the last column extends to the end of the line."""
    n = len(table.columns)
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            cells = text.split(None, n - 1)
            if len(cells) < n:
                raise ImageError(
                    f"{table.file}, line {number}: {len(cells)} columns, expected {n}: "
                    f"{', '.join(table.columns)}"
                )
            yield dict(zip(table.columns, cells, strict=True))


def _csv_rows(file: Path, table: SideTable) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            headers = reader.fieldnames or []
        except csv.Error as error:
            raise ImageError(f"{table.file}: not valid CSV: {error}") from None
        if missing := [header for header in table.sources.values() if header not in headers]:
            raise ImageError(
                f"{table.file}: no column {missing[0]!r}; there are: {', '.join(headers) or 'none'}"
            )
        try:
            for cells in reader:
                yield {name: cells[header] or "" for name, header in table.sources.items()}
        except csv.Error as error:
            raise ImageError(f"{table.file}: not valid CSV after line {reader.line_num}: {error}") from None


def _mat_rows(file: Path, table: SideTable, checksum: str | None) -> list[Row]:
    variables = read_mat(file, name=table.file, checksum=checksum)
    columns = {name: _variable(variables, source, table.file) for name, source in table.sources.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ImageError(f"{table.file}: variables differ in length: {lengths}")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _variable(variables: dict[str, Any], source: str, file: str) -> list[str]:
    """Return a variable, or a field of a struct array (`variable.field`)."""
    name, _, part = source.partition(".")
    if name not in variables:
        raise ImageError(f"{file}: no variable {name!r}; there are: {', '.join(variables)}")
    values = variables[name]
    fields = values if isinstance(values, dict) else {}
    if part and part not in fields:
        raise ImageError(
            f"{file}: variable {name!r} has no field {part!r}; there are: {', '.join(fields) or 'none'}"
        )
    if fields and not part:
        raise ImageError(
            f"{file}: variable {name!r} has fields; name one as {name}.FIELD: {', '.join(fields)}"
        )
    return list(fields[part] if part else values)
