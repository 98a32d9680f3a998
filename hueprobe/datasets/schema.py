"""What a data manifest says, as frozen records; `data_manifests/README.md` explains every key."""

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
_MOST_SLICES = 10_000  # of one volume; each is a file
_FARTHEST = 1e6  # millimeters between slices


class Layout(Record, frozen=True, kw_only=True):
    """Where the files lie.

    Attributes
    ----------
    kind : str
    folder : str
        The set's own folder below the root; side tables are relative to it. Empty: the root itself.
    images_folder : str
        The folder below `folder` that holds the class folders, or the images; in the file `pictures`.
    pattern : str
        Regular expression that the whole path below `images_folder` must match; its named groups are columns.
    image_template : str
        For tables without a column `picture`: that path, with `{column}` or `{column:05d}`; in the file
        `picture`.
    exclude : tuple of str
        Globs of what lies there and is known not to belong to the set.
    others_allowed : bool
        Whether other files may lie there unnoticed.
    """

    kind: Kind
    folder: OptionalText = ""
    images_folder: OptionalText = msgspec.field(name="pictures", default="")
    pattern: OptionalText = ""
    image_template: OptionalText = msgspec.field(name="picture", default="")
    exclude: tuple[Text, ...] = ()
    others_allowed: bool = False

    def __post_init__(self) -> None:
        """Refuse paths that lead elsewhere, and keys that do not go with the kind."""
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
    """A file that lists something about images, a line a row.

    Attributes
    ----------
    file : str
        Relative to the set's folder.
    columns : tuple of str, or dict of str to str
        In text, the names of its columns; else our name to theirs: a header (csv), a variable or
        `variable.field` (mat).
    format : str, optional
        None where the file's ending tells it.
    number : str
        Column that counts the rows from 1; empty for none.
    constants : dict of str to str
        Columns with the same value in every row; in the file `set`.
    """

    file: Text
    columns: tuple[Text, ...] | dict[str, Text]
    format: Format | None = None
    number: OptionalText = ""
    constants: dict[str, Text] = msgspec.field(name="set", default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse paths that lead elsewhere, and columns of another form or that are there twice."""
        require_path("file", self.file)
        if not self.columns:
            raise ValueError("columns: name at least one column")
        if isinstance(self.columns, tuple) != (self.read_as == "text"):
            form = "a list of names" if self.read_as == "text" else "a table, such as {id = 'Header'}"
            raise ValueError(f"columns: give {form} for format {self.read_as!r}")
        if twice := set(self.columns) & {*self.constants, self.number}:
            raise ValueError(f"columns: has {sorted(twice)[0]!r}, which `set` or `number` gives as well")

    @property
    def read_as(self) -> Format:
        """The format, told by the file's ending where it is not given."""
        ending = self.file[self.file.rfind(".") :].lower() if "." in self.file else ""
        return self.format or _FORMAT_OF.get(ending, "text")

    @property
    def sources(self) -> dict[str, str]:
        """The columns, our name to theirs; of text, to the place in a line."""
        if isinstance(self.columns, dict):
            return self.columns
        return {column: str(i) for i, column in enumerate(self.columns)}

    @property
    def key(self) -> str:
        """The column by which rows are looked up: the number, or else the first."""
        return self.number or next(iter(self.columns))

    @property
    def names(self) -> frozenset[str]:
        """All columns; tables of the same names continue each other."""
        return frozenset({*self.columns, *self.constants, self.number} - {""})


class Fact(Record, frozen=True, kw_only=True):
    """Where class, group or split of an image is read.

    Attributes
    ----------
    column : str
        A named group of the pattern or a column of a side table; by default the one called like the fact.
    names : dict of str to str
        Value to the name it stands for; a value that is not listed stands for itself.
    every : int, optional
        For images that only a running number tells apart: so many a class, in order.
    number : str
        The column that holds that number, from 1.
    in_order : tuple of str
        The names, first to last, for `every`.
    """

    column: OptionalText = ""
    names: dict[str, Text] = msgspec.field(default_factory=dict)
    every: Positive | None = None
    number: OptionalText = ""
    in_order: tuple[Text, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a part of what belongs together."""
        if bool(self.every) + bool(self.number) + bool(self.in_order) not in (0, 3):
            raise ValueError("every: goes with `number` and `in_order`; give all three or none")


class Counts(Record, frozen=True, kw_only=True):
    """What a whole set comes to; None or empty where nothing is known.

    Attributes
    ----------
    images, classes : int, optional
    splits, per_class : dict of str to int
        Images of each official split, and of each class.
    each_class : int, optional
        Images of every class, where that is one number.
    class_names : tuple of str
        The classes, also where their sizes are not known.
    """

    images: Count | None = None
    classes: Count | None = None
    splits: dict[str, Count] = msgspec.field(default_factory=dict)
    each_class: Count | None = None
    per_class: dict[str, Count] = msgspec.field(default_factory=dict)
    class_names: tuple[Text, ...] = ()

    def __post_init__(self) -> None:
        """Name the classes whose sizes are known, and refuse numbers that contradict each other."""
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
    """Which slices of a volume become images.

    Attributes
    ----------
    plane : str
    spacing : float
        Millimeters between slices.
    count : int
        Slices a volume, centered on its middle.
    window : (float, float)
        What becomes black and white.
    window_is : str
        Whether that are intensities as they are, or percentiles of the voxels that are not 0.
    """

    plane: Plane
    spacing: Annotated[float, Meta(gt=0, le=_FARTHEST)]
    count: Annotated[int, Meta(ge=1, le=_MOST_SLICES)]
    window: Annotated[tuple[float, float], Meta(description="two rising numbers, black and white")]
    window_is: Literal["intensity", "percentile"] = "intensity"

    def __post_init__(self) -> None:
        """Refuse a window that is none."""
        low, high = self.window
        if not low < high:
            raise ValueError(f"window: is {[low, high]}; give two rising numbers, black and white")
        if self.window_is == "percentile" and not (low >= 0 and high <= 100):
            raise ValueError(f"window: is {[low, high]}; percentiles lie between 0 and 100")
