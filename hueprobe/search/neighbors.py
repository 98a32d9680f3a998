"""The one result of every search, what a searcher is, and the checks and the loop that all share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hueprobe.arguments import as_array, as_count
from hueprobe.errors import InputError, NumericsError, ShapeError

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory
    from hueprobe.search.spec import SearcherSpec


@dataclass(frozen=True)
class Neighbors:
    """The k nearest memory vectors of each query vector.

    Attributes
    ----------
    ids : ndarray of int64, shape (n_queries, k)
        Vector ids, nearest first, ties by the lower id; -1 where there is none.
    distances : ndarray of float64, shape (n_queries, k)
        Euclidean, ascending; +inf where there is none.
    """

    ids: np.ndarray
    distances: np.ndarray

    def __repr__(self) -> str:
        """Say how many there are."""
        return (
            f"Neighbors({len(self.ids)} queries, k={self.ids.shape[1]}, {int((self.ids < 0).sum())} missing)"
        )


class Searcher(Protocol):
    """What `open_searcher` returns.

    Attributes
    ----------
    memory : Memory
    spec : SearcherSpec
    """

    memory: "Memory"
    spec: "SearcherSpec"

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Return the k nearest stored vectors of each query.

        Parameters
        ----------
        vectors : ndarray of shape (n_queries, n_channels)
            Unit vectors as `as_stored` gives them; a zero vector gets no neighbor.
        k : int
            At least 1 (3.0 is 3); where fewer vectors may be matched, ids are padded with -1.
        exclude_images : ndarray of int, shape (n_queries, m), optional
            Memory images that each query may not match; -1 pads. Or a mask of bool, (n_queries, n_images).
        """
        ...


def checked_queries(
    memory: "Memory", vectors: np.ndarray, k: int, exclude_images: np.ndarray | None
) -> tuple[np.ndarray, int, np.ndarray]:
    """Return queries as contiguous float32, k, and exclusions as int64 (n_queries, m), or raise."""
    vectors, k = np.ascontiguousarray(as_array("vectors", vectors), np.float32), as_count("k", k)
    if vectors.ndim != 2 or vectors.shape[1] != memory.n_channels:
        raise ShapeError(
            f"query vectors have shape {vectors.shape}, {memory.path} asks for (n, {memory.n_channels}); "
            "extract both at one layer of one network"
        )
    if not np.isfinite(vectors).all():
        raise NumericsError("a query vector is NaN or infinite; check the network's activations")
    if exclude_images is None:
        exclude_images = np.empty((len(vectors), 0), np.int64)
    exclude_images = as_array("exclude_images", exclude_images)
    if exclude_images.ndim != 2 or len(exclude_images) != len(vectors):
        raise ShapeError(
            f"exclude_images has shape {exclude_images.shape}, {len(vectors)} queries ask for "
            f"({len(vectors)}, m)"
        )
    if exclude_images.dtype == bool:
        exclude_images = _marked(exclude_images, memory.n_images)
    whole = exclude_images.astype(np.int64)
    if (whole != exclude_images).any():
        raise InputError("exclude_images holds numbers that are not whole; give memory rows, and -1 to pad")
    return vectors, k, whole


def _marked(mask: np.ndarray, n_images: int) -> np.ndarray:
    """Return the rows that a mask (n_queries, n_images) marks, padded by -1."""
    if mask.shape[1] != n_images:
        raise ShapeError(
            f"exclude_images is a mask of shape {mask.shape}, {n_images} images ask for "
            f"({len(mask)}, {n_images}); give one True or False for each, or rows"
        )
    query, image = np.nonzero(mask)
    n_marked = mask.sum(axis=1)
    rows = np.full((len(mask), int(n_marked.max(initial=0))), -1, np.int64)
    rows[query, np.arange(len(query)) - np.repeat(np.cumsum(n_marked) - n_marked, n_marked)] = image
    return rows


# (query vectors (n, d), their excluded images (n, m), width) -> which queries a look among about `width`
# candidates settles, bool (n,), all of them at the widest; and the neighbors of those that are settled.
Look = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, Neighbors]]


def search_widening(
    look: Look,
    vectors: np.ndarray,
    k: int,
    excluded: np.ndarray,
    *,
    width: int,
    widest: int,
    times: int,
) -> Neighbors:
    """Look among so many candidates, and again among more for the queries that are not settled.

    Parameters
    ----------
    look : callable
        One search; see `Look`.
    vectors, excluded : ndarray
        As `checked_queries` gives them. A zero vector is not looked for: it has no neighbor.
    k : int
    width, widest : int
        Candidates of the first look, and of the last; 0 where there is nothing to be found.
    times : int
        As many candidates at each further look.
    """
    ids = np.full((len(vectors), k), -1, np.int64)
    distances = np.full((len(vectors), k), np.inf)
    unsettled = np.flatnonzero(vectors.any(axis=1))
    width = min(width, widest)
    while len(unsettled) and widest:
        settled, found = look(vectors[unsettled], excluded[unsettled], width)
        ids[unsettled[settled]], distances[unsettled[settled]] = found.ids, found.distances
        unsettled = unsettled[~settled]
        width = min(times * width, widest)
    return Neighbors(ids, distances)
