"""Locations of matches, given the query cell: density, stay-put share, spread, information."""

from dataclasses import dataclass

import numpy as np

from hueprobe.observations.conditional.displacement import squared_distances
from hueprobe.observations.units.weighted import WeightedMatches, root_influence
from hueprobe.stats.information import (
    MIN_IMAGES,
    mutual_information,
    pointwise_information,
)
from hueprobe.stats.intervals import Interval, ratio_influence
from hueprobe.stats.permutation import permutation_p


@dataclass(frozen=True)
class Information:
    """Mutual information of query cell and match cell.

    Attributes
    ----------
    bits : Interval
        Corrected estimate with its interval. The interval is too narrow with few matches: in simulations with
        128 images and 6,272 matches its standard error is 0.76 of the true one.
    plug_in, by_chance : float
        Uncorrected estimate, and its mean over permutations, in bits.
    p : float
        One-sided p-value: share of arrangements, the observed one included, with at least the plug-in
        estimate.
    n_images : int
        Number of query images.
    undecided : str or None
        Reason why it cannot be estimated; then p is NaN and `bits` has no interval.
    """

    bits: Interval
    plug_in: float
    by_chance: float
    p: float
    n_images: int
    undecided: str | None


@dataclass(frozen=True)
class GivenQuery:
    """Locations of a set of matches (all, same class, other class), given the query cell.

    Attributes
    ----------
    n : int
        Number of matches.
    density : ndarray of shape (H, W, H, W)
        p(x, y | x_i): [query row, query column, row, column]. It sums to 1 over the last two axes, and is NaN
        for a query cell without matches.
    query_share : ndarray of shape (H, W)
        Share of the matches that each query cell has; NaN where there are none.
    stay : Interval
        Share of matches in the query's own cell.
    stay_by_chance : float
        The same share if query cells and match cells were independent.
    stay_excess : Interval
        Difference of the two; 0 is chance.
    spread : Interval
        Root mean square of the displacement, in cells.
    information : Information
        Mutual information of query cell and match cell.
    """

    n: int
    density: np.ndarray
    query_share: np.ndarray
    stay: Interval
    stay_by_chance: float
    stay_excess: Interval
    spread: Interval
    information: Information


def given_query(table: WeightedMatches, part: np.ndarray, permuted_bits: np.ndarray) -> GivenQuery:
    """Measure the locations of a subset of the matches, given the query cell.

    Parameters
    ----------
    table : WeightedMatches
        Table of all n matches.
    part : ndarray of bool, shape (n,)
        Which matches to measure.
    permuted_bits : ndarray of shape (n_permutations,)
        Their mutual information under permutations (`permuted_information`).
    """
    grid, weight = table.matches.grid, table.weight * part
    counts = table.counts(part)
    by_query, total = counts.sum(1), counts.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        rows, columns = by_query / total, counts.sum(0) / total
        density = counts / by_query[:, None]
        chance = float(rows @ columns)
        # a product of two margins, and a match moves both
        psi_chance = weight / total * (columns[table.matches.query_cell] - chance)
        psi_chance += weight / total * (rows[table.matches.match_cell] - chance)
    stay, psi = ratio_influence(weight * (table.matches.query_cell == table.matches.match_cell), weight)
    squared = table.at_cells(squared_distances(grid))
    return GivenQuery(
        n=int(part.sum()),
        density=density.reshape(*grid.shape, *grid.shape),
        query_share=rows.reshape(grid.shape),
        stay=table.interval(stay, psi, part),
        stay_by_chance=chance,
        stay_excess=table.interval(stay - chance, psi - psi_chance, part),
        spread=table.interval(*root_influence(*ratio_influence(weight * squared, weight)), part),
        information=_information(table, part, counts, permuted_bits),
    )


def information_influence(table: WeightedMatches, part: np.ndarray) -> np.ndarray:
    """Return each match's influence on the mutual information of a subset, shape (n,), in bits."""
    counts = table.counts(part)
    if not counts.any():
        return np.full(len(part), np.nan)
    own = table.at_cells(pointwise_information(counts)) - mutual_information(counts)
    influence: np.ndarray = table.weight * part * own / counts.sum()
    return influence


def _information(
    table: WeightedMatches, part: np.ndarray, counts: np.ndarray, permuted: np.ndarray
) -> Information:
    plug_in, by_chance = float(mutual_information(counts)), float(permuted.mean())
    n_images = len(np.unique(table.matches.query_image[part]))
    if n_images < MIN_IMAGES:
        undecided = f"{n_images} query images have such matches, and at least {MIN_IMAGES} are needed"
        unknown = Interval(plug_in - by_chance, np.nan, np.nan, np.nan, 0)
        return Information(unknown, plug_in, by_chance, float("nan"), n_images, undecided)
    bits = table.interval(plug_in - by_chance, information_influence(table, part), part)
    p = permutation_p(plug_in, permuted)
    return Information(bits, plug_in, by_chance, float(p), n_images, None)
