"""Exact flips and translations of images at the size that the network sees.

A flip before resizing and cropping differs from one after it, by rounding of the crop and by interpolation.
So these act on the transformed pixels: flipping twice gives the same bits again.
"""

import numpy as np

from hueprobe.errors import InputError, require_choice

FLIPS = {
    "e": (1, 1),  # as it is
    "h": (-1, 1),  # mirrored left-right
    "r": (-1, -1),  # turned by half
    "v": (1, -1),  # mirrored up-down
}


def flipped(pixels: np.ndarray, flip: str) -> np.ndarray:
    """Return images after a flip.

    Parameters
    ----------
    pixels : ndarray of shape (..., h, w, channels)
        Images.
    flip : {"e", "h", "r", "v"}
        As it is, mirrored left-right, turned by half, mirrored up-down.

    Raises
    ------
    InputError
        The flip is unknown.

    Examples
    --------
    >>> image = np.array([[1, 2], [3, 4]])[..., None]
    >>> flipped(image, "h")[..., 0].tolist(), flipped(image, "r")[..., 0].tolist()
    ([[2, 1], [4, 3]], [[4, 3], [2, 1]])
    """
    require_choice("flip", flip, FLIPS)
    right, up = FLIPS[flip]
    return pixels[..., ::up, ::right, :]


def translated(pixels: np.ndarray, right: int, up: int) -> np.ndarray:
    """Return an image whose content is moved; what enters at the edges is the image reflected there.

    Parameters
    ----------
    pixels : ndarray of shape (h, w, channels)
        Image.
    right, up : int
        Pixels that the content moves; negative to the left and down.

    Raises
    ------
    InputError
        The image is too small to reflect so many pixels.

    Examples
    --------
    >>> image = np.array([[1, 2, 3, 4]])[..., None]
    >>> translated(image, 1, 0)[..., 0].tolist(), translated(image, -2, 0)[..., 0].tolist()
    ([[2, 1, 2, 3]], [[3, 4, 3, 2]])
    """
    height, width = pixels.shape[:2]
    rows, columns = _reflected(height, up), _reflected(width, -right)
    moved: np.ndarray = pixels[rows[:, None], columns]
    return moved


def _reflected(n: int, offset: int) -> np.ndarray:
    """Return the source of each of n pixels, `offset` pixels further on, reflected at the edges."""
    if abs(offset) >= n:
        raise InputError(
            f"an image of {n} pixels cannot move by {abs(offset)}: its reflection is too short; move it "
            f"by at most {n - 1}"
        )
    at = np.abs(np.arange(n) + offset)
    return np.where(at >= n, 2 * (n - 1) - at, at)
