"""Checked reading of a match table's columns: its rows, and the images that they name."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.grid import Grid
from hueprobe.match_files import COLUMNS
from hueprobe.match_images import MatchImages, images_from_json

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES_KEY = b"hueprobe.match_images"  # in the schema's metadata
_INTEGERS: dict[str, tuple[type, int]] = {  # dtype and smallest valid value
    "query_image": (np.int64, 0), "query_y": (np.int32, 0), "query_x": (np.int32, 0), "rank": (np.int32, 1),
    "image": (np.int64, 0), "y": (np.int32, 0), "x": (np.int32, 0),
}  # fmt: skip
_FLOATS = ("distance", "weight")
# dtype and smallest valid value of every numeric column.
NUMBERS: dict[str, tuple[type, int]] = {**_INTEGERS, **dict.fromkeys(_FLOATS, (np.float64, 0))}
_Named = dict[int, tuple[str, str | None]]  # path and class of the images of one side, by image number


def read_rows(table: "pa.Table", source: str) -> dict[str, Any]:
    """Return the numeric columns as `Matches` holds them.

    Parameters
    ----------
    table : pyarrow.Table
        Table with the columns of `COLUMNS`, in any order.
    source : str
        Name of its source, for messages.

    Raises
    ------
    InputError
        A column is missing, is of another type, or holds an invalid number.
    """
    if lacking := [name for name in COLUMNS if table.column_names.count(name) != 1]:
        raise InputError(
            f"{source} is not a match table: it should have one column {', one '.join(lacking)}; "
            f"its columns are {', '.join(table.column_names) or 'none'}"
        )
    return numbers_of(table, source)


def numbers_of(table: "pa.Table", source: str) -> dict[str, Any]:
    """Return the columns of `NUMBERS` as `Matches` holds them.

    Parameters
    ----------
    table : pyarrow.Table
        Table with these columns, in any order.
    source : str
        Name of its source, for messages.

    Raises
    ------
    InputError
        A column is of another type, or holds an invalid number.
    """
    rows: dict[str, Any] = {}
    for name, (kind, least) in _INTEGERS.items():
        values = rows[name] = _numbers(table, name, kind, source)
        if len(values) and values.min() < least:
            raise InputError(
                f"column {name} of {source} holds {values.min()}; its smallest valid value is {least}"
            )
    for name in _FLOATS:
        values = rows[name] = _numbers(table, name, np.float64, source)
        if not (values >= 0).all() or not np.isfinite(values).all():
            raise InputError(
                f"column {name} of {source} holds a negative, infinite or NaN value; give finite values >= 0"
            )
    return rows


def _numbers(table: "pa.Table", name: str, kind: type, source: str) -> np.ndarray:
    import pyarrow as pa

    column = table[name]
    try:
        column = column.cast(pa.from_numpy_dtype(kind))
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"column {name} of {source} should hold {np.dtype(kind)}: {reason}") from None
    if column.null_count:
        raise InputError(
            f"column {name} of {source} has {column.null_count} missing values; every match needs a value"
        )
    values: np.ndarray = column.to_numpy().astype(kind, copy=True)  # Arrow's own buffers are read-only
    return values


def read_images(
    table: "pa.Table", rows: dict[str, np.ndarray], source: str, *, grid: Grid | None = None
) -> MatchImages:
    """Return the images of both sides, from the schema's metadata or else from the rows.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    rows : dict of str to ndarray
        Its numeric columns, from `read_rows`.
    source : str
        Name of its source, for messages.
    grid : Grid, optional
        Grid of both sides, if there is no metadata. By default it is inferred from the rows.

    Raises
    ------
    InputError
        Rows contradict each other, the metadata or the grid; or there are neither rows nor a grid.

    Warns
    -----
    HueprobeWarning
        There is no metadata. The warning names what was inferred and what is unknown.
    """
    query = _named(table, rows["query_image"], "query_path", "query_class", source)
    memory = _named(table, rows["image"], "path", "class", source)
    text = (table.schema.metadata or {}).get(IMAGES_KEY)
    if text is None:
        images = _images_of_rows(query, memory, rows, source, grid)
    else:
        images = images_from_json(text, source)
        if grid is not None and grid != images.grid:
            raise InputError(
                f"{source} holds a grid of {_size(images.grid)}, but grid= is {_size(grid)}; leave grid out"
            )
        _require_same(query, images.query_paths, images.query_image_class, images.classes, source)
        _require_same(memory, images.image_paths, images.image_class, images.classes, source)
    for side, own in (("", images.grid), ("query_", images.query_grid)):
        y, x = (int(rows[side + name].max(initial=0)) for name in "yx")
        if y >= own.height or x >= own.width:
            raise InputError(
                f"{source} has {side}y up to {y} and {side}x up to {x}, outside a grid of {_size(own)}"
            )
    return images


def _named(
    table: "pa.Table", numbers: np.ndarray, path_column: str, class_column: str, source: str
) -> _Named:
    """Return path and class of each image number; all rows of an image must agree."""
    unique, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    found = []
    for name in (path_column, class_column):
        codes, names = _codes(table[name])
        if differing := np.flatnonzero(codes[first][inverse] != codes)[:1].tolist():
            raise InputError(
                f"rows of {source} give image {numbers[differing[0]]} more than one {name}; "
                "save the table again"
            )
        found.append([names[code] if code >= 0 else None for code in codes[first]])
    if None in found[0]:
        raise InputError(f"column {path_column} of {source} has missing values; every image needs a path")
    return dict(zip(unique.tolist(), zip(*found, strict=True), strict=True))


def _codes(column: "pa.ChunkedArray") -> tuple[np.ndarray, list[str]]:
    """Return a code for each row of a column of strings, -1 for null, and the string of each code."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    number: dict[str, int] = {}
    chunks = column.unify_dictionaries().chunks
    if not chunks:
        return np.zeros(0, np.int64), []
    names = chunks[0].dictionary.to_pylist()  # may hold one string twice
    code = [-1 if name is None else number.setdefault(name, len(number)) for name in names]
    indices = [chunk.indices.fill_null(len(names)).to_numpy(zero_copy_only=False) for chunk in chunks]
    return np.array([*code, -1])[np.concatenate(indices)], list(number)


