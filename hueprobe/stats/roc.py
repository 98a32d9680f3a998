"""How well a score tells two kinds of images apart: ROC curve, area under it, false positives at 95 %.

The area under the ROC curve is the probability that an image of one kind has a larger score than one of the
other, ties counted half. Its variance is DeLong's; with groups, the parts of one group are summed before they
are squared (Obuchowski 1997).
"""

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from hueprobe.errors import InputError, ShapeError
from hueprobe.stats.intervals import CONFIDENCE, Interval, clustered_variance, normal_interval

RESAMPLES = 2000
_ROUNDING = 1e-9  # 0.95 * 20 is 19


def auroc(
    positive: np.ndarray,
    negative: np.ndarray,
    *,
    positive_codes: np.ndarray | None = None,
    negative_codes: np.ndarray | None = None,
) -> Interval:
    """Return the area under the ROC curve with its 95 % interval.

    The interval is DeLong's [1]_ on the logit, so that it stays between 0 and 1; with groups the variance is
    Obuchowski's [2]_. Where the scores separate the two kinds entirely, that variance is 0. The bound is then
    the exact one of as many successes as there are disjoint pairs of a positive and a negative unit.

    Parameters
    ----------
    positive, negative : ndarray of shape (n_positive,) and (n_negative,)
        Scores, larger for the positive kind. Infinite values are allowed.
    positive_codes, negative_codes : ndarray of int64, optional
        Group of each image. The same code on both sides is the same group. By default all images are
        independent.

    Returns
    -------
    Interval
        Area and bounds.

    Raises
    ------
    InputError
        A side has no scores, or a score is NaN.
    ShapeError
        There is not one code for each score.

    See Also
    --------
    hueprobe.stats.fpr_at_tpr : False positives where most true positives are found.
    hueprobe.stats.roc_curve : The curve itself.

    References
    ----------
    .. [1] E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under two or more
       correlated receiver operating characteristic curves: a nonparametric approach", Biometrics 44, 837-845,
       1988.
    .. [2] N. A. Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 567-578,
       1997.

    Examples
    --------
    >>> found = hp.stats.auroc(np.array([0.9, 0.8, 0.4]), np.array([0.1, 0.5, 0.3, 0.2]))
    >>> round(found.estimate, 3), round(found.low, 2), round(found.high, 2)
    (0.917, 0.35, 1.0)
    """
    positive, negative = _scores("positive", positive), _scores("negative", negative)
    m, n = len(positive), len(negative)
    of_positive, of_negative = _codes(positive_codes, negative_codes, m, n)
    ranks = stats.rankdata(np.concatenate([positive, negative]))  # tied scores share their mean rank
    # Share of the other side that each image is on the right side of, DeLong's V10 and V01.
    right_of_positive = (ranks[:m] - stats.rankdata(positive)) / n
    right_of_negative = 1 - (ranks[m:] - stats.rankdata(negative)) / m
    area = float(right_of_positive.mean())
    parts = (right_of_positive - area) / m, (right_of_negative - area) / n
    variance = clustered_variance(parts[0], of_positive) + clustered_variance(parts[1], of_negative)
    n_codes = int(max(of_positive.max(), of_negative.max())) + 1
    sums = [
        np.bincount(codes, part, n_codes)
        for codes, part in zip((of_positive, of_negative), parts, strict=True)
    ]
    error = float(np.sqrt(np.maximum(0.0, variance + 2 * (sums[0] @ sums[1]))))  # NaN stays NaN
    if area in (0.0, 1.0):
        n_pairs = min(len(np.unique(of_positive)), len(np.unique(of_negative)))
        bound = ((1 - CONFIDENCE) / 2) ** (1 / n_pairs)
        low, high = (bound, 1.0) if area == 1 else (0.0, 1 - bound)
        return Interval(area, float(low), float(high), error, np.inf)
    of_logit = normal_interval(float(logit(area)), error / (area * (1 - area)))
    low, high = expit([of_logit.low, of_logit.high])
    return Interval(area, float(low), float(high), error, np.inf)


