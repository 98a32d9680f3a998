"""Estimates with confidence intervals, where rows are independent only between units.

The influence of row k on a statistic t is psi_k with t - E[t] ~ sum_k psi_k. For a ratio of sums t = sum(a) /
sum(b) it is (a_k - t b_k) / sum(b). The influences of one unit (an image, a subject, a family) are summed
before they are squared (Liang and Zeger 1986; Cameron and Miller 2015 review such variances).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from hueprobe.errors import InputError, ShapeError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes
    ----------
    estimate, low, high : float
        Estimate and bounds, in the unit of the statistic. Bounds are NaN where there are too few units.
    standard_error : float
        Standard error, in the same unit.
    degrees : float
        Degrees of freedom of the t quantile that the bounds are based on.
    level : float, default=0.95
        Confidence level.
    p_value : float, optional
        p-value of the statistic's own test, such as a permutation test; None where Student's t is used.

    See Also
    --------
    hueprobe.stats.unit_interval : Interval of a ratio over independent units.

    Examples
    --------
    >>> found = hp.stats.Interval(estimate=0.7, low=0.5, high=0.9, standard_error=0.1, degrees=30)
    >>> round(found.p(null=0.5), 3)
    0.055
    """

    estimate: float
    low: float
    high: float
    standard_error: float
    degrees: float
    level: float = CONFIDENCE
    p_value: float | None = None

    def p(self, null: float = 0.0) -> float:
        """Return the two-sided p-value by Student's t; NaN where there is no interval.

        Parameters
        ----------
        null : float, default=0.0
            Value of the statistic under the null hypothesis.

        Returns
        -------
        float
            p-value.

        Examples
        --------
        >>> interval = hp.stats.unit_interval(np.array([1.0, 3, 2, 4]), np.ones(4), np.arange(4))
        >>> round(interval.p(), 3)
        0.03
        """
        return t_test(self.estimate - null, self.standard_error, self.degrees)


def unit_codes(groups: Sequence[str | None] | None, n_images: int) -> np.ndarray:
    """Return the unit of each image: one code per group, and one for each image without a group.

    Parameters
    ----------
    groups : sequence of (str or None), length n_images, optional
        Group of each image; None if there are no groups.
    n_images : int
        Number of images.

    Returns
    -------
    ndarray of int64, shape (n_images,)
        Codes in order of first appearance.

    Examples
    --------
    >>> unit_codes(["ann", None, "ann", None], 4)
    array([0, 1, 0, 2])
    """
    if groups is None:
        return np.arange(n_images, dtype=np.int64)
    if len(groups) != n_images:
        raise ShapeError(f"{len(groups)} groups for {n_images} images; give one (or None) for each image")
    codes: dict[object, int] = {}
    keys = [(position,) if group is None else group for position, group in enumerate(groups)]
    return np.array([codes.setdefault(key, len(codes)) for key in keys], np.int64).reshape(n_images)


def clustered_variance(influence: np.ndarray, codes: np.ndarray) -> float:
    """Return the variance of a statistic whose rows are independent only between clusters.

    Parameters
    ----------
    influence : ndarray of shape (n,)
        Influence of each row on the statistic.
    codes : ndarray of int64, shape (n,)
        Cluster of each row.

    Returns
    -------
    float
        sum_g s_g^2 * G / (G - 1), with s_g the summed influence of cluster g; NaN for fewer than 2 clusters.
    """
    present, codes = np.unique(codes, return_inverse=True)
    n_clusters = len(present)
    if n_clusters < 2:
        return np.nan
    sums = np.bincount(codes, influence, n_clusters)
    return float(sums @ sums * (n_clusters / (n_clusters - 1)))


def ratio_influence(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, np.ndarray]:
    """Return sum(numerator) / sum(denominator), and the influence of each row on it, shape (n,).

    Parameters
    ----------
    numerator, denominator : ndarray of shape (n,)
        One value per row. The ratio is NaN where the denominators sum to 0.
    """
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    total = denominator.sum()
    if total == 0:
        return np.nan, np.full(len(numerator), np.nan)
    estimate = float(numerator.sum() / total)
    return estimate, (numerator - estimate * denominator) / total


