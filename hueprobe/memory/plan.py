"""Settings and size of a memory before it is built."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET

from hueprobe.activations.descriptors import describe, unit_vectors
from hueprobe.activations.rounding import as_float16
from hueprobe.images.label_names import LabelSet
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.memory.extraction import Extraction, plan_extractions
from hueprobe.memory.nonnegative import require_nonnegative
from hueprobe.memory.settings import MemorySettings
from hueprobe.memory.sparse_rows import packed_size
from hueprobe.memory.vectors import SPARSE16, value_type

if TYPE_CHECKING:
    from hueprobe.activations.backbones import Backbone


_SAMPLE = 8  # images


@dataclass(frozen=True)
class MemoryPlan:
    """Settings and size of a memory that a build would write.

    Attributes
    ----------
    settings : MemorySettings
        Contents of memory.json.
    n_images, n_vectors : int
        Number of images, and of vectors (images times cells).
    n_bytes : int
        Size of all shards in bytes, label counts included, without the small image tables. For `sparse16`
        an estimate from `nonzero`.
    nonzero : float or None
        For `sparse16`, the share of nonzero values in a sample of the images; otherwise None.
    """

    settings: MemorySettings
    n_images: int
    n_vectors: int
    n_bytes: int
    nonzero: float | None = None


def plan_memory(
    path: str | Path,
    images: Any,
    *,
    backbone: "Backbone",
    descriptor: str = "pixel",
    dtype: str = "float16",
    precision: str | None = None,
    batch_size: int | None = None,
    shard_images: int | None = None,
    device: str = "auto",
    seed: int = 0,
    labels: LabelSet | None = None,
) -> MemoryPlan:
    """Return what `build_memory` would write, without writing it.

    For `sparse16`, a few of the images are run through the network to estimate the size.

    Parameters
    ----------
    path : path
        Folder of the memory; an existing memory gives the defaults, as for a resumed build.
    images : path, ImageTable, torch Dataset or list of files
        The images; see `build_memory`.
    backbone : Backbone
        The network, from `load_backbone`.
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
    seed : int, default=0
        Seed of everything random in making the network.
    labels : LabelSet, optional
        Labels of the images' masks, if the memory is built with masks.

    Returns
    -------
    MemoryPlan

    Raises
    ------
    InputError, LayerError, ImageError
        See `build_memory`.

    See Also
    --------
    hueprobe.build_memory : Build the memory.
    hueprobe.load_backbone : Load the network.

    Examples
    --------
    >>> backbone = hp.load_backbone(network, layer="3", transform=transform)
    >>> plan = hp.memory.plan_memory("planned.memory", "images", backbone=backbone)
    >>> plan.n_vectors, plan.n_bytes  # 16 values of 2 bytes and an energy of 4 bytes per vector
    (588, 21168)
    """
    table = resolve_images(images)
    (extraction,) = plan_extractions(
        [Path(path)], [backbone], table, descriptor=descriptor, dtype=dtype, precision=precision,
        batch_size=batch_size, shard_images=shard_images, device=device, seed=seed, labels=labels,
    )  # fmt: skip
    extraction.seen.warn()
    settings = extraction.settings
    n_vectors = len(table) * settings.grid[0] * settings.grid[1]
    nonzero = None
    row: float = settings.channels * np.dtype(value_type(settings.dtype)).itemsize
    if settings.dtype == SPARSE16:
        nonzero = nonzero_of_sample(extraction, table)
        row = packed_size(settings.channels, nonzero)
    row += 4  # its energy is a float32
    if settings.labels is not UNSET:
        row += len(settings.labels.names) * np.dtype(settings.labels.dtype).itemsize
    return MemoryPlan(settings, len(table), n_vectors, round(n_vectors * row), nonzero)


def nonzero_of_sample(extraction: Extraction, table: ImageTable) -> float:
    """Return the share of values of a memory that are not zero, from a few images spread over its list.

    It is 1 if none of these images can be read.

    Raises
    ------
    InputError
        The activations of an image are negative.
    """
    from hueprobe.images.loading import load_batches

    settings = extraction.settings
    rows = np.unique(np.linspace(0, len(table) - 1, _SAMPLE).astype(int))
    shares = []
    for row in rows.tolist():
        (batch,) = load_batches(
            table, extraction.backbone.transform, batch_size=1, start=row, stop=row + 1,
            image_shape=extraction.image_shape,
        )  # fmt: skip
        if batch.records[0].readable:
            activations = extraction.extractor.at([extraction.backbone], batch.images)[0]
            require_nonnegative(activations, [table.paths[row]], settings.layer)
            vectors, _ = unit_vectors(describe(activations, settings.descriptor))
            shares.append(float((as_float16(vectors) != 0).mean()))
    return float(np.mean(shares)) if shares else 1.0
