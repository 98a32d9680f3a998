"""Near-duplicates: images most of whose pixels closely match one and the same other image."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hueprobe.matches import Matches
from hueprobe.studies.observing.near_pairs import NEAR, matched_shares


def near_duplicates(matches: Matches, *, near: float = NEAR) -> np.ndarray:
    """Return for each image the other image that it nearly duplicates, shape (n_images,) int64; -1 for none.

    An image is a near-duplicate of another if more than half of its pixels have their nearest match there,
    closer than `near`.

    Parameters
    ----------
    matches : Matches
        Leave-one-out matches of a memory.
    near : float, default=0.25
        Maximum distance between unit vectors.
    """
    found = matched_shares(matches.select(matches.rank == 1), near=near)
    often = found.share > 0.5  # at most one an image: more than half
    twin = np.full(len(matches.image_paths), -1)
    twin[found.query_image[often]] = found.image[often]
    return twin


def without_near_duplicates(matches: Matches, *, near: float = NEAR) -> np.ndarray:
    """Return the rows that remain when only the first image of each set of near-duplicates is kept."""
    twin = near_duplicates(matches, near=near)
    rows = np.flatnonzero(twin >= 0)
    links = coo_array((np.ones(len(rows)), (rows, twin[rows])), shape=(len(twin), len(twin)))
    _, family = connected_components(links, directed=False)
    return np.unique(np.unique(family, return_index=True)[1])
