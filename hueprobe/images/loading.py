"""Pictures as batches of tensors, in order, whatever single files are like."""

import math
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from hueprobe.errors import ImageError, InputError, ShapeError, require_choice
from hueprobe.images.reading import PictureRecord, decoders_silenced, read_row
from hueprobe.images.table import ImageTable
from hueprobe.threads import Map, computing_alone, default_workers, threaded_map

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
ToTensor = Callable[[Image.Image], Tensor]
INTERPOLATIONS = tuple(mode.value for mode in InterpolationMode)
# A strip of 1 x 10,000 pixels would be resized to gigabytes.
_MAX_RESIZED_PIXELS = 1 << 27


@dataclass(frozen=True, kw_only=True)
class Transform:
    """Resize, centre crop, scale to 0-1 and normalise: the numbers of torchvision's ImageClassification.

    Attributes
    ----------
    resize, crop : int, (int, int) or None
        Pixels. One number is the shorter side for `resize`, a square for `crop`; two are height and
        width; None leaves the step out. A crop larger than the picture is padded with black.
    mean, std : (float, float, float)
        Of red, green and blue, on the scale of 0 to 1.
    interpolation : str
        One of `INTERPOLATIONS`, antialiased.

    Examples
    --------
    >>> transform = Transform(resize=256, crop=224)
    >>> transform(Image.new("RGB", (640, 480))).shape
    torch.Size([3, 224, 224])
    """

    resize: int | tuple[int, int] | None
    crop: int | tuple[int, int] | None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        """Refuse settings out of range; bring sequences (JSON has only lists) to tuples."""
        for name in ("resize", "crop"):
            object.__setattr__(self, name, _size(name, getattr(self, name)))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _three_numbers(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise InputError(f"std is {self.std}; each must be above 0")
        require_choice("interpolation", self.interpolation, INTERPOLATIONS)
        for name in ("resize", "crop"):
            sides = getattr(self, name)
            height, width = sides if isinstance(sides, tuple) else (sides or 1,) * 2
            if height * width > _MAX_RESIZED_PIXELS:
                raise InputError(
                    f"{name} is {sides}, more than {_MAX_RESIZED_PIXELS} pixels; ask for a smaller one"
                )

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(3, h, w) of every result; None where it depends on the picture."""
        if isinstance(self.crop, int):
            return (3, self.crop, self.crop)
        size = self.crop or self.resize
        return (3, *size) if isinstance(size, tuple) else None

    def __call__(self, image: Image.Image) -> Tensor:
        """Return an RGB picture as a float32 tensor of shape (3, h, w).

        Raises
        ------
        ImageError
            The picture is so long and thin that resizing its short side would fill the memory.
        """
        return self._normalised(self._sized(image), None)

    def into(self, image: Image.Image, slot: np.ndarray) -> Tensor:
        """Do the same, and write the result where `slot` has room for it, which saves a copy.

        Parameters
        ----------
        image : PIL image, RGB
        slot : ndarray of shape (h, w, 3), float32, contiguous

        Returns
        -------
        Tensor of shape (3, h, w)
            On the memory of `slot`, or on its own where the picture comes out in another shape.
        """
        return self._normalised(self._sized(image), slot)

    def _sized(self, image: Image.Image) -> Image.Image:
        if self.resize is not None:
            size = [self.resize] if isinstance(self.resize, int) else list(self.resize)
            if len(size) == 1 and size[0] ** 2 * max(image.size) > _MAX_RESIZED_PIXELS * min(image.size):
                raise ImageError(
                    f"too long and thin: {image.width}x{image.height} pixels cannot be resized "
                    f"to a short side of {size[0]}"
                )
            image = F.resize(image, size, interpolation=InterpolationMode(self.interpolation), antialias=True)
        if self.crop is not None:
            image = F.center_crop(image, [self.crop] if isinstance(self.crop, int) else list(self.crop))
        return image

    def _normalised(self, image: Image.Image, slot: np.ndarray | None) -> Tensor:
        shape = (image.height, image.width, 3)
        pixels = slot if slot is not None and slot.shape == shape else np.empty(shape, np.float32)
        rows = pixels.reshape(len(pixels), -1)  # whole ones at a time: NumPy is slow over a last axis of 3
        rows[:] = np.asarray(image).reshape(rows.shape)
        rows /= np.float32(255)
        rows -= np.tile(np.array(self.mean, np.float32), image.width)
        rows /= np.tile(np.array(self.std, np.float32), image.width)
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON holds them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> "Transform":
        """Return the transform that `to_json` described.

        Raises
        ------
        InputError
            A setting is missing, unknown or out of range.
        """
        names = {field.name for field in fields(cls)}
        if set(settings) != names:
            raise InputError(f"settings of a transform are {sorted(settings)}; expected {sorted(names)}")
        return cls(**settings)


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures of consecutive rows.

    Attributes
    ----------
    start : int
        Row of the first.
    pictures : Tensor of shape (B, 3, h, w), float32
        Zeros where unreadable; in the memory format channels_last, as networks here take them.
    records : tuple of PictureRecord
        One a picture.
    """

    start: int
    pictures: Tensor
    records: tuple[PictureRecord, ...]


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
    picture_shape: tuple[int, ...] | None = None,
) -> Generator[Batch, None, None]:
    """Read the pictures of rows [start, stop) in order; a bad one keeps its slot.

    Parameters
    ----------
    table : ImageTable
    transform : Transform or callable
        Takes an RGB picture to a float tensor of shape (3, h, w), the same for every picture. With
        workers it is called from several threads at once.
    batch_size : int
        Pictures a batch, counted from `start`; the last may have fewer.
    workers : int, optional
        Threads that decode and transform the pictures of a batch (decoders let go of Python's lock);
        0 does it in the caller's; None takes `default_workers`. The result is the same. The items
        of a Dataset are read by one thread, in order, since a Dataset need not stand more.
    ahead : int
        Batches that workers get ready while the caller works on one. 0 where the caller is a network
        on the CPU: its threads wait for each other again and again, and for one that shares its core.
    pinned : bool
        Batches in page-locked memory, from which CUDA copies without waiting.
    start, stop : int
        Rows; all by default.
    picture_shape : (int, int, int), optional
        (3, h, w) that the transform must give; without it that of the first readable picture counts.

    Raises
    ------
    InputError
        A number is out of range, or the transform fails on a picture.
    ShapeError
        The transform gives no (3, h, w), or another shape than for the pictures before.
    ImageError
        No picture can be read and the shape is unknown, or the table's Dataset is gone.
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
    shape = transform.shape if isinstance(transform, Transform) and not picture_shape else picture_shape
    shape, shape_of = (shape, "picture_shape") if shape else _first_shape(table, transform, rows)
    reader = _Reader(table, transform, tuple(shape), shape_of, pinned)
    batches = [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
    workers = min(workers, 1) if table.dataset is not None else workers
    return _in_order(reader, batches, workers, ahead if workers else 0)


def _load(
    table: ImageTable, transform: ToTensor, row: int, slot: np.ndarray | None = None
) -> tuple[Tensor | None, PictureRecord]:
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
        return None, PictureRecord(record.sha256, 0, 0, readable=False, reason=str(error))
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"the transform fails on picture {name!r}: {text}") from error
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        what = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
        raise InputError(f"the transform gives {what} for picture {name!r}; it must give a float tensor")
    if tensor.ndim != 3 or tensor.shape[0] != 3 or not tensor.numel():
        raise ShapeError(f"the transform gives {tuple(tensor.shape)} for picture {name!r}; need (3, h, w)")
    return tensor.detach().to(torch.float32), record


def _first_shape(table: ImageTable, transform: ToTensor, rows: range) -> tuple[tuple[int, ...], str]:
    """Return the shape of the first readable picture, and its name."""
    reason = None
    for row in rows:
        with decoders_silenced():
            tensor, record = _load(table, transform, row)
        if tensor is not None:
            return tuple(tensor.shape), repr(table.paths[row])
        reason = reason or record.reason
    raise ImageError(f"none of {len(rows)} pictures could be read; the first: {reason}")


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

    def _fill(self, slot: np.ndarray, row: int) -> PictureRecord:
        tensor, record = _load(self.table, self.transform, row, slot)
        if tensor is None:
            slot[:] = 0
            return record
        if tensor.shape != self.shape:
            raise ShapeError(
                f"picture {self.table.paths[row]!r} has shape {tuple(tensor.shape)} after the transform, "
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
    with decoders_silenced(), threaded_map(workers, name="hueprobe-read", before=computing_alone()) as each:
        begun: deque[Callable[[], Batch]] = deque()
        for rows in batches:
            begun.append(reader.begin(rows, each))
            if len(begun) > ahead:
                yield begun.popleft()()
        while begun:
            yield begun.popleft()()


def _size(name: str, value: Any) -> int | tuple[int, int] | None:
    if value is None:
        return None
    sides = list(value) if isinstance(value, tuple | list) else [value]
    if len(sides) not in (1, 2) or any(type(side) is not int or side < 1 for side in sides):
        raise InputError(f"{name} is {value!r}; give a number of pixels, (height, width), or None")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _three_numbers(name: str, values: Any) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or not all(math.isfinite(number) for number in numbers):
        raise InputError(f"{name} is {values!r}; give three finite numbers, for red, green and blue")
    return numbers
