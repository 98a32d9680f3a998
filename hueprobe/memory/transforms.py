"""What memory.json keeps of a transform, and whether another one is the same.

A custom transform has no numbers that make it again, so what it does is recorded: some of its output on
drawn images. Not a hash of it: ways to resize round to one gray level more or less from one processor or
library to the next, so outputs are compared within two. What that hides changes no answer.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import UNSET, Meta, UnsetType

from hueprobe.errors import HueprobeWarning
from hueprobe.memory.records import Record

if TYPE_CHECKING:
    from hueprobe.activations.blueprint import ImageTransform

CUSTOM = "custom"  # the key of a description that makes no transform again
SIZES = ((400, 320), (320, 512))  # of the drawn images: width and height in pixels
_MOST_SIDE = 1 << 14
_MOST_PIXELS = 1 << 26
_N_SAMPLES = 16
# Of the output's range. Gray levels are 1/255 apart; a mean over many pixels rounds less than one of them.
_MEANS_TOLERANCE = 0.003
_SAMPLES_TOLERANCE = 0.008

Pixels = Annotated[int, Meta(ge=1, le=_MOST_SIDE)]
Length = Annotated[int, Meta(ge=1)]


class TransformProbe(Record, frozen=True):
    """Some of what a transform makes of a drawn image.

    Attributes
    ----------
    image : (int, int)
        The drawn image's width and height in pixels.
    shape : (int, int, int)
        Of the output: channels, h, w.
    values : tuple of float
        Means of the output's quarters by channel (by four groups of channels where there are more), then
        16 single values from its first to its last.
    """

    image: tuple[Pixels, Pixels]
    shape: tuple[Length, Length, Length]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse an image too large to be drawn."""
        if self.image[0] * self.image[1] > _MOST_PIXELS:
            raise ValueError(f"says image {list(self.image)}, expected at most {_MOST_PIXELS} pixels")


@dataclass(frozen=True)
class SeenTransform:
    """What is recorded of a transform, or would be.

    Attributes
    ----------
    recorded : mapping
        `Transform.to_json()`; `{"custom": its description}` of any other, empty where there was none.
    probes : tuple of TransformProbe
        Empty where it is random, fails on drawn images, or was recorded before there were any.
    random : bool
        It was seen to be.
    fault : str or None
        Why it could not be tried on any drawn image.
    """

    recorded: Mapping[str, Any]
    probes: tuple[TransformProbe, ...] = ()
    random: bool = False
    fault: str | None = None

    @property
    def is_custom(self) -> bool:
        """Whether the record does not make it again."""
        return CUSTOM in self.recorded

    @property
    def in_words(self) -> str:
        """What it does, in a line for people."""
        return transform_words(self.recorded)

    @property
    def transform_probe(self) -> tuple[TransformProbe, ...] | UnsetType:
        """What memory.json holds of its probes."""
        return self.probes or UNSET

    def warn(self) -> None:
        """Warn where it is random, or where another in its place would not be noticed."""
        if self.random:
            warnings.warn(
                f"the transform is random (it draws numbers, or makes two results of one image: "
                f"{self.in_words}), so the memory is not reproducible and an image is not at distance 0 "
                "from itself; use one for evaluation, such as Resize and CenterCrop",
                HueprobeWarning,
                stacklevel=3,
            )
        elif not self.probes:
            warnings.warn(
                f"{self.fault}; so nothing is recorded of what it does, and another transform in its place "
                "would not be noticed",
                HueprobeWarning,
                stacklevel=3,
            )


def see_transform(
    transform: "ImageTransform",
    *,
    like: Sequence[TransformProbe] = (),
    size: tuple[int, int] | None = None,
) -> SeenTransform:
    """Try a transform on drawn images and return what a memory records of it.

    Parameters
    ----------
    transform : Transform or callable
    like : sequence of TransformProbe
        Of a memory: the same images are drawn.
    size : (int, int), optional
        Width and height of an image that it is meant for, tried where it fails on the usual ones.
    """
    if like:
        return _tried(transform, [probe.image for probe in like])
    seen = _tried(transform, SIZES)
    if seen.random or seen.probes or size is None or not _drawable(size):
        return seen
    again = _tried(transform, [size])
    return again if again.random or again.probes else seen


def _tried(transform: "ImageTransform", sizes: Sequence[tuple[int, int]]) -> SeenTransform:
    from hueprobe.activations.transform_trials import try_transform

    recorded = describe_transform(transform)
    probes, fault = [], None
    for width, height in sizes:
        trial = try_transform(transform, width, height)
        if trial.random:
            return SeenTransform(recorded, random=True)
        if trial.output is None:
            fault = fault or trial.fault
        else:
            probes.append(_probe((width, height), trial.output))
    return SeenTransform(recorded, tuple(probes), fault=fault)


def seen_transform(
    recorded: Mapping[str, Any], probes: tuple[TransformProbe, ...] | UnsetType
) -> SeenTransform:
    """Return what a memory's settings say of its transform."""
    return SeenTransform(recorded, () if probes is UNSET else tuple(probes))


