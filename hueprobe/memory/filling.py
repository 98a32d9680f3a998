"""Filling the shards of memories from batches of activations of any origin: one memory per layer."""

import contextlib
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.activations.descriptors import describe, require_finite, unit_vectors
from hueprobe.errors import (
    HueprobeError,
    HueprobeWarning,
    ImageError,
    MemoryFormatError,
)
from hueprobe.images.mask_files import Masks
from hueprobe.images.table import ImageTable
from hueprobe.memory.background import consumed_in_background
from hueprobe.memory.listing import first_row, list_images, require_unchanged
from hueprobe.memory.nonnegative import require_nonnegative
from hueprobe.memory.settings import MemorySettings
from hueprobe.memory.store import Memory, open_memory
from hueprobe.memory.unchanged import Hashes, Unchanged
from hueprobe.memory.vectors import SPARSE16
from hueprobe.memory.writer import MemoryWriter, ShardWriter, open_writer, remove_memory
from hueprobe.progress import progress_bar

# A batch: activations (b, C, H, W) for each memory, and one record per image; with masks also the label
# counts (b, H, W, L) for each memory.
Filled = (
    tuple[list[np.ndarray], list[dict[str, Any]]]
    | tuple[list[np.ndarray], list[dict[str, Any]], list[np.ndarray]]
)
# Batches of images [start, stop) of a table: each a batch, or a function that makes it. The function is
# called once all earlier batches are written. This is for a network on the CPU: its threads wait for each
# other whenever one of them has to share its core.
Batches = Callable[[int, int], Generator[Filled | Callable[[], Filled], None, None]]
# The same for one memory: activations, records, and label counts or None.
_OfOne = tuple[np.ndarray, list[dict[str, Any]], np.ndarray | None]


@dataclass(frozen=True)
class Share:
    """The images of a table that one memory holds.

    Attributes
    ----------
    rows : range
        Rows of the table, from the start of a shard.
    listed : ImageTable
        These images as the memory lists them, perhaps with earlier roots and sizes.
    """

    rows: range
    listed: ImageTable


@dataclass(frozen=True)
class _Filling:
    """A memory being filled: its writer, its images, and the row of the first one in the batches."""

    writer: MemoryWriter
    table: ImageTable
    offset: int
    first: int  # memory row of the first image of `table`; an append begins behind others

    @property
    def start(self) -> int:
        """Row of the next image to write."""
        return self.stop if self.complete else self.offset + self.writer.ledger.n_done - self.first

    @property
    def stop(self) -> int:
        """Row after the last image."""
        return self.offset + len(self.table)

    @property
    def complete(self) -> bool:
        return self.writer.ledger.complete


def fill_memories(
    paths: Sequence[Path],
    settings: Sequence[MemorySettings],
    table: ImageTable,
    batches: Batches,
    *,
    hashes: Hashes | None = None,
    masks: Masks | None = None,
    shares: Sequence[Share] | None = None,
    append: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> list[Memory]:
    """Make or resume memories of the images in `table`, shard by shard, all from the same batches.

    Parameters
    ----------
    paths : sequence of Path
        Folder of each memory.
    settings : sequence of MemorySettings
        Settings of each memory; those of an existing memory must be the same. All have one batch size.
    table : ImageTable
        The images: all images of a new memory, or those to append.
    batches : callable
        `batches(start, stop)` yields the activations of images [start, stop) of `table`, or functions that
        make them, in batches of the settings' size. A shard is a whole number of batches.
    hashes : callable, optional
        Returns hashes of the images' content, which are compared with an existing memory. By default only
        the settings are compared.
    masks : Masks, optional
        Masks of the table's images, if the settings have labels.
    shares : sequence of Share, optional
        The images of each memory. By default each holds all images, and one of which none could be read is
        removed.
    append : bool, default=False
        Whether the images are appended to complete memories.
    overwrite, progress : bool, default=False
        See `build_memory`.

    Raises
    ------
    MemoryFormatError
        A memory has other settings or images; or images changed since it read them; or the memories cannot
        resume at a common batch.
    InputError
        Images to append are already in a memory, under any name; or the dtype is `sparse16`, and an image's
        activations are negative; the message gives its path.
    NumericsError
        An image's activations are NaN, infinite, or too large for their energy; the message gives its path.
    ImageError
        No image could be read; the memories are removed.
    """
    whole = [Share(range(len(table)), table)] * len(paths)
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(open_writer(path, its, overwrite=overwrite))
            for path, its in zip(paths, settings, strict=True)
        ]
        unchanged = None if hashes is None else Unchanged(table, hashes, progress=progress)
        filled = []
        for writer, asked, share in zip(writers, settings, shares or whole, strict=True):
            part, its_masks, current = table, masks, unchanged
            if shares is not None:
                part = table.select(share.rows)
                its_masks = None if masks is None else masks.select(share.rows)
                current = None if unchanged is None else unchanged.part(share.rows)
            list_images(writer, share.listed, current, its_masks, append=append)
            require_unchanged(writer, part, current, asked, its_masks, append=append)
            filled.append(_Filling(writer, part, share.rows.start, first_row(writer, part)))
        _write_pending(filled, batches, progress)
    if shares is not None:
        return [open_memory(path) for path in paths]
    memories, failure = [], None
    for path in paths:
        try:
            memories.append(open_filled(path))
        except ImageError as error:
            failure = error
    if failure is not None:
        raise failure
    return memories


