"""Scores of predicted label maps, each with its interval over images or groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hueprobe.dense import boundary, intersection
from hueprobe.dense.intervals import N_RESAMPLES, intervals_of, percentile_interval, resampled_sums
from hueprobe.dense.protocols import Protocol, assign_labels, relabel
from hueprobe.errors import InputError, ShapeError
from hueprobe.frames import to_frame
from hueprobe.html_tables import html_table
from hueprobe.stats.intervals import Interval, unit_codes

if TYPE_CHECKING:
    import pandas as pd

Maps = Callable[[int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """Scores of predicted labels of n images, for L labels.

    Attributes
    ----------
    label_names : tuple of str, length L
        Names of the labels.
    n_images, n_units : int
        Number of images with labeled pixels, and of the units that intervals are drawn over: their groups,
        or the images themselves.
    n_pixels : int
        Number of labeled pixels.
    confusion : ndarray of int64, shape (n, L, L + 1)
        Pixels of each image by true and predicted label; the last column has no prediction.
    boundaries : ndarray of int64, shape (n, L, 4)
        Boundary pixels of each image; see `count_boundaries`.
    assigned : tuple of int
        True label that each predicted one was assigned to; empty if they are compared as they are.
    mean_iou, pixel_accuracy, mean_boundary_f : Interval
        Scores over all labels.
    iou, boundary_f : tuple of Interval, length L
        Scores of each label; NaN for a label that neither occurs nor is predicted.

    See Also
    --------
    hueprobe.dense.score_maps : Score label maps.
    hueprobe.dense.Segmentation : Its `scores` are these.

    Examples
    --------
    >>> true = np.repeat([[0, 1]], 4, axis=0)
    >>> scores = hp.dense.score_maps(lambda i: (true, true), 3, ("sky", "road"))
    >>> scores
    <Scores of 3 images: mean IoU 1.000 (1.000-1.000), pixel accuracy 1.000 (1.000-1.000)>
    """

    label_names: tuple[str, ...]
    n_images: int
    n_units: int
    n_pixels: int
    confusion: np.ndarray
    boundaries: np.ndarray
    assigned: tuple[int, ...]
    mean_iou: Interval
    pixel_accuracy: Interval
    mean_boundary_f: Interval
    iou: tuple[Interval, ...]
    boundary_f: tuple[Interval, ...]

    def __repr__(self) -> str:
        """Return one line with the mean IoU and the pixel accuracy."""
        return (
            f"<Scores of {self.n_images} images: mean IoU {_text(self.mean_iou)}, "
            f"pixel accuracy {_text(self.pixel_accuracy)}>"
        )

    def to_arrow(self) -> pa.Table:
        """Return one row per label: its IoU and boundary F with their bounds, and its pixels.

        Returns
        -------
        pyarrow.Table

        Examples
        --------
        >>> true = np.repeat([[0, 1]], 4, axis=0)
        >>> hp.dense.score_maps(lambda i: (true, true), 3, ("sky", "road")).to_arrow().num_rows
        2
        """
        total = self.confusion.sum(axis=0)
        columns: dict[str, object] = {"label": self.label_names}
        for name, found in (("iou", self.iou), ("boundary_f", self.boundary_f)):
            columns[name] = [one.estimate for one in found]
            columns[f"{name}_low"] = [one.low for one in found]
            columns[f"{name}_high"] = [one.high for one in found]
        columns["true_pixels"] = total.sum(axis=1)
        columns["predicted_pixels"] = total[:, :-1].sum(axis=0)
        return pa.table(columns)

    def to_pandas(self) -> "pd.DataFrame":
        """Return `to_arrow` as a data frame.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        MissingDependencyError
            pandas is not installed.

        Examples
        --------
        >>> true = np.repeat([[0, 1]], 4, axis=0)
        >>> list(hp.dense.score_maps(lambda i: (true, true), 3, ("sky", "road")).to_pandas()["label"])
        ['sky', 'road']
        """
        return to_frame(self.to_arrow())

    def _repr_html_(self) -> str:
        total = self.confusion.sum(axis=0).sum(axis=1)
        rows = [
            (name, _text(iou), _text(f), int(n))
            for name, iou, f, n in zip(self.label_names, self.iou, self.boundary_f, total, strict=True)
        ]
        rows.append(("mean", _text(self.mean_iou), _text(self.mean_boundary_f), self.n_pixels))
        unit = "images" if self.n_units == self.n_images else f"groups ({self.n_units})"
        return html_table(
            ("label", "IoU (95 %)", "boundary F (95 %)", "pixels"),
            rows,
            caption=f"{self.n_images} images, pixel accuracy {_text(self.pixel_accuracy)}; "
            f"intervals over {unit}",
        )


def score_maps(
    maps: Maps,
    n_images: int,
    label_names: Sequence[str],
    *,
    protocol: Protocol | None = None,
    groups: Sequence[str | None] | None = None,
    tolerance: float = boundary.TOLERANCE,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> Scores:
    """Compare predicted label maps with true ones.

    Parameters
    ----------
    maps : callable
        Function from the number of an image to its true and its predicted label map, ndarray of int of shape
        (h, w); -1 is ignored in the true map, and is no prediction in the other. It may be called twice.
    n_images : int
        Number of images.
    label_names : sequence of str
        Names of the labels.
    protocol : Protocol, optional
        Rules of the comparison; strict by default.
    groups : sequence of (str or None), length n_images, optional
        Group of each image; intervals are over groups, as frames of one film are not independent. By default
        they are over images.
    tolerance : float, default=3
        Largest distance of matching boundary pixels.
    n_resamples : int, default=1000
        Number of bootstrap draws of the intervals.
    seed : int, default=0
        Seed of these draws.

    Returns
    -------
    Scores

    Raises
    ------
    InputError
        No pixel of the true maps is labeled.
    ShapeError
        Two maps differ in shape, or there is not one group for each image.

    See Also
    --------
    hueprobe.segment : Predict label maps with a memory.

    Examples
    --------
    >>> true = np.repeat([[0, 0, 1, 1]], 4, axis=0)
    >>> scores = score_maps(lambda i: (true, np.roll(true, i, axis=1)), 2, ("sky", "road"))
    >>> round(scores.pixel_accuracy.estimate, 3), round(scores.mean_iou.estimate, 3)
    (0.75, 0.6)
    """
    names = tuple(label_names)
    if groups is not None and len(groups) != n_images:
        raise ShapeError(f"{len(groups)} groups for {n_images} images; give one (or None) for each")
    confusion = np.zeros((n_images, len(names), len(names) + 1), np.int64)
    boundaries = np.zeros((n_images, len(names), 4), np.int64)
    assign = protocol is not None and protocol.assigned
    for i in range(n_images):
        true, predicted = maps(i)
        confusion[i] = intersection.count_confusion(true, predicted, len(names))
        if not assign:
            boundaries[i] = boundary.count_boundaries(true, predicted, len(names), tolerance=tolerance)
    assigned: tuple[int, ...] = ()
    if assign:
        to = assign_labels(confusion.sum(axis=0))
        confusion = relabel(confusion, to)
        assigned = tuple(to.tolist())
        to = np.append(to, -1)  # no prediction stays none
        for i in range(n_images):
            true, predicted = maps(i)
            boundaries[i] = boundary.count_boundaries(true, to[predicted], len(names), tolerance=tolerance)
    return scores_of_counts(
        confusion, boundaries, names, assigned=assigned, groups=groups, n_resamples=n_resamples, seed=seed,
        absent_as_zero=protocol is not None and protocol.absent_as_zero,
    )  # fmt: skip


def scores_of_counts(
    confusion: np.ndarray,
    boundaries: np.ndarray,
    label_names: tuple[str, ...],
    *,
    assigned: tuple[int, ...],
    groups: Sequence[str | None] | None,
    n_resamples: int,
    seed: int,
    absent_as_zero: bool,
) -> Scores:
    """Return the scores of the counts of each image; see `score_maps`.

    Parameters
    ----------
    confusion, boundaries, label_names, assigned
        See `Scores`.
    groups, n_resamples, seed
        See `score_maps`.
    absent_as_zero : bool
        See `mean_iou`.
    """
    labeled = confusion.sum(axis=(1, 2)) > 0
    if not labeled.any():
        raise InputError(
            f"none of {len(confusion)} images has a labeled pixel that the network saw; scores need some"
        )
    codes = unit_codes(groups, len(confusion))[labeled]
    n_units = len(np.unique(codes))
    resampling = {"n_resamples": n_resamples, "seed": seed}
    total, sums = confusion.sum(axis=0), resampled_sums(confusion[labeled], codes, **resampling)
    edges, edge_sums = boundaries.sum(axis=0), resampled_sums(boundaries[labeled], codes, **resampling)
    means = {
        name: percentile_interval(float(of(total, edges)), of(sums, edge_sums), n_units)
        for name, of in mean_scores(absent_as_zero=absent_as_zero).items()
    }
    return Scores(
        label_names=label_names,
        n_images=int(labeled.sum()),
        n_units=n_units,
        n_pixels=int(total.sum()),
        confusion=confusion,
        boundaries=boundaries,
        assigned=assigned,
        iou=intervals_of(intersection.intersection_over_union, total, sums, n_units),
        boundary_f=intervals_of(boundary.boundary_f, edges, edge_sums, n_units),
        **means,
    )


def mean_scores(*, absent_as_zero: bool) -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """Return the scores over all labels as functions of summed counts, by their names in `Scores`.

    Parameters
    ----------
    absent_as_zero : bool
        See `mean_iou`.

    Returns
    -------
    dict of str to callable
        Functions of confusion (..., L, L + 1) and boundaries (..., L, 4).
    """
    return {
        "mean_iou": lambda confusion, _: intersection.mean_iou(confusion, absent_as_zero=absent_as_zero),
        "pixel_accuracy": lambda confusion, _: intersection.pixel_accuracy(confusion),
        "mean_boundary_f": lambda _, edges: intersection.mean_of_known(boundary.boundary_f(edges)),
    }


def _text(interval: Interval) -> str:
    if np.isnan(interval.estimate):
        return "-"
    if np.isnan(interval.low):
        return f"{interval.estimate:.3f}"
    return f"{interval.estimate:.3f} ({interval.low:.3f}-{interval.high:.3f})"
