"""The image table: images in a fixed order, with class, split and group of each."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.arguments import as_names
from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images.names import normal_name, normalized, warn_of_names
from hueprobe.images.value_range import ValueRange

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = ("paths", "roots", "classes", "splits", "groups", "sizes")
_COLUMNS = ("path", "root", "class", "split", "group", "size")
_NAMES = {"classes": "class", "splits": "split", "groups": "group"}
_ITEM = "item-"


@dataclass(frozen=True, repr=False)
class ImageTable:
    """A list of n images; the row number is the image's name everywhere else.

    Attributes
    ----------
    paths : tuple of str
        Path of each image relative to its root, with `/` between its parts.
    roots : tuple of str
        Absolute folder of each; empty for what is no file (items of a Dataset, arrays).
    classes, splits, groups : tuple of (str or None)
        Class; name of the part of the data (`"train"`); what belongs together (subject, family). Names are
        brought to one form, Unicode NFC without space at the ends, with a warning where that changes any.
    sizes : tuple of int
        Bytes; -1 where unknown.
    dataset : torch Dataset, optional
        Where the items come from; the path is then `"item-0000012"` for item 12.
    value_range : ValueRange, optional
        Which values of images of more than 8 bits are black and white when they are read; may be given as
        in `hueprobe.build_memory`.

    Raises
    ------
    ShapeError
        The columns differ in length.
    ImageError
        A name that is not valid Unicode, which neither Parquet nor JSON could hold.
    """

    paths: tuple[str, ...]
    roots: tuple[str, ...]
    classes: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    groups: tuple[str | None, ...]
    sizes: tuple[int, ...]
    dataset: Any = field(default=None, compare=False)
    value_range: ValueRange | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse columns of differing length and names that cannot be written down; normalize names."""
        lengths = {name: len(getattr(self, name)) for name in _ROWS}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"columns of an image table differ in length: {lengths}")
        for name in ("paths", "roots", "classes", "splits", "groups"):
            _require_unicode(getattr(self, name))
        object.__setattr__(self, "value_range", ValueRange.of(self.value_range))
        changed = {name: normalized(getattr(self, name)) for name in _NAMES}
        for name, normal in changed.items():
            if normal:
                values = tuple([normal.get(value, value) for value in getattr(self, name)])
                object.__setattr__(self, name, values)
        warn_of_names({_NAMES[name]: normal for name, normal in changed.items()}, stacklevel=3)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __repr__(self) -> str:
        """Return one line: how many images, which classes and splits, how many groups, and where."""
        parts = [f"{len(self):,} images"]
        if names := self.class_names:
            parts.append(f"{len(names):,} classes ({_few(names)})")
        if splits := Counter(name for name in self.splits if name is not None):
            parts.append(f"splits {_few([f'{name} {splits[name]:,}' for name in sorted(splits)])}")
        if groups := set(self.groups) - {None}:
            parts.append(f"{len(groups):,} groups")
        folders = set(self.roots) - {""}
        return f"<ImageTable {os.path.commonpath(folders) if folders else 'of no files'}: {', '.join(parts)}>"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The distinct classes, sorted by code point."""
        return tuple(sorted({name for name in self.classes if name is not None}))

    @property
    def labeled(self) -> bool:
        """Whether there are images and each has a class."""
        return len(self) > 0 and None not in self.classes

    def file(self, i: int) -> Path:
        """Return the file of row `i`.

        Parameters
        ----------
        i : int

        Raises
        ------
        ImageError
            The row is no file but an item of a Dataset or an array.
        """
        if not self.roots[i]:
            raise ImageError(f"image {self.paths[i]!r} is no file; give its Dataset again, or the images")
        return Path(self.roots[i], self.paths[i])

    def item(self, i: int) -> int | None:
        """Return the number in `dataset` of row `i`; None where the row is a file or the Dataset is gone.

        Parameters
        ----------
        i : int
        """
        if self.roots[i] or self.dataset is None or not self.paths[i].startswith(_ITEM):
            return None
        return int(self.paths[i].removeprefix(_ITEM))

    def select(self, indices: Any) -> "ImageTable":
        """Return some rows, in the order asked for.

        Parameters
        ----------
        indices : slice, ndarray of bool, shape (n,), or sequence of int
            Which rows: a range, a mask, or positions.
        """
        rows = np.arange(len(self))[indices if isinstance(indices, slice) else _as_index(indices)].tolist()
        columns: dict[str, Any] = {name: tuple([getattr(self, name)[i] for i in rows]) for name in _ROWS}
        return replace(self, **columns)

    def where_split(self, name: str) -> "ImageTable":
        """Return the rows of one split, in order.

        Parameters
        ----------
        name : str

        Raises
        ------
        InputError
            No row is of that split; the message lists those there are.
        """
        name = normal_name(name)
        rows = [i for i, split in enumerate(self.splits) if split == name]
        if not rows:
            present = sorted({split for split in self.splits if split is not None})
            known = f"choose one of: {', '.join(present)}" if present else "these images have no splits"
            raise InputError(f"no image in split {name!r}; {known}")
        return self.select(rows)

    def relocated(self, root: str | Path) -> "ImageTable":
        """Return the table for images that were moved: the folder common to all roots is now `root`.

        Parameters
        ----------
        root : path

        Raises
        ------
        ImageError
            `root` is not a folder.
        """
        new = os.path.abspath(root)
        if not os.path.isdir(new):
            raise ImageError(f"no folder at {str(root)!r}; give the folder where the images are now")
        old = {folder for folder in self.roots if folder}
        if not old:
            return self
        common = os.path.commonpath(old)
        moved = {
            folder: os.path.normpath(os.path.join(new, os.path.relpath(folder, common))) for folder in old
        }
        return replace(self, roots=tuple(moved.get(folder, "") for folder in self.roots))

    @classmethod
    def concatenate(cls, tables: Iterable["ImageTable"]) -> "ImageTable":
        """Join tables, in the order given.

        Parameters
        ----------
        tables : iterable of ImageTable
            At least one; at most one Dataset may stand behind them.

        Raises
        ------
        InputError
            There is no table, or several Datasets or ranges of values.
        """
        tables = list(tables)
        if not tables:
            raise InputError("no image tables to join; give at least one")
        datasets = {id(table.dataset): table.dataset for table in tables if table.dataset is not None}
        if len(datasets) > 1:
            raise InputError(
                f"{len(datasets)} Datasets in one image table; join them with torch's ConcatDataset"
            )
        ranges = {table.value_range for table in tables}
        if len(ranges) > 1:
            raise InputError("the tables to join have other ranges of values; give them the same value_range")
        columns = {name: tuple(value for table in tables for value in getattr(table, name)) for name in _ROWS}
        return cls(**columns, dataset=next(iter(datasets.values()), None), value_range=ranges.pop())

    def to_arrow(self) -> "pa.Table":
        """Return columns image (int64, the row), path, root, class, split, group (string), size (int64)."""
        import pyarrow as pa

        columns = {
            column: pa.array(getattr(self, name), pa.int64() if name == "sizes" else pa.string())
            for column, name in zip(_COLUMNS, _ROWS, strict=True)
        }
        return pa.table({"image": pa.array(range(len(self)), pa.int64()), **columns})

    @classmethod
    def from_arrow(cls, table: "pa.Table") -> "ImageTable":
        """Return the image table that `to_arrow` wrote; a Dataset does not come back.

        Parameters
        ----------
        table : pyarrow.Table

        Raises
        ------
        InputError
            A column is missing.
        """
        if missing := [name for name in _COLUMNS if name not in table.column_names]:
            raise InputError(f"no column {', '.join(map(repr, missing))} among {table.column_names}")
        columns: list[Any] = [tuple(table[name].to_pylist()) for name in _COLUMNS]
        return cls(*columns)


def unfiled_table(
    n: int,
    *,
    names: Sequence[str] | None = None,
    classes: Sequence[str | None] | None = None,
    groups: Sequence[str | None] | None = None,
) -> ImageTable:
    """Return the table of n images that are no files, such as arrays of activations.

    Parameters
    ----------
    n : int
    names, classes, groups : sequence, length n, optional
        Names are `array-0000000`, ... by default. Of whole numbers the digits are taken.

    Raises
    ------
    InputError
        One is neither a name nor a whole number (nor, of classes and groups, missing).
    ShapeError
        A sequence of another length.
    """
    none = (None,) * n
    given = {"names": names, "classes": classes, "groups": groups}
    told = {what: none if values is None else as_names(what, values) for what, values in given.items()}
    for what, values in told.items():
        if len(values) != n:
            raise ShapeError(f"{len(values)} {what} for {n} activation arrays; give one each")
    named = tuple(name for name in told["names"] if name is not None)
    if names is not None and len(named) < n:
        raise InputError(f"names hold none at position {told['names'].index(None)}; give a name for each")
    return ImageTable(
        paths=named if names is not None else tuple(f"array-{i:07d}" for i in range(n)),
        roots=("",) * n,
        classes=told["classes"],
        splits=none,
        groups=told["groups"],
        sizes=(-1,) * n,
    )


def from_items(dataset: Any, classes: Sequence[str | None]) -> ImageTable:
    """Return the table of a Dataset's items, one class (or None) each."""
    n = len(classes)
    none = (None,) * n
    paths = tuple(f"{_ITEM}{i:07d}" for i in range(n))
    return ImageTable(paths, ("",) * n, tuple(classes), none, none, (-1,) * n, dataset=dataset)


def _few(names: Sequence[str]) -> str:
    """Return the first of some names, each of which may be cut."""
    shown = [name if len(name) <= 24 else f"{name[:23]}…" for name in names[:3]]
    return ", ".join([*shown, *(["..."] if len(names) > 3 else [])])


def _as_index(indices: Any) -> np.ndarray:
    array = np.asarray(list(indices) if isinstance(indices, range) else indices)
    return array if array.dtype == bool else array.astype(np.int64)


def _require_unicode(names: Iterable[str | None]) -> None:
    for name in dict.fromkeys(names):
        try:
            (name or "").encode()
        except UnicodeEncodeError:
            raise ImageError(f"the name {name!a} is not valid UTF-8; rename the file or folder") from None
