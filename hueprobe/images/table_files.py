"""Image tables in CSV and Parquet files: columns path, class, group, split."""

import csv
import io
import os
import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hueprobe.errors import HueprobeWarning, ImageError, InputError
from hueprobe.files import written_whole
from hueprobe.images.limits import UNPACKED, max_unpacked
from hueprobe.images.paths import MANIFEST_ENDING, TABLE_ENDINGS, common_folder, file_size, posix_relative
from hueprobe.images.table import ImageTable
from hueprobe.images.trust import ROOTS, Below, trusted_folders

COLUMNS = ("path", "class", "group", "split")
MANIFEST = "manifest"  # the column that says of which data set the paths are, wherever that lies
_KNOWN = (*COLUMNS, MANIFEST)
_REQUIRED = ("path", "class")


@dataclass(frozen=True)
class _Row:
    place: str  # "line 3"
    cells: dict[str, str | None]


def read_table(
    path: str | Path,
    *,
    of_manifest: Callable[[str], ImageTable] | None = None,
    fenced: bool = False,
) -> ImageTable:
    """List the images of a CSV (UTF-8) or Parquet file, in its order.

    Columns are `path` (relative to the file's folder, or absolute) and `class`, and if wanted `split`
    and `group`; others are ignored with a warning. An empty cell is no value. An image that does not
    exist keeps its row, as an unreadable one does.

    Where the table is a link to a file in another folder, and its images are not beside the link, paths are
    relative to that folder.

    Parameters
    ----------
    path : path
    of_manifest : callable, optional
        Gives the table of a data manifest by its name; the rows of a column `manifest` are looked up in it.
        Without, that column is ignored with a warning, as others are.
    fenced : bool
        Whether the table came with others' data: its images must then lie below its own folder, links
        resolved, or below one that the user names, see `hueprobe.images.trust`.

    Raises
    ------
    ImageError
        The file is missing, of another kind or broken; a column is missing; it has no rows; a path is
        empty, occurs twice or leads elsewhere (the line is named); or none of the images exists.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in TABLE_ENDINGS:
        raise ImageError(f"{os.fspath(path)!r} is no table; its name must end in one of: .csv .parquet")
    if not os.path.isfile(path):
        raise ImageError(f"no table {os.fspath(path)!r}; give a .csv or .parquet file")
    try:
        rows = list((_csv_rows if ending == ".csv" else _parquet_rows)(path))
    except OSError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"cannot read {os.fspath(path)!r}: {error.strerror or error}") from None
    if not rows:
        raise ImageError(f"{os.fspath(path)!r} lists no images; each needs a row under path,class")
    folder = os.path.dirname(os.path.abspath(path))
    if of_manifest is not None and MANIFEST in rows[0].cells:
        return _of_manifest(rows, folder, path, of_manifest)
    files = _files(rows, folder, path)
    absolute = [os.path.isabs(row.cells["path"] or "") for row in rows]
    if os.path.islink(path) and not any(
        os.path.exists(file) for file, is_absolute in zip(files, absolute, strict=True) if not is_absolute
    ):
        folder = os.path.dirname(os.path.realpath(path))
        files = _files(rows, folder, path)
    if fenced:
        _require_below(trusted_folders(os.path.dirname(os.path.realpath(path))), files, rows, path)
    sizes = [file_size(file) for file in files]
    if max(sizes) < 0:
        raise ImageError(
            f"none of the {len(rows)} images in {os.fspath(path)!r} exists, the first is {files[0]!r}; "
            "paths are relative to the table's folder"
        )
    elsewhere = [file for file, is_absolute in zip(files, absolute, strict=True) if is_absolute]
    common = common_folder(elsewhere) if elsewhere else folder
    roots = [common if is_absolute else folder for is_absolute in absolute]
    return ImageTable(
        paths=tuple(posix_relative(file, root) for file, root in zip(files, roots, strict=True)),
        roots=tuple(roots),
        classes=tuple(row.cells["class"] for row in rows),
        splits=tuple(row.cells.get("split") for row in rows),
        groups=tuple(row.cells.get("group") for row in rows),
        sizes=tuple(sizes),
    )


def _require_below(folders: Sequence[str], files: Sequence[str], rows: list[_Row], path: str | Path) -> None:
    is_below = Below(folders)
    for file, row in zip(files, rows, strict=True):
        if not is_below(file):
            raise ImageError(
                f"{os.fspath(path)!r}, {row.place}: {row.cells['path']!r} leads out of the table's folder, "
                f"which is among data sets; where you trust it, name the folder of its images in {ROOTS}, "
                f"such as {ROOTS}={shlex.quote(os.path.dirname(file))}"
            )


def save_table(table: ImageTable, path: str | Path, *, manifest: str | None = None) -> None:
    """Write columns path, class, group, split to a CSV or Parquet file, whole or not at all.

    Paths are relative to the file's own folder where the image lies below it, else absolute, so that
    `from_table` finds the same images.

    Parameters
    ----------
    table : ImageTable
    path : path
    manifest : str, optional
        The data manifest that the images are of. It becomes a fifth column and the paths stay those of the
        set, so that the file works for others, wherever they have the set, and for Datasets too.

    Raises
    ------
    InputError
        The name ends in neither .csv nor .parquet, or the images are neither files nor of a manifest.
    StorageError
        The file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in TABLE_ENDINGS:
        raise InputError(f"cannot save images as {path.name!r}; the name must end in .csv or .parquet")
    folder = Path(os.path.abspath(path)).parent
    columns: dict[str, Sequence[str | None]] = {
        "path": table.paths if manifest is not None else _paths_from(folder, table),
        "class": table.classes,
        "group": table.groups,
        "split": table.splits,
    }
    if manifest is not None:
        columns[MANIFEST] = (_seen_from(folder, manifest),) * len(table)
    with written_whole(path) as file:
        if path.suffix.lower() == ".csv":
            text = io.TextIOWrapper(file, encoding="utf-8", newline="")
            _write_csv(text, tuple(columns), list(zip(*columns.values(), strict=True)))
            text.detach()
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table({name: pa.array(v, pa.string()) for name, v in columns.items()}), file)


