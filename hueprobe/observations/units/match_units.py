"""Independent units of matches, and intervals for statistics of matches.

A match belongs to a query image and to a memory image, and both have effects of their own. Resampling queries
alone accounts for half of the variance. The pigeonhole estimator (Owen 2007; two-way clustering) counts both
and subtracts what it counted twice::

    V = V_query + V_memory - V_pair

Each term is the sum over its clusters of (the cluster's summed influence)^2, times G / (G - 1) for G
clusters. In leave-one-out the same images are on both sides, and the dyadic variance is used instead
(`hueprobe.stats.dyadic`). Groups (subject, family, object) replace images where known.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hueprobe.arguments import as_array, require_kind
from hueprobe.matches import Matches
from hueprobe.stats.dyadic import dyadic_variance
from hueprobe.stats.intervals import (
    CONFIDENCE,
    Interval,
    clustered_variance,
    normal_interval,
    ratio_influence,
    unit_codes,
)


@dataclass(frozen=True)
class MatchUnits:
    """Independent units of each match: groups where known, otherwise images.

    Attributes
    ----------
    query, memory : ndarray of int64, shape (n,)
        Code of the query image's unit and of the memory image's unit.
    shared : bool, default=False
        Whether a code means the same unit on both sides, as in leave-one-out.

    See Also
    --------
    hueprobe.observations.units.ratio_interval : Interval of a ratio of sums over matches.

    Examples
    --------
    >>> units = hp.observations.units.MatchUnits(query=np.array([0, 0, 1]), memory=np.array([5, 6, 5]))
    >>> units.n_units(), units.pair
    (2, array([0, 1, 2]))
    """

    query: np.ndarray
    memory: np.ndarray
    shared: bool = False

    @cached_property
    def pair(self) -> np.ndarray:
        """Code of the pair of units of each match, shape (n,)."""
        if not len(self.query):
            return np.zeros(0, np.int64)
        return np.unique(self.query * (self.memory.max() + 1) + self.memory, return_inverse=True)[1]

    def n_units(self) -> int:
        """Return the number of units; where the two sides differ, that of the smaller side.

        Returns
        -------
        int
            Number of units.

        Examples
        --------
        >>> units = hp.observations.units.MatchUnits(query=np.array([0, 0, 1]), memory=np.array([5, 6, 7]))
        >>> units.n_units()
        2
        """
        if self.shared:
            return len(np.union1d(self.query, self.memory))
        return min(len(np.unique(self.query)), len(np.unique(self.memory)))

    def select(self, rows: np.ndarray) -> "MatchUnits":
        """Return the units of the selected matches.

        Parameters
        ----------
        rows : ndarray
            Mask or positions of the matches.

        Returns
        -------
        MatchUnits
            Units of these matches.

        Examples
        --------
        >>> units = hp.observations.units.MatchUnits(query=np.array([0, 0, 1]), memory=np.array([5, 6, 7]))
        >>> units.select(np.array([True, False, True])).memory
        array([5, 7])
        """
        return MatchUnits(self.query[rows], self.memory[rows], self.shared)


def match_units(matches: Matches) -> MatchUnits:
    """Return the units of each match; `shared` is set if the queries are the memory's images."""
    query = unit_codes(matches.query_image_group, len(matches.query_paths))
    memory = unit_codes(matches.image_group, len(matches.image_paths))
    shared = matches.query_paths == matches.image_paths
    return MatchUnits(query[matches.query_image], memory[matches.image], shared)


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
        At least V_query and at least V_memory; a lower sum can only be due to chance. NaN where one side has
        fewer than two units.
    """
    if units.n_units() < 2:
        return np.nan
    if units.shared:
        return dyadic_variance(influence, units.query, units.memory)
    query = clustered_variance(influence, units.query)
    memory = clustered_variance(influence, units.memory)
    return max(query + memory - clustered_variance(influence, units.pair), query, memory)


def influence_interval(
    estimate: float, influence: np.ndarray, units: MatchUnits, *, level: float = CONFIDENCE
) -> Interval:
    """Return the pigeonhole interval of a smooth statistic of matches, from its influence values.

    The variance is V_query + V_memory - V_pair [1]_; in leave-one-out it is the dyadic variance [2]_.

    Parameters
    ----------
    estimate : float
        Value of the statistic.
    influence : ndarray of shape (n,)
        Influence of each match. The influence of a difference is the difference of influences.
    units : MatchUnits
        Units of the n matches.
    level : float, default=0.95
        Confidence level, between 0 and 1.

    Returns
    -------
    Interval
        Bounds are NaN where one side has fewer than two units.

    See Also
    --------
    hueprobe.observations.units.ratio_interval : Interval of a ratio of sums.
    hueprobe.stats.dyadic_variance : Variance in leave-one-out.

    References
    ----------
    .. [1] A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 386-411, 2007.
    .. [2] P. M. Aronow, C. Samii and V. A. Assenova, "Cluster-robust variance estimation for dyadic data",
       Political Analysis 23, 564-577, 2015.

    Examples
    --------
    The mean distance of matches, each with influence (value - mean) / n:

    >>> units = hp.observations.units.MatchUnits(matches.query_image, matches.image, shared=True)
    >>> mean = float(matches.distance.mean())
    >>> influence = (matches.distance - mean) / len(matches)
    >>> interval = hp.observations.units.influence_interval(mean, influence, units)
    >>> interval.low < mean < interval.high
    True
    """
    require_kind("units", units, MatchUnits)
    variance = pigeonhole_variance(as_array("influence", influence).astype(float), units)
    return normal_interval(estimate, np.sqrt(variance), degrees=units.n_units() - 1, level=level)


def ratio_interval(
    numerator: np.ndarray, denominator: np.ndarray, units: MatchUnits, *, level: float = CONFIDENCE
) -> Interval:
    """Return sum(numerator) / sum(denominator) over matches with its pigeonhole interval.

    Parameters
    ----------
    numerator, denominator : ndarray of shape (n,)
        One value per match. A mean of values x under weights w is ratio_interval(w * x, w). Matches where
        both are 0 are ignored, as are units that have only such matches.
    units : MatchUnits
        Units of the n matches.
    level : float, default=0.95
        Confidence level, between 0 and 1.

    Returns
    -------
    Interval
        All values are NaN where the denominators sum to 0.

    See Also
    --------
    hueprobe.observations.units.influence_interval : Interval of any smooth statistic.
    hueprobe.stats.unit_interval : The same for rows of one kind of unit.

    Examples
    --------
    Share of same-class matches:

    >>> units = hp.observations.units.MatchUnits(matches.query_image, matches.image, shared=True)
    >>> found = hp.observations.units.ratio_interval(matches.same_class, np.ones(len(matches)), units)
    >>> found.estimate == matches.same_class.mean(), found.low < found.estimate < found.high
    (np.True_, True)
    """
    numerator, denominator = as_array("numerator", numerator), as_array("denominator", denominator)
    require_kind("units", units, MatchUnits)
    estimate, influence = ratio_influence(numerator, denominator)
    part = (numerator != 0) | (denominator != 0)
    return influence_interval(estimate, influence[part], units.select(part), level=level)
