"""Building memories: images through a network into shards on disk, one memory a layer, resumable."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.images.value_range import ValueRange
from hueprobe.memory.extraction import extracted_batches, plan_extractions
from hueprobe.memory.filling import fill_memories
from hueprobe.memory.recorded import load_recorded_backbone, maker_of
from hueprobe.memory.settings import MemorySettings, read_settings
from hueprobe.memory.store import Memory
from hueprobe.memory.transforms import describe_transform, transform_words
from hueprobe.memory.unchanged import image_hashes

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
    value_range: Any = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> Memory:
    """Extract every image's activations into a memory on disk.

    Finished shards survive anything; the same call again continues where the last one stopped, and
    the result is byte for byte that of an undisturbed build. Images that were read already must hold what
    they held: files by their times, or else by their sha256; the items of a Dataset by their pixels.

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
        RGB image to float tensor (channels, h, w); the weights' own by default. What it does is recorded;
        one that is no `Transform` must be given again to whatever looks at other images.
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
    value_range : int, str or (float, float), optional
        Which values of images of more than 8 bits are black and white: a number of bits (12: 0 to 4095),
        `"LOW:HIGH"`, `"auto"` for each image's own least and greatest, or `"full"`. It is recorded, and
        other images are read alike. By default 16 bits are 0 to 65535, and floats and 32 bits as in
        `hueprobe.images.read_image`.
    seed : int
        Of whatever is random in making the network.
    overwrite : bool
        Replace a memory that is there, of whatever settings and images.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Memory

    Raises
    ------
    MemoryFormatError
        The folder holds something else, or a memory of other settings or images; or images changed since
        they were read.
    InputError, LayerError
        An option is none of its choices, or the layer gives no grid.
    NumericsError
        An image's activations are NaN or infinite.
    ImageError
        No image could be read.

    Warns
    -----
    HueprobeWarning
        The transform is random, fails on the images that are drawn to see what it does, or is assumed of
        a weights file that does not tell it.
    """
    from hueprobe.activations.backbones import Backbone, load_backbone

    table = _in_range(resolve_images(images), value_range)
    if isinstance(backbone, Backbone):
        loaded = backbone
    else:
        loaded = load_backbone(
            backbone, weights=weights, layer=layer, transform=transform, seed=seed,
            made_by=None if overwrite else maker_of(Path(path)),
        )  # fmt: skip
        _warn_of_assumed_transform(loaded)
    paths = [Path(path)]
    extractions = plan_extractions(
        paths, [loaded], table, descriptor=descriptor, dtype=dtype, precision=precision,
        batch_size=batch_size, shard_images=shard_images, device=device, seed=seed, resume=not overwrite,
    )  # fmt: skip
    extractions[0].seen.warn()
    (memory,) = fill_memories(
        paths, [extraction.settings for extraction in extractions], table,
        extracted_batches(extractions, table, workers), hashes=image_hashes(table, workers),
        overwrite=overwrite, progress=progress,
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
    value_range: Any = None,
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
    workers, value_range, seed, overwrite, progress
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

    table = _in_range(resolve_images(images), value_range)
    if isinstance(backbone, Sequence) and not isinstance(backbone, str):
        if layers or not backbone:
            raise InputError("backbones that are loaded have their layers; give one at least, and no layers=")
        loaded = list(backbone)
    else:
        made_by = None if overwrite or not layers else maker_of(layer_path(path, layers[0]))
        loaded = load_backbones(
            backbone, layers=layers, weights=weights, transform=transform, seed=seed, made_by=made_by
        )
        _warn_of_assumed_transform(loaded[0])
    paths = [layer_path(path, tapped.layer) for tapped in loaded]
    extractions = plan_extractions(
        paths, loaded, table, descriptor=descriptor, dtype=dtype, precision=precision, batch_size=batch_size,
        shard_images=shard_images, device=device, seed=seed, resume=not overwrite,
    )  # fmt: skip
    extractions[0].seen.warn()
    return fill_memories(
        paths, [extraction.settings for extraction in extractions], table,
        extracted_batches(extractions, table, workers), hashes=image_hashes(table, workers),
        overwrite=overwrite, progress=progress,
    )  # fmt: skip


def _in_range(table: ImageTable, value_range: Any) -> ImageTable:
    """Return the table with the range of values that is asked for, or its own where none is."""
    return table if value_range is None else replace(table, value_range=ValueRange.of(value_range))


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
        That which made the memory, where it was no `Transform` and the network does not bring it.
    device, workers, progress
        As in `build_memory`.

    Returns
    -------
    Memory

    Raises
    ------
    InputError
        Some of the images are in the memory already, be it under another name or root; or they give another
        grid.
    MemoryFormatError
        There is no memory, or its first build is not finished; or images of an append that was interrupted
        changed since they were read.
    BackboneError, WeightsError
        As in `hueprobe.memory.recorded.load_recorded_backbone`.
    NumericsError
        An image's activations are NaN or infinite.
    """
    path = Path(path)
    old = read_settings(path)
    table = replace(resolve_images(images), value_range=old.range_of_values())
    loaded = load_recorded_backbone(old, backbone=backbone, transform=transform, weights=weights)
    extractions = plan_extractions(
        [path], [loaded], table, descriptor=old.descriptor, dtype=old.dtype, device=device, seed=old.seed
    )
    _require_grid(path, old, extractions[0].settings)
    # The weights file may have moved: what was recorded first stays.
    settings = msgspec.structs.replace(
        extractions[0].settings, backbone=old.backbone, weights=old.weights, closing=old.closing,
        table_layer=old.table_layer, transform=old.transform, transform_probe=old.transform_probe,
    )  # fmt: skip
    batches = extracted_batches(extractions, table, workers)
    (memory,) = fill_memories(
        [path],
        [settings],
        table,
        batches,
        hashes=image_hashes(table, workers),
        append=True,
        progress=progress,
    )
    return memory


def _require_grid(path: Path, old: MemorySettings, new: MemorySettings) -> None:
    if new.grid != old.grid:
        raise InputError(
            f"the images to append give {new.grid[0]} x {new.grid[1]} cells, those of {path} "
            f"{old.grid[0]} x {old.grid[1]}: they come out of the transform in another size, so resize them"
        )


def _warn_of_assumed_transform(loaded: "Backbone") -> None:
    if loaded.transform_assumed:
        words = transform_words(describe_transform(loaded.transform))
        warnings.warn(
            f"transform for {loaded.weights}: {words}; that of {loaded.transform_of}; give another with "
            "transform=",
            HueprobeWarning,
            stacklevel=3,
        )
