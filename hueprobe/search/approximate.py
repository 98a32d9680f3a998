"""What Annoy and FAISS have in common: fetch ids until k may be matched, rank them by exact distance."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hueprobe.search.neighbors import NORM_ERROR, UNIT, Neighbors, checked_queries, rank
from hueprobe.threads import n_cores

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

# (vectors (n, C), how many) -> candidate ids (n, how many), -1 where the index gives no more; and their
# products with the query as float32 sums, or None where the index knows its vectors but roughly.
Fetch = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray | None]]


def n_threads() -> int:
    """Return how many threads a search may use: OMP_NUM_THREADS, or the cores this process may run on."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return n_cores()


def search_with(
    fetch: Fetch,
    memory: "Memory",
    vectors: np.ndarray,
    k: int,
    exclude_images: np.ndarray | None,
) -> Neighbors:
    """Return k neighbors of each query, fetching more where excluded images take their places.

    Parameters
    ----------
    fetch : callable
        Asks the index.
    memory, vectors, k, exclude_images
        As in `Searcher.search`.
    """
    vectors, excluded = checked_queries(memory, vectors, k, exclude_images)
    ids = np.full((len(vectors), k), -1, np.int64)
    distances = np.full((len(vectors), k), np.inf)
    open_queries = np.flatnonzero(vectors.any(axis=1))
    limit = int(memory.valid().sum())
    width = min(limit, k + (memory.grid.n_cells if excluded.shape[1] else 0))
    while len(open_queries) and limit:
        candidates, products = fetch(vectors[open_queries], width)
        images = np.where(candidates >= 0, candidates // memory.grid.n_cells, -2)
        barred = (images[:, :, None] == excluded[open_queries][:, None, :]).any(axis=2)
        candidates = np.where(barred, -1, candidates)
        settled = ((candidates >= 0).sum(axis=1) >= k) | (width == limit)
        done = open_queries[settled]
        plausible = candidates[settled]
        if products is not None and width > k:
            plausible = _plausible(plausible, products[settled], k, memory.n_channels)
        found = rank(memory, vectors[done], plausible, k)
        ids[done], distances[done] = found.ids, found.distances
        open_queries = open_queries[~settled]
        width = min(limit, 2 * width)
    return Neighbors(ids, distances)


def _plausible(candidates: np.ndarray, products: np.ndarray, k: int, n_channels: int) -> np.ndarray:
    """Keep the candidates that can be among the k nearest, (n_queries, fewer): the others need not be read.

    The products and the lengths by which Annoy divides them are float32 sums, each off by gamma at most:
    a candidate lower than the k-th by twice all of that is farther away.
    """
    products = np.where(candidates >= 0, products, -np.inf)
    gamma = n_channels * UNIT / (1 - n_channels * UNIT)
    margin = 4 * gamma + 4 * NORM_ERROR
    low = products < np.partition(products, -k, axis=1)[:, -k, None] - margin
    columns = np.argsort(low, axis=1, kind="stable")[:, : int((~low).sum(axis=1).max(initial=k))]
    return np.take_along_axis(np.where(low, -1, candidates), columns, axis=1)
