"""Which images train and which test: one rule for every table, and no test image among those trained on."""

import unicodedata
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.files import sha256_of
from hueprobe.images.reading import read_row
from hueprobe.images.splits import TEST, TRAIN
from hueprobe.images.table import ImageTable
from hueprobe.progress import progress_bar

TRAINING_NAMES, TEST_NAMES = (TRAIN, "training"), (TEST, "testing")


def training_parts(
    table: ImageTable,
    *,
    train_splits: Sequence[str] = (),
    test_splits: Sequence[str] = (),
    drop_repeated: bool = False,
    progress: bool = False,
) -> ImageTable:
    """Return the table with splits "train" and "test" for what is trained and tested on, by one rule.

    Names are compared without case and surrounding blanks. The splits that are named here count; without, the
    split called train or training trains, and the one called test or testing tests. Where no split is called
    train or training, the images without a split train. All others (such as `val`) are neither trained nor
    tested on. A table without any split trains as a whole.

    Parameters
    ----------
    table : ImageTable
    train_splits, test_splits : sequence of str
        Names to take instead; the empty name is that of the images without a split.
    drop_repeated : bool
        Leave an image whose content is a test image's out of training, instead of raising.
    progress : bool
        Show a bar while contents are compared.

    Returns
    -------
    ImageTable
        The same rows. Those that are neither trained nor tested on keep the name of their split, or None
        where it is "train" or "test".

    Raises
    ------
    InputError
        It cannot be told which images train; a split named is not there, or would be on both sides; images of
        one content, or one file, are on both sides.

    Warns
    -----
    HueprobeWarning
        Images are neither trained nor tested on, or are left out of training since they are tested on.
    """
    names = [_plain(split or "") for split in table.splits]
    counts = Counter(names)
    shown = dict(zip(reversed(names), map(_shown, reversed(table.splits)), strict=True))  # as first written
    there = ", ".join(f"{shown[name]} ({n:,} images)" for name, n in sorted(counts.items()))
    testing = _named(test_splits, counts, "test_splits= (--test-split)", there)
    training = _named(train_splits, counts, "train_splits= (--train-split)", there)
    training = training or {name for name in TRAINING_NAMES if counts[name]} - testing
    testing = testing or {name for name in TEST_NAMES if counts[name]}
    if not training and counts[""] and "" not in testing:
        training = {""}
    if not training:
        raise InputError(
            f"it cannot be told which images to train on: the splits are {there}, none is called train or "
            "training; name one with train_splits= (--train-split), or make parts with `hueprobe data split`"
        )
    if both := sorted(training & testing):
        raise InputError(
            f"split {shown[both[0]]} would be trained on and tested on; the splits are {there}: name others "
            "with train_splits= and test_splits= (--train-split, --test-split)"
        )
    if rest := sorted(set(counts) - training - testing):
        n, which = sum(counts[name] for name in rest), ", ".join(shown[name] for name in rest)
        warnings.warn(
            f"{n:,} images of split {which} are neither trained on nor tested on; to use them name their "
            "split with train_splits= or test_splits= (--train-split, --test-split)",
            HueprobeWarning,
            stacklevel=2,
        )
    splits = [
        TRAIN if name in training else TEST if name in testing else None if split in (TRAIN, TEST) else split
        for name, split in zip(names, table.splits, strict=True)
    ]
    parts = replace(table, splits=tuple(splits))
    return without_repeated(parts, drop=drop_repeated, digests={}, progress=progress)


def without_repeated(
    table: ImageTable, *, drop: bool, digests: dict[int, str], progress: bool = False
) -> ImageTable:
    """Return the table without training images of a test image's content: they get no split.

    Content is the bytes of a file, read only where one of the other part has as many, and the pixels of the
    item of a Dataset. What cannot be read, and is in no batch, repeats nothing.

    Parameters
    ----------
    table : ImageTable
        With splits "train" and "test".
    drop : bool
        Leave such images out, with a warning; otherwise they are an error.
    digests : dict of int to str
        The content's hash of rows that were read before; filled. Folds of one table share it.
    progress : bool
        Show a bar.

    Raises
    ------
    InputError
        There are such images, and they are not to be dropped: how many, and the first.

    Warns
    -----
    HueprobeWarning
        They were dropped: how many, and the first.
    """
    rows = {part: [i for i, split in enumerate(table.splits) if split == part] for part in (TRAIN, TEST)}
    shared = {table.sizes[i] for i in rows[TRAIN]} & {table.sizes[i] for i in rows[TEST]}
    wanted = [i for part in rows.values() for i in part if table.sizes[i] in shared and i not in digests]
    with progress_bar(len(wanted), label="comparing contents", enabled=progress and bool(wanted)) as advance:
        for i in wanted:
            digests[i] = _content(table, i)
            advance(1)
    tested = {digests[i]: i for i in reversed(rows[TEST]) if digests.get(i)}
    repeated = {i: tested[digests[i]] for i in rows[TRAIN] if digests.get(i) in tested}
    readable = {i: read_row(table, i)[1].readable for i in set(repeated.values())}
    repeated = {own: other for own, other in repeated.items() if readable[other]}
    if not repeated:
        return table
    own, other = next(iter(repeated.items()))
    same = _place(table, own) == _place(table, other)
    what = "is there twice" if same else f"has the content of {table.paths[other]!r} in the test part"
    first = f"{table.paths[own]!r} {what}"
    found = f"{len(repeated):,} images to train on are test images, too; the first: {first}"
    if not drop:
        raise InputError(
            f"{found}; take them out of one part, or out of training with drop_repeated= (--drop-repeated)"
        )
    warnings.warn(f"{found}; they are left out of training", HueprobeWarning, stacklevel=3)
    splits = [None if i in repeated else split for i, split in enumerate(table.splits)]
    return replace(table, splits=tuple(splits))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


def _shown(name: str | None) -> str:
    return repr(name) if name else "'' (no split)"


def _named(wanted: Sequence[str], counts: Counter[str], option: str, there: str) -> set[str]:
    """Return the names asked for, each of which must be there."""
    names = {_plain(name): name for name in ([wanted] if isinstance(wanted, str) else wanted)}
    if missing := [name for plain, name in names.items() if not counts[plain]]:
        which = _shown(missing[0])
        raise InputError(f"no image in split {which}, which {option} names; the splits are {there}")
    return set(names)


def _content(table: ImageTable, row: int) -> str:
    """Return the hash of an image's content; empty where there is none to compare."""
    if table.item(row) is not None:
        return read_row(table, row)[1].sha256
    if not table.roots[row]:
        return ""
    try:
        return sha256_of(file) if (file := table.file(row)).is_file() else ""
    except OSError:  # an unreadable image, which reading will name
        return ""


def _place(table: ImageTable, row: int) -> str:
    return str(Path(table.roots[row], table.paths[row]).resolve()) if table.roots[row] else table.paths[row]
