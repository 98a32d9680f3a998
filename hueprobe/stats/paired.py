"""Exact paired tests of whether one classifier is more accurate than another on the same images.

Held-out images are independent: the test is McNemar's (1947), exact. In leave-one-out, or with groups, the
sign of each group's sum of (first correct - second correct) is flipped as a whole: the exact sign-flip test
on group sums. With one image per group the two tests are the same. Both are conditional on the memory;
`split_spread` shows how accuracies vary between memories.
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
    """Comparison of two classifiers on the same images.

    Attributes
    ----------
    first, second : str
        Names of the classifiers.
    n, n_units : int
        Number of images, and of groups (images where there are no groups).
    only_first, only_second : int
        Images that only one of the two classified correctly.
    difference : Interval
        Accuracy of the first minus that of the second.
    p : float
        Two-sided exact p-value.
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
        Number of splits.
    mean, standard_deviation, low, high : float
        Over splits; low and high are the minimum and the maximum. Splits share images, so the standard
        deviation does not give a standard error.
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

    On held-out images the test is McNemar's [1]_. In leave-one-out, or with groups, it is the exact sign-flip
    test on group sums. The interval of the difference is that of Agresti and Min [2]_, clustered by group.

    Parameters
    ----------
    first_right, second_right : ndarray of bool, shape (n,)
        Whether each classifier is correct on each image.
    names : (str, str), default=("first", "second")
        Names of the two classifiers.
    groups : sequence of (str or None), length n, optional
        Images of one group count as one unit; by default each image is a unit.
    held_out : bool, default=True
        Whether the images are outside the memory; False for leave-one-out.

    Returns
    -------
    PairedComparison
        Difference of accuracies with its interval and p-value.

    Raises
    ------
    InputError, ShapeError
        There are no images; arrays have different lengths.

    See Also
    --------
    hueprobe.stats.sign_flip_p : The test on sums of units.
    hueprobe.observations.accuracy.AccuracyGrid.comparisons : Compare descriptors and classifiers.

    References
    ----------
    .. [1] Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
       percentages", Psychometrika 12, 153-157, 1947.
    .. [2] A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched proportions",
       Statistics in Medicine 24, 729-740, 2005.

    Examples
    --------
    Two classifiers that disagree on six of twenty images, all in favor of the first:

    >>> second = np.arange(20) >= 6
    >>> found = hp.stats.compare_paired(np.ones(20, bool), second, names=("pixel", "gap"))
    >>> round(found.difference.estimate, 3), found.only_first, found.p, found.test
    (0.3, 6, 0.03125, 'mcnemar')
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
    """Summarize one classifier's accuracy over several splits into memory and queries.

    Parameters
    ----------
    accuracies : sequence of float
        Accuracy of each split.

    Returns
    -------
    SplitSpread
        Mean, standard deviation and range.

    Raises
    ------
    InputError
        There are no accuracies.

    See Also
    --------
    hueprobe.stats.compare_paired : Compare two classifiers on one split.

    Examples
    --------
    >>> spread = hp.stats.split_spread([0.84, 0.86, 0.85])
    >>> round(spread.mean, 3), spread.low, spread.high
    (0.85, 0.84, 0.86)
    """
    values = np.asarray(accuracies, float)
    if not len(values):
        raise InputError("no split to summarize; give at least one accuracy")
    deviation = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return SplitSpread(len(values), float(values.mean()), deviation, float(values.min()), float(values.max()))


def _difference(gain: np.ndarray, units: np.ndarray) -> Interval:
    """Return the mean gain with Agresti and Min's (2005) interval, clustered by unit.

    Half an image is added to each cell of the 2x2 table. Without it, the interval of classifiers that never
    disagree would have no width.
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
