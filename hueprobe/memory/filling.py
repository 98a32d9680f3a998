"""Filling a memory's shards from batches of activations, wherever these come from."""

import contextlib
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from hueprobe.activations.descriptors import describe, require_finite, unit_vectors
from hueprobe.errors import (
    HueprobeError,
    HueprobeWarning,
    ImageError,
    InputError,
    MemoryFormatError,
)
from hueprobe.images.table import ImageTable
from hueprobe.memory.background import consumed_in_background
from hueprobe.memory.steps import source_file
from hueprobe.memory.store import Memory, open_memory
from hueprobe.memory.writer import MemoryWriter, ShardWriter, open_writer, remove_memory
from hueprobe.progress import progress_bar

# A batch: activations (b, C, H, W) and one record an image.
Filled = tuple[np.ndarray, list[dict[str, Any]]]
# Those of images [start, stop) of a table; each as it is, or as a function that makes it, which is called
# once the batches before are written: for a network on the CPU, whose threads wait for each other whenever
# one of them has to share its core.
Batches = Callable[[int, int], Generator[Filled | Callable[[], Filled], None, None]]


def fill_memory(
    path: Path,
    settings: dict[str, Any],
    table: ImageTable,
    batches: Batches,
    *,
    append: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> Memory:
    """Make or continue a memory of the images in `table`, shard by shard.

    Parameters
    ----------
    path : Path
    settings : dict
        What memory.json holds, or must hold already.
    table : ImageTable
        The images: all of a new memory's, or those to append.
    batches : callable
        `batches(start, stop)` gives the activations of `table`'s images [start, stop), or functions
        that make them, in batches of the settings' size, of which a shard is a whole number.
    append : bool
        The images go behind those of a complete memory.
    overwrite, progress : bool
        As in `build_memory`.
    """
    with open_writer(path, settings, overwrite=overwrite) as writer:
        if append and writer.ledger.complete:
            if not _was_appended(writer, table):
                _require_new_images(writer, table)
                writer.add_source(table)
        elif append and not writer.ledger.of("append"):
            raise MemoryFormatError(
                f"the first build of {path} is not finished; run it again before appending"
            )
        elif not writer.n_images:
            writer.add_source(table)
        _write_pending(writer, table, batches, progress)
    return open_filled(path)


def open_filled(path: Path) -> Memory:
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


def _write_pending(writer: MemoryWriter, table: ImageTable, batches: Batches, progress: bool) -> None:
    """Make batches here, normalize and write them in a thread, while the next images are read."""
    first = first_row(writer, table)
    if writer.ledger.complete:
        return
    start, stop = writer.n_done - first, writer.n_images - first
    with progress_bar(writer.n_images, label="index", done=writer.n_done, enabled=progress) as advance:
        write = partial(_write_shards, writer, table.paths[start:stop], advance)
        with (
            consumed_in_background(write) as writing,
            contextlib.closing(batches(start, stop)) as made,
        ):
            for batch in made:
                if callable(batch):
                    writing.settle()
                    batch = batch()
                writing.hand_over(batch)
    writer.complete()


def _write_shards(
    writer: MemoryWriter, names: Sequence[str], advance: Callable[[int], None], batches: Iterator[Filled]
) -> None:
    settings, row = writer.settings, 0
    for start, stop in writer.pending_shards():
        with writer.shard(start, stop) as shard:
            end = row + stop - start
            for activations, records in batches:
                add_batch(shard, settings, activations, records, names[row : row + len(records)])
                row += len(records)
                advance(len(records))
                if row >= end:
                    break


def add_batch(
    shard: ShardWriter,
    settings: dict[str, Any],
    activations: np.ndarray,
    records: list[dict[str, Any]],
    paths: Sequence[str],
) -> None:
    """Reduce activations (b, C, H, W) to the memory's unit vectors and add them to a shard.

    Raises
    ------
    NumericsError
        An image's activations are NaN, infinite, or too large for their energy; names it by its path.
    """
    require_finite(activations, paths, settings["layer"])
    described = describe(activations, settings["descriptor"])
    vectors, energy = unit_vectors(described, names=paths, layer=settings["layer"])
    shard.add(vectors, energy, records)


def _lists(writer: MemoryWriter) -> list[ImageTable]:
    n_lists = len(writer.ledger.of("source")) + len(writer.ledger.of("append"))
    return [ImageTable.from_arrow(pq.read_table(writer.folder / source_file(i))) for i in range(n_lists)]


def _was_appended(writer: MemoryWriter, table: ImageTable) -> bool:
    """Whether these files are the last that were appended: then the same call again has nothing to do."""
    return bool(writer.ledger.of("append")) and all(table.roots) and _same_images(_lists(writer)[-1], table)


def _require_new_images(writer: MemoryWriter, table: ImageTable) -> None:
    there = ImageTable.concatenate(_lists(writer))
    known = set(zip(there.roots, there.paths, strict=True))
    again = [
        path for root, path in zip(table.roots, table.paths, strict=True) if root and (root, path) in known
    ]
    if again:
        raise InputError(
            f"{len(again)} of {len(table)} images are in {writer.folder} already, such as {again[0]!r}; "
            "append only new ones"
        )


def first_row(writer: MemoryWriter, table: ImageTable) -> int:
    """Return the memory row of the table's first image; refuse a table that is not the frozen list."""
    lists = _lists(writer)
    if _same_images(ImageTable.concatenate(lists), table):
        return 0
    if _same_images(lists[-1], table):
        return writer.n_images - len(table)
    old, new = set(lists[-1].paths), set(table.paths)
    raise MemoryFormatError(
        f"{writer.folder} was begun with another list of images ({len(new - old)} new, {len(old - new)} "
        "gone, or other classes, groups or sizes); name another folder, append with --append, or pass "
        "--overwrite"
    )


def _same_images(a: ImageTable, b: ImageTable) -> bool:
    """Whether two lists agree in all but where their roots lie."""
    return all(
        getattr(a, name) == getattr(b, name) for name in ("paths", "classes", "splits", "groups", "sizes")
    )
