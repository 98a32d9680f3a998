"""How large input may be before it is taken for an attack or an accident; each limit can be raised.

A file of some kilobytes can ask for gigabytes: a PNG of 50,000 x 50,000 equal pixels, a zip of zeros. What a
header asks for is compared with a limit before anything is unpacked. Who trusts a file raises the limit
by an environment variable.
"""

import os

from hueprobe.errors import InputError

PIXELS = "HUEPROBE_MAX_PIXELS"
UNPACKED = "HUEPROBE_MAX_UNPACKED"
# Uncompressed float32 in four channels.
_MOST_BYTES_A_PIXEL = 16
# Lists of numbers shrink to a tenth, plain bitmaps to a hundredth; a bomb to a thousandth.
_MOST_EXPANSION, _ALWAYS_UNPACKED = 100, 64 << 20


def max_pixels() -> int | None:
    """Return the pixels that an image may have, None for any number.

    `HUEPROBE_MAX_PIXELS`, or else Pillow's own `Image.MAX_IMAGE_PIXELS`, 89 million.

    Raises
    ------
    InputError
        The variable holds no positive whole number.
    """
    from PIL import Image

    requested = _requested(PIXELS)
    return Image.MAX_IMAGE_PIXELS if requested is None else requested


def max_image_bytes() -> int | None:
    """Return the bytes that an image's file may have: those of so many pixels, uncompressed."""
    pixels = max_pixels()
    return None if pixels is None else pixels * _MOST_BYTES_A_PIXEL + (1 << 20)


def max_unpacked(packed: int) -> int:
    """Return the bytes that may come out of an archive of `packed` bytes.

    `HUEPROBE_MAX_UNPACKED`, or else 64 MiB and a hundred times the archive.

    Raises
    ------
    InputError
        The variable holds no positive whole number.
    """
    requested = _requested(UNPACKED)
    return _ALWAYS_UNPACKED + _MOST_EXPANSION * packed if requested is None else requested


def _requested(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text[:20]) > 0 and len(text) <= 20):
        raise InputError(f"{variable} is {text[:40]!r}; give a positive whole number, or leave it out")
    return int(text)
