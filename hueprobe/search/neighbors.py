"""The result of a search, the protocol of searchers, and the checks and the loop that all share."""

from collections.abc import Callable, Iterable
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
        Vector ids, nearest first, ties in order of the id; -1 for a missing neighbor.
    distances : ndarray of float64, shape (n_queries, k)
        Euclidean distances, ascending; +inf for a missing neighbor.

    See Also
    --------
    hueprobe.Grid.locate : Image and cell of a vector id.
    hueprobe.Matches.from_neighbors : The match table of a search result.

    Examples
    --------
    >>> hp.open_searcher(memory).search(memory.vectors([0, 1]), 3)
    Neighbors(2 queries, k=3, 0 missing)
    """

    ids: np.ndarray
    distances: np.ndarray

    def __repr__(self) -> str:
        """Count queries, neighbors and missing neighbors."""
        return (
            f"Neighbors({len(self.ids)} queries, k={self.ids.shape[1]}, {int((self.ids < 0).sum())} missing)"
        )


def merge_neighbors(parts: Iterable[Neighbors], k: int | None = None) -> Neighbors:
    """Return the k nearest of all parts of a memory, from the k nearest of each part.

    The result is that of one search of all parts, ties included. A vector among the k nearest of all is
    among the k nearest of its own part, and distances depend on query and vector alone.

    Parameters
    ----------
    parts : iterable of Neighbors
        Results of searches for the same queries, each in another part of the memory. They are read one at a
        time.
    k : int, optional
        Number of neighbors, at most that of every part. By default that of the first part.

    Returns
    -------
    Neighbors

    Raises
    ------
    InputError
        There is no part, or one has fewer than k neighbors.
    ShapeError
        The parts differ in the number of queries.

    See Also
    --------
    hueprobe.open_searcher : Its `images` restricts a search to a part of the memory.
    hueprobe.merge_matches : The same for files of parts.

    Examples
    --------
    >>> queries = memory.vectors(np.arange(5))
    >>> halves = [hp.open_searcher(memory, images=rows) for rows in (range(6), range(6, 12))]
    >>> merged = hp.search.merge_neighbors(half.search(queries, 3) for half in halves)
    >>> whole = hp.open_searcher(memory).search(queries, 3)
    >>> np.array_equal(merged.ids, whole.ids), np.array_equal(merged.distances, whole.distances)
    (True, True)
    """
    merged: Neighbors | None = None
    for part in parts:
        k = part.ids.shape[1] if k is None else as_count("k", k)
        if part.ids.shape[1] < k:
            raise InputError(
                f"a part has the {part.ids.shape[1]} nearest neighbors of each query, so the {k} nearest of "
                f"all are unknown; search every part with k={k}"
            )
        if merged is None:
            merged = Neighbors(part.ids[:, :k].copy(), part.distances[:, :k].copy())
            continue
        if len(part.ids) != len(merged.ids):
            raise ShapeError(
                f"parts have {len(merged.ids)} and {len(part.ids)} queries; search the same queries in all"
            )
        changed = np.flatnonzero(part.distances[:, 0] <= merged.distances[:, -1])
        ids = np.concatenate([merged.ids[changed], part.ids[changed]], axis=1)
        distances = np.concatenate([merged.distances[changed], part.distances[changed]], axis=1)
        nearest = np.lexsort((ids, distances), axis=1)[:, :k]
        merged.ids[changed] = np.take_along_axis(ids, nearest, axis=1)
        merged.distances[changed] = np.take_along_axis(distances, nearest, axis=1)
    if merged is None:
        raise InputError("no results to merge; give that of at least one part")
    return merged


class Searcher(Protocol):
    """Searcher of a memory, as `open_searcher` returns it.

    Attributes
    ----------
    memory : Memory
        The memory that is searched.
    spec : SearcherSpec
        The searcher and its settings.

    See Also
    --------
    hueprobe.open_searcher : Open a searcher.

    Examples
    --------
    >>> searcher = hp.open_searcher(memory, "exact")
    >>> searcher.spec.text, searcher.memory.n_images
    ('exact', 12)
    """

    memory: "Memory"
    spec: "SearcherSpec"

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Find the k nearest stored vectors of each query.

        Parameters
        ----------
        vectors : ndarray of shape (n_queries, n_channels)
            Unit vectors, rounded by `as_stored`; a zero vector has no neighbors.
        k : int
            Number of neighbors, at least 1. If fewer vectors may be matched, ids are padded with -1.
        exclude_images : ndarray of int, shape (n_queries, m), optional
            Memory rows of images that each query may not match, padded with -1. Or a mask of bool, shape
            (n_queries, n_images). By default nothing is excluded.

        Returns
        -------
        Neighbors

        Raises
        ------
        ShapeError
            The shape of an argument does not fit.
        InputError
            An argument is not numeric, or `k` is not a positive whole number.
        NumericsError
            A query vector is NaN or infinite.

        See Also
        --------
        hueprobe.memory.as_stored : Round query vectors like those of the memory.
        hueprobe.KernelDensityClassifier : Derives exclusions by image or group.

        Examples
        --------
        >>> searcher = hp.open_searcher(memory)
        >>> neighbors = searcher.search(memory.vectors([0]), 3, exclude_images=[[0]])
        >>> image, y, x = memory.grid.locate(neighbors.ids)
        >>> bool((image != 0).all())
        True
        """
        ...


