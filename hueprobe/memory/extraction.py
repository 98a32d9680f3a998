"""Images through a network: the settings of the memories that come of it, and their batches."""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import UNSET, UnsetType

from hueprobe.activations.descriptors import DESCRIPTORS, describe
from hueprobe.allocation import freed_memory_kept
from hueprobe.errors import ImageError, require_choice
from hueprobe.images.noticed import Tally
from hueprobe.images.table import ImageTable
from hueprobe.memory.filling import Batches, Filled
from hueprobe.memory.settings import (
    CLASS_ORDER,
    DEFAULT_BATCH_SIZE,
    FILE_NAME,
    FORMAT,
    MemorySettings,
    images_per_shard,
    library_versions,
    read_settings,
)
from hueprobe.memory.transforms import SeenTransform, see_transform
from hueprobe.memory.vectors import DTYPES

if TYPE_CHECKING:
    from torch import Tensor

    from hueprobe.activations.backbones import Backbone
    from hueprobe.activations.extractor import Extractor
    from hueprobe.images.loading import Batch

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Extraction:
    """A loaded network, tapped at one layer, with the settings of the memory that it would make.

    Attributes
    ----------
    backbone : Backbone
    extractor : Extractor
    settings : MemorySettings
    image_shape : (int, int, int) or None
        (channels, h, w) of all images after the transform; None where none can be read.
    seen : SeenTransform
        What the transform does.
    """

    backbone: "Backbone"
    extractor: "Extractor"
    settings: MemorySettings
    image_shape: tuple[int, ...] | None
    seen: SeenTransform


def plan_extractions(
    paths: Sequence[Path],
    backbones: "Sequence[Backbone]",
    table: ImageTable,
    *,
    descriptor: str = "pixel",
    dtype: str = "float16",
    precision: str | None = None,
    batch_size: int | None = None,
    shard_images: int | None = None,
    device: str = "auto",
    seed: int = 0,
    resume: bool = True,
) -> list[Extraction]:
    """See what grids one network gives at its taps and put the settings of a memory for each together.

    The first memory that is there lends its batch size, precision and device where none is asked for, and
    each its own number of images a shard.

    Parameters
    ----------
    paths : sequence of Path
        Of the memories, whether they are there or not; one a backbone.
    backbones : sequence of Backbone
        From `load_backbones`: they share one module.
    table : ImageTable
        Its first readable image sets the grid, where the transform does not fix the size of images.
    descriptor, dtype, precision, batch_size, shard_images, device, seed
        As in `hueprobe.build_memory`.
    resume : bool
        Whether memories that are there are to be continued, and lend anything.

    Raises
    ------
    InputError
        An option is none of its choices.
    LayerError
        A layer gives no grid.
    ImageError
        No image can be read, the transform fixes no size, and there is no memory to go by.
    """
    from hueprobe.activations.extractor import Extractor

    require_choice("descriptor", descriptor, DESCRIPTORS)
    require_choice("dtype", dtype, DTYPES)
    there = [read_settings(path) if resume and (path / FILE_NAME).is_file() else None for path in paths]
    lender = next((old for old in there if old is not None), None)
    precision = precision or (lender.precision if lender else "fp32")
    require_choice("precision", precision, PRECISIONS)
    batch_size = batch_size or (lender.batch_size if lender else DEFAULT_BATCH_SIZE)
    if device == "auto" and lender:
        device = lender.device
    extractor = Extractor(backbones[0], device=device, precision=precision)
    sample = _sample(backbones[0], table, needed=None in there)
    if sample.images is None:
        shapes = [(old.channels, *old.grid) for old in there if old is not None]
    else:
        grids = extractor.at(backbones, sample.images)
        shapes = [describe(activations, descriptor).shape[1:] for activations in grids]
    extractions = []
    for backbone, (channels, *grid), old in zip(backbones, shapes, there, strict=True):
        seen = sample.seen(backbone, old)
        settings = MemorySettings(
            format=FORMAT,
            class_order=CLASS_ORDER,
            backbone=backbone.name,
            layer=backbone.layer,
            closing=backbone.closing,
            table_layer=backbone.table_layer,
            weights=backbone.weights,
            weights_sha256=backbone.weights_sha256,
            transform=seen.recorded,
            transform_probe=seen.transform_probe,
            grid=(grid[0], grid[1]),
            channels=channels,
            descriptor=descriptor,
            dtype=dtype,
            batch_size=batch_size,
            shard_images=old.shard_images
            if old and shard_images is None
            else images_per_shard((grid[0], grid[1]), channels, dtype, batch_size, shard_images),
            device=extractor.device_kind,
            precision=extractor.precision,
            seed=seed,
            versions=library_versions(),
            value_range=UNSET if table.value_range is None else table.value_range.text,
        )
        shape = None if sample.images is None else tuple(sample.images.shape[1:])
        extractions.append(Extraction(backbone, extractor, settings, shape, seen))
    return extractions


