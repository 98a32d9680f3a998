"""The one result of every search, and the exact distances by which all results are ranked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hueprobe.errors import InputError, NumericsError, ShapeError

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

_CHUNK_VALUES = 1 << 24  # float64 differences held at a time: 128 MiB


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
    ids = np.full((n_queries, k), -1, np.int64)
    distances = np.full((n_queries, k), np.inf)
    step = max(1, _CHUNK_VALUES // max(1, width * memory.n_channels))
    for start in range(0, n_queries, step):
        chunk = candidates[start : start + step]
        unique, where = np.unique(chunk, return_inverse=True)
        rows = memory.vectors(np.maximum(unique, 0))
        distance = exact_distances(vectors[start : start + step], rows, where.reshape(chunk.shape))
        distance[chunk < 0] = np.inf
        order = np.lexsort((chunk, distance), axis=1)[:, :k]
        found = np.take_along_axis(chunk, order, axis=1)
        distance = np.take_along_axis(distance, order, axis=1)
        ids[start : start + step, : found.shape[1]] = np.where(np.isinf(distance), -1, found)
        distances[start : start + step, : found.shape[1]] = distance
    return Neighbors(ids, distances)


def exact_distances(vectors: np.ndarray, rows: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return ||vectors[i] - rows[where[i, j]]|| in float64, shape of `where`."""
    queries = vectors.astype(np.float64)
    distance = np.empty(where.shape, np.float64)
    for column in range(where.shape[1]):
        difference = queries - rows[where[:, column]]
        distance[:, column] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return distance
