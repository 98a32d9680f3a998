"""Training and test parts of a table by one rule, without test images among the training images."""

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
    """Return the table with the splits "train" and "test" for training and testing.

    By default, the split called train or training is trained on, and the one called test or testing is
    tested on. If no split is called train or training, the images without a split are trained on. All other
    splits, such as `val`, are unused. A table without any split is trained on as a whole. Case and
    surrounding blanks of names are ignored.

    Parameters
    ----------
    table : ImageTable
        Images with their splits.
    train_splits : sequence of str, default=()
        Splits to train on instead; the empty name stands for the images without a split.
    test_splits : sequence of str, default=()
        Splits to test on instead; the empty name stands for the images without a split.
    drop_repeated : bool, default=False
        Leave training images with the content of a test image out of training, instead of raising.
    progress : bool, default=False
        Show a progress bar while contents are compared.

    Returns
    -------
    ImageTable
        The same rows. Unused images keep the name of their split, or None if that is "train" or "test".

    Raises
    ------
    InputError
        There is no split to train on, a named split does not exist or would be both trained and tested on, or
        images with the same content, or the same file, are in both parts.

    Warns
    -----
    HueprobeWarning
        Images are unused, or are left out of training because they are test images.

    See Also
    --------
    hueprobe.images.split_table : Divide a table without splits.
    hueprobe.training.load_images : Load the images of a part.

    Examples
    --------
    >>> from dataclasses import replace
    >>> table = replace(hp.images.from_folder("images"), splits=("train", "val", "train") * 4)
    >>> parts = hp.training.training_parts(table, test_splits=["val"])
    >>> parts.splits[:3]
    ('train', 'test', 'train')
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
            f"cannot determine which images to train on: the splits are {there}, and none is called train or "
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
            f"{n:,} images of split {which} are neither trained on nor tested on; to use them, name their "
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
    """Return the table without training images that repeat a test image: they get no split.

    Images are compared by the bytes of a file, or the pixels of an item of a Dataset. A file is read only if
    one in the other part has the same size. Unreadable images are in no batch and repeat nothing.

    Parameters
    ----------
    table : ImageTable
        Images with the splits "train" and "test".
    drop : bool
        Leave such images out, with a warning; otherwise they raise an error.
    digests : dict of int to str
        Content hashes of rows that were read before, updated in place. Folds of one table share it.
    progress : bool, default=False
        Show a progress bar.

    Raises
    ------
    InputError
        There are such images and `drop` is False; the message gives their number and the first one.

    Warns
    -----
    HueprobeWarning
        Such images were dropped; the message gives their number and the first one.
    """
    rows = {part: [i for i, split in enumerate(table.splits) if split == part] for part in (TRAIN, TEST)}
    sizes = list(table.sizes)
    shared = {sizes[i] for i in rows[TRAIN]} & {sizes[i] for i in rows[TEST]}
    wanted = [i for part in rows.values() for i in part if sizes[i] in shared and i not in digests]
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
    what = "occurs twice" if same else f"has the content of {table.paths[other]!r} in the test part"
    first = f"{table.paths[own]!r} {what}"
    n = len(repeated)
    which = (
        "1 training image is also a test image" if n == 1 else f"{n:,} training images are also test images"
    )
    found = f"{which}; the first: {first}"
    if not drop:
        raise InputError(
            f"{found}; remove them from one part, or from training with drop_repeated= (--drop-repeated)"
        )
    warnings.warn(f"{found}; they are left out of training", HueprobeWarning, stacklevel=3)
    splits = [None if i in repeated else split for i, split in enumerate(table.splits)]
    return replace(table, splits=tuple(splits))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


def _shown(name: str | None) -> str:
    return repr(name) if name else "'' (no split)"


def _named(wanted: Sequence[str], counts: Counter[str], option: str, there: str) -> set[str]:
    """Return the requested names, each of which must exist."""
    names = {_plain(name): name for name in ([wanted] if isinstance(wanted, str) else wanted)}
    if missing := [name for plain, name in names.items() if not counts[plain]]:
        which = _shown(missing[0])
        raise InputError(f"no image in split {which}, which {option} names; the splits are {there}")
    return set(names)


def _content(table: ImageTable, row: int) -> str:
    """Return the hash of an image's content; an empty string if there is nothing to compare."""
    if table.item(row) is not None:
        return read_row(table, row)[1].sha256
    if not table.roots[row]:
        return ""
    try:
        return sha256_of(file) if (file := table.file(row)).is_file() else ""
    except OSError:  # an unreadable image, which is reported when images are read
        return ""


def _place(table: ImageTable, row: int) -> str:
    return str(Path(table.roots[row], table.paths[row]).resolve()) if table.roots[row] else table.paths[row]
