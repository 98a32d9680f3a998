"""The way back from a memory's settings to the network, the transform and the device that made it."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hueprobe.errors import BackboneError, HueprobeWarning, InputError, WeightsError
from hueprobe.memory.settings import FILE_NAME, MemorySettings, random_weights_depend_on, read_settings
from hueprobe.memory.transforms import (
    CUSTOM,
    see_transform,
    seen_transform,
    transform_difference,
    transform_words,
)

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone

LIVE = "live "  # how the name of a live module begins


def recorded_transform(settings: MemorySettings) -> Any:
    """Return the transform that memory.json records, or None where only its repr was kept."""
    from hueprobe.images.transform import Transform

    recorded = settings.transform
    return None if CUSTOM in recorded or not recorded else Transform.from_json(recorded)


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
    """Load the network that made a memory, and make sure that it and its transform are the same.

    Parameters
    ----------
    settings : MemorySettings
        Of the memory.
    backbone : nn.Module, optional
        The live module where the memory was made with one.
    transform : callable, optional
        The transform where the memory was made with one that its record does not make again, nor the
        network brings.
    weights : path, optional
        Where the recorded weights file lies now.

    Raises
    ------
    WeightsError
        The weights are gone, or are not those that made the memory.
    BackboneError
        The memory was made from arrays or a live module, or with a transform of one's own, and none is
        given.
    InputError
        The transform is not the one that made the memory.

    Warns
    -----
    HueprobeWarning
        The transform is random, or may be another than the record's: that tells too little.
    """
    from hueprobe.activations.backbones import load_backbone

    name = settings.backbone
    if backbone is None and (name == "arrays" or name.startswith(LIVE)):
        too = ", transform=transform" if CUSTOM in settings.transform else ""
        raise BackboneError(
            f"this memory was made from {name!r}, which cannot be loaded again from its record alone; "
            f"in Python use KernelDensityClassifier(memory, backbone=module{too}) or its classify_activations"
        )
    if transform is not None:
        _require_same_transform(settings, transform, given=True)
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
    if transform is None:
        _require_same_transform(settings, loaded.transform, given=False)
    return loaded


def _require_same_transform(settings: MemorySettings, transform: Any, *, given: bool) -> None:
    """Refuse a transform that does not do what the memory's did; warn where that cannot be told."""
    old = seen_transform(settings.transform, settings.transform_probe)
    if not old.recorded:  # made from arrays: no transform was
        return
    new = see_transform(transform, like=old.probes)
    difference = transform_difference(old, new)
    if difference and not given:
        raise _not_made_again(settings, difference)
    if difference and (old.probes or not old.is_custom):
        raise InputError(
            f"the transform is not the one that made the memory: {difference}; give the one that made it"
        )
    if difference:
        warnings.warn(
            f"the transform may be another than the one that made the memory: {difference}; the record of an "
            "older version, or of a random transform, does not tell",
            HueprobeWarning,
            stacklevel=3,
        )
    if new.random:
        new.warn()


def _not_made_again(settings: MemorySettings, difference: str) -> BackboneError | InputError:
    """Word that neither the record nor the network gives the transform that made a memory."""
    if CUSTOM not in settings.transform:
        return InputError(
            f"the transform does something else now than when the memory was made: {difference}; install the "
            "versions that memory.json names, or build the memory anew"
        )
    live = settings.backbone.startswith(LIVE)
    why = (
        f"which its record cannot make again ({transform_words(settings.transform)})"
        if live
        else f"which neither its record nor its network {settings.backbone!r} makes again ({difference})"
    )
    return BackboneError(
        f"this memory was made with a transform of its own, {why}; give it in Python with transform=, as in "
        f"KernelDensityClassifier(memory{', backbone=module' if live else ''}, transform=transform), or to "
        "append_images"
    )


def maker_of(path: Path) -> str | None:
    """Return the version of hueprobe that began the memory at `path`, None where none is there."""
    if not (path / FILE_NAME).is_file():
        return None
    return read_settings(path).versions.get("hueprobe")
