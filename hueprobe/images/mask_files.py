"""Masks of images: their files, what they hold, and the labels of their values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.errors import InputError, ShapeError
from hueprobe.images.label_names import LabelSet
from hueprobe.images.masks import read_values
from hueprobe.progress import progress_bar
from hueprobe.threads import default_workers, threaded_map


@dataclass(frozen=True, eq=False, repr=False)
class Masks:
    """The masks of the images of a table, in their order, and the labels of the pixel values.

    Attributes
    ----------
    files : tuple of str
        Absolute path of each image's mask.
    sha256 : tuple of str
        Hash of each file when it was found.
    labels : LabelSet
        The labels.

    See Also
    --------
    hueprobe.images.pair_masks : Find masks.

    Examples
    --------
    >>> masks = hp.images.pair_masks("images", "masks", names=["background", "shape"])
    >>> masks
    <Masks of 12 images: the 2 labels are the values 0 and 1, 255 ignored>
    >>> masks.read(0).shape
    (64, 64)
    """

    files: tuple[str, ...]
    sha256: tuple[str, ...]
    labels: LabelSet

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.files)

    def __repr__(self) -> str:
        """Return one line with the number of masks and the labels."""
        return f"<Masks of {len(self)} images: {self.labels.in_words}>"

    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return the mask of row `i` as ids of labels.

        Parameters
        ----------
        i : int
            Row of the image.
        size : (int, int), optional
            Width and height of the upright image, which the mask must have.

        Returns
        -------
        ndarray of int32, shape (h, w)
            Ids of labels; -1 for ignored pixels.

        Raises
        ------
        ImageError, InputError
            See `hueprobe.images.read_mask`.
        ShapeError
            The mask has another size.
        InputError
            The file has changed since it was found.

        Examples
        --------
        >>> masks = hp.images.pair_masks("images", "masks")
        >>> np.unique(masks.read(0))
        array([0, 1], dtype=int32)
        """
        file = self.files[i]
        values, sha256 = read_values(file, file)
        height, width = values.shape
        if size is not None and size != (width, height):
            turned = (
                "; save the mask upright, as the image is seen with its EXIF orientation"
                if size == (height, width)
                else "; masks and images must have the same size"
            )
            raise ShapeError(
                f"mask {file!r} has {width} x {height} pixels, its image {size[0]} x {size[1]}{turned}"
            )
        if sha256 != self.sha256[i]:
            raise InputError(f"mask {file!r} has changed since the start; run the same again")
        return as_labels(values, self.labels, file)


def as_labels(values: np.ndarray, labels: LabelSet, file: str) -> np.ndarray:
    """Return the labels of a mask's values; raise InputError with its file for a value that is none."""
    try:
        return labels.of_values(values)
    except InputError as error:
        raise InputError(f"mask {file!r} {error}") from None


def survey_masks(
    files: Sequence[str], workers: int | None, progress: bool
) -> tuple[list[frozenset[int]], list[str]]:
    """Return the distinct values of each mask, and its sha256."""
    n = default_workers() if workers is None else workers
    step = 16 * max(n, 1)
    values, hashes = [], []
    with (
        threaded_map(n, name="hueprobe-masks") as each,
        progress_bar(len(files), label="masks", unit="masks", enabled=progress) as advance,
    ):
        for start in range(0, len(files), step):
            for its, sha256 in each(_survey, files[start : start + step]):
                values.append(its)
                hashes.append(sha256)
                advance(1)
    return values, hashes


def _survey(file: str) -> tuple[frozenset[int], str]:
    values, sha256 = read_values(file, file)
    return frozenset(np.flatnonzero(np.bincount(values.reshape(-1))).tolist()), sha256
