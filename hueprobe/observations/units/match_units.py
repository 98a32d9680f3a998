"""The independent units behind matches, and intervals for statistics of matches.

A match belongs to a query image and to a memory image, and both carry effects of their own. Resampling
queries alone sees half of the variance. The pigeonhole estimator (Owen 2007; two-way clustering)
counts both and takes out what it counted twice::

    V = V_query + V_memory - V_pair

Each term is the sum over its clusters of (the cluster's summed influence)^2, times G / (G - 1) for G
clusters. In leave-one-out the same images stand on both sides, and the dyadic variance takes its place
(`hueprobe.stats.dyadic`). Groups (subject, family, object) take the place of images where known.
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
    """The independent units behind each match: groups where known, else images.

    Attributes
    ----------
    query, memory : ndarray of int64, shape (n,)
        Code of the query image's unit and of the memory image's unit.
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


def match_units(matches: Matches) -> MatchUnits:
    """Return the units behind each match of a table; `shared` where the queries are the memory's images."""
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
    estimate: float, influence: np.ndarray, units: MatchUnits, *, level: float = CONFIDENCE
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
    numerator, denominator = as_array("numerator", numerator), as_array("denominator", denominator)
    require_kind("units", units, MatchUnits)
    estimate, influence = ratio_influence(numerator, denominator)
    part = (numerator != 0) | (denominator != 0)
    return influence_interval(estimate, influence[part], units.select(part), level=level)