def unit_interval(
    numerator: np.ndarray, denominator: np.ndarray, codes: np.ndarray, *, level: float = CONFIDENCE
) -> Interval:
    """Return sum(numerator) / sum(denominator) with its interval, for rows grouped by one kind of unit.

    The influences of one unit are summed before they are squared [1]_, [2]_.

    Parameters
    ----------
    numerator, denominator : ndarray of shape (n,)
        For instance correct answers and ones, one row per image.
    codes : ndarray of int64, shape (n,)
        Unit of each row, such as its group or image.
    level : float, default=0.95
        Confidence level, between 0 and 1.

    Returns
    -------
    Interval
        Ratio and bounds. Bounds are NaN for fewer than two units.

    Raises
    ------
    InputError
        The level is not between 0 and 1.

    See Also
    --------
    hueprobe.observations.units.ratio_interval : The same for matches, which belong to two units each.
    hueprobe.stats.proportion_interval : Share of independent trials.

    References
    ----------
    .. [1] K.-Y. Liang and S. L. Zeger, "Longitudinal data analysis using generalized linear models",
       Biometrika 73, 13-22, 1986.
    .. [2] A. C. Cameron and D. L. Miller, "A practitioner's guide to cluster-robust inference", Journal of
       Human Resources 50, 317-372, 2015.

    Examples
    --------
    Accuracy over six images of three subjects; images of one subject tend to agree:

    >>> correct, subject = np.array([1, 1, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    >>> found = hp.stats.unit_interval(correct, np.ones(6), subject)
    >>> round(found.estimate, 3), round(found.standard_error, 3), found.degrees
    (0.667, 0.333, 2)
    """
    estimate, influence = ratio_influence(numerator, denominator)
    variance = clustered_variance(influence, codes)
    return normal_interval(estimate, np.sqrt(variance), degrees=len(np.unique(codes)) - 1, level=level)


def normal_interval(
    estimate: float, standard_error: float, *, degrees: float = np.inf, level: float = CONFIDENCE
) -> Interval:
    """Return estimate -+ t standard errors.

    Parameters
    ----------
    estimate, standard_error : float
        Estimate and its standard error, in the unit of the statistic.
    degrees : float, default=inf
        Degrees of freedom of t. The default is the normal distribution; 0 or less gives no bounds (NaN).
    level : float, default=0.95
        Confidence level.

    Raises
    ------
    InputError
        The level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise InputError(f"confidence level {level} is not between 0 and 1; give for instance 0.95")
    margin = stats.t.ppf((1 + level) / 2, degrees) * standard_error if degrees > 0 else np.nan
    low, high = float(estimate - margin), float(estimate + margin)
    return Interval(float(estimate), low, high, float(standard_error), degrees, level)


def t_test(difference: float, standard_error: float, degrees: float) -> float:
    """Return the two-sided p-value of a difference from 0 by Student's t; NaN without a standard error.

    Parameters
    ----------
    difference, standard_error : float
        Difference and its standard error, in the unit of the statistic.
    degrees : float
        Degrees of freedom; inf is the normal distribution.
    """
    if not degrees > 0 or np.isnan(standard_error) or np.isnan(difference):
        return float("nan")
    if standard_error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.t.sf(abs(difference) / standard_error, degrees))


def proportion_interval(
    n_successes: int, n: int, *, method: Literal["wilson", "exact"] = "wilson"
) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share of independent trials.

    The interval is that of SciPy's `binomtest`.

    Parameters
    ----------
    n_successes, n : int
        Number of successful trials, and of all trials. Without trials the interval is (0, 1).
    method : {"wilson", "exact"}, default="wilson"
        Wilson's score interval [1]_ has a coverage of 0.95 on average. The interval of Clopper and Pearson
        [2]_ never has less.

    Returns
    -------
    (float, float)
        Lower and upper bound of the share.

    See Also
    --------
    hueprobe.stats.unit_interval : Shares of trials that are independent only between units.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
       the American Statistical Association 22, 209-212, 1927.
    .. [2] C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case
       of the binomial", Biometrika 26, 404-413, 1934.

    Examples
    --------
    >>> [round(limit, 4) for limit in hp.stats.proportion_interval(9, 10)]
    [0.5958, 0.9821]
    """
    if n == 0:
        return 0.0, 1.0
    found = stats.binomtest(n_successes, n).proportion_ci(CONFIDENCE, method)
    return float(found.low), float(found.high)


def bootstrap_counts(codes: np.ndarray, *, n_resamples: int, seed: int) -> np.ndarray:
    """Return how often each row is drawn when whole units are drawn with replacement.

    Parameters
    ----------
    codes : ndarray of int64, shape (n,)
        Unit of each row.
    n_resamples : int
        Number of bootstrap samples.
    seed : int
        Seed of the draw.

    Returns
    -------
    ndarray of int64, shape (n_resamples, n)
        A bootstrap mean is counts @ values / counts.sum(1).
    """
    present, codes = np.unique(codes, return_inverse=True)
    n_units = len(present)
    draws = np.random.default_rng(seed).multinomial(n_units, np.full(n_units, 1 / n_units), n_resamples)
    return draws[:, codes]
