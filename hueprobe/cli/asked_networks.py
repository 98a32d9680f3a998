"""The network that options ask for, with its transform changed as they say."""

from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli.options import say

if TYPE_CHECKING:
    from hueprobe.activations import Backbone


def asked_backbones(
    backbone: str | None,
    layers: tuple[str, ...],
    weights: str,
    seed: int,
    geometry: dict[str, Any],
    *,
    made_by: str | None = None,
) -> list["Backbone"]:
    """Return the network that options ask for, at each layer; report whose transform it has."""
    from hueprobe.activations import load_backbones

    if not backbone:
        raise click.UsageError("name the network with --backbone; `hueprobe backbones` lists them")
    backbones = load_backbones(backbone, layers=layers or [None], weights=weights, seed=seed, made_by=made_by)
    given = {name: x for name, x in geometry.items() if x is not None}
    backbones = _with_geometry(backbones, given)
    _say_whose_transform(backbones[0], weights, given)
    return backbones


def _with_geometry(backbones: list["Backbone"], geometry: dict[str, Any]) -> list["Backbone"]:
    """Return the networks with their transforms changed to the given sizes and normalization."""
    from dataclasses import replace

    from hueprobe.images.transform import Transform

    if not geometry:
        return backbones
    changed = []
    for backbone in backbones:
        if type(backbone.transform) is not Transform:
            raise click.UsageError(
                f"{backbone.name} has its own transform; --{next(iter(geometry))} cannot change it"
            )
        changed.append(replace(backbone, transform=replace(backbone.transform, **geometry)))
    return changed


def _say_whose_transform(backbone: "Backbone", weights: str, given: dict[str, Any]) -> None:
    """Report which transform is used with a weights file, and why."""
    from hueprobe.memory.transforms import describe_transform, transform_words

    if backbone.transform_of is not None:
        options = ", ".join(f"--{name}" for name in given)
        others = "--resize, --crop, --mean, --std and --interpolation change it"
        say(
            f"transform for {weights}: {transform_words(describe_transform(backbone.transform))}; "
            f"that of {backbone.transform_of}; " + (f"except for {options}" if given else others),
            err=True,
        )
