"""From an RGB image to the tensor that a network takes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from hueprobe.errors import ImageError, InputError, NumericsError, ShapeError, require_choice

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
ToTensor = Callable[[Image.Image], Tensor]
INTERPOLATIONS = tuple(mode.value for mode in InterpolationMode)
FITS = ("crop", "squash", "pad")
# A strip of 1 x 10,000 pixels would be resized to gigabytes.
_MAX_RESIZED_PIXELS = 1 << 27


@dataclass(frozen=True, kw_only=True, repr=False)
class Transform:
    """Resize, center crop, scale to 0-1 and normalize: the numbers of torchvision's ImageClassification.

    Attributes
    ----------
    resize, crop : int, (int, int) or None
        Pixels. One number is the shorter side for `resize`, a square for `crop`; two are height and
        width; None leaves the step out. A crop larger than the image is padded with black.
    mean, std : (float, float, float)
        Of red, green and blue, on the scale of 0 to 1.
    interpolation : str
        One of `INTERPOLATIONS`, antialiased.
    fit : {"crop", "squash", "pad"}
        How an image of another shape comes to the size of `crop`, or else of `resize`. `crop`: resized, and
        what lies beyond the crop is lost. The others keep all of the image: `squash` makes it as wide and
        high as the crop, whatever its own shape; `pad` keeps its shape, with a border in the color of `mean`.

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
    fit: str = "crop"

    def __post_init__(self) -> None:
        """Refuse settings out of range; bring sequences (JSON has only lists) to tuples."""
        for name in ("resize", "crop"):
            object.__setattr__(self, name, _size(name, getattr(self, name)))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _three_numbers(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise InputError(f"std is {self.std}; each must be above 0")
        require_choice("interpolation", self.interpolation, INTERPOLATIONS)
        require_choice("fit", self.fit, FITS)
        if self.fit != "crop" and self.crop is None and self.resize is None:
            raise InputError(f"fit {self.fit!r} needs a size to fit into; give crop or resize")
        for name in ("resize", "crop"):
            sides = getattr(self, name)
            height, width = sides if isinstance(sides, tuple) else (sides or 1,) * 2
            if height * width > _MAX_RESIZED_PIXELS:
                raise InputError(
                    f"{name} is {sides}, more than {_MAX_RESIZED_PIXELS} pixels; ask for a smaller one"
                )

    def __repr__(self) -> str:
        """Return the call that makes it; a `fit` that is none but the usual crop is left out, as ever."""
        shown = ", ".join(
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if field.name != "fit" or self.fit != "crop"
        )
        return f"Transform({shown})"

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(3, h, w) of every result; None where it depends on the image."""
        if self.fit != "crop":
            return (3, *self._frame)
        if isinstance(self.crop, int):
            return (3, self.crop, self.crop)
        size = self.crop or self.resize
        return (3, *size) if isinstance(size, tuple) else None

    @property
    def _frame(self) -> tuple[int, int]:
        """Height and width that whole images are fitted into."""
        size = self.crop or self.resize or 0
        return size if isinstance(size, tuple) else (size, size)

    def kept(self, width: int, height: int) -> float:
        """Return the share of an image's area that the network sees, between 0 and 1.

        Parameters
        ----------
        width, height : int
            Of the image, in pixels.

        Examples
        --------
        >>> Transform(resize=256, crop=224).kept(512, 256)
        0.3828125
        """
        if self.fit != "crop" or self.crop is None:
            return 1.0
        high, wide = (height, width) if self.resize is None else _resized(width, height, self.resize)
        crop_height, crop_width = self.crop if isinstance(self.crop, tuple) else (self.crop, self.crop)
        return min(1.0, crop_height / high) * min(1.0, crop_width / wide)

    def __call__(self, image: Image.Image) -> Tensor:
        """Return an RGB image as a float32 tensor of shape (3, h, w).

        Raises
        ------
        ImageError
            The image is so long and thin that resizing its short side would fill the memory.
        """
        return self._normalized(self._sized(image), None)

    def into(self, image: Image.Image, slot: np.ndarray) -> Tensor:
        """Do the same, and write the result where `slot` has room for it, which saves a copy.

        Parameters
        ----------
        image : PIL image, RGB
        slot : ndarray of shape (h, w, 3), float32, contiguous

        Returns
        -------
        Tensor of shape (3, h, w)
            On the memory of `slot`, or on its own where the image comes out in another shape.
        """
        return self._normalized(self._sized(image), slot)

    def _fitted(self, image: Image.Image) -> Image.Image:
        """Return all of an image, as large as the frame."""
        height, width = inside = self._frame
        mode = InterpolationMode(self.interpolation)
        if self.fit == "pad":
            scale = min(height / image.height, width / image.width)
            inside = (
                min(height, max(1, round(image.height * scale))),
                min(width, max(1, round(image.width * scale))),
            )
        image = F.resize(image, list(inside), interpolation=mode, antialias=True)
        if inside == (height, width):
            return image
        framed = Image.new("RGB", (width, height), tuple(min(255, max(0, round(255 * m))) for m in self.mean))
        framed.paste(image, ((width - inside[1]) // 2, (height - inside[0]) // 2))
        return framed

    def _sized(self, image: Image.Image) -> Image.Image:
        if self.fit != "crop":
            return self._fitted(image)
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

    def _normalized(self, image: Image.Image, slot: np.ndarray | None) -> Tensor:
        shape = (image.height, image.width, 3)
        pixels = slot if slot is not None and slot.shape == shape else np.empty(shape, np.float32)
        rows = pixels.reshape(len(pixels), -1)  # whole ones at a time: NumPy is slow over a last axis of 3
        rows[:] = np.asarray(image).reshape(rows.shape)
        rows /= np.float32(255)
        rows -= np.tile(np.array(self.mean, np.float32), image.width)
        rows /= np.tile(np.array(self.std, np.float32), image.width)
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON holds them; a `fit` that is none but the usual crop is left out."""
        settings = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        if self.fit == "crop":
            del settings["fit"]
        return settings

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> "Transform":
        """Return the transform that `to_json` described.

        Parameters
        ----------
        settings : mapping
            Every field of the class, by its name; `fit` may be missing.

        Raises
        ------
        InputError
            A setting is missing, unknown or out of range.
        """
        names = {field.name for field in fields(cls)}
        if {*settings, "fit"} != names:
            raise InputError(
                f"settings of a transform are {sorted(settings)}; expected {sorted(names - {'fit'})}, and "
                "'fit' where it is not 'crop'"
            )
        return cls(**settings)


def apply_transform(transform: ToTensor, image: Image.Image, *, name: str) -> Tensor:
    """Return what a transform makes of an image, as a float32 tensor (channels, h, w) on the CPU.

    Parameters
    ----------
    transform : Transform or callable
    image : PIL image, RGB
    name : str
        Of the image, for messages.

    Raises
    ------
    ImageError
        As a Transform raises it.
    InputError
        The transform raises anything else, or gives no float tensor.
    ShapeError
        The tensor is not (channels, h, w).
    NumericsError
        It holds NaN or infinite values.
    """
    try:
        made = transform(image)
    except ImageError:
        raise
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"the transform fails on image {name!r}: {text}; it gets an RGB PIL image and must give a float "
            "tensor (channels, h, w)"
        ) from error
    return _checked_tensor(made, name=name)


