"""Filling the shards of memories from batches of activations of any origin: one memory per layer."""

import contextlib
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
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


def fill_memories(
    paths: Sequence[Path],
    settings: Sequence[MemorySettings],
    table: ImageTable,
    batches: Batches,
    *,
    hashes: Hashes | None = None,
    masks: Masks | None = None,
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
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(open_writer(path, its, overwrite=overwrite))
            for path, its in zip(paths, settings, strict=True)
        ]
        unchanged = None if hashes is None else Unchanged(table, hashes, progress=progress)
        for writer, asked in zip(writers, settings, strict=True):
            list_images(writer, table, unchanged, masks, append=append)
            require_unchanged(writer, table, unchanged, asked, masks, append=append)
        _write_pending(writers, table, batches, progress)
    memories, failure = [], None
    for path in paths:
        try:
            memories.append(_open_filled(path))
        except ImageError as error:
            failure = error
    if failure is not None:
        raise failure
    return memories


def _open_filled(path: Path) -> Memory:
    """Open a memory that was just filled; warn of lost classes, and raise if no image could be read."""
    memory = open_memory(path)
    if not memory.readable.any():
        reason = memory.records["reason"][0].as_py()
        with contextlib.suppress(HueprobeError):  # report the first error
            remove_memory(path)
        raise ImageError(f"none of {memory.n_images} images could be read; the first: {reason}")
    if lost := sorted({name for name in memory.images.classes if name is not None} - set(memory.classes)):
        names = ", ".join(map(repr, lost))
        warnings.warn(
            f"no readable image in class {names}; the memory does not have this class",
            HueprobeWarning,
            stacklevel=4,
        )
    return memory


def _write_pending(
    writers: Sequence[MemoryWriter], table: ImageTable, batches: Batches, progress: bool
) -> None:
    """Add every batch to the memories that need it: made here, normalized and written in a thread.

    Shards of two memories may differ in length, so one memory may be ahead. But every shard is a whole number
    of batches, so the memory that is furthest behind determines the batches for all.
    """
    firsts = [first_row(writer, table) for writer in writers]
    if all(writer.ledger.complete for writer in writers):
        return
    starts = [
        len(table) if writer.ledger.complete else writer.ledger.n_done - first
        for writer, first in zip(writers, firsts, strict=True)
    ]
    row = min(starts)
    before = firsts[starts.index(row)]
    _require_common_batches(writers, starts, len(table))
    with progress_bar(before + len(table), label="index", done=before + row, enabled=progress) as advance:
        sinks = [_shards(writer, table.paths, first) for writer, first in zip(writers, firsts, strict=True)]
        with (
            consumed_in_background(partial(_hand_out, sinks, starts, advance)) as writing,
            contextlib.closing(batches(row, len(table))) as made,
        ):
            for batch in made:
                if callable(batch):
                    writing.settle()
                    batch = batch()
                writing.hand_over((row, *batch))
                row += len(batch[1])


def _require_common_batches(writers: Sequence[MemoryWriter], starts: Sequence[int], n_images: int) -> None:
    """Raise if a memory would resume within a batch of another, which an append can cause."""
    row = min(starts)
    for writer, start in zip(writers, starts, strict=True):
        if start < n_images and (start - row) % writer.settings.batch_size:
            raise MemoryFormatError(
                f"images are being appended to {writer.folder}; finish that first, with --append"
            )


def _hand_out(
    sinks: Sequence[Generator[None, _OfOne, None]],
    starts: Sequence[int],
    advance: Callable[[int], None],
    batches: Iterator[tuple[Any, ...]],
) -> None:
    """Send batches, each with the row of its first image, to the memories that do not have them yet."""
    with contextlib.ExitStack() as stack:
        for sink in sinks:
            next(stack.enter_context(contextlib.closing(sink)))
        for row, grids, records, *labels in batches:
            counts = labels[0] if labels else [None] * len(grids)
            for sink, activations, its, start in zip(sinks, grids, counts, starts, strict=True):
                if row >= start:
                    sink.send((activations, records, its))
            advance(len(records))


def _shards(writer: MemoryWriter, paths: Sequence[str], first: int) -> Generator[None, _OfOne, None]:
    """Write the batches that are sent, (activations, records, counts), as the missing shards of a memory.

    `first` is the memory's row of the first path. A shard that is open when the generator is closed is
    discarded.
    """
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