def open_filled(path: Path, *, stacklevel: int = 4) -> Memory:
    """Open a memory that was just filled; warn of lost classes, and raise if no image could be read.

    Parameters
    ----------
    path : Path
        Folder of the memory.
    stacklevel : int, default=4
        Distance to the caller whom a warning names; see `warnings.warn`.

    Raises
    ------
    ImageError
        No image could be read; the memory is removed.
    """
    memory = open_memory(path)
    records = memory.records  # all columns now, for another build may replace the files
    if not memory.readable.any():
        reason = records["reason"][0].as_py()
        with contextlib.suppress(HueprobeError):  # report the first error
            remove_memory(path)
        raise ImageError(f"none of {memory.n_images} images could be read; the first: {reason}")
    if lost := sorted(set(memory.images.class_names) - set(memory.classes)):
        names = ", ".join(map(repr, lost))
        warnings.warn(
            f"no readable image in class {names}; the memory does not have this class",
            HueprobeWarning,
            stacklevel=stacklevel,
        )
    return memory


def _write_pending(filled: Sequence[_Filling], batches: Batches, progress: bool) -> None:
    """Add every batch to the memories that need it: made here, normalized and written in a thread.

    Shards of two memories may differ in length, so one memory may be ahead. But every shard is a whole number
    of batches, so the memory that is furthest behind determines the batches for all.
    """
    pending = [one for one in filled if not one.complete]
    if not pending:
        return
    lacking = [one for one in pending if one.start < one.stop]
    behind = min(lacking or pending, key=lambda one: one.start)
    row, stop = behind.start, max(one.stop for one in pending)
    _require_common_batches(lacking, row)
    begin = behind.offset - behind.first
    with (
        progress_bar(stop - begin, label="index", done=row - begin, enabled=progress) as advance,
        consumed_in_background(partial(_hand_out, filled, advance)) as writing,
        contextlib.closing(batches(row, stop)) as made,
    ):
        for batch in made:
            if callable(batch):
                writing.settle()
                batch = batch()
            writing.hand_over((row, *batch))
            row += len(batch[1])


def _require_common_batches(lacking: Sequence[_Filling], row: int) -> None:
    """Raise if a memory would resume within a batch of another, which an append can cause."""
    for one in lacking:
        if (one.start - row) % one.writer.settings.batch_size:
            raise MemoryFormatError(
                f"images are being appended to {one.writer.folder}; finish that first, with --append"
            )


def _hand_out(
    filled: Sequence[_Filling], advance: Callable[[int], None], batches: Iterator[tuple[Any, ...]]
) -> None:
    """Send batches, each with the row of its first image, to the memories that do not have them yet."""
    needed = [range(one.start, one.stop) for one in filled]
    with contextlib.ExitStack() as stack:
        sinks = [stack.enter_context(contextlib.closing(_shards(one))) for one in filled]
        for sink in sinks:
            next(sink)
        for row, grids, records, *labels in batches:
            counts = labels[0] if labels else [None] * len(grids)
            for sink, activations, its, rows in zip(sinks, grids, counts, needed, strict=True):
                if row in rows:
                    sink.send((activations, records, its))
            advance(len(records))


def _shards(filling: _Filling) -> Generator[None, _OfOne, None]:
    """Write the batches that are sent, (activations, records, counts), as the missing shards of a memory.

    A shard that is open when the generator is closed is discarded.
    """
    writer, paths, first = filling.writer, filling.table.paths, filling.first
    for start, stop in writer.pending_shards():
        with writer.shard(start, stop) as shard:
            row = start - first
            while row < stop - first:
                activations, records, counts = yield
                names = paths[row : row + len(records)]
                _add_batch(shard, writer.settings, activations, records, counts, names)
                row += len(records)
    if not writer.ledger.complete:
        writer.complete()
    yield


def _add_batch(
    shard: ShardWriter,
    settings: MemorySettings,
    activations: np.ndarray,
    records: list[dict[str, Any]],
    counts: np.ndarray | None,
    paths: Sequence[str],
) -> None:
    """Reduce activations (b, C, H, W) to the memory's unit vectors and add them to a shard."""
    require_finite(activations, paths, settings.layer)
    if settings.dtype == SPARSE16:
        require_nonnegative(activations, paths, settings.layer)
    described = describe(activations, settings.descriptor)
    unreadable = [not record["readable"] for record in records]
    if any(unreadable) and described is not activations:
        described[unreadable] = 0  # GeM of nothing but zeros is not zero
    vectors, energy = unit_vectors(described, names=paths, layer=settings.layer)
    shard.add(vectors, energy, records, counts)
