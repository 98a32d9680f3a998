"""The part of a manifest that says where a set comes from: terms, downloads, torchvision's class."""

from typing import Literal

import msgspec

from hueprobe.datasets.inside import require_inside
from hueprobe.datasets.records import MISSING, Record
from hueprobe.datasets.words import (
    Md5,
    OptionalText,
    Positive,
    Sha256,
    Text,
    require_address,
    require_path,
)

Access = Literal["open", "research only", "on request", "private"]
Way = Literal["torchvision", "download", "by hand"]


class License(Record, frozen=True, kw_only=True):
    """Under what terms the set may be used."""

    name: Text
    access: Access
    conditions: OptionalText = ""
    url: OptionalText = ""

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        require_address("url", self.url)


class Download(Record, frozen=True, kw_only=True):
    """A file to fetch: where from, how to know that it is whole, and where it goes below the root.

    Attributes
    ----------
    url : str
    bytes : int, optional
    md5, sha256 : str, optional
        As far as they are known.
    to : str
        A folder below the root; the root itself where it is empty.
    name : str
        Of the file; the last part of the address where none is given.
    unpack : bool
        Whether an archive is unpacked.
    """

    url: Text
    bytes: Positive | None = None
    md5: Md5 | None = None
    sha256: Sha256 | None = None
    to: OptionalText = ""
    name: OptionalText = ""
    unpack: bool = True

    def __post_init__(self) -> None:
        """Refuse addresses and paths that are none; take the file's name from the address."""
        require_address("url", self.url)
        require_path("to", self.to)
        require_path("name", self.name)
        name = self.name or self.url.split("?")[0].rsplit("/", 1)[-1]
        if require_inside(name) or "/" in name:
            raise ValueError(f"name: no file name can be made from {self.url!r}; give one")
        msgspec.structs.force_setattr(self, "name", name)


class Obtain(Record, frozen=True, kw_only=True):
    """How to come by the set; `steps` are for a person."""

    way: Way
    steps: tuple[Text, ...] = ()
    files: tuple[Download, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a way that lacks what it needs."""
        if self.way == "by hand" and not self.steps:
            raise ValueError(f"steps: {MISSING}; give a list of what a person has to do")
        if self.way == "download" and not self.files:
            raise ValueError(f"files: {MISSING}; name each file in [[obtain.files]], or get the set by hand")
        if self.way != "download" and self.files:
            raise ValueError(f"files: does not go with way {self.way!r}; only 'download' fetches them")


class TorchvisionClass(Record, frozen=True, kw_only=True):
    """A class of `torchvision.datasets` and, by split, the arguments it is called with beside `root`."""

    name: Text = msgspec.field(name="class")
    calls: dict[str, dict[str, str | int | bool]]

    def __post_init__(self) -> None:
        """Refuse names that no class has, and arguments that are hueprobe's to give."""
        if not self.name.isidentifier():
            raise ValueError(f"class: {self.name!r} is no name of a class in torchvision.datasets")
        if not self.calls:
            raise ValueError("calls: give the arguments of each split, such as calls.train = {train = true}")
        for split, call in self.calls.items():
            if ours := [argument for argument in call if argument in ("root", "download")]:
                raise ValueError(f"calls.{split}.{ours[0]}: leave it out; the root is what the user says")
