"""Reading one image as RGB, whatever its mode, and saying why where that fails."""

import contextlib
import hashlib
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from hueprobe.errors import HueprobeError, ImageError
from hueprobe.images.limits import PIXELS, max_image_bytes, max_pixels
from hueprobe.images.table import ImageTable

# EXIF orientation to the turn that undoes it; 1 is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Formats whose whole numbers PIL gives as 32 bits although the file means 0 to 65535.
_SIXTEEN_BIT_FORMATS = ("PNG", "PPM")
# What Pillow may take a file for, whatever its name. Of its other formats some hand the file to a program of
# the system (EPS to Ghostscript, which runs it), and few are known to anyone.
_FORMATS = (
    "JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "TGA", "PCX", "ICO", "SGI",
)  # fmt: skip
# As warnings.filters holds it: ignore any warning that a module of PIL gives.
_NOTHING_FROM_PIL = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


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
    """

    sha256: str
    width: int
    height: int
    readable: bool
    reason: str | None


def read_image(source: str | Path | bytes) -> tuple[Image.Image | None, ImageRecord]:
    """Read an image file, or the bytes of one, as upright RGB.

    Transparency is dropped, as torchvision's loader does. Of an animation the first frame is taken.
    Whole numbers of 16 bits are divided by 257. Floats between 0 and 1 are multiplied by 255; other
    floats and 32-bit whole numbers, whose white nobody knows, are stretched from their least to their
    greatest value. A file cut short is unreadable, also where most of it is there.

    Parameters
    ----------
    source : path or bytes

    Returns
    -------
    image : PIL image in mode RGB, or None where unreadable
    record : ImageRecord
    """
    with decoders_silenced():
        return _read(source)


@contextlib.contextmanager
def decoders_silenced() -> Iterator[None]:
    """Ignore in the block what PIL warns of, in any thread: an image with odd metadata is readable.

    One entry is put into the process's filters and taken out again. `warnings.catch_warnings` puts
    back the filters that it found, so threads that enter and leave it in turn would muddle them.
    """
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    filters.insert(0, _NOTHING_FROM_PIL)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # someone has put other filters there meanwhile
            warnings.filters.remove(_NOTHING_FROM_PIL)  # type: ignore[attr-defined]


def read_row(table: ImageTable, i: int) -> tuple[Image.Image | None, ImageRecord]:
    """Read row `i` of a table as `read_image` does, be it a file or the item of a Dataset.

    An item is taken as it comes: no EXIF orientation is applied to it. What PIL warns of is left to
    the caller, see `decoders_silenced`.

    Raises
    ------
    ImageError
        The row's Dataset is gone.
    """
    item = table.item(i)
    if item is None:
        return _read(table.file(i))
    try:
        image = _from_item(table.dataset[item])
    except Exception as error:  # as for a damaged file
        return _unreadable("", _one_line(error))
    pixels = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
    return image, ImageRecord(pixels, *image.size, readable=True, reason=None)


def show_image(table: ImageTable, i: int) -> Image.Image:
    """Return row `i` of a table as an upright RGB image.

    Raises
    ------
    ImageError
        It cannot be read; the message says why.
    """
    with decoders_silenced():
        image, record = read_row(table, i)
    if image is None:
        raise ImageError(f"cannot read image {table.paths[i]!r}: {record.reason}")
    return image


def _read(source: str | Path | bytes) -> tuple[Image.Image | None, ImageRecord]:
    data, reason = (source, None) if isinstance(source, bytes) else _read_bytes(source)
    if data is None:
        return _unreadable("", reason)
    digest = hashlib.sha256(data).hexdigest()
    if not data:
        return _unreadable(digest, "the file is empty")
    limit = max_pixels()
    try:
        with Image.open(io.BytesIO(data), formats=_known_formats()) as image:
            _require_credible(image, limit)
            decoded = _as_rgb(image)
            decoded = _upright(decoded, _orientation(image))  # known once decoded: a TIFF turns itself
    except UnidentifiedImageError:
        return _unreadable(digest, "not a picture of a known format")
    except Image.DecompressionBombError as error:
        return _unreadable(digest, f"{_one_line(error)}; where you trust it, set {PIXELS} to more")
    except Exception as error:  # decoders raise anything on damaged input
        return _unreadable(digest, _one_line(error))
    return decoded, ImageRecord(digest, *decoded.size, readable=True, reason=None)


@cache
def _known_formats() -> tuple[str, ...]:
    """Return those of `_FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _require_credible(image: Image.Image, limit: int | None) -> None:
    """Refuse an image too large to be true, of which PIL only warns up to twice its limit."""
    pixels = image.width * image.height
    if limit is not None and pixels > limit:
        raise Image.DecompressionBombError(
            f"Image size ({pixels} pixels) exceeds limit of {limit} pixels, could be decompression bomb DOS "
            "attack."
        )


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


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # EXIF that cannot be parsed tells no orientation
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_gray(np.asarray(image).astype(np.uint16))
    if image.mode == "I" and image.format in _SIXTEEN_BIT_FORMATS:
        return _from_gray(np.asarray(image).astype(np.uint16))
    if image.mode in ("I", "F"):
        values = np.asarray(image, np.float64)
        in_unit = image.mode == "F" and values.min() >= 0 and values.max() <= 1
        return _from_gray(values if in_unit else _stretched(values))
    return image.convert("RGB")


def _stretched(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ValueError("the picture has pixels that are NaN or infinite")
    low, high = values.min(), values.max()
    with np.errstate(over="ignore", invalid="ignore"):
        return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _from_gray(values: np.ndarray) -> Image.Image:
    return Image.fromarray(_to_eight_bits(values)).convert("RGB")


def _to_eight_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if values.dtype == bool:
        return values.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"pixels of type {values.dtype}; give uint8, or float between 0 and 1")
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(
            f"float pixels from {values.min():.3g} to {values.max():.3g}; give values between 0 and 1, "
            "before any normalisation"
        )
    return np.round(values.astype(np.float64) * 255).astype(np.uint8)


def _from_item(item: Any) -> Image.Image:
    """Return the image of a Dataset's item: `image` or `(image, label, ...)`."""
    image = item[0] if isinstance(item, tuple | list) else item
    if isinstance(image, Image.Image):
        return _as_rgb(image)
    is_tensor = hasattr(image, "detach")
    pixels = np.asarray(image.detach().cpu() if is_tensor else image)
    if is_tensor and pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))):
        raise ValueError(
            f"the item is a {type(image).__name__} of shape {tuple(np.shape(image))}; give a PIL image, "
            "a tensor (C, H, W) or an ndarray (H, W) or (H, W, C), C being 1, 3 or 4"
        )
    return Image.fromarray(np.ascontiguousarray(_to_eight_bits(pixels))).convert("RGB")
