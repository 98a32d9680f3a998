"""The response of class positions to content that was moved by a known distance, class by class.

Every image of a class is translated at the class's own angle, and what class positions do is regressed on
what was planted. The slope is what an estimator reports of each cell that the content moves. It turns a
distance between class positions into *cells of content*.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.errors import InputError
from hueprobe.observations.interventions.averaged import UNKNOWN, deals_of, effect_interval
from hueprobe.observations.interventions.image_positions import ImagePositions
from hueprobe.observations.interventions.symmetries import decompose, separable
from hueprobe.stats.intervals import Interval, normal_interval


@dataclass(frozen=True, eq=False)
class Planted:
    """Positions of images that were moved, class by class.

    Attributes
    ----------
    pixels : float
        Distance that each class was moved, in pixels that the network sees.
    displacement : ndarray of shape (M, 2)
        Displacement (u, v) of each class in cells, v upwards.
    positions : ImagePositions
        Positions of the moved images: the same images, classes, units and blocks.
    """

    pixels: float
    displacement: np.ndarray
    positions: ImagePositions


@dataclass(frozen=True)
class Dose:
    """Class positions at one dose.

    Attributes
    ----------
    pixels, cells : float
        Distance that each class was moved: in pixels, and the mean over classes in cells.
    as_is, content, network : Interval
        Distance between classes in cells: of the positions without flips, of their content-locked and of
        their network-locked part. NaN where the flips were not searched at this dose.
    moved : Interval
        Mean over classes of how far the class position moved in the planted direction, in cells.
    """

    pixels: float
    cells: float
    as_is: Interval
    content: Interval
    network: Interval
    moved: Interval


@dataclass(frozen=True)
class DoseResponse:
    """Response of one estimator.

    Attributes
    ----------
    doses : tuple of Dose
        From no dose to the largest.
    slope : (Interval, Interval)
        Cells that a class position moves in u and in v for each cell that the content moves, over all doses.
        The interval is over classes.
    network_slope : (Interval, Interval)
        The same of the network-locked part, which should be 0; NaN where the flips were not searched.
    """

    doses: tuple[Dose, ...]
    slope: tuple[Interval, Interval]
    network_slope: tuple[Interval, Interval]


def class_displacements(n_classes: int, pixels: float) -> np.ndarray:
    """Return how far to move each class: the same distance, angles evenly spaced from 45 degrees.

    Parameters
    ----------
    n_classes : int
        Number of classes.
    pixels : float
        Distance in pixels.

    Returns
    -------
    ndarray of int64, shape (n_classes, 2)
        Whole pixels to the right and upwards.

    Examples
    --------
    >>> class_displacements(4, 32).tolist()
    [[23, 23], [-23, 23], [-23, -23], [23, -23]]
    """
    angle = np.pi / 4 + 2 * np.pi * np.arange(n_classes) / max(n_classes, 1)
    return np.round(pixels * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.int64)


def respond(base: ImagePositions, planted: Sequence[Planted], estimator: str) -> DoseResponse:
    """Regress class positions on the displacements that were planted.

    Parameters
    ----------
    base : ImagePositions
        Positions of the images as they are.
    planted : sequence of Planted
        Positions of the moved images, at one dose or several.
    estimator : str
        One of `base.estimators`.

    Raises
    ------
    InputError
        There is no dose, or its images differ from those of `base`.
    """
    if not planted:
        raise InputError("no dose was planted; move the images by at least one distance")
    for one in planted:
        if one.positions.classes != base.classes or not np.array_equal(one.positions.block, base.block):
            raise InputError(
                "the moved images are not those of the base, in the same blocks; search them again"
            )
    doses, moves = [_dose(base, None, None, estimator)], []
    for one in sorted(planted, key=lambda one: one.pixels):
        change = _changes(base, one.positions, estimator)
        doses.append(_dose(one.positions, one, change, estimator))
        moves.append((one.displacement, change))
    of_content, of_network = (
        (_slope(moves, part, 0), _slope(moves, part, 1)) for part in ("content", "network")
    )
    return DoseResponse(tuple(doses), of_content, of_network)


def _parts(positions: ImagePositions, estimator: str) -> dict[str, np.ndarray]:
    """Return positions as is and their parts, each (n_deals, n, 2); without flips all of them are content."""
    found = positions.of(estimator)
    as_is = found[positions.flips.index("e")]
    if not all(separable(positions.flips)):
        return {"as_is": as_is, "content": as_is}
    split = decompose(found, positions.flips)
    return {"as_is": as_is, "content": split.content, "network": split.network}


def _changes(base: ImagePositions, moved: ImagePositions, estimator: str) -> dict[str, np.ndarray]:
    """Return the mean change of each class's positions, (M, 2) by part, less the mean over classes."""
    before, after = _parts(base.select(moved.flips), estimator), _parts(moved, estimator)
    n_classes = len(base.classes)
    changes = {}
    for part, values in after.items():
        difference = values - before[part]  # (n_deals, n, 2)
        known = ~np.isnan(difference).any(2) & (base.image_class >= 0)
        label = np.broadcast_to(base.image_class, known.shape)[known]
        sums = [np.bincount(label, difference[known][:, axis], n_classes) for axis in range(2)]
        with np.errstate(invalid="ignore"):
            means = np.stack(sums, axis=1) / np.bincount(label, minlength=n_classes)[:, None]
        there = ~np.isnan(means[:, 0])
        changes[part] = means - means[there].mean(0) if there.any() else means
    return changes


def _dose(
    positions: ImagePositions,
    planted: Planted | None,
    changes: Mapping[str, np.ndarray] | None,
    estimator: str,
) -> Dose:
    effects = {}
    for part, values in _parts(positions, estimator).items():
        deals = deals_of(
            values, positions.block, positions.image_class, positions.unit, len(positions.classes)
        )
        effects[part] = effect_interval(deals, np.eye(2))
    if planted is None or changes is None:
        pixels, cells, moved = 0.0, 0.0, Interval(0.0, 0.0, 0.0, 0.0, np.inf)
    else:
        length = np.hypot(*planted.displacement.T)
        pixels, cells = planted.pixels, float(length.mean())
        along = (changes["content"] * planted.displacement).sum(1) / np.where(length > 0, length, np.nan)
        moved = _mean(along[~np.isnan(along)])
    if not all(separable(positions.flips)):
        effects["content"] = UNKNOWN
    return Dose(pixels, cells, effects["as_is"], effects["content"], effects.get("network", UNKNOWN), moved)


def _mean(values: np.ndarray) -> Interval:
    n = len(values)
    if n < 3:  # two classes mirror each other: there is no spread to tell an interval from
        return UNKNOWN
    return normal_interval(float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)), degrees=n - 1)


def _slope(moves: Sequence[tuple[np.ndarray, Mapping[str, np.ndarray]]], part: str, axis: int) -> Interval:
    """Return the slope of changes on displacements through the origin, with its interval over classes."""
    if any(part not in changes for _, changes in moves):
        return UNKNOWN
    y = np.array([changes[part][:, axis] for _, changes in moves])  # (n_doses, M)
    known = ~np.isnan(y).any(0)
    x, y, n = np.array([away[:, axis] for away, _ in moves])[:, known], y[:, known], int(known.sum())
    if n < 3 or not np.ptp(x, axis=1).any():
        return UNKNOWN
    x = x - x.mean(1, keepdims=True)
    total = float((x**2).sum())
    slope = float((x * y).sum() / total)
    by_class = (x * (y - slope * x)).sum(0) / total
    return normal_interval(slope, float(np.sqrt(by_class @ by_class * n / (n - 1))), degrees=n - 1)
