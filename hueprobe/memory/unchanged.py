"""Whether images still are what a memory read: by the times of their files, in doubt by their sha256.

A file is taken for unchanged without being read where it and what leads to it last changed before the memory
listed it; see `hueprobe.images.changes`. The file of the list carries that time: a minute is left out, for
clocks that differ, and whole minutes tell it from the time of a copy, which says nothing. All else is hashed,
and held against the hash that the memory keeps of each image.
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
from hueprobe.memory.steps import shard_files, source_file
from hueprobe.progress import progress_bar
from hueprobe.threads import default_workers, threaded_map

# Gives the sha256 that would be recorded of each of some rows of a table, in order; None where that cannot be
# told, as of a file that is gone.
Hashes = Callable[[Sequence[int]], Iterator[str | None]]

REMEDY = (
    "bring back what was read, name another folder, or build anew with --overwrite (overwrite=True in Python)"
)

_MINUTE = 60_000_000_000  # ns
_NAMED = 3  # of the images that changed


def mark_listed(path: Path) -> None:
    """Let a list of images, just written, carry the time before which what it lists was not yet read."""
    listed = path.stat().st_mtime_ns // _MINUTE * _MINUTE - _MINUTE
    with contextlib.suppress(OSError):  # then all is hashed
        os.utime(path, ns=(listed, listed))


def _listed_at(path: Path) -> int:
    """Return the time that a list of images carries, in ns since the epoch; 0 where it does not say it."""
    time = path.stat().st_mtime_ns
    return 0 if time % _MINUTE else time


def image_hashes(table: ImageTable, workers: int | None) -> Hashes:
    """Return what hashes images of a table: files in threads, the items of a Dataset one after the other.

    Parameters
    ----------
    table : ImageTable
    workers : int, optional
        As in `hueprobe.build_memory`.
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
    """Return one sha256 of what all images of a table hold now, in order; what cannot be read counts as such.

    Parameters
    ----------
    table : ImageTable
    workers : int, optional
        As in `hueprobe.build_memory`.
    """
    digest = hashlib.sha256()
    for sha256 in image_hashes(table, workers)(range(len(table))):
        digest.update(f"{sha256 or '-'}\n".encode())
    return digest.hexdigest()


class Unchanged:
    """Compares the images of a table with what memories recorded of them, each image once.

    Parameters
    ----------
    table : ImageTable
    hashes : callable
        Of that table.
    progress : bool
        Show how many are hashed.
    """

    def __init__(self, table: ImageTable, hashes: Hashes, *, progress: bool) -> None:
        self.table = table
        self._hashes, self._progress = hashes, progress
        self._known: dict[int, str | None] = {}

    def hashes(self, rows: Iterable[int]) -> list[str | None]:
        """Return the sha256 of images as they are now; None where one cannot be read."""
        rows = list(rows)
        lacking = [row for row in rows if row not in self._known]
        with progress_bar(len(lacking), label="compare", enabled=self._progress and bool(lacking)) as advance:
            for row, sha256 in zip(lacking, self._hashes(lacking), strict=True):
                self._known[row] = sha256
                advance(1)
        return [self._known[row] for row in rows]

    def require(
        self, folder: Path, ledger: Ledger, listed: ImageTable, first: int, *, append: bool = False
    ) -> None:
        """Refuse content that is not what a memory read.

        Parameters
        ----------
        folder : Path
            The memory's.
        ledger : Ledger
        listed : ImageTable
            All its images.
        first : int
            Its row of the table's first image.
        append : bool
            Whether the images went behind those of a complete memory.

        Raises
        ------
        MemoryFormatError
            Images hold other content now.

        Warns
        -----
        HueprobeWarning
            Images that were read are gone, or cannot be read any more.
        """
        changed, gone = self.compared(folder, ledger, listed, first)
        if changed:
            raise self._error(folder, changed, append=append)
        if gone:
            warnings.warn(
                f"{counted(gone, self.table)} cannot be read any more; {folder} keeps what it read of them",
                HueprobeWarning,
                stacklevel=5,
            )

    def compared(
        self, folder: Path, ledger: Ledger, listed: ImageTable, first: int
    ) -> tuple[list[int], list[int]]:
        """Return the rows of the table that hold other content than a memory read, and those that are gone.

        Parameters
        ----------
        folder, ledger, listed, first
            As in `require`.
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
        """Yield the rows, of the first n, of which their files' times do not say that they are unchanged."""
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
        remedy = "bring back what was appended, or build the memory anew" if append else REMEDY
        if self.table.dataset is not None and self._is_random(changed[0]):
            remedy = (
                "the Dataset gives other pixels each time it is asked: take random transforms out of it, or "
                "open the memory with open_memory"
            )
        return changed_images(self.table, changed, folder, remedy)

    def _is_random(self, row: int) -> bool:
        return content_hash(self.table, row) != self._known[row]


def changed_images(
    table: ImageTable, rows: list[int], folder: Path, remedy: str = REMEDY
) -> MemoryFormatError:
    """Return the error that says which images changed since a memory read them, and what to do."""
    return MemoryFormatError(
        f"{counted(rows, table)} of {len(table)} changed since {folder} read them; {remedy}"
    )


def counted(rows: list[int], table: ImageTable) -> str:
    """Say how many images, and which come first."""
    names = ", ".join(repr(table.paths[row]) for row in rows[:_NAMED])
    more = ", ..." if len(rows) > _NAMED else ""
    return f"{len(rows)} image{'s' if len(rows) > 1 else ''} ({names}{more})"


def _recorded(folder: Path, ledger: Ledger, start: int, stop: int) -> list[str]:
    """Return the sha256 that a memory keeps of those of its images [start, stop) that it has read."""
    found: list[str] = []
    for step in ledger.shards:
        if step.start < stop and step.stop > start:
            name = shard_files(step.number)[2]
            records = read_records(folder / name, ledger.files[name], step.start, step.stop)
            kept = records["sha256"].to_pylist()[max(start - step.start, 0) : stop - step.start]
            found += [sha256 or "" for sha256 in kept]
    return found
