"""Memories of real activations in the sizes that the search benchmark asks for."""

import os
from collections.abc import Generator
from pathlib import Path

import msgspec
import numpy as np

from hueprobe import Memory, images
from hueprobe.images.table import ImageTable, unfiled_table
from hueprobe.memory import build_memory
from hueprobe.memory.filling import Filled, fill_memories

IMAGES = Path(os.environ.get("HUEPROBE_SHARED", "../shared")) / "data" / "images"
# Puts a copy about as far from its origin as a real vector's tenth neighbor is: 1.0.
_NOISE = 1.3


def real_memory(folder: Path) -> Memory:
    """Extract all images by EfficientNet-Lite0, 49 vectors of 1,280 channels each; taken up again."""
    sets = [images.from_folder(part) for part in sorted(IMAGES.iterdir()) if part.is_dir()]
    table = ImageTable.concatenate(sets)
    return build_memory(folder / "real.memory", table, backbone="efficientnet_lite0", progress=True)


def sized_memory(folder: Path, real: Memory, n_vectors: int) -> Memory:
    """Return a memory of about so many vectors: some of the real images, or all and then noisy copies.

    A copy is an image's stored vectors, every entry multiplied by exp(1.3 z), z normal, seeded by the
    copy's row; zeros stay zero.
    """
    n_cells = real.grid.n_cells
    n = round(n_vectors / n_cells)
    if n == real.n_images:
        return real
    step = max(1, real.n_images // n)
    settings = msgspec.structs.replace(real.settings, derived_from=real.ledger.tip)

    def batches(start: int, stop: int) -> Generator[Filled, None, None]:
        for first in range(start, stop, settings.batch_size):
            rows = np.arange(first, min(first + settings.batch_size, stop))
            vectors = real.image_vectors(rows * step % real.n_images)
            for row, part in zip(rows, vectors, strict=True):
                if row >= real.n_images:
                    noise = np.random.default_rng(row).standard_normal(part.shape, np.float32)
                    part *= np.exp(_NOISE * noise)
            grids = vectors.reshape(len(rows), *real.grid.shape, -1).transpose(0, 3, 1, 2)
            record = {"sha256": "", "width": 0, "height": 0, "readable": True, "reason": None}
            yield [np.ascontiguousarray(grids)], [dict(record) for _ in rows]

    path = folder / f"{n * n_cells}.memory"
    (memory,) = fill_memories([path], [settings], unfiled_table(n), batches, progress=True)
    return memory
