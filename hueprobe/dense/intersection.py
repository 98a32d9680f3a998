"""Confusion of true and predicted labels, intersection over union, pixel accuracy."""

import numpy as np

from hueprobe.errors import ShapeError


def count_confusion(true: np.ndarray, predicted: np.ndarray, n_labels: int) -> np.ndarray:
    """Count pixels by true and by predicted label.

    Parameters
    ----------
    true, predicted : ndarray of int, shape (h, w)
        Ids of labels. Pixels with a true label of -1 are ignored; a predicted -1 is no prediction.
    n_labels : int
        Number of labels.

    Returns
    -------
    ndarray of int64, shape (n_labels, n_labels + 1)
        Rows are true labels, columns predicted ones; the last column counts pixels without a prediction.

    Raises
    ------
    ShapeError
        The two differ in shape.

    See Also
    --------
    hueprobe.dense.intersection_over_union : IoU from these counts.

    Examples
    --------
    >>> count_confusion(np.array([[0, 1, -1]]), np.array([[0, -1, 1]]), 2)
    array([[1, 0, 0],
           [0, 0, 1]])
    """
    true, predicted = np.asarray(true), np.asarray(predicted)
    if true.shape != predicted.shape:
        raise ShapeError(f"true labels have shape {true.shape}, predicted ones {predicted.shape}")
    counted = true >= 0
    column = np.where(predicted[counted] >= 0, predicted[counted], n_labels).astype(np.int64)
    places = true[counted].astype(np.int64) * (n_labels + 1) + column
    counts: np.ndarray = np.bincount(places, minlength=n_labels * (n_labels + 1))
    return counts.reshape(n_labels, n_labels + 1)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """Return the IoU of each label: pixels that are and are predicted as it, over those that are either.

    Parameters
    ----------
    confusion : ndarray of shape (..., n_labels, n_labels + 1)
        Counts of `count_confusion`, of one image or summed over several.

    Returns
    -------
    ndarray of float64, shape (..., n_labels)
        NaN for a label that neither occurs nor is predicted.

    See Also
    --------
    hueprobe.dense.mean_iou : Its mean over labels.

    Examples
    --------
    >>> intersection_over_union(np.array([[3, 1, 0], [0, 4, 0]]))
    array([0.75, 0.8 ])
    """
    confusion = np.asarray(confusion, np.float64)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    union = confusion.sum(axis=-1) + confusion[..., :-1].sum(axis=-2) - right
    iou: np.ndarray = np.divide(right, union, out=np.full_like(union, np.nan), where=union > 0)
    return iou


def mean_iou(confusion: np.ndarray, *, absent_as_zero: bool = False) -> np.ndarray:
    """Return the mean IoU over labels.

    Parameters
    ----------
    confusion : ndarray of shape (..., n_labels, n_labels + 1)
        Counts of `count_confusion`.
    absent_as_zero : bool, default=False
        Whether a label that neither occurs nor is predicted counts as 0; by default it is left out.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN if no label is left.

    See Also
    --------
    hueprobe.dense.intersection_over_union : IoU of each label.

    Examples
    --------
    >>> float(mean_iou(np.array([[3, 1, 0], [0, 4, 0]])))
    0.775
    """
    return mean_of_known(intersection_over_union(confusion), absent_as_zero=absent_as_zero)


def mean_of_known(values: np.ndarray, *, absent_as_zero: bool = False) -> np.ndarray:
    """Return the mean over the last axis without NaN (or with 0 for it); NaN where nothing is left.

    Parameters
    ----------
    values : ndarray of shape (..., n)
        Values, NaN where one is not defined.
    absent_as_zero : bool, default=False
        Whether NaN counts as 0.
    """
    known = np.isfinite(values)
    n = np.full(known.shape[:-1], values.shape[-1]) if absent_as_zero else known.sum(axis=-1)
    total = np.where(known, values, 0).sum(axis=-1)
    mean: np.ndarray = np.divide(total, n, out=np.full(np.shape(total), np.nan), where=n > 0)
    return mean


def pixel_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the share of labeled pixels that are predicted correctly.

    Parameters
    ----------
    confusion : ndarray of shape (..., n_labels, n_labels + 1)
        Counts of `count_confusion`.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN without labeled pixels.

    See Also
    --------
    hueprobe.dense.mean_iou : All labels count alike.

    Examples
    --------
    >>> float(pixel_accuracy(np.array([[3, 1, 0], [0, 4, 0]])))
    0.875
    """
    confusion = np.asarray(confusion, np.float64)
    right = np.trace(confusion, axis1=-2, axis2=-1)
    total = confusion.sum(axis=(-2, -1))
    share: np.ndarray = np.divide(right, total, out=np.full(np.shape(total), np.nan), where=total > 0)
    return share
