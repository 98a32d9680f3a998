"""The result of an audit: duplicates, false alarms of their thresholds, and label-noise candidates."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hueprobe.errors import InputError, require_choice
from hueprobe.files import written_whole
from hueprobe.frames import to_frame
from hueprobe.html_tables import html_table
from hueprobe.stats.intervals import Interval
from hueprobe.stats.shares import share_interval
from hueprobe.trust.label_noise import LabelCandidates
from hueprobe.trust.near_pairs import Copies, NearPairs
from hueprobe.trust.shared_cells import SharedCells

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from hueprobe.grid import Grid
    from hueprobe.images.table import ImageTable

TABLES = ("exact", "near", "patches", "labels")
CRITERIA = ("relative_distance", "cells")
KINDS = ("exact", "near", "patches")
_SHOWN = 10  # pairs, in a notebook


@dataclass(frozen=True, repr=False)
class Audit:
    """Duplicates and label-noise candidates of n images: first those of the memory, then those of IMAGES.

    Attributes
    ----------
    images, sets, classes : tuple of (str or None)
        Path of each audited image; "memory" or "images" with its split, such as "memory: train"; its class.
    readable : ndarray of bool, shape (n,)
        Whether each image could be read; others are in no pair.
    exact : tuple of tuple of int
        Audited images of each set of equal file contents.
    near : NearPairs
        Near-duplicates whose file contents differ.
    patches : SharedCells
        Pairs of images that share a patch and are no near-duplicates: first those of different classes, and
        among these those with the most cells.
    labels : LabelCandidates
        Labeled images, the least likely label first; its `rows` are positions in `images`.
    other : dict of str to ndarray of int64, shape (n,)
        By criterion, "relative_distance" and "cells": the audited image of another class that is most like
        each image; -1 where there is none.
    other_value : dict of str to ndarray, shape (n,)
        Its relative distance (inf where there is none), and the cells in common with it (0 where there is
        none).
    limits : dict of str to float
        Near-duplicates are at a smaller relative distance; shared patches have at least so many cells.
    rate : float
        Share of images that each limit should pair with another class by chance, where no limit was given.
    skipped : tuple of (str, str)
        Path and reason of each unreadable image.
    sources : tuple of ImageTable
        Where the images can be read again: the memory's table, and that of IMAGES.
    grid : Grid
        Cells of each image, in which boxes of patches are given.
    transform : mapping of str to Any
        The recorded transform, by which cells lie in images.

    See Also
    --------
    hueprobe.trust.audit : Audits a memory.
    hueprobe.plots.audit_figure : Draws pairs and candidates.

    Examples
    --------
    >>> found = hp.trust.audit(memory, k=5)
    >>> len(found), len(found.near), len(found.patches), found.labels.n_candidates
    (12, 0, 0, 8)
    """

    images: tuple[str, ...]
    sets: tuple[str, ...]
    classes: tuple[str | None, ...]
    readable: np.ndarray
    exact: tuple[tuple[int, ...], ...]
    near: NearPairs
    patches: SharedCells
    labels: LabelCandidates
    other: dict[str, np.ndarray]
    other_value: dict[str, np.ndarray]
    limits: dict[str, float]
    rate: float
    skipped: tuple[tuple[str, str], ...]
    sources: "tuple[ImageTable, ...]" = field(compare=False)
    grid: "Grid" = field(compare=False)
    transform: "Mapping[str, Any]" = field(compare=False)

    def __len__(self) -> int:
        """Return the number of audited images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Count what was found."""
        return f"Audit({self._summary()})"

    def _summary(self) -> str:
        return (
            f"{len(self)} images: {len(self.exact)} sets of exact duplicates, {len(self.near)} "
            f"near-duplicate pairs, {len(self.patches)} pairs with a shared patch, "
            f"{self.labels.n_candidates} label-noise candidates"
        )

    def _repr_html_(self) -> str:
        """Show the nearest pairs and the least likely labels, for notebooks."""
        n = min(len(self.near), _SHOWN)
        rows = [
            [
                self.images[first], self.images[second], self.classes[first], self.classes[second],
                f"{self.near.distance[i]:.3f}", f"{self.near.relative_distance[i]:.2f}", self.near.cells[i],
            ]
            for i, (first, second) in enumerate(zip(self.near.first[:n], self.near.second[:n], strict=True))
        ]  # fmt: skip
        head = ["image", "other image", "class", "other class", "distance", "relative", "cells"]
        return html_table(head, rows, caption=self._summary()) + self.labels._repr_html_()

    @property
    def conflicts(self) -> tuple[tuple[int, ...], ...]:
        """The sets of exact duplicates whose images have different classes."""
        return tuple(images for images in self.exact if len({self.classes[i] for i in images} - {None}) > 1)

    def pairs(self, kind: str) -> np.ndarray:
        """Return the pairs of one kind of duplicates.

        Parameters
        ----------
        kind : {"exact", "near", "patches"}
            Kind of duplicates.

        Returns
        -------
        ndarray of int64, shape (n_pairs, 2)
            Both audited images of each pair, the first one first.

        Examples
        --------
        >>> hp.trust.audit(memory, k=5).pairs("exact").shape
        (0, 2)
        """
        require_choice("kind", kind, KINDS)
        if kind == "exact":
            pairs = [(a, b) for images in self.exact for i, a in enumerate(images) for b in images[i + 1 :]]
            return np.array(pairs, np.int64).reshape(-1, 2)
        found = self.near if kind == "near" else self.patches
        return np.stack([found.first, found.second], axis=1)

    def by_sets(self, kind: str = "near") -> dict[tuple[str, str], int]:
        """Count pairs of duplicates within and between the sets.

        Parameters
        ----------
        kind : {"near", "exact", "patches"}, default="near"
            Kind of duplicates.

        Returns
        -------
        dict of (str, str) to int
            Number of pairs by the names of both sets, in alphabetical order.

        See Also
        --------
        hueprobe.trust.Audit.copies : Counts images instead of pairs.

        Examples
        --------
        >>> hp.trust.audit(memory, k=5).by_sets("exact")
        {}
        """
        names = [sorted((self.sets[a], self.sets[b])) for a, b in self.pairs(kind).tolist()]
        return dict(sorted(Counter((a, b) for a, b in names).items()))

    def copies(self) -> dict[tuple[str, str], Copies]:
        """Count the images of each set that have a copy in the same set, and in each other set.

        `copies()["memory: test", "memory: train"]` tells how many test images leak from the training images.

        Returns
        -------
        dict of (str, str) to Copies
            By the set of the images and the set of their copies, both directions of each two sets.

        Examples
        --------
        >>> found = hp.trust.audit(memory, k=5).copies()
        >>> found["memory", "memory"].n
        12
        """
        names = sorted(set(self.sets))
        ids = np.array([names.index(name) for name in self.sets], np.int64)
        has = {kind: np.zeros((len(self), len(names)), bool) for kind in KINDS}
        for kind, there in has.items():
            first, second = self.pairs(kind).T
            there[first, ids[second]] = there[second, ids[first]] = True
        counts = {}
        for number, name in enumerate(names):
            own = (ids == number) & self.readable
            for other, other_name in enumerate(names):
                exact, near, patches = (has[kind][own, other] for kind in KINDS)
                counts[name, other_name] = Copies(
                    n=int(own.sum()), exact=int(exact.sum()), near=int(near.sum()),
                    either=int((exact | near).sum()), patches=int(patches.sum()),
                )  # fmt: skip
        return counts

    def false_alarms(self, criterion: str, limit: float | None = None) -> Interval:
        """Return the share of images that a limit pairs with an image of another class, with its interval.

        Such pairs are false alarms unless a label is wrong or the images share a patch, so the share is an
        upper bound for other classes. Images of one class are more alike: among them false alarms are more
        frequent.

        Parameters
        ----------
        criterion : {"relative_distance", "cells"}
            Relative distances below the limit, or at least so many cells in common.
        limit : float, optional
            The limit; that of the audit by default.

        Returns
        -------
        Interval
            Share of the labeled images; NaN if they have fewer than two classes. Images that are paired
            count as one group, as in `hueprobe.stats.share_interval`.

        Examples
        --------
        >>> found = hp.trust.audit(memory, k=5)
        >>> found.false_alarms("relative_distance", 0.0).estimate
        0.0
        """
        require_choice("criterion", criterion, CRITERIA)
        limit = self.limits[criterion] if limit is None else limit
        values, others = self.other_value[criterion], self.other[criterion]
        flagged = others >= 0
        flagged &= values < limit if criterion == "relative_distance" else values >= limit
        labeled = np.array([name is not None for name in self.classes]) & self.readable
        if len({name for name, there in zip(self.classes, labeled, strict=True) if there}) < 2:
            return share_interval(np.empty(0, bool))
        rows = np.flatnonzero(flagged)
        links = coo_array((np.ones(len(rows)), (rows, others[rows])), shape=(len(self), len(self)))
        _, codes = connected_components(links, directed=False)
        return share_interval(flagged[labeled], codes[labeled])

    def to_arrow(self, table: str = "near") -> "pa.Table":
        """Return one of the tables.

        Parameters
        ----------
        table : {"near", "exact", "patches", "labels"}, default="near"
            `near` and `patches`: one row per pair; boxes in cells, of both images. `exact`: one row per
            image, `duplicates` numbers the sets of equal content. `labels`: one row per labeled image.

        Returns
        -------
        pyarrow.Table

        Examples
        --------
        >>> hp.trust.audit(memory, k=5).to_arrow("near").column_names[-3:]
        ['distance', 'relative_distance', 'cells']
        """
        import pyarrow as pa

        require_choice("table", table, TABLES)

        def named(name: str, rows: np.ndarray) -> "pa.Array":
            values = getattr(self, name)
            return pa.array([values[row] for row in rows], pa.string())

        if table == "labels":
            rows = self.labels.rows
            return self.labels.to_arrow().drop_columns("row").add_column(1, "set", named("sets", rows))
        if table == "exact":
            rows = np.array([i for images in self.exact for i in images], np.int64)
            numbers = np.repeat(np.arange(len(self.exact)), [len(images) for images in self.exact])
            sides = {"duplicates": numbers, "image": named("images", rows)}
            return pa.table({**sides, "set": named("sets", rows), "class": named("classes", rows)})
        found = self.near if table == "near" else self.patches
        columns = {
            f"{side}{column}": named(name, rows)
            for column, name in (("image", "images"), ("set", "sets"), ("class", "classes"))
            for side, rows in (("", found.first), ("other_", found.second))
        }
        return pa.table(columns | {one.name: getattr(found, one.name) for one in fields(found)[2:]})

    def to_pandas(self, table: str = "near") -> "pd.DataFrame":
        """Return one of the tables as a data frame.

        Parameters
        ----------
        table : {"near", "exact", "patches", "labels"}, default="near"
            As in `to_arrow`.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        MissingDependencyError
            pandas is not installed.

        Examples
        --------
        >>> len(hp.trust.audit(memory, k=5).to_pandas("labels"))
        12
        """
        return to_frame(self.to_arrow(table))

    def save(self, folder: str | Path) -> list[Path]:
        """Write the four tables as Parquet files, each completely or not at all.

        Parameters
        ----------
        folder : path
            An existing folder. `pyarrow.parquet.read_table` and `pandas.read_parquet` read the files.

        Returns
        -------
        list of Path
            `exact.parquet`, `near.parquet`, `patches.parquet` and `labels.parquet` there.

        Raises
        ------
        InputError
            There is no such folder.

        Examples
        --------
        >>> [path.name for path in hp.trust.audit(memory, k=5).save(".")]
        ['exact.parquet', 'near.parquet', 'patches.parquet', 'labels.parquet']
        """
        import pyarrow.parquet as pq

        if not Path(folder).is_dir():
            raise InputError(f"{folder} is not a folder; create it first")
        paths = [Path(folder) / f"{table}.parquet" for table in TABLES]
        for table, path in zip(TABLES, paths, strict=True):
            with written_whole(path) as file:
                pq.write_table(self.to_arrow(table), file)
        return paths
