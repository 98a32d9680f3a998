"""Observation 5: whether the uniform axis is uninformative about class, and the angle informative.

*Axis.* Query vectors are sorted by their distance from the axis (the sine of the angle to it), and the share
of same-class matches is computed by decile. An uninformative axis has the fewest in the nearest decile.
*Angle.* `hue_accuracy` measures how accurately the angle alone predicts the class, against random planes
within the span of the class means. Permuted labels would not do as a null, nor would planes of all
dimensions: any plane that holds variance beats them.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hueprobe.arguments import as_array, takes
from hueprobe.errors import HueprobeWarning, InputError, ShapeError
from hueprobe.matches import Matches
from hueprobe.observations.hue.accuracy import HueAccuracy, hue_accuracy
from hueprobe.observations.hue.planes import (
    Blocks,
    HueMap,
    Plane,
    choose_axis,
    fit_plane,
    hue_map,
    pool,
    uniform_axis,
)
from hueprobe.observations.hue.relations import AngleRelation, angle_relation, class_angle_relation
from hueprobe.observations.locations.maps import labeled_matches
from hueprobe.observations.locations.positions import class_positions
from hueprobe.observations.table import Row
from hueprobe.observations.units.match_units import influence_interval, match_units, ratio_interval
from hueprobe.observations.units.radial import require_grid
from hueprobe.observations.verdicts.evidence import Definitions, own_finding
from hueprobe.observations.verdicts.findings import finding
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.circular import mean_direction, resultant_length
from hueprobe.stats.intervals import Interval, ratio_influence

AXIS_MARGIN = 0.02  # margin of the share of same-class matches, in claim 5


@dataclass(frozen=True)
class AxisInformation:
    """Share of same-class matches by the query vector's distance from the axis.

    Attributes
    ----------
    distance : ndarray of shape (n_bins,)
        Mean distance from the axis (sine of the angle) in each bin, ascending; bins have equally many query
        vectors.
    rate : tuple of Interval
        Share of same-class matches in each bin.
    far_minus_near : Interval
        Rate of the farthest bin minus that of the nearest: above 0 where the axis is uninformative.
    far_minus_near_within_cell : Interval
        The same with bins formed within each cell, since cells at the border lie elsewhere and match worse.
    """

    distance: np.ndarray
    rate: tuple[Interval, ...]
    far_minus_near: Interval
    far_minus_near_within_cell: Interval


@dataclass(frozen=True)
class Hue:
    """Result of `measure`.

    Attributes
    ----------
    classes : tuple of str
        Class names, M of them.
    axis : str
        `uniform`, `mean` or `given`.
    cosine_of_axes : float
        Cosine between the uniform axis and the mean activation.
    signed : bool
        Whether any activation is negative; the uniform axis is then not the middle of the space.
    map : HueMap
        Hue and saturation of every cell of the memory.
    accuracy : HueAccuracy
        Accuracy of predicting the class from the angle.
    information : AxisInformation
        Share of same-class matches by distance from the axis.
    class_hue, class_concentration : ndarray of shape (M,)
        Mean direction in radians and resultant length of the hues of each class's cells.
    relation : AngleRelation
        Relation of a cell's angle in the image plane and its hue.
    class_relation : AngleRelation
        Relation of the direction of a class's matches in the image plane and its hue.

    See Also
    --------
    hueprobe.observations.hue.measure : Measure it.

    Examples
    --------
    >>> found = hp.observations.hue.measure(
    ...     matches, memory.blocks, memory.energy(), seed=0, n_random=20, n_permutations=99
    ... )
    >>> found.axis, found.signed, found.class_hue.shape
    ('uniform', False, (3,))
    """

    classes: tuple[str, ...]
    axis: str
    cosine_of_axes: float
    signed: bool
    map: HueMap
    accuracy: HueAccuracy
    information: AxisInformation
    class_hue: np.ndarray
    class_concentration: np.ndarray
    relation: AngleRelation
    class_relation: AngleRelation

    def numbers(self) -> dict[str, Interval]:
        """Return the accuracy of each plane's angle, its references, and far minus near the axis.

        Returns
        -------
        dict of str to Interval
            Numbers by name.

        Examples
        --------
        >>> found = hp.observations.hue.measure(
        ...     matches, memory.blocks, memory.energy(), seed=0, n_random=20, n_permutations=99
        ... )
        >>> list(found.numbers())[0]
        'angle-only accuracy, pca'
        """
        numbers: dict[str, Interval] = {}
        for plane in self.accuracy.planes:
            numbers[f"angle-only accuracy, {plane.name}"] = replace(plane.angle, p_value=plane.p)
            numbers[f"angle-only accuracy, {plane.name}, above random planes"] = replace(
                plane.advantage, p_value=plane.p
            )
            numbers[f"angle-only accuracy, {plane.name}, above planes of the class means"] = replace(
                plane.advantage_within, p_value=plane.p_within
            )
            numbers[f"angle-only accuracy, {plane.name}, beyond 95 % of planes of the class means"] = (
                plane.beyond_within
            )
            numbers[f"both coordinates, {plane.name}"] = plane.both
        numbers["one direction of the class means"] = self.accuracy.line
        numbers["saturation alone"] = self.accuracy.saturation
        numbers["full direction"] = self.accuracy.direction
        numbers["same-class share, far less near the axis"] = self.information.far_minus_near
        return numbers

    def claims(
        self, *, memory: str = "memory", definitions: Definitions | None = None
    ) -> tuple[Verdict, ...]:
        """Return the verdict on claim 5, from the first plane.

        Parameters
        ----------
        memory : str, default="memory"
            Name of the memory, for the verdict.
        definitions : mapping of str to Any, optional
            How the result was measured, to be recorded with the verdict.

        Returns
        -------
        tuple of Verdict
            One verdict.

        Examples
        --------
        >>> found = hp.observations.hue.measure(
        ...     matches, memory.blocks, memory.energy(), seed=0, n_random=20, n_permutations=99
        ... )
        >>> (verdict,) = found.claims(memory="shapes")
        >>> verdict.definitions["plane"], list(verdict.controls)
        ('pca', ['within each cell'])
        """
        plane, information = self.accuracy.planes[0], self.information
        reason = None
        if not len(self.accuracy.within):
            reason = "the means of fewer than four classes span no other plane to compare with"
        beyond = plane.beyond_within
        angle = finding("5 hue", beyond, beyond.p(0.0), self.accuracy.n_images, undecided=reason)
        settings = {**(definitions or {}), "plane": plane.name, "axis": self.axis, "signed": self.signed}

        def judged(axis: Interval) -> Verdict:
            name = "share of same-class matches, decile farthest from the axis less the nearest"
            parts = (angle, own_finding("5 hue", axis, name=name, margin=AXIS_MARGIN))
            return Verdict(id="5 hue", memory=memory, findings=parts, definitions=settings)

        within_cell = judged(information.far_minus_near_within_cell)
        return (judged(information.far_minus_near).under("within each cell", within_cell),)

    def tables(self) -> dict[str, list[Row]]:
        """Return no further tables."""
        return {}


@takes(Matches)
def measure(
    matches: Matches,
    blocks: Callable[[], Blocks],
    energy: np.ndarray,
    *,
    seed: int,
    plane: str | Plane = "pca",
    controls: Sequence[str | Plane] = ("lda", "dft", "unlabeled"),
    axis: str | np.ndarray = "uniform",
    query_blocks: Callable[[], Blocks] | None = None,
    n_random: int = 200,
    n_permutations: int = 9999,
) -> Hue:
    """Measure what the axis and the angle orthogonal to it tell about the class.

    Parameters
    ----------
    matches : Matches
        Matches of the memory's own images (leave-one-out), or of other images together with `query_blocks`.
    blocks : callable
        Function that returns the memory's unit vectors from the start, block by block (`memory.blocks`).
    energy : ndarray of shape (n_images, H, W)
        Energy of the memory's vectors (`memory.energy()`).
    seed : int
        Seed of splits, random planes and permutations.
    plane : str or Plane, default="pca"
        Plane in which hue is measured. A named plane is fitted to all images for the map, and out of sample
        for accuracy.
    controls : sequence of (str or Plane), default=("lda", "dft", "unlabeled")
        Further planes whose accuracy is measured.
    axis : {"uniform", "mean"} or ndarray of shape (C,), default="uniform"
        The axis; `mean` is the mean of the memory's vectors.
    query_blocks : callable, optional
        The query images' unit vectors, block by block; by default the queries are the memory's own images.
    n_random : int, default=200
        Number of random planes of each null.
    n_permutations : int, default=9999
        Number of random draws of each permutation test.

    Returns
    -------
    Hue
        Hue map, accuracy of planes, and relations.

    Raises
    ------
    InputError, ShapeError
        A 1x1 grid; fewer than three channels; too few classes with two images; energy of another shape.

    Warns
    -----
    HueprobeWarning
        Activations are signed.

    See Also
    --------
    hueprobe.observations.hue.angle_relation : Relation of hue and image-plane angle.
    hueprobe.plots.figures : Figures of the result.

    Examples
    --------
    >>> found = hp.observations.hue.measure(
    ...     matches, memory.blocks, memory.energy(), seed=0, n_random=20, n_permutations=99
    ... )
    >>> found.map.hue.shape == (12, *memory.grid.shape), [plane.name for plane in found.accuracy.planes]
    (True, ['pca', 'lda', 'dft', 'unlabeled'])
    >>> [verdict.id for verdict in found.claims()]
    ['5 hue']
    """
    require_grid(matches.grid, "hue")
    if not callable(blocks):
        raise InputError(f"blocks is a {type(blocks).__name__}; give a function, such as `memory.blocks`")
    energy = as_array("energy", energy)
    grid, n_images = matches.grid, len(matches.image_paths)
    if np.shape(energy) != (n_images, *grid.shape):
        raise ShapeError(f"energy has shape {np.shape(energy)}; the memory needs {(n_images, *grid.shape)}")
    pooled = pool(blocks(), energy)
    axis_name, axis_vector = choose_axis(axis, pooled.mean)
    labels = np.where(np.linalg.norm(pooled.vectors, axis=1) > 0, matches.image_class, -1)
    names = [plane, *(other for other in controls if isinstance(other, Plane) or other != plane)]
    accuracy = hue_accuracy(
        pooled.vectors,
        labels,
        seed=seed,
        planes=names,
        axis=axis_vector,
        n_random=n_random,
        groups=matches.image_group,
    )
    fitted = plane
    if isinstance(fitted, str):
        known = labels >= 0
        fitted = fit_plane(fitted, pooled.vectors[known], labels[known], axis_vector)
    found = hue_map(blocks(), fitted, n_images=n_images, grid=grid)
    if found.signed:
        warnings.warn(
            "activations are signed (this layer does not end in a ReLU), so vectors near the uniform axis "
            "need not be the uninformative ones; compare axis='mean'",
            HueprobeWarning,
            stacklevel=2,
        )
    distance = found.saturation
    if query_blocks is not None:
        distance = hue_map(
            query_blocks(), fitted, n_images=len(matches.query_paths), grid=matches.query_grid
        ).saturation
    of_class = [found.hue[matches.image_class == c] for c in range(len(matches.classes))]
    class_hue = np.array([mean_direction(hues) for hues in of_class])
    return Hue(
        classes=matches.classes,
        axis=axis_name,
        cosine_of_axes=float(uniform_axis(len(pooled.mean)) @ choose_axis("mean", pooled.mean)[1]),
        signed=found.signed,
        map=found,
        accuracy=accuracy,
        information=axis_information(matches, distance),
        class_hue=class_hue,
        class_concentration=np.array([resultant_length(hues) for hues in of_class]),
        relation=angle_relation(
            found.hue, grid, seed=seed, groups=matches.image_group, n_permutations=n_permutations
        ),
        class_relation=class_angle_relation(
            class_positions(matches).direction, class_hue, seed=seed, n_permutations=n_permutations
        ),
    )


def axis_information(matches: Matches, distance: np.ndarray, *, n_bins: int = 10) -> AxisInformation:
    """Return the share of same-class matches by the query vector's distance from the axis.

    Parameters
    ----------
    matches : Matches
        Matches; those without a class on either side are ignored.
    distance : ndarray of shape (n_query_images, H, W)
        Distance of each query vector from the axis (`HueMap.saturation` of the query images).
    n_bins : int, default=10
        Number of bins of equally many query vectors, at least 2.
    """
    shape = (len(matches.query_paths), *matches.query_grid.shape)
    if distance.shape != shape:
        raise ShapeError(
            f"distances from the axis have shape {distance.shape}; the query images need {shape}"
        )
    if n_bins < 2:
        raise InputError(f"n_bins is {n_bins}; at least 2 are needed to compare near and far")
    part = matches.select(labeled_matches(matches))
    units, same = match_units(part), part.same_class
    vector = part.query_image * part.query_grid.n_cells + part.query_cell
    queries = np.unique(vector)
    far = distance.ravel()[queries]
    bins = np.full(distance.size, -1)
    bins[queries] = _quantile_bins(far, np.zeros(len(queries), np.int64), n_bins)
    of_match = bins[vector]
    bins[queries] = _quantile_bins(far, queries % part.query_grid.n_cells, n_bins)
    within_cell = bins[vector]

    def far_minus_near(of_match: np.ndarray) -> Interval:
        ends = [of_match == n_bins - 1, of_match == 0]
        (high, psi_high), (low, psi_low) = (ratio_influence(same & end, end) for end in ends)
        taken = ends[0] | ends[1]
        return influence_interval(high - low, (psi_high - psi_low)[taken], units.select(taken))

    number = _quantile_bins(far, np.zeros(len(queries), np.int64), n_bins)
    count = np.bincount(number, minlength=n_bins)
    total = np.bincount(number, far, n_bins)
    return AxisInformation(
        distance=np.divide(total, count, out=np.full(n_bins, np.nan), where=count > 0),
        rate=tuple(ratio_interval(same & (of_match == b), of_match == b, units) for b in range(n_bins)),
        far_minus_near=far_minus_near(of_match),
        far_minus_near_within_cell=far_minus_near(within_cell),
    )


def _quantile_bins(values: np.ndarray, strata: np.ndarray, n_bins: int) -> np.ndarray:
    """Return the bin of each value by its rank among the values of its stratum, (n,), 0 to n_bins - 1."""
    order = np.lexsort((values, strata))
    size = np.bincount(strata)
    start = np.cumsum(size) - size
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(values)) - np.repeat(start, size)
    bins: np.ndarray = rank * n_bins // np.maximum(size[strata], 1)
    return bins
