"""Boundary F: how well predicted boundaries between labels lie where the true ones are."""

import numpy as np

from hueprobe.errors import InputError, ShapeError

TOLERANCE = 3  # pixels
_BITS = 64  # labels that fit into one number


def boundary_pixels(labels: np.ndarray) -> np.ndarray:
    """Return which pixels have another label above, below, left or right of them.

    Parameters
    ----------
    labels : ndarray of int, shape (h, w)
        Ids of labels; -1 has none: it has no boundary, nor have others with it.

    Returns
    -------
    ndarray of bool, shape (h, w)
    """
    edge = np.zeros(labels.shape, bool)
    down = (labels[1:] != labels[:-1]) & (labels[1:] >= 0) & (labels[:-1] >= 0)
    across = (labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] >= 0) & (labels[:, :-1] >= 0)
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return edge


def count_boundaries(
    true: np.ndarray, predicted: np.ndarray, n_labels: int, *, tolerance: float = TOLERANCE
) -> np.ndarray:
    """Count the boundary pixels of each label, and those near the other's boundary of the same label.

    A boundary pixel of a label has another label beside it. Pixels with a true label of -1 are ignored in
    both maps.

    Parameters
    ----------
    true, predicted : ndarray of int, shape (h, w)
        Ids of labels; -1 for none.
    n_labels : int
        Number of labels.
    tolerance : float, default=3
        Largest distance in pixels, between pixel centers.

    Returns
    -------
    ndarray of int64, shape (n_labels, 4)
        Predicted boundary pixels near a true one, all predicted ones, true ones near a predicted one, all
        true ones.

    Raises
    ------
    InputError
        The tolerance is negative.
    ShapeError
        The maps differ in shape.

    See Also
    --------
    hueprobe.dense.boundary_f : F of these counts.

    Examples
    --------
    >>> true = np.array([[0, 0, 1, 1, 1, 1]])
    >>> count_boundaries(true, np.roll(true, 1), 2, tolerance=0)
    array([[1, 2, 1, 1],
           [0, 2, 0, 1]])
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.shape != predicted.shape:
        raise ShapeError(f"true labels have shape {true.shape}, predicted ones {predicted.shape}")
    if not tolerance >= 0:
        raise InputError(f"tolerance is {tolerance} pixels; it must be at least 0")
    predicted = np.where(true >= 0, predicted, -1)
    counts = np.zeros((n_labels, 4), np.int64)
    edges = [np.where(boundary_pixels(labels), labels, -1) for labels in (predicted, true)]
    for first in range(0, n_labels, _BITS):
        inside = [(edge >= first) & (edge < first + _BITS) for edge in edges]
        bits = [
            np.where(here, np.uint64(1) << np.where(here, edge - first, 0).astype(np.uint64), np.uint64(0))
            for edge, here in zip(edges, inside, strict=True)
        ]
        for own, other in ((0, 1), (1, 0)):
            y, x = np.nonzero(inside[own])
            label = edges[own][y, x]
            reached = _spread(bits[other], tolerance)[y, x] >> (label - first).astype(np.uint64) & np.uint64(
                1
            )
            counts[:, 2 * own] += np.bincount(label[reached > 0], minlength=n_labels)
            counts[:, 2 * own + 1] += np.bincount(label, minlength=n_labels)
    return counts


def _spread(bits: np.ndarray, tolerance: float) -> np.ndarray:
    """Return the bits of all pixels within the tolerance of each pixel."""
    height, width = bits.shape
    spread = np.zeros_like(bits)
    reach = int(tolerance)
    for dy in range(-min(reach, height - 1), min(reach, height - 1) + 1):
        for dx in range(-min(reach, width - 1), min(reach, width - 1) + 1):
            if dy * dy + dx * dx <= tolerance * tolerance:
                to = slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
                of = slice(max(-dy, 0), height + min(-dy, 0)), slice(max(-dx, 0), width + min(-dx, 0))
                spread[to] |= bits[of]
    return spread


def boundary_f(counts: np.ndarray) -> np.ndarray:
    """Return the boundary F of each label: the harmonic mean of precision and recall of its boundary.

    Parameters
    ----------
    counts : ndarray of shape (..., n_labels, 4)
        Counts of `count_boundaries`, of one image or summed over several.

    Returns
    -------
    ndarray of float64, shape (..., n_labels)
        NaN for a label without a true and a predicted boundary; 0 for one with only one of the two.

    See Also
    --------
    hueprobe.dense.count_boundaries : The counts.

    Examples
    --------
    >>> boundary_f(np.array([[8, 10, 4, 8], [0, 0, 0, 5]])).round(3)
    array([0.615, 0.   ])
    """
    near, predicted, reached, true = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    precision = np.divide(near, predicted, out=np.zeros_like(near), where=predicted > 0)
    recall = np.divide(reached, true, out=np.zeros_like(near), where=true > 0)
    both = precision + recall
    f = np.divide(2 * precision * recall, both, out=np.zeros_like(near), where=both > 0)
    return np.where((predicted > 0) | (true > 0), f, np.nan)