def roc_curve(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ROC curve of a score.

    Parameters
    ----------
    positive, negative : ndarray of shape (n_positive,) and (n_negative,)
        Scores, larger for the positive kind.

    Returns
    -------
    (ndarray, ndarray, ndarray)
        False positive rate, true positive rate and threshold, from (0, 0) to (1, 1). An image counts as
        positive where its score is at least the threshold; the first threshold is above all scores.

    Raises
    ------
    InputError
        A side has no scores, or a score is NaN.

    See Also
    --------
    hueprobe.stats.auroc : The area under the curve.

    Examples
    --------
    >>> fpr, tpr, thresholds = hp.stats.roc_curve(np.array([3.0, 2.0]), np.array([2.0, 1.0]))
    >>> fpr.tolist(), tpr.tolist(), thresholds.tolist()
    ([0.0, 0.0, 0.5, 1.0], [0.0, 0.5, 1.0, 1.0], [inf, 3.0, 2.0, 1.0])
    """
    positive, negative = _scores("positive", positive), _scores("negative", negative)
    values = np.unique(np.concatenate([positive, negative]))[::-1]
    found = [
        1 - np.searchsorted(np.sort(scores), values, side="left") / len(scores)
        for scores in (negative, positive)
    ]
    return (
        np.concatenate([[0.0], found[0]]),
        np.concatenate([[0.0], found[1]]),
        np.concatenate([[np.inf], values]),
    )


def fpr_at_tpr(
    positive: np.ndarray,
    negative: np.ndarray,
    *,
    tpr: float = 0.95,
    positive_codes: np.ndarray | None = None,
    negative_codes: np.ndarray | None = None,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the false positive rate at the threshold that finds a share of the positives.

    The threshold is the largest one that finds at least the share `tpr` of the positives. The 95 % interval
    is the percentile bootstrap over images, or over groups, of both sides. Where no resample differs (a rate
    of 0 or 1), the far bound is the exact one of Clopper and Pearson for the number of negative units.

    Parameters
    ----------
    positive, negative : ndarray of shape (n_positive,) and (n_negative,)
        Scores, larger for the positive kind.
    tpr : float, default=0.95
        Share of positives to find, above 0 and at most 1.
    positive_codes, negative_codes : ndarray of int64, optional
        Group of each image; by default all images are independent.
    n_resamples : int, default=2000
        Number of bootstrap samples.
    seed : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    Interval
        Rate and bounds; its standard error is that of the bootstrap.

    Raises
    ------
    InputError
        A side has no scores, a score is NaN, or `tpr` is not a share above 0.
    ShapeError
        There is not one code for each score.

    See Also
    --------
    hueprobe.stats.auroc : The area under the whole curve.

    Examples
    --------
    >>> positive, negative = np.arange(20) + 10.0, np.arange(20.0)
    >>> hp.stats.fpr_at_tpr(positive, negative).estimate  # 19 of 20 positives are found from 11 on
    0.45
    """
    positive, negative = _scores("positive", positive), _scores("negative", negative)
    if not 0 < tpr <= 1:
        raise InputError(f"tpr is {tpr}; give a share above 0 and at most 1, such as 0.95")
    codes = _codes(positive_codes, negative_codes, len(positive), len(negative))
    rate = _fpr(positive, negative, tpr)
    rng = np.random.default_rng(seed)
    counts = [_resamples(side, n_resamples, rng) for side in codes]
    order = np.argsort(positive)[::-1]
    found = np.cumsum(counts[0][:, order], axis=1)  # positives found by each threshold, highest first
    needed = np.ceil(tpr * found[:, -1:] - _ROUNDING)
    limits = positive[order][(found >= needed).argmax(axis=1)]
    accepted = (counts[1] * (negative >= limits[:, None])).sum(axis=1)
    drawn = accepted / counts[1].sum(axis=1)
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if rate in (0.0, 1.0) and low == high:
        bound = ((1 - CONFIDENCE) / 2) ** (1 / len(np.unique(codes[1])))
        low, high = (0.0, 1 - bound) if rate == 0 else (bound, 1.0)
    return Interval(rate, float(low), float(high), float(drawn.std(ddof=1)), np.inf)


def threshold_at_tpr(positive: np.ndarray, tpr: float = 0.95) -> float:
    """Return the largest threshold that at least a share of the scores reach.

    Parameters
    ----------
    positive : ndarray of shape (n,)
        Scores.
    tpr : float, default=0.95
        The share.

    Examples
    --------
    >>> threshold_at_tpr(np.array([5.0, 1.0, 4.0, 2.0, 3.0]), 0.8)
    2.0
    """
    needed = int(np.ceil(tpr * len(positive) - _ROUNDING))
    return float(np.sort(positive)[len(positive) - max(needed, 1)])


def _fpr(positive: np.ndarray, negative: np.ndarray, tpr: float) -> float:
    return float((negative >= threshold_at_tpr(positive, tpr)).mean())


def _resamples(codes: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each image is drawn, (n_resamples, n), when whole groups are drawn."""
    present, of_image = np.unique(codes, return_inverse=True)
    drawn = rng.multinomial(len(present), np.full(len(present), 1 / len(present)), n_resamples)
    return drawn[:, of_image]


def _scores(what: str, values: np.ndarray) -> np.ndarray:
    scores = np.asarray(values, np.float64)
    if scores.ndim != 1 or not len(scores):
        raise InputError(f"{what} scores have shape {scores.shape}; give at least one, in one dimension")
    if np.isnan(scores).any():
        raise InputError(
            f"{int(np.isnan(scores).sum())} of {len(scores)} {what} scores are NaN; leave them out"
        )
    return scores


def _codes(
    positive: np.ndarray | None, negative: np.ndarray | None, m: int, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return codes from 0 on; without groups each image has its own."""
    sides = (
        [("positive", i) for i in range(m)] if positive is None else list(np.asarray(positive).tolist()),
        [("negative", i) for i in range(n)] if negative is None else list(np.asarray(negative).tolist()),
    )
    if len(sides[0]) != m or len(sides[1]) != n:
        raise ShapeError(
            f"{len(sides[0])} and {len(sides[1])} groups for {m} positive and {n} negative scores; give "
            "one for each"
        )
    numbers: dict[object, int] = {}
    found = [np.array([numbers.setdefault(key, len(numbers)) for key in side], np.int64) for side in sides]
    return found[0], found[1]
