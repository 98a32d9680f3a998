"""Held-out images of one memory, sent through its network once: their activations are kept in a memory."""

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import msgspec

from hueprobe.activations.descriptors import describe
from hueprobe.files import storing
from hueprobe.images.table import ImageTable
from hueprobe.memory.extraction import Extraction, extracted_batches
from hueprobe.memory.filling import Batches, Filled, Share, fill_memories
from hueprobe.memory.ledger import read_ledger
from hueprobe.memory.recorded import load_recorded_backbone, recorded_device
from hueprobe.memory.settings import (
    CLASS_ORDER,
    FILE_NAME,
    format_of,
    images_per_shard,
    library_versions,
    read_settings,
)
from hueprobe.memory.store import Memory, open_memory
from hueprobe.memory.transforms import SeenTransform
from hueprobe.memory.unchanged import content_of
from hueprobe.queries import require_shape
from hueprobe.studies.locks import locked
from hueprobe.studies.observing.stages import Stages
from hueprobe.studies.observing.steps import Steps
from hueprobe.studies.run_store import settings_hash

HELD_OUT = "held-out images"  # the step


@dataclass(kw_only=True, eq=False)
class HeldOut:
    """Held-out images, and the memory of their activations, which is built when first needed.

    It is kept in a folder and resumed like any other. Its name tells apart what it depends on: other images,
    or other content of the same files, are another memory.

    Attributes
    ----------
    memory : Memory
        Memory that the images are compared with; they go through its network.
    images : ImageTable
        The images.
    folder : Path
        Folder of the memory of their activations.
    network : mapping
        `backbone`, `transform`, `weights`, `device` and `workers` of `KernelDensityClassifier`; others are
        ignored.
    progress : bool, default=False
        Whether to show a progress bar.
    stages : Stages
        Clock of the run's stages.
    steps : Steps
        Says which step is at work.
    """

    memory: Memory
    images: ImageTable
    folder: Path
    network: Mapping[str, Any] = field(default_factory=dict)
    progress: bool = False
    stages: Stages = field(default_factory=Stages)
    steps: Steps = field(default_factory=Steps)

    @cached_property
    def content(self) -> str:
        """Hash of the images' content."""
        return content_of(self.images, self.network.get("workers"))

    @cached_property
    def listed(self) -> list[Any]:
        """What runs on these images depend on, as JSON values."""
        table = self.images
        return [list(table.paths), list(table.classes), list(table.sizes), self.content]

    @cached_property
    def activations(self) -> Memory:
        """Memory of the images in the order of their table, with the memory's descriptor."""
        with self.stages.of("extract"):
            name = settings_hash([self.memory.ledger.tip, self.listed, list(self.images.groups)])
            path = self.folder / f"{self.memory.path.name}-held-out-{name}.memory"
            with storing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            with locked(path.with_suffix(".lock"), wait=True):
                return self._extracted(path)

    def require(self) -> None:
        """Build the memory of the images, as a step of the run, unless that is done."""
        if "activations" not in self.__dict__:
            with self.steps.of(HELD_OUT):
                assert self.activations

    def _extracted(self, path: Path) -> Memory:
        from hueprobe.activations.extractor import Extractor

        there = (path / FILE_NAME).is_file()
        if there and read_ledger(path).complete:
            return open_memory(path)
        made, asked = self.memory.settings, self.network
        given = {name: asked.get(name) for name in ("backbone", "transform", "weights")}
        backbone = load_recorded_backbone(made, **given)
        device = asked.get("device", "auto")
        extractor = Extractor(
            backbone, device=recorded_device(made) if device == "auto" else device, precision=made.precision
        )
        dtype = self.memory.dtype  # other images of a layer without zeros may be negative
        settings = msgspec.structs.replace(
            made, format=format_of(dtype), class_order=CLASS_ORDER, dtype=dtype, device=extractor.device_kind,
            shard_images=images_per_shard(made.grid, made.channels, dtype, made.batch_size),
            versions=library_versions(), derived_from=msgspec.UNSET, mixed_from=msgspec.UNSET,
            content_sha256=msgspec.UNSET, labels=msgspec.UNSET,
        )  # fmt: skip
        table = replace(self.images, value_range=made.range_of_values())
        extraction = Extraction(backbone, extractor, settings, None, SeenTransform({}))
        batches = self._of_this_shape(extracted_batches([extraction], table, asked.get("workers")))
        (memory,) = fill_memories(
            [path], [settings], table, batches, shares=[Share(range(len(table)), table)],
            overwrite=there and read_settings(path).device != settings.device, progress=self.progress,
        )  # fmt: skip
        return memory

    def _of_this_shape(self, batches: Batches) -> Batches:
        """Raise ShapeError for activations that differ in shape from the memory's."""

        def checked(made: Any) -> Filled:
            filled: Filled = made() if callable(made) else made
            require_shape(self.memory, describe(filled[0][0][:1], self.memory.settings.descriptor))
            return filled

        def of_rows(start: int, stop: int) -> Generator[Any, None, None]:
            with contextlib.closing(batches(start, stop)) as made:
                for one in made:
                    yield partial(checked, one) if callable(one) else checked(one)

        return of_rows
