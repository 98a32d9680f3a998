"""The image table: images in a fixed order, each with its class, split and group."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.arguments import as_names
from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images.columns import joined, number_column, text_column
from hueprobe.images.name_columns import NameColumn, name_column
from hueprobe.images.names import normal_name, normalized, warn_of_names
from hueprobe.images.value_range import ValueRange

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = ("paths", "roots", "classes", "splits", "groups", "sizes")
_COLUMNS = ("path", "root", "class", "split", "group", "size")
_KINDS = dict(zip(_ROWS, (text_column, *[name_column] * 4, number_column), strict=True))
_NAMES = {"classes": "class", "splits": "split", "groups": "group"}
_ITEM = "item-"


@dataclass(frozen=True, repr=False)
class ImageTable:
    """A list of n images; everywhere else, images are identified by their row number.

    The columns may be given as any sequences. They become immutable sequences that compare like tuples, but
    are held in arrays, so that a table of a million images is small.

    Attributes
    ----------
    paths : sequence of str
        Path of each image relative to its root, with `/` between its parts.
    roots : sequence of str
        Absolute folder of each image; empty for images that are not files (items of a Dataset, arrays).
    classes : sequence of (str or None)
        Class of each image. Names of classes, splits and groups are normalized (Unicode NFC, no space at
        the ends), with a warning if that changes any.
    splits : sequence of (str or None)
        Split of each image, such as `"train"`.
    groups : sequence of (str or None)
        Group of images that belong together, such as a subject or a family.
    sizes : sequence of int
        Size of each file in bytes; -1 if unknown.
    dataset : torch Dataset, optional
        Dataset that the items come from, with the path `"item-0000012"` for item 12; None for files.
    value_range : ValueRange, optional
        Values that are read as black and white in images of more than 8 bits, in any form that
        `hueprobe.build_memory` accepts. None uses the full range of the data type.

    Raises
    ------
    ShapeError
        If the columns differ in length.
    ImageError
        If a name is not valid Unicode, so that neither Parquet nor JSON can store it.

    See Also
    --------
    hueprobe.images.resolve_images : Create a table from a folder, table file, Dataset or manifest.

    Examples
    --------
    >>> table = hp.images.from_folder("images")
    >>> len(table), table.class_names, table.paths[0]
    (12, ('circle', 'square', 'triangle'), 'circle/circle0.png')
    """

    paths: Sequence[str]
    roots: Sequence[str]
    classes: Sequence[str | None]
    splits: Sequence[str | None]
    groups: Sequence[str | None]
    sizes: Sequence[int]
    dataset: Any = field(default=None, compare=False)
    value_range: ValueRange | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Reject columns of different lengths and names that cannot be stored; normalize names."""
        lengths = {name: len(getattr(self, name)) for name in _ROWS}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"columns of an image table differ in length: {lengths}")
        for name, column in _KINDS.items():
            object.__setattr__(self, name, column(getattr(self, name)))
        object.__setattr__(self, "value_range", ValueRange.of(self.value_range))
        changed = {name: normalized(self._column(name).unusual()) for name in _NAMES}
        for name, normal in changed.items():
            if normal:
                object.__setattr__(self, name, self._column(name).renamed(normal))
        warn_of_names({_NAMES[name]: normal for name, normal in changed.items()}, stacklevel=3)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __repr__(self) -> str:
        """Return one line with the folder, the number of images, classes, splits and groups."""
        parts = [f"{len(self):,} images"]
        if names := self.class_names:
            parts.append(f"{len(names):,} classes ({_few(names)})")
        if splits := {name: n for name, n in self._column("splits").counts().items() if name is not None}:
            parts.append(f"splits {_few([f'{name} {splits[name]:,}' for name in sorted(splits)])}")
        if n_groups := len(self._column("groups").present()):
            parts.append(f"{n_groups:,} groups")
        folders = set(self._column("roots").occurring()) - {""}
        return (
            f"<ImageTable {os.path.commonpath(folders) if folders else 'without files'}: {', '.join(parts)}>"
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The distinct classes, sorted by code point."""
        return tuple(sorted(self._column("classes").occurring()))

    @property
    def labeled(self) -> bool:
        """Whether there are images and every one has a class."""
        return len(self) > 0 and None not in self.classes

    def _column(self, name: str) -> NameColumn:
        """Return the column of classes, splits, groups or roots."""
        return name_column(getattr(self, name))

    def file(self, i: int) -> Path:
        """Return the file of row `i`.

        Parameters
        ----------
        i : int
            Row of the image.

        Returns
        -------
        Path
            Absolute path of the file.

        Raises
        ------
        ImageError
            If the row is not a file but an item of a Dataset or an array.

        Examples
        --------
        >>> hp.images.from_folder("images").file(0).name
        'circle0.png'
        """
        if not self.roots[i]:
            raise ImageError(f"image {self.paths[i]!r} is no file; pass its Dataset again, or the images")
        return Path(self.roots[i], self.paths[i])

    def item(self, i: int) -> int | None:
        """Return the index of row `i` in `dataset`, or None.

        Parameters
        ----------
        i : int
            Row of the image.

        Returns
        -------
        int or None
            None if the row is a file, or if the table has no Dataset.

        Examples
        --------
        >>> gray = np.zeros((8, 8), np.uint8)
        >>> hp.images.from_dataset([(gray, "cat"), (gray, "dog")]).item(1)
        1
        """
        if self.roots[i] or self.dataset is None or not self.paths[i].startswith(_ITEM):
            return None
        return int(self.paths[i].removeprefix(_ITEM))

    def select(self, indices: Any) -> "ImageTable":
        """Return a table of some rows, in the given order.

        Parameters
        ----------
        indices : slice, ndarray of bool, shape (n,), or sequence of int
            Rows to keep: a slice, a mask, or row numbers.

        Returns
        -------
        ImageTable
            The selected rows.

        Examples
        --------
        >>> hp.images.from_folder("images").select([8, 0]).paths
        ('triangle/triangle0.png', 'circle/circle0.png')
        """
        if not isinstance(indices, slice):
            indices = np.arange(len(self))[_as_index(indices)]
        columns: dict[str, Any] = {name: getattr(self, name).take(indices) for name in _ROWS}
        return replace(self, **columns)

    def where_split(self, name: str) -> "ImageTable":
        """Return the rows of one split, in order.

        Parameters
        ----------
        name : str
            Name of the split.

        Returns
        -------
        ImageTable
            Rows of that split.

        Raises
        ------
        InputError
            If there is no row of that split; the message lists the existing ones.

        Examples
        --------
        >>> halves = hp.images.split_table(hp.images.from_folder("images"), train=0.5, seed=0)
        >>> len(halves.where_split("train"))
        6
        """
        name = normal_name(name)
        rows = np.flatnonzero(self._column("splits").where(name))
        if not len(rows):
            present = sorted(self._column("splits").occurring())
            known = f"choose one of: {', '.join(present)}" if present else "these images have no splits"
            raise InputError(f"no image in split {name!r}; {known}")
        return self.select(rows)

    def relocated(self, root: str | Path) -> "ImageTable":
        """Return the table for images that were moved to another folder.

        Parameters
        ----------
        root : path
            New location of the folder that was common to all roots.

        Returns
        -------
        ImageTable
            The same rows with new roots.

        Raises
        ------
        ImageError
            If `root` is not a folder.

        Examples
        --------
        >>> table = hp.images.from_folder("images")
        >>> import os
        >>> os.rename("images", "moved")
        >>> table.relocated("moved").file(0).is_file()
        True
        """
        new = os.path.abspath(root)
        if not os.path.isdir(new):
            raise ImageError(f"no folder at {str(root)!r}; give the folder where the images are now")
        old = {folder for folder in self._column("roots").occurring() if folder}
        if not old:
            return self
        common = os.path.commonpath(old)
        moved = {
            folder: os.path.normpath(os.path.join(new, os.path.relpath(folder, common))) for folder in old
        }
        return replace(self, roots=self._column("roots").renamed(moved))

    @classmethod
    def concatenate(cls, tables: Iterable["ImageTable"]) -> "ImageTable":
        """Concatenate tables, in the given order.

        Parameters
        ----------
        tables : iterable of ImageTable
            At least one table; they may share at most one Dataset.

        Returns
        -------
        ImageTable
            Rows of all tables.

        Raises
        ------
        InputError
            If there is no table, or if tables have different Datasets or value ranges.

        Examples
        --------
        >>> tables = [hp.images.from_folder(folder) for folder in ("images", "others")]
        >>> len(ImageTable.concatenate(tables))
        18
        """
        tables = list(tables)
        if not tables:
            raise InputError("no image tables to concatenate; give at least one")
        datasets = {id(table.dataset): table.dataset for table in tables if table.dataset is not None}
        if len(datasets) > 1:
            raise InputError(
                f"{len(datasets)} Datasets for one image table; join them with torch's ConcatDataset"
            )
        ranges = {table.value_range for table in tables}
        if len(ranges) > 1:
            raise InputError("the tables have different value ranges; give them the same value_range")
        columns: dict[str, Any] = {name: joined([getattr(table, name) for table in tables]) for name in _ROWS}
        return cls(**columns, dataset=next(iter(datasets.values()), None), value_range=ranges.pop())

    def to_arrow(self) -> "pa.Table":
        """Convert to an Arrow table.

        Returns
        -------
        pyarrow.Table
            Columns image (int64, the row), path, root, class, split, group (string) and size (int64).

        See Also
        --------
        hueprobe.images.save_table : Write a table to a file.

        Examples
        --------
        >>> hp.images.from_folder("images").to_arrow().column_names
        ['image', 'path', 'root', 'class', 'split', 'group', 'size']
        """
        import pyarrow as pa

        columns = {
            column: pa.array(getattr(self, name), pa.int64() if name == "sizes" else pa.string())
            for column, name in zip(_COLUMNS, _ROWS, strict=True)
        }
        return pa.table({"image": pa.array(np.arange(len(self)), pa.int64()), **columns})

    @classmethod
    def from_arrow(cls, table: "pa.Table") -> "ImageTable":
        """Convert an Arrow table from `to_arrow` back; the Dataset of items is not restored.

        Parameters
        ----------
        table : pyarrow.Table
            Table with the columns that `to_arrow` writes.

        Returns
        -------
        ImageTable
            The image table.

        Raises
        ------
        InputError
            If a column is missing.

        Examples
        --------
        >>> table = hp.images.from_folder("images")
        >>> ImageTable.from_arrow(table.to_arrow()) == table
        True
        """
        if missing := [name for name in _COLUMNS if name not in table.column_names]:
            raise InputError(f"no column {', '.join(map(repr, missing))} among {table.column_names}")
        columns: list[Any] = [table[name] for name in _COLUMNS]
        return cls(*columns)


def unfiled_table(
    n: int,
    *,
    names: Sequence[str] | None = None,
    classes: Sequence[str | None] | None = None,
    groups: Sequence[str | None] | None = None,
) -> ImageTable:
    """Return the table of n images that are not files, such as arrays of activations.

    Parameters
    ----------
    n : int
        Number of images.
    names, classes, groups : sequence, length n, optional
        Names, classes and groups; integers are converted to their digits. Names default to
        `array-0000000` and so on; classes and groups to none.

    Raises
    ------
    InputError
        If a value is neither a name nor an integer (classes and groups may be missing).
    ShapeError
        If a sequence has another length.
    """
    none = (None,) * n
    given = {"names": names, "classes": classes, "groups": groups}
    told = {what: none if values is None else as_names(what, values) for what, values in given.items()}
    for what, values in told.items():
        if len(values) != n:
            raise ShapeError(f"{len(values)} {what} for {n} activation arrays; give one per array")
    named = tuple(name for name in told["names"] if name is not None)
    if names is not None and len(named) < n:
        raise InputError(f"no name at position {told['names'].index(None)}; give a name for each array")
    return ImageTable(
        paths=named if names is not None else tuple(f"array-{i:07d}" for i in range(n)),
        roots=("",) * n,
        classes=told["classes"],
        splits=none,
        groups=told["groups"],
        sizes=(-1,) * n,
    )


def from_items(dataset: Any, classes: Sequence[str | None]) -> ImageTable:
    """Return the table of a Dataset's items, with one class (or None) per item."""
    n = len(classes)
    none = (None,) * n
    paths = tuple(f"{_ITEM}{i:07d}" for i in range(n))
    return ImageTable(paths, ("",) * n, tuple(classes), none, none, (-1,) * n, dataset=dataset)


def _few(names: Sequence[str]) -> str:
    """Return the first few names, abbreviated."""
    shown = [name if len(name) <= 24 else f"{name[:23]}…" for name in names[:3]]
    return ", ".join([*shown, *(["..."] if len(names) > 3 else [])])


def _as_index(indices: Any) -> np.ndarray:
    array = np.asarray(indices)
    return array if array.dtype == bool else array.astype(np.int64)
