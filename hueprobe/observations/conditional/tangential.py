"""Radial against tangential spread of matches around the query cell.

Raw values are not informative. On a 7x7 grid, uniform matches have an RMS of 3.49 cells along the query's
radius and of 2.00 across it. The measure is the excess over a base rate
(`hueprobe.observations.conditional.gravity`)::

    excess = log(tangential / radial)  -  log(tangential / radial) under the base rate

Its sign may depend on the base rate, so results for all of them are given. The verdict uses the first row,
gravity in polar form.
"""

from dataclasses import dataclass

import numpy as np

from hueprobe.grid import Grid
from hueprobe.observations.conditional.displacement import FORMS, displacement_parts
from hueprobe.observations.conditional.gravity import BASES, base_projection
from hueprobe.observations.units.weighted import WeightedMatches
from hueprobe.observations.verdicts.evidence import own_finding
from hueprobe.observations.verdicts.findings import Finding
from hueprobe.stats.intervals import Interval


@dataclass(frozen=True)
class TangentialTable:
    """Spread of a table of matches against one base rate.

    Attributes
    ----------
    radial, tangential : float
        Root mean squares over the matches, in cells.
    base_radial, base_tangential : float
        The same under the base rate.
    excess : float
        log(tangential / radial) minus that of the base rate; above 0 is more tangential.
    influence : ndarray of shape (n, n)
        Influence on the excess of a match (of weight 1) of each query cell (first) with each match cell.
    """

    radial: float
    tangential: float
    base_radial: float
    base_tangential: float
    excess: float
    influence: np.ndarray


@dataclass(frozen=True)
class TangentialSide:
    """Spread of a set of matches (all, same class, other class) against one base rate.

    Attributes
    ----------
    radial, tangential, base_radial, base_tangential : float
        Root mean squares over the matches and under the base rate, in cells.
    excess : Interval
        log(tangential / radial) minus that of the base rate; above 0 is more tangential.
    """

    radial: float
    tangential: float
    base_radial: float
    base_tangential: float
    excess: Interval


@dataclass(frozen=True)
class TangentialRow:
    """Spread against one base rate in one form.

    Attributes
    ----------
    base, form : str
        `gravity`, `isotropic` or `uniform`; `polar` or `projected`.
    all, same, other : TangentialSide
        Spread of all matches, of same-class ones, and of other-class ones.
    difference : Interval
        Excess of same-class matches minus that of other-class matches.
    """

    base: str
    form: str
    all: TangentialSide
    same: TangentialSide
    other: TangentialSide
    difference: Interval

    def findings(self) -> tuple[Finding, Finding]:
        """Return the findings that claim 4c needs: excess of same class, and same minus other class."""
        base = f"log(tangential / radial) less that of the {self.base} base rate, {self.form} form"
        return (
            own_finding("4c tangential", self.same.excess, name=f"{base}, same class"),
            own_finding("4c tangential", self.difference, name=f"{base}, same less other class"),
        )


def tangential_rows(
    table: WeightedMatches,
    all_: np.ndarray,
    same: np.ndarray,
    other: np.ndarray,
    *,
    center: tuple[float, float] | None = None,
) -> tuple[TangentialRow, ...]:
    """Measure the tangential excess of all, same-class and other-class matches against every base rate.

    Parameters
    ----------
    table : WeightedMatches
        Table of n matches.
    all_, same, other : ndarray of bool, shape (n,)
        Matches of each set.
    center : (float, float), optional
        Center (y, x) in cells; by default the middle of the grid.
    """
    grid, parts = table.matches.grid, (all_, same, other)
    found = [tangential_excess(table.counts(part), grid, center=center) for part in parts]
    rows = []
    for base, form in found[0]:
        tables = [by_base[base, form] for by_base in found]
        influences = [
            table.weight * part * table.at_cells(side.influence)
            for part, side in zip(parts, tables, strict=True)
        ]
        sides = [
            TangentialSide(
                radial=side.radial,
                tangential=side.tangential,
                base_radial=side.base_radial,
                base_tangential=side.base_tangential,
                excess=table.interval(side.excess, influence, part),
            )
            for side, influence, part in zip(tables, influences, parts, strict=True)
        ]
        difference = table.interval(
            tables[1].excess - tables[2].excess, influences[1] - influences[2], same | other
        )
        rows.append(TangentialRow(base, form, sides[0], sides[1], sides[2], difference))
    return tuple(rows)


def tangential_excess(
    table: np.ndarray, grid: Grid, *, center: tuple[float, float] | None = None
) -> dict[tuple[str, str], TangentialTable]:
    """Measure radial and tangential spread against every base rate.

    Parameters
    ----------
    table : ndarray of shape (n, n)
        Matches (or their weight) of each query cell with each match cell.
    grid : Grid
        Grid of both queries and memory.
    center : (float, float), optional
        Center (y, x) in cells; by default the middle of the grid.

    Returns
    -------
    dict of (str, str) to TangentialTable
        Tables by base rate and form, in the order of `BASES` and `FORMS`. NaN where nothing matched, or where
        there is no spread in one of the two directions.
    """
    parts = [displacement_parts(grid, form, center=center) for form in FORMS]
    values = np.concatenate([[part.radial, part.tangential, part.defined] for part in parts]).astype(float)
    found = {}
    for base in BASES:
        expected = base_projection(base, table, grid, values) if table.any() else np.full_like(values, np.nan)
        for number, form in enumerate(FORMS):
            rows = slice(3 * number, 3 * number + 3)
            found[base, form] = _excess(table, values[rows], expected[rows])
    return found


def _excess(table: np.ndarray, values: np.ndarray, expected: np.ndarray) -> TangentialTable:
    observed, by_base = (table * values).sum((1, 2)), (table * expected).sum((1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        radial, tangential = np.sqrt(observed[:2] / observed[2])
        base_radial, base_tangential = np.sqrt(np.maximum(by_base[:2], 0) / by_base[2])
        # d log sqrt(sum f) = f / (2 sum f); the number of defined pairs cancels
        influence = (
            values[1] / observed[1]
            - values[0] / observed[0]
            - expected[1] / by_base[1]
            + expected[0] / by_base[0]
        ) / 2
        excess = np.log(tangential / radial) - np.log(base_tangential / base_radial)
    if not np.isfinite(excess):
        excess, influence = np.nan, np.full(table.shape, np.nan)
    return TangentialTable(
        float(radial), float(tangential), float(base_radial), float(base_tangential), float(excess), influence
    )
