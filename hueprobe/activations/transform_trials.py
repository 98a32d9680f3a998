"""What a transform does: its output on a drawn image, and whether it is the same twice."""

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

N_TRIES = 8  # of a transform that may draw numbers of its own: a coin is seen to be one 127 times of 128
SECONDS = 0.5  # to spend on them; two tries there are always
_COARSE, _FINE = 32, 4  # sides in pixels of the squares that an image is drawn of
_SAME = 1e-4  # of the output's range: what threads may add in another order


@dataclass(frozen=True, eq=False)
class Trial:
    """What a transform did to a drawn image.

    Attributes
    ----------
    output : ndarray of shape (channels, h, w), float32, or None
        None where there is a fault.
    fault : str or None
        Why there is no output.
    random : bool
        It drew from a generator of Python, NumPy or torch, or gave two outputs for one image.
    """

    output: np.ndarray | None
    fault: str | None
    random: bool


def drawn_image(width: int, height: int) -> Image.Image:
    """Return an RGB image of colored squares, coarse and fine: the same on every machine.

    Its pixels come from a hash by whole numbers alone. No two of its corners, rows, columns or colors are
    alike, so that whatever a transform may do shows, and its fine edges tell ways to resize.

    Parameters
    ----------
    width, height : int
        Pixels.

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
    """Apply a transform to a drawn image, several times unless it is hueprobe's own.

    The generators of Python, NumPy and torch are left as they were.

    Parameters
    ----------
    transform : Transform or callable
    width, height : int
        Of the image, in pixels.
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
    """Whether two states of NumPy's global generator are the same: mappings of words and arrays."""
    if isinstance(one, dict):
        return all(_same_state(one[name], other[name]) for name in one)
    return bool(np.array_equal(one, other))


@contextlib.contextmanager
def _generators_kept() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether the block drew numbers so far; put the generators back after."""
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
