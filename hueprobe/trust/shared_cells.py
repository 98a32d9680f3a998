"""Cells that two images share: cells whose nearest cells lie in one other image, all at one displacement.

A part of an image that was pasted into another one, a logo or a common background gives cells that are near
each other. In the last layers every cell also sees what is around that part, so that single distances tell
little; but several cells of the part match the same image, each as far to the right of and below its match as
the others.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hueprobe.matches import Matches

RANKS = 3  # neighbors of a cell that count
LEAST = 2  # cells at one displacement; a single one is no evidence
KEPT = 10  # pairs kept of each query image


@dataclass(frozen=True)
class SharedCells:
    """Cells that n pairs of images share.

    Attributes
    ----------
    first, second : ndarray of int64, shape (n,)
        The two images.
    cells : ndarray of int64, shape (n,)
        Number of cells of one image with a match in the other at one displacement.
    equal : ndarray of int64, shape (n,)
        How many of them are at distance 0.
    distance : ndarray of float64, shape (n,)
        Mean Euclidean distance of these matches.
    y, x, height, width : ndarray of int64, shape (n,)
        Box of these cells in the first image: top row, left column, and size in cells.
    other_y, other_x : ndarray of int64, shape (n,)
        Top row and left column of the box in the second image, which is as large.
    """

    first: np.ndarray
    second: np.ndarray
    cells: np.ndarray
    equal: np.ndarray
    distance: np.ndarray
    y: np.ndarray
    x: np.ndarray
    height: np.ndarray
    width: np.ndarray
    other_y: np.ndarray
    other_x: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.first)

    def select(self, rows: np.ndarray) -> "SharedCells":
        """Return some of the pairs.

        Parameters
        ----------
        rows : ndarray of int64 or of bool
            Pairs to keep.
        """
        return SharedCells(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    @classmethod
    def concatenate(cls, parts: "list[SharedCells]") -> "SharedCells":
        """Join lists of pairs.

        Parameters
        ----------
        parts : list of SharedCells
            The lists; none gives an empty list.
        """
        empty = {one.name: np.empty(0, np.int64) for one in fields(cls)} | {"distance": np.empty(0)}
        joined: dict[str, Any] = {
            name: np.concatenate([none, *(getattr(part, name) for part in parts)])
            for name, none in empty.items()
        }
        return cls(**joined)

    def undirected(self) -> "SharedCells":
        """Return each pair once, first < second, in the direction with more cells, ordered by pair."""
        swapped = self.first > self.second
        turned = SharedCells(
            first=np.where(swapped, self.second, self.first),
            second=np.where(swapped, self.first, self.second),
            cells=self.cells, equal=self.equal, distance=self.distance,
            y=np.where(swapped, self.other_y, self.y), x=np.where(swapped, self.other_x, self.x),
            height=self.height, width=self.width,
            other_y=np.where(swapped, self.y, self.other_y), other_x=np.where(swapped, self.x, self.other_x),
        )  # fmt: skip
        order = np.lexsort((swapped, turned.distance, -turned.cells, turned.second, turned.first))
        ordered = turned.select(order)
        new = np.ones(len(ordered), bool)
        new[1:] = (np.diff(ordered.first) != 0) | (np.diff(ordered.second) != 0)
        return ordered.select(new)


def shared_cells(matches: Matches, *, ranks: int = RANKS) -> SharedCells:
    """Return the cells that query images share with memory images, at the best displacement of each pair.

    Of each query image, the 10 pairs with the most cells are kept, and the first with an image of another
    class, so that what is kept does not grow with the number of neighbors or cells.

    Parameters
    ----------
    matches : Matches
        Match table.
    ranks : int, default=3
        Number of nearest neighbors of each cell that count.

    Returns
    -------
    SharedCells
        Query images are `first` and memory images `second`, each by its own numbers; at least 2 cells.
    """
    near = matches.select(matches.rank <= ranks)
    height, width = matches.grid.shape
    n = len(matches.image_paths)
    pair = near.query_image * n + near.image
    down, right = near.y - near.query_y + height, near.x - near.query_x + width
    where = (pair * (2 * height + 1) + down) * (2 * width + 1) + right
    at, inverse, cells = np.unique(where, return_inverse=True, return_counts=True)
    distance = np.bincount(inverse, near.distance, len(at)) / np.maximum(cells, 1)
    pair_at = at // ((2 * height + 1) * (2 * width + 1))
    # The best displacement of each pair: most cells, then the least distance.
    order = np.lexsort((at, distance, -cells, pair_at))
    order = order[_first_of(pair_at[order])]
    order = order[cells[order] >= LEAST]
    query, image = pair_at[order] // n, pair_at[order] % n
    classes = matches.query_image_class[query], matches.image_class[image]
    others = (classes[0] != classes[1]) & (classes[0] >= 0) & (classes[1] >= 0)
    ranked = np.lexsort((distance[order], -cells[order], query))
    rank = _rank_within(query[ranked])
    kept = rank < KEPT
    is_other = np.flatnonzero(others[ranked])
    kept[is_other[_first_of(query[ranked][is_other])]] = True
    order = np.sort(order[ranked[kept]])
    place = np.full(len(at), -1)
    place[order] = np.arange(len(order))
    member = place[inverse]
    rows, member = np.flatnonzero(member >= 0), member[member >= 0]
    y, x = near.query_y[rows].astype(np.int64), near.query_x[rows].astype(np.int64)
    top, left = (_extreme(np.minimum, member, values, len(order)) for values in (y, x))
    bottom, right_end = (_extreme(np.maximum, member, values, len(order)) for values in (y, x))
    moved = at[order] % ((2 * height + 1) * (2 * width + 1))
    return SharedCells(
        first=pair_at[order] // n, second=pair_at[order] % n, cells=cells[order],
        equal=np.bincount(member, near.distance[rows] == 0, len(order)).astype(np.int64),
        distance=distance[order], y=top, x=left, height=bottom - top + 1, width=right_end - left + 1,
        other_y=top + moved // (2 * width + 1) - height, other_x=left + moved % (2 * width + 1) - width,
    )  # fmt: skip


def _first_of(ordered: np.ndarray) -> np.ndarray:
    """Return the positions where a new value begins in an ordered array."""
    starts: np.ndarray = np.flatnonzero(np.diff(ordered, prepend=-1) != 0)
    return starts


def _rank_within(ordered: np.ndarray) -> np.ndarray:
    """Return the position of each element among those of equal value, from 0, in an ordered array."""
    starts = _first_of(ordered)
    sizes = np.diff(np.append(starts, len(ordered)))
    position: np.ndarray = np.arange(len(ordered)) - np.repeat(starts, sizes)
    return position


def _extreme(function: np.ufunc, groups: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Return the least or greatest value of each of n groups, none of them empty."""
    order = np.argsort(groups, kind="stable")
    found: np.ndarray = function.reduceat(values[order], _first_of(groups[order])) if n else values[:0]
    return found
