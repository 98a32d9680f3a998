"""Building memories: images go through a network into shards on disk, one memory per layer, resumable."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from hueprobe.errors import InputError
from hueprobe.images.resolve import resolve_images
from hueprobe.memory.extraction import extracted_batches, plan_extractions
from hueprobe.memory.filling import fill_memories
from hueprobe.memory.planned_build import paired_masks, plan_build
from hueprobe.memory.recorded import load_recorded_backbone
from hueprobe.memory.settings import MemorySettings, read_settings
from hueprobe.memory.store import Memory
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
    masks: Any = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> Memory:
    """Extract the activations of images into a memory on disk.

    Builds resume: the same call again continues after the last finished shard. The result is byte for byte
    that of an uninterrupted build. A resumed build checks that images already read are unchanged. Files are
    compared by their timestamps, or else by their sha256; items of a Dataset by their pixels.

    Parameters
    ----------
    path : path
        Folder of the memory: new, empty, or a memory of the same settings.
    images : path, ImageTable, torch Dataset or list of files
        A folder of class folders, a flat folder, a CSV or Parquet table, or `"demo"`.
    backbone : str, nn.Module or Backbone
        A name (`hueprobe backbones` lists them), `"package.module:callable"`, a live module, or a result of
        `load_backbone` (which has its own weights, layer and transform).
    weights : str or path, default="default"
        `"default"`, an enum name, `"none"` (random weights from `seed`), or a file.
    layer : str, optional
        Dotted name of the module whose output is extracted. By default the backbone's bottleneck.
    transform : Transform or callable, optional
        Function from an RGB image to a float tensor (channels, h, w). By default the transform of the
        weights. Its effect is recorded. A custom transform, one that is not a `Transform`, must be given
        again wherever new images are read.
    descriptor : {"pixel", "gap", "gmp", "gem", "rmac", "flat"}, default="pixel"
        What each image is reduced to: `"pixel"` keeps all cells of the grid. The others give one vector: the
        average (`"gap"`) or maximum (`"gmp"`) of the cells, GeM [1]_, R-MAC [2]_, or all cells in a row
        (`"flat"`).
    dtype : {"float16", "float32", "sparse16"}, default="float16"
        Data type of the stored unit vectors. `"sparse16"` is float16 without the zeros, lossless and 4 to 8
        times smaller on disk; only for layers that end in a ReLU.
    precision : {"fp32", "bf16", "fp16"}, optional
        Precision of the forward pass. By default `"fp32"`, or that of the build to resume.
    batch_size : int, optional
        Images per forward pass. By default 32, or that of the build to resume.
    shard_images : int, optional
        Images per shard, a multiple of the batch size; a killed build loses at most one shard. By default
        as many as fit into 256 MiB and at most 512, or that of the build to resume.
    device : str, default="auto"
        Device of the network: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`.
    workers : int, optional
        Number of threads that decode images; 0 decodes in the main thread. By default one per core, at most
        16. The memory's bytes do not depend on it.
    value_range : int, str or (float, float), optional
        The values that mean black and white in images of more than 8 bits. A number of bits (12 means 0 to
        4095), (low, high), `"LOW:HIGH"`, `"auto"` (minimum and maximum of each image), or `"full"`. It is
        recorded and applies to all images read for this memory. By default 16 bits range from 0 to 65535;
        for floats and 32 bits see `hueprobe.images.read_image`.
    masks : path, list of path or Masks, optional
        Masks of the images, so that each cell has the number of pixels of each label: a folder, a table, one
        file for each image, or a result of `hueprobe.images.pair_masks`, which also sets names and ignored
        values. By default labels are the pixel values, and 255 is ignored. Masks are resized, cropped and
        padded like their images, by the nearest pixel.
    seed : int, default=0
        Seed of everything random in making the network.
    overwrite : bool, default=False
        Whether to replace an existing memory, whatever its settings and images.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Memory

    Raises
    ------
    MemoryFormatError
        The folder holds something else, or a memory of other settings or images; or images or masks changed
        since they were read.
    InputError, LayerError
        An option is invalid, or the output of the layer is not a grid. Or the dtype is `sparse16` and the
        network is known to be signed, or an image's activations are negative.
    NumericsError
        The activations of an image are NaN or infinite.
    ImageError
        No image could be read, or the mask of an image is missing or cannot be read.
    ShapeError
        A mask and its image differ in size.

    Warns
    -----
    HueprobeWarning
        The transform is random, fails on the drawn images that its effect is recorded on, or is assumed
        because the weights file does not record one. Or all pixels of some masks are ignored.

    See Also
    --------
    hueprobe.build_memories : Several layers by one forward pass per image.
    hueprobe.memory_from_arrays : A memory of activations extracted elsewhere.
    hueprobe.memory.plan_memory : The size of a memory before it is built.
    hueprobe.memory.append_images : Add images to a memory.

    References
    ----------
    .. [1] F. Radenović, G. Tolias and O. Chum, "Fine-tuning CNN image retrieval with no human annotation",
       IEEE Transactions on Pattern Analysis and Machine Intelligence 41(7), 1655-1668, 2018.
    .. [2] G. Tolias, R. Sicre and H. Jégou, "Particular object retrieval with integral max-pooling of CNN
       activations", arXiv:1511.05879, 2015.

    Examples
    --------
    >>> hp.build_memory("new.memory", "images", backbone=network, layer="3", transform=transform)
    <Memory new.memory: 12 images x 7x7 x 16, live Sequential:3>
    """
    from hueprobe.activations.backbones import Backbone

    plan = plan_build(
        lambda _: Path(path), images, backbone=backbone,
        layers=() if isinstance(backbone, Backbone) else [layer], weights=weights, transform=transform,
        descriptor=descriptor, dtype=dtype, precision=precision, batch_size=batch_size,
        shard_images=shard_images, device=device, workers=workers, value_range=value_range, masks=masks,
        seed=seed, resume=not overwrite, progress=progress,
    )  # fmt: skip
    (memory,) = fill_memories(
        plan.paths, plan.settings, plan.table, plan.batches(), hashes=plan.hashes(), masks=plan.masks,
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
    masks: Any = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> list[Memory]:
    """Extract the activations of several layers into one memory each, by one forward pass per image.

    Each memory is byte for byte what `build_memory` makes of that layer, and may be resumed, appended to and
    queried separately. Builds resume: the same call again continues every memory after its last shard.

    Parameters
    ----------
    path : path
        Start of the memories' paths: a dot and the name of the layer follow; see `layer_path`.
    images : path, ImageTable, torch Dataset or list of files
        The images; see `build_memory`.
    backbone : str, nn.Module or list of Backbone
        The network; see `build_memory`. Or a result of `load_backbones`, which has its own layers, weights
        and transform.
    layers : sequence of str, default=()
        Dotted names of modules, without repeats. Empty only for a result of `load_backbones`.
    weights : str or path, default="default"
        Weights of the network; see `build_memory`.
    transform : Transform or callable, optional
        Function from an RGB image to a float tensor. By default the transform of the weights.
    descriptor : {"pixel", "gap", "gmp", "gem", "rmac", "flat"}, default="pixel"
        What each image is reduced to.
    dtype : {"float16", "float32", "sparse16"}, default="float16"
        Data type of the stored unit vectors; see `build_memory`.
    precision : {"fp32", "bf16", "fp16"}, optional
        Precision of the forward pass. By default `"fp32"`, or that of the build to resume.
    batch_size : int, optional
        Images per forward pass. By default 32, or that of the build to resume.
    shard_images : int, optional
        Images per shard, a multiple of the batch size; for the default see `build_memory`.
    device : str, default="auto"
        Device of the network.
    workers : int, optional
        Number of threads that decode images; 0 decodes in the main thread. By default one per core, at most
        16.
    value_range : int, str or (float, float), optional
        The values that mean black and white in images of more than 8 bits; see `build_memory`.
    masks : path, list of path or Masks, optional
        Masks of the images; see `build_memory`.
    seed : int, default=0
        Seed of everything random in making the network.
    overwrite : bool, default=False
        Whether to replace existing memories.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    list of Memory
        One memory per layer, in the order of the layers.

    Raises
    ------
    InputError, LayerError
        There is no layer, or a layer is repeated, unknown, or has an output that is not a grid. Raised
        before anything is written.
    MemoryFormatError, NumericsError, ImageError
        See `build_memory`.

    See Also
    --------
    hueprobe.build_memory : One layer.
    hueprobe.memory.layer_path : The folder of each memory.

    Examples
    --------
    >>> hp.build_memories("m", "images", backbone=network, layers=["1", "3"], transform=transform)
    [<Memory m.1: 12 images x 15x15 x 8, live Sequential:1>,
     <Memory m.3: 12 images x 7x7 x 16, live Sequential:3>]
    """
    plan = plan_build(
        lambda layer: layer_path(path, layer or ""), images, backbone=backbone, layers=layers,
        weights=weights, transform=transform, descriptor=descriptor, dtype=dtype, precision=precision,
        batch_size=batch_size, shard_images=shard_images, device=device, workers=workers,
        value_range=value_range, masks=masks, seed=seed, resume=not overwrite, progress=progress,
    )  # fmt: skip
    return fill_memories(
        plan.paths, plan.settings, plan.table, plan.batches(), hashes=plan.hashes(), masks=plan.masks,
        overwrite=overwrite, progress=progress,
    )  # fmt: skip


def layer_path(path: str | Path, layer: str) -> Path:
    """Return the folder of a layer's memory: `path`, a dot and the layer.

    Characters that are not allowed in the name of a folder are escaped like in URLs (%2F for a slash), so
    that no two layers share a folder. `%` stands for the layer '', the network itself.

    Parameters
    ----------
    path : path
        The path given to `build_memories`.
    layer : str
        Dotted name of the module.

    Returns
    -------
    Path

    See Also
    --------
    hueprobe.build_memories : Builds these memories.

    Examples
    --------
    >>> layer_path("caltech.memory", "layer4.1").name
    'caltech.memory.layer4.1'
    """
    path = Path(path)
    return path.with_name(f"{path.name}.{layer_folder(layer)}")


def layer_folder(layer: str) -> str:
    """Return the name of a layer in paths; see `layer_path`.

    Parameters
    ----------
    layer : str
        Dotted name of the module.

    Examples
    --------
    >>> layer_folder("blocks/0"), layer_folder("")
    ('blocks%2F0', '%')
    """
    return quote(layer, safe="") or "%"


def append_images(
    path: str | Path,
    images: Any,
    *,
    backbone: "nn.Module | None" = None,
    weights: str | Path | None = None,
    transform: Any = None,
    masks: Any = None,
    device: str = "auto",
    workers: int | None = None,
    progress: bool = False,
) -> Memory:
    """Add images to a complete memory, with the memory's own settings.

    New classes get the next ids. Indexes become stale and must be rebuilt. Appends resume: run the same call
    again.

    Parameters
    ----------
    path : path
        A complete memory, or one whose append was interrupted.
    images : path, ImageTable, torch Dataset or list of files
        The images to add; see `build_memory`.
    backbone : nn.Module, optional
        The live module, if the memory was built with one. By default the recorded network is loaded.
    weights : path, optional
        Where the recorded weights file is now. By default its recorded path is used.
    transform : callable, optional
        The custom transform that built the memory, if the network does not provide it. By default the
        recorded one is used.
    masks : path, list of path or Masks, optional
        Masks of the images, required if the memory has labels; see `build_memory`. Their labels are those of
        the memory.
    device : str, default="auto"
        Device of the network. `"auto"` is the device kind that built the memory.
    workers : int, optional
        Number of threads that decode images; 0 decodes in the main thread. By default one per core, at most
        16.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Memory

    Raises
    ------
    InputError
        Some images are already in the memory, perhaps under another name or root; or their grid differs; or
        the memory has labels and there are no masks, or the reverse; or the memory is `sparse16` and an
        image's activations are negative.
    MemoryFormatError
        There is no memory, or its first build is not finished; or images of an interrupted append changed
        since they were read.
    BackboneError, WeightsError
        The network or its weights cannot be loaded, or are not those that built the memory.
    NumericsError
        The activations of an image are NaN or infinite.

    See Also
    --------
    hueprobe.build_memory : Build a memory.
    hueprobe.search.build_index : Rebuild a stale index.

    Examples
    --------
    >>> larger = hp.memory.append_images("memory", "others", backbone=network, transform=transform)
    >>> larger.n_images
    18
    """
    path = Path(path)
    old = read_settings(path)
    table = replace(resolve_images(images), value_range=old.range_of_values())
    labels = None if old.labels is UNSET else old.labels.label_set()
    if (labels is None) != (masks is None):
        raise InputError(
            f"{path} has no labels; append without masks"
            if labels is None
            else f"{path} has labels of cells; give the masks of the images to append (--masks MASKS)"
        )
    paired = paired_masks(table, masks, workers, progress, labels)
    loaded = load_recorded_backbone(old, backbone=backbone, transform=transform, weights=weights)
    extractions = plan_extractions(
        [path], [loaded], table, descriptor=old.descriptor, dtype=old.dtype, device=device, seed=old.seed,
        labels=labels,
    )  # fmt: skip
    _require_grid(path, old, extractions[0].settings)
    # The weights file may have moved: what was recorded first stays.
    settings = msgspec.structs.replace(
        extractions[0].settings, backbone=old.backbone, weights=old.weights, closing=old.closing,
        table_layer=old.table_layer, transform=old.transform, transform_probe=old.transform_probe,
        labels=old.labels,
    )  # fmt: skip
    batches = extracted_batches(extractions, table, workers, paired)
    (memory,) = fill_memories(
        [path],
        [settings],
        table,
        batches,
        hashes=image_hashes(table, workers),
        masks=paired,
        append=True,
        progress=progress,
    )
    return memory


def _require_grid(path: Path, old: MemorySettings, new: MemorySettings) -> None:
    if new.grid != old.grid:
        raise InputError(
            f"the images to append give {new.grid[0]} x {new.grid[1]} cells, those of {path} "
            f"{old.grid[0]} x {old.grid[1]}: the transform leaves them at another size, so resize them"
        )
