"""The way back from a memory's settings to the network, the transform and the device that made it."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hueprobe.errors import BackboneError, HueprobeWarning, InputError, WeightsError
from hueprobe.memory.settings import FILE_NAME, MemorySettings, random_weights_depend_on, read_settings

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone

LIVE = "live "  # how the name of a live module begins


def recorded_transform(settings: MemorySettings) -> Any:
    """Return the transform that memory.json records, or None where only its repr was kept."""
    from hueprobe.images.transform import Transform

    recorded = settings.transform
    return None if "custom" in recorded or not recorded else Transform.from_json(recorded)


def recorded_device(settings: MemorySettings) -> str:
    """Return the device kind that made a memory, or `auto`, with a warning, where it is absent here."""
    from hueprobe.activations.devices import choose_device

    try:
        choose_device(settings.device)
    except InputError:
        warnings.warn(
            f"the memory was made on {settings.device!r}, which is not available here; distances may "
            "differ in the last digits",
            HueprobeWarning,
            stacklevel=2,
        )
        return "auto"
    return settings.device


def load_recorded_backbone(
    settings: MemorySettings,
    *,
    backbone: "nn.Module | None" = None,
    transform: Any = None,
    weights: str | Path | None = None,
) -> "Backbone":
    """Load the network that made a memory, and make sure that it is the same.

    Parameters
    ----------
    settings : MemorySettings
        Of the memory.
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

    name = settings.backbone
    if backbone is None and (name == "arrays" or name.startswith(LIVE)):
        raise BackboneError(
            f"this memory was made from {name!r}, which cannot be loaded again from its record alone; "
            "in Python use KernelDensityClassifier(memory, backbone=module) or its classify_activations"
        )
    loaded = load_backbone(
        backbone if backbone is not None else name,
        weights=weights if weights is not None else settings.weights if backbone is None else "default",
        layer=None if settings.table_layer else settings.layer,
        transform=transform if transform is not None else recorded_transform(settings),
        seed=settings.seed,
        made_by=settings.versions.get("hueprobe"),
    )
    if loaded.weights_sha256 != settings.weights_sha256:
        remedy = (
            random_weights_depend_on(settings)
            if settings.weights == "none"
            else "pass --weights FILE with the original ones"
        )
        raise WeightsError(
            f"the weights of {name} ({settings.weights}) are not those that made the memory: sha256 "
            f"{loaded.weights_sha256[:12]}, recorded {settings.weights_sha256[:12]}; {remedy}"
        )
    return loaded


def maker_of(path: Path) -> str | None:
    """Return the version of hueprobe that began the memory at `path`, None where none is there."""
    if not (path / FILE_NAME).is_file():
        return None
    return read_settings(path).versions.get("hueprobe")
