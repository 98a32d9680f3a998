"""Observation 4: locations of matches, given the query cell: p(x, y | x_i).

Three claims depend on it. Matches *stay*: more of them lie in the query's own cell than if the two cells were
independent. Same-class matches *spread* less than other-class ones; this is also compared at equal match
quality (`.stratified`). And the spread is *tangential* rather than radial
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
from hueprobe.observations.locations.base import base_density
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
    """Result of `measure`.

    Attributes
    ----------
    grid : Grid
        Grid of both queries and memory.
    classes : tuple of str
        Class names.
    weighting : str
        `count` or `kernel`.
    n_unlabeled : int
        Number of matches that are only in `all`, since one side has no class.
    base : ndarray of shape (H, W)
        Density of a random memory vector.
    all, same, other : GivenQuery
        Locations of all matches, of same-class ones, and of other-class ones.
    stay : Contrast
        Stay-put share, same class minus other class.
    spread : Contrast
        Root mean square displacement in cells, same class minus other class.
    information : Interval
        Corrected mutual information of same-class matches minus that of other-class matches, in bits.
    tangential : tuple of TangentialRow
        Excess of tangential spread, one row per base rate and form; the first is gravity in polar form.

    See Also
    --------
    hueprobe.observations.conditional.measure : Measure it.

    Examples
    --------
    >>> found = hp.observations.conditional.measure(matches, seed=0, n_permutations=20)
    >>> found.stay.raw.estimate == found.same.stay.estimate - found.other.stay.estimate
    True
    >>> found.tangential[0].base, found.tangential[0].form
    ('gravity', 'polar')
    """

    grid: Grid
    classes: tuple[str, ...]
    weighting: str
    n_unlabeled: int
    base: np.ndarray
    all: GivenQuery
    same: GivenQuery
    other: GivenQuery
    stay: Contrast
    spread: Contrast
    information: Interval
    tangential: tuple[TangentialRow, ...]

    def numbers(self) -> dict[str, Interval]:
        """Return bits, stay-put shares, their contrasts, and the excess of tangential spread by base rate.

        Returns
        -------
        dict of str to Interval
            Numbers by name.

        Examples
        --------
        >>> found = hp.observations.conditional.measure(matches, seed=0, n_permutations=20)
        >>> list(found.numbers())[:2]
        ['bits, all', 'stay-put share, all']
        """
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
        """Return the verdicts on claims 4a, 4b and 4c; base rates of 4c other than the first are controls.

        Parameters
        ----------
        memory : str, default="memory"
            Name of the memory, for the verdicts.
        definitions : mapping of str to Any, optional
            How the result was measured, to be recorded with the verdicts.

        Returns
        -------
        tuple of Verdict
            One verdict per claim.

        Examples
        --------
        >>> found = hp.observations.conditional.measure(matches, seed=0, n_permutations=20)
        >>> *_, tangential = found.claims(memory="shapes")
        >>> tangential.id, list(tangential.controls)[0]
        ('4c tangential', 'gravity base rate, projected form')
        """
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
        """Return no tables: the density has four dimensions."""
        return {}


@takes(Matches)
def measure(
    matches: Matches,
    *,
    seed: int,
    weighting: str = "count",
    valid: np.ndarray | None = None,
    center: tuple[float, float] | None = None,
    n_permutations: int = 200,
    n_bins: int = 20,
) -> Conditional:
    """Measure the locations of matches, given the query cell.

    The mutual information of query cell and match cell is corrected by shuffling [1]_.

    Parameters
    ----------
    matches : Matches
        Matches of any classification; without labels only `all` is measured.
    seed : int
        Seed of the permutations for the mutual information.
    weighting : {"count", "kernel"}, default="count"
        Whether matches have equal weight or their kernel weights, Eq. (3).
    valid : ndarray of bool, shape (n_images * H * W,), optional
        Memory vectors that can be matched (`memory.valid()`), for `base`; all by default.
    center : (float, float), optional
        Center (y, x) in cells for radial and tangential parts; by default the middle of the grid.
    n_permutations : int, default=200
        Number of random permutations of query cells within images.
    n_bins : int, default=20
        Number of bins of match quality; 10 are deciles of the distance.

    Returns
    -------
    Conditional
        Intervals are pigeonhole intervals, or dyadic ones in leave-one-out (`WeightedMatches.interval`).

    Raises
    ------
    InputError, ShapeError
        A 1x1 grid; queries and memory of different grids; an unknown weighting; a mask of another length.

    See Also
    --------
    hueprobe.observations.locations.measure : Locations of matches, whatever the query cell.
    hueprobe.observations.conditional.content_or_position : Whether locations follow content or position.
    hueprobe.stats.mutual_information : The uncorrected information.

    References
    ----------
    .. [1] S. Panzeri, R. Senatore, M. A. Montemurro and R. S. Petersen, "Correcting for the sampling bias
       problem in spike train information measures", Journal of Neurophysiology 98, 1064-1072, 2007.

    Examples
    --------
    >>> found = hp.observations.conditional.measure(matches, seed=0, n_permutations=20)
    >>> found.all.density.shape == (*memory.grid.shape, *memory.grid.shape)
    True
    >>> found.same.n + found.other.n == found.all.n, found.all.stay.estimate > found.all.stay_by_chance
    (True, True)
    >>> [verdict.id for verdict in found.claims()]
    ['4a stay', '4b spread', '4c tangential']
    """
    require_choice("weighting", weighting, WEIGHTINGS)
    require_grid(matches.grid, "conditional")
    if matches.grid != matches.query_grid:
        raise ShapeError(
            f"queries have a {matches.query_grid.height}x{matches.query_grid.width} grid, the memory "
            f"{matches.grid.height}x{matches.grid.width}; prepare queries like the memory's images"
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
        base=base_density(valid, len(matches.image_paths), matches.grid),
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
    """Return the corrected information of same class minus that of other class, if both can be estimated."""
    difference = of_same.information.bits.estimate - of_other.information.bits.estimate
    if of_same.information.undecided or of_other.information.undecided:
        return Interval(difference, np.nan, np.nan, np.nan, 0)
    influence = information_influence(table, same) - information_influence(table, other)
    return table.interval(difference, influence, same | other)
