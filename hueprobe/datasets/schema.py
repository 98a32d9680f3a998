"""Records of the tables in a data manifest; `data_manifests/README.md` explains every key."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from hueprobe.datasets.inside import require_inside
from hueprobe.datasets.records import MISSING, Record
from hueprobe.datasets.words import (
    Count,
    OptionalText,
    Positive,
    Text,
    require_path,
    require_regex,
)

Kind = Literal["class_folders", "split_folders", "pattern", "tables", "torchvision", "volumes"]
Format = Literal["text", "csv", "mat"]
Plane = Literal["axial", "coronal", "sagittal"]
_FORMAT_OF: dict[str, Format] = {".txt": "text", ".csv": "csv", ".mat": "mat"}
_MOST_SLICES = 10_000  # per volume; each is a file
_FARTHEST = 1e6  # millimeters between slices


class Layout(Record, frozen=True, kw_only=True):
    """The layout of the files on disk.

    Attributes
    ----------
    kind : str
        Kind of layout.
    folder : str, default=''
        The set's own folder below the root; side tables are relative to it. Empty: the root itself.
    images_folder : str, default=''
        Folder below `folder` that contains the class folders or images; key `pictures` in the file.
    pattern : str, default=''
        Regular expression that the whole path below `images_folder` must match; its named groups are columns.
    image_template : str, default=''
        For tables without a column `picture`: template of that path, with `{column}` or `{column:05d}`; key
        `picture` in the file.
    exclude : tuple of str, default=()
        Globs of files that are known not to belong to the set.
    others_allowed : bool, default=False
        Whether other files are accepted without a problem.
    """

    kind: Kind
    folder: OptionalText = ""
    images_folder: OptionalText = msgspec.field(name="pictures", default="")
    pattern: OptionalText = ""
    image_template: OptionalText = msgspec.field(name="picture", default="")
    exclude: tuple[Text, ...] = ()
    others_allowed: bool = False

    def __post_init__(self) -> None:
        """Reject paths that lead out of the folder, and keys that do not go with the kind."""
        require_path("folder", self.folder)
        require_path("pictures", self.images_folder)
        require_regex("pattern", self.pattern)
        if self.kind in ("pattern", "volumes") and not self.pattern:
            raise ValueError(f"pattern: {MISSING}; give a regular expression for kind {self.kind!r}")
        if self.pattern and self.kind in ("class_folders", "split_folders", "torchvision"):
            raise ValueError(f"pattern: does not go with kind {self.kind!r}; use kind 'pattern'")
        if self.image_template and self.kind != "tables":
            raise ValueError(f"picture: does not go with kind {self.kind!r}; use kind 'tables'")
        bare = re.sub(r"\{\w+(?::0?\d{0,2}d)?\}", "x", self.image_template)
        if bare and (why := require_inside(bare)):
            raise ValueError(
                f"picture: {self.image_template!r} is not allowed, {why}; write it as images/{{id:05d}}.jpg"
            )


class SideTable(Record, frozen=True, kw_only=True):
    """A file with information about images, one row per line.

    Attributes
    ----------
    file : str
        Path relative to the set's folder.
    columns : tuple of str, or dict of str to str
        For text, the names of its columns; otherwise our names to theirs: a header (csv), a variable or
        `variable.field` (mat).
    format : str, optional
        Format of the file; None to use the file's ending.
    number : str, default=''
        Column that counts the rows from 1; empty for none.
    constants : dict of str to str, default={}
        Columns with the same value in every row; key `set` in the file.
    """

    file: Text
    columns: tuple[Text, ...] | dict[str, Text]
    format: Format | None = None
    number: OptionalText = ""
    constants: dict[str, Text] = msgspec.field(name="set", default_factory=dict)

    def __post_init__(self) -> None:
        """Reject paths that lead out of the folder, and columns of the wrong form or that occur twice."""
        require_path("file", self.file)
        if not self.columns:
            raise ValueError("columns: name at least one column")
        if isinstance(self.columns, tuple) != (self.read_as == "text"):
            form = "a list of names" if self.read_as == "text" else "a table, such as {id = 'Header'}"
            raise ValueError(f"columns: give {form} for format {self.read_as!r}")
        if twice := set(self.columns) & {*self.constants, self.number}:
            raise ValueError(f"columns: has {sorted(twice)[0]!r}, which is also in `set` or `number`")

    @property
    def read_as(self) -> Format:
        """The format, from the file's ending if it is not given."""
        ending = self.file[self.file.rfind(".") :].lower() if "." in self.file else ""
        return self.format or _FORMAT_OF.get(ending, "text")

    @property
    def sources(self) -> dict[str, str]:
        """The columns, our names to theirs; for text, to the position in a line."""
        if isinstance(self.columns, dict):
            return self.columns
        return {column: str(i) for i, column in enumerate(self.columns)}

    @property
    def key(self) -> str:
        """The column by which rows are looked up: the number, or else the first column."""
        return self.number or next(iter(self.columns))

    @property
    def names(self) -> frozenset[str]:
        """All columns; tables with the same names are concatenated."""
        return frozenset({*self.columns, *self.constants, self.number} - {""})


