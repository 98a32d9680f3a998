"""Splits into train and test, stratified by class and keeping groups together."""

import warnings
from collections import Counter
from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.images.columns import strings
from hueprobe.images.name_columns import NameColumn, name_column
from hueprobe.images.table import ImageTable
from hueprobe.stats.dealing import Unit, deal_units, units_of

TRAIN, TEST = _PARTS = "train", "test"


def split_table(table: ImageTable, *, train: float, seed: int) -> ImageTable:
    """Split images at random into "train" and "test", stratified by class; previous splits are discarded.

    Each class is divided separately, as are the images without a class. Without groups, the number of
    training images per class is `train` times its size, rounded. A group is never divided, even if it
    spans classes; then the number is off by at most half the largest group. A class of two images or
    groups is in both splits (unless groups that span classes prevent it). A class of a single image or
    group goes to train, with a warning. The result does not depend on the order of rows.

    Parameters
    ----------
    table : ImageTable
        Images to split.
    train : float
        Fraction of the images for training, between 0 and 1 (exclusive).
    seed : int
        Seed of the split.

    Returns
    -------
    ImageTable
        The table with new splits.

    Raises
    ------
    InputError
        If `train` or `seed` is out of range, or if there are no images.

    Warns
    -----
    HueprobeWarning
        If a class has too few images or groups to be in both splits.

    See Also
    --------
    hueprobe.images.draw_shots : Draw a fixed number of training images per class.
    hueprobe.images.draw_folds : Split for cross-validation.
    hueprobe.images.save_table : Save the split.

    Examples
    --------
    >>> table = split_table(hp.images.from_folder("images"), train=0.75, seed=0)
    >>> table.splits.count("train"), table.splits.count("test")
    (9, 3)
    """
    if not 0 < train < 1:
        raise InputError(f"train is {train}; it must lie between 0 and 1, exclusive")
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    if not len(table):
        raise InputError("there are no images to split")
    if not len(name_column(table.groups).present()):
        in_train, sides = _single_images(table, train, seed)
        _warn_of_one_sided(sides)
        return replace(table, splits=NameColumn(np.where(in_train, 0, 1).astype(np.int32), strings(_PARTS)))
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
    chosen = {number for number, part in enumerate(parts) if part == 0}
    for name, numbers in members.items():
        if len(numbers) > 1 and _side(numbers, chosen):
            _move_one(units, [number for number in order if name in units[number].counts], members, chosen)
    _warn_of_one_sided({name: side for name, own in members.items() if (side := _side(own, chosen))})

    splits = [TEST] * len(table)
    for number in chosen:
        for row in units[number].rows:
            splits[row] = TRAIN
    return replace(table, splits=tuple(splits))


def rows_by_name(table: ImageTable) -> np.ndarray:
    """Return the rows in the order of their paths, then roots, by code point; int64."""
    names = pa.table([pa.array(table.paths), pa.array(table.roots)], ["path", "root"])
    rows = pc.sort_indices(names, sort_keys=[("path", "ascending"), ("root", "ascending")])
    return np.asarray(rows).astype(np.int64)


def units_by_name(table: ImageTable) -> list[Unit]:
    """Return the units (groups and ungrouped images) of a table, in an order that depends on names only."""
    return units_of(list(table.classes), list(table.groups), rows_by_name(table).tolist())


def _single_images(table: ImageTable, train: float, seed: int) -> tuple[np.ndarray, dict[Hashable, str]]:
    """Deal images without groups as `deal_units` would, each class by itself and all at once.

    Returns whether each image is in train, and the side of the classes of a single image.
    """
    by_name = rows_by_name(table)
    dealt = by_name[np.random.default_rng(seed).permutation(len(table))]
    column = name_column(table.classes)
    classes = column.codes[dealt] + 1  # 0 for no class
    sizes = np.bincount(classes)
    order = np.argsort(classes, kind="stable")
    place = np.empty(len(dealt), np.int64)  # of each image among those of its class
    place[order] = np.arange(len(dealt)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    wanted = train * sizes
    n_train = np.where(
        wanted >= 0.5, np.floor(wanted - 0.5) + 1, 0
    )  # as long as the next one brings it closer
    n_train = np.maximum(n_train, 1)
    too_many = (n_train >= sizes) & (sizes > 1)  # then the first one moves to test
    in_train = np.empty(len(dealt), bool)
    in_train[dealt] = np.where(too_many[classes], place >= 1, place < n_train[classes])
    alone = by_name[sizes[column.codes[by_name] + 1] == 1]
    return in_train, {table.classes[row]: TRAIN for row in alone.tolist()}


def _side(numbers: list[int], in_train: set[int]) -> str | None:
    """Return the side that all of these units are on; None if they are on both."""
    n_train = sum(number in in_train for number in numbers)
    return {0: TEST, len(numbers): TRAIN}.get(n_train)


def _move_one(
    units: list[Unit], candidates: list[int], members: dict[Hashable, list[int]], in_train: set[int]
) -> None:
    """Move the smallest candidate to the other side whose classes are all on both sides afterwards."""
    for number in sorted(candidates, key=lambda number: units[number].counts.total()):
        moved = in_train ^ {number}
        if not any(_side(members[name], moved) for name in units[number].counts):
            in_train ^= {number}
            return


def _warn_of_one_sided(sides: dict[Hashable, str]) -> None:
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
