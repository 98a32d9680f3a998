"""Whether the folders of a data set are classes, or splits such as train and test."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hueprobe.errors import ImageError
from hueprobe.images.names import normal_name

# Usual names of splits, in any case.
_TRAIN_NAMES = frozenset(("train", "training", "trn", "trainval"))
_HELD_OUT_NAMES = frozenset(("val", "valid", "validation", "dev", "test", "testing", "tst"))
CLASSES, SPLITS = "classes:", "splits:"  # prefix of a folder's name: what the outer folders are

Parts = tuple[str, ...]  # of a path below the folder: its folders and the file's name


@dataclass(frozen=True)
class Layout:
    """Which folder in an image's path names its class, and which its split.

    Attributes
    ----------
    class_depth, split_depth : int or None
        0 for the outer folder, 1 for the one inside it; None if no folder does.
    """

    class_depth: int | None
    split_depth: int | None = None

    def class_of(self, parts: Parts) -> str | None:
        """Return the class of the image at a path, None if the path has none."""
        return self._folder(parts, self.class_depth)

    def split_of(self, parts: Parts) -> str | None:
        """Return the split of the image at a path, None if the path has none."""
        return self._folder(parts, self.split_depth)

    @staticmethod
    def _folder(parts: Parts, depth: int | None) -> str | None:
        return None if depth is None or len(parts) - 1 <= depth else parts[depth]


SPLIT_OVER_CLASS, CLASS_OVER_SPLIT, SPLIT_ALONE = Layout(1, 0), Layout(0, 1), Layout(None, 0)
CLASS_ALONE = Layout(0)


def is_split_name(name: str) -> bool:
    """Whether a folder has the name of a split: train, val, test and similar, in any case."""
    return normal_name(name).lower() in _TRAIN_NAMES | _HELD_OUT_NAMES


def find_layout(images: Sequence[Parts], root: str) -> Layout:
    """Determine by their names what the folders above images are.

    If all outer folders have names of splits, they are splits and the folders inside them are classes. If
    every class folder contains only folders with names of splits, those are splits. Mixed cases are not
    guessed.

    Parameters
    ----------
    images : sequence of tuple of str
        Parts of each image's path below `root`, at least two per image.
    root : str
        The folder, for the message.

    Raises
    ------
    ImageError
        If only some folders have names of splits; explains what to do.
    """
    outer = {parts[0] for parts in images}
    splits = {name for name in outer if is_split_name(name)}
    if splits and splits != outer:
        raise _unclear(
            f"{root!r} contains folders with names of splits ({_some(splits)}) beside others "
            f"({_some(outer - splits)})", root,
        )  # fmt: skip
    deep = {parts[0] for parts in images if len(parts) > 2}
    flat = {parts[0] for parts in images if len(parts) == 2}
    if splits:
        if deep and flat:
            raise _unclear(
                f"folders with names of splits in {root!r} contain class folders ({_some(deep)}) and images "
                f"without one ({_some(flat)})", root,
            )  # fmt: skip
        return SPLIT_OVER_CLASS if deep else SPLIT_ALONE
    inner = {parts[1] for parts in images if len(parts) > 2}
    splits = {name for name in inner if is_split_name(name)}
    if splits and splits == inner and not flat:
        return CLASS_OVER_SPLIT
    kinds = {normal_name(name).lower() in _TRAIN_NAMES for name in splits}
    if len(kinds) > 1:  # images to test with would be among those to train with
        raise _unclear(
            f"some class folders of {root!r} contain folders with names of splits ({_some(splits)}) and some "
            "images are in none of them", root,
        )  # fmt: skip
    return CLASS_ALONE


def _unclear(what: str, root: str) -> ImageError:
    return ImageError(
        f"{what}; use {SPLITS}{root} (in Python from_folder(..., splits=True)) if the outer folders are "
        f"splits, {CLASSES}{root} (splits=False) if they are classes, rename the folders, or list the "
        "images in a CSV file with columns path, class, split"
    )


def describe_layout(layout: Layout, splits: Iterable[str], root: str) -> str | None:
    """Return a sentence that reports which folders were taken for splits, None if none were."""
    if layout.split_depth is None:
        return None
    named = _some(set(splits))
    where = {
        SPLIT_OVER_CLASS: f"the folders {named} of {root!r} are taken for splits, those inside for classes",
        SPLIT_ALONE: f"the folders {named} of {root!r} are taken for splits of images without classes",
        CLASS_OVER_SPLIT: f"the folders {named} in the class folders of {root!r} are taken for splits",
    }[layout]
    other = "they are not splits" if layout is CLASS_OVER_SPLIT else "they are classes"
    return f"{where}; if {other}, use {CLASSES}{root} (in Python from_folder(..., splits=False))"


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return ", ".join(map(repr, ordered[:5])) + more
