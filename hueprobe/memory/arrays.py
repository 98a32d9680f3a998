"""A memory of activations that came from elsewhere."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.activations.descriptors import DESCRIPTORS, describe
from hueprobe.errors import ShapeError, require_choice
from hueprobe.images.table import ImageTable
from hueprobe.memory.filling import fill_memory
from hueprobe.memory.recipe import DEFAULT_BATCH_SIZE, layout_settings
from hueprobe.memory.store import Memory
from hueprobe.memory.vectors import DTYPES


def memory_from_arrays(
    path: str | Path,
    activations: np.ndarray,
    classes: Sequence[str | None] | None = None,
    *,
    groups: Sequence[str | None] | None = None,
    names: Sequence[str] | None = None,
    descriptor: str = "pixel",
    dtype: str = "float16",
    overwrite: bool = False,
) -> Memory:
    """Make a memory of activations that came from elsewhere.

    Parameters
    ----------
    path : path
    activations : ndarray of shape (n, C, H, W)
        After the closing nonlinearity; not normalized.
    classes, groups : sequence of (str or None), optional
        One a picture.
    names : sequence of str, optional
        One a picture; `array-0000000`, ... by default.
    descriptor : str
        What to reduce each picture to.

    Raises
    ------
    NumericsError
        A value is NaN or infinite.
    """
    activations = np.asarray(activations)
    if activations.ndim != 4 or not len(activations):
        raise ShapeError(f"activations must have shape (n, C, H, W) with n >= 1, got {activations.shape}")
    require_choice("descriptor", descriptor, DESCRIPTORS)
    require_choice("dtype", dtype, DTYPES)
    n = len(activations)
    for what, values in (("classes", classes), ("groups", groups), ("names", names)):
        if values is not None and len(values) != n:
            raise ShapeError(f"{len(values)} {what} for {n} activation arrays; give one each")
    table = ImageTable(
        paths=tuple(names) if names is not None else tuple(f"array-{i:07d}" for i in range(n)),
        roots=("",) * n,
        classes=tuple(classes) if classes is not None else (None,) * n,
        splits=(None,) * n,
        groups=tuple(groups) if groups is not None else (None,) * n,
        sizes=(-1,) * n,
    )
    _, channels, height, width = describe(activations[:1].astype(np.float32), descriptor).shape
    settings = {
        **layout_settings((height, width), channels, descriptor, dtype, DEFAULT_BATCH_SIZE),
        "backbone": "arrays", "layer": "", "closing": None, "table_layer": False, "weights": "none",
        "weights_sha256": "", "transform": {}, "device": "cpu", "precision": "fp32", "seed": 0,
    }  # fmt: skip

    def batches(start: int, stop: int) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
        for first in range(start, stop, DEFAULT_BATCH_SIZE):
            part = np.ascontiguousarray(
                activations[first : min(first + DEFAULT_BATCH_SIZE, stop)], np.float32
            )
            hashes = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in part]
            yield (
                part,
                [{"sha256": h, "width": 0, "height": 0, "readable": True, "reason": None} for h in hashes],
            )

    return fill_memory(Path(path), settings, table, batches, overwrite=overwrite)
