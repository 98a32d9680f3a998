"""Images through a network: the settings of the memories that come of it, and their batches."""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET

from hueprobe.activations.descriptors import DESCRIPTORS, describe
from hueprobe.allocation import freed_memory_kept
from hueprobe.errors import require_choice
from hueprobe.images.noticed import Tally
from hueprobe.images.table import ImageTable
from hueprobe.images.value_range import ValueRange
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
from hueprobe.memory.vectors import DTYPES

if TYPE_CHECKING:
    from hueprobe.activations.backbones import Backbone
    from hueprobe.activations.extractor import Extractor
    from hueprobe.images.loading import Batch

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Extraction:
    """A loaded network, tapped at one layer, with the settings of the memory that it would make."""

    backbone: "Backbone"
    extractor: "Extractor"
    settings: MemorySettings


def plan_extractions(
    paths: Sequence[Path],
    backbones: "Sequence[Backbone]",
    *,
    descriptor: str = "pixel",
    dtype: str = "float16",
    precision: str | None = None,
    batch_size: int | None = None,
    shard_images: int | None = None,
    device: str = "auto",
    seed: int = 0,
    resume: bool = True,
    value_range: ValueRange | None = None,
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
    descriptor, dtype, precision, batch_size, shard_images, device, seed
        As in `hueprobe.build_memory`.
    resume : bool
        Whether memories that are there are to be continued, and lend anything.
    value_range : ValueRange, optional
        That of the images' table.

    Raises
    ------
    InputError
        An option is none of its choices.
    LayerError
        A layer gives no grid.
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
    grids = extractor.at(backbones, blank_batch(backbones[0]))
    extractions = []
    for backbone, activations, old in zip(backbones, grids, there, strict=True):
        _, channels, *grid = describe(activations, descriptor).shape
        to_json = getattr(backbone.transform, "to_json", None)
        settings = MemorySettings(
            format=FORMAT,
            class_order=CLASS_ORDER,
            backbone=backbone.name,
            layer=backbone.layer,
            closing=backbone.closing,
            table_layer=backbone.table_layer,
            weights=backbone.weights,
            weights_sha256=backbone.weights_sha256,
            transform=to_json() if to_json else {"custom": repr(backbone.transform)},
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
            value_range=UNSET if value_range is None else value_range.text,
        )
        extractions.append(Extraction(backbone, extractor, settings))
    return extractions


def blank_batch(backbone: "Backbone") -> Any:
    """Return one gray image as the network gets it, to see what grid comes out."""
    from PIL import Image

    return backbone.transform(Image.new("RGB", (256, 256), (128, 128, 128)))[None]


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
            image_shape=tuple(blank_batch(taps[0]).shape[1:]),
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
