"""Whether images are unchanged since a memory read them: by file timestamps, or else by sha256.

A file counts as unchanged, without being read, if it and the folders on its path last changed before the
memory listed it; see `hueprobe.images.changes`. The modification time of the list's file records that time.
It is set one minute earlier, to allow for clock differences, and to a whole minute, to distinguish it from
the time of a copy, which means nothing. All other images are hashed, and compared with the recorded hashes.
"""

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from hueprobe.errors import HueprobeWarning, MemoryFormatError
from hueprobe.images.changes import LastChange
from hueprobe.images.reading import content_hash
from hueprobe.images.table import ImageTable
from hueprobe.memory.contents import read_records
from hueprobe.memory.ledger import Ledger
from hueprobe.memory.steps import images_file, source_file
from hueprobe.progress import progress_bar
from hueprobe.threads import default_workers, threaded_map

# Yields the sha256 that would be recorded for each of some rows of a table, in order; None if it cannot be
# computed, for example for a missing file.
Hashes = Callable[[Sequence[int]], Iterator[str | None]]

REMEDY = "restore the images, choose another folder, or rebuild with --overwrite (overwrite=True in Python)"

_MINUTE = 60_000_000_000  # ns
_NAMED = 3  # changed images named in a message


def mark_listed(path: Path) -> None:
    """Set the modification time of a new list of images to a time before any of them was read."""
    listed = path.stat().st_mtime_ns // _MINUTE * _MINUTE - _MINUTE
    with contextlib.suppress(OSError):  # then all images are hashed
        os.utime(path, ns=(listed, listed))


def _listed_at(path: Path) -> int:
    """Return the time that a list of images records, in ns since the epoch; 0 if it records none."""
    time = path.stat().st_mtime_ns
    return 0 if time % _MINUTE else time


def image_hashes(table: ImageTable, workers: int | None) -> Hashes:
    """Return a function that hashes images of a table: files in threads, items of a Dataset one by one.

    Parameters
    ----------
    table : ImageTable
        The images.
    workers : int or None
        Number of threads; see `hueprobe.build_memory`.
    """
    threads = min(1, workers or 0) if table.dataset is not None else workers

    def hashes(rows: Sequence[int]) -> Iterator[str | None]:
        n = default_workers() if threads is None else threads
        step = 16 * max(n, 1)
        with threaded_map(n, name="hueprobe-hash") as each:
            for start in range(0, len(rows), step):
                yield from each(partial(content_hash, table), rows[start : start + step])

    return hashes


def content_of(table: ImageTable, workers: int | None = None) -> str:
    """Return one sha256 of the current content of all images of a table, in order, unreadable ones included.

    Parameters
    ----------
    table : ImageTable
        The images.
    workers : int, optional
        Number of threads; see `hueprobe.build_memory`.
    """
    digest = hashlib.sha256()
    for sha256 in image_hashes(table, workers)(range(len(table))):
        digest.update(f"{sha256 or '-'}\n".encode())
    return digest.hexdigest()


