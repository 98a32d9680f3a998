"""Controls: what an observation must survive, each made by looking at the same images another way.

A control gives a variant of the memory (and which of its rows to use); the observation is measured on it
again. What needs other images sends them through the recorded network once, into a memory of its own
that is kept and resumed like any other.
"""

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hueprobe.errors import InputError
from hueprobe.matches import Matches
from hueprobe.memory.build import build_memory
from hueprobe.memory.filling import Filled, fill_memories
from hueprobe.memory.recorded import load_recorded_backbone
from hueprobe.memory.settings import FILE_NAME, read_settings
from hueprobe.memory.store import Memory
from hueprobe.studies.observing.near_duplicates import without_near_duplicates

CONTROLS = {
    "random-weights": "the same network with random weights",
    "mirror-all": "every image mirrored left to right",
    "mirror-queries": "only the asking images mirrored",
    "random-mirror": "each image mirrored or not, by a hash of its content",
    "shifted-crop": "the crop moved by a quarter of a cell to the right and down",
    "reflect-padding": "images padded by reflection before they are resized",
    "no-near-duplicates": "images that nearly repeat another left out",
}


@dataclass(frozen=True)
class Variant:
    """What a control observes.

    Attributes
    ----------
    memory : Memory
    rows : ndarray of int64 or None
        The memory rows in use; None for all.
    ask : Memory or None
        Where the asking vectors come from, if not from `memory` itself.
    """

    memory: Memory
    rows: np.ndarray | None = None
    ask: Memory | None = None


def control_variant(
    name: str,
    memory: Memory,
    matches: Matches,
    folder: Path,
    *,
    images_root: Path | None = None,
    weights: Path | None = None,
    **options: Any,
) -> Variant:
    """Return what a control observes, extracting it first where need be.

    Parameters
    ----------
    name : str
        One of `CONTROLS`.
    memory : Memory
        Complete, with descriptor `pixel`.
    matches : Matches
        Leave-one-out matches of the memory.
    folder : Path
        Where the control's own memory is kept.
    images_root : Path, optional
        Where the memory's images lie now.
    weights : Path, optional
        Where the recorded weights file lies now.
    **options
        `device`, `workers` and `progress` of `build_memory`.

    Raises
    ------
    InputError
        No control of that name, or none that this memory can have.
    """
    if name not in CONTROLS:
        raise InputError(f"unknown control {name!r}; choose from: {', '.join(CONTROLS)}")
    if name == "no-near-duplicates":
        return Variant(memory, rows=without_near_duplicates(matches))
    table = memory.images if images_root is None else memory.images.relocated(images_root)
    if not all(table.roots):
        raise InputError(f"control {name!r} needs the images again, and {memory.path} was not made of files")

    def extracted(kind: str, change: Callable[[Any], Any] | None = None, **network: Any) -> Memory:
        path = folder / f"{memory.path.name}-{kind}.memory"
        settings = memory.settings
        backbone = load_recorded_backbone(settings, weights=weights)
        options_ = {"dtype": memory.dtype, "precision": settings.precision, **options}
        if network:
            return build_memory(
                path, table, backbone=settings.backbone, seed=settings.seed,
                layer=None if settings.table_layer else settings.layer,
                transform=backbone.transform, batch_size=settings.batch_size, **network, **options_,
            )  # fmt: skip
        changed = replace(backbone, transform=Changed(backbone.transform, kind, change))
        return build_memory(path, table, backbone=changed, batch_size=settings.batch_size, **options_)

    if name == "random-weights":
        return Variant(extracted("random-weights", weights="none"))
    if name == "shifted-crop":
        return Variant(extracted("shifted-crop", shifted))
    if name == "reflect-padding":
        return Variant(extracted("reflect-padding", padded))
    mirrored = extracted("mirror-all", mirror)
    if name == "mirror-all":
        return Variant(mirrored)
    if name == "mirror-queries":
        return Variant(memory, ask=mirrored)
    return Variant(_mixed(folder / f"{memory.path.name}-random-mirror.memory", memory, mirrored))


class Changed:
    """A transform behind a change of the image; its repr says so in memory.json."""

    def __init__(self, transform: Any, kind: str, change: Callable[[Any], Any] | None) -> None:
        self._transform, self._kind, self._change = transform, kind, change
        self.crop, self.resize = getattr(transform, "crop", None), getattr(transform, "resize", None)

    def __repr__(self) -> str:
        """Name the change and the transform behind it."""
        return f"{self._kind}, then {self._transform!r}"

    def __call__(self, image: Any) -> Any:
        """Change the image, then transform it."""
        return self._transform(self._change(image) if self._change else image)


def mirror(image: Any) -> Any:
    """Return a PIL image mirrored left to right."""
    from PIL import ImageOps

    return ImageOps.mirror(image)


def shifted(image: Any) -> Any:
    """Return a PIL image moved left and up by 1/28 of its sides (a quarter of a 7x7 cell)."""
    values = np.asarray(image)
    down, right = max(1, round(values.shape[0] / 28)), max(1, round(values.shape[1] / 28))
    return _from_array(np.pad(values, ((0, down), (0, right), (0, 0)), mode="edge")[down:, right:])


def padded(image: Any) -> Any:
    """Return a PIL image with a border of an eighth of its sides, by reflection."""
    values = np.asarray(image)
    border = [(min(n // 8, n - 1),) * 2 for n in values.shape[:2]]
    return _from_array(np.pad(values, (*border, (0, 0)), mode="reflect"))


def _from_array(values: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(values)


def _mixed(path: Path, memory: Memory, mirrored: Memory) -> Memory:
    """Return a memory with each image's vectors from either of two, by a hash of its content."""
    settings = msgspec.structs.replace(memory.settings, mixed_from=(memory.ledger.tip, mirrored.ledger.tip))
    stale = (path / FILE_NAME).is_file() and read_settings(path).mixed_from != settings.mixed_from
    key = [sha or name for sha, name in zip(memory.sha256, memory.images.paths, strict=True)]
    heads = np.array([hashlib.sha256(k.encode()).digest()[0] & 1 for k in key], bool)

    def batches(start: int, stop: int) -> Generator[Filled, None, None]:
        for first in range(start, stop, settings.batch_size):
            rows = np.arange(first, min(first + settings.batch_size, stop))
            parts = []
            for source in (memory, mirrored):
                vectors = source.image_vectors(rows).reshape(len(rows), *memory.grid.shape, memory.n_channels)
                parts.append(vectors * np.sqrt(source.energy()[rows])[..., None])
            chosen = np.where(heads[rows][:, None, None, None], parts[1], parts[0])
            records = memory.records.slice(first, len(rows)).drop_columns(["image"]).to_pylist()
            yield [np.ascontiguousarray(chosen.transpose(0, 3, 1, 2))], records

    (mixed,) = fill_memories([path], [settings], memory.images, batches, overwrite=stale)
    return mixed