def _require_same(
    named: _Named, paths: Sequence[str], image_class: np.ndarray, classes: tuple[str, ...], source: str
) -> None:
    for number, found in named.items():
        known = None
        if number < len(paths):
            known = paths[number], classes[image_class[number]] if image_class[number] >= 0 else None
        if found != known:
            raise InputError(
                f"(path, class) of image {number} is {found} in the rows of {source}, but {known} in its "
                f"image tables; if you changed the rows, drop the metadata {IMAGES_KEY.decode()!r}"
            )


def _images_of_rows(
    query: _Named, memory: _Named, rows: dict[str, np.ndarray], source: str, grid: Grid | None
) -> MatchImages:
    """Infer the images from the rows that name them.

    Queries count as the memory's own images, as in leave-one-out, under two conditions. No number stands for
    two different images, and at least one number stands for the same image on both sides.
    """
    said = "no groups"
    if grid is None:
        if not len(rows["y"]):
            raise InputError(f"{source} has no rows from which to infer the grid; give grid=")
        height, width = (int(max(rows[f"query_{name}"].max(), rows[name].max())) + 1 for name in "yx")
        grid = Grid(height, width)
        said += f", and a grid of {_size(grid)}, from the largest y and x (give grid= if it is larger)"
    both = query.keys() & memory.keys()
    own = bool(both) and all(query[number] == memory[number] for number in both)
    if own:
        query = memory = query | memory
    classes = tuple(
        sorted({name for side in (query, memory) for _, name in side.values() if name is not None})
    )
    query_paths, query_class = _tables(query, classes)
    paths, image_class = _tables(memory, classes)
    unnamed = len(query_paths) - len(query) + (0 if own else len(paths) - len(memory))
    whose = "the memory's own" if own else "other"
    warnings.warn(
        f"{source} holds no image tables: they were inferred from its rows, with {said}; queries are {whose} "
        f"images; no row gives path and class of {unnamed} images; a .parquet or .arrow file saved by this "
        "version holds the tables",
        HueprobeWarning,
        stacklevel=5,
    )
    return MatchImages(
        grid=grid,
        query_grid=grid,
        classes=classes,
        query_paths=query_paths,
        query_image_class=query_class,
        query_image_group=(None,) * len(query_paths),
        image_paths=paths,
        image_class=image_class,
        image_group=(None,) * len(paths),
    )


def _tables(side: _Named, classes: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return path and class id by image number; "" and -1 for a number that no row names."""
    ids = {name: number for number, name in enumerate(classes)}
    paths, image_class = [""] * (max(side, default=-1) + 1), np.full(max(side, default=-1) + 1, -1, np.int64)
    for number, (path, name) in side.items():
        paths[number] = path
        image_class[number] = -1 if name is None else ids[name]
    return tuple(paths), image_class


def _size(grid: Grid) -> str:
    return f"{grid.height}x{grid.width}"
