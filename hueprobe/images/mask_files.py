"""Masks of images: their files, what they hold, and the labels of their values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hueprobe.errors import InputError, ShapeError
from hueprobe.images.decoding import opened, orientation_of
from hueprobe.images.label_names import LabelSet
from hueprobe.images.masks import read_values
from hueprobe.progress import progress_bar
from hueprobe.threads import default_workers, threaded_map

_MOST_UNTURNED = 4  # EXIF orientations above exchange width and height
_HEADER = 1 << 18  # bytes of an image that hold its size; a TIFF may hold it elsewhere


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

    def select(self, rows: Sequence[int]) -> "Masks":
        """Return the masks of some rows, in the given order.

        Parameters
        ----------
        rows : sequence of int
            Rows to keep, in any order.

        Returns
        -------
        Masks

        Examples
        --------
        >>> hp.images.pair_masks("images", "masks").select(range(4, 8))
        <Masks of 4 images: the 2 labels are the values 0 and 1, 255 ignored>
        """
        files, sha256 = ([column[i] for i in rows] for column in (self.files, self.sha256))
        return replace(self, files=tuple(files), sha256=tuple(sha256))

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
            raise _other_size(file, (width, height), size)
        if sha256 != self.sha256[i]:
            raise InputError(f"mask {file!r} has changed since the start; run the same again")
        return as_labels(values, self.labels, file)


def as_labels(values: np.ndarray, labels: LabelSet, file: str) -> np.ndarray:
    """Return the labels of a mask's values; raise InputError with its file for a value that is none."""
    try:
        return labels.of_values(values)
    except InputError as error:
        raise InputError(f"mask {file!r} {error}") from None


def _other_size(file: str, size: tuple[int, int], of_image: tuple[int, int]) -> ShapeError:
    remedy = (
        "save the mask upright, as the image is seen with its EXIF orientation"
        if size == of_image[::-1]
        else "masks and images must have the same size"
    )
    return ShapeError(
        f"mask {file!r} has {size[0]} x {size[1]} pixels, its image {of_image[0]} x {of_image[1]}; {remedy}"
    )


def survey_masks(
    files: Sequence[str], images: Sequence[Path | None], workers: int | None, progress: bool
) -> tuple[list[frozenset[int]], list[str]]:
    """Return the distinct values of each mask, and its sha256.

    Parameters
    ----------
    files : sequence of str
        Files of the masks.
    images : sequence of Path or None
        File of each image, if it is one.
    workers : int or None
        Number of threads; None chooses one per core.
    progress : bool
        Whether to show a progress bar.

    Raises
    ------
    ImageError
        A mask cannot be read.
    ShapeError
        A mask has another size than the header of its image says, turned or not.
    """
    n = default_workers() if workers is None else workers
    step = 16 * max(n, 1)
    values, hashes = [], []
    with (
        threaded_map(n, name="hueprobe-masks") as each,
        progress_bar(len(files), label="masks", unit="masks", enabled=progress) as advance,
    ):
        for start in range(0, len(files), step):
            rows = slice(start, start + step)
            for its, sha256 in each(survey_mask, files[rows], images[rows]):
                values.append(frozenset(its.tolist()))
                hashes.append(sha256)
                advance(1)
    return values, hashes


def survey_mask(file: str, image: Path | None) -> tuple[np.ndarray, str]:
    """Return the distinct values of a mask, ascending, and its sha256.

    Parameters
    ----------
    file : str
        File of the mask.
    image : Path or None
        File of its image, if it is one.

    Raises
    ------
    ImageError
        The mask cannot be read.
    ShapeError
        It has another size than the header of its image says, turned or not.
    """
    values, sha256 = read_values(file, file)
    height, width = values.shape
    sizes = () if image is None else _sizes_in_header(image)
    if sizes and (width, height) not in sizes:  # found before hours of work
        raise _other_size(file, (width, height), sizes[0])
    return np.flatnonzero(np.bincount(values.reshape(-1))), sha256


def _sizes_in_header(image: Path) -> tuple[tuple[int, int], ...]:
    """Return the sizes that an upright image may have by its first bytes; none if they do not show its size.

    The EXIF orientation of a JPEG is among these bytes, that of other formats may follow the pixels.
    """
    try:
        with image.open("rb") as file, opened(file.read(_HEADER)) as header:
            size = header.size
            is_jpeg = header.format in ("JPEG", "MPO")
            is_turned = is_jpeg and orientation_of(header) > _MOST_UNTURNED
    except Exception:  # an unreadable image needs no mask; a size that is not found is checked later
        return ()
    if is_jpeg:
        return (size[::-1] if is_turned else size,)
    return (size, size[::-1])