def _checked_tensor(made: Any, *, name: str) -> Tensor:
    if not isinstance(made, Tensor) or not made.is_floating_point() or not _holds_numbers(made):
        what = type(made).__name__
        if isinstance(made, Tensor):
            what = str(made.dtype) if _holds_numbers(made) else "a sparse tensor or one on 'meta'"
        raise InputError(
            f"the transform gives {what} for image {name!r}; it must give a float tensor (channels, h, w), "
            f"so {_way_to_floats(made)}"
        )
    shape = tuple(made.shape)
    # No image of a few columns is meant where the last axis looks like colors.
    colors_last = len(shape) == 3 and shape[0] > 4 >= shape[2]
    if len(shape) != 3 or not made.numel() or colors_last:
        hint = "permute it by (2, 0, 1)" if colors_last else _WAYS_TO_THREE_AXES.get(len(shape), "reshape it")
        raise ShapeError(
            f"the transform gives {shape} for image {name!r}; need (channels, h, w)"
            + (f", so {hint}" if made.numel() else ", none of them 0")
        )
    tensor = made.detach().as_subclass(Tensor).to("cpu", torch.float32)
    if not bool(torch.isfinite(tensor).all()):
        raise NumericsError(
            f"the transform makes NaN or infinite values of image {name!r}; leave the image out, or mend the "
            "transform (a division by 0?)"
        )
    return tensor


def _holds_numbers(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_meta


_WAYS_TO_THREE_AXES = {2: "put an axis of channels before it ([None])", 4: "take the batch's axis off ([0])"}


def _way_to_floats(made: Any) -> str:
    if isinstance(made, np.ndarray):
        return "pass the array through torch.from_numpy"
    if isinstance(made, Image.Image):
        return "end it with torchvision's ToTensor()"
    if isinstance(made, Tensor) and not _holds_numbers(made):
        return "return a dense tensor on the CPU"
    if isinstance(made, Tensor):
        return "convert it, as torchvision's v2.ToDtype(torch.float32, scale=True) does"
    return "return the tensor alone"


def _resized(width: int, height: int, resize: int | tuple[int, int]) -> tuple[float, float]:
    """Return the height and width that an image has once resized, up to rounding."""
    if isinstance(resize, tuple):
        return resize
    scale = resize / min(width, height)
    return height * scale, width * scale


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
