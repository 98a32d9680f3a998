"""Building memories: images through a network into shards on disk, one memory a layer, resumable."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from hueprobe.errors import InputError
from hueprobe.images.resolve import resolve_images
from hueprobe.memory.extraction import extracted_batches, plan_extractions
from hueprobe.memory.filling import fill_memories
from hueprobe.memory.recorded import load_recorded_backbone, maker_of
from hueprobe.memory.settings import read_settings
from hueprobe.memory.store import Memory

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone


def build_memory(
    path: str | Path,
    images: Any,
    *,
    backbone: "str | nn.Module | Backbone",
    weights: str | Path = "default",
    layer: str | None = None,
    transform: Any = None,
    descriptor: str = "pixel",
    dtype: str = "float16",
    precision: str | None = None,
    batch_size: int | None = None,
    shard_images: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> Memory:
    """Extract every image's activations into a memory on disk.

    Finished shards survive anything; the same call again continues where the last one stopped, and
    the result is byte for byte that of an undisturbed build.

    Parameters
    ----------
    path : path
        Folder of the memory: new, empty, or a memory of the same settings.
    images : path, ImageTable, torch Dataset or list of files
        A folder of class folders, a flat folder, a CSV or Parquet table, or `"demo"`.
    backbone : str, nn.Module or Backbone
        A name (`hueprobe backbones` lists them), `"package.module:callable"`, a live module, or what
        `load_backbone` gave (weights, layer and transform are then its own).
    weights : str or path
        `"default"`, an enum name, `"none"` (random under `seed`), or a file.
    layer : str, optional
        Dotted module name to hook instead of the backbone's bottleneck.
    transform : Transform or callable, optional
        Image to tensor (3, h, w); the weights' own by default.
    descriptor : {"pixel", "gap", "gmp", "gem", "rmac", "flat"}
        What each image is reduced to: all cells of its grid, or one vector.
    dtype : {"float16", "float32"}
        Of the stored unit vectors.
    precision : {"fp32", "bf16", "fp16"}, optional
        Of the forward pass; a resumed build takes its own.
    batch_size : int, optional
        Images a forward pass: 32, or that of the build to resume.
    shard_images : int, optional
        Images a shard holds, a whole number of batches: what a killed build may lose. As many as fit
        256 MiB and no more than 512 by default, or that of the build to resume.
    device : str
        `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`.
    workers : int, optional
        Threads that decode images, one a core by default, none with 0; the memory's bytes do not
        depend on it.
    seed : int
        Of whatever is random in making the network.
    overwrite : bool
        Replace a memory of other settings.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Memory

    Raises
    ------
    MemoryFormatError
        The folder holds something else, or a memory of other settings or images.
    InputError, LayerError
        An option is none of its choices, or the layer gives no grid.
    NumericsError
        An image's activations are NaN or infinite.
    ImageError
        No image could be read.
    """
    from hueprobe.activations.backbones import Backbone, load_backbone

    table = resolve_images(images)
    if isinstance(backbone, Backbone):
        loaded = backbone
    else:
        loaded = load_backbone(
            backbone, weights=weights, layer=layer, transform=transform, seed=seed,
            made_by=None if overwrite else maker_of(Path(path)),
        )  # fmt: skip
    paths = [Path(path)]
    extractions = plan_extractions(
        paths, [loaded], descriptor=descriptor, dtype=dtype, precision=precision, batch_size=batch_size,
        shard_images=shard_images, device=device, seed=seed, resume=not overwrite,
    )  # fmt: skip
    (memory,) = fill_memories(
        paths, [extraction.settings for extraction in extractions], table,
        extracted_batches(extractions, table, workers), overwrite=overwrite, progress=progress,
    )  # fmt: skip
    return memory


def build_memories(
    path: str | Path,
    images: Any,
    *,
    backbone: "str | nn.Module | Sequence[Backbone]",
    layers: Sequence[str] = (),
    weights: str | Path = "default",
    transform: Any = None,
    descriptor: str = "pixel",
    dtype: str = "float16",
    precision: str | None = None,
    batch_size: int | None = None,
    shard_images: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> list[Memory]:
    """Extract the activations of several layers into one memory each, by one forward pass an image.

    Each memory is byte for byte what `build_memory` makes of its layer alone, and may be continued,
    appended to and queried by itself. The same call again continues all where each one stopped.

    Parameters
    ----------
    path : path
        The memories' folders are this and a dot and the layer's name: see `layer_path`.
    images
        As in `build_memory`.
    backbone : str, nn.Module or list of Backbone
        As in `build_memory`; or what `load_backbones` gave (layers, weights and transform are then
        its own).
    layers : sequence of str
        Dotted module names, each once.
    weights, transform, descriptor, dtype, precision, batch_size, shard_images, device
        As in `build_memory`.
    workers, seed, overwrite, progress
        As in `build_memory`.

    Returns
    -------
    list of Memory
        In the order of the layers.

    Raises
    ------
    InputError, LayerError
        No layer, a layer twice, an unknown one, or one that gives no grid; before anything is written.
    MemoryFormatError, NumericsError, ImageError
        As in `build_memory`.
    """
    from hueprobe.activations.backbones import load_backbones

    table = resolve_images(images)
    if isinstance(backbone, Sequence) and not isinstance(backbone, str):
        if layers or not backbone:
            raise InputError("backbones that are loaded have their layers; give one at least, and no layers=")
        loaded = list(backbone)
    else:
        made_by = None if overwrite or not layers else maker_of(layer_path(path, layers[0]))
        loaded = load_backbones(
            backbone, layers=layers, weights=weights, transform=transform, seed=seed, made_by=made_by
        )
    paths = [layer_path(path, tapped.layer) for tapped in loaded]
    extractions = plan_extractions(
        paths, loaded, descriptor=descriptor, dtype=dtype, precision=precision, batch_size=batch_size,
        shard_images=shard_images, device=device, seed=seed, resume=not overwrite,
    )  # fmt: skip
    return fill_memories(
        paths, [extraction.settings for extraction in extractions], table,
        extracted_batches(extractions, table, workers), overwrite=overwrite, progress=progress,
    )  # fmt: skip


def layer_path(path: str | Path, layer: str) -> Path:
    """Return the folder of a layer's memory: `path`, a dot and the layer.

    Characters that a folder's name may not have are written as in URLs (%2F for a slash), so that no
    two layers share a folder; `%` stands for the layer '', the network itself.

    Parameters
    ----------
    path : path
        What `build_memories` is given.
    layer : str
        Dotted module name.

    Returns
    -------
    Path

    Examples
    --------
    >>> layer_path("caltech.memory", "layer4.1").name
    'caltech.memory.layer4.1'
    """
    path = Path(path)
    return path.with_name(f"{path.name}.{quote(layer, safe='') or '%'}")


def append_images(
    path: str | Path,
    images: Any,
    *,
    backbone: "nn.Module | None" = None,
    weights: str | Path | None = None,
    transform: Any = None,
    device: str = "auto",
    workers: int | None = None,
    progress: bool = False,
) -> Memory:
    """Add images to a complete memory, with its own settings; new classes get the next ids.

    Indexes become stale and are refused until rebuilt. A killed append is continued by the same call.

    Parameters
    ----------
    path : path
        A complete memory, or one whose append was interrupted.
    images
        As in `build_memory`.
    backbone : nn.Module, optional
        The live module where the memory was made with one.
    weights : path, optional
        Where the recorded weights file lies now.
    transform : callable, optional
        The live module's, or another than is recorded.
    device, workers, progress
        As in `build_memory`.

    Returns
    -------
    Memory

    Raises
    ------
    InputError
        Some of the images are in the memory already.
    MemoryFormatError
        There is no memory, or its first build is not finished.
    BackboneError, WeightsError
        As in `hueprobe.memory.recorded.load_recorded_backbone`.
    NumericsError
        An image's activations are NaN or infinite.
    """
    path = Path(path)
    table = resolve_images(images)
    old = read_settings(path)
    loaded = load_recorded_backbone(old, backbone=backbone, transform=transform, weights=weights)
    extractions = plan_extractions(
        [path], [loaded], descriptor=old.descriptor, dtype=old.dtype, device=device, seed=old.seed
    )
    # The weights file may have moved: what was recorded first stays.
    settings = msgspec.structs.replace(
        extractions[0].settings, backbone=old.backbone, weights=old.weights, closing=old.closing,
        table_layer=old.table_layer, transform=old.transform,
    )  # fmt: skip
    batches = extracted_batches(extractions, table, workers)
    (memory,) = fill_memories([path], [settings], table, batches, append=True, progress=progress)
    return memory