class Unchanged:
    """Compares the images of a table with the records of memories; each image is hashed once.

    Parameters
    ----------
    table : ImageTable
        The images.
    hashes : callable
        Hashes images of that table; see `image_hashes`.
    progress : bool
        Whether to show how many images are hashed.
    """

    def __init__(self, table: ImageTable, hashes: Hashes, *, progress: bool) -> None:
        self.table = table
        self._hashes, self._progress = hashes, progress
        self._known: dict[int, str | None] = {}

    def hashes(self, rows: Iterable[int]) -> list[str | None]:
        """Return the current sha256 of images; None for an unreadable image."""
        rows = list(rows)
        lacking = [row for row in rows if row not in self._known]
        with progress_bar(len(lacking), label="compare", enabled=self._progress and bool(lacking)) as advance:
            for row, sha256 in zip(lacking, self._hashes(lacking), strict=True):
                self._known[row] = sha256
                advance(1)
        return [self._known[row] for row in rows]

    def part(self, rows: range) -> "Unchanged":
        """Return the comparison of some rows of the table; what is hashed for it is known here too."""
        return Unchanged(
            self.table.select(rows),
            lambda wanted: iter(self.hashes([rows[i] for i in wanted])),
            progress=False,
        )

    def require(
        self, folder: Path, ledger: Ledger, listed: ImageTable, first: int, *, append: bool = False
    ) -> None:
        """Raise if the content of images differs from what a memory read.

        Parameters
        ----------
        folder : Path
            Folder of the memory.
        ledger : Ledger
            Ledger of the memory.
        listed : ImageTable
            All images of the memory.
        first : int
            Memory row of the table's first image.
        append : bool, default=False
            Whether the images are appended to a complete memory.

        Raises
        ------
        MemoryFormatError
            The content of images has changed.

        Warns
        -----
        HueprobeWarning
            Images that the memory read are missing now, or have become unreadable.
        """
        changed, gone = self.compared(folder, ledger, listed, first)
        if changed:
            raise self._error(folder, changed, append=append)
        if gone:
            warnings.warn(
                f"{counted(gone, self.table)} cannot be read any more; {folder} keeps their vectors",
                HueprobeWarning,
                stacklevel=5,
            )

    def compared(
        self, folder: Path, ledger: Ledger, listed: ImageTable, first: int
    ) -> tuple[list[int], list[int]]:
        """Return the rows of the table whose content has changed since a memory read it, and missing rows.

        Parameters
        ----------
        folder, ledger, listed, first
            See `require`.
        """
        recorded = _recorded(folder, ledger, first, first + len(self.table))
        rows = list(self._doubtful(folder, ledger, listed, first, len(recorded)))
        changed, gone = [], []
        for row, sha256 in zip(rows, self.hashes(rows), strict=True):
            if sha256 is None and recorded[row]:
                gone.append(row)
            elif (sha256 or "") != recorded[row]:
                changed.append(row)
        return changed, gone

    def _doubtful(
        self, folder: Path, ledger: Ledger, listed: ImageTable, first: int, n: int
    ) -> Iterator[int]:
        """Yield those of the first n rows whose file times do not show that they are unchanged."""
        times = [_listed_at(folder / source_file(part)) for part in range(len(ledger.lists))]
        changes: dict[str, LastChange] = {}
        for row in range(n):
            root, path = self.table.roots[row], self.table.paths[row]
            if not root or root != listed.roots[first + row]:
                yield row
                continue
            time = next(
                time for time, part in zip(times, ledger.lists, strict=True) if first + row < part.stop
            )
            last_change = changes.setdefault(root, LastChange(root))
            try:
                before = last_change(os.path.join(root, path)) < time
            except (OSError, ValueError):
                before = False
            if not before:
                yield row

    def _error(self, folder: Path, changed: list[int], *, append: bool) -> MemoryFormatError:
        remedy = "restore the appended images, or rebuild the memory" if append else REMEDY
        if self.table.dataset is not None and self._is_random(changed[0]):
            remedy = (
                "the Dataset gives different pixels at each access: remove its random transforms, or open "
                "the memory with open_memory"
            )
        return changed_images(self.table, changed, folder, remedy)

    def _is_random(self, row: int) -> bool:
        return content_hash(self.table, row) != self._known[row]


def changed_images(
    table: ImageTable, rows: list[int], folder: Path, remedy: str = REMEDY
) -> MemoryFormatError:
    """Return the error that names the images that changed since a memory read them, and the remedy."""
    return MemoryFormatError(
        f"{counted(rows, table)} of {len(table)} changed since {folder} read them; {remedy}"
    )


def counted(rows: list[int], table: ImageTable) -> str:
    """Return the number of images and the names of the first few."""
    names = ", ".join(repr(table.paths[row]) for row in rows[:_NAMED])
    more = ", ..." if len(rows) > _NAMED else ""
    return f"{len(rows)} image{'s' if len(rows) > 1 else ''} ({names}{more})"


def _recorded(folder: Path, ledger: Ledger, start: int, stop: int) -> list[str]:
    """Return the recorded sha256 of those of a memory's images [start, stop) that it has read."""
    found: list[str] = []
    for step in ledger.shards:
        if step.start < stop and step.stop > start:
            name = images_file(step.number)
            records = read_records(folder / name, ledger.files[name], step.start, step.stop)
            kept = records["sha256"].to_pylist()[max(start - step.start, 0) : stop - step.start]
            found += [sha256 or "" for sha256 in kept]
    return found
