"""The part of a manifest about the source of a data set: license, downloads, class of torchvision."""

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
    """The terms of use of the data set."""

    name: Text
    access: Access
    conditions: OptionalText = ""
    url: OptionalText = ""

    def __post_init__(self) -> None:
        """Reject an invalid URL."""
        require_address("url", self.url)


class Download(Record, frozen=True, kw_only=True):
    """A file to fetch: its source, how to check that it is complete, and its place below the root.

    Attributes
    ----------
    url : str
        Source of the file.
    bytes : int, optional
        Size; None if unknown.
    md5, sha256 : str, optional
        Checksums; None if unknown.
    to : str, default=''
        Target folder below the root; empty for the root itself.
    name : str, default=''
        Name of the file; empty for the last part of the URL.
    unpack : bool, default=True
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
        """Reject invalid URLs and paths; derive the file's name from the URL."""
        require_address("url", self.url)
        require_path("to", self.to)
        require_path("name", self.name)
        name = self.name or self.url.split("?")[0].rsplit("/", 1)[-1]
        if require_inside(name) or "/" in name:
            raise ValueError(f"name: no file name can be derived from {self.url!r}; give one")
        msgspec.structs.force_setattr(self, "name", name)


class Obtain(Record, frozen=True, kw_only=True):
    """How to get the data set; `steps` are for a person."""

    way: Way
    steps: tuple[Text, ...] = ()
    files: tuple[Download, ...] = ()

    def __post_init__(self) -> None:
        """Reject a way without what it needs."""
        if self.way == "by hand" and not self.steps:
            raise ValueError(f"steps: {MISSING}; list what a person has to do")
        if self.way == "download" and not self.files:
            raise ValueError(f"files: {MISSING}; name each file in [[obtain.files]], or get the set by hand")
        if self.way != "download" and self.files:
            raise ValueError(f"files: does not go with way {self.way!r}; only 'download' fetches them")


class TorchvisionClass(Record, frozen=True, kw_only=True):
    """A class of `torchvision.datasets` and its arguments for each split, except `root`."""

    name: Text = msgspec.field(name="class")
    calls: dict[str, dict[str, str | int | bool]]

    def __post_init__(self) -> None:
        """Reject names that are not identifiers, and arguments that hueprobe sets itself."""
        if not self.name.isidentifier():
            raise ValueError(f"class: {self.name!r} cannot be the name of a class in torchvision.datasets")
        if not self.calls:
            raise ValueError("calls: give the arguments of each split, such as calls.train = {train = true}")
        for split, call in self.calls.items():
            if ours := [argument for argument in call if argument in ("root", "download")]:
                raise ValueError(f"calls.{split}.{ours[0]}: leave it out; hueprobe sets it")
