"""Dealing images to parts (train and test, folds, blocks): class by class, and no group torn apart.

What decides is the order in which images are dealt: drawn by a seed, or sorted by the hashes of their names.
The same order gives the same parts.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hueprobe.errors import InputError, ShapeError

Numbers = Mapping[Any, float]  # by class


@dataclass(frozen=True)
class Unit:
    """Images that stay together: those of a group, or a single one without a group.

    Attributes
    ----------
    rows : list of int
        Its images.
    counts : Counter
        Images of each class.
    """

    rows: list[int]
    counts: Counter[Hashable]


def units_of(
    classes: Sequence[Hashable], groups: Sequence[str | None] | None, rows: Iterable[int]
) -> list[Unit]:
    """Return the units of some images, in the order in which `rows` comes upon them.

    Parameters
    ----------
    classes : sequence, length n_images
        Class of each image.
    groups : sequence of (str or None), length n_images, optional
        None stands for an image, or for all images, without a group.
    rows : iterable of int
        The images to deal.

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
    """Deal units one by one, each to the part whose classes it brings nearest to what the part wants.

    n images of a class in a part that wants w of them and holds h cost n (n / 2 - (w - h)), half of what they
    add to the squared error; the classes of a unit add up.

    Parameters
    ----------
    units : sequence of Unit
    order : iterable of int
        Every unit once, in the order of dealing.
    wanted : sequence of (mapping of class to float, or None), length n_parts
        Images of each class, 0 where it is not named. A part of None wants nothing: what goes there costs 0.
    weights : mapping of class to float, optional
        The costs of a class are divided by it; by 1 where there is none.
    first : collection of int
        Units that go to part 0, whatever they cost.

    Returns
    -------
    list of int, length n_units
        Part of each unit. Of equal costs a part that wants something counts, then the one with fewest images,
        then the first.
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
    """Deal images to equal parts, so that every class is spread evenly and groups stay whole.

    Parameters
    ----------
    order : ndarray of int64, shape (n_images,)
        Images in the order in which they are dealt.
    image_class : ndarray of int64, shape (n_images,)
        Class id of each image, -1 for none.
    n_parts : int
        Number of parts, at least 2.
    groups : sequence of (str or None), length n_images, optional
        Images of one group go to one part, whatever their classes.

    Returns
    -------
    ndarray of int64, shape (n_images,)
        Part of each image, -1 for images without a class. Each group (image) in turn, large ones first, goes
        where its classes have fewest images so far.

    Raises
    ------
    InputError
        Fewer than two parts.
    ShapeError
        Not one class and one group for each image.

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
