"""Decoding of image files to upright RGB, independent of the process's settings for Pillow and warnings.

Pillow warns of odd metadata while decoding, and limits the size of images by `Image.MAX_IMAGE_PIXELS`.
Both settings are global to the process. hueprobe does not change them, since they belong to its user and
affect other threads. So the limit on pixels is checked here, before anything is decoded. In rare cases
Pillow cannot decode an image in this process: it has odd metadata while warnings are errors, or it is larger
than Pillow's limit but not than the user's. Then this module is run as a separate program.
"""

import importlib
import io
import json
import struct
import sys
from dataclasses import asdict
from functools import cache

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from hueprobe.images.noticed import Noticed
from hueprobe.images.rgb import image_as_rgb
from hueprobe.images.value_range import ValueRange
from hueprobe.processes import run_module

# EXIF orientation -> transpose that undoes it; 1 is upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Formats that Pillow may recognize, whatever the file's name. Some other formats run programs of the system
# on the file (EPS runs Ghostscript), and most are rare.
_FORMATS = (
    "JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "QOI", "PSD", "DDS", "TGA",
    "PCX", "ICO", "SGI",
)  # fmt: skip
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_MOST_SECONDS = 300


def decode(
    data: bytes, limit: int | None, value_range: ValueRange | None = None
) -> tuple[Image.Image, Noticed]:
    """Decode a file's bytes to upright RGB (the first frame of an animation).

    Also returns the information lost in the conversion.

    Parameters
    ----------
    data : bytes
        Content of the file.
    limit : int or None
        Maximum number of pixels; None for no limit.
    value_range : ValueRange, optional
        Values of black and white in images of more than 8 bits; None for the full range.

    Raises
    ------
    UnidentifiedImageError
        If the format is unknown.
    DecompressionBombError
        If the image has too many pixels.
    Exception
        Anything that a decoder raises on damaged data.
    """
    try:
        return _decode(data, limit, value_range)
    except Warning as warning:  # an error only in this process
        return _decode_alone(data, limit, value_range, warning)
    except Image.DecompressionBombError as error:
        if isinstance(error, _TooManyPixels) or not _allows_more_than_pillow(limit):
            raise
        return _decode_alone(data, limit, value_range, error)


class _TooManyPixels(Image.DecompressionBombError):
    """Exceeds our own limit, not Pillow's."""


def _decode(data: bytes, limit: int | None, value_range: ValueRange | None) -> tuple[Image.Image, Noticed]:
    with opened(data) as image:
        require_pixels(image, limit)
        decoded, noticed = image_as_rgb(image, value_range)
        turn = UPRIGHT.get(orientation_of(image))  # known after decoding: a TIFF is rotated by its decoder
    return (decoded if turn is None else decoded.transpose(turn)), noticed


def require_pixels(image: Image.Image, limit: int | None) -> None:
    """Raise DecompressionBombError if an opened image has more pixels than the limit."""
    pixels = image.width * image.height
    if limit is not None and pixels > limit:
        raise _TooManyPixels(
            f"Image size ({pixels} pixels) exceeds limit of {limit} pixels, could be decompression bomb "
            "DOS attack."
        )


def opened(data: bytes) -> ImageFile.ImageFile:
    """Open an image by its header only, like `Image.open` without its limit."""
    for name in _known_formats():
        factory, accept = Image.OPEN[name]
        try:
            accepted = accept is None or accept(data[:16])
            if accepted and not isinstance(accepted, str):  # a string is the reason why this Pillow cannot
                return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # only the first bytes are of this format
            continue
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return _heif(data)
    raise UnidentifiedImageError("not an image of a known format")


def _heif(data: bytes) -> ImageFile.ImageFile:
    try:
        heif = importlib.import_module("pillow_heif")
    except ModuleNotFoundError:
        raise UnidentifiedImageError("a HEIC image; to read these: pip install pillow-heif") from None
    image: ImageFile.ImageFile = heif.HeifImageFile(io.BytesIO(data), "")
    return image


@cache
def _known_formats() -> tuple[str, ...]:
    """Return the `_FORMATS` that this Pillow supports."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of an image; 1 (upright) if it has none."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(orientation) if orientation in UPRIGHT else 1
    except Warning:
        raise
    except Exception:  # EXIF that cannot be parsed has no orientation
        return 1


def _allows_more_than_pillow(limit: int | None) -> bool:
    pillows = Image.MAX_IMAGE_PIXELS
    return pillows is not None and (limit is None or limit > pillows)


def _decode_alone(
    data: bytes, limit: int | None, value_range: ValueRange | None, error: Exception
) -> tuple[Image.Image, Noticed]:
    """Decode in a separate process; `error` is the failure in this one."""
    asked = json.dumps([limit, value_range and value_range.text])
    answer = run_module(__name__, asked, data=data, seconds=_MOST_SECONDS)
    if answer is None:
        raise error
    head, _, pixels = answer.partition(b"\n")
    said = json.loads(head)
    if "error" in said:
        raise _CLASSES.get(said["error"], ValueError)(said["text"])
    return Image.frombytes("RGB", tuple(said["size"]), pixels), Noticed(**said["noticed"])


_CLASSES: dict[str, type[Exception]] = {
    cls.__name__: cls for cls in (UnidentifiedImageError, Image.DecompressionBombError, _TooManyPixels)
}


def _main(limit: int | None, value_range: str | None) -> None:
    Image.MAX_IMAGE_PIXELS = limit  # of this process, which ends with the image
    out = sys.stdout.buffer
    try:
        image, noticed = _decode(sys.stdin.buffer.read(), limit, ValueRange.of(value_range))
    except Exception as error:
        said = {"error": type(error).__name__, "text": str(error) or type(error).__name__}
        out.write(json.dumps(said).encode() + b"\n")
    else:
        out.write(json.dumps({"size": image.size, "noticed": asdict(noticed)}).encode() + b"\n")
        out.write(image.tobytes())


if __name__ == "__main__":
    _main(*json.loads(sys.argv[1]))
