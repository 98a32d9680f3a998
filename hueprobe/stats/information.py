"""Mutual information of query cell and match cell in bits, corrected for bias.

The plug-in estimate is biased upward, and the correction for independent draws does not apply: matches come
in groups, one per image. So query cells are permuted *within each image*, and all matches of one query vector
move together. The mean of the estimate over permutations is subtracted; this is the shuffling correction
reviewed by Panzeri et al. (2007). It still needs enough images::

    I = sum p(q, m) log2( p(q, m) / (p(q) p(m)) )  -  its mean over permutations
"""

import numpy as np

from hueprobe.errors import InputError, ShapeError

MIN_IMAGES = 100


def mutual_information(tables: np.ndarray) -> np.ndarray:
    """Return the plug-in mutual information of rows and columns in bits.

    The plug-in estimate is biased upward for small samples; [1]_ reviews corrections.

    Parameters
    ----------
    tables : ndarray of shape (..., n_rows, n_columns)
        Counts or weights, at least 0.

    Returns
    -------
    ndarray of float64, shape (...)
        Bits; NaN for an empty table.

    See Also
    --------
    hueprobe.observations.conditional.measure : Corrected information of query cell and match cell.

    References
    ----------
    .. [1] S. Panzeri, R. Senatore, M. A. Montemurro and R. S. Petersen, "Correcting for the sampling bias
       problem in spike train information measures", Journal of Neurophysiology 98, 1064-1072, 2007.

    Examples
    --------
    Matches that always stay in the query's cell, one of four, and matches that ignore it:

    >>> float(hp.stats.mutual_information(np.eye(4))), float(hp.stats.mutual_information(np.ones((4, 4))))
    (2.0, 0.0)
    """
    # sum p log p(q,m)/p(q)p(m) = H(q) + H(m) - H(q,m)
    rows, columns = tables.sum(-1), tables.sum(-2)
    whole = tables.reshape(*tables.shape[:-2], -1)
    return np.asarray(_entropy(rows) + _entropy(columns) - _entropy(whole))


def pointwise_information(table: np.ndarray) -> np.ndarray:
    """Return log2( p(q, m) / (p(q) p(m)) ) of each pair, in the shape of `table`.

    Pairs that never occur get 0.

    Parameters
    ----------
    table : ndarray of shape (n_rows, n_columns)
        Counts or weights, at least 0, and not all 0.
    """
    share = table / table.sum()
    by_chance = share.sum(1, keepdims=True) * share.sum(0, keepdims=True)
    bits: np.ndarray = np.log2(np.divide(share, by_chance, out=np.ones_like(share), where=share > 0))
    return bits


def permuted_information(
    query_image: np.ndarray,
    query_cell: np.ndarray,
    match_cell: np.ndarray,
    part: np.ndarray,
    *,
    shape: tuple[int, int, int],
    weight: np.ndarray | None = None,
    seed: int,
    n_permutations: int,
) -> np.ndarray:
    """Return the mutual information of each part under permutations of query cells within images.

    Parameters
    ----------
    query_image, query_cell, match_cell : ndarray of int64, shape (n,)
        Query image, query cell and match cell of each match.
    part : ndarray of int64, shape (n,)
        Table that each match belongs to, 0 to n_parts - 1.
    shape : (int, int, int)
        Numbers of parts, query cells and match cells.
    weight : ndarray of shape (n,), optional
        Weight of each match; equal weights by default.
    seed : int
        Seed of the permutations.
    n_permutations : int
        Number of random permutations, at least 1.

    Returns
    -------
    ndarray of shape (n_permutations, n_parts + 1)
        Bits of each part and, last, of all parts together. Only cells with a query of the image are permuted.

    Raises
    ------
    InputError, ShapeError
        No permutation; arrays of different lengths.
    """
    if n_permutations < 1:
        raise InputError(f"n_permutations is {n_permutations}; at least 1 is needed")
    if not len(query_image) == len(query_cell) == len(match_cell) == len(part):
        raise ShapeError("query images, query cells, match cells and parts differ in length")
    n_parts, n_query_cells, n_cells = shape
    vectors, vector = np.unique(query_image * n_query_cells + query_cell, return_inverse=True)
    image, cell = np.divmod(vectors, n_query_cells)  # query vectors, sorted by image
    rest = part * n_query_cells * n_cells + match_cell
    generator = np.random.default_rng(seed)
    bits = np.empty((n_permutations, n_parts + 1))
    for number in range(n_permutations):
        order = np.argsort(image + generator.random(len(image)))  # shuffles within images
        slot = (cell[order] * n_cells)[vector] + rest
        tables = np.bincount(slot, weight, n_parts * n_query_cells * n_cells).reshape(shape)
        bits[number, :-1] = mutual_information(tables)
        bits[number, -1] = mutual_information(tables.sum(0))
    return bits


def _entropy(counts: np.ndarray) -> np.ndarray:
    """Return the entropy of the last axis in bits; NaN where it sums to 0."""
    total = counts.sum(-1)
    logs = np.log2(np.where(counts > 0, counts, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        bits: np.ndarray = np.log2(total) - (counts * logs).sum(-1) / total
    return bits
