"""Images as batches of tensors, in order, whatever single files are like."""

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images.reading import ImageRecord, read_row
from hueprobe.images.table import ImageTable
from hueprobe.images.transform import ToTensor, Transform, apply_transform
from hueprobe.threads import Map, computing_alone, default_workers, threaded_map


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of consecutive rows.

    Attributes
    ----------
    start : int
        Row of the first.
    images : Tensor of shape (B, channels, h, w), float32
        Zeros where unreadable; in the memory format channels_last, as networks here take them.
    records : tuple of ImageRecord
        One an image.
    """

    start: int
    images: Tensor
    records: tuple[ImageRecord, ...]


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
) -> Generator[Batch, None, None]:
    """Read the images of rows [start, stop) in order; a bad one keeps its slot.

    Parameters
    ----------
    table : ImageTable
    transform : Transform or callable
        Takes an RGB image to a float tensor of shape (channels, h, w), the same for every image. With
        workers it is called from several threads at once.
    batch_size : int
        Images a batch, counted from `start`; the last may have fewer.
    workers : int, optional
        Threads that decode and transform the images of a batch (decoders let go of Python's lock);
        0 does it in the caller's; None takes `default_workers`. The result is the same. The items
        of a Dataset are read by one thread, in order, since a Dataset need not stand more.
    ahead : int
        Batches that workers get ready while the caller works on one. 0 where the caller is a network
        on the CPU: its threads wait for each other again and again, and for one that shares its core.
    pinned : bool
        Batches in page-locked memory, from which CUDA copies without waiting.
    start, stop : int
        Rows; all by default.
    image_shape : (int, int, int), optional
        (channels, h, w) that the transform must give; without it that of the first readable image counts.

    Raises
    ------
    InputError
        A number is out of range, or the transform fails on an image.
    ShapeError
        The transform gives no (channels, h, w), or another shape than for the images before.
    NumericsError
        The transform makes NaN or infinite values.
    ImageError
        No image can be read and the shape is unknown, or the table's Dataset is gone.
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
    if start == stop:
        return _in_order(_Reader(table, transform, (), "", pinned), [], 0, 0)
    rows = range(start, stop)
    shape = transform.shape if type(transform) is Transform and not image_shape else image_shape
    if shape:
        shape_of = "that of the others"
    else:
        first = first_image(table, transform, rows)
        shape, shape_of = tuple(first.tensor.shape), repr(first.name)
    reader = _Reader(table, transform, tuple(shape), shape_of, pinned)
    batches = [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
    workers = min(workers, 1) if table.dataset is not None else workers
    return _in_order(reader, batches, workers, ahead if workers else 0)


def _load(
    table: ImageTable, transform: ToTensor, row: int, slot: np.ndarray | None = None
) -> tuple[Tensor | None, ImageRecord]:
    """Return the tensor of one row, on the memory of `slot` if that can be; None where it is unreadable."""
    image, record = read_row(table, row)
    if image is None:
        return None, record
    name = table.paths[row]
    try:
        if slot is not None and type(transform) is Transform:  # a class of one's own has its own ways
            return transform.into(image, slot), record
        return apply_transform(transform, image, name=name), record
    except ImageError as error:
        return None, ImageRecord(record.sha256, 0, 0, readable=False, reason=str(error))


@dataclass(frozen=True, eq=False)
class FirstImage:
    """The first image of a table that can be read.

    Attributes
    ----------
    name : str
        Its path in the table.
    size : (int, int)
        Its width and height in pixels, as it lies on disk.
    tensor : Tensor of shape (channels, h, w), float32
        What the transform makes of it.
    """

    name: str
    size: tuple[int, int]
    tensor: Tensor


def first_image(table: ImageTable, transform: ToTensor, rows: range | None = None) -> FirstImage:
    """Read images until one can be read.

    Parameters
    ----------
    table : ImageTable
    transform : Transform or callable
        As in `load_batches`.
    rows : range, optional
        Those to try, in order; all by default.

    Raises
    ------
    ImageError
        None can be read; says why the first cannot.
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
    """Rows to batches of one shape."""

    table: ImageTable
    transform: ToTensor
    shape: tuple[int, ...]
    shape_of: str
    pinned: bool

    def begin(self, rows: range, each: Map) -> Callable[[], Batch]:
        """Hand a batch's rows to `each` (a kind of `map`); return what waits for them and gives the batch."""
        channels, height, width = self.shape
        slots = torch.empty(len(rows), height, width, channels, pin_memory=self.pinned)
        records = each(self._fill, slots.numpy(), rows)
        return lambda: Batch(rows[0], slots.permute(0, 3, 1, 2), tuple(records))

    def _fill(self, slot: np.ndarray, row: int) -> ImageRecord:
        tensor, record = _load(self.table, self.transform, row, slot)
        if tensor is None:
            slot[:] = 0
            return record
        if tensor.shape != self.shape:
            raise ShapeError(
                f"image {self.table.paths[row]!r} has shape {tuple(tensor.shape)} after the transform, "
                f"{self.shape_of} is {tuple(self.shape)}; all need one size, so resize or crop them"
            )
        pixels = tensor.permute(1, 2, 0).numpy()
        if not np.may_share_memory(pixels, slot):
            slot[:] = pixels  # torch would share so small a copy among its threads
        return record


def _in_order(
    reader: _Reader, batches: list[range], workers: int, ahead: int
) -> Generator[Batch, None, None]:
    """Yield the batches; no thread outlives the iterator, however it ends."""
    with threaded_map(workers, name="hueprobe-read", before=computing_alone()) as each:
        begun: deque[Callable[[], Batch]] = deque()
        for rows in batches:
            begun.append(reader.begin(rows, each))
            if len(begun) > ahead:
                yield begun.popleft()()
        while begun:
            yield begun.popleft()()
