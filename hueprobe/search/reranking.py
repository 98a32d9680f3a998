"""Re-ranking: the exact distances that rank the candidates of every searcher."""

import functools
import hashlib
from typing import TYPE_CHECKING

import numpy as np

from hueprobe.search.exact.native import has_native_distances, native_distances, normalized
from hueprobe.search.neighbors import Neighbors
from hueprobe.threads import n_cores, threaded_map

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

# Limits that keep the candidates in a processor's cache.
_QUERIES_AT_A_TIME, _CANDIDATES_AT_A_TIME = 64, 1_024
UNIT = 2.0**-24  # half the spacing of float32 at 1
# renormalize() divides by a norm with a float32 rounding error of a few units; this bound is generous.
NORM_ERROR = 64 * UNIT


def gamma(n_channels: int) -> float:
    """Return d u / (1 - d u), a bound on the error of a float32 inner product of unit vectors.

    It holds for any order of summation.
    """
    return n_channels * UNIT / (1 - n_channels * UNIT)


def rerank(memory: "Memory", vectors: np.ndarray, candidates: np.ndarray, k: int) -> Neighbors:
    """Re-rank candidates by their exact distance and keep the k nearest.

    The distance is ||q - x|| by subtraction in float64, so that a duplicate is at exactly 0. The formula
    2 - 2<q, x> could place it at up to 1.4e-3. Ties go to the lower id.

    Parameters
    ----------
    memory : Memory
        The memory.
    vectors : ndarray of float32, shape (n_queries, n_channels)
        Query vectors.
    candidates : ndarray of int64, shape (n_queries, c)
        Distinct vector ids, padded with -1.
    k : int
        Number of neighbors to keep.
    """
    n_queries, width = candidates.shape
    step = min(_QUERIES_AT_A_TIME, max(1, _CANDIDATES_AT_A_TIME // max(1, width)), -(-n_queries // n_cores()))
    step = max(1, step)
    parts = [slice(start, start + step) for start in range(0, n_queries, step)]

    def reranked(part: slice) -> Neighbors:
        return _rerank_part(memory, vectors[part], candidates[part], k)

    if len(parts) > 1:
        with threaded_map(min(n_cores(), len(parts)), name="hueprobe-rerank") as each:
            found = list(each(reranked, parts))
    else:
        found = [reranked(part) for part in parts]
    if not found:
        return Neighbors(np.empty((0, k), np.int64), np.empty((0, k)))
    return Neighbors(
        np.concatenate([part.ids for part in found]), np.concatenate([part.distances for part in found])
    )


def _rerank_part(memory: "Memory", vectors: np.ndarray, candidates: np.ndarray, k: int) -> Neighbors:
    unique, where = np.unique(candidates, return_inverse=True)
    where = where.reshape(candidates.shape)
    rows = normalized(memory.raw(np.maximum(unique, 0)))
    if candidates.shape[1] > k and not has_native_distances():
        # The error of a product is at most gamma, of a squared length NORM_ERROR, on both sides of the
        # comparison.
        margin = 2 * gamma(memory.n_channels) * (1 + NORM_ERROR) + 2 * NORM_ERROR
        products = np.einsum("qcd,qd->qc", rows[where], vectors)
        candidates, columns = plausible(candidates, products, k, margin)
        where = np.take_along_axis(where, columns, axis=1)
    distance = exact_distances(vectors, rows, where)
    distance[candidates < 0] = np.inf
    order = np.lexsort((candidates, distance), axis=1)[:, :k]
    distance = np.take_along_axis(distance, order, axis=1)
    ids = np.where(np.isinf(distance), -1, np.take_along_axis(candidates, order, axis=1))
    missing = ((0, 0), (0, k - order.shape[1]))
    return Neighbors(
        np.pad(ids, missing, constant_values=-1), np.pad(distance, missing, constant_values=np.inf)
    )


def plausible(
    candidates: np.ndarray, products: np.ndarray, k: int, margin: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Keep the candidates that can be among the k nearest; the others need no exact distance.

    Parameters
    ----------
    candidates : ndarray of int64, shape (n_queries, c)
        Vector ids, padded with -1.
    products : ndarray of shape (n_queries, c)
        Computed inner product of the query with each candidate.
    k : int
        Number of neighbors.
    margin : float or ndarray of float64, shape (n_queries,)
        A candidate whose product is below the k-th highest by more than this is certainly farther away.

    Returns
    -------
    candidates, columns : ndarray of int64, shape (n_queries, fewer)
        The remaining ids, padded with -1, and their original columns.
    """
    products = np.where(candidates >= 0, products, -np.inf)
    margin = np.reshape(margin, (-1, 1))
    low = products < np.partition(products, -k, axis=1)[:, -k, None] - margin
    low |= candidates < 0
    columns = np.argsort(low, axis=1, kind="stable")[:, : int((~low).sum(axis=1).max(initial=k))]
    return np.take_along_axis(np.where(low, -1, candidates), columns, axis=1), columns


def exact_distances(vectors: np.ndarray, rows: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return ||vectors[i] - rows[where[i, j]]|| in float64, shape of `where`."""
    if (native := native_distances(vectors, rows, where)) is not None:
        return native
    queries = vectors.astype(np.float64)
    distance = np.empty(where.shape, np.float64)
    for column in range(where.shape[1]):
        difference = queries - rows[where[:, column]]
        distance[:, column] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return distance


@functools.cache
def arithmetic() -> str:
    """Return a hash of exact distances between vectors that are always the same, 16 hex digits.

    Processors and builds of NumPy add in different orders, so that distances may differ in their last bits.
    Machines with the same hash have the same distances.

    Examples
    --------
    >>> len(arithmetic()), arithmetic() == arithmetic()
    (16, True)
    """
    rng, digest = np.random.default_rng(0), hashlib.sha256()
    for n_channels in (3, 64, 1_000, 1_921):
        rows = normalized(rng.random((40, n_channels)).astype(np.float16))
        where = np.tile(np.arange(40), (40, 1))
        digest.update(exact_distances(rows, rows, where).tobytes())
    return digest.hexdigest()[:16]
