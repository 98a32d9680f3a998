"""Estimates with their intervals, where rows are independent between units only.

The influence of row k on a statistic t is psi_k with t - E[t] ~ sum_k psi_k; for a ratio of sums
t = sum(a) / sum(b) it is (a_k - t b_k) / sum(b). Rows of one unit (an image, a subject, a family) are summed
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
        In the statistic's own unit; low and high are NaN where there are too few units to tell.
    standard_error : float
        Same unit.
    degrees : float
        Degrees of freedom of the t quantile behind low and high.
    level : float
        Confidence level.
    p_value : float or None
        Of the statistic's own test, where it has another than Student's (a permutation).
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
        null : float
            What the statistic is under the null hypothesis.
        """
        return t_test(self.estimate - null, self.standard_error, self.degrees)


def unit_codes(groups: Sequence[str | None] | None, n_images: int) -> np.ndarray:
    """Return the unit of each image: one code a group, and one for each image without a group.

    Parameters
    ----------
    groups : sequence of (str or None), length n_images, optional
        None stands for no groups at all.
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
    """Return the variance of a statistic whose rows are independent between clusters only.

    Parameters
    ----------
    influence : ndarray of shape (n,)
        Influence of each row on the statistic.
    codes : ndarray of int64, shape (n,)
        Cluster of each row.

    Returns
    -------
    float
        sum_g s_g^2 * G / (G - 1), s_g the summed influence of cluster g; NaN for fewer than 2 clusters.
    """
    present, codes = np.unique(codes, return_inverse=True)
    n_clusters = len(present)
    if n_clusters < 2:
        return np.nan
    sums = np.bincount(codes, influence, n_clusters)
    return float(sums @ sums * (n_clusters / (n_clusters - 1)))


def ratio_influence(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, np.ndarray]:
    """Return sum(numerator) / sum(denominator) and each row's influence on it, shape (n,).

    Parameters
    ----------
    numerator, denominator : ndarray of shape (n,)
        A row each; the ratio is NaN where the denominators sum to 0.
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
    """Return sum(numerator) / sum(denominator) where rows share one kind of unit only.

    Parameters
    ----------
    numerator, denominator : ndarray of shape (n,)
        For instance correct answers and ones, a row an image.
    codes : ndarray of int64, shape (n,)
        Unit of each row, as `unit_codes` gives them.
    level : float
        Confidence level, between 0 and 1.
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
        In the statistic's own unit.
    degrees : float
        Degrees of freedom of t; inf is the normal, and 0 or less gives no bounds (NaN).
    level : float
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
    """Return the two-sided p-value of a difference of 0 by Student's t; NaN without a standard error.

    Parameters
    ----------
    difference, standard_error : float
        In the statistic's own unit.
    degrees : float
        Degrees of freedom; inf is the normal.
    """
    if not degrees > 0 or np.isnan(standard_error) or np.isnan(difference):
        return float("nan")
    if standard_error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.t.sf(abs(difference) / standard_error, degrees))


def proportion_interval(
    n_successes: int, n: int, *, method: Literal["wilson", "exact"] = "wilson"
) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share of independent trials, by SciPy's `binomtest`.

    Parameters
    ----------
    n_successes, n : int
        Trials that succeeded, and all of them; without any the interval is (0, 1).
    method : {"wilson", "exact"}
        Wilson's (1927) score interval, whose coverage is .95 on average, or Clopper and Pearson's (1934),
        whose coverage is never below.

    Examples
    --------
    >>> [round(limit, 4) for limit in proportion_interval(9, 10)]
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
        Of the draw.

    Returns
    -------
    ndarray of int64, shape (n_resamples, n)
        A bootstrap mean is counts @ values / counts.sum(1).
    """
    present, codes = np.unique(codes, return_inverse=True)
    n_units = len(present)
    draws = np.random.default_rng(seed).multinomial(n_units, np.full(n_units, 1 / n_units), n_resamples)
    return draws[:, codes]
