"""The result of an audit: duplicates, false alarms of their thresholds, and label-noise candidates."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from hueprobe.images.table import ImageTable

TABLES = ("exact", "near", "patches", "labels")
CRITERIA = ("distance", "share")
_SHOWN = 10  # pairs, in a notebook


@dataclass(frozen=True)
class NearPairs:
    """Pairs of near-duplicates, the nearest first.

    Attributes
    ----------
    first, second : ndarray of int64, shape (n,)
        Audited images; first < second.
    distance : ndarray of float64, shape (n,)
        Euclidean distance between their pooled descriptors of unit length.
    share : ndarray of float64, shape (n,)
        Share of the cells of one image with a nearly equal cell in the other, the greater of both
        directions; 0 between two images of IMAGES, which are not searched for each other's cells.
    """

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    share: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.first)


@dataclass(frozen=True)
class NearPatches:
    """Cells whose nearest cell in the memory is nearly equal.

    Attributes
    ----------
    first, y, x : ndarray of int64, shape (n,)
        Audited image, row and column of the cell.
    second, second_y, second_x : ndarray of int64, shape (n,)
        Memory image, row and column of its nearest cell.
    distance : ndarray of float64, shape (n,)
        Euclidean distance between the unit vectors.
    """

    first: np.ndarray
    y: np.ndarray
    x: np.ndarray
    second: np.ndarray
    second_y: np.ndarray
    second_x: np.ndarray
    distance: np.ndarray

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.first)


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
    patches : NearPatches
        Nearly equal cells of different images.
    labels : LabelCandidates
        Labeled images, the least likely label first; its `rows` are positions in `images`.
    other : dict of str to ndarray of int64, shape (n,)
        By criterion, "distance" and "share": the audited image of another class that is most like each
        image; -1 where there is none.
    other_value : dict of str to ndarray of float64, shape (n,)
        Its distance (inf where there is none), and its share (0 where there is none).
    limits : dict of str to float
        Limits of `distance` and `share`, and `near`, that of the distance between cells.
    skipped : tuple of (str, str)
        Path and reason of each unreadable image.
    sources : tuple of ImageTable
        Where the images can be read again: the memory's table, and that of IMAGES.

    See Also
    --------
    hueprobe.trust.audit : Audits a memory.
    hueprobe.plots.audit_figure : Draws pairs and candidates.

    Examples
    --------
    >>> hp.trust.audit(memory, k=5, share=0.9)  # drawn images share their background
    Audit(12 images: 0 sets of exact duplicates, 54 near-duplicate pairs, 8 label-noise candidates)
    """

    images: tuple[str, ...]
    sets: tuple[str, ...]
    classes: tuple[str | None, ...]
    readable: np.ndarray
    exact: tuple[tuple[int, ...], ...]
    near: NearPairs
    patches: NearPatches
    labels: LabelCandidates
    other: dict[str, np.ndarray]
    other_value: dict[str, np.ndarray]
    limits: dict[str, float]
    skipped: tuple[tuple[str, str], ...]
    sources: "tuple[ImageTable, ...]" = field(compare=False)

    def __len__(self) -> int:
        """Return the number of audited images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Count what was found."""
        return f"Audit({self._summary()})"

    def _summary(self) -> str:
        return (
            f"{len(self)} images: {len(self.exact)} sets of exact duplicates, {len(self.near)} "
            f"near-duplicate pairs, {self.labels.n_candidates} label-noise candidates"
        )

    def _repr_html_(self) -> str:
        """Show the nearest pairs and the least likely labels, for notebooks."""
        n = min(len(self.near), _SHOWN)
        rows = [
            [
                self.images[first], self.images[second], self.classes[first], self.classes[second],
                f"{self.near.distance[i]:.3f}", f"{self.near.share[i]:.2f}",
            ]
            for i, (first, second) in enumerate(zip(self.near.first[:n], self.near.second[:n], strict=True))
        ]  # fmt: skip
        head = ["image", "other image", "class", "other class", "distance", "share of cells"]
        return html_table(head, rows, caption=self._summary()) + self.labels._repr_html_()

    @property
    def conflicts(self) -> tuple[tuple[int, ...], ...]:
        """The sets of exact duplicates whose images have different classes."""
        return tuple(images for images in self.exact if len({self.classes[i] for i in images} - {None}) > 1)

    def by_sets(self, kind: str = "near") -> dict[tuple[str, str], int]:
        """Count pairs of duplicates within and between the sets.

        Parameters
        ----------
        kind : {"near", "exact"}, default="near"
            Kind of duplicates.

        Returns
        -------
        dict of (str, str) to int
            Number of pairs by the names of both sets, in alphabetical order.

        Examples
        --------
        >>> hp.trust.audit(memory, k=5, share=0.9).by_sets()
        {('memory', 'memory'): 54}
        """
        require_choice("kind", kind, ("near", "exact"))
        if kind == "near":
            pairs = list(zip(self.near.first.tolist(), self.near.second.tolist(), strict=True))
        else:
            pairs = [(a, b) for images in self.exact for i, a in enumerate(images) for b in images[i + 1 :]]
        names = [sorted((self.sets[a], self.sets[b])) for a, b in pairs]
        return dict(sorted(Counter((a, b) for a, b in names).items()))

    def false_alarms(self, criterion: str, limit: float | None = None) -> Interval:
        """Return the share of images that a limit pairs with an image of another class, with its interval.

        Such pairs are false alarms unless a label is wrong, so the share is an upper bound for other classes.
        Images of one class are more alike: among them false alarms may be more frequent.

        Parameters
        ----------
        criterion : {"distance", "share"}
            Pooled descriptors nearer than the limit, or a share of cells above it.
        limit : float, optional
            The limit; that of the audit by default.

        Returns
        -------
        Interval
            Share of the labeled images for which there are images of other classes. Images that are paired
            count as one group, as in `hueprobe.stats.share_interval`.

        Examples
        --------
        >>> found = hp.trust.audit(memory, k=5)
        >>> found.false_alarms("share", 1.0).estimate
        0.0
        """
        require_choice("criterion", criterion, CRITERIA)
        limit = self.limits[criterion] if limit is None else limit
        values, others = self.other_value[criterion], self.other[criterion]
        flagged = others >= 0
        flagged &= values < limit if criterion == "distance" else values > limit
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
            `near`: one row per pair. `exact`: one row per image, `duplicates` numbers the sets of equal
            content. `patches`: one row per cell. `labels`: one row per labeled image.

        Returns
        -------
        pyarrow.Table

        Examples
        --------
        >>> hp.trust.audit(memory, k=5).to_arrow("near").column_names
        ['image', 'other_image', 'set', 'other_set', 'class', 'other_class', 'distance', 'share']
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
            columns = {"duplicates": numbers, "image": named("images", rows)}
            return pa.table({**columns, "set": named("sets", rows), "class": named("classes", rows)})
        if table == "patches":
            found = self.patches
            return pa.table(
                {
                    "image": named("images", found.first), "y": found.y, "x": found.x,
                    "other_image": named("images", found.second), "other_y": found.second_y,
                    "other_x": found.second_x, "class": named("classes", found.first),
                    "other_class": named("classes", found.second), "distance": found.distance,
                }
            )  # fmt: skip
        first, second = self.near.first, self.near.second
        columns = {
            f"{side}{column}": named(name, rows)
            for column, name in (("image", "images"), ("set", "sets"), ("class", "classes"))
            for side, rows in (("", first), ("other_", second))
        }
        return pa.table({**columns, "distance": self.near.distance, "share": self.near.share})

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
