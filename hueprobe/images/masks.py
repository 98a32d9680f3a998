"""Reading of masks, and their geometry: which pixel of a mask belongs to which cell of the grid.

A mask is a PNG with one number per pixel, the index of a label. It goes through the same resizing, cropping
and padding as its image, but each pixel keeps the value of the nearest one. Pixels of a border are ignored.
"""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images.decoding import UPRIGHT, opened, orientation_of, require_pixels
from hueprobe.images.label_names import IGNORED, MOST_VALUE, LabelSet
from hueprobe.images.limits import max_pixels
from hueprobe.images.names import OnDisk
from hueprobe.images.reading import read_bytes

if TYPE_CHECKING:
    from hueprobe.images.transform import ToTensor, Transform

_INDEXED = ("1", "L", "P", "I;16", "I;16B", "I")
# Pillow stretches gray values of 2 and 4 bits to 0..255.
_STRETCHED = {"L;2": 85, "L;4": 17}


def read_mask(source: str | Path | bytes, labels: LabelSet, *, name: str | None = None) -> np.ndarray:
    """Read a mask as ids of labels.

    The mask is a PNG of one number per pixel: gray (1 to 16 bits) or with a palette, of which the indices
    count and not the colors. It is turned upright if it has an EXIF orientation of its own.

    Parameters
    ----------
    source : path or bytes
        Mask file, or its content.
    labels : LabelSet
        Labels of the pixel values.
    name : str, optional
        Name of the mask in messages. By default its path.

    Returns
    -------
    ndarray of int32, shape (h, w)
        Ids of labels; -1 for ignored pixels.

    Raises
    ------
    ImageError
        The file is missing, damaged, or not a PNG with one number per pixel.
    InputError
        A value is neither a label nor ignored.

    See Also
    --------
    hueprobe.images.mask_as_seen : Apply the geometry of a transform.
    hueprobe.images.pair_masks : Find the masks of images.

    Examples
    --------
    >>> from PIL import Image
    >>> Image.fromarray(np.array([[0, 1], [255, 1]], np.uint8)).save("mask.png")
    >>> read_mask("mask.png", LabelSet(("sky", "road"), (0, 1)))
    array([[ 0,  1],
           [-1,  1]], dtype=int32)
    """
    shown = name if name is not None else "mask" if isinstance(source, bytes) else os.fspath(source)
    values, _ = read_values(source, shown)
    try:
        return labels.of_values(values)
    except InputError as error:
        raise InputError(f"mask {shown!r} {error}") from None


def read_values(source: str | Path | bytes, name: str) -> tuple[np.ndarray, str]:
    """Return the pixel values of a mask, uint8 or uint16 of shape (h, w), and the sha256 of its file.

    Raises
    ------
    ImageError
        As in `read_mask`.
    """
    data, reason = (source, None) if isinstance(source, bytes) else read_bytes(OnDisk()(os.fspath(source)))
    if data is None:
        raise ImageError(f"cannot read mask {name!r}: {reason}")
    try:
        values = _decoded(data)
    except Exception as error:  # decoders raise anything on damaged input
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise ImageError(f"cannot read mask {name!r}: {text}") from None
    return values, hashlib.sha256(data).hexdigest()


def _decoded(data: bytes) -> np.ndarray:
    with opened(data) as image:
        if image.format != "PNG":
            raise ValueError(f"it is a {image.format} file; save it as a PNG with one number per pixel")
        if image.mode not in _INDEXED:
            raise ValueError(
                f"its pixels are {image.mode}; save one number per pixel (gray or with a palette), the index "
                "of the label"
            )
        require_pixels(image, max_pixels())
        stretch = _STRETCHED.get(_raw_mode(image), 1)
        turn = UPRIGHT.get(orientation_of(image))
        upright = image if turn is None else image.transpose(turn)
        values = np.asarray(upright)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype == np.uint8:
        return values // stretch if stretch > 1 else values
    if values.min() < 0 or values.max() > MOST_VALUE:
        raise ValueError(f"its values are not from 0 to {MOST_VALUE}")
    return values.astype(np.uint16)


def _raw_mode(image: Image.Image) -> str:
    """Return how the pixels of an opened but unread file are stored."""
    tiles: Any = getattr(image, "tile", None) or []
    return str(tiles[0][3]) if tiles and len(tiles[0]) > 3 else ""