def checked_queries(
    memory: "Memory", vectors: np.ndarray, k: int, exclude_images: np.ndarray | None
) -> tuple[np.ndarray, int, np.ndarray]:
    """Return queries as contiguous float32, k, and exclusions as int64 (n_queries, m), or raise."""
    vectors, k = np.ascontiguousarray(as_array("vectors", vectors), np.float32), as_count("k", k)
    if vectors.ndim != 2 or vectors.shape[1] != memory.n_channels:
        raise ShapeError(
            f"query vectors have shape {vectors.shape}, {memory.path} needs (n, {memory.n_channels}); "
            "extract both from the same layer of the same network"
        )
    if not np.isfinite(vectors).all():
        raise NumericsError("a query vector is NaN or infinite; check the network's activations")
    if exclude_images is None:
        exclude_images = np.empty((len(vectors), 0), np.int64)
    exclude_images = as_array("exclude_images", exclude_images)
    if exclude_images.ndim != 2 or len(exclude_images) != len(vectors):
        raise ShapeError(
            f"exclude_images has shape {exclude_images.shape}, {len(vectors)} queries need "
            f"({len(vectors)}, m)"
        )
    if exclude_images.dtype == bool:
        exclude_images = _marked(exclude_images, memory.n_images)
    whole = exclude_images.astype(np.int64)
    if (whole != exclude_images).any():
        raise InputError("exclude_images holds numbers that are not whole; give memory rows, and -1 to pad")
    return vectors, k, whole


def _marked(mask: np.ndarray, n_images: int) -> np.ndarray:
    """Return the rows that a mask (n_queries, n_images) selects, padded with -1."""
    if mask.shape[1] != n_images:
        raise ShapeError(
            f"exclude_images is a mask of shape {mask.shape}, {n_images} images need "
            f"({len(mask)}, {n_images}); give one True or False for each, or rows"
        )
    query, image = np.nonzero(mask)
    n_marked = mask.sum(axis=1)
    rows = np.full((len(mask), int(n_marked.max(initial=0))), -1, np.int64)
    rows[query, np.arange(len(query)) - np.repeat(np.cumsum(n_marked) - n_marked, n_marked)] = image
    return rows


# (query vectors (n, d), their excluded images (n, m), width) -> bool (n,), which queries a search of about
# `width` candidates settles (all of them at the largest width); and the neighbors of the settled queries.
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
    """Search a number of candidates, and then more for the queries that are not settled.

    Parameters
    ----------
    look : callable
        One search; see `Look`.
    vectors, excluded : ndarray
        Results of `checked_queries`. Zero vectors are not searched: they have no neighbors.
    k : int
        Number of neighbors.
    width, widest : int
        Number of candidates of the first search, and largest number; 0 if nothing can be found.
    times : int
        Factor by which the number of candidates grows.
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
