"""How many of the true neighbors an approximate index finds."""

from typing import TYPE_CHECKING

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.search.exact.searcher import ExactSearcher

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory
    from hueprobe.search.neighbors import Neighbors, Searcher

RECALL_K = 10


def measure_recall(
    memory: "Memory", searcher: "Searcher", *, k: int = RECALL_K, n_queries: int = 500, seed: int = 0
) -> float:
    """Return the share of the true k neighbors that a searcher finds; see `sample_queries`, `share_found`.

    Parameters
    ----------
    memory : Memory
    searcher : Searcher
    k, n_queries : int
        Neighbors of each query, and queries at most.
    seed : int
        Of the draw.
    """
    k, n_queries = as_count("k", k), as_count("n_queries", n_queries)
    vectors, excluded = sample_queries(memory, n_queries, seed=seed)
    truth = ExactSearcher(memory, device="auto").search(vectors, k, exclude_images=excluded)
    return share_found(searcher.search(vectors, k, exclude_images=excluded), truth)


def sample_queries(memory: "Memory", n_queries: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw queries from a memory's own nonzero vectors, in order of their ids.

    Parameters
    ----------
    memory : Memory
    n_queries : int
        At most; a small memory gives all it has.
    seed : int

    Returns
    -------
    vectors : ndarray of float32, shape (n, n_channels)
    excluded : ndarray of int64, shape (n, 1)
        Each query's own image.
    """
    ids = np.flatnonzero(memory.valid())
    ids = np.sort(np.random.default_rng(seed).choice(ids, min(n_queries, len(ids)), replace=False))
    return memory.vectors(ids), (ids // memory.grid.n_cells)[:, None]


def share_found(found: "Neighbors", truth: "Neighbors") -> float:
    """Return the share of true neighbors among those found, NaN where there are none.

    A neighbor at the true k-th distance counts whatever its id: ties are no misses.

    Parameters
    ----------
    found, truth : Neighbors
        Of the same queries; of an approximate searcher, and of exact search.
    """
    within = np.isfinite(found.distances) & (found.distances <= _last_finite(truth.distances))
    n_true = np.isfinite(truth.distances).sum()
    return float(within.sum() / n_true) if n_true else float("nan")


def _last_finite(distances: np.ndarray) -> np.ndarray:
    last: np.ndarray = np.where(np.isfinite(distances), distances, -np.inf).max(axis=1, keepdims=True)
    return last
