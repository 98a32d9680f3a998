"""Intervals for statistics of matches, whose rows share query images and memory images.

A match belongs to a query image and to a memory image, and both carry effects of their own. Resampling
queries alone sees half of the variance. The pigeonhole estimator (Owen 2007; two-way clustering)
counts both and takes out what it counted twice::

    V = V_query + V_memory - V_pair

Each term is the sum over its clusters of (the cluster's summed influence)^2, times G / (G - 1) for G
clusters. In leave-one-out the same pictures stand on both sides, and the dyadic variance takes its place
(`hueprobe.observations.dyads`). Groups (subject, family, object) take the place of images where known.

The influence of row k on a statistic t is psi_k with t - E[t] ~ sum_k psi_k; for a ratio of sums
t = sum(a) / sum(b) it is (a_k - t b_k) / sum(b).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.matches import Matches
from hueprobe.observations.dyads import dyadic_variance

LEVEL = 0.95


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
    """

    estimate: float
    low: float
    high: float
    standard_error: float
    degrees: float
    level: float = LEVEL

    def p(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of the statistic being `null`; NaN where there is no interval."""
        return t_test(self.estimate - null, self.standard_error, self.degrees)

    def summary(self) -> dict[str, float]:
        """Return estimate, interval and standard error as plain numbers."""
        return {
            "estimate": self.estimate,
            "low": self.low,
            "high": self.high,
            "standard_error": self.standard_error,
        }


@dataclass(frozen=True)
class MatchUnits:
    """The independent units behind each match: groups where known, else images.

    Attributes
    ----------
    query, memory : ndarray of int64, shape (n,)
        Code of the query picture's unit and of the memory picture's unit.
    shared : bool
        Whether a code means the same unit on both sides, as in leave-one-out.
    """

    query: np.ndarray
    memory: np.ndarray
    shared: bool = False

    @cached_property
    def pair(self) -> np.ndarray:
        """Code of the pair of units, shape (n,)."""
        if not len(self.query):
            return np.zeros(0, np.int64)
        return np.unique(self.query * (self.memory.max() + 1) + self.memory, return_inverse=True)[1]

    def n_units(self) -> int:
        """Return the number of units; of the smaller side where the sides differ."""
        if self.shared:
            return len(np.union1d(self.query, self.memory))
        return min(len(np.unique(self.query)), len(np.unique(self.memory)))

    def select(self, rows: np.ndarray) -> "MatchUnits":
        """Return the units of the matches that `rows` (a mask or positions) picks."""
        return MatchUnits(self.query[rows], self.memory[rows], self.shared)


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


def match_units(matches: Matches) -> MatchUnits:
    """Return the units behind each match of a table; `shared` where the queries are the memory's pictures."""
    query = unit_codes(matches.query_image_group, len(matches.query_paths))
    memory = unit_codes(matches.image_group, len(matches.image_paths))
    shared = matches.query_paths == matches.image_paths
    return MatchUnits(query[matches.query_image], memory[matches.image], shared)


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


def pigeonhole_variance(influence: np.ndarray, units: MatchUnits) -> float:
    """Return V_query + V_memory - V_pair, or the dyadic variance where both sides share their units.

    Parameters
    ----------
    influence : ndarray of shape (n,)
        Influence of each match on the statistic.
    units : MatchUnits
        Units of the n matches.

    Returns
    -------
    float
        At least V_query and at least V_memory, below which the sum can fall by chance only. NaN where there
        are fewer than two units on a side.
    """
    if units.n_units() < 2:
        return np.nan
    if units.shared:
        return dyadic_variance(influence, units.query, units.memory)
    query = clustered_variance(influence, units.query)
    memory = clustered_variance(influence, units.memory)
    return max(query + memory - clustered_variance(influence, units.pair), query, memory)


def influence_interval(
    estimate: float, influence: np.ndarray, units: MatchUnits, *, level: float = LEVEL
) -> Interval:
    """Return the pigeonhole interval of any smooth statistic of matches, from its influence values.

    Parameters
    ----------
    estimate : float
        The statistic.
    influence : ndarray of shape (n,)
        Influence of each match; a difference of statistics has the difference of their influences.
    units : MatchUnits
        Units of the n matches.
    level : float
        Confidence level, between 0 and 1.
    """
    variance = pigeonhole_variance(np.asarray(influence, float), units)
    return normal_interval(estimate, np.sqrt(variance), degrees=units.n_units() - 1, level=level)


def ratio_interval(
    numerator: np.ndarray, denominator: np.ndarray, units: MatchUnits, *, level: float = LEVEL
) -> Interval:
    """Return sum(numerator) / sum(denominator) over matches with its pigeonhole interval.

    Parameters
    ----------
    numerator, denominator : ndarray of shape (n,)
        A mean of values x under weights w is ratio_interval(w * x, w). Matches where both are 0 take no
        part, nor do units with such matches alone.
    units : MatchUnits
        Units of the n matches.
    level : float
        Confidence level, between 0 and 1.

    Returns
    -------
    Interval
        All NaN where the denominator sums to 0.
    """
    estimate, influence = ratio_influence(numerator, denominator)
    part = (np.asarray(numerator) != 0) | (np.asarray(denominator) != 0)
    return influence_interval(estimate, influence[part], units.select(part), level=level)


def ratio_influence(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, np.ndarray]:
    """Return sum(numerator) / sum(denominator) and each row's influence on it, shape (n,)."""
    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    total = denominator.sum()
    if total == 0:
        return np.nan, np.full(len(numerator), np.nan)
    estimate = float(numerator.sum() / total)
    return estimate, (numerator - estimate * denominator) / total


def unit_interval(
    numerator: np.ndarray, denominator: np.ndarray, codes: np.ndarray, *, level: float = LEVEL
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
    estimate: float, standard_error: float, *, degrees: float = np.inf, level: float = LEVEL
) -> Interval:
    """Return estimate -+ t standard errors, t with `degrees` degrees of freedom (inf: the normal)."""
    if not 0 < level < 1:
        raise InputError(f"confidence level {level} is not between 0 and 1; give for instance 0.95")
    margin = stats.t.ppf((1 + level) / 2, degrees) * standard_error if degrees > 0 else np.nan
    low, high = float(estimate - margin), float(estimate + margin)
    return Interval(float(estimate), low, high, float(standard_error), degrees, level)


def t_test(difference: float, standard_error: float, degrees: float) -> float:
    """Return the two-sided p-value of a difference of 0; NaN without a standard error."""
    if not degrees > 0 or np.isnan(standard_error) or np.isnan(difference):
        return float("nan")
    if standard_error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.t.sf(abs(difference) / standard_error, degrees))


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
