"""Few-shot draws and folds for cross-validation, by class and without tearing groups apart."""

import warnings
from collections import Counter
from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from hueprobe.errors import HueprobeWarning, InputError, require_choice
from hueprobe.images.splits import TEST, TRAIN, units_by_name
from hueprobe.images.table import ImageTable
from hueprobe.stats.dealing import deal_units


def draw_shots(table: ImageTable, *, shots: int, seed: int) -> ImageTable:
    """Return the table with exactly `shots` images of each class in "train" and the others in "test".

    Another image of a group that has one in train is in neither; images without a class are in test. The
    order of rows plays no part.

    Parameters
    ----------
    table : ImageTable
    shots : int
        Images a class, at least 1.
    seed : int
        The same seed gives the same draw.

    Raises
    ------
    InputError
        A number is out of range, there are no classes, or a class has fewer than `shots` images.

    Warns
    -----
    HueprobeWarning
        A class has no image left for test.
    """
    _require(table, seed)
    if shots < 1:
        raise InputError(f"shots is {shots}; it must be at least 1")
    sizes = Counter(name for name in table.classes if name is not None)
    if not sizes:
        raise InputError("these images have no classes; a number of shots is per class")
    if few := sorted(name for name, n in sizes.items() if n < shots):
        raise InputError(
            f"class {few[0]!r} has {sizes[few[0]]} images, fewer than {shots} shots"
            + (f" (and {len(few) - 1} more classes)" if len(few) > 1 else "")
            + "; ask for fewer shots"
        )
    by_name = sorted(range(len(table)), key=lambda row: (table.paths[row], table.roots[row]))
    order = [by_name[place] for place in np.random.default_rng(seed).permutation(len(table))]
    left = Counter({name: shots for name in sizes})
    in_train = set()
    for row in order:
        name = table.classes[row]
        if name is not None and left[name]:
            left[name] -= 1
            in_train.add(row)
    taken = {table.groups[row] for row in in_train} - {None}
    splits = tuple(
        TRAIN if row in in_train else None if table.groups[row] in taken else TEST
        for row in range(len(table))
    )
    tested = {name for name, split in zip(table.classes, splits, strict=True) if split == TEST}
    if bare := sorted(set(sizes) - tested):
        names = ", ".join(map(repr, bare[:10]))
        warnings.warn(f"no image is left to test class {names}", HueprobeWarning, stacklevel=2)
    return replace(table, splits=splits)


def draw_folds(table: ImageTable, *, folds: int, seed: int) -> ImageTable:
    """Return the table with splits "fold1" ... "foldK": equal parts of each class, no group in two of them.

    Without groups the images of a class differ by at most one between folds. A group stays whole, also one
    that spans classes; the largest are dealt first, each to the fold that has the least of its classes.

    Parameters
    ----------
    table : ImageTable
    folds : int
        At least 2, and no more than there are images or groups.
    seed : int
        The same seed gives the same folds.

    Raises
    ------
    InputError
        A number is out of range, or there are fewer images or groups than folds.

    Warns
    -----
    HueprobeWarning
        A class is missing in a fold.
    """
    _require(table, seed)
    units = units_by_name(table)
    if not 2 <= folds <= len(units):
        raise InputError(
            f"folds is {folds}; it must be at least 2 and at most {len(units)}, "
            "which is how many single images and groups there are"
        )
    order = np.random.default_rng(seed).permutation(len(units)).tolist()
    order.sort(key=lambda number: -units[number].counts.total())
    sizes = Counter(table.classes)
    dealt = deal_units(units, order, wanted=[{}] * folds, weights=sizes)
    held: list[Counter[Hashable]] = [Counter() for _ in range(folds)]
    fold_of = [0] * len(table)
    for unit, fold in zip(units, dealt, strict=True):
        held[fold].update(unit.counts)
        for row in unit.rows:
            fold_of[row] = fold
    if thin := sorted(name for name in table.class_names if not all(counts[name] for counts in held)):
        names = ", ".join(map(repr, thin[:10]))
        warnings.warn(
            f"too few images or groups to be in each of {folds} folds: {names}",
            HueprobeWarning,
            stacklevel=2,
        )
    return replace(table, splits=tuple(f"fold{fold + 1}" for fold in fold_of))


def hold_out(table: ImageTable, fold: str) -> ImageTable:
    """Return the table with one fold as "test" and the others as "train".

    Parameters
    ----------
    table : ImageTable
        As `draw_folds` gives it.
    fold : str
        Such as "fold1".

    Raises
    ------
    InputError
        There is no such fold.
    """
    require_choice("fold", fold, sorted({split for split in table.splits if split is not None}))
    splits = (TEST if split == fold else None if split is None else TRAIN for split in table.splits)
    return replace(table, splits=tuple(splits))


def _require(table: ImageTable, seed: int) -> None:
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    if not len(table):
        raise InputError("there are no images to split")
