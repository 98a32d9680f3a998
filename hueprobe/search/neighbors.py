"""The one result of every search, and the exact distances by which all results are ranked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hueprobe.errors import InputError, NumericsError, ShapeError
from hueprobe.threads import n_cores, threaded_map

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

# So that their candidates stay in a processor's cache.
_QUERIES_AT_A_TIME, _CANDIDATES_AT_A_TIME = 16, 1_024
UNIT = 2.0**-24  # half the spacing of float32 at 1
# renormalize() divides by a norm whose float32 sum is off by some units: generous.
NORM_ERROR = 64 * UNIT


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


class Searcher(Protocol):
    """What `open_searcher` returns."""

    memory: "Memory"
    spec: str

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Return the k nearest stored vectors of each query.

        Parameters
        ----------
        vectors : ndarray of shape (n_queries, n_channels)
            Unit vectors as `as_stored` gives them; a zero vector gets no neighbor.
        k : int
            At least 1; where fewer vectors may be matched, ids are padded with -1.
        exclude_images : ndarray of int, shape (n_queries, m), optional
            Memory images that each query may not match; -1 pads.
        """
        ...


def checked_queries(
    memory: "Memory", vectors: np.ndarray, k: int, exclude_images: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return queries as contiguous float32 and exclusions as int64 (n_queries, m), or raise."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != memory.n_channels:
        raise ShapeError(
            f"query vectors have shape {vectors.shape}, {memory.path} asks for (n, {memory.n_channels}); "
            "extract both at one layer of one network"
        )
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    if not np.isfinite(vectors).all():
        raise NumericsError("a query vector is NaN or infinite; check the network's activations")
    if exclude_images is None:
        exclude_images = np.empty((len(vectors), 0), np.int64)
    exclude_images = np.asarray(exclude_images, np.int64)
    if exclude_images.ndim != 2 or len(exclude_images) != len(vectors):
        raise ShapeError(
            f"exclude_images has shape {exclude_images.shape}, {len(vectors)} queries ask for "
            f"({len(vectors)}, m)"
        )
    return vectors, exclude_images


def rank(memory: "Memory", vectors: np.ndarray, candidates: np.ndarray, k: int) -> Neighbors:
    """Rank candidates by their exact distance and keep the k nearest.

    The distance is ||q - x|| by subtraction in float64, so that a duplicate is at exactly 0;
    2 - 2<q, x> would put it at up to 1.4e-3. Ties go to the lower id.

    Parameters
    ----------
    memory : Memory
    vectors : ndarray of float32, shape (n_queries, n_channels)
    candidates : ndarray of int64, shape (n_queries, c)
        Distinct vector ids; -1 pads.
    k : int
    """
    n_queries, width = candidates.shape
    step = min(_QUERIES_AT_A_TIME, max(1, _CANDIDATES_AT_A_TIME // max(1, width)))
    parts = [slice(start, start + step) for start in range(0, n_queries, step)]

    def ranked(part: slice) -> Neighbors:
        return _rank_part(memory, vectors[part], candidates[part], k)

    if len(parts) > 1:
        with threaded_map(min(n_cores(), len(parts)), name="hueprobe-rank") as each:
            found = list(each(ranked, parts))
    else:
        found = [ranked(part) for part in parts]
    if not found:
        return Neighbors(np.empty((0, k), np.int64), np.empty((0, k)))
    return Neighbors(
        np.concatenate([part.ids for part in found]), np.concatenate([part.distances for part in found])
    )


def _rank_part(memory: "Memory", vectors: np.ndarray, candidates: np.ndarray, k: int) -> Neighbors:
    unique, where = np.unique(candidates, return_inverse=True)
    where = where.reshape(candidates.shape)
    rows = memory.vectors(np.maximum(unique, 0))
    if candidates.shape[1] > k:
        columns = _plausible(vectors, rows[where], candidates >= 0, k)
        candidates, where = (np.take_along_axis(part, columns, axis=1) for part in (candidates, where))
    distance = exact_distances(vectors, rows, where)
    distance[candidates < 0] = np.inf
    order = np.lexsort((candidates, distance), axis=1)[:, :k]
    distance = np.take_along_axis(distance, order, axis=1)
    ids = np.where(np.isinf(distance), -1, np.take_along_axis(candidates, order, axis=1))
    missing = ((0, 0), (0, k - order.shape[1]))
    return Neighbors(
        np.pad(ids, missing, constant_values=-1), np.pad(distance, missing, constant_values=np.inf)
    )


def _plausible(vectors: np.ndarray, rows: np.ndarray, real: np.ndarray, k: int) -> np.ndarray:
    """Return columns (n_queries, fewer) of the candidates whose float32 product can be among the k highest.

    A product is off by at most gamma_d, a squared length by `NORM_ERROR`: whatever lies lower than the k-th
    by more than both on either side is farther away.
    """
    products = np.where(real, np.einsum("qcd,qd->qc", rows, vectors), -np.inf)
    gamma = vectors.shape[1] * UNIT / (1 - vectors.shape[1] * UNIT)
    margin = 2 * gamma * (1 + NORM_ERROR) + 2 * NORM_ERROR
    low = products < np.partition(products, -k, axis=1)[:, -k, None] - margin
    return np.argsort(low, axis=1, kind="stable")[:, : int((~low).sum(axis=1).max(initial=k))]


def exact_distances(vectors: np.ndarray, rows: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return ||vectors[i] - rows[where[i, j]]|| in float64, shape of `where`."""
    queries = vectors.astype(np.float64)
    distance = np.empty(where.shape, np.float64)
    for column in range(where.shape[1]):
        difference = queries - rows[where[:, column]]
        distance[:, column] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return distance
