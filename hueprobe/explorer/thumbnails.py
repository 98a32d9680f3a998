"""Thumbnails: small WebP images of what the network saw."""

import base64
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from hueprobe.errors import ImageError, InputError
from hueprobe.images.reading import read_row
from hueprobe.images.table import ImageTable

if TYPE_CHECKING:
    from hueprobe.images.transform import Transform

_LARGEST = 1024  # pixels
FORMAT = "webp"


@dataclass(frozen=True)
class ThumbnailSettings:
    """Size and quality of thumbnails.

    Attributes
    ----------
    size : int, default=112
        Shorter side in pixels; a smaller image is not enlarged.
    quality : int, default=75
        Quality of the WebP compression, 1 to 100.

    Raises
    ------
    InputError
        A setting is out of range.
    """

    size: int = 112
    quality: int = 75

    def __post_init__(self) -> None:
        """Reject settings out of range."""
        if not 8 <= self.size <= _LARGEST:
            raise InputError(f"the thumbnail size is {self.size}; choose 8 to {_LARGEST} pixels")
        if not 1 <= self.quality <= 100:
            raise InputError(f"the thumbnail quality is {self.quality}; choose 1 to 100")


def thumbnail_bytes(image: Image.Image, transform: "Transform | None", settings: ThumbnailSettings) -> bytes:
    """Return the thumbnail of an image as the bytes of a WebP file.

    Parameters
    ----------
    image : PIL image
        An upright RGB image, as `hueprobe.images.show_image` returns it.
    transform : Transform or None
        The network's transform: the thumbnail shows what remains after resizing and cropping. None, for a
        transform that is not known, shows the whole image.
    settings : ThumbnailSettings
        Size and quality.

    Raises
    ------
    ImageError
        The transform cannot resize the image.
    """
    seen = image if transform is None else transform.sized(image)
    scale = settings.size / min(seen.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in seen.size)
        seen = seen.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    seen.save(file, FORMAT, quality=settings.quality, method=4)
    return file.getvalue()


@dataclass
class Thumbnails:
    """The thumbnails of a page: each image is read once, and equal thumbnails are held once.

    Attributes
    ----------
    settings : ThumbnailSettings
        Size and quality.
    pictures : list of bytes
        The thumbnails so far.
    missing : dict of str to str
        Paths of the images that could not be read, and why.
    """

    settings: ThumbnailSettings
    pictures: list[bytes] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    _place: dict[bytes, int] = field(default_factory=dict)
    _of_row: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def place(self, table: ImageTable, i: int, transform: "Transform | None") -> int:
        """Return the place in `pictures` of row `i` of a table; -1 if the image cannot be read.

        Parameters
        ----------
        table : ImageTable
            Table of the image.
        i : int
            Row of the image.
        transform : Transform or None
            See `thumbnail_bytes`.
        """
        source = table.roots[i] or f"dataset {id(table.dataset)}"
        key = (source, table.paths[i], repr(transform))
        if key not in self._of_row:
            self._of_row[key] = self._read(table, i, transform)
        return self._of_row[key]

    def _read(self, table: ImageTable, i: int, transform: "Transform | None") -> int:
        try:
            image, record = read_row(table, i)
            if image is None:
                raise ImageError(record.reason or "unreadable")
            made = thumbnail_bytes(image, transform, self.settings)
        except ImageError as error:
            self.missing[table.paths[i]] = str(error)
            return -1
        if made not in self._place:
            self._place[made] = len(self.pictures)
            self.pictures.append(made)
        return self._place[made]

    def to_json(self) -> list[str]:
        """Return the thumbnails as base64."""
        return [base64.b64encode(one).decode("ascii") for one in self.pictures]
