"""What a data manifest says, as frozen dataclasses; `data_manifests/README.md` explains every key."""

from dataclasses import dataclass, field
from typing import Any

KINDS = ("class_folders", "split_folders", "pattern", "tables", "torchvision", "volumes")
WAYS = ("torchvision", "download", "by hand")
ACCESS = ("open", "research only", "on request", "private")
PLANES = ("axial", "coronal", "sagittal")
FORMATS = ("text", "csv", "mat")


@dataclass(frozen=True, kw_only=True)
class Licence:
    """Under what terms the set may be used."""

    name: str
    access: str
    conditions: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file to fetch: where from, how to know that it is whole, and where it goes below the root."""

    url: str
    bytes: int | None
    md5: str | None
    sha256: str | None
    to: str
    name: str
    unpack: bool


@dataclass(frozen=True, kw_only=True)
class Obtain:
    """How to come by the set; `steps` are for a person."""

    way: str
    steps: tuple[str, ...]
    files: tuple[Download, ...]


@dataclass(frozen=True, kw_only=True)
class TorchvisionClass:
    """A class of `torchvision.datasets` and, by split, the arguments it is called with beside `root`."""

    name: str
    calls: dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the files lie.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    folder : str
        The set's own folder below the root; side tables are relative to it. Empty: the root itself.
    images_folder : str
        The folder below `folder` that holds the class folders, or the images.
    pattern : str
        Regular expression that the whole path below `images_folder` must match; its named groups are columns.
    image_template : str
        For tables without a column `picture`: that path, with `{column}` or `{column:05d}`.
    exclude : tuple of str
        Globs of what lies there and is known not to belong to the set.
    others_allowed : bool
        Whether other files may lie there unnoticed.
    """

    kind: str
    folder: str
    images_folder: str
    pattern: str
    image_template: str
    exclude: tuple[str, ...]
    others_allowed: bool


@dataclass(frozen=True, kw_only=True)
class SideTable:
    """A file that lists something about images, a line a row.

    Attributes
    ----------
    file : str
        Relative to the set's folder.
    format : str
        One of `FORMATS`.
    columns : dict of str to str
        Our name to theirs: a header (csv), a variable or `variable.field` (mat), the place in a line (text).
    number : str
        Column that counts the rows from 1; empty for none.
    constants : dict of str to str
        Columns with the same value in every row.
    """

    file: str
    format: str
    columns: dict[str, str]
    number: str
    constants: dict[str, str]

    @property
    def key(self) -> str:
        """The column by which rows are looked up: the number, or else the first."""
        return self.number or next(iter(self.columns))

    @property
    def names(self) -> frozenset[str]:
        """All columns; tables of the same names continue each other."""
        return frozenset({*self.columns, *self.constants, self.number} - {""})


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Where class, group or split of an image is read.

    Attributes
    ----------
    column : str
        A named group of the pattern or a column of a side table.
    names : dict of str to str
        Value to the name it stands for; a value that is not listed stands for itself.
    every : int
        For images that only a running number tells apart: so many a class, in order.
    number : str
        The column that holds that number, from 1.
    in_order : tuple of str
        The names, first to last, for `every`.
    """

    column: str
    names: dict[str, str] = field(default_factory=dict)
    every: int = 0
    number: str = ""
    in_order: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a whole set comes to; None or empty where nothing is known.

    Attributes
    ----------
    images, classes : int or None
    splits, per_class : dict of str to int
        Images of each official split, and of each class.
    each_class : int or None
        Images of every class, where that is one number.
    class_names : tuple of str
        The classes, also where their sizes are not known.
    """

    images: int | None
    classes: int | None
    splits: dict[str, int]
    each_class: int | None
    per_class: dict[str, int]
    class_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Which slices of a volume become images.

    Attributes
    ----------
    plane : str
        One of `PLANES`.
    spacing : float
        Millimeters between slices.
    count : int
        Slices a volume, centered on its middle.
    window : (float, float)
        Intensities that become black and white: as they are, or percentiles of the voxels that are not 0.
    window_is_percentile : bool
    """

    plane: str
    spacing: float
    count: int
    window: tuple[float, float]
    window_is_percentile: bool


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that is known about a data set.

    Attributes
    ----------
    name : str
        The file's stem, with `:variant` where one was asked for.
    file : str
        The TOML file.
    shipped : bool
        Whether it came with hueprobe.
    unverified : tuple of str
        Dotted keys whose facts could not be checked.
    variants : tuple of str
        Other readings of the same files, asked for as `name:variant`.
    """

    name: str
    file: str
    shipped: bool
    title: str
    authors: tuple[str, ...]
    year: int | None
    citation: str
    homepage: str
    task: str
    corrections: tuple[str, ...]
    checked_against: tuple[str, ...]
    unverified: tuple[str, ...]
    licence: Licence
    obtain: Obtain
    torchvision: TorchvisionClass | None
    layout: Layout
    tables: tuple[SideTable, ...]
    class_: Fact
    group: Fact
    split: Fact
    counts: Counts
    checksums: dict[str, str]
    slices: Slices | None
    variants: tuple[str, ...]

    @property
    def spec(self) -> str:
        """What to type for this manifest: its name, or the file of one's own, and the variant."""
        _, colon, variant = self.name.partition(":")
        return self.name if self.shipped else f"{self.file}{colon}{variant}"
