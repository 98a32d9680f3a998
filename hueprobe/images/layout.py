"""Whether the folders of a data set are classes, or parts of it such as train and test."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hueprobe.errors import ImageError
from hueprobe.images.names import normal_name

# What a part of a data set is called, in any case.
_TRAIN_NAMES = frozenset(("train", "training", "trn", "trainval"))
_HELD_OUT_NAMES = frozenset(("val", "valid", "validation", "dev", "test", "testing", "tst"))
CLASSES, SPLITS = "classes:", "splits:"  # before a folder's name: what the outer folders are

Parts = tuple[str, ...]  # of a path below the folder: its folders, and the file's name


@dataclass(frozen=True)
class Layout:
    """Which folder on the way to an image names its class, and which its split.

    Attributes
    ----------
    class_depth, split_depth : int or None
        0 for the outer folder, 1 for the one in it; None where no folder does.
    """

    class_depth: int | None
    split_depth: int | None = None

    def class_of(self, parts: Parts) -> str | None:
        """Return the class of the image at a path, None where its path names none."""
        return self._folder(parts, self.class_depth)

    def split_of(self, parts: Parts) -> str | None:
        """Return the split of the image at a path, None where its path names none."""
        return self._folder(parts, self.split_depth)

    @staticmethod
    def _folder(parts: Parts, depth: int | None) -> str | None:
        return None if depth is None or len(parts) - 1 <= depth else parts[depth]


SPLIT_OVER_CLASS, CLASS_OVER_SPLIT, SPLIT_ALONE = Layout(1, 0), Layout(0, 1), Layout(None, 0)
CLASS_ALONE = Layout(0)


def is_split_name(name: str) -> bool:
    """Whether a folder has the name of a part of a data set: train, val, test and their like, in any case."""
    return normal_name(name).lower() in _TRAIN_NAMES | _HELD_OUT_NAMES


def find_layout(images: Sequence[Parts], root: str) -> Layout:
    """Tell by their names what the folders above images are.

    Where all outer folders are named as splits they are, and the folders in them are classes; where every
    class folder holds nothing but folders named as splits, these are. Anything between is not guessed.

    Parameters
    ----------
    images : sequence of tuple of str
        The parts of each image's path below `root`, at least two.
    root : str
        For the message.

    Raises
    ------
    ImageError
        Some folders have the names of splits and others beside them have not; says what to do.
    """
    outer = {parts[0] for parts in images}
    splits = {name for name in outer if is_split_name(name)}
    if splits and splits != outer:
        raise _unclear(
            f"{root!r} holds folders named as splits ({_some(splits)}) beside others "
            f"({_some(outer - splits)})", root,
        )  # fmt: skip
    deep = {parts[0] for parts in images if len(parts) > 2}
    flat = {parts[0] for parts in images if len(parts) == 2}
    if splits:
        if deep and flat:
            raise _unclear(
                f"folders named as splits in {root!r} hold class folders ({_some(deep)}) and images without "
                f"one ({_some(flat)})", root,
            )  # fmt: skip
        return SPLIT_OVER_CLASS if deep else SPLIT_ALONE
    inner = {parts[1] for parts in images if len(parts) > 2}
    splits = {name for name in inner if is_split_name(name)}
    if splits and splits == inner and not flat:
        return CLASS_OVER_SPLIT
    kinds = {normal_name(name).lower() in _TRAIN_NAMES for name in splits}
    if len(kinds) > 1:  # images to test with would be among those to train with
        raise _unclear(
            f"some class folders of {root!r} hold folders named as splits ({_some(splits)}) and some images "
            "lie in none of them", root,
        )  # fmt: skip
    return CLASS_ALONE


def _unclear(what: str, root: str) -> ImageError:
    return ImageError(
        f"{what}; say {SPLITS}{root} (in Python from_folder(..., splits=True)) where the outer folders are "
        f"splits, {CLASSES}{root} (splits=False) where they are classes, rename the folders, or list the "
        "images in a CSV file with columns path, class, split"
    )


def describe_layout(layout: Layout, splits: Iterable[str], root: str) -> str | None:
    """Return the sentence that says what folders were taken for splits, None where none were."""
    if layout.split_depth is None:
        return None
    named = _some(set(splits))
    where = {
        SPLIT_OVER_CLASS: f"the folders {named} of {root!r} are taken for splits, those in them for classes",
        SPLIT_ALONE: f"the folders {named} of {root!r} are taken for splits of images without classes",
        CLASS_OVER_SPLIT: f"the folders {named} in the class folders of {root!r} are taken for splits",
    }[layout]
    other = "they are no splits" if layout is CLASS_OVER_SPLIT else "they are classes"
    return f"{where}; where {other}, say {CLASSES}{root} (in Python from_folder(..., splits=False))"


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return ", ".join(map(repr, ordered[:5])) + more
