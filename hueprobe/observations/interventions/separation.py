"""Class positions split into what is locked to the content and what is locked to the network."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import atan2, pi

import numpy as np
from scipy import stats

from hueprobe.observations.interventions.averaged import (
    UNKNOWN,
    Deals,
    Nulls,
    deals_of,
    detectable_effect,
    effect_interval,
    image_spread,
    permutation_nulls,
    projected,
    squared_effects,
)
from hueprobe.observations.interventions.image_positions import ImagePositions
from hueprobe.observations.interventions.symmetries import decompose, separable
from hueprobe.stats.intervals import CONFIDENCE, Interval, normal_interval
from hueprobe.stats.multiplicity import holm

PARTS = ("as_is", "content", "network")


@dataclass(frozen=True)
class Part:
    """Class positions of one kind: as they are, locked to the content, or locked to the network.

    Attributes
    ----------
    effect : Interval
        Distance between classes in the plane, in cells: signed root of T per pair of blocks and class. The
        p-value is that of the permutation test, one-sided.
    u, v : Interval
        The same of one coordinate; NaN where the flips do not separate it.
    vectors : ndarray of shape (M, 2)
        (u, v) of each class less the mean over classes, in cells.
    low, high : ndarray of shape (M, 2)
        95 % interval of each coordinate; as wide as that of a single deal, so too wide where deals differ.
    class_p : ndarray of shape (M,)
        p-value of each class by Student's t, the smaller of both coordinates, corrected for testing all
        coordinates of all classes (Holm).
    """

    effect: Interval
    u: Interval
    v: Interval
    vectors: np.ndarray
    low: np.ndarray
    high: np.ndarray
    class_p: np.ndarray


@dataclass(frozen=True)
class Separation:
    """Result of one estimator.

    Attributes
    ----------
    classes, left_out : tuple of str
        The M classes tested, and those without a position in every block.
    n_images : int
        Number of images with a position under every flip, on average over deals.
    n_per_class : float
        Independent units (groups, otherwise images) of a class: harmonic mean over classes.
    as_is, content, network : Part
        Class positions without any flip, what flips with the images (o), and what does not (n).
    major, minor : Interval or None
        Signed roots of the eigenvalues of the content's covariance between blocks, in cells: the distance
        between classes along the axis where it is largest, and across it. None with two classes, which have
        one direction, or if the flips separate one coordinate only.
    major_angle : float
        Angle of the major axis in radians, from -pi/2 (down) to pi/2 (up); 0 points right. NaN without axes.
    network_share : Interval
        |n|^2 / (|o|^2 + |n|^2): the network's share of the squared distance between classes.
    detectable : dict of str to float
        Distance between classes that is found in 80 % of cases with these images, by part, in cells.
    image_sd : dict of str to float
        Standard deviation of a coordinate of one image, with the noise of what it matches, by part, in cells.
    undecided : str or None
        Reason why nothing can be tested; p-values are then NaN.
    """

    classes: tuple[str, ...]
    left_out: tuple[str, ...]
    n_images: int
    n_per_class: float
    as_is: Part
    content: Part
    network: Part
    major: Interval | None
    minor: Interval | None
    major_angle: float
    network_share: Interval
    detectable: dict[str, float]
    image_sd: dict[str, float]
    undecided: str | None

    def needed(self, part: str, distance: float) -> float:
        """Return the images per class that would find a distance between classes in 80 % of cases.

        Parameters
        ----------
        part : {"as_is", "content", "network"}
            The part.
        distance : float
            Distance between classes in cells.

        Returns
        -------
        float
            NaN where nothing can be tested.
        """
        return self.n_per_class * (self.detectable[part] / distance) ** 2


def separate(
    positions: ImagePositions, estimator: str, *, seed: int = 0, n_permutations: int = 10_000
) -> Separation:
    """Split the positions by one estimator, image by image, and test each part.

    Parameters
    ----------
    positions : ImagePositions
        Positions under the flips.
    estimator : str
        One of `positions.estimators`.
    seed : int, default=0
        Seed of the permutations.
    n_permutations : int, default=10000
        Number of permutations, over all deals.
    """
    found = positions.of(estimator)
    split = decompose(found, positions.flips)
    open_axes = [axis for axis in range(2) if separable(positions.flips)[axis]]
    coordinates = [found[positions.flips.index("e")]]
    coordinates += [half[..., open_axes] for half in (split.content, split.network)]
    deals = deals_of(
        np.concatenate(coordinates, axis=-1), positions.block, positions.image_class, positions.unit,
        len(positions.classes),
    )  # fmt: skip
    n_open = len(open_axes)
    columns = {
        "as_is": {0: 0, 1: 1},
        "content": {axis: 2 + i for i, axis in enumerate(open_axes)},
        "network": {axis: 2 + n_open + i for i, axis in enumerate(open_axes)},
    }
    undecided = deals.undecided(len(positions.classes))
    angle, axes = _axes(deals, columns["content"]) if n_open == 2 else (np.nan, None)
    if axes is not None:
        deals = projected(deals, axes)
    d = deals.mean.shape[-1]
    groups = [list(part.values()) for part in columns.values()] + (
        [[d - 2, d - 1]] if axes is not None else []
    )
    nulls = None
    if undecided is None:
        nulls = permutation_nulls(deals, groups, n_permutations=n_permutations, seed=seed)
    parts = {name: _part(deals, axes_of, nulls) for name, axes_of in columns.items()}
    forms = {name: _form(d, axes_of.values()) for name, axes_of in columns.items()}
    major, minor = (_effect(deals, [d - 2 + i], nulls) if axes is not None else None for i in range(2))
    names = np.array(positions.classes, object)
    n_kept = len(deals.kept)
    several = axes is not None and n_kept > 2
    return Separation(
        classes=tuple(names[deals.kept]),
        left_out=tuple(np.delete(names, deals.kept)),
        n_images=round(deals.n_images.sum() / len(deals.mean)),
        n_per_class=deals.typical_n if n_kept else np.nan,
        as_is=parts["as_is"],
        content=parts["content"],
        network=parts["network"],
        major=major if several else None,
        minor=minor if several else None,
        major_angle=angle,
        network_share=_share(deals, forms["content"], forms["network"]),
        detectable={name: detectable_effect(deals, form) for name, form in forms.items()},
        image_sd={name: image_spread(deals, form) for name, form in forms.items()},
        undecided=undecided,
    )


def content_in_cells(positions: ImagePositions, estimator: str, slopes: tuple[float, float]) -> Interval:
    """Return the content-locked distance between classes in cells of content.

    Parameters
    ----------
    positions : ImagePositions
        Positions under flips that separate both coordinates.
    estimator : str
        One of `positions.estimators`.
    slopes : (float, float)
        Cells that a position moves in u and in v for each cell of content.
    """
    content = decompose(positions.of(estimator), positions.flips).content
    deals = deals_of(
        content / slopes, positions.block, positions.image_class, positions.unit, len(positions.classes)
    )
    return effect_interval(deals, np.eye(2))


def _form(d: int, axes: Iterable[int]) -> np.ndarray:
    form = np.zeros((d, d))
    for axis in axes:
        form[axis, axis] = 1
    return form


def _effect(deals: Deals, axes: Sequence[int], nulls: Nulls | None) -> Interval:
    if not axes:
        return UNKNOWN
    p = np.nan if nulls is None else nulls.p(axes)
    return effect_interval(deals, _form(deals.mean.shape[-1], axes), p)


def _part(deals: Deals, columns: Mapping[int, int], nulls: Nulls | None) -> Part:
    """Return one part; `columns` has the column of each coordinate that the flips separate."""
    both = list(columns.values())
    n_classes = deals.mean.shape[2]
    vectors, low, high = np.full((3, n_classes, 2), np.nan)
    class_p = np.ones((n_classes, len(columns)))
    centered = deals.centered
    n_blocks = centered.shape[1]
    for number, (axis, column) in enumerate(columns.items()):
        values = centered[..., column]
        vectors[:, axis] = values.mean((0, 1))
        error = np.sqrt(values.var(1, ddof=1).mean(0) / n_blocks)
        reach = stats.t.ppf((1 + CONFIDENCE) / 2, deals.class_degrees) * error if n_classes else error
        low[:, axis], high[:, axis] = vectors[:, axis] - reach, vectors[:, axis] + reach
        with np.errstate(divide="ignore", invalid="ignore"):
            class_p[:, number] = 2 * stats.t.sf(np.abs(vectors[:, axis]) / error, deals.class_degrees)
    class_p = holm(class_p.ravel()).reshape(class_p.shape)
    u, v = (_effect(deals, [columns[axis]] if axis in columns else [], nulls) for axis in range(2))
    return Part(_effect(deals, both, nulls), u, v, vectors, low, high, class_p.min(1, initial=1.0))


def _axes(deals: Deals, columns: Mapping[int, int]) -> tuple[float, np.ndarray | None]:
    """Return the angle of the content's major axis, and major and minor axis as columns (d, 2)."""
    d, n_classes = deals.mean.shape[-1], deals.mean.shape[2]
    if n_classes < 2:
        return np.nan, None
    u, v = columns[0], columns[1]
    forms = [_form(d, [u]), _form(d, [v]), np.zeros((d, d))]
    forms[2][u, v] = forms[2][v, u] = 0.5
    (uu, vv, uv), _ = squared_effects(deals, forms)
    _, vectors = np.linalg.eigh([[uu, uv], [uv, vv]])
    major, minor = vectors[:, 1], vectors[:, 0]
    angle = atan2(major[1], major[0])
    angle = angle - pi if angle > pi / 2 else angle + pi if angle <= -pi / 2 else angle
    axes = np.zeros((d, 2))
    axes[[u, v], 0], axes[[u, v], 1] = major, minor
    return angle, axes


def _share(deals: Deals, content: np.ndarray, network: np.ndarray) -> Interval:
    """Return the network's share of the squared distance, by the delta method, within [0, 1]."""
    n_classes = deals.mean.shape[2]
    if n_classes < 2:
        return UNKNOWN
    squares, covariance = squared_effects(deals, [content, network])
    o, n = np.maximum(squares, 0)
    if o + n == 0:
        return UNKNOWN
    slope = np.array([-n, o]) / (o + n) ** 2
    error = float(np.sqrt(max(slope @ covariance @ slope, 0)))
    found = normal_interval(float(n / (o + n)), error, degrees=deals.class_degrees * (n_classes - 1))
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))
