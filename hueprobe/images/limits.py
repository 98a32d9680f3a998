"""Limits on the size of input, against attacks and accidents; each limit can be raised.

A file of a few kilobytes can unpack to gigabytes: a PNG of 50,000 x 50,000 equal pixels, a zip of zeros. The
size in the header is compared with a limit before anything is unpacked. Users who trust a file raise the
limit by an environment variable.
"""

import os

from hueprobe.errors import InputError

PIXELS = "HUEPROBE_MAX_PIXELS"
UNPACKED = "HUEPROBE_MAX_UNPACKED"
# Uncompressed float32 in four channels.
_MOST_BYTES_A_PIXEL = 16
# Lists of numbers compress to a tenth, plain bitmaps to a hundredth; a bomb to a thousandth.
_MOST_EXPANSION, _ALWAYS_UNPACKED = 100, 64 << 20


def max_pixels() -> int | None:
    """Return the maximum number of pixels of an image, None for no limit.

    The limit is `HUEPROBE_MAX_PIXELS`, or by default Pillow's own `Image.MAX_IMAGE_PIXELS`, 89 million.

    Raises
    ------
    InputError
        If the variable is not a positive integer.
    """
    from PIL import Image

    requested = _requested(PIXELS)
    return Image.MAX_IMAGE_PIXELS if requested is None else requested


def max_image_bytes() -> int | None:
    """Return the maximum size of an image file in bytes: that of `max_pixels`, uncompressed."""
    pixels = max_pixels()
    return None if pixels is None else pixels * _MOST_BYTES_A_PIXEL + (1 << 20)


def max_unpacked(packed: int) -> int:
    """Return the maximum unpacked size, in bytes, of an archive of `packed` bytes.

    The limit is `HUEPROBE_MAX_UNPACKED`, or by default 64 MiB plus a hundred times the archive.

    Raises
    ------
    InputError
        If the variable is not a positive integer.
    """
    requested = _requested(UNPACKED)
    return _ALWAYS_UNPACKED + _MOST_EXPANSION * packed if requested is None else requested


def _requested(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text[:20]) > 0 and len(text) <= 20):
        raise InputError(f"{variable} is {text[:40]!r}; set it to a positive integer, or unset it")
    return int(text)
