"""Recall: the share of true neighbors that an approximate index finds."""

from typing import TYPE_CHECKING

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.progress import progress_bar
from hueprobe.search.exact.searcher import ExactSearcher
from hueprobe.search.spec import RECALL_K

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory
    from hueprobe.search.neighbors import Neighbors, Searcher


def measure_recall(
    memory: "Memory",
    searcher: "Searcher",
    *,
    k: int = RECALL_K,
    n_queries: int = 500,
    seed: int = 0,
    progress: bool = False,
) -> float:
    """Measure recall@k: the share of the k true neighbors that a searcher finds.

    Queries are drawn from the memory's own nonzero vectors; the image of a query is excluded. Exact search
    gives the true neighbors. A neighbor as near as the k-th true one counts as found, whatever its id.

    Parameters
    ----------
    memory : Memory
        The memory.
    searcher : Searcher
        A searcher of the memory.
    k : int, default=10
        Number of neighbors of each query.
    n_queries : int, default=500
        Largest number of queries.
    seed : int, default=0
        Seed of the draw of queries.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    float
        Recall in [0, 1]; NaN if no query has a neighbor.

    See Also
    --------
    hueprobe.search.tune_searcher : Compare the recall and the speed of several searchers.

    Examples
    --------
    >>> hp.search.measure_recall(memory, hp.open_searcher(memory, "faiss:Flat"), n_queries=50)
    1.0
    """
    k, n_queries = as_count("k", k), as_count("n_queries", n_queries)
    vectors, excluded = sample_queries(memory, n_queries, seed=seed)
    label, total = f"recall@{k}", 2 * len(vectors)
    with progress_bar(total, label=label, unit="searches", enabled=progress) as advance:
        truth = ExactSearcher(memory, device="auto").search(vectors, k, exclude_images=excluded)
        advance(len(vectors))
        found = searcher.search(vectors, k, exclude_images=excluded)
        advance(len(vectors))
    return share_found(found, truth)


def sample_queries(memory: "Memory", n_queries: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw queries from a memory's own nonzero vectors, in order of their ids.

    Parameters
    ----------
    memory : Memory
        The memory.
    n_queries : int
        Largest number of queries; a small memory gives all its vectors.
    seed : int, default=0
        Seed of the draw.

    Returns
    -------
    vectors : ndarray of float32, shape (n, n_channels)
        Query vectors.
    excluded : ndarray of int64, shape (n, 1)
        Each query's own image.
    """
    ids = np.flatnonzero(memory.valid())
    ids = np.sort(np.random.default_rng(seed).choice(ids, min(n_queries, len(ids)), replace=False))
    return memory.vectors(ids), (ids // memory.grid.n_cells)[:, None]


def share_found(found: "Neighbors", truth: "Neighbors") -> float:
    """Return the share of the true neighbors that were found; NaN if there are no true neighbors.

    A neighbor at the k-th true distance counts whatever its id: ties are not misses.

    Parameters
    ----------
    found, truth : Neighbors
        Results of an approximate searcher and of exact search for the same queries.
    """
    within = np.isfinite(found.distances) & (found.distances <= _last_finite(truth.distances))
    n_true = np.isfinite(truth.distances).sum()
    return float(within.sum() / n_true) if n_true else float("nan")


def _last_finite(distances: np.ndarray) -> np.ndarray:
    last: np.ndarray = np.where(np.isfinite(distances), distances, -np.inf).max(axis=1, keepdims=True)
    return last
