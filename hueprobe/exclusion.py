"""What a query may not match, and what that leaves of each class."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from hueprobe.arguments import as_rows
from hueprobe.memory.store import Memory

EXCLUDE = ("image", "group", "none")


class Exclusion:
    """Memory rows that an image may not match, under one rule.

    Parameters
    ----------
    memory : Memory
    rule : {"image", "group", "none"}
        `image`: the same memory row, or the same file content. `group`: also the rows of the
        image's group. `none`: nothing.
    images : array_like of int or of bool, optional
        The memory rows in use; all by default.

    Attributes
    ----------
    known : frozenset of str
        Content hashes of the images in use.
    """

    def __init__(self, memory: Memory, rule: str, *, images: np.ndarray | None = None) -> None:
        self._memory, self._rule = memory, rule
        by_hash: dict[str, list[int]] = defaultdict(list)
        by_group: dict[str, list[int]] = defaultdict(list)
        hashes, groups = memory.sha256, memory.images.groups
        self._rows = np.arange(memory.n_images)
        if images is not None:
            self._rows = np.unique(as_rows("images", images, memory.n_images))
        for row in self._rows.tolist():
            if hashes[row]:
                by_hash[hashes[row]].append(row)
            if (group := groups[row]) is not None:
                by_group[group].append(row)
        self._by_hash, self._by_group = dict(by_hash), dict(by_group)
        self.known = frozenset(by_hash)

    def of(self, sha256: str | None, group: str | None) -> np.ndarray:
        """Return the rows barred to an image from outside, ascending, int64.

        Parameters
        ----------
        sha256, group : str or None
            Of the image's file, and what it belongs to; None where not known.
        """
        if self._rule == "none":
            return np.empty(0, np.int64)
        rows = set(self._by_hash.get(sha256 or "", ()))
        if self._rule == "group" and group is not None:
            rows.update(self._by_group.get(group, ()))
        return np.array(sorted(rows), np.int64)

    def of_row(self, row: int) -> np.ndarray:
        """Return the rows barred to a memory image, its own among them.

        Parameters
        ----------
        row : int
        """
        rows = self.of(self._memory.sha256[row], self._memory.images.groups[row])
        return rows if self._rule == "none" else np.union1d(rows, [row])

    def lone(self) -> np.ndarray:
        """Return which images are left without another of their class: leave-one-out cannot be right on them.

        Returns
        -------
        ndarray of bool, shape (n_images,)
            False for images without a class, and for those not in use.
        """
        memory = self._memory
        lone, left = np.zeros(memory.n_images, bool), memory.class_counts(self._rows)
        for row in self._rows[memory.image_class[self._rows] >= 0].tolist():
            barred = self.of_row(row)
            same = barred[memory.image_class[barred] == memory.image_class[row]]
            lone[row] = left[memory.image_class[row]] == memory.valid_per_image[same].sum()
        return lone

    def barred_counts(self, barred: Sequence[np.ndarray]) -> np.ndarray:
        """Return how many vectors of each class the barred rows hold, shape (len(barred), n_classes).

        Parameters
        ----------
        barred : sequence of ndarray of int64
            Rows, for each query image.
        """
        memory = self._memory
        counts = np.zeros((len(barred), len(memory.classes)), np.int64)
        for i, rows in enumerate(barred):
            rows = rows[memory.image_class[rows] >= 0]
            np.add.at(counts[i], memory.image_class[rows], memory.valid_per_image[rows])
        return counts
