"""Pixels of any kind as 8-bit RGB."""

from typing import Any

import numpy as np
from PIL import Image

# Formats whose whole numbers PIL gives as 32 bits although the file means 0 to 65535.
_SIXTEEN_BIT_FORMATS = ("PNG", "PPM")


def image_as_rgb(image: Image.Image) -> Image.Image:
    """Return a PIL image of any mode in mode RGB.

    Transparency is dropped. Whole numbers of 16 bits are divided by 257. Floats between 0 and 1 are
    multiplied by 255; other floats and 32-bit whole numbers, whose white nobody knows, are stretched from
    their least to their greatest value.

    Raises
    ------
    ValueError
        Pixels are NaN or infinite.
    """
    if image.mode.startswith("I;16"):
        return _from_gray(np.asarray(image).astype(np.uint16))
    if image.mode == "I" and image.format in _SIXTEEN_BIT_FORMATS:
        return _from_gray(np.asarray(image).astype(np.uint16))
    if image.mode in ("I", "F"):
        values = np.asarray(image, np.float64)
        in_unit = image.mode == "F" and values.min() >= 0 and values.max() <= 1
        return _from_gray(values if in_unit else _stretched(values))
    if "transparency" in image.info:  # PIL would carry it along, or warn that it cannot
        image = image.copy()
        del image.info["transparency"]
    return image.convert("RGB")


def item_as_rgb(item: Any) -> Image.Image:
    """Return the image of a Dataset's item, `image` or `(image, label, ...)`, in mode RGB.

    Raises
    ------
    ValueError
        It is no PIL image, tensor (C, H, W) or ndarray (H, W) or (H, W, C) of uint8 or of floats in [0, 1].
    """
    image = item[0] if isinstance(item, tuple | list) else item
    if isinstance(image, Image.Image):
        return image_as_rgb(image)
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
