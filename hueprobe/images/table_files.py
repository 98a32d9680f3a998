"""Image tables in CSV and Parquet files: columns path, class, group, split."""

import csv
import io
import os
import shlex
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hueprobe.errors import HueprobeWarning, ImageError, InputError
from hueprobe.files import written_whole
from hueprobe.images.names import OnDisk, SpelledAs
from hueprobe.images.paths import (
    MANIFEST_ENDING,
    TABLE_ENDINGS,
    common_folder,
    file_size,
    normal_path,
    posix_relative,
)
from hueprobe.images.table import ImageTable
from hueprobe.images.table_rows import MANIFEST, Row, csv_rows, parquet_rows
from hueprobe.images.trust import ROOTS, Below, trusted_folders


def read_table(
    path: str | Path,
    *,
    of_manifest: Callable[[str], ImageTable] | None = None,
    fenced: bool = False,
) -> ImageTable:
    """List the images of a CSV (UTF-8) or Parquet file, in its order.

    Columns are `path` (relative to the file's folder, or absolute) and `class`, optionally `split` and
    `group`; others are ignored with a warning. An empty cell means no value. A missing image keeps its row,
    like an unreadable one.

    If the table is a link to a file in another folder, and its images are not beside the link, paths are
    relative to that folder.

    Parameters
    ----------
    path : path
        File whose name ends in .csv or .parquet.
    of_manifest : callable, optional
        Returns the table of a data manifest by its name, for the rows of a column `manifest`. None ignores
        that column with a warning, like others.
    fenced : bool, default=False
        Whether the table came with third-party data: its images must then be below its own folder (links
        resolved), or below one that the user names, see `hueprobe.images.trust`.

    Raises
    ------
    ImageError
        If the file is missing, invalid or has no rows; if a column is missing; if a path is empty, occurs
        twice or leads out of the folder (names the line); or if none of the images exists.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in TABLE_ENDINGS:
        raise ImageError(f"{os.fspath(path)!r} is no table; its name must end in one of: .csv .parquet")
    if not os.path.isfile(path):
        raise ImageError(f"no table {os.fspath(path)!r}; give a .csv or .parquet file")
    try:
        rows = list((csv_rows if ending == ".csv" else parquet_rows)(path))
    except OSError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"cannot read {os.fspath(path)!r}: {error.strerror or error}") from None
    if not rows:
        raise ImageError(f"{os.fspath(path)!r} lists no images; add a row for each under path,class")
    folder = os.path.dirname(os.path.abspath(path))
    if of_manifest is not None and MANIFEST in rows[0].cells:
        return _of_manifest(rows, folder, path, of_manifest)
    named = _named_files(rows, folder, path)
    absolute = [os.path.isabs(row.cells["path"] or "") for row in rows]
    if os.path.islink(path) and not any(
        os.path.exists(file) for file, is_absolute in zip(named, absolute, strict=True) if not is_absolute
    ):
        folder = os.path.dirname(os.path.realpath(path))
        named = _named_files(rows, folder, path)
    trusted = trusted_folders(os.path.dirname(os.path.realpath(path))) if fenced else None
    if trusted is not None:
        _require_below(trusted, named, rows, path)
    files, sizes, n_windows = _files_on_disk(named, rows, folder)
    if trusted is not None:
        _require_below(trusted, files, rows, path)
    _require_distinct(files, rows, path)
    if n_windows:
        warnings.warn(
            f"{n_windows} of {len(files)} paths in {os.fspath(path)!r} have backslashes between folders; "
            "they are read as /",
            HueprobeWarning,
            stacklevel=3,
        )
    if max(sizes) < 0:
        windows = "; it is a Windows path: write / between folders" if "\\" in files[0] else ""
        raise ImageError(
            f"none of the {len(rows)} images in {os.fspath(path)!r} exists, the first is {files[0]!r}; "
            f"paths are relative to the table's folder{windows}"
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


def _require_below(folders: Sequence[str], files: Sequence[str], rows: list[Row], path: str | Path) -> None:
    is_below = Below(folders)
    for file, row in zip(files, rows, strict=True):
        if not is_below(file):
            raise ImageError(
                f"{os.fspath(path)!r}, {row.place}: {row.cells['path']!r} leads out of the table's folder, "
                "which is inside the data folder; if you trust it, name the folder of its images in "
                f"{ROOTS}, such as {ROOTS}={shlex.quote(os.path.dirname(file))}"
            )


def save_table(table: ImageTable, path: str | Path, *, manifest: str | None = None) -> None:
    r"""Write the columns path, class, group and split of a table to a CSV or Parquet file, atomically.

    Paths are relative to the file's own folder for images below it, otherwise absolute, so that
    `from_table` finds the same images.

    Parameters
    ----------
    table : ImageTable
        Images to save.
    path : path
        File to write; its name must end in .csv or .parquet.
    manifest : str, optional
        Data manifest of the images. It becomes a fifth column, and paths stay relative to the data set.
        The file then works for others, wherever their copy of the data set is, and also for Datasets.
        None writes paths of files.

    Raises
    ------
    InputError
        If the name has another ending, or if the images are neither files nor from a manifest.
    StorageError
        If the file cannot be written.

    See Also
    --------
    hueprobe.images.from_table : Read the file.

    Examples
    --------
    >>> save_table(hp.images.from_folder("images"), "images.csv")
    >>> with open("images.csv") as file:
    ...     next(file).strip(), next(file).strip()
    ('path,class,group,split', 'images/circle/circle0.png,circle,,')
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
    files = [
        normal_path(os.path.join(root, path) if root else os.fspath(table.file(i)))
        for i, (root, path) in enumerate(zip(table.roots, table.paths, strict=True))
    ]
    above = os.path.join(folder, "")
    return [posix_relative(f, str(folder)) if os.path.join(f, "").startswith(above) else f for f in files]