def _paths_from(folder: Path, table: ImageTable) -> list[str]:
    files = [os.path.normpath(table.file(i)) for i in range(len(table))]
    return [posix_relative(f, str(folder)) if Path(f).is_relative_to(folder) else f for f in files]


def _seen_from(folder: Path, manifest: str) -> str:
    """Return the manifest's name, or its file relative to the table's folder."""
    file, colon, variant = (
        manifest.rpartition(":") if f"{MANIFEST_ENDING}:" in manifest else (manifest, "", "")
    )
    if not file.endswith(MANIFEST_ENDING):
        return manifest
    return posix_relative(os.path.abspath(file), str(folder)) + colon + variant


def _of_manifest(
    rows: list[_Row], folder: str, path: str | Path, of_manifest: Callable[[str], ImageTable]
) -> ImageTable:
    """Return the rows' images out of the set that their manifest lists, with their own class and so on."""
    names = {row.cells[MANIFEST] for row in rows}
    if len(names) != 1 or not (name := next(iter(names))):
        found = ", ".join(sorted(repr(name) for name in names))
        raise ImageError(f"{os.fspath(path)!r} has {found} under manifest; every row must name the same one")
    whole = of_manifest(os.path.join(folder, name) if MANIFEST_ENDING in name else name)
    place = {listed: i for i, listed in enumerate(whole.paths)}
    for row in rows:
        if row.cells["path"] not in place:
            raise ImageError(
                f"{os.fspath(path)!r}, {row.place}: {name!r} has no image {row.cells['path']!r} here; "
                f"`hueprobe data verify {name}` says what else is missing"
            )
    table = whole.select([place[row.cells["path"] or ""] for row in rows])
    return replace(
        table,
        classes=tuple(row.cells["class"] for row in rows),
        groups=tuple(row.cells.get("group") for row in rows),
        splits=tuple(row.cells.get("split") for row in rows),
    )


def _write_csv(file: io.TextIOWrapper, names: tuple[str, ...], rows: list[tuple[str | None, ...]]) -> None:
    # Python before 3.13 leaves a carriage return unquoted where lines end in a bare newline.
    quoted = any("\r" in (cell or "") for row in rows for cell in row)
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerow(names)
    writer.writerows(rows)


def _csv_rows(path: str | Path) -> Iterator[_Row]:
    line = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            _require_columns(names, path)
            for cells in reader:
                line = reader.line_num
                if not cells:
                    continue  # a blank line
                if len(cells) != len(names):
                    raise ImageError(
                        f"{os.fspath(path)!r}, line {line}: {len(cells)} cells under {len(names)} columns; "
                        "quote a comma inside a cell"
                    )
                yield _Row(f"line {line}", {n: c or None for n, c in zip(names, cells, strict=True)})
    except UnicodeDecodeError as error:
        raise ImageError(f"{os.fspath(path)!r} is not UTF-8 ({error.reason}); save it as UTF-8") from None
    except csv.Error as error:
        raise ImageError(f"{os.fspath(path)!r} is no CSV after line {line}: {error}") from None


def _parquet_rows(path: str | Path) -> Iterator[_Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _require_columns(names, path)
            _require_modest(file.metadata)
            table = file.read(columns=[name for name in _KNOWN if name in names])
        columns = {name: table[name].cast(pa.string()).to_pylist() for name in table.column_names}
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ImageError(f"{os.fspath(path)!r} is no readable Parquet table: {reason}") from None
    for number, cells in enumerate(zip(*columns.values(), strict=True), start=1):
        yield _Row(f"row {number}", {n: c or None for n, c in zip(columns, cells, strict=True)})


def _require_modest(metadata: Any) -> None:
    """Refuse a table that says it is larger, unpacked, than a list of images is, before it is unpacked."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    most = max_unpacked(metadata.serialized_size)
    if size > most or metadata.num_rows > most:
        raise ValueError(
            f"it unpacks to {metadata.num_rows} rows, {size} bytes; trust it by setting {UNPACKED}"
        )


def _require_columns(names: list[str], path: str | Path) -> None:
    name = os.fspath(path)
    if missing := [column for column in _REQUIRED if column not in names]:
        raise ImageError(
            f"{name!r} has no column {', '.join(map(repr, missing))}, only {', '.join(names) or 'none'}; "
            "needed are path and class, split and group may follow"
        )
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise ImageError(f"{name!r} has column {twice[0]!r} twice; rename one")
    if unknown := [column for column in names if column not in _KNOWN]:
        warnings.warn(
            f"columns of {name!r} that mean nothing here are ignored: {', '.join(unknown)}",
            HueprobeWarning,
            stacklevel=5,
        )


def _files(rows: list[_Row], folder: str, path: str | Path) -> list[str]:
    """Return the absolute, normalized file of each row."""
    seen: dict[str, str] = {}
    for row in rows:
        name = row.cells["path"]
        if not name:
            raise ImageError(f"{os.fspath(path)!r}, {row.place}: the path is empty")
        file = os.path.normpath(os.path.join(folder, name))
        if file in seen:
            raise ImageError(f"{os.fspath(path)!r}, {row.place}: {name!r} is there already, in {seen[file]}")
        seen[file] = row.place
    return list(seen)
