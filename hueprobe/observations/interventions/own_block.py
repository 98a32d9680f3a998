"""Matches within an image's own block, taken from a list of its nearest neighbors among all images.

The blocked replicate test searches each block of images within itself. With many deals of blocks that would
be many searches. The k nearest within a block are the first k of the nearest of all that lie in the block, so
one search that is deep enough serves every deal.
"""

import numpy as np

from hueprobe.grid import Grid


def nearest_in_block(
    ids: np.ndarray, images: np.ndarray, block_of_image: np.ndarray, own_block: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest vectors within each query's block, and whether the list was deep enough.

    Parameters
    ----------
    ids : ndarray of int, shape (n, depth)
        Vector ids of the nearest neighbors of each query vector among all images, nearest first, -1 where
        there are no more.
    images : ndarray of int, shape (n, depth)
        Their images, `ids // n_cells`.
    block_of_image : ndarray of int, shape (n_images,)
        Block of each memory image, -1 for none.
    own_block : ndarray of int, shape (n,)
        Block of each query, 0 or more.
    k : int
        Number of neighbors.

    Returns
    -------
    found : ndarray of the type of `ids`, shape (n, k)
        Vector ids, nearest first, -1 where the list holds no more.
    deep_enough : ndarray of bool, shape (n,)
        Whether there are k, or the list ended because nothing is left to find.
    """
    narrow = np.int16 if len(block_of_image) < 1 << 15 else np.int64  # less memory to go through
    inside = block_of_image.astype(narrow)[images] == own_block.astype(narrow)[:, None]
    inside &= ids >= 0
    order = inside.cumsum(1, dtype=np.int16 if ids.shape[1] < 1 << 15 else np.int64)
    deep_enough = (order[:, -1] >= k) | (ids[:, -1] < 0)
    inside &= order <= k
    at = np.flatnonzero(inside)
    row = at // ids.shape[1]
    found = np.full((len(ids), k), -1, ids.dtype)
    found[row, order.ravel()[at] - 1] = ids.ravel()[at]
    return found, deep_enough


def matched_positions(
    ids: np.ndarray,
    query_image: np.ndarray,
    query_class: np.ndarray,
    image_class: np.ndarray,
    grid: Grid,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Return the mean position of the same-class matches of each query image.

    Parameters
    ----------
    ids : ndarray of int, shape (n, k)
        Vector ids of the matches of each query vector, -1 for none.
    query_image : ndarray of int, shape (n,)
        Query image of each query vector.
    query_class, image_class : ndarray of int, shapes (n_queries,) and (n_images,)
        Class of each query image and of each memory image, -1 for none.
    grid : Grid
        Grid of the memory.
    weight : ndarray of shape (n_images * H * W,), optional
        Weight of a match, by the memory vector that is matched, such as its energy. By default all are equal.

    Returns
    -------
    ndarray of float64, shape (n_queries, 2)
        (u, v) in cells, v upwards; NaN for an image without same-class matches (of positive weight).
    """
    own = query_class[query_image][:, None]
    same = (image_class[ids // grid.n_cells] == own) & (own >= 0) & (ids >= 0)
    row, column = np.nonzero(same)
    matched = ids[row, column].astype(np.int64)
    u, v = grid.centered(*grid.cell(matched % grid.n_cells))
    weights = np.ones(len(matched)) if weight is None else weight[matched]
    image, n_queries = query_image[row], len(query_class)
    total = np.bincount(image, weights, n_queries)
    sums = np.stack([np.bincount(image, weights * part, n_queries) for part in (u, v)], axis=1)
    total = total[:, None]
    means: np.ndarray = np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)
    return means
