"""The baselines of label transfer, fitted to a memory with bounded use of RAM."""

from collections.abc import Callable, Iterator

import numpy as np

from hueprobe.dense.baselines import fit_logistic, pooled_vectors, vote_of_images
from hueprobe.dense.memory_labels import memory_counts
from hueprobe.dense.protocols import Protocol
from hueprobe.dense.transfer import EQ3, shares_of
from hueprobe.errors import require_choice
from hueprobe.memory.store import Memory

BASELINES = ("position", "logistic", "pooled")
_FITTED_CELLS = 20_000  # of the memory, drawn at random, that logistic regression is fitted to
_ITERATIONS = 100
_IMAGES = 10  # whose pooled vectors are nearest
_AT_ONCE = 1 << 22  # values read from a memory at a time

Predict = Callable[[np.ndarray], np.ndarray]


def fit_baseline(name: str, memory: Memory, protocol: Protocol, *, seed: int = 0) -> Predict:
    """Return a function from the vectors of query images to their label shares.

    Parameters
    ----------
    name : {"position", "logistic", "pooled"}
        `position`: the labels at a cell's position in all images of the memory. `logistic`: a logistic
        regression on at most 20,000 labeled cells. `pooled`: the labels at a cell's position in the ten
        images with the nearest pooled vectors, weighted by Eq. (3).
    memory : Memory
        A memory with labels.
    protocol : Protocol
        Whether ignored pixels count for label 0.
    seed : int, default=0
        Seed of the draw of cells.

    Returns
    -------
    callable
        From ndarray (m, n_cells, n_channels) to ndarray of float32 (m, H, W, n_labels).

    Raises
    ------
    InputError
        The name is none of these, or fewer than two labels are the most frequent one of a cell.

    See Also
    --------
    hueprobe.dense.segment_layers : Compare baselines with label transfer.

    Examples
    --------
    >>> labeled = hp.build_memory(
    ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
    ... )
    >>> predict = fit_baseline("position", labeled, hp.dense.protocol_of("strict"))
    >>> predict(labeled.image_vectors([0, 1])).shape
    (2, 7, 7, 2)
    """
    require_choice("baseline", name, BASELINES)
    if name == "position":
        return _position(memory, protocol)
    if name == "logistic":
        return _logistic(memory, protocol, seed)
    return _pooled(memory, protocol)


def _position(memory: Memory, protocol: Protocol) -> Predict:
    counts_of, n_cells = memory_counts(memory, protocol), memory.grid.n_cells
    total = np.zeros((n_cells, len(memory.label_set)), np.int64)
    for rows in _parts(memory, len(memory.label_set)):
        total += counts_of(_ids(rows, n_cells)).sum(axis=0, dtype=np.int64)
    shares = shares_of(total).reshape(*memory.grid.shape, -1)
    return lambda queries: np.broadcast_to(shares, (len(queries), *shares.shape))


def _logistic(memory: Memory, protocol: Protocol, seed: int) -> Predict:
    counts_of = memory_counts(memory, protocol)
    ids = np.flatnonzero(memory.valid())
    parts = np.array_split(ids, len(ids) * len(memory.label_set) // _AT_ONCE + 1)
    ids = np.concatenate([part[counts_of(part).any(axis=1)] for part in parts])
    if len(ids) > _FITTED_CELLS:
        ids = np.sort(np.random.default_rng(seed).permutation(ids)[:_FITTED_CELLS])
    shares_of_cells = fit_logistic(memory.vectors(ids), counts_of(ids), max_iterations=_ITERATIONS)

    def predict(queries: np.ndarray) -> np.ndarray:
        flat = shares_of_cells(queries.reshape(-1, queries.shape[-1]))
        return flat.reshape(len(queries), *memory.grid.shape, -1)

    return predict


def _pooled(memory: Memory, protocol: Protocol) -> Predict:
    counts_of, n_cells = memory_counts(memory, protocol), memory.grid.n_cells
    own = np.concatenate(
        [pooled_vectors(memory.image_vectors(rows)) for rows in _parts(memory, memory.n_channels)]
    )
    rows = np.flatnonzero(memory.readable)

    def shares_of_images(numbers: np.ndarray) -> np.ndarray:
        shares = shares_of(counts_of(_ids(rows[numbers], n_cells)))
        return shares.reshape(len(numbers), *memory.grid.shape, -1)

    return lambda queries: vote_of_images(own, pooled_vectors(queries), shares_of_images, _IMAGES, EQ3)


def _parts(memory: Memory, n_values: int) -> Iterator[np.ndarray]:
    """Yield the rows of readable images, few enough at a time that their cells' values fit into RAM."""
    rows = np.flatnonzero(memory.readable)
    step = max(1, _AT_ONCE // (memory.grid.n_cells * n_values))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _ids(rows: np.ndarray, n_cells: int) -> np.ndarray:
    """Return the vector ids of all cells of images, shape (n, n_cells)."""
    ids: np.ndarray = rows[:, None] * n_cells + np.arange(n_cells)
    return ids
