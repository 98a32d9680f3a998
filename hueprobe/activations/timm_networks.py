"""Networks of timm (`timm:NAME`): made and weighed by timm itself, with timm's own evaluation transform."""

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image
from torch import Tensor, nn

from hueprobe.activations.blueprint import NOTHING_TOLD, Blueprint, ImageTransform
from hueprobe.activations.hooks import Tap
from hueprobe.activations.timm_taps import find_timm_tap
from hueprobe.activations.wrappings import weights_for
from hueprobe.errors import BackboneError, MissingDependencyError, WeightsError, nearest_names
from hueprobe.images.transform import Transform

PREFIX = "timm:"


def timm_blueprint(name: str, weights: str, file: Path | None) -> Blueprint:
    """Blueprint of `timm:NAME`, NAME being an architecture with or without the tag of its weights.

    Raises
    ------
    MissingDependencyError
        timm is not installed.
    BackboneError
        timm has no such network or tag; names the nearest ones.
    """
    timm, own_name = _timm(name), name.removeprefix(PREFIX)
    architecture, dot, _ = own_name.partition(".")
    if not timm.is_model(architecture):
        near = ", ".join(PREFIX + known for known in nearest_names(architecture, timm.list_models()))
        raise BackboneError(f"timm has no network {architecture!r}; nearest names: {near}")
    tagged = timm.list_pretrained(architecture)
    if dot and own_name not in tagged:
        raise BackboneError(
            f"timm has no weights {own_name!r}; its own of {architecture}: {', '.join(tagged) or 'none'}"
        )

    def build() -> tuple[nn.Module, ImageTransform]:
        module = timm.create_model(own_name, pretrained=False).eval()
        return module, _eval_transform(timm.data.resolve_model_data_config(module))

    def tap(module: nn.Module, layer: str | None) -> Tap:
        size = timm.data.resolve_model_data_config(module)["input_size"][1:]
        return find_timm_tap(module, layer, name=name, image_size=size)

    def pretrained(_: nn.Module) -> Mapping[str, Tensor]:
        try:
            state: Mapping[str, Tensor] = timm.create_model(own_name, pretrained=True).state_dict()
            return state
        except Exception as error:  # whatever the hub's client, its network layer or the file's reader raise
            raise WeightsError(
                f"cannot get timm's weights of {own_name} ({' '.join(str(error).split())}); download them by "
                "hand and pass --weights FILE, or --weights none for random weights"
            ) from error

    state: Callable[[nn.Module], Mapping[str, Tensor]] | None = None
    if file is not None:
        weights, state = str(file), partial(weights_for, file)
    elif weights == "default":
        state = pretrained
    transform_of = None if file is None else f"timm's {own_name}, {NOTHING_TOLD}"
    return Blueprint(
        build=build, bottleneck=None, weights=weights, state=state, tap=tap, transform_of=transform_of,
        transform_assumed=file is not None,
    )  # fmt: skip


def _timm(name: str) -> ModuleType:
    try:
        timm = importlib.import_module("timm")
        importlib.import_module("timm.data")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{name} needs the package timm: pip install 'hueprobe[timm]'"
        ) from error
    return timm


@dataclass(frozen=True)
class TimmTransform:
    """timm's own evaluation transform, for networks whose images no `Transform` makes.

    Attributes
    ----------
    config : dict
        From `timm.data.resolve_model_data_config`; a memory records its text.
    """

    config: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(3, h, w) of every result."""
        return tuple(self.config["input_size"])

    def __call__(self, image: Image.Image) -> Tensor:
        """Return an RGB image as a float32 tensor of shape (3, h, w)."""
        tensor: Tensor = importlib.import_module("timm.data").create_transform(**self.config)(image)
        return tensor


def _eval_transform(config: dict[str, Any]) -> Transform | TimmTransform:
    """Return what timm does to an image before evaluation.

    A Transform, whose numbers a memory records, does not put borders round images, nor resize them to
    cover a frame that is not square.
    """
    height, width = config["input_size"][1:]
    squash = config["crop_mode"] == "squash"
    if not squash and (config["crop_mode"] != "center" or height != width):
        return TimmTransform(config)
    resize = math.floor(height / config["crop_pct"]), math.floor(width / config["crop_pct"])
    return Transform(
        resize=resize if squash else resize[0],
        crop=(height, width) if height != width else height,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
    )
