"""What one image's pixels voted for, and its closest matches."""

from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.matches import Matches


@dataclass(frozen=True)
class QueryVotes:
    """One classified image, pixel by pixel.

    Attributes
    ----------
    name : str
        The image's path or name.
    classes : tuple of str
        The memory's, by id.
    grid : Grid
        Of the image.
    predicted : int
        Class id; -1 where no neighbor had a class.
    tie : bool
        Whether another class has the same likelihood as the predicted one.
    true_class : str or None
        As given with the image.
    likelihood : ndarray of float64, shape (n_classes,)
        Eq. (2), normalized; all 0 where nothing voted.
    weight : ndarray of float64, shape (H, W)
        Summed kernel weight of the matches of each pixel that have a class.
    leading : ndarray of int64, shape (H, W)
        Class id with the largest part of that weight, the lower id in ties; -1 where there is none.
    share : ndarray of float64, shape (H, W)
        That part, between 0 and 1; 0 where there is none.
    closest : Matches
        The first match of the pixels that found the nearest neighbors, nearest first, one a pixel.
    """

    name: str
    classes: tuple[str, ...]
    grid: Grid
    predicted: int
    tie: bool
    true_class: str | None
    likelihood: np.ndarray
    weight: np.ndarray
    leading: np.ndarray
    share: np.ndarray
    closest: Matches


@takes(Classification)
def query_votes(result: Classification, i: int, *, n_closest: int = 6) -> QueryVotes:
    """Return the votes and the closest matches of image `i` of a classification.

    Parameters
    ----------
    result : Classification
        With its match table.
    i : int
        Position in `result.images`.
    n_closest : int
        Pixels to list in `closest`, at most.

    Raises
    ------
    InputError
        The classification was made with `keep_matches=False`, or has no such image.
    """
    if result.matches is None:
        raise InputError("this classification has no match table; classify with keep_matches=True")
    if not 0 <= i < len(result.images):
        raise InputError(f"image {i} of {len(result.images)} classified ones; count from 0")
    matches = result.matches.select(result.matches.query_image == result.rows[i])
    grid, n_classes = matches.query_grid, len(result.classes)
    voting = matches.match_class >= 0
    slots = matches.query_cell[voting] * n_classes + matches.match_class[voting]
    sums = np.bincount(slots, matches.weight[voting], grid.n_cells * n_classes)
    sums = sums.reshape(*grid.shape, n_classes)
    weight = sums.sum(axis=2)
    largest = sums.max(axis=2, initial=0.0)
    return QueryVotes(
        name=result.images[i],
        classes=result.classes,
        grid=grid,
        predicted=int(result.predicted[i]),
        tie=bool(result.tie[i]),
        true_class=result.true_class[i],
        likelihood=result.likelihood[i],
        weight=weight,
        leading=np.where(weight > 0, sums.argmax(axis=2), -1) if n_classes else np.full(grid.shape, -1),
        share=np.divide(largest, weight, out=np.zeros(grid.shape), where=weight > 0),
        closest=_closest(matches, n_closest),
    )


def _closest(matches: Matches, n: int) -> Matches:
    first = matches.select(matches.rank == 1)
    return first.select(np.lexsort((first.query_cell, first.distance))[:n])
