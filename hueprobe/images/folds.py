"""Few-shot splits and folds for cross-validation, stratified by class and keeping groups together."""

import warnings
from collections import Counter
from collections.abc import Hashable
from dataclasses import replace

import numpy as np

from hueprobe.errors import HueprobeWarning, InputError, require_choice
from hueprobe.images.splits import TEST, TRAIN, rows_by_name, units_by_name
from hueprobe.images.table import ImageTable
from hueprobe.stats.dealing import deal_units


def draw_shots(table: ImageTable, *, shots: int, seed: int) -> ImageTable:
    """Draw a few-shot split: exactly `shots` images per class in "train", the others in "test".

    If a group has an image in train, its other images are in neither split. Images without a class are
    in test. The result does not depend on the order of rows.

    Parameters
    ----------
    table : ImageTable
        Images with classes.
    shots : int
        Number of training images per class, at least 1.
    seed : int
        Seed of the draw.

    Returns
    -------
    ImageTable
        The table with new splits.

    Raises
    ------
    InputError
        If a number is out of range, there are no classes, or a class has fewer than `shots` images.

    Warns
    -----
    HueprobeWarning
        If a class has no image left for test.

    See Also
    --------
    hueprobe.images.split_table : Split by a fraction of the images.
    hueprobe.images.draw_folds : Split for cross-validation.

    Examples
    --------
    >>> table = draw_shots(hp.images.from_folder("images"), shots=1, seed=0)
    >>> table.splits.count("train"), table.splits.count("test")
    (3, 9)
    """
    _require(table, seed)
    if shots < 1:
        raise InputError(f"shots is {shots}; it must be at least 1")
    sizes = Counter(name for name in table.classes if name is not None)
    if not sizes:
        raise InputError("these images have no classes; the number of shots is per class")
    if few := sorted(name for name, n in sizes.items() if n < shots):
        raise InputError(
            f"class {few[0]!r} has {sizes[few[0]]} images, fewer than {shots} shots"
            + (f" (and {len(few) - 1} more classes)" if len(few) > 1 else "")
            + "; choose fewer shots"
        )
    classes, groups = list(table.classes), list(table.groups)
    order = rows_by_name(table)[np.random.default_rng(seed).permutation(len(table))].tolist()
    left = Counter({name: shots for name in sizes})
    in_train = set()
    for row in order:
        name = classes[row]
        if name is not None and left[name]:
            left[name] -= 1
            in_train.add(row)
    taken = {groups[row] for row in in_train} - {None}
    splits = tuple(
        TRAIN if row in in_train else None if group in taken else TEST for row, group in enumerate(groups)
    )
    tested = {name for name, split in zip(table.classes, splits, strict=True) if split == TEST}
    if bare := sorted(set(sizes) - tested):
        names = ", ".join(map(repr, bare[:10]))
        warnings.warn(f"no image is left to test class {names}", HueprobeWarning, stacklevel=2)
    return replace(table, splits=splits)


def draw_folds(table: ImageTable, *, folds: int, seed: int) -> ImageTable:
    """Draw folds for cross-validation: splits "fold1" ... "foldK", stratified by class.

    Without groups, the number of images of a class differs by at most one between folds. A group is
    never divided, even if it spans classes. The largest groups are assigned first, each to the fold that
    has the fewest images of its classes.

    Parameters
    ----------
    table : ImageTable
        Images to split.
    folds : int
        Number of folds, at least 2 and at most the number of groups and ungrouped images.
    seed : int
        Seed of the draw.

    Returns
    -------
    ImageTable
        The table with new splits.

    Raises
    ------
    InputError
        If a number is out of range, or if there are fewer images or groups than folds.

    Warns
    -----
    HueprobeWarning
        If a class is missing in a fold.

    See Also
    --------
    hueprobe.images.hold_out : Use one fold for testing and the others for training.

    Examples
    --------
    >>> table = draw_folds(hp.images.from_folder("images"), folds=4, seed=0)
    >>> sorted(table.where_split("fold1").classes)
    ['circle', 'square', 'triangle']
    """
    _require(table, seed)
    units = units_by_name(table)
    if not 2 <= folds <= len(units):
        raise InputError(
            f"folds is {folds}; it must be at least 2 and at most {len(units)}, "
            "the number of groups and ungrouped images"
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
    """Use one fold as "test" and the others as "train".

    Parameters
    ----------
    table : ImageTable
        Table from `draw_folds`.
    fold : str
        Name of the fold to hold out, such as "fold1".

    Returns
    -------
    ImageTable
        The table with the splits "train" and "test".

    Raises
    ------
    InputError
        If there is no such fold.

    See Also
    --------
    hueprobe.images.draw_folds : Draw the folds.

    Examples
    --------
    >>> table = draw_folds(hp.images.from_folder("images"), folds=4, seed=0)
    >>> held_out = hold_out(table, "fold2")
    >>> held_out.splits.count("train"), held_out.splits.count("test")
    (9, 3)
    """
    require_choice("fold", fold, sorted({split for split in table.splits if split is not None}))
    splits = (TEST if split == fold else None if split is None else TRAIN for split in table.splits)
    return replace(table, splits=tuple(splits))


def _require(table: ImageTable, seed: int) -> None:
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    if not len(table):
        raise InputError("there are no images to split")
