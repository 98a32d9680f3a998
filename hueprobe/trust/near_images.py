"""Near-duplicates by pooled descriptors: the distance between unit vectors of whole images."""

from dataclasses import dataclass

import numpy as np

_AT_ONCE = 2**24  # distances, or numbers of descriptors, in RAM


@dataclass(frozen=True)
class NearImages:
    """Pairs of images with near pooled descriptors, and the nearest image of another class.

    Attributes
    ----------
    first, second : ndarray of int64, shape (n_pairs,)
        Rows of the descriptors; first < second.
    distance : ndarray of float64, shape (n_pairs,)
        Euclidean distance between unit vectors.
    other : ndarray of int64, shape (n,)
        Row of the nearest image of another class; -1 where there is none.
    other_distance : ndarray of float64, shape (n,)
        Its distance; inf where there is none.
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    other: np.ndarray
    other_distance: np.ndarray


def near_images(
    descriptors: np.ndarray, classes: np.ndarray, contents: np.ndarray, *, limit: float
) -> NearImages:
    """Compare every image with every other by its pooled descriptor; images of equal content are no pairs.

    Parameters
    ----------
    descriptors : ndarray of float32, shape (n, n_channels)
        Unit vectors, or zeros, which are near nothing.
    classes, contents : ndarray of int64, shape (n,)
        Class of each image, -1 without one; a number that images of equal content share.
    limit : float
        Pairs at this distance and beyond are left out.
    """
    n = len(descriptors)
    filled: np.ndarray = np.any(descriptors != 0, axis=1)
    other, other_distance = np.full(n, -1), np.full(n, np.inf)
    pairs = []
    step = max(1, _AT_ONCE // max(1, n))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        squared = 2 - 2 * (descriptors[rows] @ descriptors.T).astype(np.float64)
        squared[~filled[rows]] = np.inf
        squared[:, ~filled] = np.inf
        squared[contents[rows][:, None] == contents] = np.inf
        # Rounding of float32 products is far below the margin; the exact distance decides.
        near, far = np.nonzero(squared < limit * limit + 1e-5)
        ordered = rows[near] < far
        pairs.append(np.stack([rows[near][ordered], far[ordered]], axis=1))
        known = (classes[rows][:, None] >= 0) & (classes >= 0)
        squared[~known | (classes[rows][:, None] == classes)] = np.inf
        other[rows] = np.where(np.isfinite(squared.min(axis=1)), squared.argmin(axis=1), -1)
    found = np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)
    distance = distances(descriptors, found[:, 0], found[:, 1])
    found, distance = found[distance < limit], distance[distance < limit]
    there = other >= 0
    other_distance[there] = distances(descriptors, np.flatnonzero(there), other[there])
    return NearImages(found[:, 0], found[:, 1], distance, other, other_distance)


def distances(descriptors: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of each pair of rows, by subtraction in float64, shape (n_pairs,).

    Parameters
    ----------
    descriptors : ndarray of float32, shape (n, n_channels)
        Descriptors of the images.
    first, second : ndarray of int64, shape (n_pairs,)
        Rows of each pair.
    """
    found = np.empty(len(first))
    step = max(1, _AT_ONCE // descriptors.shape[1])
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        difference = descriptors[first[part]].astype(np.float64) - descriptors[second[part]]
        found[part] = np.linalg.norm(difference, axis=1)
    return found
