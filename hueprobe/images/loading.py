"""Loading of images as batches of tensors, in order, including unreadable ones."""

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images.label_names import IGNORED
from hueprobe.images.mask_files import Masks
from hueprobe.images.masks import mask_as_seen, require_geometry
from hueprobe.images.reading import ImageRecord, read_row
from hueprobe.images.table import ImageTable
from hueprobe.images.transform import ToTensor, Transform, apply_transform
from hueprobe.threads import Map, computing_alone, default_workers, threaded_map


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of images of consecutive rows.

    Attributes
    ----------
    start : int
        Row of the first image.
    images : Tensor of shape (B, channels, h, w), float32
        The transformed images, in memory format channels_last; zeros for unreadable ones.
    records : tuple of ImageRecord
        One record per image.
    labels : tuple of (ndarray of int32, shape (h, w)), or None
        The mask of each image at the same size: ids of labels, -1 for ignored pixels; all -1 for unreadable
        images. None without masks.

    See Also
    --------
    hueprobe.images.load_batches : Load batches.

    Examples
    --------
    >>> batch = next(load_batches(hp.images.from_folder("images"), transform, batch_size=8))
    >>> batch.start, tuple(batch.images.shape), batch.records[0].width
    (0, (8, 3, 64, 64), 64)
    """

    start: int
    images: Tensor
    records: tuple[ImageRecord, ...]
    labels: tuple[np.ndarray, ...] | None = None


def load_batches(
    table: ImageTable,
    transform: ToTensor,
    *,
    batch_size: int,
    workers: int | None = 0,
    ahead: int = 0,
    pinned: bool = False,
    start: int = 0,
    stop: int | None = None,
    image_shape: tuple[int, ...] | None = None,
    masks: Masks | None = None,
) -> Generator[Batch, None, None]:
    """Load the images of rows [start, stop) as batches, in order.

    An unreadable image keeps its place in the batch, as zeros.

    Parameters
    ----------
    table : ImageTable
        Images to load.
    transform : Transform or callable
        Function from an RGB image to a float tensor of shape (channels, h, w), the same for all images.
        With workers, it is called from several threads at once.
    batch_size : int
        Number of images per batch, counted from `start`; the last batch may have fewer.
    workers : int, default=0
        Number of threads that decode and transform images. 0 decodes in the caller's thread; None chooses
        a number that suits the CPU. The result is the same. A Dataset is always read by at most one
        thread, in order, since it need not be thread-safe.
    ahead : int, default=0
        Number of batches that workers prepare in advance. Use 0 for a network on the CPU, whose threads
        would have to share their cores with the workers.
    pinned : bool, default=False
        Whether batches are in page-locked memory, from which CUDA copies asynchronously.
    start : int, default=0
        First row.
    stop : int, optional
        Row after the last; None for all rows.
    image_shape : (int, int, int), optional
        Required output shape (channels, h, w) of the transform; None uses that of the first readable image.
    masks : Masks, optional
        Mask of each image of the table; each goes through the geometry of the transform.

    Yields
    ------
    Batch
        Images of consecutive rows.

    Raises
    ------
    InputError
        If a number is out of range, if the transform fails on an image, or if its geometry is unknown but
        there are masks; or as in `Masks.read`.
    ShapeError
        If the output of the transform is not (channels, h, w), or differs between images; or if a mask and
        its image differ in size.
    NumericsError
        If the output of the transform has NaN or infinite values.
    ImageError
        If no image can be read and the shape is unknown, or if the table's Dataset is missing.

    See Also
    --------
    hueprobe.images.Transform : The transform of a memory.
    hueprobe.activations.Extractor : Extract activations of a batch.

    Examples
    --------
    >>> batches = load_batches(hp.images.from_folder("images"), transform, batch_size=8)
    >>> [tuple(batch.images.shape) for batch in batches]
    [(8, 3, 64, 64), (4, 3, 64, 64)]
    """
    stop = len(table) if stop is None else stop
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1")
    workers = default_workers() if workers is None else workers
    for name, value in (("workers", workers), ("ahead", ahead)):
        if value < 0:
            raise InputError(f"{name} is {value}; it must be 0 or more")
    if not 0 <= start <= stop <= len(table):
        raise InputError(f"rows {start} to {stop} of {len(table)}; need 0 <= start <= stop <= {len(table)}")
    if masks is not None:
        require_geometry(transform)
    if start == stop:
        return _in_order(_Reader(table, transform, (), "", pinned, masks), [], 0, 0)
    rows = range(start, stop)
    shape = transform.shape if type(transform) is Transform and not image_shape else image_shape
    if shape:
        shape_of = "that of the others"
    else:
        first = first_image(table, transform, rows)
        shape, shape_of = tuple(first.tensor.shape), repr(first.name)
    reader = _Reader(table, transform, tuple(shape), shape_of, pinned, masks)
    batches = [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
    workers = min(workers, 1) if table.dataset is not None else workers
    return _in_order(reader, batches, workers, ahead if workers else 0)


def _load(
    table: ImageTable, transform: ToTensor, row: int, slot: np.ndarray | None = None
) -> tuple[Tensor | None, ImageRecord]:
    """Return the tensor of one row, in `slot` if possible; None if the image is unreadable."""
    image, record = read_row(table, row)
    if image is None:
        return None, record
    name = table.paths[row]
    try:
        if slot is not None and type(transform) is Transform:  # subclasses may override __call__
            return transform.into(image, slot), record
        return apply_transform(transform, image, name=name), record
    except ImageError as error:
        return None, ImageRecord(record.sha256, 0, 0, readable=False, reason=str(error))


@dataclass(frozen=True, eq=False)
class FirstImage:
    """The first readable image of a table.

    Attributes
    ----------
    name : str
        Path in the table.
    size : (int, int)
        Width and height in pixels, before the transform.
    tensor : Tensor of shape (channels, h, w), float32
        Output of the transform.
    """

    name: str
    size: tuple[int, int]
    tensor: Tensor


def first_image(table: ImageTable, transform: ToTensor, rows: range | None = None) -> FirstImage:
    """Return the first readable image.

    Parameters
    ----------
    table : ImageTable
        Images to try.
    transform : Transform or callable
        As in `load_batches`.
    rows : range, optional
        Rows to try, in order; None for all.

    Raises
    ------
    ImageError
        If no image can be read; reports the reason for the first.
    InputError, ShapeError
        As in `load_batches`.
    """
    reason = None
    rows = range(len(table)) if rows is None else rows
    for row in rows:
        tensor, record = _load(table, transform, row)
        if tensor is not None:
            return FirstImage(table.paths[row], (record.width, record.height), tensor)
        reason = reason or record.reason
    raise ImageError(f"none of {len(rows)} images could be read; the first: {reason}")


@dataclass(frozen=True, eq=False)
class _Reader:
    """Reads rows as batches of one shape."""

    table: ImageTable
    transform: ToTensor
    shape: tuple[int, ...]
    shape_of: str
    pinned: bool
    masks: Masks | None

    def begin(self, rows: range, each: Map) -> Callable[[], Batch]:
        """Start reading a batch with `each` (a `map`); return a function that waits for the batch."""
        channels, height, width = self.shape
        slots = torch.empty(len(rows), height, width, channels, pin_memory=self.pinned)
        filled = each(self._fill, slots.numpy(), rows)

        def finished() -> Batch:
            records, labels = zip(*filled, strict=True)
            images = slots.permute(0, 3, 1, 2)
            return Batch(rows[0], images, records, None if self.masks is None else labels)

        return finished

    def _fill(self, slot: np.ndarray, row: int) -> tuple[ImageRecord, np.ndarray | None]:
        """Write an image to its slot; return its record and its mask as seen."""
        record = self._fill_image(slot, row)
        if self.masks is None:
            return record, None
        if not record.readable:
            return record, np.full(slot.shape[:2], IGNORED, np.int32)
        mask = self.masks.read(row, (record.width, record.height))
        return record, mask_as_seen(mask, self.transform)

    def _fill_image(self, slot: np.ndarray, row: int) -> ImageRecord:
        tensor, record = _load(self.table, self.transform, row, slot)
        if tensor is None:
            slot[:] = 0
            return record
        if tensor.shape != self.shape:
            raise ShapeError(
                f"image {self.table.paths[row]!r} has shape {tuple(tensor.shape)} after the transform, "
                f"{self.shape_of} is {tuple(self.shape)}; all must have one size, so resize or crop them"
            )
        pixels = tensor.permute(1, 2, 0).numpy()
        if not np.may_share_memory(pixels, slot):
            slot[:] = pixels  # torch would divide even so small a copy among its threads
        return record


def _in_order(
    reader: _Reader, batches: list[range], workers: int, ahead: int
) -> Generator[Batch, None, None]:
    """Yield the batches; threads end with the iterator, however it ends."""
    with threaded_map(workers, name="hueprobe-read", before=computing_alone()) as each:
        begun: deque[Callable[[], Batch]] = deque()
        for rows in batches:
            begun.append(reader.begin(rows, each))
            if len(begun) > ahead:
                yield begun.popleft()()
        while begun:
            yield begun.popleft()()
