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
from hueprobe.images.transform import ToTensor, Transform
from hueprobe.threads import Map, computing_alone, default_workers, threaded_map


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of consecutive rows.

    Attributes
    ----------
    start : int
        Row of the first.
    images : Tensor of shape (B, 3, h, w), float32
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
        Takes an RGB image to a float tensor of shape (3, h, w), the same for every image. With
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
        (3, h, w) that the transform must give; without it that of the first readable image counts.

    Raises
    ------
    InputError
        A number is out of range, or the transform fails on an image.
    ShapeError
        The transform gives no (3, h, w), or another shape than for the images before.
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
    shape = transform.shape if isinstance(transform, Transform) and not image_shape else image_shape
    shape, shape_of = (shape, "image_shape") if shape else _first_shape(table, transform, rows)
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
        if slot is not None and isinstance(transform, Transform):
            tensor = transform.into(image, slot)
        else:
            tensor = transform(image)
    except ImageError as error:
        return None, ImageRecord(record.sha256, 0, 0, readable=False, reason=str(error))
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"the transform fails on image {name!r}: {text}") from error
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        what = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise InputError(f"the transform gives {what} for image {name!r}; it must give a float tensor")
    if tensor.ndim != 3 or tensor.shape[0] != 3 or not tensor.numel():
        raise ShapeError(f"the transform gives {tuple(tensor.shape)} for image {name!r}; need (3, h, w)")
    return tensor.detach().to(torch.float32), record


def _first_shape(table: ImageTable, transform: ToTensor, rows: range) -> tuple[tuple[int, ...], str]:
    """Return the shape of the first readable image, and its name."""
    reason = None
    for row in rows:
        tensor, record = _load(table, transform, row)
        if tensor is not None:
            return tuple(tensor.shape), repr(table.paths[row])
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
        _, height, width = self.shape
        slots = torch.empty(len(rows), height, width, 3, pin_memory=self.pinned)
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
