"""Building one part of a memory: its share of the images goes into a memory of its own."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hueprobe.errors import HueprobeError
from hueprobe.memory.build import layer_path
from hueprobe.memory.filling import fill_memories
from hueprobe.memory.planned_build import BuildOptions, plan_build
from hueprobe.memory.store import Memory
from hueprobe.progress import named_pass
from hueprobe.scale.beginning import begun, require_room
from hueprobe.scale.folders import part_path, whole_folder
from hueprobe.scale.part import Part

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone


def build_part(
    path: str | Path,
    images: Any,
    part: Part | str,
    *,
    backbone: "str | nn.Module | Backbone",
    layer: str | None = None,
    overwrite: bool = False,
    progress: bool = False,
    **options: Unpack[BuildOptions],
) -> Memory:
    """Extract one part of a memory, which other processes or machines may build at the same time.

    A part is a contiguous share of the images, in whole shards. It is a memory of its own, in a folder beside
    the memory; see `part_path`. The part that is begun first freezes the settings and the list of all images;
    the others must have the same. When all are complete, `join` makes one memory, which is byte for byte that
    of `build_memory`. Builds of parts resume like that of a memory: the same call again continues after the
    last finished shard.

    Parameters
    ----------
    path : path
        Folder of the whole memory, which `join` will make.
    images : path, ImageTable, torch Dataset or list of files
        All images of the memory; see `hueprobe.build_memory`.
    part : Part or str
        The part, or its text such as `"3/16"`.
    backbone : str, nn.Module or Backbone
        The network; see `hueprobe.build_memory`.
    layer : str, optional
        Dotted name of the module whose output is extracted. By default the backbone's bottleneck.
    overwrite : bool, default=False
        Whether to begin this part anew, whatever is in its folder. Other parts stay.
    progress : bool, default=False
        Whether to show a progress bar.
    **options
        Other arguments of `hueprobe.build_memory`. Batch size, precision, device kind and images per shard
        are by default those of the parts that were begun.

    Returns
    -------
    Memory
        The part.

    Raises
    ------
    InputError
        There are more parts than shards; or see `hueprobe.build_memory`.
    MemoryFormatError
        The memory exists already, or its parts are being joined, or other parts have another number, other
        settings, images or masks; or images or masks changed since they were read.
    NumericsError, ImageError, ShapeError, LayerError
        See `hueprobe.build_memory`.

    See Also
    --------
    hueprobe.scale.join : Make one memory of all parts.
    hueprobe.scale.parts_of : How far each part is.
    hueprobe.scale.build_layer_parts : The same part of several layers.

    Examples
    --------
    >>> options = {"backbone": network, "layer": "3", "transform": transform, "batch_size": 4}
    >>> hp.scale.build_part("m", "images", "1/2", shard_images=4, **options)
    <Memory m.parts/0001-of-0002: 4 images x 7x7 x 16, live Sequential:3>
    >>> hp.scale.build_part("m", "images", "2/2", **options)
    <Memory m.parts/0002-of-0002: 8 images x 7x7 x 16, live Sequential:3>
    >>> hp.scale.join("m")
    <Memory m: 12 images x 7x7 x 16, live Sequential:3>
    """
    from hueprobe.activations.backbones import Backbone

    layers = () if isinstance(backbone, Backbone) else [layer]
    (memory,) = _build(lambda _: Path(path), images, part, backbone, layers, overwrite, progress, options)
    return memory


def build_layer_parts(
    path: str | Path,
    images: Any,
    part: Part | str,
    *,
    backbone: "str | nn.Module | Sequence[Backbone]",
    layers: Sequence[str] = (),
    overwrite: bool = False,
    progress: bool = False,
    **options: Unpack[BuildOptions],
) -> list[Memory]:
    """Extract the same part of several layers' memories, by one forward pass per image.

    Each layer has its own parts, in whole shards of its memory. Where the shards of two layers differ in
    length, so do their shares of the images: the images between their ends go through the network once more
    for the next part.

    Parameters
    ----------
    path : path
        Start of the memories' paths; see `hueprobe.build_memories`.
    images : path, ImageTable, torch Dataset or list of files
        All images of the memories; see `hueprobe.build_memory`.
    part : Part or str
        The part, or its text such as `"3/16"`.
    backbone : str, nn.Module or list of Backbone
        The network; see `hueprobe.build_memories`.
    layers : sequence of str, default=()
        Dotted names of modules, without repeats. Empty only for a result of `load_backbones`.
    overwrite : bool, default=False
        Whether to begin this part anew.
    progress : bool, default=False
        Whether to show a progress bar.
    **options
        Other arguments of `hueprobe.build_memory`.

    Returns
    -------
    list of Memory
        The part of each memory, in the order of the layers.

    Raises
    ------
    InputError, MemoryFormatError, NumericsError, ImageError, ShapeError, LayerError
        See `build_part`.

    See Also
    --------
    hueprobe.scale.join : Make one memory of all parts of a layer.
    hueprobe.memory.layer_path : The folder of each layer's memory.

    Examples
    --------
    >>> options = {"backbone": network, "layers": ["1", "3"], "transform": transform, "batch_size": 4}
    >>> hp.scale.build_layer_parts("m", "images", "1/2", shard_images=4, **options)
    [<Memory m.1.parts/0001-of-0002: 4 images x 15x15 x 8, live Sequential:1>,
     <Memory m.3.parts/0001-of-0002: 4 images x 7x7 x 16, live Sequential:3>]
    """
    return _build(
        lambda layer: layer_path(path, layer or ""),
        images, part, backbone, layers, overwrite, progress, options,
    )  # fmt: skip


def _build(
    place: Callable[[str | None], Path],
    images: Any,
    part: Part | str,
    backbone: "str | nn.Module | Backbone | Sequence[Backbone]",
    layers: Sequence[str | None],
    overwrite: bool,
    progress: bool,
    options: BuildOptions,
) -> list[Memory]:
    part = Part.parse(part) if isinstance(part, str) else part
    paths: list[Path] = []

    def whole(layer: str | None) -> Path:
        paths.append(place(layer))
        require_room(paths[-1])
        return whole_folder(paths[-1])

    try:
        with named_pass(f"part {part}"), contextlib.ExitStack() as stack:
            plan = plan_build(whole, images, backbone=backbone, layers=layers, progress=progress, **options)
            paths = [place(extraction.backbone.layer) for extraction in plan.extractions]
            held = [
                stack.enter_context(begun(path, part, settings, plan.table, plan.masks))
                for path, settings in zip(paths, plan.settings, strict=True)
            ]
            return fill_memories(
                [part_path(path, part) for path in paths], [settings for settings, _ in held], plan.table,
                plan.batches(), hashes=plan.hashes(), masks=plan.masks, shares=[share for _, share in held],
                overwrite=overwrite, progress=progress,
            )  # fmt: skip
    except HueprobeError:
        for path in paths:
            require_room(path)  # the parts may have been joined meanwhile, which explains any other error
        raise
