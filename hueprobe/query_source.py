"""Where queries come from: images, activations, or the memory's own images, left out one at a time."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hueprobe.activations.descriptors import require_finite
from hueprobe.arguments import as_array, distinct_rows
from hueprobe.errors import InputError, ShapeError, require_choice
from hueprobe.exclusion import EXCLUDE, Exclusion
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import unfiled_table
from hueprobe.memory.recorded import require_one_network
from hueprobe.memory.store import Memory
from hueprobe.progress import progress_bar
from hueprobe.queries import Queries, QueryExtractor, match_images, queries_of_stored, stored_vectors

_LEAVE_ONE_OUT_VECTORS = 16_384  # per batch; each batch reads the whole memory once


class QuerySource:
    """Source of query vectors as the memory would store them, and of the rows each image may not match.

    Parameters
    ----------
    memory : Memory
        The memory.
    exclude : {"image", "group", "none", None}
        What a query may not match; None means "none".
    images : array_like of int or of bool, or None
        The memory rows in use; None means all.
    backbone, transform, weights, device, workers
        See `KernelDensityClassifier`.
    progress : bool
        Whether to show how many images are done.
    others : sequence of Memory, default=()
        Memories of the same images at other layers of the same network; `of_layers` yields the queries of all
        from one forward pass per image.

    Attributes
    ----------
    rows : ndarray of int64
        The memory rows in use, ascending.
    exclude : str
        The rule of exclusion.
    exclusion : Exclusion
        The rows that each image may not match.

    Raises
    ------
    InputError
        `exclude` is unknown, a row is not in the memory, or no row is in use. Or the other memories are of
        another network, of the same layer, or of other images.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        exclude: str | None,
        images: Any,
        backbone: Any,
        transform: Any,
        weights: Any,
        device: str,
        workers: int | None,
        progress: bool,
        others: Sequence[Memory] = (),
    ) -> None:
        self.memory, self.exclude = memory, exclude or "none"
        require_choice("exclude", self.exclude, EXCLUDE)
        self.rows = np.arange(memory.n_images)
        if images is not None:
            self.rows = distinct_rows("images", images, memory.n_images)
            if not len(self.rows):
                raise InputError(
                    f"images selects no row of {memory.path}; give some of 0 to {memory.n_images - 1}, or "
                    "None for all"
                )
        self.exclusion = Exclusion(memory, self.exclude, images=None if images is None else self.rows)
        self._memories = (memory, *others)
        require_one_network([one.path for one in self._memories], [one.settings for one in self._memories])
        for other in others:
            _require_same_images(memory, other)
        self._extractor = QueryExtractor(
            memories=self._memories, backbone=backbone, transform=transform, weights=weights,
            device=device, workers=workers,
        )  # fmt: skip
        self._progress = progress

    def of_images(self, images: Any, *, start: int = 0) -> Iterator[Queries]:
        """Yield images batch by batch.

        Parameters
        ----------
        images
            Query images, in any form that `build_memory` takes.
        start : int, default=0
            Leave out the images before this one; batches are counted from it.
        """
        for first, *_ in self.of_layers(images, start=start):
            yield first

    def of_layers(self, images: Any, *, start: int = 0) -> Iterator[tuple[Queries, ...]]:
        """Yield images batch by batch: the queries of each memory, from one forward pass per image.

        Parameters
        ----------
        images
            Query images, in any form that `build_memory` takes.
        start : int, default=0
            Leave out the images before this one; batches are counted from it.

        Yields
        ------
        tuple of Queries
            One for each memory, in their order. They differ in their vectors and energy; `seconds` is the
            time of the pass, which they share.
        """
        table = replace(resolve_images(images), value_range=self.memory.settings.range_of_values())
        sides = [match_images(memory, table) for memory in self._memories]
        with progress_bar(len(table), label="classify", done=start, enabled=self._progress) as advance:
            started = time.perf_counter()
            for batch, readable, stored in self._extractor.batches(table, start=start):
                rows = batch.start + readable
                hashes = [batch.records[i].sha256 for i in readable]
                sources = list(zip(hashes, rows, strict=True))
                barred = [self.exclusion.of(sha256, table.groups[row]) for sha256, row in sources]
                skipped = tuple(
                    (table.paths[batch.start + i], record.reason or "unreadable")
                    for i, record in enumerate(batch.records)
                    if not record.readable
                )
                duplicates = tuple(
                    table.paths[row] for sha256, row in sources if self.exclusion.knows(sha256)
                )
                sizes = [(batch.records[i].height, batch.records[i].width) for i in readable]
                seconds = time.perf_counter() - started
                yield tuple(
                    Queries(
                        row=rows,
                        vectors=vectors,
                        energy=energy,
                        barred=barred,
                        images=side,
                        true_class=tuple(table.classes[row] for row in rows),
                        table=table,
                        skipped=skipped,
                        duplicates=duplicates,
                        sizes=np.array(sizes, np.int64).reshape(-1, 2),
                        seconds=seconds,
                        sha256=tuple(hashes),
                    )
                    for (vectors, energy), side in zip(stored, sides, strict=True)
                )
                advance(len(batch.records))
                started = time.perf_counter()

    def of_activations(
        self,
        activations: np.ndarray,
        *,
        names: Sequence[str] | None = None,
        classes: Sequence[str | None] | None = None,
        groups: Sequence[str | None] | None = None,
    ) -> Queries:
        """Return activations extracted elsewhere; see `KernelDensityClassifier.classify_activations`.

        Parameters
        ----------
        activations : array_like of shape (n, C, H, W) or (C, H, W)
            Activations, not normalized.
        names, classes, groups : sequence, optional
            Name, class and group of each image.
        """
        activations = as_array("activations", activations).astype(np.float32, copy=False)
        if activations.ndim == 3:
            activations = activations[None]
        if activations.ndim != 4:
            raise ShapeError(
                f"activations have shape {activations.shape}; give (n, C, H, W), or (C, H, W) for one image"
            )
        table = unfiled_table(len(activations), names=names, classes=classes, groups=groups)
        require_finite(activations, table.paths, self.memory.settings.layer)
        vectors, energy = stored_vectors(self.memory, activations)
        return Queries(
            row=np.arange(len(table)),
            vectors=vectors,
            energy=energy,
            barred=[self.exclusion.of(None, group) for group in table.groups],
            images=match_images(self.memory, table),
            true_class=tuple(table.classes),
            table=table,
            sha256=(None,) * len(table),
        )

    def of_memory(self, query_memory: Memory | None = None, rows: Any = None) -> Iterator[Queries]:
        """Yield the memory's own images batch by batch; no image may match itself.

        Parameters
        ----------
        query_memory : Memory, optional
            Another memory of the same images in the same rows, whose vectors are the queries.
        rows : array_like of int or of bool, optional
            Yield only these memory rows, ascending. By default all rows in use.

        Raises
        ------
        InputError
            Nothing is excluded, so that each image would match itself; the memories hold different images; a
            row is not in use.
        """
        if self.exclude == "none":
            raise InputError(
                "leave-one-out without exclusion would match each image to itself; use 'image' or 'group'"
            )
        memory = self.memory
        vectors_of = memory if query_memory is None else query_memory
        if vectors_of.images.paths != memory.images.paths or vectors_of.grid != memory.grid:
            raise InputError(
                f"{vectors_of.path} does not hold the images of {memory.path} in the same rows; use a memory "
                "of the same list of images"
            )
        sides = match_images(memory, memory.images)
        known = set(memory.classes)
        asked = self.rows if rows is None else distinct_rows("rows", rows, memory.n_images)
        if not np.isin(asked, self.rows).all():
            outside = asked[~np.isin(asked, self.rows)].tolist()
            raise InputError(
                f"rows holds {outside[0]}, which is not in use; choose among the rows in images="
            )
        readable = asked[memory.readable[asked]]
        unreadable = asked[~memory.readable[asked]].tolist()
        skipped = tuple((memory.images.paths[i], memory.records["reason"][i].as_py()) for i in unreadable)
        step = max(1, _LEAVE_ONE_OUT_VECTORS // memory.grid.n_cells)
        with progress_bar(len(readable), label="classify", enabled=self._progress) as advance:
            for start in range(0, len(readable), step):
                started = time.perf_counter()
                part = readable[start : start + step]
                classes = (memory.images.classes[row] for row in part)
                yield Queries(
                    row=part,
                    vectors=vectors_of.image_vectors(part),
                    energy=vectors_of.energy()[part],
                    barred=[self.exclusion.of_row(int(row)) for row in part],
                    images=sides,
                    true_class=tuple(name if name in known else None for name in classes),
                    table=memory.images,
                    skipped=skipped if start == 0 else (),
                    seconds=time.perf_counter() - started,
                    sha256=tuple(memory.sha256[row] or None for row in part),
                )
                advance(len(part))

    def of_stored(self, stored: Memory) -> Iterator[Queries]:
        """Yield the images of another memory batch by batch, as `of_images` does, without the network.

        Parameters
        ----------
        stored : Memory
            Memory of the images, from the same layer of the same network, of the same descriptor or `pixel`.

        Raises
        ------
        ShapeError
            The channels or the grid differ from those of the memory.
        """
        table, records = stored.images, stored.records
        sides = match_images(self.memory, table)
        readable, unreadable = np.flatnonzero(stored.readable), np.flatnonzero(~stored.readable)
        reasons = records["reason"].take(unreadable).to_pylist()
        skipped = [
            (table.paths[row], why or "unreadable")
            for row, why in zip(unreadable.tolist(), reasons, strict=True)
        ]
        sizes = np.stack([records[name].to_numpy() for name in ("height", "width")], 1).astype(np.int64)
        step = max(1, _LEAVE_ONE_OUT_VECTORS // stored.grid.n_cells)
        with progress_bar(len(readable), label="classify", enabled=self._progress) as advance:
            for start in range(0, max(1, len(readable)), step):
                started = time.perf_counter()
                rows = readable[start : start + step]
                hashes = [stored.sha256[row] or None for row in rows.tolist()]
                vectors, energy = queries_of_stored(self.memory, stored, rows)
                sources = list(zip(hashes, rows, strict=True))
                yield Queries(
                    row=rows,
                    vectors=vectors,
                    energy=energy,
                    barred=[self.exclusion.of(sha256, table.groups[row]) for sha256, row in sources],
                    images=sides,
                    true_class=tuple(table.classes[row] for row in rows),
                    table=table,
                    skipped=tuple(skipped) if start == 0 else (),
                    duplicates=tuple(
                        table.paths[row] for sha256, row in sources if self.exclusion.knows(sha256)
                    ),
                    sizes=sizes[rows],
                    seconds=time.perf_counter() - started,
                    sha256=tuple(hashes),
                )
                advance(len(rows))

    def vectors_of(self, images: Any) -> np.ndarray:
        """Return the vectors of images as the memory would store them; zero where an image is unreadable.

        Parameters
        ----------
        images
            Images, in any form that `build_memory` takes.

        Returns
        -------
        ndarray of float32, shape (n_images, n_cells, n_channels)
        """
        table = replace(resolve_images(images), value_range=self.memory.settings.range_of_values())
        vectors = np.zeros((len(table), self.memory.grid.n_cells, self.memory.n_channels), np.float32)
        for batch, readable, stored in self._extractor.batches(table):
            vectors[batch.start + readable] = stored[0][0]
        return vectors


def _require_same_images(memory: Memory, other: Memory) -> None:
    """Raise InputError unless two memories hold the same images in the same rows."""
    if memory.images.paths != other.images.paths or memory.sha256 != other.sha256:
        raise InputError(
            f"{other.path} does not hold the images of {memory.path} in the same rows; give memories of the "
            "same list of images"
        )
