"""What the background pass has found so far: a prediction per query image, and who chose which vector."""

import threading
from dataclasses import dataclass

import numpy as np

from hueprobe.explorer.page_data import NO_MATCH, QueryArrays

NOT_YET, UNREADABLE = -2, -1
_MOST_MATCHES = 1 << 26  # kept for the reverse view: 8 bytes each
_MOST_HUBS = 200


@dataclass(frozen=True)
class Predictions:
    """Predictions so far.

    Attributes
    ----------
    done : int
        Number of query images that were asked.
    predicted : ndarray of int32, shape (n_queries,)
        Class id; `NOT_YET`, or -1 for none or an unreadable image.
    margin : ndarray of float32, shape (n_queries,)
        Likelihood of the best class minus that of the second best; 0 where there is none.
    """

    done: int
    predicted: np.ndarray
    margin: np.ndarray


class Overview:
    """Predictions and matches of query images, added in the order of their rows.

    Parameters
    ----------
    n_queries, n_cells, k : int
        Number of query images, of cells of an image, and of matches of a cell.
    n_slots : int
        Number of vector ids of the memory.
    most_matches : int, default=2**26
        Number of matches that are kept. The reverse view counts those of the first images.
    """

    def __init__(
        self, n_queries: int, n_cells: int, k: int, n_slots: int, *, most_matches: int = _MOST_MATCHES
    ) -> None:
        self._lock = threading.Lock()
        self._predicted = np.full(n_queries, NOT_YET, np.int32)
        self._margin = np.zeros(n_queries, np.float32)
        self._done = 0
        n_kept = min(n_queries, most_matches // (n_cells * k))
        # Not written to, and so not in RAM, before the images are asked.
        self._ids = np.empty((n_kept, n_cells, k), np.uint32)
        self._distance = np.empty((n_kept, n_cells, k), np.float32)
        self._count = np.zeros(n_slots, np.uint32)

    def add(self, n: int, positions: np.ndarray, found: QueryArrays) -> None:
        """Add the next `n` query images.

        Parameters
        ----------
        n : int
            Number of images that were asked.
        positions : ndarray of int, shape (n_readable,)
            Which of them could be read, from 0.
        found : QueryArrays
            Results of those.
        """
        start = self._done
        kept = max(0, min(n, len(self._ids) - start))
        ids = np.full((kept, *self._ids.shape[1:]), NO_MATCH, np.uint32)
        distance = np.zeros(ids.shape, np.float32)
        inside = positions < kept
        ids[positions[inside]] = found.ids[inside]
        distance[positions[inside]] = found.distance[inside]
        chosen, times = np.unique(ids[ids != NO_MATCH], return_counts=True)
        with self._lock:
            self._predicted[start : start + n] = UNREADABLE
            self._predicted[start + positions] = found.predicted
            self._margin[start + positions] = margins(found.likelihood)
            self._ids[start : start + kept], self._distance[start : start + kept] = ids, distance
            self._count[chosen] += times.astype(np.uint32)
            self._done += n

    def predictions(self) -> Predictions:
        """Return a copy of the predictions so far."""
        with self._lock:
            return Predictions(self._done, self._predicted.copy(), self._margin.copy())

    @property
    def n_kept(self) -> int:
        """Number of query images whose matches are kept."""
        return min(self._done, len(self._ids))

    def reverse(self, vector_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which query cells chose a memory vector.

        Parameters
        ----------
        vector_id : int
            Vector id.

        Returns
        -------
        cells : ndarray of int64, shape (n, 2)
            Row of the query image and cell, nearest first.
        distances : ndarray of float32, shape (n,)
            Distance of each from the memory vector.
        """
        ids = self._ids[: self.n_kept]  # rows up to there no longer change
        row, cell, rank = np.nonzero(ids == vector_id)
        distance = self._distance[row, cell, rank]
        order = np.argsort(distance, kind="stable")
        return np.stack([row, cell], axis=1)[order], distance[order]

    def hubs(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Return the memory vectors that were chosen by most query cells.

        Returns
        -------
        ids, counts : ndarray of int64, shape (n,)
            Vector id, and number of query cells; most chosen first, ties by id.
        n_matches : int
            Number of matches that were counted.
        """
        with self._lock:
            counts = self._count.copy()
        n_matches = int(counts.sum(dtype=np.int64))
        n = min(_MOST_HUBS, int(np.count_nonzero(counts)))
        if not n:
            return np.empty(0, np.int64), np.empty(0, np.int64), n_matches
        least = np.partition(counts, len(counts) - n)[len(counts) - n]
        ids = np.flatnonzero(counts >= max(least, 1))
        ids = ids[np.lexsort((ids, -counts[ids].astype(np.int64)))][:n]
        return ids, counts[ids].astype(np.int64), n_matches


def margins(likelihood: np.ndarray) -> np.ndarray:
    """Return the best minus the second best likelihood of each image.

    Parameters
    ----------
    likelihood : ndarray of shape (n, n_classes)
        Normalized likelihoods.

    Examples
    --------
    >>> margins(np.array([[0.25, 0.5, 0.25], [1.0, 0.0, 0.0]])).tolist()
    [0.25, 1.0]
    """
    if likelihood.shape[1] < 2:
        return np.asarray(likelihood.sum(axis=1))
    second, best = np.partition(likelihood, -2, axis=1)[:, -2:].T
    return np.asarray(best - second)
