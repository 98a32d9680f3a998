"""Reading one image as RGB, whatever its mode, and saying why where that fails."""

import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from hueprobe.errors import HueprobeError, ImageError
from hueprobe.images.decoding import decode
from hueprobe.images.limits import PIXELS, max_image_bytes, max_pixels
from hueprobe.images.names import OnDisk
from hueprobe.images.noticed import NOTHING, Noticed
from hueprobe.images.rgb import item_as_rgb
from hueprobe.images.table import ImageTable
from hueprobe.images.value_range import ValueRange


@dataclass(frozen=True)
class ImageRecord:
    """What was learnt while reading an image.

    Attributes
    ----------
    sha256 : str
        Of the file's bytes; of the RGB pixels for the item of a Dataset; empty where nothing was read.
    width, height : int
        Pixels after the EXIF orientation is applied; 0 where unreadable.
    readable : bool
    reason : str or None
        Why not.
    noticed : Noticed
        What it lost on the way to 8-bit RGB; no memory keeps it.
    """

    sha256: str
    width: int
    height: int
    readable: bool
    reason: str | None
    noticed: Noticed = field(default=NOTHING, compare=False, repr=False)

    def stored(self) -> dict[str, Any]:
        """Return what a memory keeps of it, by name."""
        names = ("sha256", "width", "height", "readable", "reason")
        return {name: getattr(self, name) for name in names}


def read_image(
    source: str | Path | bytes, *, value_range: Any = None
) -> tuple[Image.Image | None, ImageRecord]:
    """Read an image file, or the bytes of one, as upright RGB.

    Transparency is dropped, as torchvision's loader does. Of an animation the first frame is taken.
    Without a range whole numbers of 16 bits are divided by 257. Floats between 0 and 1 are multiplied by
    255; other floats and 32-bit whole numbers, whose white nobody knows, are stretched from their least to
    their greatest value. A file cut short is unreadable, also where most of it is there.

    Parameters
    ----------
    source : path or bytes
    value_range : int, str or (float, float), optional
        Black and white of images of more than 8 bits, as in `hueprobe.build_memory`.

    Returns
    -------
    image : PIL image in mode RGB, or None where unreadable
    record : ImageRecord
    """
    black_and_white = ValueRange.of(value_range)
    data, reason = (source, None) if isinstance(source, bytes) else _read_bytes(source)
    if data is None:
        return _unreadable("", reason)
    digest = hashlib.sha256(data).hexdigest()
    if not data:
        return _unreadable(digest, "the file is empty")
    limit = max_pixels()
    try:
        decoded, noticed = decode(data, limit, black_and_white)
    except UnidentifiedImageError as error:
        return _unreadable(digest, _one_line(error))
    except Image.DecompressionBombError as error:
        return _unreadable(digest, f"{_one_line(error)}; where you trust it, set {PIXELS} to more")
    except Exception as error:  # decoders raise anything on damaged input
        return _unreadable(digest, _one_line(error))
    return decoded, ImageRecord(digest, *decoded.size, readable=True, reason=None, noticed=noticed)


def read_row(table: ImageTable, i: int) -> tuple[Image.Image | None, ImageRecord]:
    """Read row `i` of a table as `read_image` does, be it a file or the item of a Dataset.

    A file is found too where its path is spelled in another Unicode form on disk. An item is taken as it
    comes: no EXIF orientation is applied to it.

    Parameters
    ----------
    table : ImageTable
    i : int

    Raises
    ------
    ImageError
        The row's Dataset is gone.
    """
    item = table.item(i)
    if item is None:
        return read_image(OnDisk()(str(table.file(i))), value_range=table.value_range)
    try:
        image, noticed = item_as_rgb(table.dataset[item], table.value_range)
    except Exception as error:  # as for a damaged file
        return _unreadable("", _one_line(error))
    pixels = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
    return image, ImageRecord(pixels, *image.size, readable=True, reason=None, noticed=noticed)


def content_hash(table: ImageTable, i: int) -> str | None:
    """Return the sha256 that `read_row` records of row `i` as it is now; None where nothing can be read.

    Parameters
    ----------
    table : ImageTable
    i : int
    """
    if table.item(i) is not None:
        return read_row(table, i)[1].sha256 or None
    data, _ = _read_bytes(table.file(i)) if table.roots[i] else (None, None)
    return None if data is None else hashlib.sha256(data).hexdigest()


def show_image(table: ImageTable, i: int) -> Image.Image:
    """Return row `i` of a table as an upright RGB image.

    Parameters
    ----------
    table : ImageTable
    i : int

    Raises
    ------
    ImageError
        It cannot be read; the message says why.
    """
    image, record = read_row(table, i)
    if image is None:
        raise ImageError(f"cannot read image {table.paths[i]!r}: {record.reason}")
    return image


def _read_bytes(path: str | Path) -> tuple[bytes | None, str | None]:
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):  # opening a pipe would wait for ever
            return None, "not a file"
        most = max_image_bytes()
        if most is not None and info.st_size > most:
            return None, f"{info.st_size} bytes are more than a picture has; where you trust it, set {PIXELS}"
        return Path(path).read_bytes(), None
    except HueprobeError:
        raise
    except (OSError, ValueError) as error:
        return None, f"cannot be opened: {getattr(error, 'strerror', None) or error}"


def _unreadable(digest: str, reason: str | None) -> tuple[None, ImageRecord]:
    return None, ImageRecord(digest, 0, 0, readable=False, reason=reason)


def _one_line(error: Exception) -> str:
    """Return the error's text without addresses, which would differ from run to run."""
    text = " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", str(error)).split())
    return text[:200] or type(error).__name__
