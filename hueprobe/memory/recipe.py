"""A network loaded with the settings of the memory it makes, and the way back from settings to network."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.activations.descriptors import DESCRIPTORS, describe
from hueprobe.errors import BackboneError, HueprobeWarning, InputError, WeightsError, require_choice
from hueprobe.memory import settings as settings_file
from hueprobe.memory.vectors import DTYPES

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone
    from hueprobe.activations.extractor import Extractor

PRECISIONS = ("fp32", "bf16", "fp16")
DEFAULT_BATCH_SIZE = 32
LIVE = "live "  # how the name of a live module begins
# A killed build loses at most the shard it was writing: some seconds to a minute of work.
_SHARD_IMAGES = 512
_SHARD_BYTES = 256 << 20


@dataclass(frozen=True)
class Recipe:
    """A loaded network with the settings (memory.json) of the memory it would make."""

    backbone: "Backbone"
    extractor: "Extractor"
    settings: dict[str, Any]


def recorded_transform(settings: dict[str, Any]) -> Any:
    """Return the transform that memory.json records, or None where only its repr was kept."""
    from hueprobe.images.transform import Transform

    recorded = settings["transform"]
    return None if "custom" in recorded or not recorded else Transform.from_json(recorded)


def recorded_device(settings: dict[str, Any]) -> str:
    """Return the device kind that made a memory, or `auto`, with a warning, where it is absent here."""
    from hueprobe.activations.devices import choose_device

    try:
        choose_device(settings["device"])
    except InputError:
        warnings.warn(
            f"the memory was made on {settings['device']!r}, which is not available here; distances may "
            "differ in the last digits",
            HueprobeWarning,
            stacklevel=2,
        )
        return "auto"
    return str(settings["device"])


def load_recorded_backbone(
    settings: dict[str, Any],
    *,
    backbone: "nn.Module | None" = None,
    transform: Any = None,
    weights: str | Path | None = None,
) -> "Backbone":
    """Load the network that made a memory, and make sure that it is the same.

    Parameters
    ----------
    settings : dict
        memory.json.
    backbone, transform : optional
        The live module (and its transform) where the memory was made with one.
    weights : path, optional
        Where the recorded weights file lies now.

    Raises
    ------
    WeightsError
        The weights are gone, or are not those that made the memory.
    BackboneError
        The memory was made from arrays or a live module, and none is given.
    """
    from hueprobe.activations.backbones import load_backbone

    name = settings["backbone"]
    if backbone is None and (name == "arrays" or name.startswith(LIVE)):
        raise BackboneError(
            f"this memory was made from {name!r}, which cannot be loaded again from its record alone; "
            "in Python use KernelDensityClassifier(memory, backbone=module) or its classify_activations"
        )
    loaded = load_backbone(
        backbone if backbone is not None else name,
        weights=weights if weights is not None else settings["weights"] if backbone is None else "default",
        layer=None if settings["table_layer"] else settings["layer"],
        transform=transform if transform is not None else recorded_transform(settings),
        seed=settings["seed"],
    )
    if loaded.weights_sha256 != settings["weights_sha256"]:
        raise WeightsError(
            f"the weights of {name} ({settings['weights']}) are not those that made the memory: sha256 "
            f"{loaded.weights_sha256[:12]}, recorded {settings['weights_sha256'][:12]}; "
            "pass --weights FILE with the original ones"
        )
    return loaded


def load_recipe(path: Path, backbone: "Backbone", **options: Any) -> Recipe:
    """See what grid a network gives and put the memory's settings together; see `load_recipes`."""
    return load_recipes(path, [backbone], **options)[0]


def load_recipes(
    path: Path,
    backbones: "Sequence[Backbone]",
    *,
    descriptor: str = "pixel",
    dtype: str = "float16",
    precision: str | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    seed: int = 0,
    resume: bool = True,
) -> list[Recipe]:
    """See what grids one network gives at its taps and put the settings of a memory for each together.

    A memory to resume at `path` lends its batch size, precision and device where none is asked for.

    Parameters
    ----------
    path : Path
        Of a memory, whether it is there or not.
    backbones : sequence of Backbone
        From `load_backbones`: they share one module.

    Raises
    ------
    LayerError
        A layer gives no grid.
    """
    from hueprobe.activations.extractor import Extractor

    require_choice("descriptor", descriptor, DESCRIPTORS)
    require_choice("dtype", dtype, DTYPES)
    old: dict[str, Any] = {}
    if resume and (path / settings_file.FILE_NAME).is_file():
        old = settings_file.read_settings(path)
    precision = precision or old.get("precision", "fp32")
    require_choice("precision", precision, PRECISIONS)
    batch_size = batch_size or old.get("batch_size", DEFAULT_BATCH_SIZE)
    if device == "auto" and old:
        device = old["device"]
    extractor = Extractor(backbones[0], device=device, precision=precision)
    recipes = []
    for backbone, activations in zip(
        backbones, extractor.at(backbones, blank_batch(backbones[0])), strict=True
    ):
        _, channels, height, width = describe(activations, descriptor).shape
        to_json = getattr(backbone.transform, "to_json", None)
        settings = {
            **layout_settings((height, width), channels, descriptor, dtype, batch_size),
            "backbone": backbone.name,
            "layer": backbone.layer,
            "closing": backbone.closing,
            "table_layer": backbone.table_layer,
            "weights": backbone.weights,
            "weights_sha256": backbone.weights_sha256,
            "transform": to_json() if to_json else {"custom": repr(backbone.transform)},
            "device": extractor.device_kind,
            "precision": extractor.precision,
            "seed": seed,
        }
        recipes.append(Recipe(backbone, extractor, settings))
    return recipes


def layout_settings(
    grid: tuple[int, int], channels: int, descriptor: str, dtype: str, batch_size: int
) -> dict[str, Any]:
    """Return the settings that say how vectors lie on disk."""
    bytes_an_image = grid[0] * grid[1] * channels * np.dtype(dtype).itemsize
    batches = max(1, min(_SHARD_IMAGES, _SHARD_BYTES // bytes_an_image) // batch_size)
    return {
        "format": settings_file.FORMAT,
        "class_order": settings_file.CLASS_ORDER,
        "grid": list(grid),
        "channels": channels,
        "descriptor": descriptor,
        "dtype": dtype,
        "batch_size": batch_size,
        "shard_images": batches * batch_size,
        "versions": settings_file.library_versions(),
    }


def blank_batch(backbone: "Backbone") -> Any:
    """Return one gray image as the network gets it, to see what grid comes out."""
    from PIL import Image

    return backbone.transform(Image.new("RGB", (256, 256), (128, 128, 128)))[None]
