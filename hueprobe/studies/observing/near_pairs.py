"""Pairs of images whose cells nearly equal each other: how much of one image is found in another."""

from dataclasses import dataclass

import numpy as np

from hueprobe.matches import Matches

# Distances between pixels of different images of one scene are 0.4 and more. Those between two copies that
# differ by JPEG quality or size are smaller than this.
NEAR = 0.25


@dataclass(frozen=True)
class MatchedShares:
    """Shares of query images that nearly equal cells of one memory image; pairs without any are left out.

    Attributes
    ----------
    query_image, image : ndarray of int64, shape (n,)
        Query image and memory image of each pair, ordered by both.
    share : ndarray of float64, shape (n,)
        Share of the query image's cells with a match there that is nearer than the limit.
    """

    query_image: np.ndarray
    image: np.ndarray
    share: np.ndarray


def matched_shares(matches: Matches, *, near: float = NEAR) -> MatchedShares:
    """Return how much of each query image nearly equals cells of each memory image.

    Parameters
    ----------
    matches : Matches
        Matches of any ranks; a cell with several matches in one memory image counts once there.
    near : float, default=0.25
        Matches at this distance and beyond do not count.
    """
    close = matches.distance < near
    n_images, n_cells = len(matches.image_paths), matches.query_grid.n_cells
    query_cell = matches.query_image[close] * n_cells + matches.query_cell[close]
    once = np.unique(query_cell * n_images + matches.image[close])
    query_image, image = once // (n_cells * n_images), once % n_images
    pair, count = np.unique(query_image * n_images + image, return_counts=True)
    return MatchedShares(pair // n_images, pair % n_images, count / n_cells)
