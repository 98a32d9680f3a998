"""The subject of observations: a memory, a part of it, other query images, or a table of matches alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from hueprobe.classification import Classification
from hueprobe.classifier import KernelDensityClassifier
from hueprobe.errors import InputError
from hueprobe.exclusion import Exclusion
from hueprobe.images.table import ImageTable
from hueprobe.matches import Matches
from hueprobe.memory.store import Memory
from hueprobe.observations.locations.blocks import block_labels, default_blocks, search_blocks
from hueprobe.progress import named_pass
from hueprobe.studies.observing.held_out import HeldOut
from hueprobe.studies.observing.settings import ObserveSettings
from hueprobe.studies.observing.stages import Stages
from hueprobe.studies.observing.steps import Steps


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """What observations are measured on. Matches and blocks are searched once, when first needed.

    Attributes
    ----------
    settings : ObserveSettings
        Settings of the search and the measurements.
    memory : Memory or None
        The memory; None for a table of matches alone.
    rows : ndarray of int64 or None
        Memory rows in use; None for all.
    query_memory : Memory or None
        Memory of the query vectors, if not `memory` itself; the same images, row by row.
    images : ImageTable or None
        Query images, if not the memory's own.
    folder : Path or None
        Folder in which the activations of query images are kept.
    given : Matches or None
        Table of matches to measure, instead of a search.
    progress : bool
        Whether to show progress bars.
    stages : Stages
        Clock of the run's stages; variants of a subject share it.
    steps : Steps
        Says which step is at work; variants share it too.
    """

    settings: ObserveSettings
    memory: Memory | None = None
    rows: np.ndarray | None = None
    query_memory: Memory | None = None
    images: ImageTable | None = None
    folder: Path | None = None
    given: Matches | None = None
    progress: bool = field(default=False, repr=False)
    stages: Stages = field(default_factory=Stages, repr=False)
    steps: Steps = field(default_factory=Steps, repr=False)
    _kept: dict[int, Classification] = field(default_factory=dict, init=False, repr=False)

    @property
    def known_memory(self) -> Memory:
        """The memory.

        Raises
        ------
        InputError
            There is none.
        """
        if self.memory is None:
            raise InputError("needs the memory itself; a table of matches does not contain it")
        return self.memory

    @property
    def is_whole(self) -> bool:
        """Whether the queries are all of the memory's own images, each with its own vectors."""
        return self.rows is None and self.query_memory is None and self.images is None

    @cached_property
    def lone(self) -> np.ndarray:
        """Whether each image has no possible match of its class in leave-one-out, (n_images,) bool."""
        return Exclusion(self.known_memory, self.settings.exclude, images=self.rows).lone()

    @cached_property
    def matches(self) -> Matches:
        """The matches that everything but energy is measured from."""
        if self.given is not None:
            return self.given
        return _table(self.classified([self.settings.k])[self.settings.k])

    @cached_property
    def held_out(self) -> HeldOut | None:
        """The query images and their activations; None if the memory's own images are queries."""
        if self.images is None:
            return None
        assert self.folder is not None  # where they are kept
        settings = self.settings
        network = {name: getattr(settings, name) for name in ("weights", "device", "workers")}
        return HeldOut(
            memory=self.known_memory, images=self.images, folder=self.folder, network=network,
            progress=self.progress, stages=self.stages, steps=self.steps,
        )  # fmt: skip

    def classified(self, ks: Sequence[int]) -> dict[int, Classification]:
        """Return the classification with each number of neighbors; that of `settings.k` is made once.

        Parameters
        ----------
        ks : sequence of int
            Numbers of neighbors. More than one only for exact search, which is made once for all.
        """
        found = {k: self._kept[k] for k in ks if k in self._kept}
        if left := [k for k in ks if k not in found]:
            held_out = None if self.held_out is None else self.held_out.activations
            with named_pass("matches"):
                found |= self.stages.classified(
                    lambda: self._classifier(self.rows, k=max(left), progress=self.progress), left,
                    held_out=held_out, query_memory=self.query_memory,
                )  # fmt: skip
        self._kept.update({k: found[k] for k in ks if k == self.settings.k})
        return found

    @cached_property
    def block_of_image(self) -> np.ndarray:
        """Block of each image for the blocked replicate test, (n_images,) int64; -1 for none."""
        memory = self.known_memory
        labels = memory.image_class.copy()
        if self.rows is not None:
            labels[np.setdiff1d(np.arange(memory.n_images), self.rows)] = -1
        keys = [sha or path for sha, path in zip(memory.sha256, memory.images.paths, strict=True)]
        n_blocks = default_blocks(len(np.unique(labels[labels >= 0])))
        return block_labels(keys, labels, n_blocks=n_blocks, groups=memory.images.groups)

    @property
    def has_blocks(self) -> bool:
        """Whether there are two blocks or more to test class positions on."""
        return int(self.block_of_image.max(initial=-1)) > 0

    @cached_property
    def matches_of_blocks(self) -> tuple[Matches, ...]:
        """The matches of each block, searched within itself."""

        def search(rows: np.ndarray) -> Matches:
            k = self.settings.k
            return _table(
                self.stages.classified(
                    lambda: self._classifier(rows, k=k), [k], query_memory=self.query_memory
                )[k]
            )

        return search_blocks(self.block_of_image, search)

    def _classifier(
        self, rows: np.ndarray | None, *, k: int, progress: bool = False
    ) -> KernelDensityClassifier:
        settings = self.settings
        return KernelDensityClassifier(
            self.known_memory, k=k, exclude=settings.exclude, images=rows,
            searcher=settings.searcher if rows is None else "exact", weights=settings.weights,
            device=settings.device, workers=settings.workers, index_dir=settings.index_dir, progress=progress,
        )  # fmt: skip


def _table(result: Classification) -> Matches:
    assert result.matches is not None  # keep_matches is not False
    return result.matches
