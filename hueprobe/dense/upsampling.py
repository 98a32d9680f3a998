"""Label shares of cells at the pixels of an image, and the label map that follows from them."""

import numpy as np

from hueprobe.errors import ShapeError
from hueprobe.images.visible import Box

NONE = -1  # no label: nothing voted, or the network did not see the pixel
_ROWS = 64  # of pixels at a time: what is computed of them stays in the cache


def bilinear_weights(size: int, n_cells: int, start: float, stop: float) -> np.ndarray:
    """Return how much each cell along one side counts for each pixel, by linear interpolation.

    Parameters
    ----------
    size : int
        Number of pixels.
    n_cells : int
        Number of cells.
    start, stop : float
        Where the first cell begins and the last one ends, in pixels.

    Returns
    -------
    ndarray of float32, shape (size, n_cells)
        Rows sum to 1. Pixels beyond the center of the first or last cell have its value.
    """
    place = (np.arange(size) + 0.5 - start) * (n_cells / (stop - start)) - 0.5
    place = np.clip(place, 0, n_cells - 1)
    before = np.minimum(place.astype(np.int64), max(n_cells - 2, 0))
    share = place - before
    weights = np.zeros((size, n_cells), np.float32)
    weights[np.arange(size), before] = 1 - share
    if n_cells > 1:
        weights[np.arange(size), before + 1] = share
    return weights


def upsample(shares: np.ndarray, size: tuple[int, int], box: Box | None = None) -> np.ndarray:
    """Interpolate the label shares of a grid bilinearly to pixels.

    Cell centers keep their values, as in torch's `interpolate` with `align_corners=False`.

    Parameters
    ----------
    shares : ndarray of shape (H, W, n_labels)
        Share of each label in each cell.
    size : (int, int)
        Height and width of the image in pixels.
    box : (left, top, right, bottom), optional
        The part of the image that the grid covers, in pixels. By default the whole image.

    Returns
    -------
    ndarray of float32, shape (h, w, n_labels)

    Raises
    ------
    ShapeError
        The shares are not those of one grid.

    See Also
    --------
    hueprobe.dense.label_map : The label of each pixel.

    Examples
    --------
    >>> upsample(np.array([[[0.0], [1.0]]]), (1, 4))[0, :, 0]
    array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """
    rows, columns, shares = _weights(shares, size, box)
    across = np.ascontiguousarray(np.moveaxis(shares, -1, 0)) @ columns.T  # fewer products than rows first
    return np.moveaxis(rows @ across, 0, -1)


def _weights(
    shares: np.ndarray, size: tuple[int, int], box: Box | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how much the cells count for each row of pixels and each column, and the shares as float32."""
    shares = np.asarray(shares, np.float32)
    if shares.ndim != 3:
        raise ShapeError(f"shares have shape {shares.shape}; need (H, W, n_labels)")
    height, width = size
    left, top, right, bottom = box or (0.0, 0.0, float(width), float(height))
    rows = bilinear_weights(height, shares.shape[0], top, bottom)
    return rows, bilinear_weights(width, shares.shape[1], left, right), shares


def seen_pixels(size: tuple[int, int], box: Box) -> np.ndarray:
    """Return which pixels of an image the network saw: those with their center in the box.

    Parameters
    ----------
    size : (int, int)
        Height and width of the image in pixels.
    box : (left, top, right, bottom)
        The visible part of the image, in pixels.

    Returns
    -------
    ndarray of bool, shape (h, w)
    """
    y, x = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    left, top, right, bottom = box
    return ((y > top) & (y < bottom))[:, None] & ((x > left) & (x < right))


def label_map(
    shares: np.ndarray, size: tuple[int, int], box: Box | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the label with the largest share at each pixel, and by how much it leads.

    Parameters
    ----------
    shares : ndarray of shape (H, W, n_labels)
        Share of each label in each cell.
    size : (int, int)
        Height and width of the image in pixels.
    box : (left, top, right, bottom), optional
        The part of the image that the network saw, in pixels. By default the whole image.

    Returns
    -------
    labels : ndarray of int32, shape (h, w)
        Ids of labels, the lower one in a tie; -1 outside the box, and where nothing voted.
    margin : ndarray of float32, shape (h, w)
        Largest share minus the second largest; 0 without a label.

    See Also
    --------
    hueprobe.dense.upsample : The shares at each pixel.

    Examples
    --------
    >>> labels, margin = label_map(np.array([[[0.75, 0.25], [0.0, 1.0]]]), (1, 2))
    >>> labels, margin
    (array([[0, 1]], dtype=int32), array([[0.5, 1. ]], dtype=float32))
    """
    first, second = np.zeros(size, np.float32), np.zeros(size, np.float32)
    labels = _leading(shares, size, box, first, second)
    return labels, np.where(labels == NONE, np.float32(0), first - second)


def leading_labels(shares: np.ndarray, size: tuple[int, int], box: Box | None = None) -> np.ndarray:
    """Return the labels of `label_map` without their margins, which takes less time.

    Parameters
    ----------
    shares, size, box
        See `label_map`.

    Returns
    -------
    ndarray of int32, shape (h, w)
    """
    return _leading(shares, size, box, np.zeros(size, np.float32), None)


def _leading(
    shares: np.ndarray, size: tuple[int, int], box: Box | None, first: np.ndarray, second: np.ndarray | None
) -> np.ndarray:
    """Return the leading labels; raise `first` and `second`, which are 0, to the two largest shares."""
    rows, columns, shares = _weights(shares, size, box)
    present = np.flatnonzero(shares.any(axis=(0, 1)))
    across = np.ascontiguousarray(np.moveaxis(shares[..., present], -1, 0)) @ columns.T
    labels = np.full(size, NONE, np.int32)
    for start in range(0, size[0], _ROWS):
        here = slice(start, start + _ROWS)
        near = np.flatnonzero(rows[here].any(axis=0))
        cells = slice(near[0], near[-1] + 1)
        down, planes = np.ascontiguousarray(rows[here, cells]), across[:, cells]
        most = planes.max(axis=1)  # of a label in a column of pixels
        counts = most > 0
        if second is None:  # a label that is nowhere above what another has everywhere leads nowhere
            counts &= most >= planes.min(axis=1).max(axis=0)
        for label, plane, columns_of_label in zip(present.tolist(), planes, counts, strict=True):
            among = np.flatnonzero(columns_of_label)
            if not len(among):
                continue
            span = slice(among[0], among[-1] + 1)
            share, first_here = down @ plane[:, span], first[here, span]
            np.copyto(labels[here, span], label, where=share > first_here)
            if second is not None:
                second_here = second[here, span]
                np.maximum(second_here, np.minimum(first_here, share), out=second_here)
            np.maximum(first_here, share, out=first_here)
    if box is not None and not (seen := seen_pixels(size, box)).all():
        labels[~seen] = NONE
    return labels
