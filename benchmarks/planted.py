"""Images changed on purpose, for `benchmarks.audit`: copies, bursts, and patches pasted into other images."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from hueprobe.images.visible import visible_box


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return an image as JPEG of this quality gives it back."""
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=quality)
        return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def cropped(image: Image.Image, side: float) -> Image.Image:
    """Return the middle of an image, with sides this much as long."""
    width, height = image.size
    left, top = round(width * (1 - side) / 2), round(height * (1 - side) / 2)
    return image.crop((left, top, width - left, height - top))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 50": lambda image: as_jpeg(image, 50),
    "JPEG, quality 10": lambda image: as_jpeg(image, 10),
    "half as wide and high": lambda image: image.resize((image.width // 2, image.height // 2)),
    "cropped to 95 %": lambda image: cropped(image, 0.95),
    "cropped to 80 %": lambda image: cropped(image, 0.8),
    "mirrored": ImageOps.mirror,
    "gray": lambda image: ImageOps.grayscale(image).convert("RGB"),
}


def frame(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return an image as a frame of a burst: 90 to 100 % of each side, up to 10 % brighter or darker."""
    side = rng.uniform(0.9, 1.0)
    width, height = round(image.width * side), round(image.height * side)
    left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
    part = image.crop((int(left), int(top), int(left) + width, int(top) + height))
    return ImageEnhance.Brightness(part).enhance(float(rng.uniform(0.9, 1.1)))


def with_patch(
    source: Image.Image,
    target: Image.Image,
    side: int,
    transform: dict[str, Any],
    rng: np.random.Generator,
) -> Image.Image:
    """Return an image with a square of another one, both at random places of what the network sees.

    Parameters
    ----------
    source, target : Image
        Where the square is from, and where it is pasted.
    side : int
        Its side in pixels of the network's input. It is resized so that it has this size in both images.
    transform : dict
        The memory's recorded transform.
    rng : Generator
        Chooses the places.
    """
    boxes = []
    for image in (source, target):
        left, top, right, _ = visible_box(image.size, transform["resize"], transform["crop"])
        scale = (right - left) / transform["crop"]  # pixels of the image per pixel of the input
        x, y = rng.uniform(0, transform["crop"] - side, 2)
        boxes.append((left + scale * x, top + scale * y, scale * side))
    (x, y, size), (into_x, into_y, into_size) = boxes
    patch = source.crop((round(x), round(y), round(x + size), round(y + size)))
    pasted = target.copy()
    pasted.paste(
        patch.resize((round(into_size),) * 2, Image.Resampling.BICUBIC), (round(into_x), round(into_y))
    )
    return pasted
