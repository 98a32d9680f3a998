"""Search code shared by Annoy and FAISS: fetch ids until k may be matched, re-rank them by exact distance."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hueprobe.search.neighbors import Neighbors, checked_queries, search_widening
from hueprobe.search.reranking import NORM_ERROR, gamma, plausible, rerank
from hueprobe.threads import n_cores

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

# (vectors (n, C), width) -> candidate ids (n, width), padded with -1; and their inner products with the query
# as float32 sums, or None if the index stores its vectors only approximately.
Fetch = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray | None]]


def n_threads() -> int:
    """Return the number of threads of a search: OMP_NUM_THREADS, or the cores this process may run on."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return n_cores()


def search_with(
    fetch: Fetch,
    memory: "Memory",
    vectors: np.ndarray,
    k: int,
    exclude_images: np.ndarray | None,
    *,
    n_candidates: int | None = None,
) -> Neighbors:
    """Return k neighbors of each query, fetching more candidates where excluded images take their places.

    Parameters
    ----------
    fetch : callable
        One search of the index; see `Fetch`.
    memory, vectors, k, exclude_images
        See `Searcher.search`.
    n_candidates : int, optional
        Number of candidates to rank, at least k; by default k. The cells of one image are fetched in
        addition if images are excluded.
    """
    vectors, k, excluded = checked_queries(memory, vectors, k, exclude_images)
    # The products, and the lengths that Annoy divides them by, are float32 sums with errors up to gamma.
    margin = 4 * gamma(memory.n_channels) + 4 * NORM_ERROR

    widest = int(memory.valid().sum())

    def look(queries: np.ndarray, barred: np.ndarray, width: int) -> tuple[np.ndarray, Neighbors]:
        candidates, products = fetch(queries, width)
        images = np.where(candidates >= 0, candidates // memory.grid.n_cells, -2)
        candidates = np.where((images[:, :, None] == barred[:, None, :]).any(axis=2), -1, candidates)
        settled = ((candidates >= 0).sum(axis=1) >= k) | (width == widest)
        candidates = candidates[settled]
        if products is not None and width > k:
            candidates, _ = plausible(candidates, products[settled], k, margin)
        return settled, rerank(memory, queries[settled], candidates, k)

    return search_widening(
        look, vectors, k, excluded,
        width=(n_candidates or k) + (memory.grid.n_cells if excluded.shape[1] else 0),
        widest=widest,
        times=2,
    )  # fmt: skip
