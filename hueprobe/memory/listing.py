"""The list of images of a memory, and the check that a table is that list, unchanged."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import UNSET

from hueprobe.errors import InputError, MemoryFormatError
from hueprobe.images.mask_files import Masks
from hueprobe.images.table import ImageTable
from hueprobe.memory.contents import read_mask_list
from hueprobe.memory.settings import MemorySettings
from hueprobe.memory.steps import ListStep, mask_list_file, source_file
from hueprobe.memory.store import Memory
from hueprobe.memory.unchanged import REMEDY, Unchanged, changed_images, counted
from hueprobe.memory.writer import MemoryWriter


def list_images(
    writer: MemoryWriter, table: ImageTable, unchanged: Unchanged | None, masks: Masks | None, *, append: bool
) -> None:
    """Write the list of images and their masks, unless the memory has it already."""
    if append and writer.ledger.complete:
        if not _was_appended(writer, table, unchanged):
            _require_new_images(writer, table, unchanged)
            writer.add_source(table, masks)
    elif append and len(writer.ledger.lists) < 2:
        raise MemoryFormatError(
            f"the first build of {writer.folder} is not finished; run it again before appending"
        )
    elif not writer.ledger.lists:
        writer.add_source(table, masks)


def require_unchanged(
    writer: MemoryWriter,
    table: ImageTable,
    unchanged: Unchanged | None,
    asked: MemorySettings,
    masks: Masks | None,
    *,
    append: bool,
) -> None:
    """Raise if a table is not the memory's list, or if masks or stored images have changed since."""
    first = first_row(writer, table)
    if masks is not None:
        require_same_masks(writer, table, masks, first)
    if unchanged is None:
        return
    unchanged.require(
        writer.folder, writer.ledger, ImageTable.concatenate(_lists(writer)), first, append=append
    )
    arrays = {settings.content_sha256 for settings in (writer.settings, asked)} - {UNSET}
    if len(arrays) > 1:
        raise MemoryFormatError(
            f"{writer.folder} was made from other arrays under the same names and hashes; {REMEDY}"
        )


def require_same_masks(writer: MemoryWriter, table: ImageTable, masks: Masks, first: int) -> None:
    """Raise if the masks of a table are not those that the memory lists, wherever they are now."""
    listed = [
        sha256
        for part, step in enumerate(writer.ledger.lists)
        for sha256 in _masks_of(writer, part, step)["sha256"].to_pylist()
    ][first : first + len(masks)]
    if changed := [
        row for row, pair in enumerate(zip(listed, masks.sha256, strict=True)) if pair[0] != pair[1]
    ]:
        raise MemoryFormatError(
            f"the masks of {counted(changed, table)} of {len(table)} changed since {writer.folder} listed "
            "them; restore the masks, choose another folder, or rebuild with --overwrite (overwrite=True in "
            "Python)"
        )


def _masks_of(writer: MemoryWriter, part: int, step: ListStep) -> pa.Table:
    name = mask_list_file(part)
    return read_mask_list(writer.folder / name, step.files[name], step.start, step.stop)


def _lists(writer: MemoryWriter) -> list[ImageTable]:
    return [
        ImageTable.from_arrow(pq.read_table(writer.folder / source_file(part)))
        for part in range(len(writer.ledger.lists))
    ]


def _was_appended(writer: MemoryWriter, table: ImageTable, unchanged: Unchanged | None) -> bool:
    """Return whether these images were the last to be appended: then the same call has nothing to do.

    Other images with the same names do not count, unless they are in the same place: then they are the same
    images, and changed.
    """
    lists = _lists(writer)
    if len(lists) < 2 or not same_list(lists[-1], table):
        return False
    if table.roots == lists[-1].roots and all(table.roots):
        return True
    first = writer.ledger.n_listed - len(table)
    return unchanged is not None and not any(
        unchanged.compared(writer.folder, writer.ledger, ImageTable.concatenate(lists), first)
    )


def _require_new_images(writer: MemoryWriter, table: ImageTable, unchanged: Unchanged | None) -> None:
    """Raise if images are already in a memory, by their path or by their content."""
    there = ImageTable.concatenate(_lists(writer))
    known = dict(zip(zip(there.roots, there.paths, strict=True), there.paths, strict=True))
    again = {
        row: known[place]
        for row, place in enumerate(zip(table.roots, table.paths, strict=True))
        if place[0] and place in known
    }
    if not again and unchanged is not None:
        again = _known_contents(Memory(writer.folder), there, table, unchanged)
    if again:
        row, name = next(iter(again.items()))
        path = table.paths[row]
        as_what = "" if name == path else f", listed there as {name!r}"
        raise InputError(
            f"{len(again)} of {len(table)} images are in {writer.folder} already, such as {path!r}{as_what}; "
            "append only new ones"
        )


def _known_contents(
    memory: Memory, there: ImageTable, table: ImageTable, unchanged: Unchanged
) -> dict[int, str]:
    """Return the rows of images whose content is in the memory, each with the path it has there.

    This reads only files of unknown size, or of a size that occurs in the memory.
    """
    known = {
        sha256: path
        for sha256, path, readable in zip(memory.sha256, there.paths, memory.readable, strict=True)
        if sha256 and readable
    }
    sizes = set(there.sizes)
    rows = [row for row, size in enumerate(table.sizes) if size in sizes or size < 0 or -1 in sizes]
    found = zip(rows, unchanged.hashes(rows), strict=True)
    return {row: known[sha256] for row, sha256 in found if sha256 in known}


def first_row(writer: MemoryWriter, table: ImageTable) -> int:
    """Return the memory row of the table's first image; raise if the table is not the memory's list."""
    lists = _lists(writer)
    for listed, first in (
        (ImageTable.concatenate(lists), 0),
        (lists[-1], writer.ledger.n_listed - len(table)),
    ):
        if same_list(listed, table):
            _require_sizes(writer, listed, table, first)
            return first
    raise other_list(writer.folder, lists[-1], table, "choose another folder, --append or --overwrite")


def _require_sizes(writer: MemoryWriter, listed: ImageTable, table: ImageTable, first: int) -> None:
    """Raise if a file has another size than listed, or if a file that is still to be read is missing."""
    pairs = list(enumerate(zip(listed.sizes, table.sizes, strict=True)))
    if changed := [row for row, (old, new) in pairs if new not in (old, -1)]:
        raise changed_images(table, changed, writer.folder)
    done = writer.ledger.n_done - first
    if gone := [row for row, (old, new) in pairs if new < 0 <= old and row >= done]:
        raise MemoryFormatError(
            f"{counted(gone, table)} that {writer.folder} still has to read cannot be found; restore them"
        )


def other_list(folder: Path, listed: ImageTable, table: ImageTable, remedy: str) -> MemoryFormatError:
    """Return the error for a table that is not the list of images that a memory was begun with."""
    old, new = set(listed.paths), set(table.paths)
    return MemoryFormatError(
        f"{folder} was begun with another list of images ({len(new - old)} new, {len(old - new)} missing, or "
        f"other classes or groups); {remedy}"
    )


def same_list(a: ImageTable, b: ImageTable) -> bool:
    """Return whether two lists agree in everything but roots and file sizes."""
    return all(getattr(a, name) == getattr(b, name) for name in ("paths", "classes", "splits", "groups"))
