"""Observation 4: where matches land, given where the query pixel is: p(x, y | x_i).

Three claims hang on it. Matches *stay*: more of them lie in the query's own cell than if the two cells had
nothing to do with each other. Same-class matches *spread* less than other-class ones; this is compared also
at equal match quality (`.stratified`). And the spread is *tangential* rather than radial
(`hueprobe.observations.conditional.tangential`).
"""

from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import takes
from hueprobe.errors import ShapeError, require_choice
from hueprobe.grid import Grid
from hueprobe.matches import Matches
from hueprobe.observations.conditional.displacement import squared_distances
from hueprobe.observations.conditional.given_query import GivenQuery, given_query, information_influence
from hueprobe.observations.conditional.stratified import Contrast, contrast
from hueprobe.observations.conditional.tangential import TangentialRow, tangential_rows
from hueprobe.observations.locations.maps import labeled_matches
from hueprobe.observations.locations.positions import WEIGHTINGS
from hueprobe.observations.table import Row
from hueprobe.observations.units.radial import require_grid
from hueprobe.observations.units.weighted import WeightedMatches, weighted_matches
from hueprobe.observations.verdicts.evidence import Definitions, one_finding, own_finding
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.information import permuted_information
from hueprobe.stats.intervals import Interval


@dataclass(frozen=True)
class Conditional:
    """What `measure` found.

    Attributes
    ----------
    grid : Grid
        Of queries and memory alike.
    classes : tuple of str
        Class names.
    weighting : str
        `count` or `kernel`.
    n_unlabeled : int
        Matches in `all` alone, since one side has no class.
    all, same, other : GivenQuery
        All matches; same-class ones; other-class ones.
    stay : Contrast
        Of the stay-put share.
    spread : Contrast
        Of the root mean square displacement, cells.
    information : Interval
        Mutual information of same class less other class, bits, both corrected.
    tangential : tuple of TangentialRow
        Excess of tangential spread, a row a base rate and form; the first is gravity in polar form.
    """

    grid: Grid
    classes: tuple[str, ...]
    weighting: str
    n_unlabeled: int
    all: GivenQuery
    same: GivenQuery
    other: GivenQuery
    stay: Contrast
    spread: Contrast
    information: Interval
    tangential: tuple[TangentialRow, ...]

    def numbers(self) -> dict[str, Interval]:
        """Return bits, stay-put shares, their contrasts, and the excess of tangential spread by base rate."""
        numbers: dict[str, Interval] = {}
        for name, given in {"all": self.all, "same": self.same, "other": self.other}.items():
            numbers[f"bits, {name}"] = given.information.bits
            numbers[f"stay-put share, {name}"] = given.stay
        numbers["bits, same less other"] = self.information
        numbers["stay-put, same less other, raw"] = self.stay.raw
        numbers["stay-put, same less other, adjusted"] = self.stay.adjusted
        numbers["RMS displacement, same less other, adjusted"] = self.spread.adjusted
        for row in self.tangential:
            name = f"log(tangential/radial) over {row.base}, {row.form}"
            numbers[f"{name}, same"] = row.same.excess
            numbers[f"{name}, same less other"] = row.difference
        return numbers

    def claims(
        self, *, memory: str = "memory", definitions: Definitions | None = None
    ) -> tuple[Verdict, ...]:
        """Return the verdicts on claims 4a, 4b and 4c; base rates of 4c but the first are controls."""
        definitions = {**(definitions or {}), "weighting": self.weighting}
        of_stay = {
            **definitions,
            "stay-put share": self.all.stay.estimate,
            "bits": self.all.information.bits.estimate,
        }
        raw = "RMS displacement, same less other class, all matches"
        of_spread = (
            own_finding("4b spread", self.spread.adjusted),
            own_finding("4b spread", self.spread.raw, name=raw),
        )
        tangential, *others = (
            Verdict(id="4c tangential", memory=memory, findings=row.findings(), definitions=definitions)
            for row in self.tangential
        )
        for row, other in zip(self.tangential[1:], others, strict=True):
            tangential = tangential.under(f"{row.base} base rate, {row.form} form", other)
        return (
            one_finding("4a stay", self.all.stay_excess, memory, of_stay),
            Verdict(id="4b spread", memory=memory, findings=of_spread, definitions=definitions),
            tangential,
        )

    def tables(self) -> dict[str, list[Row]]:
        """Return nothing: the density has four dimensions."""
        return {}


@takes(Matches)
def measure(
    matches: Matches,
    *,
    seed: int,
    weighting: str = "count",
    center: tuple[float, float] | None = None,
    n_permutations: int = 200,
    n_bins: int = 10,
) -> Conditional:
    """Measure where matches land, given the query cell.

    Parameters
    ----------
    matches : Matches
        From any classification; without labels only `all` is measured.
    seed : int
        Of the permutations behind the mutual information.
    weighting : {"count", "kernel"}
        Whether matches count the same or by kernel weight, Eq. (3).
    center : (float, float), optional
        (y, x) of another center than the middle of the grid, for radial and tangential parts.
    n_permutations : int
        Random permutations of query cells within images.
    n_bins : int
        Bins of match quality; 10 are deciles of the distance.

    Returns
    -------
    Conditional
        Intervals are pigeonhole intervals, dyadic ones in leave-one-out (`WeightedMatches.interval`).

    Raises
    ------
    InputError, ShapeError
        A 1x1 grid; queries and memory of different grids; an unknown weighting.
    """
    require_choice("weighting", weighting, WEIGHTINGS)
    require_grid(matches.grid, "conditional")
    if matches.grid != matches.query_grid:
        raise ShapeError(
            f"queries have a {matches.query_grid.height}x{matches.query_grid.width} grid, the memory "
            f"{matches.grid.height}x{matches.grid.width}; ask images prepared as the memory's were"
        )
    labeled = labeled_matches(matches)
    same = labeled & matches.same_class
    other = labeled & ~same
    everything = np.ones(len(matches), bool)
    table = weighted_matches(matches, weighting=weighting)
    bits = permuted_information(
        matches.query_image, matches.query_cell, matches.match_cell, np.select([same, other], [0, 1], 2),
        shape=(3, matches.grid.n_cells, matches.grid.n_cells), weight=table.weight,
        seed=seed, n_permutations=n_permutations,
    )  # fmt: skip
    of_same, of_other = given_query(table, same, bits[:, 0]), given_query(table, other, bits[:, 1])
    squared = table.at_cells(squared_distances(matches.grid))
    return Conditional(
        grid=matches.grid,
        classes=matches.classes,
        weighting=weighting,
        n_unlabeled=int((~labeled).sum()),
        all=given_query(table, everything, bits[:, -1]),
        same=of_same,
        other=of_other,
        stay=contrast(table, squared == 0, same, other, n_bins=n_bins),
        spread=contrast(table, squared, same, other, n_bins=n_bins, root=True),
        information=_more_information(table, same, other, of_same, of_other),
        tangential=tangential_rows(table, everything, same, other, center=center),
    )


def _more_information(
    table: WeightedMatches, same: np.ndarray, other: np.ndarray, of_same: GivenQuery, of_other: GivenQuery
) -> Interval:
    """Corrected information of same class less that of other class, where both can be told."""
    difference = of_same.information.bits.estimate - of_other.information.bits.estimate
    if of_same.information.undecided or of_other.information.undecided:
        return Interval(difference, np.nan, np.nan, np.nan, 0)
    influence = information_influence(table, same) - information_influence(table, other)
    return table.interval(difference, influence, same | other)
