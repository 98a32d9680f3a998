"""How often each label of a memory occurs: its images, its cells, and its share of the cells."""

from dataclasses import dataclass

import numpy as np

from hueprobe.memory.store import Memory


@dataclass(frozen=True, eq=False)
class LabelShares:
    """Result of `count_labels`, for L labels.

    Attributes
    ----------
    names : tuple of str, length L
        Names of the labels.
    n_cells : int
        Number of cells with labeled pixels.
    n_unlabeled : int
        Number of cells without: all of their pixels are ignored, or the image is unreadable.
    images, cells : ndarray of int64, shape (L,)
        Number of images and of cells in which each label occurs.
    shares : ndarray of float64, shape (L,)
        Mean, over the cells with labeled pixels, of a label's share of these pixels; NaN without such cells.
    """

    names: tuple[str, ...]
    n_cells: int
    n_unlabeled: int
    images: np.ndarray
    cells: np.ndarray
    shares: np.ndarray


def count_labels(memory: Memory) -> LabelShares:
    """Count the labels of a memory, shard by shard.

    Parameters
    ----------
    memory : Memory
        A memory that was built with masks.

    Returns
    -------
    LabelShares

    Raises
    ------
    InputError
        The memory has no labels.

    See Also
    --------
    hueprobe.Memory.label_counts : The counts of each cell.

    Examples
    --------
    >>> labeled = hp.build_memory(
    ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
    ... )
    >>> found = hp.memory.count_labels(labeled)
    >>> found.n_cells, found.names, bool(np.isclose(found.shares.sum(), 1))
    (588, ('0', '1'), True)
    """
    names = memory.label_set.names
    images, cells = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    total, n_cells = np.zeros(len(names)), 0
    for shard in memory.shards:
        counts = memory.label_counts(np.arange(shard.start, shard.stop))
        images += (counts > 0).any(axis=(1, 2)).sum(axis=0)
        cells += (counts > 0).sum(axis=(0, 1, 2))
        sums = counts.sum(axis=-1, dtype=np.int64)
        labeled = sums > 0
        total += (counts[labeled] / sums[labeled][:, None]).sum(axis=0)
        n_cells += int(labeled.sum())
    shares = total / n_cells if n_cells else np.full(len(names), np.nan)
    return LabelShares(names, n_cells, memory.n_slots - n_cells, images, cells, shares)
