"""Running images through a network: settings and batches of the resulting memories."""

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
from hueprobe.images.label_names import LabelSet
from hueprobe.images.mask_files import Masks
from hueprobe.images.masks import cell_counts, require_geometry
from hueprobe.images.noticed import Tally
from hueprobe.images.table import ImageTable
from hueprobe.memory.filling import Batches, Filled
from hueprobe.memory.nonnegative import require_nonnegative, require_unsigned
from hueprobe.memory.settings import (
    CLASS_ORDER,
    DEFAULT_BATCH_SIZE,
    FILE_NAME,
    LabelSettings,
    MemorySettings,
    format_of,
    images_per_shard,
    library_versions,
    read_settings,
)
from hueprobe.memory.transforms import SeenTransform, see_transform
from hueprobe.memory.vectors import DTYPES, SPARSE16

if TYPE_CHECKING:
    from torch import Tensor

    from hueprobe.activations.backbones import Backbone
    from hueprobe.activations.extractor import Extractor
    from hueprobe.images.loading import Batch

PRECISIONS = ("fp32", "bf16", "fp16")
# (row of the first image, transformed images (b, h, w, channels)) -> images of the same shape, a new array
Change = Callable[[int, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Extraction:
    """A loaded network with one layer to extract, and the settings of the resulting memory.

    Attributes
    ----------
    backbone : Backbone
        The network and its layer.
    extractor : Extractor
        Runs the network.
    settings : MemorySettings
        Settings of the memory.
    image_shape : (int, int, int) or None
        (channels, h, w) of all images after the transform; None if no image can be read.
    seen : SeenTransform
        Effect of the transform.
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
    labels: LabelSet | None = None,
    resume: bool = True,
) -> list[Extraction]:
    """Find the grids of one network at several layers, and make the settings of a memory for each.

    The first existing memory gives the defaults of batch size, precision and device. Each existing memory
    gives its own default of images per shard.

    Parameters
    ----------
    paths : sequence of Path
        Folder of each memory, existing or not; one per backbone.
    backbones : sequence of Backbone
        Results of `load_backbones`: they share one module.
    table : ImageTable
        The images. If the transform does not fix their size, the first readable one determines the grid.
    descriptor, dtype, precision, batch_size, shard_images, device, seed
        See `hueprobe.build_memory`.
    labels : LabelSet, optional
        Labels of the images' masks, if there are masks.
    resume : bool, default=True
        Whether existing memories are resumed, and give defaults.

    Raises
    ------
    InputError
        An option is invalid, or there are masks and the transform's geometry is unknown.
    LayerError
        The output of a layer is not a grid.
    ImageError
        No image can be read, the transform fixes no size, and a memory does not exist yet.
    """
    from hueprobe.activations.extractor import Extractor

    require_choice("descriptor", descriptor, DESCRIPTORS)
    require_choice("dtype", dtype, DTYPES)
    if dtype == SPARSE16:
        for backbone in backbones:
            require_unsigned(backbone)
    there = [read_settings(path) if resume and (path / FILE_NAME).is_file() else None for path in paths]
    lender = next((old for old in there if old is not None), None)
    precision = precision or (lender.precision if lender else "fp32")
    require_choice("precision", precision, PRECISIONS)
    batch_size = batch_size or (lender.batch_size if lender else DEFAULT_BATCH_SIZE)
    if device == "auto" and lender:
        device = lender.device
    extractor = Extractor(backbones[0], device=device, precision=precision)
    if labels is not None:
        require_geometry(backbones[0].transform)
    untold = dtype == SPARSE16 and any(backbone.signed is None for backbone in backbones)
    sample = _sample(backbones[0], table, needed=None in there, real=untold)
    if sample.images is None:
        shapes = [(old.channels, *old.grid) for old in there if old is not None]
    else:
        grids = extractor.at(backbones, sample.images)
        if dtype == SPARSE16:
            for backbone, activations in zip(backbones, grids, strict=True):
                require_nonnegative(activations, [sample.name], backbone.layer)
        shapes = [describe(activations, descriptor).shape[1:] for activations in grids]
    extractions = []
    for backbone, (channels, *grid), old in zip(backbones, shapes, there, strict=True):
        seen = sample.seen(backbone, old)
        of_labels: LabelSettings | UnsetType = UNSET
        if labels is not None and sample.images is not None:
            height, width = sample.images.shape[2:]
            of_labels = LabelSettings.of(labels, (height, width), (grid[0], grid[1]))
        elif labels is not None and old is not None:  # no image can be read, so nothing is counted
            of_labels = old.labels
        settings = MemorySettings(
            format=format_of(dtype),
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
            labels=of_labels,
        )
        shape = None if sample.images is None else tuple(sample.images.shape[1:])
        extractions.append(Extraction(backbone, extractor, settings, shape, seen))
    return extractions


@dataclass(frozen=True)
class _Sample:
    """One image as input of the network, (1, channels, h, w), and its size on disk; None without an image."""

    images: "Tensor | None"
    size: tuple[int, int] | None = None
    name: str = "a gray image"

    def seen(self, backbone: "Backbone", old: MemorySettings | None) -> SeenTransform:
        like = () if old is None or isinstance(old.transform_probe, UnsetType) else old.transform_probe
        return see_transform(backbone.transform, like=like, size=self.size)


def _sample(backbone: "Backbone", table: ImageTable, *, needed: bool, real: bool) -> _Sample:
    """Return the first readable image, or a gray one if the transform fixes the size of all images.

    `needed` raises if no image can be read; `real` reads one in either case.
    """
    from PIL import Image

    from hueprobe.images.loading import first_image
    from hueprobe.images.transform import Transform

    transform = backbone.transform
    fixed = type(transform) is Transform and transform.shape is not None
    if fixed and not real:
        return _Sample(transform(Image.new("RGB", (256, 256), (128, 128, 128)))[None])
    try:
        first = first_image(table, transform)
    except ImageError:
        if needed:
            raise
        return _Sample(None)
    return _Sample(first.tensor[None], None if fixed else first.size, first.name)


def extracted_batches(
    extractions: Sequence[Extraction],
    table: ImageTable,
    workers: int | None,
    masks: Masks | None = None,
    *,
    change: Change | None = None,
) -> Batches:
    """Return a function that extracts the table's images [start, stop); unreadable images become zero.

    All extractions share one network, which runs once per batch. With masks, labels are counted on the grid
    of each. Images are changed after the transform, if there is a change.
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
        records = [record.stored() for record in batch.records]
        if batch.labels is None or masks is None:
            return grids, records
        n_labels = len(masks.labels)
        counts = [
            np.stack([cell_counts(seen, extraction.settings.grid, n_labels) for seen in batch.labels])
            for extraction in extractions
        ]
        return grids, records, counts

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
            masks=masks,
        )
        begun: deque[tuple[Batch, Callable[[], list[np.ndarray]]]] = deque()
        tally = Tally()
        with freed_memory_kept(on_cpu), contextlib.closing(loaded):
            for batch in loaded:
                tally.add(record.noticed for record in batch.records)
                if change is not None:
                    pixels = batch.images.permute(0, 2, 3, 1).numpy()  # a view: channels are last in memory
                    pixels[:] = change(batch.start, pixels)
                if on_cpu:
                    yield partial(run, batch)
                    continue
                begun.append((batch, extractor.begin(taps, batch.images)))
                if len(begun) > 1:  # start the GPU's next batch before fetching the previous one
                    yield finished(*begun.popleft())
            while begun:
                yield finished(*begun.popleft())
        tally.warn()

    return batches