def _seen_from(folder: Path, manifest: str) -> str:
    """Return the manifest's name, or its file relative to the table's folder."""
    file, colon, variant = (
        manifest.rpartition(":") if f"{MANIFEST_ENDING}:" in manifest else (manifest, "", "")
    )
    if not file.endswith(MANIFEST_ENDING):
        return manifest
    return posix_relative(os.path.abspath(file), str(folder)) + colon + variant


def _of_manifest(
    rows: list[Row], folder: str, path: str | Path, of_manifest: Callable[[str], ImageTable]
) -> ImageTable:
    """Return the rows' images from the data set of their manifest, with the rows' own classes etc."""
    names = {row.cells[MANIFEST] for row in rows}
    if len(names) != 1 or not (name := next(iter(names))):
        found = ", ".join(sorted(repr(name) for name in names))
        raise ImageError(f"{os.fspath(path)!r} has {found} under manifest; every row must name the same one")
    whole = of_manifest(os.path.join(folder, name) if MANIFEST_ENDING in name else name)
    place = {listed: i for i, listed in enumerate(whole.paths)}
    spelled = SpelledAs(whole.paths)
    listed = [spelled(row.cells["path"] or "") for row in rows]
    for name_of_image, row in zip(listed, rows, strict=True):
        if name_of_image not in place:
            raise ImageError(
                f"{os.fspath(path)!r}, {row.place}: {name!r} has no image {row.cells['path']!r} here; "
                f"`hueprobe data verify {name}` lists what else is missing"
            )
    table = whole.select([place[name] for name in listed])
    return replace(
        table,
        classes=tuple(row.cells["class"] for row in rows),
        groups=tuple(row.cells.get("group") for row in rows),
        splits=tuple(row.cells.get("split") for row in rows),
    )


def _write_csv(file: io.TextIOWrapper, names: tuple[str, ...], rows: list[tuple[str | None, ...]]) -> None:
    # Python before 3.13 leaves a carriage return unquoted if lines end in a bare newline.
    quoted = any("\r" in (cell or "") for row in rows for cell in row)
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerow(names)
    writer.writerows(rows)


def _named_files(rows: list[Row], folder: str, path: str | Path) -> list[str]:
    """Return the absolute, normalized file of each row."""
    for row in rows:
        if not row.cells["path"]:
            raise ImageError(f"{os.fspath(path)!r}, {row.place}: the path is empty")
    return [normal_path(os.path.join(folder, row.cells["path"] or "")) for row in rows]


def _files_on_disk(files: list[str], rows: list[Row], folder: str) -> tuple[list[str], list[int], int]:
    """Return the files and their sizes, and how many names had backslashes.

    Missing files are replaced by likely alternatives.
    """
    on_disk = OnDisk()
    found = list(files)
    sizes = [file_size(file) for file in files]
    n_windows = 0
    for i, (file, row) in enumerate(zip(files, rows, strict=True)):
        if sizes[i] >= 0 or "\0" in file or os.path.lexists(file):
            continue
        name = row.cells["path"] or ""
        for meant in dict.fromkeys((name, name.strip(), name.strip().replace("\\", "/"))):
            there = on_disk(os.path.normpath(os.path.join(folder, meant)))
            if os.path.lexists(there):
                found[i], sizes[i] = there, file_size(there)
                n_windows += meant.count("\\") < name.count("\\")
                break
    return found, sizes, n_windows


def _require_distinct(files: list[str], rows: list[Row], path: str | Path) -> None:
    seen: dict[str, str] = {}
    for file, row in zip(files, rows, strict=True):
        if file in seen:
            raise ImageError(
                f"{os.fspath(path)!r}, {row.place}: {row.cells['path']!r} was already listed in {seen[file]}"
            )
        seen[file] = row.place
