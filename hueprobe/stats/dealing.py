"""Assignment of images to parts (train and test, folds, blocks): stratified by class, groups kept whole.

The assignment depends on the order of the images only: drawn with a seed, or sorted by the hashes of their
names. The same order gives the same parts.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hueprobe.errors import InputError, ShapeError

Numbers = Mapping[Any, float]  # a number per class


@dataclass(frozen=True)
class Unit:
    """Images that stay together: those of one group, or a single image without a group.

    Attributes
    ----------
    rows : list of int
        Rows of its images.
    counts : Counter
        Number of images of each class.
    """

    rows: list[int]
    counts: Counter[Hashable]


def units_of(
    classes: Sequence[Hashable], groups: Sequence[str | None] | None, rows: Iterable[int]
) -> list[Unit]:
    """Return the units of some images, in order of first appearance in `rows`.

    Parameters
    ----------
    classes : sequence, length n_images
        Class of each image.
    groups : sequence of (str or None), length n_images, optional
        Group of each image; None for an image without a group, or if there are no groups.
    rows : iterable of int
        Images to assign.

    Examples
    --------
    >>> [unit.rows for unit in units_of("aabb", ["x", None, "x", None], range(4))]
    [[0, 2], [1], [3]]
    """
    together: dict[tuple[str | None, int], list[int]] = {}
    for row in rows:
        group = None if groups is None else groups[row]
        together.setdefault((group, row if group is None else -1), []).append(row)
    return [Unit(own, Counter(classes[row] for row in own)) for own in together.values()]


def deal_units(
    units: Sequence[Unit],
    order: Iterable[int],
    *,
    wanted: Sequence[Numbers | None],
    weights: Numbers | None = None,
    first: Collection[int] = (),
) -> list[int]:
    """Assign units one by one, each to the part whose class counts it brings closest to their targets.

    Adding n images of a class to a part with target w that already has h costs n (n / 2 - (w - h)). This is
    half the increase of the squared error. The costs of a unit's classes are summed.

    Parameters
    ----------
    units : sequence of Unit
        Units to assign.
    order : iterable of int
        Every unit once, in the order of assignment.
    wanted : sequence of (mapping of class to float, or None), length n_parts
        Target number of images of each class, 0 for classes not named. A part of None has no target:
        assigning to it costs 0.
    weights : mapping of class to float, optional
        Divisor of each class's costs; 1 by default.
    first : collection of int, default=()
        Units that go to part 0 at any cost.

    Returns
    -------
    list of int, length n_units
        Part of each unit. At equal costs, a part with a target is preferred, then the one with the fewest
        images, then the first.
    """
    part_of = [-1] * len(units)
    room = [None if part is None else dict(part) for part in wanted]
    held = [0] * len(wanted)
    for number in order:
        counts = units[number].counts
        chosen = 0
        if number not in first:
            costs = [0.0 if part is None else _cost(counts, part, weights) for part in room]
            chosen = min(range(len(room)), key=lambda p: (costs[p], room[p] is None, held[p]))
        part_of[number] = chosen
        held[chosen] += counts.total()
        if (part := room[chosen]) is not None:
            for name, n in counts.items():
                part[name] = part.get(name, 0) - n
    return part_of


def _cost(counts: Counter[Hashable], room: Numbers, weights: Numbers | None) -> float:
    return sum(
        n * (n / 2 - room.get(name, 0)) / (1 if weights is None else weights[name])
        for name, n in counts.items()
    )


def deal(
    order: np.ndarray,
    image_class: np.ndarray,
    *,
    n_parts: int,
    groups: Sequence[str | None] | None = None,
) -> np.ndarray:
    """Assign images to equal parts, so that every class is spread evenly and groups stay whole.

    Parameters
    ----------
    order : ndarray of int64, shape (n_images,)
        Images in the order in which they are assigned.
    image_class : ndarray of int64, shape (n_images,)
        Class id of each image, -1 for none.
    n_parts : int
        Number of parts, at least 2.
    groups : sequence of (str or None), length n_images, optional
        Images of one group go to one part, whatever their classes.

    Returns
    -------
    ndarray of int64, shape (n_images,)
        Part of each image, -1 for images without a class. Groups (or images) are assigned one by one, large
        ones first, to the part with the fewest images of their classes so far.

    Raises
    ------
    InputError
        There are fewer than two parts.
    ShapeError
        There is not one class and one group for each image.

    Examples
    --------
    >>> deal(np.arange(6), np.array([0, 0, 0, 0, 1, -1]), n_parts=2)
    array([ 0,  1,  0,  1,  0, -1])
    """
    if n_parts < 2:
        raise InputError(f"n_parts is {n_parts}; it must be at least 2")
    for what, values in (("classes", image_class), ("groups", groups)):
        if values is not None and len(values) != len(order):
            raise ShapeError(f"{len(values)} {what} for {len(order)} images; give one for each")
    classes = np.asarray(image_class).tolist()
    units = units_of(classes, groups, (int(row) for row in order if classes[row] >= 0))
    by_size = sorted(range(len(units)), key=lambda number: -len(units[number].rows))
    parts = np.full(len(classes), -1, np.int64)
    dealt = deal_units(units, by_size, wanted=[{}] * n_parts)
    for unit, part in zip(units, dealt, strict=True):
        parts[unit.rows] = part
    return parts
