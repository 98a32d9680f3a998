"""The bytes of an image file to upright RGB, whatever this process has set for Pillow and for warnings.

Pillow warns of odd metadata in the middle of its work, and asks one number, `Image.MAX_IMAGE_PIXELS`, how
large an image may be. Both belong to the whole process and are not hueprobe's to change: its user has a say
in them, and other threads. So the limit on pixels is checked here, before anything is decoded. And the rare
image that Pillow cannot give here (it has odd metadata where warnings are errors, or is larger than Pillow
allows though not than its user does) is decoded by this module, run as a program of its own.
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
# What Pillow may take a file for, whatever its name. Of its other formats some hand the file to a program of
# the system (EPS to Ghostscript, which runs it), and few are known to anyone.
_FORMATS = (
    "JPEG", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "QOI", "PSD", "DDS", "TGA",
    "PCX", "ICO", "SGI",
)  # fmt: skip
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_MOST_SECONDS = 300


def decode(
    data: bytes, limit: int | None, value_range: ValueRange | None = None
) -> tuple[Image.Image, Noticed]:
    """Return the image that a file's bytes hold as upright RGB, of an animation the first frame.

    What it lost on the way comes with it.

    Parameters
    ----------
    data : bytes
    limit : int, optional
        The pixels that it may have; None for any number.
    value_range : ValueRange, optional
        Black and white of images of more than 8 bits.

    Raises
    ------
    UnidentifiedImageError
        It is of no format that is known here.
    DecompressionBombError
        It has more pixels.
    Exception
        Whatever a decoder raises on damaged data.
    """
    try:
        return _decode(data, limit, value_range)
    except Warning as warning:  # an error to this process alone
        return _decode_alone(data, limit, value_range, warning)
    except Image.DecompressionBombError as error:
        if isinstance(error, _TooManyPixels) or not _allows_more_than_pillow(limit):
            raise
        return _decode_alone(data, limit, value_range, error)


class _TooManyPixels(Image.DecompressionBombError):
    """By our own limit, not by Pillow's."""


def _decode(data: bytes, limit: int | None, value_range: ValueRange | None) -> tuple[Image.Image, Noticed]:
    with _opened(data) as image:
        pixels = image.width * image.height
        if limit is not None and pixels > limit:
            raise _TooManyPixels(
                f"Image size ({pixels} pixels) exceeds limit of {limit} pixels, could be decompression bomb "
                "DOS attack."
            )
        decoded, noticed = image_as_rgb(image, value_range)
        turn = _UPRIGHT.get(_orientation(image))  # known once decoded: a TIFF turns itself
    return (decoded if turn is None else decoded.transpose(turn)), noticed


def _opened(data: bytes) -> ImageFile.ImageFile:
    """Return a file's image, of which only the header was read, as `Image.open` does, but for its limit."""
    for name in _known_formats():
        factory, accept = Image.OPEN[name]
        try:
            accepted = accept is None or accept(data[:16])
            if accepted and not isinstance(accepted, str):  # a text says why this Pillow cannot
                return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # it only begins like this format
            continue
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return _heif(data)
    raise UnidentifiedImageError("not a picture of a known format")


def _heif(data: bytes) -> ImageFile.ImageFile:
    try:
        heif = importlib.import_module("pillow_heif")
    except ModuleNotFoundError:
        raise UnidentifiedImageError("a HEIC picture; to read these: pip install pillow-heif") from None
    image: ImageFile.ImageFile = heif.HeifImageFile(io.BytesIO(data), "")
    return image


@cache
def _known_formats() -> tuple[str, ...]:
    """Return those of `_FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(orientation) if orientation in _UPRIGHT else 1
    except Warning:
        raise
    except Exception:  # EXIF that cannot be parsed tells no orientation
        return 1


def _allows_more_than_pillow(limit: int | None) -> bool:
    pillows = Image.MAX_IMAGE_PIXELS
    return pillows is not None and (limit is None or limit > pillows)


def _decode_alone(
    data: bytes, limit: int | None, value_range: ValueRange | None, error: Exception
) -> tuple[Image.Image, Noticed]:
    """Decode in a process of its own; `error` is what hindered this one."""
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
