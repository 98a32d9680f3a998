"""What one image's pixels voted for, and the matches that carry the decision."""

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
    telling : Matches
        The match that each of the most telling memory images gave the most weight by, the most telling image
        first; at least half of them of the predicted class, where it has so many. An image tells as much as
        its matches add to the likelihood of its class: their kernel weights over n_C, Eq. (2).
    telling_share : ndarray of float64, shape (n_telling,)
        That part of the likelihood, all classes together being 1; NaN where nothing voted.
    telling_cells : ndarray of int64, shape (n_telling,)
        Cells of the query with a match in that image.
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
    telling: Matches
    telling_share: np.ndarray
    telling_cells: np.ndarray

    def leads(self, c: int) -> int:
        """Return the number of cells in which class `c` has the largest part of the weight."""
        return int((self.leading == c).sum())


@takes(Classification)
def query_votes(result: Classification, i: int, *, n_telling: int = 6) -> QueryVotes:
    """Return the votes and the most telling matches of image `i` of a classification.

    Parameters
    ----------
    result : Classification
        With its match table.
    i : int
        Position in `result.images`.
    n_telling : int
        Memory images in `telling`, at most.

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
    parts = _parts(matches, result.likelihood[i])
    images = _most_telling(matches, parts, int(result.predicted[i]), n_telling)
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
        telling=matches.select(_spread_out(matches, images)),
        telling_share=np.array([parts[matches.image == row].sum() for row in images], float),
        telling_cells=np.array(
            [len(np.unique(matches.query_cell[matches.image == row])) for row in images], np.int64
        ),
    )


def _parts(matches: Matches, likelihood: np.ndarray) -> np.ndarray:
    """Return what each match adds to the normalized likelihood of its class; NaN where nothing voted.

    Within a class n_C is the same for all, so that a match's part of the class is that of its weight.
    """
    if not likelihood.sum() > 0:
        return np.full(len(matches), np.nan)
    c = matches.match_class
    known = c >= 0
    of_class = np.bincount(c[known], matches.weight[known], len(likelihood))
    part = np.zeros(len(matches))
    voted = known & (of_class[c] > 0)
    part[voted] = matches.weight[voted] / of_class[c[voted]] * likelihood[c[voted]]
    return part


def _most_telling(matches: Matches, parts: np.ndarray, predicted: int, n: int) -> np.ndarray:
    """Return memory rows, the most telling first, at least half of them of the predicted class."""
    rows, of_match = np.unique(matches.image, return_inverse=True)
    tells = np.bincount(of_match, np.where(np.isnan(parts), matches.weight, parts), len(rows))
    nearest = np.full(len(rows), np.inf)
    np.minimum.at(nearest, of_match, matches.distance)
    order = np.lexsort((rows, nearest, -tells))
    own = matches.image_class[rows[order]] == predicted
    first = order[own][: -(-n // 2)] if predicted >= 0 else order[:0]
    rest = order[~np.isin(order, first)][: n - len(first)]
    found: np.ndarray = rows[order[np.isin(order, [*first, *rest])]]
    return found


def _spread_out(matches: Matches, images: np.ndarray) -> np.ndarray:
    """Return where each memory image has its weightiest match, in a query cell of its own if that can be."""
    chosen: list[int] = []
    cells: set[int] = set()
    for row in images:
        own = np.flatnonzero(matches.image == row)
        own = own[np.lexsort((matches.query_cell[own], matches.distance[own], -matches.weight[own]))]
        free = [j for j in own if int(matches.query_cell[j]) not in cells]
        chosen.append(int((free or own.tolist())[0]))
        cells.add(int(matches.query_cell[chosen[-1]]))
    return np.array(chosen, np.int64)
