"""The list of images that a memory is made of, and whether a table is that list, unchanged."""

import pyarrow.parquet as pq
from msgspec import UNSET

from hueprobe.errors import InputError, MemoryFormatError
from hueprobe.images.table import ImageTable
from hueprobe.memory.settings import MemorySettings
from hueprobe.memory.steps import source_file
from hueprobe.memory.store import Memory
from hueprobe.memory.unchanged import REMEDY, Unchanged, changed_images, counted
from hueprobe.memory.writer import MemoryWriter


def list_images(
    writer: MemoryWriter, table: ImageTable, unchanged: Unchanged | None, *, append: bool
) -> None:
    """Enter the list of images, unless it is there already."""
    if append and writer.ledger.complete:
        if not _was_appended(writer, table, unchanged):
            _require_new_images(writer, table, unchanged)
            writer.add_source(table)
    elif append and len(writer.ledger.lists) < 2:
        raise MemoryFormatError(
            f"the first build of {writer.folder} is not finished; run it again before appending"
        )
    elif not writer.ledger.lists:
        writer.add_source(table)


def require_unchanged(
    writer: MemoryWriter,
    table: ImageTable,
    unchanged: Unchanged | None,
    asked: MemorySettings,
    *,
    append: bool,
) -> None:
    """Refuse a table that is not the memory's list, or of other content than what is done of it."""
    first = first_row(writer, table)
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


def _lists(writer: MemoryWriter) -> list[ImageTable]:
    return [
        ImageTable.from_arrow(pq.read_table(writer.folder / source_file(part)))
        for part in range(len(writer.ledger.lists))
    ]


def _was_appended(writer: MemoryWriter, table: ImageTable, unchanged: Unchanged | None) -> bool:
    """Whether these are the last that were appended: then the same call again has nothing to do.

    Other images of the same names are not, unless they lie where those lay: then they are these, and changed.
    """
    lists = _lists(writer)
    if len(lists) < 2 or not _same_list(lists[-1], table):
        return False
    if table.roots == lists[-1].roots and all(table.roots):
        return True
    first = writer.ledger.n_listed - len(table)
    return unchanged is not None and not any(
        unchanged.compared(writer.folder, writer.ledger, ImageTable.concatenate(lists), first)
    )


def _require_new_images(writer: MemoryWriter, table: ImageTable, unchanged: Unchanged | None) -> None:
    """Refuse images that are in a memory, be it by their file or by what they hold."""
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
        as_what = "" if name == path else f", which it knows as {name!r}"
        raise InputError(
            f"{len(again)} of {len(table)} images are in {writer.folder} already, such as {path!r}{as_what}; "
            "append only new ones"
        )


def _known_contents(
    memory: Memory, there: ImageTable, table: ImageTable, unchanged: Unchanged
) -> dict[int, str]:
    """Return the rows of images that hold what one in the memory holds, each with that one's path.

    Only files of a size that is in the memory, or whose size is not known, need to be read for it.
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
    """Return the memory row of the table's first image; refuse a table that is not the frozen list."""
    lists = _lists(writer)
    for listed, first in (
        (ImageTable.concatenate(lists), 0),
        (lists[-1], writer.ledger.n_listed - len(table)),
    ):
        if _same_list(listed, table):
            _require_sizes(writer, listed, table, first)
            return first
    old, new = set(lists[-1].paths), set(table.paths)
    raise MemoryFormatError(
        f"{writer.folder} was begun with another list of images ({len(new - old)} new, {len(old - new)} "
        "gone, or other classes or groups); name another folder, append with --append, or pass --overwrite"
    )


def _require_sizes(writer: MemoryWriter, listed: ImageTable, table: ImageTable, first: int) -> None:
    """Refuse files of another size than was listed, and a lack of those that are still to be read."""
    pairs = list(enumerate(zip(listed.sizes, table.sizes, strict=True)))
    if changed := [row for row, (old, new) in pairs if new not in (old, -1)]:
        raise changed_images(table, changed, writer.folder)
    done = writer.ledger.n_done - first
    if gone := [row for row, (old, new) in pairs if new < 0 <= old and row >= done]:
        raise MemoryFormatError(
            f"{counted(gone, table)} that {writer.folder} still has to read cannot be found; bring them back"
        )


def _same_list(a: ImageTable, b: ImageTable) -> bool:
    """Whether two lists agree in all but where their roots lie, and how large the files are."""
    return all(getattr(a, name) == getattr(b, name) for name in ("paths", "classes", "splits", "groups"))
