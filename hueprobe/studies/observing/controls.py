"""Controls that an observation must survive, each a variant of the same images.

A control gives a variant of the memory (and which of its rows to use), on which the observation is repeated.
Changed images are passed through the recorded network once, into a memory of their own that is kept and
resumed like any other.
"""

import hashlib
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hueprobe.errors import InputError
from hueprobe.images.table import ImageTable
from hueprobe.memory.arrays import stored_activations
from hueprobe.memory.build import build_memory
from hueprobe.memory.filling import Filled, fill_memories
from hueprobe.memory.recorded import load_recorded_backbone
from hueprobe.memory.settings import FILE_NAME, read_settings
from hueprobe.memory.store import Memory
from hueprobe.observations.table import CONTROLS
from hueprobe.studies.observing.near_duplicates import without_near_duplicates
from hueprobe.studies.observing.subject import Subject


def controlled(name: str, subject: Subject, folder: Path, *, images_root: Path | None = None) -> Subject:
    """Return the subject of a control, extracting its memory first if necessary.

    Parameters
    ----------
    name : str
        Name of a control in `CONTROLS`.
    subject : Subject
        Subject with a complete memory of descriptor `pixel`.
    folder : Path
        Folder in which the control's own memory is kept.
    images_root : Path, optional
        Present location of the memory's images.

    Raises
    ------
    InputError
        The control does not exist, or does not apply to this memory.
    """
    memory = subject.known_memory
    require_control(name, memory, images_root)
    if name == "no-near-duplicates":
        return replace(subject, rows=without_near_duplicates(subject.matches))
    with subject.stages.of("extract"):
        return _varied(name, subject, folder, images_root)


def _varied(name: str, subject: Subject, folder: Path, images_root: Path | None) -> Subject:
    """Return the subject of a control that has a memory of its own."""
    memory = subject.known_memory
    table = memory.images if images_root is None else memory.images.relocated(images_root)
    if name == "random-weights":
        return replace(subject, memory=_extracted(subject, table, folder, name, None))
    if name in _CHANGES:
        return replace(subject, memory=_extracted(subject, table, folder, name, _CHANGES[name]))
    mirrored = _extracted(subject, table, folder, "mirror-all", mirror)
    if name == "mirror-queries":
        return replace(subject, query_memory=mirrored)
    mixed = folder / f"{memory.path.name}-random-mirror.memory"
    return replace(subject, memory=_mixed(mixed, memory, mirrored))


def require_control(name: str, memory: Memory | None, images_root: Path | None = None) -> None:
    """Raise InputError if a control does not exist, or does not apply to a memory.

    Parameters
    ----------
    name : str
        Name of the control.
    memory : Memory or None
        Memory to be observed, if any.
    images_root : Path, optional
        Present location of its images.
    """
    if name not in CONTROLS:
        raise InputError(f"unknown control {name!r}; choose from: {', '.join(CONTROLS)}")
    if memory is None:
        raise InputError(f"control {name!r} needs the memory itself; a table of matches does not contain it")
    if name != "no-near-duplicates" and not all(memory.images.roots):
        raise InputError(f"control {name!r} needs the image files, but {memory.path} was not made from files")
    if images_root is not None:
        memory.images.relocated(images_root)


def _extracted(
    subject: Subject,
    table: ImageTable,
    folder: Path,
    kind: str,
    change: Callable[[Any], Any] | None,
) -> Memory:
    """Build the subject's memory again from changed images; without a change, with random weights."""
    memory = subject.known_memory
    settings = memory.settings
    backbone = load_recorded_backbone(settings, weights=subject.settings.weights)
    options: dict[str, Any] = {
        # A layer off the table may have negative values with other weights or images.
        "dtype": settings.dtype if backbone.signed is False else memory.dtype,
        "precision": settings.precision, "batch_size": settings.batch_size,
        "device": subject.settings.device, "workers": subject.settings.workers, "progress": subject.progress,
    }  # fmt: skip
    path = folder / f"{memory.path.name}-{kind}.memory"
    if change is None:
        return build_memory(
            path, table, backbone=settings.backbone, weights="none", seed=settings.seed,
            layer=None if settings.table_layer else settings.layer, transform=backbone.transform,
            **options,
        )  # fmt: skip
    changed = replace(backbone, transform=Changed(backbone.transform, kind, change))
    return build_memory(path, table, backbone=changed, **options)


class Changed:
    """A transform after a change of the image; its repr, recorded in memory.json, names the change."""

    def __init__(self, transform: Any, kind: str, change: Callable[[Any], Any]) -> None:
        self._transform, self._kind, self._change = transform, kind, change
        self.crop, self.resize = getattr(transform, "crop", None), getattr(transform, "resize", None)

    def __repr__(self) -> str:
        """Return the change and the transform that follows it."""
        return f"{self._kind}, then {self._transform!r}"

    def __call__(self, image: Any) -> Any:
        """Change the image, then transform it."""
        return self._transform(self._change(image))


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
    """Return a memory that takes each image's vectors from one of two memories, by a hash of its content."""
    settings = msgspec.structs.replace(
        memory.settings, mixed_from=(memory.ledger.tip, mirrored.ledger.tip), labels=msgspec.UNSET
    )
    stale = (path / FILE_NAME).is_file() and read_settings(path).mixed_from != settings.mixed_from
    key = [sha or name for sha, name in zip(memory.sha256, memory.images.paths, strict=True)]
    heads = np.array([hashlib.sha256(k.encode()).digest()[0] & 1 for k in key], bool)

    def batches(start: int, stop: int) -> Generator[Filled, None, None]:
        for first in range(start, stop, settings.batch_size):
            rows = np.arange(first, min(first + settings.batch_size, stop))
            own, other = (stored_activations(source, rows) for source in (memory, mirrored))
            records = memory.records.slice(first, len(rows)).drop_columns(["image"]).to_pylist()
            yield [np.where(heads[rows][:, None, None, None], other, own)], records

    (mixed,) = fill_memories([path], [settings], memory.images, batches, overwrite=stale)
    return mixed


_CHANGES = {"mirror-all": mirror, "shifted-crop": shifted, "reflect-padding": padded}
