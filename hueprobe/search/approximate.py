"""What Annoy and FAISS have in common: fetch ids until k may be matched, rank them by exact distance."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hueprobe.search.neighbors import Neighbors, checked_queries, rank

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

# (vectors (n, C), how many) -> candidate ids (n, how many), -1 where the index gives no more.
Fetch = Callable[[np.ndarray, int], np.ndarray]


def search_with(
    fetch: Fetch,
    memory: "Memory",
    vectors: np.ndarray,
    k: int,
    exclude_images: np.ndarray | None,
) -> Neighbors:
    """Return k neighbors of each query, fetching more where excluded pictures take their places.

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
        candidates = fetch(vectors[open_queries], width)
        images = np.where(candidates >= 0, candidates // memory.grid.n_cells, -2)
        barred = (images[:, :, None] == excluded[open_queries][:, None, :]).any(axis=2)
        candidates = np.where(barred, -1, candidates)
        settled = ((candidates >= 0).sum(axis=1) >= k) | (width == limit)
        done = open_queries[settled]
        found = rank(memory, vectors[done], candidates[settled], k)
        ids[done], distances[done] = found.ids, found.distances
        open_queries = open_queries[~settled]
        width = min(limit, 2 * width)
    return Neighbors(ids, distances)
