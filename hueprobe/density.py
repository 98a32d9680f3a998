"""Eq. (1)-(3) on arrays: kernel, likelihood, decision."""

from dataclasses import dataclass

import numpy as np

from hueprobe.errors import InputError, ShapeError

DEFAULT_EPS = 1e-6  # the paper gives none
# Relative difference that the order of summation alone can cause: closer likelihoods are a tie.
_TIE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Decision:
    """Predictions from likelihoods, Eq. (1).

    Attributes
    ----------
    predicted : ndarray of int64, shape (n_images,)
        Class id of the largest likelihood, the lowest id in a tie; -1 where there was no vote.
    tie : ndarray of bool, shape (n_images,)
        Whether another class reached the same likelihood.
    normalized : ndarray of float64, shape (n_images, n_classes)
        Likelihoods divided by their sum; 0 where there was no vote.
    """

    predicted: np.ndarray
    tie: np.ndarray
    normalized: np.ndarray


def kernel_weights(distances: np.ndarray, *, eps: float = DEFAULT_EPS) -> np.ndarray:
    """Compute the adaptive-bandwidth kernel between each query vector and its neighbors, Eq. (3).

    The bandwidth of query pixel i is the distance to its nearest memory vector, so the nearest
    neighbor always weighs about exp(-1)::

        f_ij = exp(-d_ij^2 / (alpha_i^2 + eps)),   alpha_i = min_j d_ij

    A query that is itself in the memory has alpha_i = 0: the duplicate weighs 1, the others almost 0.

    Parameters
    ----------
    distances : ndarray of shape (n_queries, k)
        Euclidean distances between unit vectors, ascending; +inf marks a missing neighbor.
    eps : float, default=1e-6
        Keeps the denominator positive when a duplicate makes alpha_i zero; a squared distance.

    Returns
    -------
    ndarray of float64, shape (n_queries, k)
        Weights in [0, 1]; 0 where a neighbor is missing.

    Examples
    --------
    >>> kernel_weights(np.array([[1.0, 2.0, np.inf]]), eps=0.0).round(3)
    array([[0.368, 0.018, 0.   ]])
    """
    if not eps >= 0:
        raise InputError(f"eps must be >= 0, got {eps}")
    squared = np.square(np.asarray(distances, np.float64))
    found = np.isfinite(squared)
    bandwidth = np.min(squared, axis=1, keepdims=True, initial=np.inf) + eps
    exponent = np.zeros_like(squared)
    positive = found & (bandwidth > 0)
    np.divide(squared, np.broadcast_to(bandwidth, squared.shape), out=exponent, where=positive)
    exponent[found & (bandwidth == 0) & (squared > 0)] = np.inf  # eps = 0 and a duplicate
    return np.where(found, np.exp(-exponent), 0.0)


def likelihoods(
    weights: np.ndarray,
    neighbor_class: np.ndarray,
    query_image: np.ndarray,
    class_counts: np.ndarray,
) -> np.ndarray:
    """Sum kernel weights by class over each image's pixels and divide by n_C, Eq. (2).

    Parameters
    ----------
    weights : ndarray of float64, shape (n_queries, k)
        Kernel weights, from `kernel_weights`.
    neighbor_class : ndarray of int, shape (n_queries, k)
        Class id of each neighbor; -1 for a missing or unlabeled one, which casts no vote.
    query_image : ndarray of int, shape (n_queries,)
        Image of each query pixel, 0 to n_images - 1.
    class_counts : ndarray of shape (n_images, n_classes)
        n_C: memory vectors of each class that the image may match.

    Returns
    -------
    ndarray of float64, shape (n_images, n_classes)
        Likelihoods, not normalized; 0 for a class of which no vector may be matched.

    Examples
    --------
    >>> likelihoods(np.array([[0.5, 0.25]]), np.array([[0, 1]]), np.array([0]), np.array([[10, 1]]))
    array([[0.05, 0.25]])
    """
    n_images, n_classes = class_counts.shape
    if weights.shape != neighbor_class.shape or len(query_image) != len(weights):
        raise ShapeError(
            f"weights {weights.shape}, neighbor classes {neighbor_class.shape} and {len(query_image)} query "
            "pixels do not fit together"
        )
    votes = neighbor_class >= 0
    slot = np.asarray(query_image, np.int64)[:, None] * n_classes + neighbor_class
    sums = np.bincount(slot[votes], weights=weights[votes], minlength=n_images * n_classes)
    sums = sums.reshape(n_images, n_classes)
    zeros = np.zeros_like(sums, np.float64)
    likelihood: np.ndarray = np.divide(sums, class_counts, out=zeros, where=class_counts > 0)
    return likelihood


def decide(likelihood: np.ndarray) -> Decision:
    """Predict each image's class, Eq. (1); ties go to the lower class id and are reported.

    Parameters
    ----------
    likelihood : ndarray of shape (n_images, n_classes)
        Likelihoods, Eq. (2).

    Examples
    --------
    >>> decision = decide(np.array([[0.1, 0.3], [0.2, 0.2], [0.0, 0.0]]))
    >>> decision.predicted.tolist(), decision.tie.tolist()
    ([1, 0, -1], [False, True, False])
    """
    n_images, n_classes = likelihood.shape
    if n_classes == 0:
        return Decision(np.full(n_images, -1), np.zeros(n_images, bool), likelihood.astype(np.float64))
    best = likelihood.max(axis=1, keepdims=True)
    voted = best[:, 0] > 0
    reached = likelihood >= best * (1 - _TIE_TOLERANCE)
    total = likelihood.sum(axis=1, keepdims=True)
    return Decision(
        predicted=np.where(voted, reached.argmax(axis=1), -1),
        tie=voted & (reached.sum(axis=1) > 1),
        normalized=np.divide(likelihood, total, out=np.zeros_like(likelihood, np.float64), where=total > 0),
    )
