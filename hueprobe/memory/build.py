"""Building a memory: images through a network into shards on disk, resumable."""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.allocation import freed_memory_kept
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.memory.filling import Batches, Filled, fill_memory
from hueprobe.memory.recipe import (
    Recipe,
    blank_batch,
    load_recipe,
    load_recorded_backbone,
)
from hueprobe.memory.settings import read_settings
from hueprobe.memory.store import Memory

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone
    from hueprobe.images.loading import Batch

# For images [start, stop) of a table: batches of activations, one (b, C, H, W) a layer, and their records,
# or what makes them, as in `Batches`.
LayersFilled = tuple[list[np.ndarray], list[dict[str, Any]]]
LayerBatches = Callable[[int, int], Generator[LayersFilled | Callable[[], LayersFilled], None, None]]
_KEPT_ON_APPEND = ("backbone", "weights", "closing", "table_layer", "transform")


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
    dtype : {"float16", "float32"}
        Of the stored unit vectors.
    precision : {"fp32", "bf16", "fp16"}, optional
        Of the forward pass; a resumed build takes its own.
    batch_size : int, optional
        32, or that of the build to resume.
    device : str
        `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`.
    workers : int, optional
        Threads that decode images, one a core by default, none with 0; the memory's bytes do not
        depend on it.
    overwrite : bool
        Replace a memory of other settings.

    Raises
    ------
    MemoryFormatError
        The folder holds something else, or a memory of other settings or images.
    NumericsError
        An image's activations are NaN or infinite.
    ImageError
        No image could be read.
    """
    from hueprobe.activations.backbones import Backbone, load_backbone

    path = Path(path)
    table = resolve_images(images)
    if isinstance(backbone, Backbone):
        loaded = backbone
    else:
        loaded = load_backbone(backbone, weights=weights, layer=layer, transform=transform, seed=seed)
    recipe = load_recipe(
        path, loaded, descriptor=descriptor, dtype=dtype, precision=precision, batch_size=batch_size,
        device=device, seed=seed, resume=not overwrite,
    )  # fmt: skip
    batches = _image_batches(recipe, table, workers)
    return fill_memory(path, recipe.settings, table, batches, overwrite=overwrite, progress=progress)


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
    backbone, transform : optional
        The live module (and its transform) where the memory was made with one.
    weights : path, optional
        Where the recorded weights file lies now.
    """
    path = Path(path)
    table = resolve_images(images)
    old = read_settings(path)
    loaded = load_recorded_backbone(old, backbone=backbone, transform=transform, weights=weights)
    recipe = load_recipe(
        path, loaded, descriptor=old["descriptor"], dtype=old["dtype"], device=device, seed=old["seed"]
    )
    # The weights file may have moved: what was recorded first stays.
    settings = {**recipe.settings, **{name: old[name] for name in _KEPT_ON_APPEND}}
    batches = _image_batches(recipe, table, workers)
    return fill_memory(path, settings, table, batches, append=True, progress=progress)


@dataclass(frozen=True)
class MemoryPlan:
    """What a build would write.

    Attributes
    ----------
    settings : dict
        What memory.json would hold.
    n_images, n_vectors : int
        Images, and vectors (images times cells).
    n_bytes : int
        Size of all shards, in bytes, the small image tables left out.
    """

    settings: dict[str, Any]
    n_images: int
    n_vectors: int
    n_bytes: int


def plan_memory(path: str | Path, images: Any, *, backbone: "Backbone", **options: Any) -> MemoryPlan:
    """Say what `build_memory` would write, without writing it.

    Parameters
    ----------
    path, images
        As in `build_memory`.
    backbone : Backbone
        From `load_backbone`.
    **options
        Of `hueprobe.memory.recipe.load_recipe`: descriptor, dtype, precision, batch_size, device.
    """
    table = resolve_images(images)
    settings = load_recipe(Path(path), backbone, **options).settings
    n_vectors = len(table) * settings["grid"][0] * settings["grid"][1]
    row = settings["channels"] * np.dtype(settings["dtype"]).itemsize + 4
    return MemoryPlan(settings, len(table), n_vectors, n_vectors * row)


def layer_batches(recipes: Sequence[Recipe], table: ImageTable, workers: int | None) -> LayerBatches:
    """Return the extraction of the table's images [start, stop): load, run, blank the unreadable.

    The recipes share one network, which runs once a batch.
    """
    from hueprobe.images.loading import load_batches

    extractor, settings = recipes[0].extractor, recipes[0].settings
    taps = [recipe.backbone for recipe in recipes]
    on_cpu = extractor.device_kind == "cpu"

    def finished(batch: "Batch", results: Callable[[], list[np.ndarray]]) -> LayersFilled:
        grids = results()
        unreadable = np.array([not record.readable for record in batch.records])
        for activations in grids:
            activations[unreadable] = 0
        return grids, [asdict(record) for record in batch.records]

    def run(batch: "Batch") -> LayersFilled:
        return finished(batch, extractor.begin(taps, batch.images))

    def batches(start: int, stop: int) -> Generator[LayersFilled | Callable[[], LayersFilled], None, None]:
        loaded = load_batches(
            table,
            taps[0].transform,
            batch_size=settings["batch_size"],
            workers=workers,
            **extractor.loading,
            start=start,
            stop=stop,
            image_shape=tuple(blank_batch(taps[0]).shape[1:]),
        )
        begun: deque[tuple[Batch, Callable[[], list[np.ndarray]]]] = deque()
        with freed_memory_kept(on_cpu), contextlib.closing(loaded):
            for batch in loaded:
                if on_cpu:
                    yield partial(run, batch)
                    continue
                begun.append((batch, extractor.begin(taps, batch.images)))
                if len(begun) > 1:  # a GPU gets its next batch before the last is fetched
                    yield finished(*begun.popleft())
            while begun:
                yield finished(*begun.popleft())

    return batches


def _image_batches(recipe: Recipe, table: ImageTable, workers: int | None) -> Batches:
    """Return the extraction of the table's images [start, stop) at one layer."""

    def batches(start: int, stop: int) -> Generator[Filled | Callable[[], Filled], None, None]:
        with contextlib.closing(layer_batches([recipe], table, workers)(start, stop)) as made:
            for batch in made:
                yield partial(_made, batch) if callable(batch) else _only_layer(batch)

    return batches


def _made(make: Callable[[], LayersFilled]) -> Filled:
    return _only_layer(make())


def _only_layer(batch: LayersFilled) -> Filled:
    (activations,), records = batch
    return activations, records
