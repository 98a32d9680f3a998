"""Reading of one image as RGB, whatever its mode, with the reason if that fails."""

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
from hueprobe.images.rgb import image_of, item_as_rgb
from hueprobe.images.table import ImageTable
from hueprobe.images.value_range import ValueRange


@dataclass(frozen=True)
class ImageRecord:
    """The result of reading an image.

    Attributes
    ----------
    sha256 : str
        SHA-256 of the file's bytes, or of the RGB pixels of a Dataset's item; empty if nothing was read.
    width, height : int
        Size in pixels after applying the EXIF orientation; 0 if unreadable.
    readable : bool
        Whether the image was read.
    reason : str or None
        Why the image is unreadable; None for a readable one.
    noticed : Noticed
        Information lost in the conversion to 8-bit RGB; not stored in memories.

    See Also
    --------
    hueprobe.images.read_image : Read an image.

    Examples
    --------
    >>> image, record = read_image("images/circle/circle0.png")
    >>> record.width, record.height, record.reason is None
    (64, 64, True)
    """

    sha256: str
    width: int
    height: int
    readable: bool
    reason: str | None
    noticed: Noticed = field(default=NOTHING, compare=False, repr=False)

    def stored(self) -> dict[str, Any]:
        """Return the values that a memory stores, by name.

        Returns
        -------
        dict
            All attributes except `noticed`.

        Examples
        --------
        >>> image, record = read_image("images/circle/circle0.png")
        >>> list(record.stored())
        ['sha256', 'width', 'height', 'readable', 'reason']
        """
        names = ("sha256", "width", "height", "readable", "reason")
        return {name: getattr(self, name) for name in names}


def read_image(
    source: str | Path | bytes, *, value_range: Any = None
) -> tuple[Image.Image | None, ImageRecord]:
    """Read an image file, or its bytes, as upright 8-bit RGB.

    Transparency is dropped, like in torchvision's loader. Only the first frame of an animation is read. A
    truncated file is unreadable. Without a value range, 16-bit integers are divided by 257, and floats
    between 0 and 1 are multiplied by 255. Other floats and 32-bit integers, whose white value is unknown,
    are scaled from their minimum and maximum.

    Parameters
    ----------
    source : path or bytes
        Image file, or its content.
    value_range : int, str or (float, float), optional
        Values of black and white in images of more than 8 bits, as in `hueprobe.build_memory`. None uses
        the full range of the data type.

    Returns
    -------
    image : PIL image or None
        Image in mode RGB; None if unreadable.
    record : ImageRecord
        Hash and size of the image, or the reason why it is unreadable.

    See Also
    --------
    hueprobe.images.show_image : Return an image of a table, or raise an error.

    Examples
    --------
    >>> image, record = read_image("images/circle/circle0.png")
    >>> image.size, record.readable
    ((64, 64), True)
    >>> read_image(b"not an image")[1].reason
    'not an image of a known format'
    """
    black_and_white = ValueRange.of(value_range)
    data, reason = (source, None) if isinstance(source, bytes) else read_bytes(source)
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
        return _unreadable(digest, f"{_one_line(error)}; if you trust the file, increase {PIXELS}")
    except Exception as error:  # decoders raise anything on damaged input
        return _unreadable(digest, _one_line(error))
    return decoded, ImageRecord(digest, *decoded.size, readable=True, reason=None, noticed=noticed)


def read_row(table: ImageTable, i: int) -> tuple[Image.Image | None, ImageRecord]:
    """Read row `i` of a table, a file or an item of a Dataset, like `read_image`.

    A file is also found if its path has another Unicode form on disk. No EXIF orientation is applied to
    items, unless they are the bytes of a file.

    Parameters
    ----------
    table : ImageTable
        Table of the image.
    i : int
        Row of the image.

    Raises
    ------
    ImageError
        If the row's Dataset is missing.
    """
    item = table.item(i)
    if item is None:
        return read_image(OnDisk()(str(table.file(i))), value_range=table.value_range)
    try:
        read = table.dataset[item]
        content = image_of(read)
        rgb = None if isinstance(content, bytes) else item_as_rgb(read, table.value_range)
    except Exception as error:  # as for a damaged file
        return _unreadable("", _one_line(error))
    if rgb is None:
        return read_image(content, value_range=table.value_range)
    image, noticed = rgb
    pixels = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
    return image, ImageRecord(pixels, *image.size, readable=True, reason=None, noticed=noticed)


def content_hash(table: ImageTable, i: int) -> str | None:
    """Return the current sha256 of row `i`, as recorded by `read_row`; None if nothing can be read.

    Parameters
    ----------
    table : ImageTable
        Table of the image.
    i : int
        Row of the image.
    """
    if table.item(i) is not None:
        return read_row(table, i)[1].sha256 or None
    data, _ = read_bytes(table.file(i)) if table.roots[i] else (None, None)
    return None if data is None else hashlib.sha256(data).hexdigest()


def show_image(table: ImageTable, i: int) -> Image.Image:
    """Return row `i` of a table as an upright RGB image.

    Parameters
    ----------
    table : ImageTable
        Table of the image.
    i : int
        Row of the image.

    Returns
    -------
    PIL image
        The image in mode RGB.

    Raises
    ------
    ImageError
        If the image cannot be read; the message gives the reason.

    See Also
    --------
    hueprobe.images.read_image : Read an image file without raising an error.

    Examples
    --------
    >>> show_image(hp.images.from_folder("images"), 0).size
    (64, 64)
    """
    image, record = read_row(table, i)
    if image is None:
        raise ImageError(f"cannot read image {table.paths[i]!r}: {record.reason}")
    return image


def read_bytes(path: str | Path) -> tuple[bytes | None, str | None]:
    """Return a file's bytes, or None and the reason why they cannot be read."""
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):  # opening a pipe would wait forever
            return None, "not a file"
        most = max_image_bytes()
        if most is not None and info.st_size > most:
            return None, f"{info.st_size} bytes are too many for an image; if you trust it, increase {PIXELS}"
        return Path(path).read_bytes(), None
    except HueprobeError:
        raise
    except (OSError, ValueError) as error:
        return None, f"cannot be opened: {getattr(error, 'strerror', None) or error}"


def _unreadable(digest: str, reason: str | None) -> tuple[None, ImageRecord]:
    return None, ImageRecord(digest, 0, 0, readable=False, reason=reason)


def _one_line(error: Exception) -> str:
    """Return the error's text without addresses, which differ between runs."""
    text = " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", str(error)).split())
    return text[:200] or type(error).__name__
