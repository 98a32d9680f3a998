"""Pixels of any kind as 8-bit RGB, and what is lost on the way."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from hueprobe.images.noticed import NOTHING, Noticed
from hueprobe.images.value_range import ValueRange

# Formats whose whole numbers PIL gives as 32 bits although the file means 0 to 65535.
_SIXTEEN_BIT_FORMATS = ("PNG", "PPM")
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_DARK = 16  # the upper 8 bits of 12


def image_as_rgb(image: Image.Image, value_range: ValueRange | None = None) -> tuple[Image.Image, Noticed]:
    """Return a PIL image of any mode in mode RGB, and what it lost.

    Transparency is dropped. Without a range whole numbers of 16 bits are divided by 257, floats between 0
    and 1 are multiplied by 255; other floats and 32-bit whole numbers, whose white nobody knows, are
    stretched from their least to their greatest value.

    Parameters
    ----------
    image : PIL image
    value_range : ValueRange, optional
        Black and white of all that has more than 8 bits.

    Raises
    ------
    ValueError
        Pixels are NaN or infinite.
    """
    is_short = image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BIT_FORMATS)
    if is_short:
        return _from_deep(np.asarray(image).astype(np.uint16), value_range)
    if image.mode in ("I", "F"):
        values = np.asarray(image, np.float64)
        in_unit = image.mode == "F" and values.min() >= 0 and values.max() <= 1
        if value_range is None:
            return _from_gray(values if in_unit else ValueRange(None).scaled(values)), NOTHING
        return _from_deep(values, value_range)
    halved = _has_sixteen_bits_a_color(image)
    noticed = Noticed(transparent=_is_transparent(image))
    if "transparency" in image.info:  # PIL would carry it along, or warn that it cannot
        image = image.copy()
        del image.info["transparency"]
    rgb = image.convert("RGB")
    if halved:
        greatest: Any = rgb.getextrema()
        noticed = replace(noticed, dark_colors=0 < max(high for _, high in greatest) < _DARK)
    return rgb, noticed


def item_as_rgb(item: Any, value_range: ValueRange | None = None) -> tuple[Image.Image, Noticed]:
    """Return the image of a Dataset's item in mode RGB, and what it lost.

    Parameters
    ----------
    item : PIL image, tensor or ndarray, tuple or mapping
        `image`, `(image, label, ...)` or `{"image": image, ...}`.
    value_range : ValueRange, optional
        As for `image_as_rgb`.

    Raises
    ------
    ValueError
        It is no PIL image, tensor (C, H, W) or ndarray (H, W) or (H, W, C) of uint8 or of floats in [0, 1].
    """
    image = image_of(item)
    if isinstance(image, Image.Image):
        return image_as_rgb(image, value_range)
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
    noticed = NOTHING
    if pixels.dtype != np.uint8 and pixels.dtype != bool and (value_range or pixels.dtype == np.uint16):
        pixels, noticed = _scaled(pixels, value_range)
    rgb, also = image_as_rgb(Image.fromarray(np.ascontiguousarray(_to_eight_bits(pixels))))
    return rgb, replace(noticed, transparent=also.transparent)


# Under which names collections keep the image of an item that is a mapping.
IMAGE_KEYS = ("image", "img", "pixel_values", "picture", "jpg", "png")


def image_of(item: Any) -> Any:
    """Return the image of a Dataset's item: the first of a tuple, that of a mapping, or the item itself.

    Raises
    ------
    ValueError
        A mapping keeps none under a name that is known.
    """
    if isinstance(item, Mapping):
        for key in IMAGE_KEYS:
            if key in item:
                return item[key]
        raise ValueError(
            f"the item has the keys {', '.join(map(repr, list(item)[:8]))}; its image must be under 'image'"
        )
    return item[0] if isinstance(item, tuple | list) else item


def _has_sixteen_bits_a_color(image: Image.Image) -> bool:
    """Whether a file that was opened and not yet read holds 16 bits a channel, of which PIL reads 8."""
    tiles = getattr(image, "tile", None) or []
    return any(";16" in str(tile[3]) for tile in tiles if len(tile) > 3)


def _is_transparent(image: Image.Image) -> bool:
    if image.mode not in _WITH_ALPHA and "transparency" not in image.info:
        return False
    if image.mode not in _WITH_ALPHA:
        image = image.convert("RGBA")
    extrema: Any = image.getchannel(image.getbands()[-1]).getextrema()
    return bool(extrema[0] < 255)


def _from_deep(values: np.ndarray, value_range: ValueRange | None) -> tuple[Image.Image, Noticed]:
    scaled, noticed = _scaled(values, value_range)
    return _from_gray(scaled), noticed


def _scaled(values: np.ndarray, value_range: ValueRange | None) -> tuple[np.ndarray, Noticed]:
    """Return values of more than 8 bits as they are, or brought to 0 to 1; and what is to say of them."""
    if value_range is None:
        return values, Noticed(greatest=int(values.max()) if values.ndim == 2 else None)
    scaled = value_range.scaled(values)
    return scaled, Noticed(cut=value_range.cuts(float(values.min()), float(values.max())))


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