@dataclass(frozen=True)
class _Sample:
    """One image as the network gets it, (1, channels, h, w), and its size on disk; None where none is."""

    images: "Tensor | None"
    size: tuple[int, int] | None = None

    def seen(self, backbone: "Backbone", old: MemorySettings | None) -> SeenTransform:
        like = () if old is None or isinstance(old.transform_probe, UnsetType) else old.transform_probe
        return see_transform(backbone.transform, like=like, size=self.size)


def _sample(backbone: "Backbone", table: ImageTable, *, needed: bool) -> _Sample:
    """Return a gray image where the transform fixes the size of all, else the first that can be read."""
    from PIL import Image

    from hueprobe.images.loading import first_image
    from hueprobe.images.transform import Transform

    transform = backbone.transform
    if type(transform) is Transform and transform.shape:
        return _Sample(transform(Image.new("RGB", (256, 256), (128, 128, 128)))[None])
    try:
        first = first_image(table, transform)
    except ImageError:
        if needed:
            raise
        return _Sample(None)
    return _Sample(first.tensor[None], first.size)


def extracted_batches(extractions: Sequence[Extraction], table: ImageTable, workers: int | None) -> Batches:
    """Return the extraction of the table's images [start, stop): load, run, blank the unreadable.

    They share one network, which runs once a batch.
    """
    from hueprobe.images.loading import load_batches

    extractor, settings = extractions[0].extractor, extractions[0].settings
    taps = [extraction.backbone for extraction in extractions]
    on_cpu = extractor.device_kind == "cpu"

    def finished(batch: "Batch", results: Callable[[], list[np.ndarray]]) -> Filled:
        grids = results()
        unreadable = np.array([not record.readable for record in batch.records])
        for activations in grids:
            activations[unreadable] = 0
        return grids, [record.stored() for record in batch.records]

    def run(batch: "Batch") -> Filled:
        return finished(batch, extractor.begin(taps, batch.images))

    def batches(start: int, stop: int) -> Generator[Filled | Callable[[], Filled], None, None]:
        loaded = load_batches(
            table,
            taps[0].transform,
            batch_size=settings.batch_size,
            workers=workers,
            **extractor.loading,
            start=start,
            stop=stop,
            image_shape=extractions[0].image_shape,
        )
        begun: deque[tuple[Batch, Callable[[], list[np.ndarray]]]] = deque()
        tally = Tally()
        with freed_memory_kept(on_cpu), contextlib.closing(loaded):
            for batch in loaded:
                tally.add(record.noticed for record in batch.records)
                if on_cpu:
                    yield partial(run, batch)
                    continue
                begun.append((batch, extractor.begin(taps, batch.images)))
                if len(begun) > 1:  # a GPU gets its next batch before the last is fetched
                    yield finished(*begun.popleft())
            while begun:
                yield finished(*begun.popleft())
        tally.warn()

    return batches
