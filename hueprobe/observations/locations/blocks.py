"""Disjoint blocks of images for the blocked replicate test, and where each class lies in each block.

Matches share query images and memory images, so what one half of a match table says about a class is not
independent of the other half. Blocks that are each searched against themselves alone are: they share no image
(and no group). `hueprobe.observations.locations.replicate_test` tests what comes back in every block.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import as_array, as_names
from hueprobe.errors import InputError, ShapeError, require_choice
from hueprobe.matches import Matches
from hueprobe.observations.locations.positions import WEIGHTINGS, image_positions
from hueprobe.observations.units.radial import require_grid
from hueprobe.stats.dealing import deal

MIN_ARRANGEMENTS = 1000


@dataclass(frozen=True)
class BlockPositions:
    """Position of each class in each block.

    Attributes
    ----------
    classes : tuple of str
        Class names, M of them.
    position : ndarray of shape (n_blocks, M, 2)
        z_cb: mean over query images of the mean (u, v) of their same-class matches, in cells; NaN where no
        image of the class has such a match.
    n_images : ndarray of int64, shape (n_blocks, M)
        Query images behind each.
    variance : ndarray of shape (M,)
        Variance of one image's mean position (u and v together, per component) within class and block; NaN
        where no block has two images.
    degrees : ndarray of int64, shape (M,)
        Degrees of freedom behind each variance.
    """

    classes: tuple[str, ...]
    position: np.ndarray
    n_images: np.ndarray
    variance: np.ndarray
    degrees: np.ndarray


def arrangements(n_classes: int, n_blocks: int) -> float:
    """Return the number of distinct arrangements of labels, M!^(B - 1): only relative labels matter.

    >>> arrangements(2, 11)
    1024.0
    """
    exponent = (n_blocks - 1) * math.lgamma(n_classes + 1)
    return float(round(math.exp(exponent))) if exponent < 30 else math.exp(min(exponent, 700))


def default_blocks(n_classes: int) -> int:
    """Return how many blocks to make: the fewest from 4 on with at least 1,000 arrangements of labels.

    Parameters
    ----------
    n_classes : int
        Whose labels are arranged anew in each block.

    Examples
    --------
    >>> [default_blocks(n) for n in (2, 3, 4, 20)]
    [11, 5, 4, 4]
    """
    n_blocks = 4
    while n_classes > 1 and arrangements(n_classes, n_blocks) < MIN_ARRANGEMENTS:
        n_blocks += 1
    return n_blocks


def block_labels(
    keys: Sequence[str],
    image_class: np.ndarray,
    *,
    n_blocks: int,
    groups: Sequence[str | None] | None = None,
) -> np.ndarray:
    """Split the images into blocks, class by class, by whole groups, in the order of their keys' hashes.

    Parameters
    ----------
    keys : sequence of str, length n_images
        What names an image for good: its sha256 or its path.
    image_class : ndarray of int64, shape (n_images,)
        Class id of each image, -1 for none.
    n_blocks : int
        Number of blocks, at least 2.
    groups : sequence of (str or None), length n_images, optional
        Images of one group go to one block, whatever their classes.

    Returns
    -------
    ndarray of int64, shape (n_images,)
        Block of each image, -1 for images without a class. The same images always give the same blocks.
    """
    image_class = np.atleast_1d(as_array("image_class", image_class))
    keys = [str(key) for key in as_names("keys", keys)]
    if len(keys) != len(image_class):
        raise ShapeError(f"{len(keys)} keys for {len(image_class)} images; give one for each")
    if n_blocks < 2:
        raise InputError(f"n_blocks is {n_blocks}; at least 2 blocks are needed")
    digests = np.array([hashlib.sha256(key.encode()).hexdigest() for key in keys])
    order = np.argsort(digests, kind="stable")
    return deal(order, image_class, n_parts=n_blocks, groups=groups)


def search_blocks(blocks: np.ndarray, search: Callable[[np.ndarray], Matches]) -> tuple[Matches, ...]:
    """Search every block against itself alone.

    Parameters
    ----------
    blocks : ndarray of int64, shape (n_images,)
        Block of each image, -1 for none.
    search : callable
        Takes the rows of a block's images, ndarray of int64 (n,), and returns the matches of these images
        among one another, the own image (group) excluded; images keep the numbers that they have in the
        memory.
    """
    blocks = as_array("blocks", blocks)
    if not callable(search):
        raise InputError(f"search is {search!r}; give a function that takes rows and returns their matches")
    return tuple(search(np.flatnonzero(blocks == block)) for block in range(int(blocks.max(initial=-1)) + 1))


def block_positions(matches_of_blocks: Sequence[Matches], *, weighting: str = "count") -> BlockPositions:
    """Return each class's position in each block.

    Parameters
    ----------
    matches_of_blocks : sequence of Matches
        One for each block, as `search_blocks` returns them; all with the same classes.
    weighting : {"count", "kernel"}
        Whether each match of an image counts the same or by its kernel weight, Eq. (3).
    """
    require_choice("weighting", weighting, WEIGHTINGS)
    if not matches_of_blocks:
        raise InputError("no blocks to test; search at least 2 blocks of images")
    classes = matches_of_blocks[0].classes
    if any(matches.classes != classes for matches in matches_of_blocks):
        raise InputError("the blocks' matches have different classes; search blocks of one memory")
    n_blocks, n_classes = len(matches_of_blocks), len(classes)
    position = np.full((n_blocks, n_classes, 2), np.nan)
    count = np.zeros((n_blocks, n_classes), np.int64)
    squares, degrees = np.zeros(n_classes), np.zeros(n_classes, np.int64)
    for block, matches in enumerate(matches_of_blocks):
        require_grid(matches.grid, "locations")
        image_class, means = image_positions(matches, weighting=weighting)
        count[block] = np.bincount(image_class, minlength=n_classes)
        for c in np.flatnonzero(count[block]):
            own = means[image_class == c]
            position[block, c] = own.mean(0)
            squares[c] += ((own - own.mean(0)) ** 2).sum()
            degrees[c] += own.size - 2
    with np.errstate(invalid="ignore"):
        return BlockPositions(classes, position, count, squares / degrees, degrees)
