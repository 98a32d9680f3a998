"""What a build would write, without writing it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.images.resolve import resolve_images
from hueprobe.memory.extraction import plan_extractions
from hueprobe.memory.settings import MemorySettings

if TYPE_CHECKING:
    from hueprobe.activations.backbones import Backbone


@dataclass(frozen=True)
class MemoryPlan:
    """What a build would write.

    Attributes
    ----------
    settings : MemorySettings
        What memory.json would hold.
    n_images, n_vectors : int
        Images, and vectors (images times cells).
    n_bytes : int
        Size of all shards, in bytes, the small image tables left out.
    """

    settings: MemorySettings
    n_images: int
    n_vectors: int
    n_bytes: int


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
) -> MemoryPlan:
    """Say what `build_memory` would write, without writing it.

    Parameters
    ----------
    path, images
        As in `build_memory`.
    backbone : Backbone
        From `load_backbone`.
    descriptor, dtype, precision, batch_size, shard_images, device, seed
        As in `build_memory`.

    Returns
    -------
    MemoryPlan

    Raises
    ------
    InputError, LayerError, ImageError
        As in `build_memory`.
    """
    table = resolve_images(images)
    (extraction,) = plan_extractions(
        [Path(path)], [backbone], table, descriptor=descriptor, dtype=dtype, precision=precision,
        batch_size=batch_size, shard_images=shard_images, device=device, seed=seed,
    )  # fmt: skip
    extraction.seen.warn()
    settings = extraction.settings
    n_vectors = len(table) * settings.grid[0] * settings.grid[1]
    row = settings.channels * np.dtype(settings.dtype).itemsize + 4  # its energy is a float32
    return MemoryPlan(settings, len(table), n_vectors, n_vectors * row)
