"""Filling memories' shards from batches of activations, wherever these come from: one memory a layer."""

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
from hueprobe.images.table import ImageTable
from hueprobe.memory.background import consumed_in_background
from hueprobe.memory.listing import first_row, list_images, require_unchanged
from hueprobe.memory.settings import MemorySettings
from hueprobe.memory.store import Memory, open_memory
from hueprobe.memory.unchanged import Hashes, Unchanged
from hueprobe.memory.writer import MemoryWriter, ShardWriter, open_writer, remove_memory
from hueprobe.progress import progress_bar

# A batch: activations (b, C, H, W) for each memory, and one record an image.
Filled = tuple[list[np.ndarray], list[dict[str, Any]]]
# Those of images [start, stop) of a table; each as it is, or as a function that makes it, which is called
# once the batches before are written: for a network on the CPU, whose threads wait for each other whenever
# one of them has to share its core.
Batches = Callable[[int, int], Generator[Filled | Callable[[], Filled], None, None]]


def fill_memories(
    paths: Sequence[Path],
    settings: Sequence[MemorySettings],
    table: ImageTable,
    batches: Batches,
    *,
    hashes: Hashes | None = None,
    append: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> list[Memory]:
    """Make or continue memories of the images in `table`, shard by shard, all from the same batches.

    Parameters
    ----------
    paths : sequence of Path
        Folder of each memory.
    settings : sequence of MemorySettings
        What each memory.json holds, or must hold already; all of one batch size.
    table : ImageTable
        The images: all of a new memory's, or those to append.
    batches : callable
        `batches(start, stop)` gives the activations of `table`'s images [start, stop), or functions
        that make them, in batches of the settings' size, of which a shard is a whole number.
    hashes : callable, optional
        Tells the images' content, which must be that of a memory which is there. Without, the settings say
        all about it.
    append : bool
        The images go behind those of complete memories.
    overwrite, progress : bool
        As in `build_memory`.

    Raises
    ------
    MemoryFormatError
        A memory is of other settings or images, or these changed since it read them; or it is not at a place
        where one batch serves all.
    InputError
        Images to append are in a memory already, under whatever name.
    NumericsError
        An image's activations are NaN, infinite, or too large for their energy; names it by its path.
    ImageError
        No image could be read; the memories are gone.
    """
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(open_writer(path, its, overwrite=overwrite))
            for path, its in zip(paths, settings, strict=True)
        ]
        unchanged = None if hashes is None else Unchanged(table, hashes, progress=progress)
        for writer, asked in zip(writers, settings, strict=True):
            list_images(writer, table, unchanged, append=append)
            require_unchanged(writer, table, unchanged, asked, append=append)
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
    """Open a memory that was just filled, unless none of its images could be read; warn of lost classes."""
    memory = open_memory(path)
    if not memory.readable.any():
        reason = memory.records["reason"][0].as_py()
        with contextlib.suppress(HueprobeError):  # the first error is the one to tell
            remove_memory(path)
        raise ImageError(f"none of {memory.n_images} images could be read; the first: {reason}")
    if lost := sorted({name for name in memory.images.classes if name is not None} - set(memory.classes)):
        names = ", ".join(map(repr, lost))
        warnings.warn(f"no readable image in class {names}; dropped", HueprobeWarning, stacklevel=4)
    return memory


def _write_pending(
    writers: Sequence[MemoryWriter], table: ImageTable, batches: Batches, progress: bool
) -> None:
    """Give every batch to the memories that lack it: made here, normalized and written in a thread.

    Shards of two memories may differ in length, so one may be ahead; but all are whole numbers of batches,
    so whoever begins earliest sets the batches for all.
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
    """Refuse memories of which one goes on within a batch of another, as an append may."""
    row = min(starts)
    for writer, start in zip(writers, starts, strict=True):
        if start < n_images and (start - row) % writer.settings.batch_size:
            raise MemoryFormatError(
                f"images are being appended to {writer.folder}; finish that first, with --append"
            )


def _hand_out(
    sinks: Sequence[Generator[None, tuple[np.ndarray, list[dict[str, Any]]], None]],
    starts: Sequence[int],
    advance: Callable[[int], None],
    batches: Iterator[tuple[int, list[np.ndarray], list[dict[str, Any]]]],
) -> None:
    """Give batches, with the row of their first image, to the memories that have not got that far."""
    with contextlib.ExitStack() as stack:
        for sink in sinks:
            next(stack.enter_context(contextlib.closing(sink)))
        for row, grids, records in batches:
            for sink, activations, start in zip(sinks, grids, starts, strict=True):
                if row >= start:
                    sink.send((activations, records))
            advance(len(records))


def _shards(
    writer: MemoryWriter, paths: Sequence[str], first: int
) -> Generator[None, tuple[np.ndarray, list[dict[str, Any]]], None]:
    """Write the batches that are sent, (activations, records), as the shards that a memory lacks.

    `first` is the memory's row of the first path. A shard that is open when the generator is closed is
    given up.
    """
    for start, stop in writer.pending_shards():
        with writer.shard(start, stop) as shard:
            row = start - first
            while row < stop - first:
                activations, records = yield
                _add_batch(shard, writer.settings, activations, records, paths[row : row + len(records)])
                row += len(records)
    if not writer.ledger.complete:
        writer.complete()
    yield


def _add_batch(
    shard: ShardWriter,
    settings: MemorySettings,
    activations: np.ndarray,
    records: list[dict[str, Any]],
    paths: Sequence[str],
) -> None:
    """Reduce activations (b, C, H, W) to the memory's unit vectors and add them to a shard."""
    require_finite(activations, paths, settings.layer)
    described = describe(activations, settings.descriptor)
    vectors, energy = unit_vectors(described, names=paths, layer=settings.layer)
    shard.add(vectors, energy, records)
