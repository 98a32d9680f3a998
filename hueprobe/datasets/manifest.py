"""A whole manifest: what its file says, and the record of it that hueprobe works with."""

from typing import Annotated

import msgspec
from msgspec import Meta

from hueprobe.datasets.origin import License, Obtain, TorchvisionClass
from hueprobe.datasets.records import Record
from hueprobe.datasets.schema import Counts, Fact, Layout, SideTable, Slices
from hueprobe.datasets.words import Checksum, OptionalText, Text, require_address, require_path


class Document(Record, frozen=True, kw_only=True):
    """What the file of a manifest says, in one reading of it.

    Attributes
    ----------
    unverified : tuple of str
        Dotted keys whose facts could not be checked.
    checksums : dict of str to str
        File below the set's folder to md5:... or sha256:...
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

    def __post_init__(self) -> None:
        """Name the columns of facts, and refuse keys that contradict each other."""
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
        if (self.layout.kind == "volumes") != (self.slices is not None):
            raise ValueError(
                "slices: belongs to layout.kind 'volumes', and is needed there; give both or neither"
            )


class Manifest(Document, frozen=True, kw_only=True):
    """All that is known about a data set.

    Attributes
    ----------
    name : str
        The file's stem, with `:variant` where one was asked for.
    file : str
        The TOML file.
    shipped : bool
        Whether it came with hueprobe.
    variants : tuple of str
        Other readings of the same files, asked for as `name:variant`.
    """

    name: str
    file: str
    shipped: bool = False
    variants: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        """What to type for this manifest: its name, or the file of one's own, and the variant."""
        _, colon, variant = self.name.partition(":")
        return self.name if self.shipped else f"{self.file}{colon}{variant}"
