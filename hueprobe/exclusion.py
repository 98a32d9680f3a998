"""Which images a query may not match, and how many vectors of each class this excludes."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from hueprobe.arguments import distinct_rows
from hueprobe.images.name_columns import name_column
from hueprobe.images.value_rows import ValueRows
from hueprobe.memory.store import Memory

EXCLUDE = ("image", "group", "none")


class Exclusion:
    """Memory rows that an image may not match, under one rule.

    Parameters
    ----------
    memory : Memory
        The memory.
    rule : {"image", "group", "none"}
        `image`: the same memory row, or the same file content. `group`: also the rows of the
        image's group. `none`: nothing.
    images : array_like of int or of bool, optional
        The memory rows in use. By default all.
    """

    def __init__(self, memory: Memory, rule: str, *, images: np.ndarray | None = None) -> None:
        self._memory, self._rule = memory, rule
        self._rows = np.arange(memory.n_images)
        if images is not None:
            self._rows = distinct_rows("images", images, memory.n_images)

    @cached_property
    def _by_hash(self) -> ValueRows:
        return ValueRows(self._memory.sha256, self._rows)

    @cached_property
    def _by_group(self) -> ValueRows:
        return ValueRows(self._memory.images.groups, self._rows)

    def knows(self, sha256: str | None) -> bool:
        """Return whether an image in use has this content.

        Parameters
        ----------
        sha256 : str or None
            Hash of the content; None or "" if unknown.
        """
        return sha256 is not None and sha256 != "" and len(self._by_hash(sha256)) > 0

    def of(self, sha256: str | None, group: str | None) -> np.ndarray:
        """Return the rows that an image from outside may not match, ascending, int64.

        Parameters
        ----------
        sha256, group : str or None
            Hash of the image's file, and the image's group; None if unknown.
        """
        if self._rule == "none":
            return np.empty(0, np.int64)
        rows = self._by_hash(sha256) if sha256 else np.empty(0, np.int64)
        if self._rule == "group" and group is not None:
            rows = np.union1d(rows, self._by_group(group))
        return rows

    def of_row(self, row: int) -> np.ndarray:
        """Return the rows that a memory image may not match, including its own.

        Parameters
        ----------
        row : int
            Row of the image in the memory.
        """
        rows = self.of(self._memory.sha256[row], self._memory.images.groups[row])
        return rows if self._rule == "none" else np.union1d(rows, [row])

    def lone(self) -> np.ndarray:
        """Return which images may match no other image of their class: leave-one-out always misses them.

        Returns
        -------
        ndarray of bool, shape (n_images,)
            False also for images without a class, and for those not in use.
        """
        memory, rows = self._memory, self._rows
        image_class, valid = memory.image_class, memory.valid_per_image
        lone, left = np.zeros(memory.n_images, bool), memory.class_counts(rows)
        rows = rows[image_class[rows] >= 0]
        barred = np.zeros(memory.n_images, np.int64) if self._rule == "none" else valid.copy()
        if self._rule == "group":
            group = name_column(memory.images.groups).codes
            grouped = rows[group[rows] >= 0]
            pair = group[grouped].astype(np.int64) * len(memory.classes) + image_class[grouped]
            _, pair = np.unique(pair, return_inverse=True)
            counts = np.zeros(len(grouped), np.int64)
            np.add.at(counts, pair, valid[grouped])
            barred[grouped] = counts[pair]
        if self._rule != "none":
            repeated = self._by_hash.repeated()
            for row in repeated[image_class[repeated] >= 0].tolist():
                others = self.of_row(row)
                barred[row] = valid[others[image_class[others] == image_class[row]]].sum()
        lone[rows] = left[image_class[rows]] == barred[rows]
        return lone

    def barred_counts(self, barred: Sequence[np.ndarray]) -> np.ndarray:
        """Return how many vectors of each class are excluded, shape (len(barred), n_classes).

        Parameters
        ----------
        barred : sequence of ndarray of int64
            For each query image, the rows that it may not match.
        """
        memory = self._memory
        counts = np.zeros((len(barred), len(memory.classes)), np.int64)
        for i, rows in enumerate(barred):
            rows = rows[memory.image_class[rows] >= 0]
            np.add.at(counts[i], memory.image_class[rows], memory.valid_per_image[rows])
        return counts
