"""From a memory's settings back to the network, the transform and the device that built it."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

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
    """Return the transform that memory.json records, or None if it records only a repr."""
    from hueprobe.images.transform import Transform

    recorded = settings.transform
    return None if CUSTOM in recorded or not recorded else Transform.from_json(recorded)


def recorded_device(settings: MemorySettings) -> str:
    """Return the device kind that built a memory, or, with a warning, `auto` if it is not available here."""
    from hueprobe.activations.devices import choose_device

    try:
        choose_device(settings.device)
    except InputError:
        warnings.warn(
            f"the memory was built on {settings.device!r}, which is not available here; distances may "
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
    """Load the network that built a memory, and check that it and its transform are the same.

    Parameters
    ----------
    settings : MemorySettings
        Settings of the memory.
    backbone : nn.Module, optional
        The live module, if the memory was built with one. By default the recorded network is loaded.
    transform : callable, optional
        The custom transform that built the memory, if neither its record nor the network provides it.
    weights : path, optional
        Where the recorded weights file is now. By default its recorded path is used.

    Raises
    ------
    WeightsError
        The weights are missing, or are not those that built the memory.
    BackboneError
        The memory was built from arrays or a live module, or with a custom transform, and none is given.
    InputError
        The transform is not the one that built the memory.

    Warns
    -----
    HueprobeWarning
        The transform is random, or may differ from the recorded one: the record is not precise enough.
    """
    return load_recorded_backbones([settings], backbone=backbone, transform=transform, weights=weights)[0]


def load_recorded_backbones(
    settings: Sequence[MemorySettings],
    *,
    backbone: "nn.Module | None" = None,
    transform: Any = None,
    weights: str | Path | None = None,
) -> "list[Backbone]":
    """Load the one network that built several memories, tapped at the layer of each.

    Parameters
    ----------
    settings : sequence of MemorySettings
        Settings of the memories; see `require_one_network`.
    backbone, transform, weights
        See `load_recorded_backbone`.

    Returns
    -------
    list of Backbone
        One for each memory; they share one module.

    Raises
    ------
    WeightsError, BackboneError, InputError
        See `load_recorded_backbone`.
    """
    from hueprobe.activations.backbones import load_backbones

    first = settings[0]
    name = first.backbone
    if backbone is None and (name == "arrays" or name.startswith(LIVE)):
        too = ", transform=transform" if CUSTOM in first.transform else ""
        raise BackboneError(
            f"this memory was built from {name!r}, which cannot be loaded from its record; in Python use "
            f"KernelDensityClassifier(memory, backbone=module{too}) or its classify_activations"
        )
    if transform is not None:
        _require_same_transform(first, transform, given=True)
    loaded = load_backbones(
        backbone if backbone is not None else name,
        weights=weights if weights is not None else first.weights if backbone is None else "default",
        layers=[None if one.table_layer else one.layer for one in settings],
        transform=transform if transform is not None else recorded_transform(first),
        seed=first.seed,
        made_by=first.versions.get("hueprobe"),
    )
    if loaded[0].weights_sha256 != first.weights_sha256:
        remedy = (
            random_weights_depend_on(first)
            if first.weights == "none"
            else "pass --weights FILE with the original ones"
        )
        raise WeightsError(
            f"the weights of {name} ({first.weights}) are not those that built the memory: sha256 "
            f"{loaded[0].weights_sha256[:12]}, recorded {first.weights_sha256[:12]}; {remedy}"
        )
    if transform is None:
        _require_same_transform(first, loaded[0].transform, given=False)
    return loaded


# What memories have in common if one forward pass serves them all, in the words of messages.
_OF_ONE_PASS = {
    "backbone": "network",
    "weights_sha256": "sha256 of the weights",
    "transform": "transform",
    "transform_probe": "effect of the transform",
    "value_range": "value range",
    "precision": "precision",
    "batch_size": "batch size",
}


def require_one_network(paths: Sequence[Path], settings: Sequence[MemorySettings]) -> None:
    """Refuse memories that one forward pass per image cannot serve, or that are of the same layer.

    Parameters
    ----------
    paths : sequence of Path
        Folder of each memory, for the message.
    settings : sequence of MemorySettings
        Settings of each memory.

    Raises
    ------
    InputError
        The network, its weights, the transform, the precision or the batch size of two memories differ, or
        their layers do not.
    """
    remedy = "give memories of several layers of one network, as `hueprobe index --layer A --layer B` builds"
    first = settings[0]
    for path, other in zip(paths[1:], settings[1:], strict=True):
        for name, words in _OF_ONE_PASS.items():
            own, its = getattr(first, name), getattr(other, name)
            if own != its:
                raise InputError(
                    f"{paths[0]} and {path} differ in the {words}: {_short(own)} and {_short(its)}; {remedy}"
                )
    by_layer: dict[str, Path] = {}
    for path, one in zip(paths, settings, strict=True):
        if one.layer in by_layer:
            raise InputError(
                f"{by_layer[one.layer]} and {path} are both of layer {one.layer!r}; give one memory of each "
                "layer"
            )
        by_layer[one.layer] = path


def _short(value: Any) -> str:
    """Return a setting for a message: a hash by its beginning, a transform in words."""
    if isinstance(value, Mapping):
        return transform_words(value)
    if value is UNSET:
        return "none recorded"
    text = str(value)
    return text if len(text) <= 60 else text[:12]


def _require_same_transform(settings: MemorySettings, transform: Any, *, given: bool) -> None:
    """Raise if a transform differs from the memory's; warn if that cannot be determined."""
    old = seen_transform(settings.transform, settings.transform_probe)
    if not old.recorded:  # built from arrays, without a transform
        return
    new = see_transform(transform, like=old.probes)
    difference = transform_difference(old, new)
    if difference and not given:
        raise _not_made_again(settings, difference)
    if difference and (old.probes or not old.is_custom):
        raise InputError(
            f"the transform is not the one that built the memory: {difference}; give the original one"
        )
    if difference:
        warnings.warn(
            f"the transform may not be the one that built the memory: {difference}; the record of an older "
            "version, or of a random transform, is not precise enough",
            HueprobeWarning,
            stacklevel=3,
        )
    if new.random:
        new.warn()


def _not_made_again(settings: MemorySettings, difference: str) -> BackboneError | InputError:
    """Return the error for a transform that neither the record nor the network provides."""
    if CUSTOM not in settings.transform:
        return InputError(
            f"the transform behaves differently now than when the memory was built: {difference}; install "
            "the versions that memory.json names, or rebuild the memory"
        )
    live = settings.backbone.startswith(LIVE)
    why = (
        f"which its record cannot reproduce ({transform_words(settings.transform)})"
        if live
        else f"which neither its record nor its network {settings.backbone!r} reproduces ({difference})"
    )
    return BackboneError(
        f"this memory was built with a custom transform, {why}; give it in Python with transform=, as in "
        f"KernelDensityClassifier(memory{', backbone=module' if live else ''}, transform=transform), or to "
        "append_images"
    )


def maker_of(path: Path) -> str | None:
    """Return the version of hueprobe that began the memory at `path`, None if there is no memory."""
    if not (path / FILE_NAME).is_file():
        return None
    return read_settings(path).versions.get("hueprobe")
