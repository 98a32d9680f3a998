"""Near-duplicates by pooled descriptors: distances between whole images, relative to how near others are."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

NEIGHBOR = 10  # the scale of an image is the distance to its 10th nearest image of the memory
FLOOR = 0.5  # and at least this much of the median scale, or images of a large burst would hide each other
_AT_ONCE = 2**22  # distances, or numbers of descriptors, in RAM
_ROUNDING = 1e-5  # of a squared distance by float32 products, an upper bound


@dataclass(frozen=True)
class NearImages:
    """Pairs of images whose pooled descriptors are near.

    Attributes
    ----------
    first, second : ndarray of int64, shape (n_pairs,)
        Rows of the descriptors; first < second.
    distance : ndarray of float64, shape (n_pairs,)
        Euclidean distance between unit vectors.
    relative : ndarray of float64, shape (n_pairs,)
        Distance divided by the geometric mean of both images' scales.
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    relative: np.ndarray


@dataclass(frozen=True, eq=False)
class PooledImages:
    """Pooled descriptors of n images, and what is needed to compare them.

    Attributes
    ----------
    descriptors : ndarray of float32, shape (n, n_channels)
        Unit vectors, or zeros, which are near nothing.
    contents : ndarray of int64, shape (n,)
        A number that images of equal content share; these are no pairs.
    scale : ndarray of float64, shape (n,)
        Distance of each image to its 10th nearest image of the memory; 0 where there is none.
    """

    descriptors: np.ndarray
    contents: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, descriptors: np.ndarray, contents: np.ndarray, n_memory: int) -> "PooledImages":
        """Measure the scale of each image.

        Parameters
        ----------
        descriptors, contents
            See the attributes.
        n_memory : int
            Number of images of the memory, which come first.
        """
        n = len(descriptors)
        filled: np.ndarray = np.any(descriptors != 0, axis=1)
        scale = np.zeros(n)
        for rows, squared in _blocks(descriptors, descriptors[:n_memory]):
            squared[contents[rows][:, None] == contents[:n_memory]] = np.inf
            squared[:, ~filled[:n_memory]] = np.inf
            squared[~filled[rows]] = np.inf
            nearest = _smallest(squared, NEIGHBOR)
            counts = np.isfinite(np.take_along_axis(squared, nearest, axis=1)).sum(axis=1)
            some = np.flatnonzero(counts)
            scale[rows[some]] = distances(descriptors, rows[some], nearest[some, counts[some] - 1])
        known = scale > 0
        if known.any():
            scale[known] = np.maximum(scale[known], FLOOR * np.median(scale[known]))
        return cls(descriptors, contents, scale)

    def most_alike_of_other_classes(self, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the image of another class at the least relative distance, and that distance.

        Parameters
        ----------
        classes : ndarray of int64, shape (n,)
            Class of each image, -1 without one.

        Returns
        -------
        other : ndarray of int64, shape (n,)
            Row of the image; -1 where there is none.
        relative : ndarray of float64, shape (n,)
            Relative distance; inf where there is none.
        """
        other, value = np.full(len(classes), -1), np.full(len(classes), np.inf)
        for rows, relative in self._relative_blocks():
            known = (classes[rows][:, None] >= 0) & (classes >= 0)
            relative[~known | (classes[rows][:, None] == classes)] = np.inf
            other[rows] = np.where(np.isfinite(relative.min(axis=1)), relative.argmin(axis=1), -1)
        there = np.flatnonzero(other >= 0)
        value[there] = self.relative(there, other[there], self.distances(there, other[there]))
        return other, value

    def pairs(self, limit: float) -> NearImages:
        """Return the pairs at a relative distance below the limit.

        Parameters
        ----------
        limit : float
            Pairs at this relative distance and beyond are left out.
        """
        found = [np.empty((0, 2), np.int64)]
        for rows, relative in self._relative_blocks(slack=True):
            near, second = np.nonzero(relative < limit)
            ordered = rows[near] < second
            found.append(np.stack([rows[near][ordered], second[ordered]], axis=1))
        first, second = np.concatenate(found).T
        distance = self.distances(first, second)
        relative = self.relative(first, second, distance)
        kept = relative < limit
        return NearImages(first[kept], second[kept], distance[kept], relative[kept])

    def distances(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the distance of each pair of rows, shape (n_pairs,); see `distances`."""
        return distances(self.descriptors, first, second)

    def relative(self, first: np.ndarray, second: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Return the relative distance of each pair of rows at this distance, shape (n_pairs,).

        Parameters
        ----------
        first, second : ndarray of int64, shape (n_pairs,)
            Rows of each pair.
        distance : ndarray of float64, shape (n_pairs,)
            Distance of each pair.
        """
        scale = np.sqrt(self.scale[first] * self.scale[second])
        beyond = np.where(distance > 0, np.inf, 0.0)  # equal descriptors are near at any scale
        ratio: np.ndarray = np.divide(distance, scale, out=beyond, where=scale > 0)
        return ratio

    def _relative_blocks(self, *, slack: bool = False) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows and their relative distances to all, up to rounding; with slack, never too large."""
        unfilled = ~np.any(self.descriptors != 0, axis=1)
        for rows, squared in _blocks(self.descriptors, self.descriptors):
            distance = np.sqrt(np.maximum(squared - _ROUNDING if slack else squared, 0))
            scale = np.sqrt(self.scale[rows][:, None] * self.scale)
            beyond = np.where(distance > 0, np.inf, 0.0)
            relative = np.divide(distance, scale, out=beyond, where=scale > 0)
            relative[unfilled[rows]] = np.inf
            relative[:, unfilled] = np.inf
            relative[self.contents[rows][:, None] == self.contents] = np.inf
            yield rows, relative


def _blocks(descriptors: np.ndarray, others: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows, and the squared distances of their descriptors to the others."""
    n = len(descriptors)
    step = max(1, _AT_ONCE // max(1, len(others)))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        yield rows, 2 - 2 * (descriptors[rows] @ others.T).astype(np.float64)


def _smallest(values: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of the k smallest values of each row (all columns if there are fewer), in order."""
    columns = np.argpartition(values, k - 1, axis=1)[:, :k] if values.shape[1] > k else None
    if columns is None:
        return np.argsort(values, axis=1, kind="stable")
    order = np.argsort(np.take_along_axis(values, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


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
