"""The part of a manifest that says where a set comes from: terms, downloads, torchvision's class."""

from hueprobe.datasets.fields import Fields, require_inside
from hueprobe.datasets.schema import ACCESS, WAYS, Download, Licence, Obtain, TorchvisionClass


def licence_of(fields: Fields) -> Licence:
    """Return the terms of table [licence]."""
    licence = Licence(
        name=fields.text("name"),
        access=fields.choice("access", ACCESS),
        conditions=fields.text("conditions", ""),
        url=fields.url("url", ""),
    )
    fields.close()
    return licence


def obtain_of(fields: Fields) -> Obtain:
    """Return the way to the set of table [obtain]."""
    way = fields.choice("way", WAYS)
    obtain = Obtain(
        way=way,
        steps=fields.texts("steps", required=way == "by hand"),
        files=tuple(_download(file) for file in fields.tables("files")),
    )
    if way == "download" and not obtain.files:
        fields.fail("files", "is missing; name each file in [[obtain.files]], or get the set by hand")
    if way != "download" and obtain.files:
        fields.fail("files", f"does not go with way {way!r}; only 'download' fetches them")
    fields.close()
    return obtain


def _download(fields: Fields) -> Download:
    url = fields.url("url")
    name = fields.path("name", "") or url.split("?")[0].rsplit("/", 1)[-1]
    if require_inside(name) or "/" in name:
        fields.fail("name", f"no file name can be made from {url!r}; give one")
    file = Download(
        url=url,
        bytes=fields.number("bytes", 0, minimum=1) or None,
        md5=fields.digest("md5", 32),
        sha256=fields.digest("sha256", 64),
        to=fields.path("to", ""),
        name=name,
        unpack=fields.flag("unpack", True),
    )
    fields.close()
    return file


def torchvision_of(fields: Fields) -> TorchvisionClass:
    """Return the class and its calls of table [torchvision]."""
    name = fields.text("class")
    if not name.isidentifier():
        fields.fail("class", f"{name!r} is no name of a class in torchvision.datasets")
    calls = fields.raw("calls", {})
    if not isinstance(calls, dict) or not calls or not all(isinstance(call, dict) for call in calls.values()):
        fields.fail("calls", "give the arguments of each split, such as calls.train = {train = true}")
    for split, call in calls.items():
        for argument, value in call.items():
            if type(value) not in (str, int, bool) or argument in ("root", "download"):
                fields.fail(
                    f"calls.{split}.{argument}", "give a string, a whole number or true/false; not the root"
                )
    fields.close()
    return TorchvisionClass(name=name, calls=calls)
