"""Pairs of near-duplicates, and how many images of a set have a copy."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NearPairs:
    """Pairs of near-duplicates, the nearest first.

    Attributes
    ----------
    first, second : ndarray of int64, shape (n,)
        Audited images; first < second.
    distance : ndarray of float64, shape (n,)
        Euclidean distance between their pooled descriptors of unit length.
    relative_distance : ndarray of float64, shape (n,)
        Distance divided by the geometric mean of both images' distances to their 10th nearest image of the
        memory.
    cells : ndarray of int64, shape (n,)
        Number of cells that the images share at one displacement; 0 if they are fewer than 2, and between two
        images of IMAGES, which are not searched for each other's cells.
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    relative_distance: np.ndarray
    cells: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.first)


@dataclass(frozen=True)
class Copies:
    """How many images of one set have a copy in a set.

    Attributes
    ----------
    n : int
        Number of images of the set that could be read.
    exact, near : int
        Number of them with an image of equal content, and with a near-duplicate.
    either : int
        Number of them with one or the other.
    patches : int
        Number of them that share a patch with an image that is no near-duplicate.
    """

    n: int
    exact: int
    near: int
    either: int
    patches: int
