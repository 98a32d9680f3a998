"""Images for training: held in memory or read again each epoch, cropped and flipped under a seed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images.loading import Batch, load_batches
from hueprobe.images.table import ImageTable
from hueprobe.images.transform import IMAGENET_MEAN, IMAGENET_STD, Transform
from hueprobe.progress import progress_bar

_READ_TOGETHER = 64


@dataclass(eq=False, kw_only=True)
class TrainingImages:
    """Labeled square images of one size; made by `load_images` or `images_from_arrays`.

    Attributes
    ----------
    class_names : tuple of str
        The M class names.
    targets : Tensor of int64, shape (n,)
        Class of each image, 0 to M - 1.
    side : int
        R, the side of the images in pixels before cropping.
    fingerprint : str
        Hash that identifies the data: of names, classes and side, or of the pixels of arrays without names.
    pixels : Tensor of uint8, shape (n, 3, R, R), or None
        The images; None if they are read again each epoch.
    table : ImageTable or None
        The images' files; None for arrays.
    workers : int or None
        Threads that read files each epoch; None for one per core, 0 for the main thread.
    skipped : dict of int to (str, str)
        Row, path and reason of each image that could not be read. Batches leave these images out.

    See Also
    --------
    hueprobe.training.load_images : Load image files.
    hueprobe.training.images_from_arrays : Take arrays.
    hueprobe.training.train : Train on the images.

    Examples
    --------
    >>> images = hp.training.load_images(hp.images.from_folder("images"), side=36)
    >>> len(images), images.class_names, images.pixels.shape
    (12, ('circle', 'square', 'triangle'), torch.Size([12, 3, 36, 36]))
    """

    class_names: tuple[str, ...]
    targets: Tensor
    side: int
    fingerprint: str
    pixels: Tensor | None = None
    table: ImageTable | None = None
    workers: int | None = 0
    skipped: dict[int, tuple[str, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of images, including unreadable ones."""
        return len(self.targets)

    def shuffled_batches(
        self, *, batch_size: int, crop: int, flip: bool, seed: int, epoch: int, device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of one epoch, in random order, with random crops and flips.

        All draws depend only on `seed` and `epoch`. Images in memory and images read by workers give the
        same batches, and every loss sees the same batches.

        Parameters
        ----------
        batch_size : int
            Images per batch; a last batch of one image is left out.
        crop : int
            Side of the random square crop in pixels.
        flip : bool
            Whether to flip images horizontally with probability 0.5.
        seed : int
            Seed of the draws.
        epoch : int
            Epoch, counted from 0.
        device : torch.device
            Device of the batches.

        Yields
        ------
        (Tensor of float32, shape (B, 3, crop, crop), Tensor of int64, shape (B,))
            Normalized images and their classes, at least two.

        Raises
        ------
        InputError
            The crop is larger than the images.

        Examples
        --------
        >>> images = hp.training.load_images(hp.images.from_folder("images"), side=36)
        >>> import torch
        >>> batches = images.shuffled_batches(
        ...     batch_size=8, crop=32, flip=True, seed=0, epoch=0, device=torch.device("cpu")
        ... )
        >>> [tuple(batch.shape) for batch, targets in batches]
        [(8, 3, 32, 32), (4, 3, 32, 32)]
        """
        require_crop(crop, self.side)
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(len(self))
        corners = rng.integers(self.side - crop + 1, size=(len(self), 2))
        mirrored = rng.random(len(self)) < (0.5 if flip else 0.0)
        for rows, images in self._raw(order, batch_size):
            if len(rows) >= 2:
                cropped = _cropped(images, corners[rows], mirrored[rows], crop, device)
                yield cropped, self.targets[rows].to(device)

    def batches(
        self, *, batch_size: int, crop: int, device: torch.device
    ) -> Iterator[tuple[Tensor, np.ndarray]]:
        """Yield batches of center crops in order, with their rows.

        Parameters
        ----------
        batch_size : int
            Images per batch. Unreadable images count, but are left out of the batch.
        crop : int
            Side of the square center crop in pixels.
        device : torch.device
            Device of the batches.

        Yields
        ------
        (Tensor of float32, shape (B, 3, crop, crop), ndarray of int64, shape (B,))
            Normalized images and their rows.

        Raises
        ------
        InputError
            The crop is larger than the images.

        Examples
        --------
        >>> images = hp.training.load_images(hp.images.from_folder("images"), side=36)
        >>> import torch
        >>> for batch, rows in images.batches(batch_size=8, crop=32, device=torch.device("cpu")):
        ...     print(tuple(batch.shape), rows)
        (8, 3, 32, 32) [0 1 2 3 4 5 6 7]
        (4, 3, 32, 32) [ 8  9 10 11]
        """
        require_crop(crop, self.side)
        corner = (self.side - crop) // 2
        for rows, images in self._raw(np.arange(len(self)), batch_size):
            if len(rows):
                corners, mirrored = np.full((len(rows), 2), corner), np.zeros(len(rows), bool)
                yield _cropped(images, corners, mirrored, crop, device), rows

    def select(self, rows: np.ndarray) -> "TrainingImages":
        """Return a subset of the images.

        Parameters
        ----------
        rows : ndarray of int64
            Rows of the images, in the order of the subset.

        Returns
        -------
        TrainingImages
            With a fingerprint of its own.

        Examples
        --------
        >>> images = hp.training.load_images(hp.images.from_folder("images"), side=36)
        >>> images.select(np.array([0, 11])).targets
        tensor([0, 2])
        """
        chosen = torch.from_numpy(rows)
        numbers = rows.tolist()
        return replace(
            self,
            targets=self.targets[chosen],
            fingerprint=hashlib.sha256(f"{self.fingerprint} {numbers}".encode()).hexdigest(),
            pixels=None if self.pixels is None else self.pixels[chosen.to(self.pixels.device)],
            table=None if self.table is None else self.table.select(rows),
            skipped={new: self.skipped[old] for new, old in enumerate(numbers) if old in self.skipped},
        )

    def on(self, device: torch.device) -> "TrainingImages":
        """Move pixels held in memory to a device, in place.

        Parameters
        ----------
        device : torch.device
            The device.

        Returns
        -------
        TrainingImages
            The same object.

        Examples
        --------
        >>> images = hp.training.load_images(hp.images.from_folder("images"), side=36)
        >>> import torch
        >>> images.on(torch.device("cpu")).pixels.device
        device(type='cpu')
        """
        if self.pixels is not None:
            self.pixels = self.pixels.to(device)
        return self

    def _raw(self, order: np.ndarray, batch_size: int) -> Iterator[tuple[np.ndarray, list[Tensor]]]:
        """Yield rows and uint8 images (3, R, R) of each batch, without those that cannot be read."""
        if self.pixels is not None:
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                rows = rows[[row not in self.skipped for row in rows.tolist()]]
                yield rows, [self.pixels[row] for row in rows.tolist()]
            return
        assert self.table is not None
        chosen = self.table.select(order)
        for batch in load_batches(chosen, _reader(self.side), batch_size=batch_size, workers=self.workers):
            rows = order[batch.start : batch.start + len(batch.records)]
            _note_unreadable(self.table, rows, batch, self.skipped)
            readable = np.array([record.readable for record in batch.records])
            yield rows[readable], list(_as_bytes(batch.images)[torch.from_numpy(readable)])


def load_images(
    table: ImageTable,
    *,
    side: int,
    class_names: Sequence[str] | None = None,
    in_memory: bool = True,
    workers: int | None = 0,
    progress: bool = False,
    label: str = "reading",
) -> TrainingImages:
    """Load an image table's images for training or testing.

    Parameters
    ----------
    table : ImageTable
        Images that all have a class.
    side : int
        R: the shorter side is resized to R pixels, and the square center crop is kept.
    class_names : sequence of str, optional
        Class names in the order of their numbers; by default those of the table, sorted. Pass the class
        names of the training images when loading test images.
    in_memory : bool, default=True
        Read all images once and hold 3 R^2 bytes per image; otherwise read them again each epoch.
    workers : int, optional, default=0
        Threads that read images; None for one per core, 0 reads in the main thread.
    progress : bool, default=False
        Show a progress bar while images are read into memory.
    label : str, default="reading"
        Label of the progress bar.

    Returns
    -------
    TrainingImages
        The images; those that cannot be read are listed in `skipped`.

    Raises
    ------
    InputError
        There are fewer than two classes, images without a class, or a class that is not in `class_names`.
    ImageError
        No image can be read.

    See Also
    --------
    hueprobe.training.training_parts : Find the training and test parts of a table.
    hueprobe.training.images_from_arrays : Take arrays instead of files.

    Examples
    --------
    >>> table = hp.images.from_folder("images")
    >>> images = hp.training.load_images(table, side=36)
    >>> images.targets
    tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
    """
    names = _class_names(table, class_names)
    targets = torch.tensor([names.index(name) for name in table.classes if name is not None])
    listed = (tuple(table.paths), tuple(table.classes), tuple(table.sizes))
    told = hashlib.sha256(repr((*listed, names, side)).encode()).hexdigest()
    made = TrainingImages(
        class_names=names, targets=targets, side=side, fingerprint=told, table=table, workers=workers
    )
    if not in_memory:
        return made
    pixels = torch.zeros(len(table), 3, side, side, dtype=torch.uint8)
    with progress_bar(len(table), label=label, enabled=progress) as advance:
        for batch in load_batches(table, _reader(side), batch_size=_READ_TOGETHER, workers=workers):
            rows = np.arange(batch.start, batch.start + len(batch.records))
            pixels[batch.start : batch.start + len(batch.records)] = _as_bytes(batch.images)
            _note_unreadable(table, rows, batch, made.skipped)
            advance(len(rows))
    if len(made.skipped) == len(table):
        raise ImageError(f"none of {len(table)} images could be read; the first: {made.skipped[0][1]}")
    made.pixels = pixels
    return made


def images_from_arrays(
    pixels: np.ndarray, targets: np.ndarray, *, class_names: Sequence[str]
) -> TrainingImages:
    """Make training images from arrays, such as those of CIFAR or the digits of scikit-learn.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, 3, R, R) or (n, R, R)
        Color or gray images.
    targets : ndarray of int, shape (n,)
        Class of each image, 0 to M - 1.
    class_names : sequence of str, length M
        Class names in the order of their numbers.

    Returns
    -------
    TrainingImages
        The images, held in memory.

    Raises
    ------
    ShapeError
        The shapes are not as above, or do not fit each other.
    InputError
        Pixels are not uint8, targets are not class numbers, or there are fewer than two classes.

    See Also
    --------
    hueprobe.training.load_images : Load image files.

    Examples
    --------
    >>> pixels = np.zeros((4, 8, 8), np.uint8)  # gray
    >>> images = hp.training.images_from_arrays(pixels, np.array([0, 1, 1, 0]), class_names=["no", "yes"])
    >>> images.side, images.pixels.shape
    (8, torch.Size([4, 3, 8, 8]))
    """
    pixels, labels = np.asarray(pixels), np.asarray(targets)
    if pixels.ndim == 3:
        pixels = np.repeat(pixels[:, None], 3, axis=1)
    if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.shape[2] != pixels.shape[3] or not len(pixels):
        raise ShapeError(f"pixels have shape {pixels.shape}; give (n, 3, R, R), or (n, R, R) for gray images")
    if labels.shape != (len(pixels),):
        raise ShapeError(
            f"targets have shape {labels.shape}; give one class number for each of {len(pixels)}"
        )
    if pixels.dtype != np.uint8:
        raise InputError(f"pixels are {pixels.dtype}; give uint8, 0 to 255")
    names = tuple(class_names)
    _require_two(names)
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(names):
        raise InputError(
            f"targets are {labels.dtype} from {labels.min()} to {labels.max()}; with {len(names)} classes "
            f"they must be integers from 0 to {len(names) - 1}"
        )
    digest = hashlib.sha256(pixels.tobytes())
    digest.update(repr((labels.tolist(), names)).encode())
    return TrainingImages(
        class_names=names,
        targets=torch.from_numpy(labels.astype(np.int64)),
        side=pixels.shape[2],
        fingerprint=digest.hexdigest(),
        pixels=torch.from_numpy(np.ascontiguousarray(pixels)),
    )


def require_crop(crop: int, side: int) -> None:
    """Raise InputError if a crop is larger than the images."""
    if crop > side:
        raise InputError(
            f"crop is {crop}, but the images have a side of {side}; use a smaller crop or a larger side"
        )


def _cropped(
    images: list[Tensor], corners: np.ndarray, mirrored: np.ndarray, crop: int, device: torch.device
) -> Tensor:
    """Crop at each image's (y, x), flip and normalize, on the device; (B, 3, crop, crop)."""
    cuts = [
        image[:, y : y + crop, x : x + crop] for image, (y, x) in zip(images, corners.tolist(), strict=True)
    ]
    batch = torch.stack([cut.flip(2) if turned else cut for cut, turned in zip(cuts, mirrored, strict=True)])
    mean, std = (
        torch.tensor(values, device=device)[:, None, None] * 255 for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return batch.to(device).float().sub_(mean).div_(std)


def _reader(side: int) -> Transform:
    return Transform(resize=side, crop=side, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def _as_bytes(images: Tensor) -> Tensor:
    return (images * 255).round().to(torch.uint8)


def _note_unreadable(
    table: ImageTable, rows: np.ndarray, batch: Batch, skipped: dict[int, tuple[str, str]]
) -> None:
    for row, record in zip(rows.tolist(), batch.records, strict=True):
        if not record.readable:
            skipped[row] = (table.paths[row], record.reason or "unreadable")


def _class_names(table: ImageTable, wanted: Sequence[str] | None) -> tuple[str, ...]:
    if not table.labeled:
        missing = sum(name is None for name in table.classes)
        raise InputError(f"{missing} of {len(table)} images have no class; training needs a class for each")
    names = tuple(wanted) if wanted is not None else table.class_names
    _require_two(names)
    if unknown := sorted(set(table.class_names) - set(names)):
        raise InputError(f"class {unknown[0]!r} is not among the {len(names)} training classes")
    return names


def _require_two(names: tuple[str, ...]) -> None:
    if len(names) < 2:
        raise InputError(f"the number of classes is {len(names)}; training needs at least 2")