def mask_as_seen(mask: np.ndarray, transform: "ToTensor") -> np.ndarray:
    """Return a mask at the size that the network sees: resized (nearest), cropped and padded like its image.

    Pixel x of the result has the label of the input pixel that contains the point (x + 0.5) * scale, the
    center of the result's pixel in the input. So labels and image stay in register to half a pixel.

    Parameters
    ----------
    mask : array_like of int, shape (h, w)
        Ids of labels, -1 for ignored pixels.
    transform : Transform
        Transform of the image.

    Returns
    -------
    ndarray of int32, shape (h', w')
        Ids of labels; -1 for ignored pixels and in borders.

    Raises
    ------
    InputError
        The transform is not a `Transform`, so that its geometry is unknown.
    ImageError
        The mask is too long and thin to be resized.

    See Also
    --------
    hueprobe.images.mask_on_grid : Count the labels in the cells of the grid.

    Examples
    --------
    >>> mask_as_seen(np.arange(16).reshape(4, 4), hp.images.Transform(resize=2, crop=None))
    array([[ 5,  7],
           [13, 15]], dtype=int32)
    """
    known = require_geometry(transform)
    labels = np.asarray(mask)
    if labels.ndim != 2 or not labels.size:
        raise ShapeError(f"a mask has shape {labels.shape}; need (h, w)")
    # 0 is what borders are filled with.
    image = Image.fromarray(np.ascontiguousarray(labels - IGNORED, np.int32))
    seen = replace(known, interpolation="nearest").sized(image)
    return np.asarray(seen, np.int32) + np.int32(IGNORED)


def require_geometry(transform: "ToTensor") -> "Transform":
    """Return a `Transform`, whose geometry is known; raise InputError if it is anything else.

    Parameters
    ----------
    transform : Transform or callable
        Transform of the images.
    """
    from hueprobe.images.transform import Transform

    if type(transform) is not Transform:
        raise InputError(
            f"masks cannot go through a transform of the type {type(transform).__name__}, whose geometry is "
            "unknown; give a hueprobe.images.Transform"
        )
    return transform


def cell_counts(seen: np.ndarray, grid: tuple[int, int], n_labels: int) -> np.ndarray:
    """Return how many pixels of each label are in each cell.

    A pixel belongs to the cell that contains its center; cells divide the mask evenly.

    Parameters
    ----------
    seen : ndarray of int, shape (h, w)
        Ids of labels at the size that the network sees, -1 for ignored pixels.
    grid : (int, int)
        Rows and columns of cells, H and W.
    n_labels : int
        Number of labels.

    Returns
    -------
    ndarray of int64, shape (H, W, n_labels)
    """
    (height, width), (rows, columns) = seen.shape, grid
    # The cell of a pixel's center, floor((y + 0.5) * rows / height), in exact arithmetic.
    y = (2 * np.arange(height) + 1) * rows // (2 * height)
    x = (2 * np.arange(width) + 1) * columns // (2 * width)
    cells = y[:, None] * columns + x
    labeled = seen >= 0
    places = cells[labeled] * n_labels + seen[labeled]
    counts: np.ndarray = np.bincount(places, minlength=rows * columns * n_labels)
    return counts.reshape(rows, columns, n_labels)


def mask_on_grid(mask: np.ndarray, transform: "ToTensor", grid: tuple[int, int], n_labels: int) -> np.ndarray:
    """Return how many pixels of each label are in each cell of the grid of an image.

    Parameters
    ----------
    mask : array_like of int, shape (h, w)
        Ids of labels, -1 for ignored pixels.
    transform : Transform
        Transform of the image; the mask goes through its geometry, see `mask_as_seen`.
    grid : (int, int)
        Rows and columns of cells, H and W. They divide the network's input evenly.
    n_labels : int
        Number of labels.

    Returns
    -------
    ndarray of int64, shape (H, W, n_labels)
        Pixels at the size that the network sees. The sum over labels is 0 if all are ignored.

    Raises
    ------
    InputError, ImageError
        See `mask_as_seen`.

    See Also
    --------
    hueprobe.Memory.label_counts : The same for the images of a memory.

    Examples
    --------
    >>> halves = np.repeat([[0, 1]], 4, axis=0).repeat(2, axis=1)
    >>> mask_on_grid(halves, hp.images.Transform(resize=8, crop=None), (1, 2), 2)
    array([[[32,  0],
            [ 0, 32]]])
    """
    return cell_counts(mask_as_seen(mask, transform), grid, n_labels)
