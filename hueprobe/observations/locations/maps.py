"""Observation 3: locations of same-class and other-class matches in the image plane.

Every memory image has each cell once. So the base rate of a random memory vector is uniform over cells, apart
from zero vectors. p(x, y) of same-class and of other-class matches is compared with this base rate, cell by
cell and by distance from the center. One number summarizes it::

    rho = E[r^2] / E_base[r^2]

It is below 1 for matches nearer to the center than chance, and above 1 for matches near the border. Whether
classes have their own positions is tested in `.replicate_test`, not here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import takes
from hueprobe.errors import require_choice
from hueprobe.grid import Grid
from hueprobe.matches import Matches
from hueprobe.observations.locations.base import base_density, normalized
from hueprobe.observations.locations.of_images import ImageLocations, image_locations
from hueprobe.observations.locations.positions import WEIGHTINGS, ClassPositions, class_positions
from hueprobe.observations.locations.replicate_test import (
    COMPONENTS,
    BlockedTest,
    ComponentTest,
    blocked_replicate_test,
)
from hueprobe.observations.table import Row
from hueprobe.observations.units.match_units import (
    MatchUnits,
    influence_interval,
    match_units,
    ratio_interval,
)
from hueprobe.observations.units.radial import RadialProfile, require_grid, rings
from hueprobe.observations.units.tables import map_rows
from hueprobe.observations.verdicts.evidence import Definitions, one_finding
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.intervals import Interval, ratio_influence

_SHOWN_CLASSES = 4


@dataclass(frozen=True)
class Locations:
    """Result of `measure`. Densities sum to 1 over the grid, and are NaN where nothing matched.

    Attributes
    ----------
    grid : Grid
        Grid of the memory.
    classes : tuple of str
        Class names, M of them.
    weighting : str
        `count` or `kernel`.
    n_same, n_other, n_unlabeled : int
        Number of same-class and other-class matches, and of those left out. These are matches where the query
        or the memory image has no class, or where the memory has no image of the query's class.
    base : ndarray of shape (H, W)
        Density of a random memory vector.
    all, same, other : ndarray of shape (H, W)
        Density of all matches, of same-class matches, of other-class matches.
    class_same, class_other : ndarray of shape (M, H, W)
        Densities of same-class and other-class matches by the query's class.
    same_share : Interval
        Share of same-class matches among labeled ones.
    same_share_by_match_cell, same_share_by_query_cell : ndarray of shape (H, W)
        The same share by matched cell, and by query cell (the query grid's shape).
    profile_same, profile_other : RadialProfile
        Density over base by distance from the center.
    rho_same, rho_other : Interval
        E[r^2] / E_base[r^2]; 1 is chance.
    rho_difference : Interval
        rho_same - rho_other; 0 where both have the same E[r^2].
    positions : ClassPositions
        Position of each class.
    blocked : BlockedTest or None
        Whether classes have their own positions; None if no blocks were searched for the test.
    images : ImageLocations
        Matches of single images: the first 5 of each of the first 4 classes.

    See Also
    --------
    hueprobe.observations.locations.measure : Measure it.

    Examples
    --------
    >>> found = hp.observations.locations.measure(matches)
    >>> found.rho_difference.estimate == found.rho_same.estimate - found.rho_other.estimate
    True
    """

    grid: Grid
    classes: tuple[str, ...]
    weighting: str
    n_same: int
    n_other: int
    n_unlabeled: int
    base: np.ndarray
    all: np.ndarray
    same: np.ndarray
    other: np.ndarray
    class_same: np.ndarray
    class_other: np.ndarray
    same_share: Interval
    same_share_by_match_cell: np.ndarray
    same_share_by_query_cell: np.ndarray
    profile_same: RadialProfile
    profile_other: RadialProfile
    rho_same: Interval
    rho_other: Interval
    rho_difference: Interval
    positions: ClassPositions
    images: ImageLocations
    blocked: BlockedTest | None = None

    def numbers(self) -> dict[str, Interval]:
        """Return rho, the share of same-class matches, and the effects of the blocked test in cells.

        Returns
        -------
        dict of str to Interval
            Numbers by name.

        Examples
        --------
        >>> list(hp.observations.locations.measure(matches).numbers())
        ['rho same class', 'rho other class', 'share of same-class matches']
        """
        numbers = {
            "rho same class": self.rho_same,
            "rho other class": self.rho_other,
            "share of same-class matches": self.same_share,
        }
        if self.blocked is not None:
            for name in COMPONENTS:
                part: ComponentTest = getattr(self.blocked, name)
                numbers[f"class positions, {name}, cells"] = part.effect
        return numbers

    def claims(
        self, *, memory: str = "memory", definitions: Definitions | None = None
    ) -> tuple[Verdict, ...]:
        """Return the verdicts on claims 3a and 3c, and on 3b if blocks were searched.

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
        >>> found = hp.observations.locations.measure(matches)
        >>> [verdict.id for verdict in found.claims()]
        ['3a centre', '3c border']
        """
        definitions = {**(definitions or {}), "weighting": self.weighting}
        verdicts = [one_finding("3a centre", self.rho_same, memory, definitions)]
        if self.blocked is not None:
            verdicts.append(self.blocked.claim(memory=memory, definitions=definitions))
        return (*verdicts, one_finding("3c border", self.rho_other, memory, definitions))

    def tables(self) -> dict[str, list[Row]]:
        """Return the maps, and each class's position, with intervals, p-values and the resultant length R.

        Returns
        -------
        dict of str to list of dict
            Rows of `class_positions` and of `maps`.

        Examples
        --------
        >>> tables = hp.observations.locations.measure(matches).tables()
        >>> [row["class"] for row in tables["class_positions"]]
        ['circle', 'square', 'triangle']
        """
        maps = {
            "p(x, y) same class": self.same,
            "p(x, y) other class": self.other,
            "share of same class by match cell": self.same_share_by_match_cell,
            "share of same class by query cell": self.same_share_by_query_cell,
        }
        p: dict[str, float] = {}
        if self.blocked is not None:
            p = dict(zip(self.blocked.classes, self.blocked.class_p_adjusted.tolist(), strict=True))
        found = self.positions
        positions: list[Row] = [
            {
                "class": name,
                "u": u.estimate, "u low": u.low, "u high": u.high,
                "v": v.estimate, "v low": v.low, "v high": v.high,
                "p (minP)": p.get(name, ""),
                "distance": d.estimate, "distance low": d.low, "distance high": d.high,
                "p (distance)": "" if d.p_value is None else d.p_value,
                "R": r, "R by chance": chance,
            }
            for name, u, v, d, r, chance in zip(
                found.classes, found.u, found.v, found.distance, found.resultant.tolist(),
                found.resultant_by_chance.tolist(), strict=True,
            )
        ]  # fmt: skip
        return {"class_positions": positions, "maps": map_rows(maps)}


@takes(Matches)
def measure(
    matches: Matches,
    *,
    weighting: str = "count",
    valid: np.ndarray | None = None,
    center: tuple[float, float] | None = None,
    blocks: Sequence[Matches] | None = None,
    seed: int = 0,
) -> Locations:
    """Measure the locations of same-class and other-class matches.

    Parameters
    ----------
    matches : Matches
        Matches of any classification; without labels only `all` is measured.
    weighting : {"count", "kernel"}, default="count"
        Whether matches have equal weight or their kernel weights, Eq. (3).
    valid : ndarray of bool, shape (n_images * H * W,), optional
        Memory vectors that can be matched (`memory.valid()`); all by default.
    center : (float, float), optional
        Center (y, x) in cells for distances and angles; by default the middle of the grid.
    blocks : sequence of Matches, optional
        Matches of blocks of images, each searched within itself (`search_blocks`), for the blocked replicate
        test of class positions. Claim 3b needs it; by default the test is not run.
    seed : int, default=0
        Seed of the permutations of that test.

    Returns
    -------
    Locations
        Intervals are pigeonhole intervals (`hueprobe.observations.units`).

    Raises
    ------
    InputError, ShapeError
        A 1x1 grid; an unknown weighting; a mask of another length.

    See Also
    --------
    hueprobe.observations.conditional.measure : Locations of matches, given the query cell.
    hueprobe.plots.figures : Figures of the result.

    Examples
    --------
    >>> found = hp.observations.locations.measure(matches, valid=memory.valid())
    >>> found.n_same + found.n_other == len(matches), found.same.shape == memory.grid.shape
    (True, True)
    >>> round(float(found.same.sum()), 6), list(found.numbers())
    (1.0, ['rho same class', 'rho other class', 'share of same-class matches'])
    """
    require_choice("weighting", weighting, WEIGHTINGS)
    require_grid(matches.grid, "locations")
    grid, n_classes = matches.grid, len(matches.classes)
    base = base_density(valid, len(matches.image_paths), grid)
    weight = matches.weight if weighting == "kernel" else np.ones(len(matches))
    labeled = labeled_matches(matches)
    same = labeled & matches.same_class
    other = labeled & ~same
    units = match_units(matches)

    squared = grid.radius(matches.y, matches.x, center=center) ** 2
    squared = squared / (grid.radius(*grid.rows_and_columns(), center=center) ** 2 * base).sum()
    _, psi_same = ratio_influence(weight * squared * same, weight * same)
    _, psi_other = ratio_influence(weight * squared * other, weight * other)
    rho_same = ratio_interval(weight * squared * same, weight * same, units)
    rho_other = ratio_interval(weight * squared * other, weight * other, units)

    def by_class(chosen: np.ndarray) -> np.ndarray:
        cells = matches.query_class[chosen] * grid.n_cells + matches.match_cell[chosen]
        counts = np.bincount(cells, weight[chosen], n_classes * grid.n_cells)
        return normalized(counts.reshape(n_classes, *grid.shape))

    def density(chosen: np.ndarray) -> np.ndarray:
        counts = np.bincount(matches.match_cell[chosen], weight[chosen], grid.n_cells)
        return normalized(counts.reshape(grid.shape))

    return Locations(
        grid=grid,
        classes=matches.classes,
        weighting=weighting,
        n_same=int(same.sum()),
        n_other=int(other.sum()),
        n_unlabeled=int((~labeled).sum()),
        base=base,
        all=density(np.ones(len(matches), bool)),
        same=density(same),
        other=density(other),
        class_same=by_class(same),
        class_other=by_class(other),
        same_share=ratio_interval(weight * same, weight * labeled, units),
        same_share_by_match_cell=_share(matches.match_cell, weight, same, labeled, grid),
        same_share_by_query_cell=_share(matches.query_cell, weight, same, labeled, matches.query_grid),
        profile_same=_profile(matches, weight * same, units, base, center),
        profile_other=_profile(matches, weight * other, units, base, center),
        rho_same=rho_same,
        rho_other=rho_other,
        rho_difference=influence_interval(
            rho_same.estimate - rho_other.estimate,
            (psi_same - psi_other)[labeled],
            units.select(labeled),
        ),
        positions=class_positions(matches, weighting=weighting, center=center),
        images=image_locations(
            matches, matches.classes[:_SHOWN_CLASSES], valid=valid, weighting=weighting, center=center
        ),
        blocked=None if blocks is None else blocked_replicate_test(blocks, seed=seed, weighting=weighting),
    )


def labeled_matches(matches: Matches) -> np.ndarray:
    """Return which matches can be classified as same-class or other-class."""
    present = np.unique(matches.image_class[matches.image_class >= 0])
    return np.isin(matches.query_class, present) & (matches.match_class >= 0)


def _share(
    cell: np.ndarray, weight: np.ndarray, same: np.ndarray, labeled: np.ndarray, grid: Grid
) -> np.ndarray:
    part = np.bincount(cell, weight * same, grid.n_cells)
    whole = np.bincount(cell, weight * labeled, grid.n_cells)
    share = np.divide(part, whole, out=np.full(grid.n_cells, np.nan), where=whole > 0)
    shares: np.ndarray = share.reshape(grid.shape)
    return shares


def _profile(
    matches: Matches,
    weight: np.ndarray,
    units: MatchUnits,
    base: np.ndarray,
    center: tuple[float, float] | None,
) -> RadialProfile:
    radius, ring = rings(matches.grid, center=center)
    expected = np.bincount(ring.ravel(), base.ravel())
    there = weight > 0
    weight, units, in_ring = weight[there], units.select(there), ring.ravel()[matches.match_cell[there]]
    parts = [
        ratio_interval(weight * (in_ring == number) / expected[number], weight, units)
        for number in range(len(radius))
    ]
    return RadialProfile.of(radius, ring, parts)
