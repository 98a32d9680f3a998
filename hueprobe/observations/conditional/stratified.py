"""Same-class against other-class matches at equal match quality.

Same-class matches are closer in activation space, and close matches are closer in the image plane whatever
their class. So the two are compared within strata of query cell and distance. A stratum has weight n_same
n_other / (n_same + n_other), so strata with matches of only one kind have no weight.
"""

from dataclasses import dataclass

import numpy as np

from hueprobe.errors import InputError
from hueprobe.observations.units.weighted import WeightedMatches, root_influence
from hueprobe.stats.intervals import Interval, ratio_influence


@dataclass(frozen=True)
class StratifiedMeans:
    """Means of a quantity at equal match quality.

    Attributes
    ----------
    same, other : float
        Means over same-class and other-class matches; NaN where no stratum has both.
    same_influence, other_influence : ndarray of shape (n,)
        Influence of each match on the two means.
    """

    same: float
    other: float
    same_influence: np.ndarray
    other_influence: np.ndarray


def quality_strata(
    distance: np.ndarray, query_cell: np.ndarray, *, n_cells: int, n_bins: int = 20
) -> np.ndarray:
    """Return the stratum of each match: its query cell and the decile of its distance, (n,) int64.

    Parameters
    ----------
    distance : ndarray of shape (n,)
        Distance between the unit vectors of each match.
    query_cell : ndarray of int64, shape (n,)
        Query cell of each match, 0 to n_cells - 1.
    n_cells : int
        Number of cells of the query grid.
    n_bins : int, default=20
        Number of bins of equally many matches; 10 are deciles.
    """
    if n_bins < 1:
        raise InputError(f"n_bins is {n_bins}; at least 1 is needed")
    if not len(distance):
        return np.zeros(0, np.int64)
    limits = np.quantile(distance, np.arange(1, n_bins) / n_bins)
    strata: np.ndarray = np.searchsorted(limits, distance, side="right") * n_cells + query_cell
    return strata


def stratified_means(
    values: np.ndarray, same: np.ndarray, weight: np.ndarray, strata: np.ndarray
) -> StratifiedMeans:
    """Compare a quantity's means between same-class and other-class matches within strata.

    Parameters
    ----------
    values, weight : ndarray of shape (n,)
        Quantity and weight of each match.
    same : ndarray of bool, shape (n,)
        Whether each match is a same-class match; all others are other-class.
    strata : ndarray of int64, shape (n,)
        Strata from `quality_strata`.
    """
    n_strata = int(strata.max(initial=-1)) + 1
    sizes = [np.bincount(strata, weight * side, n_strata) for side in (same, ~same)]
    both = sizes[0] + sizes[1]
    share = [np.divide(size, both, out=np.zeros(n_strata), where=both > 0) for size in sizes]
    worth = sizes[0] * share[1]
    total = worth.sum()
    if total == 0:
        unknown = np.full(len(values), np.nan)
        return StratifiedMeans(np.nan, np.nan, unknown, unknown)
    means, influences = [], []
    for side, size, others in ((same, sizes[0], share[1]), (~same, sizes[1], share[0])):
        sums = np.bincount(strata, weight * side * values, n_strata)
        level = np.divide(sums, size, out=np.zeros(n_strata), where=size > 0)
        mean = float((worth * level).sum() / total)
        # one more match moves the stratum's mean, and the stratum's weight by the squared share of the rest
        worth_moved = np.where(same, share[1][strata], share[0][strata]) ** 2
        influence = side * others[strata] * (values - level[strata])
        influence = influence + worth_moved * (level[strata] - mean)
        means.append(mean)
        influences.append(weight * influence / total)
    return StratifiedMeans(means[0], means[1], influences[0], influences[1])


@dataclass(frozen=True)
class Contrast:
    """Same class minus other class.

    Attributes
    ----------
    raw : Interval
        Difference over all labeled matches.
    adjusted : Interval
        Difference at equal query cell and match quality; NaN where no stratum has both.
    same_adjusted, other_adjusted : float
        The two means of the adjusted difference.
    """

    raw: Interval
    adjusted: Interval
    same_adjusted: float
    other_adjusted: float


def contrast(
    table: WeightedMatches,
    values: np.ndarray,
    same: np.ndarray,
    other: np.ndarray,
    *,
    n_bins: int = 20,
    root: bool = False,
) -> Contrast:
    """Compare a quantity's mean between same-class and other-class matches, raw and adjusted.

    Parameters
    ----------
    table : WeightedMatches
        Table of n matches.
    values : ndarray of shape (n,)
        Quantity of each match.
    same, other : ndarray of bool, shape (n,)
        Which matches are same-class and which other-class.
    n_bins : int, default=20
        Number of bins of match quality; 10 are deciles of the distance.
    root : bool, default=False
        Whether to compare the square roots of the means, for squared values.
    """
    part = same | other
    raw = [ratio_influence(table.weight * side * values, table.weight * side) for side in (same, other)]
    matches = table.matches.select(part)
    strata = quality_strata(
        matches.distance, matches.query_cell, n_cells=matches.query_grid.n_cells, n_bins=n_bins
    )
    means = stratified_means(values[part], same[part], table.weight[part], strata)
    adjusted = [
        (mean, _spread_out(influence, part))
        for mean, influence in ((means.same, means.same_influence), (means.other, means.other_influence))
    ]
    if root:
        raw, adjusted = ([root_influence(*side) for side in sides] for sides in (raw, adjusted))

    def less(sides: list[tuple[float, np.ndarray]]) -> Interval:
        (a, psi_a), (b, psi_b) = sides
        return table.interval(a - b, psi_a - psi_b, part)

    return Contrast(less(raw), less(adjusted), adjusted[0][0], adjusted[1][0])


def _spread_out(values: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return values at the positions selected by `part`, and 0 elsewhere."""
    whole = np.zeros(len(part))
    whole[part] = values
    return whole
