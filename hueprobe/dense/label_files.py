"""Label maps as index PNGs: the pixel values are those of the masks of the memory."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from hueprobe.dense.colors import label_colors
from hueprobe.errors import InputError
from hueprobe.files import written_whole
from hueprobe.images.label_names import MOST_VALUE, LabelSet

_ENDING = ".png"


def no_label_value(labels: LabelSet) -> int:
    """Return the pixel value of pixels without a label: the largest ignored one, or else a free one.

    Parameters
    ----------
    labels : LabelSet
        The labels.
    """
    if labels.ignore:
        return labels.ignore[-1]
    free = set(range(256)) - set(labels.values)
    return max(free) if free else next(v for v in range(256, MOST_VALUE + 1) if v not in labels.values)


def write_label_map(path: str | Path, label_map: np.ndarray, labels: LabelSet) -> None:
    """Write a label map as an index PNG: with a palette up to the value 255, of 16 bits above.

    Pixels without a label have the largest ignored value, usually 255.

    Parameters
    ----------
    path : path
        File to write.
    label_map : ndarray of int, shape (h, w)
        Ids of labels; -1 for none.
    labels : LabelSet
        Labels and their pixel values.

    See Also
    --------
    hueprobe.images.read_mask : Read it again.

    Examples
    --------
    >>> labels = hp.images.LabelSet(("sky", "road"), (0, 7))
    >>> write_label_map("map.png", np.array([[0, 1, -1]]), labels)
    >>> hp.images.read_mask("map.png", labels)
    array([[ 0,  1, -1]], dtype=int32)
    """
    none = no_label_value(labels)
    values = np.array([*labels.values, none])[np.asarray(label_map)]  # -1 is the last
    if max(*labels.values, none) > 255:
        image = Image.fromarray(values.astype(np.uint16))
    else:
        image = Image.fromarray(values.astype(np.uint8))
        colors = np.full((256, 3), 255, np.uint8)
        colors[list(labels.values)] = label_colors(len(labels))
        image.putpalette(colors.reshape(-1).tolist())
    with written_whole(Path(path)) as file:
        image.save(file, format="PNG")


def label_file_names(images: Sequence[str]) -> tuple[str, ...]:
    """Return where the label map of each image goes in a folder: its own path, ending in .png.

    Images that differ in their ending alone keep it before `.png`. Absolute paths are told from their common
    folder.

    Parameters
    ----------
    images : sequence of str
        Path of each image, POSIX.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        Two images have the same path.

    See Also
    --------
    hueprobe.dense.write_label_map : Write one.

    Examples
    --------
    >>> label_file_names(["a/1.jpg", "a/2.jpg", "a/2.png"])
    ('a/1.png', 'a/2.jpg.png', 'a/2.png.png')
    """
    parts = [[part for part in PurePosixPath(path).parts if part not in ("/", "..")] for path in images]
    if any(PurePosixPath(path).is_absolute() for path in images):
        least = min(map(len, parts)) - 1
        shared = 0
        while shared < least and len({its[shared] for its in parts}) == 1:
            shared += 1
        parts = [its[shared:] for its in parts]
    paths = [PurePosixPath(*its) for its in parts]
    short = [str(path.with_suffix(_ENDING)) for path in paths]
    names = tuple(
        name if short.count(name) == 1 else f"{path}{_ENDING}"
        for name, path in zip(short, paths, strict=True)
    )
    if len(set(names)) < len(names):
        twice = next(image for image, name in zip(images, names, strict=True) if names.count(name) > 1)
        raise InputError(f"two images have the path {twice!r}; give images with different paths")
    return names
