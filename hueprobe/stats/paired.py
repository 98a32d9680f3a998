"""Is one classifier better than another on the same images: exact paired tests with their intervals.

Held out, every image counts by itself: McNemar's (1947) test, exact. In leave-one-out or with groups, each
group's sum of (first right - second right) keeps or changes its sign as a whole: the exact sign-flip test on
group sums. With one image a group the two are the same test. Both are conditional on the memory: how far
another memory would have moved the accuracies is for `split_spread` to tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.stats.intervals import CONFIDENCE, Interval, unit_codes
from hueprobe.stats.permutation import sign_flip_p


@dataclass(frozen=True)
class PairedComparison:
    """Two classifiers on the same images.

    Attributes
    ----------
    first, second : str
        Their names.
    n, n_units : int
        Images; groups, or images where there are none.
    only_first, only_second : int
        Images that one alone got right.
    difference : Interval
        Accuracy of the first less that of the second.
    p : float
        Two-sided, exact.
    test : str
        `mcnemar` or `sign-flip`.
    """

    first: str
    second: str
    n: int
    n_units: int
    only_first: int
    only_second: int
    difference: Interval
    p: float
    test: str


@dataclass(frozen=True)
class SplitSpread:
    """Accuracy over several splits of the same images into memory and queries.

    Attributes
    ----------
    n_splits : int
        Splits.
    mean, standard_deviation, low, high : float
        Over splits; low and high are the smallest and the largest. Splits share images, so this is no
        standard error.
    """

    n_splits: int
    mean: float
    standard_deviation: float
    low: float
    high: float


def compare_paired(
    first_right: np.ndarray,
    second_right: np.ndarray,
    *,
    names: tuple[str, str] = ("first", "second"),
    groups: Sequence[str | None] | None = None,
    held_out: bool = True,
) -> PairedComparison:
    """Compare two classifiers on the same images.

    Parameters
    ----------
    first_right, second_right : ndarray of bool, shape (n,)
        Whether each image was classified right.
    names : (str, str)
        Of the two.
    groups : sequence of (str or None), length n, optional
        Images of one group count together.
    held_out : bool
        Whether the images are no part of the memory (otherwise leave-one-out).

    Raises
    ------
    InputError, ShapeError
        No image; arrays of different lengths.
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.shape != second.shape or first.ndim != 1:
        raise ShapeError(
            f"answers of {names[0]!r} have shape {first.shape}, of {names[1]!r} {second.shape}; "
            "compare answers to the same images"
        )
    if not len(first):
        raise InputError("no image to compare classifiers on; give at least one")
    units = unit_codes(groups, len(first))
    gain = first.astype(np.int64) - second
    sums = np.bincount(units, gain).astype(np.int64)
    return PairedComparison(
        first=names[0],
        second=names[1],
        n=len(first),
        n_units=len(sums),
        only_first=int((gain > 0).sum()),
        only_second=int((gain < 0).sum()),
        difference=_difference(gain, units),
        p=sign_flip_p(sums),
        test="mcnemar" if held_out and len(sums) == len(first) else "sign-flip",
    )


def split_spread(accuracies: Sequence[float]) -> SplitSpread:
    """Summarize one classifier's accuracy over several splits.

    Parameters
    ----------
    accuracies : sequence of float
        One a split.

    Raises
    ------
    InputError
        There is none.
    """
    values = np.asarray(accuracies, float)
    if not len(values):
        raise InputError("no split to summarize; give at least one accuracy")
    deviation = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return SplitSpread(len(values), float(values.mean()), deviation, float(values.min()), float(values.max()))


def _difference(gain: np.ndarray, units: np.ndarray) -> Interval:
    """Mean gain with Agresti and Min's (2005) interval, clustered by unit.

    Half an image in each cell of the 2x2 table: without it, classifiers that never disagree would have an
    interval of no width.
    """
    n, sizes = len(gain), np.bincount(units)
    mean = gain.sum() / (n + 2)
    deviations = np.bincount(units, gain) - sizes * mean
    made_up = ((1 - mean) ** 2 + (1 + mean) ** 2 + 2 * mean**2) / 2
    factor = len(sizes) / (len(sizes) - 1) if len(sizes) > 1 else np.nan
    error = np.sqrt((deviations @ deviations) * factor + made_up) / (n + 2)
    margin = stats.t.ppf((1 + CONFIDENCE) / 2, len(sizes) - 1) * error if len(sizes) > 1 else np.nan
    return Interval(
        estimate=float(gain.mean()),
        low=float(max(mean - margin, -1)),
        high=float(min(mean + margin, 1)),
        standard_error=float(error),
        degrees=len(sizes) - 1,
    )
