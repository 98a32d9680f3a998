"""Splitting images into train and test, by class and without tearing groups apart."""

import warnings
from collections import Counter
from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.images.table import ImageTable
from hueprobe.stats.dealing import Unit, deal_units, units_of

TRAIN, TEST = "train", "test"


def split_table(table: ImageTable, *, train: float, seed: int) -> ImageTable:
    """Return the table with splits "train" and "test", drawn anew whatever splits it had.

    Each class is divided by itself, images without a class too, and a group stays whole, also one
    that spans classes. Without groups, `train` times the images of a class, rounded, go to train; with
    groups, what taking them one by one in random order comes to, which is off by half the largest group
    at most. A class of two images or groups is on both sides (unless groups that span classes leave no
    way); one of a single image or group goes to train, with a warning. The order of rows plays no part.

    Parameters
    ----------
    table : ImageTable
    train : float
        Share of the images that go to train, between 0 and 1, both excluded.
    seed : int
        The same seed gives the same split.

    Raises
    ------
    InputError
        `train` or `seed` is out of range, or there are no images.
    """
    if not 0 < train < 1:
        raise InputError(f"train is {train}; it must lie between 0 and 1, both excluded")
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    if not len(table):
        raise InputError("there are no images to split")
    units = units_by_name(table)
    members: dict[Hashable, list[int]] = {}  # units of each class
    for number, unit in enumerate(units):
        for name in unit.counts:
            members.setdefault(name, []).append(number)
    forced = {numbers[0] for numbers in members.values() if len(numbers) == 1}

    order = np.random.default_rng(seed).permutation(len(units)).tolist()
    order.sort(key=lambda number: number not in forced)
    wanted = {name: train * n for name, n in Counter(table.classes).items()}
    parts = deal_units(units, order, wanted=[wanted, None], first=forced)
    in_train = {number for number, part in enumerate(parts) if part == 0}
    for name, numbers in members.items():
        if len(numbers) > 1 and _side(numbers, in_train):
            _move_one(units, [number for number in order if name in units[number].counts], members, in_train)
    _warn_of_one_sided(members, in_train)

    splits = [TEST] * len(table)
    for number in in_train:
        for row in units[number].rows:
            splits[row] = TRAIN
    return replace(table, splits=tuple(splits))


def units_by_name(table: ImageTable) -> list[Unit]:
    """Return the units of a table in an order that depends on names alone."""
    rows = sorted(range(len(table)), key=lambda row: (table.paths[row], table.roots[row]))
    return units_of(table.classes, table.groups, rows)


def _side(numbers: list[int], in_train: set[int]) -> str | None:
    """Return the one side where all of these units are; None where they are on both."""
    n_train = sum(number in in_train for number in numbers)
    return {0: TEST, len(numbers): TRAIN}.get(n_train)


def _move_one(
    units: list[Unit], candidates: list[int], members: dict[Hashable, list[int]], in_train: set[int]
) -> None:
    """Move the smallest candidate to the other side whose classes all stay, or come, on both sides."""
    for number in sorted(candidates, key=lambda number: units[number].counts.total()):
        moved = in_train ^ {number}
        if not any(_side(members[name], moved) for name in units[number].counts):
            in_train ^= {number}
            return


def _warn_of_one_sided(members: dict[Hashable, list[int]], in_train: set[int]) -> None:
    sides = {name: side for name, numbers in members.items() if (side := _side(numbers, in_train))}
    if sides:
        names = ", ".join(
            f"{'images without class' if name is None else repr(name)} (in {side})"
            for name, side in sides.items()
        )
        warnings.warn(
            f"too few images or groups to be on both sides of the split: {names}",
            HueprobeWarning,
            stacklevel=3,
        )