class Fact(Record, frozen=True, kw_only=True):
    """The source of an image's class, group or split.

    Attributes
    ----------
    column : str, default=''
        Named group of the pattern or column of a side table; empty for the one with the name of the fact.
    names : dict of str to str, default={}
        Names by value; an unlisted value is its own name.
    every : int, optional
        For images identified only by a running number: the number of consecutive images per name. None
        for others.
    number : str, default=''
        Column with that number, from 1.
    in_order : tuple of str, default=()
        Names in order, for `every`.
    """

    column: OptionalText = ""
    names: dict[str, Text] = msgspec.field(default_factory=dict)
    every: Positive | None = None
    number: OptionalText = ""
    in_order: tuple[Text, ...] = ()

    def __post_init__(self) -> None:
        """Reject incomplete settings."""
        if bool(self.every) + bool(self.number) + bool(self.in_order) not in (0, 3):
            raise ValueError("every: goes with `number` and `in_order`; give all three or none")


class Counts(Record, frozen=True, kw_only=True):
    """Expected counts of a complete data set; None or empty if unknown.

    Attributes
    ----------
    images, classes : int, optional
        Number of images and of classes; None if unknown.
    splits, per_class : dict of str to int, default={}
        Number of images per official split, and per class.
    each_class : int, optional
        Number of images of every class if it is the same; None otherwise.
    class_names : tuple of str, default=()
        The classes, also if their sizes are unknown.
    """

    images: Count | None = None
    classes: Count | None = None
    splits: dict[str, Count] = msgspec.field(default_factory=dict)
    each_class: Count | None = None
    per_class: dict[str, Count] = msgspec.field(default_factory=dict)
    class_names: tuple[Text, ...] = ()

    def __post_init__(self) -> None:
        """Fill in the names of classes with known sizes, and reject contradictory numbers."""
        names = self.class_names or tuple(self.per_class)
        if self.per_class:
            total = sum(self.per_class.values())
            if self.images is not None and total != self.images:
                raise ValueError(f"per_class: sums up to {total}, but counts.images is {self.images}")
            if set(self.per_class) != set(names):
                raise ValueError("per_class: has other names than counts.class_names; leave that out")
        if self.classes is not None and len(names) not in (0, self.classes):
            key = "per_class" if self.per_class else "class_names"
            raise ValueError(f"{key}: names {len(set(names))} classes, but counts.classes is {self.classes}")
        if self.images is not None and sum(self.splits.values()) > self.images:
            raise ValueError(f"splits: sum up to more than counts.images, which is {self.images}")
        msgspec.structs.force_setattr(self, "class_names", names)


class Slices(Record, frozen=True, kw_only=True):
    """The slices of a volume that become images.

    Attributes
    ----------
    plane : str
        Plane of the slices: axial, coronal or sagittal.
    spacing : float
        Distance between slices in millimeters.
    count : int
        Number of slices per volume, centered on its middle.
    window : (float, float)
        Values that become black and white.
    window_is : str, default='intensity'
        Whether the window is in intensities, or in percentiles of the nonzero voxels.
    """

    plane: Plane
    spacing: Annotated[float, Meta(gt=0, le=_FARTHEST)]
    count: Annotated[int, Meta(ge=1, le=_MOST_SLICES)]
    window: Annotated[tuple[float, float], Meta(description="two rising numbers, black and white")]
    window_is: Literal["intensity", "percentile"] = "intensity"

    def __post_init__(self) -> None:
        """Reject an invalid window."""
        low, high = self.window
        if not low < high:
            raise ValueError(f"window: is {[low, high]}; give two rising numbers, black and white")
        if self.window_is == "percentile" and not (low >= 0 and high <= 100):
            raise ValueError(f"window: is {[low, high]}; percentiles lie between 0 and 100")
