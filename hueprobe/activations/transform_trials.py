"""Trials of a transform: its output on a generated image, and whether it is the same every time."""

import contextlib
import hashlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from hueprobe.activations.blueprint import ImageTransform
from hueprobe.errors import HueprobeError
from hueprobe.images.transform import Transform, apply_transform

N_TRIES = 8  # for a transform that may be random: a fair coin is detected 127 times out of 128
SECONDS = 0.5  # time budget for the tries; there are always at least two
_COARSE, _FINE = 32, 4  # sides in pixels of the squares in a generated image
_SAME = 1e-4  # tolerance, a fraction of the output's range: threads may add in another order


@dataclass(frozen=True, eq=False)
class Trial:
    """Result of applying a transform to a generated image.

    Attributes
    ----------
    output : ndarray of shape (channels, h, w), float32, or None
        Output of the transform; None if there is a fault.
    fault : str or None
        Why there is no output.
    random : bool
        Whether it drew from a generator of Python, NumPy or torch, or returned different outputs for
        one image.
    """

    output: np.ndarray | None
    fault: str | None
    random: bool


def drawn_image(width: int, height: int) -> Image.Image:
    """Return an RGB image of colored squares, coarse and fine, identical on every machine.

    Its pixels come from a hash by integer arithmetic only. All its corners, rows, columns and colors
    differ, so that any operation of a transform is visible. Its fine edges distinguish ways to resize.

    Parameters
    ----------
    width, height : int
        Size of the image in pixels.

    Examples
    --------
    >>> drawn_image(3, 2).tobytes().hex()
    '58bac958bac958bac958bac958bac958bac9'
    """
    layers = [
        _squares(f"transform {side}", height, width, side=side).astype(np.int32) for side in (_COARSE, _FINE)
    ]
    return Image.fromarray(((2 * layers[0] + layers[1]) // 3).astype(np.uint8))


def _squares(name: str, height: int, width: int, *, side: int) -> np.ndarray:
    """Return values (height, width, 3), uint8, equal within squares."""
    rows, columns = -(-height // side), -(-width // side)
    drawn = hashlib.shake_256(name.encode()).digest(rows * columns * 3)
    values = np.frombuffer(drawn, np.uint8).reshape(rows, columns, 3)
    return values.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def try_transform(transform: ImageTransform, width: int, height: int) -> Trial:
    """Apply a transform to a generated image, several times unless it is hueprobe's own.

    The generators of Python, NumPy and torch are restored afterwards.

    Parameters
    ----------
    transform : Transform or callable
        Function from a PIL image to a tensor.
    width, height : int
        Size of the generated image in pixels.
    """
    image = drawn_image(width, height)
    name = f"a drawn image of {width} x {height} pixels"
    with _generators_kept() as drew:
        try:
            output = apply_transform(transform, image.copy(), name=name).numpy()
            alike, n, until = True, 1, time.monotonic() + SECONDS
            again = type(transform) is not Transform
            while again and alike and (n < 2 or (n < N_TRIES and time.monotonic() < until)):
                alike = _alike(output, apply_transform(transform, image.copy(), name=name).numpy())
                n += 1
        except HueprobeError as error:
            return Trial(None, str(error), random=drew())
        is_random = not alike or drew()
    return Trial(output, None, random=is_random)


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    return not bool((np.abs(one - other) > _SAME * max(np.ptp(one), np.abs(one).max())).any())


def _same_state(one: Any, other: Any) -> bool:
    """Whether two states of NumPy's global generator, nested mappings with arrays, are the same."""
    if isinstance(one, dict):
        return all(_same_state(one[name], other[name]) for name in one)
    return bool(np.array_equal(one, other))


@contextlib.contextmanager
def _generators_kept() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether the block has drawn numbers; restore the generators after."""
    own, torchs = random.getstate(), torch.get_rng_state()
    numpys = np.random.get_state(legacy=False)  # noqa: NPY002 - transforms draw from it

    def drew() -> bool:
        now = np.random.get_state(legacy=False)  # noqa: NPY002
        return (
            random.getstate() != own
            or not _same_state(now, numpys)
            or not torch.equal(torch.get_rng_state(), torchs)
        )

    try:
        yield drew
    finally:
        random.setstate(own)
        np.random.set_state(numpys)  # noqa: NPY002
        torch.set_rng_state(torchs)
