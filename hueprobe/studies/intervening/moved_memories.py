"""Memories of images that are flipped and moved exactly, at the size that the network sees."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from msgspec import UNSET

from hueprobe.images.motions import flipped, translated
from hueprobe.images.table import ImageTable
from hueprobe.memory.extraction import extracted_batches, plan_extractions
from hueprobe.memory.filling import fill_memories
from hueprobe.memory.store import Memory
from hueprobe.memory.transforms import CUSTOM, transform_words
from hueprobe.memory.unchanged import image_hashes
from hueprobe.observations.interventions.symmetries import NAMES

if TYPE_CHECKING:
    from hueprobe.activations.backbones import Backbone


@dataclass(frozen=True)
class Move:
    """A motion of images: moved by class, then flipped.

    Attributes
    ----------
    flip : str
        `e`, `h`, `r` or `v`.
    dose : float
        Distance of the translation in pixels; 0 for none.
    by_class : mapping of str to (int, int)
        Pixels to the right and upwards, by class; images of other classes stay.
    """

    flip: str
    dose: float
    by_class: Mapping[str, tuple[int, int]]

    @property
    def name(self) -> str:
        """Name for files, such as `h` or `e-32px`."""
        return f"{self.flip}-{self.dose:g}px" if self.dose else self.flip

    @property
    def words(self) -> str:
        """What is done to the images, for memory.json."""
        steps = [f"moved by {self.dose:g} pixels at an angle of each class"] if self.dose else []
        return ", ".join([*steps, NAMES[self.flip]])

    def applied(self, pixels: np.ndarray, classes: tuple[str | None, ...]) -> np.ndarray:
        """Return images (n, h, w, channels) after the motion; `classes` has the class of each."""
        if self.dose:
            away = [self.by_class.get(name or "", (0, 0)) for name in classes]
            pixels = np.stack([translated(one, *by) for one, by in zip(pixels, away, strict=True)])
        return np.ascontiguousarray(flipped(pixels, self.flip))


def moved_memory(
    path: Path,
    like: Memory,
    table: ImageTable,
    move: Move,
    backbone: "Backbone",
    *,
    device: str,
    workers: int | None,
    progress: bool,
) -> Memory:
    """Extract images into a memory with the settings of another, after a motion; resumes.

    Parameters
    ----------
    path : Path
        Folder of the memory.
    like : Memory
        Memory whose settings are used.
    table : ImageTable
        The images.
    move : Move
        What is done to them.
    backbone : Backbone
        The network of `like`.
    device, workers, progress
        See `hueprobe.build_memory`.
    """
    settings = like.settings
    extractions = plan_extractions(
        [path], [backbone], table, descriptor=settings.descriptor, dtype=like.dtype,
        precision=settings.precision, batch_size=settings.batch_size, device=device, seed=settings.seed,
    )  # fmt: skip
    # Nobody should query this memory with images that were not moved.
    recorded = {CUSTOM: f"{transform_words(extractions[0].seen.recorded)}, then {move.words}"}
    marked = msgspec.structs.replace(extractions[0].settings, transform=recorded, transform_probe=UNSET)

    def change(start: int, pixels: np.ndarray) -> np.ndarray:
        return move.applied(pixels, tuple(table.classes[start : start + len(pixels)]))

    (memory,) = fill_memories(
        [path], [marked], table, extracted_batches(extractions, table, workers, change=change),
        hashes=image_hashes(table, workers), progress=progress,
    )  # fmt: skip
    return memory
