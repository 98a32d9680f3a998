"""How many of the true neighbors an approximate index finds."""

from typing import TYPE_CHECKING

import numpy as np

from hueprobe.search.exact import ExactSearcher

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory
    from hueprobe.search.neighbors import Searcher

RECALL_K = 10


def measure_recall(
    memory: "Memory", searcher: "Searcher", *, k: int = RECALL_K, n_queries: int = 500, seed: int = 0
) -> float:
    """Return the share of the true k neighbors that a searcher finds.

    Asked are the memory's own vectors, drawn at random, with their own image excluded. A neighbor
    at the true k-th distance counts as found whatever its id: ties are no misses.

    Parameters
    ----------
    memory : Memory
    searcher : Searcher
    k, n_queries : int
    seed : int
        Of the draw.
    """
    ids = np.flatnonzero(memory.valid())
    ids = np.sort(np.random.default_rng(seed).choice(ids, min(n_queries, len(ids)), replace=False))
    vectors = memory.vectors(ids)
    excluded = (ids // memory.grid.n_cells)[:, None]
    truth = ExactSearcher(memory).search(vectors, k, exclude_images=excluded)
    found = searcher.search(vectors, k, exclude_images=excluded)
    within = np.isfinite(found.distances) & (found.distances <= _last_finite(truth.distances))
    n_true = np.isfinite(truth.distances).sum()
    return float(within.sum() / n_true) if n_true else float("nan")


def _last_finite(distances: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(distances), distances, -np.inf).max(axis=1, keepdims=True)
