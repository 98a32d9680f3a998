"""The transform from an RGB image to the input tensor of a network."""

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
# Resizing a strip of 1 x 10,000 pixels would need gigabytes.
_MAX_RESIZED_PIXELS = 1 << 27


@dataclass(frozen=True, kw_only=True, repr=False)
class Transform:
    """Resize, center crop, scale to [0, 1] and normalize, like torchvision's ImageClassification preset.

    Attributes
    ----------
    resize, crop : int, (int, int) or None
        Size in pixels. For `resize`, one number is the shorter side; for `crop`, the side of a square.
        Two numbers are height and width. None skips the step. If the crop is larger than the image, the
        image is padded with black.
    mean : (float, float, float), default=(0.485, 0.456, 0.406)
        Mean of red, green and blue, on the scale of 0 to 1; the default is that of ImageNet.
    std : (float, float, float), default=(0.229, 0.224, 0.225)
        Standard deviation of red, green and blue, on the same scale; the default is that of ImageNet.
    interpolation : str, default='bilinear'
        Interpolation of torchvision, antialiased: nearest, nearest-exact, bilinear, bicubic, box, hamming
        or lanczos.
    fit : {"crop", "squash", "pad"}, default='crop'
        How an image is fitted to the size of `crop` (or of `resize` without a crop). `crop` resizes it
        and drops what is outside the crop. The others keep the whole image: `squash` changes its aspect
        ratio; `pad` keeps the aspect ratio and adds a border in the color of `mean`.

    See Also
    --------
    hueprobe.images.load_batches : Apply a transform to the images of a table.

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
        """Reject settings out of range; convert sequences (JSON has only lists) to tuples."""
        for name in ("resize", "crop"):
            object.__setattr__(self, name, _size(name, getattr(self, name)))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _three_numbers(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise InputError(f"std is {self.std}; each must be above 0")
        require_choice("interpolation", self.interpolation, INTERPOLATIONS)
        require_choice("fit", self.fit, FITS)
        if self.fit != "crop" and self.crop is None and self.resize is None:
            raise InputError(f"fit {self.fit!r} needs a size to fit into; set crop or resize")
        for name in ("resize", "crop"):
            sides = getattr(self, name)
            height, width = sides if isinstance(sides, tuple) else (sides or 1,) * 2
            if height * width > _MAX_RESIZED_PIXELS:
                raise InputError(
                    f"{name} is {sides}, more than {_MAX_RESIZED_PIXELS} pixels; choose a smaller one"
                )

    def __repr__(self) -> str:
        """Return the call that creates it; `fit` is omitted if it is 'crop'."""
        shown = ", ".join(
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if field.name != "fit" or self.fit != "crop"
        )
        return f"Transform({shown})"

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Shape (3, h, w) of every output; None if it depends on the image."""
        if self.fit != "crop":
            return (3, *self._frame)
        if isinstance(self.crop, int):
            return (3, self.crop, self.crop)
        size = self.crop or self.resize
        return (3, *size) if isinstance(size, tuple) else None

    @property
    def _frame(self) -> tuple[int, int]:
        """Height and width of the frame that whole images are fitted into."""
        size = self.crop or self.resize or 0
        return size if isinstance(size, tuple) else (size, size)

    def kept(self, width: int, height: int) -> float:
        """Return the fraction of an image's area that the network sees, between 0 and 1.

        Parameters
        ----------
        width, height : int
            Size of the image in pixels.

        Returns
        -------
        float
            1.0 if nothing is cropped.

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

        Parameters
        ----------
        image : PIL image, RGB
            Image to transform.

        Returns
        -------
        Tensor of shape (3, h, w), float32
            The normalized image.

        Raises
        ------
        ImageError
            If the image is so long and thin that resizing its short side would exhaust the memory.
        """
        return self._normalized(self.sized(image), None)

    def into(self, image: Image.Image, slot: np.ndarray) -> Tensor:
        """Transform an image and write the result into an existing array, which saves a copy.

        Parameters
        ----------
        image : PIL image, RGB
            Image to transform.
        slot : ndarray of shape (h, w, 3), float32, contiguous
            Array to write to.

        Returns
        -------
        Tensor of shape (3, h, w), float32
            A view of `slot`, or a new tensor if the output has another shape.

        Raises
        ------
        ImageError
            As in calling the transform.

        Examples
        --------
        >>> slot = np.empty((224, 224, 3), np.float32)
        >>> tensor = Transform(resize=256, crop=224).into(Image.new("RGB", (640, 480)), slot)
        >>> np.shares_memory(tensor.numpy(), slot)
        True
        """
        return self._normalized(self.sized(image), slot)

    def _fitted(self, image: Image.Image) -> Image.Image:
        """Return the whole image, resized or padded to the size of the frame."""
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
        border = tuple(min(255, max(0, round(255 * m))) for m in self.mean) if image.mode == "RGB" else 0
        framed = Image.new(image.mode, (width, height), border)
        framed.paste(image, ((width - inside[1]) // 2, (height - inside[0]) // 2))
        return framed

    def sized(self, image: Image.Image) -> Image.Image:
        """Resize, crop and pad an image, without scaling or normalizing its values.

        Parameters
        ----------
        image : PIL image
            Image to transform, of any mode. Borders are 0 if the mode is not RGB.

        Returns
        -------
        PIL image
            The image at the size that the network sees, in the same mode.

        Raises
        ------
        ImageError
            As in calling the transform.

        See Also
        --------
        hueprobe.images.mask_as_seen : The same for a mask of labels.

        Examples
        --------
        >>> Transform(resize=256, crop=(224, 192)).sized(Image.new("L", (640, 480))).size
        (192, 224)
        """
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
        rows = pixels.reshape(len(pixels), -1)  # whole rows at a time: NumPy is slow over a last axis of 3
        rows[:] = np.asarray(image).reshape(rows.shape)
        rows /= np.float32(255)
        rows -= np.tile(np.array(self.mean, np.float32), image.width)
        rows /= np.tile(np.array(self.std, np.float32), image.width)
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values; `fit` is omitted if it is 'crop'.

        Returns
        -------
        dict
            Settings by name, with lists for tuples.

        See Also
        --------
        hueprobe.images.Transform.from_json : Create the transform from them.

        Examples
        --------
        >>> settings = Transform(resize=256, crop=224).to_json()
        >>> settings["resize"], settings["interpolation"]
        (256, 'bilinear')
        """
        settings = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        if self.fit == "crop":
            del settings["fit"]
        return settings

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> "Transform":
        """Create a transform from the settings that `to_json` returns.

        Parameters
        ----------
        settings : mapping
            Value of every setting, by name; `fit` may be missing.

        Returns
        -------
        Transform
            The transform with these settings.

        Raises
        ------
        InputError
            If a setting is missing, unknown or out of range.

        Examples
        --------
        >>> transform = Transform(resize=256, crop=224)
        >>> Transform.from_json(transform.to_json()) == transform
        True
        """
        names = {field.name for field in fields(cls)}
        if {*settings, "fit"} != names:
            raise InputError(
                f"settings of a transform are {sorted(settings)}; expected {sorted(names - {'fit'})}, and "
                "'fit' if it is not 'crop'"
            )
        return cls(**settings)


def apply_transform(transform: ToTensor, image: Image.Image, *, name: str) -> Tensor:
    """Apply a transform to an image and return a float32 tensor (channels, h, w) on the CPU.

    Parameters
    ----------
    transform : Transform or callable
        Function from an RGB PIL image to a float tensor.
    image : PIL image, RGB
        Image to transform.
    name : str
        Name of the image, for messages.

    Raises
    ------
    ImageError
        If a Transform raises it.
    InputError
        If the transform raises anything else, or returns no float tensor.
    ShapeError
        If the tensor is not (channels, h, w).
    NumericsError
        If the tensor contains NaN or infinite values.
    """
    try:
        made = transform(image)
    except ImageError:
        raise
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"the transform fails on image {name!r}: {text}; it gets an RGB PIL image and must return a "
            "float tensor (channels, h, w)"
        ) from error
    return _checked_tensor(made, name=name)


def _checked_tensor(made: Any, *, name: str) -> Tensor:
    if not isinstance(made, Tensor) or not made.is_floating_point() or not _holds_numbers(made):
        what = type(made).__name__
        if isinstance(made, Tensor):
            what = str(made.dtype) if _holds_numbers(made) else "a sparse tensor or one on 'meta'"
        raise InputError(
            f"the transform returns {what} for image {name!r}; it must return a float tensor "
            f"(channels, h, w), so {_way_to_floats(made)}"
        )
    shape = tuple(made.shape)
    # A last axis that looks like colors is not taken for an image of a few columns.
    colors_last = len(shape) == 3 and shape[0] > 4 >= shape[2]
    if len(shape) != 3 or not made.numel() or colors_last:
        hint = "permute it by (2, 0, 1)" if colors_last else _WAYS_TO_THREE_AXES.get(len(shape), "reshape it")
        raise ShapeError(
            f"the transform returns shape {shape} for image {name!r}; need (channels, h, w)"
            + (f", so {hint}" if made.numel() else ", none of them 0")
        )
    tensor = made.detach().as_subclass(Tensor).to("cpu", torch.float32)
    if not bool(torch.isfinite(tensor).all()):
        raise NumericsError(
            f"the transform returns NaN or infinite values for image {name!r}; leave the image out, or fix "
            "the transform (a division by 0?)"
        )
    return tensor


def _holds_numbers(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_meta


_WAYS_TO_THREE_AXES = {2: "add a channel axis in front ([None])", 4: "remove the batch axis ([0])"}


def _way_to_floats(made: Any) -> str:
    if isinstance(made, np.ndarray):
        return "pass the array through torch.from_numpy"
    if isinstance(made, Image.Image):
        return "end it with torchvision's ToTensor()"
    if isinstance(made, Tensor) and not _holds_numbers(made):
        return "return a dense tensor on the CPU"
    if isinstance(made, Tensor):
        return "convert it, for example by torchvision's v2.ToDtype(torch.float32, scale=True)"
    return "return only the tensor"


def _resized(width: int, height: int, resize: int | tuple[int, int]) -> tuple[float, float]:
    """Return the height and width of an image after resizing, up to rounding."""
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
        raise InputError(f"{name} is {values!r}; give three finite numbers for red, green and blue")
    return numbers
