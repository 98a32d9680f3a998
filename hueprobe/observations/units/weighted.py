"""Weighted matches, summed by cells and by pairs of query unit and memory unit."""

from dataclasses import dataclass

import numpy as np

from hueprobe.matches import Matches
from hueprobe.observations.units.match_units import MatchUnits, influence_interval, match_units
from hueprobe.stats.intervals import CONFIDENCE, Interval


@dataclass(frozen=True)
class WeightedMatches:
    """A match table with the same grid for queries and memory, and each match's weight and units.

    Attributes
    ----------
    matches : Matches
        Table of n matches.
    weight : ndarray of shape (n,)
        Weight of each match: 1, or its kernel weight.
    pair : ndarray of int64, shape (n,)
        Pair of query unit and memory unit of each match.
    units : MatchUnits
        Units of each pair, n_pairs long: groups where known, otherwise images.
    """

    matches: Matches
    weight: np.ndarray
    pair: np.ndarray
    units: MatchUnits

    def counts(self, part: np.ndarray) -> np.ndarray:
        """Return the weight of each query cell (first) with each match cell, shape (n_cells, n_cells).

        Parameters
        ----------
        part : ndarray of bool, shape (n,)
            Which matches to count.
        """
        n_cells = self.matches.grid.n_cells
        cells = (self.matches.query_cell * n_cells + self.matches.match_cell)[part]
        return np.bincount(cells, self.weight[part], n_cells**2).reshape(n_cells, n_cells)

    def at_cells(self, table: np.ndarray) -> np.ndarray:
        """Return the entry of a table of shape (n_cells, n_cells) for each match, shape (n,)."""
        entries: np.ndarray = table[self.matches.query_cell, self.matches.match_cell]
        return entries

    def interval(
        self, estimate: float, influence: np.ndarray, part: np.ndarray, *, level: float = CONFIDENCE
    ) -> Interval:
        """Return the interval of a statistic of a subset of the matches.

        Parameters
        ----------
        estimate : float
            Value of the statistic.
        influence : ndarray of shape (n,)
            Influence of each match.
        part : ndarray of bool, shape (n,)
            Matches that the statistic uses; units without such a match do not count.
        level : float, default=0.95
            Confidence level, between 0 and 1.

        Returns
        -------
        Interval
            The same as `influence_interval` on the single matches, many times faster.
        """
        n_pairs = len(self.units.query)
        there = np.bincount(self.pair[part], minlength=n_pairs) > 0
        sums = np.bincount(self.pair[part], influence[part], n_pairs)
        return influence_interval(estimate, sums[there], self.units.select(there), level=level)


def weighted_matches(matches: Matches, *, weighting: str) -> WeightedMatches:
    """Return matches with equal weights (`count`) or kernel weights (`kernel`), and their units."""
    weight = matches.weight if weighting == "kernel" else np.ones(len(matches))
    units = match_units(matches)
    n_pairs = int(units.pair.max(initial=-1)) + 1
    query, memory = np.zeros(n_pairs, np.int64), np.zeros(n_pairs, np.int64)
    query[units.pair], memory[units.pair] = units.query, units.memory
    return WeightedMatches(matches, weight, units.pair, MatchUnits(query, memory, units.shared))


def root_influence(mean: float, influence: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the square root of a mean, and each match's influence on it."""
    root = float(np.sqrt(mean))
    return root, influence / (2 * root) if root > 0 else np.zeros_like(influence)
