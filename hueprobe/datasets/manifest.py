"""A whole manifest: the content of its file, and hueprobe's record of it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from hueprobe.datasets.mask_schema import MaskFiles
from hueprobe.datasets.origin import License, Obtain, TorchvisionClass
from hueprobe.datasets.records import Record
from hueprobe.datasets.schema import Counts, Fact, Layout, SideTable, Slices
from hueprobe.datasets.words import Checksum, OptionalText, Text, require_address, require_path


class Document(Record, frozen=True, kw_only=True):
    """The content of a manifest's file, for one of its variants.

    Attributes
    ----------
    unverified : tuple of str, default=()
        Dotted keys whose facts could not be checked.
    checksums : dict of str to str, default={}
        Checksums (md5:... or sha256:...) by file below the set's folder.
    masks : MaskFiles, optional
        The masks of the images; None if the set has none.
    """

    title: Text
    authors: tuple[Text, ...] = ()
    year: Annotated[int, Meta(ge=1800, lt=1 << 62)] | None = None
    citation: OptionalText = ""
    homepage: OptionalText = ""
    task: OptionalText = ""
    corrections: tuple[Text, ...] = ()
    checked_against: tuple[Text, ...] = ()
    unverified: tuple[Text, ...] = ()
    license: License = msgspec.field(name="licence")
    obtain: Obtain
    torchvision: TorchvisionClass | None = None
    layout: Layout
    tables: tuple[SideTable, ...] = ()
    class_: Fact = msgspec.field(name="class", default_factory=Fact)
    group: Fact = msgspec.field(default_factory=Fact)
    split: Fact = msgspec.field(default_factory=Fact)
    counts: Counts = msgspec.field(default_factory=Counts)
    checksums: dict[str, Checksum] = msgspec.field(default_factory=dict)
    slices: Slices | None = None
    masks: MaskFiles | None = None

    def __post_init__(self) -> None:
        """Fill in the columns of facts, and reject contradictory keys."""
        require_address("homepage", self.homepage)
        for path in self.checksums:
            require_path(f"checksums.{path}", path)
        for key, fact in (("class", self.class_), ("group", self.group), ("split", self.split)):
            named = fact if fact.column else msgspec.structs.replace(fact, column=key)
            msgspec.structs.force_setattr(self, "class_" if key == "class" else key, named)
        for key, value in (("layout.kind", self.layout.kind), ("obtain.way", self.obtain.way)):
            if value == "torchvision" and self.torchvision is None:
                raise ValueError(f"{key}: is 'torchvision'; name the class in a table [torchvision]")
        if self.layout.kind == "tables" and not self.tables:
            raise ValueError("layout.kind: is 'tables'; describe at least one in [[tables]]")
        if self.masks is not None and self.layout.kind in ("torchvision", "volumes"):
            raise ValueError(f"masks: does not go with layout.kind {self.layout.kind!r}; leave it out")
        if (self.layout.kind == "volumes") != (self.slices is not None):
            raise ValueError(
                "slices: is required for layout.kind 'volumes' and only allowed there; give both or neither"
            )


class Manifest(Document, frozen=True, kw_only=True):
    """The description of a data set: source, license, layout, classes, splits and expected counts.

    Attributes
    ----------
    name : str
        Stem of the file's name, with `:variant` if one was requested.
    file : str
        The TOML file.
    shipped : bool, default=False
        Whether the manifest comes with hueprobe.
    variants : tuple of str, default=()
        Names of the variants, such as other official splits, loaded as `name:variant`.

    See Also
    --------
    hueprobe.datasets.load_manifest : Read a manifest.
    hueprobe.datasets.from_manifest : List the images of the data set.

    Examples
    --------
    >>> manifest = hp.datasets.load_manifest("dtd:2")
    >>> manifest.name, manifest.license.access, manifest.counts.splits
    ('dtd:2', 'research only', {'train': 1880, 'val': 1880, 'test': 1880})
    """

    name: str
    file: str
    shipped: bool = False
    variants: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        """The text that loads this manifest: its name or file, and the variant."""
        _, colon, variant = self.name.partition(":")
        return self.name if self.shipped else f"{self.file}{colon}{variant}"