def _drawable(size: tuple[int, int]) -> bool:
    return max(size) <= _MOST_SIDE and size[0] * size[1] <= _MOST_PIXELS


def _probe(size: tuple[int, int], output: np.ndarray) -> TransformProbe:
    parts = np.array_split(output, min(4, len(output)))
    for axis in (1, 2):
        n = min(2, output.shape[axis])
        parts = [half for part in parts for half in np.array_split(part, n, axis=axis)]
    places = np.linspace(0, output.size - 1, _N_SAMPLES).round().astype(int)
    values = [part.mean(dtype=np.float64) for part in parts] + output.reshape(-1)[places].tolist()
    channels, height, width = output.shape
    return TransformProbe(
        image=size, shape=(channels, height, width), values=tuple(float(f"{value:.5g}") for value in values)
    )


def describe_transform(transform: "ImageTransform") -> dict[str, Any]:
    """Return what memory.json says of a transform: its numbers, or its repr without addresses."""
    from hueprobe.images.transform import Transform

    if type(transform) is Transform:  # a class of one's own does what its own code says
        return transform.to_json()
    try:
        text = repr(transform)
    except Exception:  # of a half-made object, as `__repr__` often shows all attributes
        text = f"<{type(transform).__module__}.{type(transform).__qualname__} object>"
    return {CUSTOM: _without_addresses(text)}


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def transform_words(recorded: Mapping[str, Any]) -> str:
    """Return what a memory records of a transform in a line for people.

    Parameters
    ----------
    recorded : mapping
        `memory.settings.transform`.

    Examples
    --------
    >>> transform_words({"resize": 256, "crop": [224, 192], "mean": [0.5] * 3, "std": [1.0] * 3,
    ...                  "interpolation": "bilinear"})
    'resize 256 (bilinear), crop 224 x 192, mean 0.5, 0.5, 0.5, std 1, 1, 1'
    """
    if not recorded:
        return "none"
    if CUSTOM in recorded:
        return " ".join(_without_addresses(str(recorded[CUSTOM])).split())
    words = {name: _numbers(value) for name, value in recorded.items()}
    if recorded.get("resize") is not None and "interpolation" in words:
        words["resize"] += f" ({words['interpolation']})"
    words.pop("interpolation", None)
    return ", ".join(f"{name} {text}" for name, text in sorted(words.items(), key=_in_order))


def _in_order(item: tuple[str, str]) -> tuple[int, str]:
    usual = ("resize", "crop", "mean", "std")
    return (usual.index(item[0]) if item[0] in usual else len(usual), item[0])


def _numbers(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        texts = [f"{number:g}" if isinstance(number, int | float) else str(number) for number in value]
        return (" x " if len(value) == 2 else ", ").join(texts)
    return str(value)


def transform_difference(old: SeenTransform, new: SeenTransform) -> str | None:
    """Say how a transform differs from the one that a memory records; None where it does the same.

    Outputs decide where both were seen; else numbers, or descriptions without their addresses.

    Parameters
    ----------
    old : SeenTransform
        Of the memory.
    new : SeenTransform
        Tried on the images that `old` was.
    """
    from hueprobe.images.transform import Transform

    both = f"{old.in_words} in the memory, {new.in_words} asked"
    numbers = not old.is_custom and not new.is_custom
    if numbers and (old.recorded != new.recorded or not old.probes or not new.probes):
        return both if old.recorded != new.recorded else None
    if old.recorded and not old.is_custom and not old.probes:
        old = see_transform(Transform.from_json(old.recorded), like=new.probes)  # of 0.1: made again
    if not old.probes:
        return None if old.in_words == new.in_words else both
    if not new.probes:
        return f"{both}, which is random or fails on a drawn image"
    found = {probe.image: probe for probe in new.probes}
    for probe in old.probes:
        if difference := _difference(probe, found.get(probe.image)):
            why = "; Pillow or torchvision resize otherwise than when it was made" if numbers else ""
            width, height = probe.image
            return f"{both}, and of one drawn image of {width} x {height} pixels {difference}{why}"
    return None


def _difference(old: TransformProbe, new: TransformProbe | None) -> str | None:
    if new is None:
        return f"the one makes {old.shape}, the other nothing"
    if old.shape != new.shape or len(old.values) != len(new.values):
        return f"the one makes {old.shape}, the other {new.shape}"
    before, now = np.array(old.values), np.array(new.values)
    scale = max(float(np.ptp(before)), 1e-3 * float(np.abs(before).max(initial=0)))
    tolerance = np.full(len(before), _SAMPLES_TOLERANCE)
    tolerance[:-_N_SAMPLES] = _MEANS_TOLERANCE
    apart = np.abs(now - before)
    if (apart <= tolerance * scale).all():
        return None
    return f"they make values up to {apart.max():.3g} apart"
