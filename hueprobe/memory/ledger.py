"""The ledger: one line per finished step, each with its own hash and that of the previous line.

Files that are not in the ledger are not read. Steps are `source` (settings and list of images), `shard`,
`append` (a further list of images) and `complete` (with the hashes of all files). No line holds a time, so
that a resumed build is byte for byte the same as an uninterrupted one.
"""

import contextlib
import hashlib
import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hueprobe.errors import MemoryDamagedError
from hueprobe.files import PARTIAL, fsync_folder, storing
from hueprobe.memory.files import FileEntry, to_json_line
from hueprobe.memory.records import RecordError
from hueprobe.memory.steps import (
    CompleteStep,
    ListStep,
    ShardStep,
    Step,
    as_step,
    first_problem,
)

FILE_NAME = "ledger.jsonl"
REMOVED = FILE_NAME + PARTIAL  # the ledger of a memory that is being removed
_VECTORS = re.compile(r"(\d{6,})\.vectors\.(npy|sparse)")


@dataclass(frozen=True)
class Ledger:
    """The finished steps of a memory.

    Attributes
    ----------
    steps : tuple of Step
        The step of each line, in order.
    hashes : tuple of str
        The hash of each line.
    torn : int
        Number of bytes after the last complete line, left by a killed writer.
    """

    steps: tuple[Step, ...] = ()
    hashes: tuple[str, ...] = ()
    torn: int = 0

    @property
    def tip(self) -> str:
        """The last line's hash; empty for an empty ledger."""
        return self.hashes[-1] if self.hashes else ""

    @property
    def complete(self) -> bool:
        """Whether the last step is `complete`: all images are stored."""
        return bool(self.steps) and isinstance(self.steps[-1], CompleteStep)

    @property
    def files(self) -> dict[str, FileEntry]:
        """All files that the steps have added: name relative to the memory -> hash and size."""
        return {
            name: entry
            for step in self.steps
            if not isinstance(step, CompleteStep)
            for name, entry in step.files.items()
        }

    @property
    def lists(self) -> tuple[ListStep, ...]:
        """The lists of images: the first one, and those of appends."""
        return tuple(step for step in self.steps if isinstance(step, ListStep))

    @property
    def shards(self) -> tuple[ShardStep, ...]:
        """The finished shards, in order."""
        return tuple(step for step in self.steps if isinstance(step, ShardStep))

    @property
    def n_listed(self) -> int:
        """Number of images on all lists."""
        return self.lists[-1].stop if self.lists else 0

    @property
    def n_done(self) -> int:
        """Number of images in finished shards."""
        return self.shards[-1].stop if self.shards else 0


def read_ledger(folder: Path) -> Ledger:
    """Read a memory's ledger and check its chain of hashes.

    Raises
    ------
    MemoryDamagedError
        A line was changed, or does not follow the line it was written after. Or there are shards that a
        killed build cannot have left, so that the ledger is outdated or lost; a writer would remove them.
    """
    path = folder / FILE_NAME
    n_seen, last = _shards_there(folder)  # before the ledger is read: a build may be running
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        text = b""
    except OSError as error:
        raise MemoryDamagedError(f"{path} cannot be read: {error.strerror or error}; restore it") from None
    *lines, rest = text.split(b"\n")
    steps: list[Step] = []
    hashes = [""]
    for number, line in enumerate(lines, start=1):
        document = _parsed(line)
        if document is None or document.pop("previous", None) != hashes[-1]:
            raise MemoryDamagedError(
                f"{path}, line {number} is damaged or out of order; restore the file or rebuild the memory"
            )
        hashes.append(document.pop("sha256"))
        try:
            steps.append(as_step(document))
        except RecordError as error:
            raise _damaged(path, number, str(error)) from None
    if (problem := first_problem(steps)) is not None:
        raise _damaged(path, *problem)
    ledger = Ledger(tuple(steps), tuple(hashes[1:]), len(rest))
    n_shards = len(ledger.shards)
    if n_seen > n_shards + bool(steps) and not (folder / REMOVED).exists():
        raise MemoryDamagedError(
            f"{path} lists {n_shards} shards, but {folder / last} exists: the ledger "
            "is outdated or lost; restore it, remove that file, or rebuild with --overwrite"
        )
    return ledger


def _damaged(path: Path, line: int, fault: str) -> MemoryDamagedError:
    return MemoryDamagedError(f"{path}, line {line} is {fault}; restore the file or rebuild the memory")


def _shards_there(folder: Path) -> tuple[int, str]:
    """Return the number of shards up to the highest one whose vectors are in a memory, and their file."""
    try:
        names = os.listdir(folder / "shards")
    except OSError:
        return 0, ""
    return max(
        ((int(match[1]) + 1, f"shards/{name}") for name in names if (match := _VECTORS.fullmatch(name))),
        default=(0, ""),
    )


def append_step(folder: Path, ledger: Ledger, step: Step) -> Ledger:
    """Add one finished step, durably, and return the new ledger.

    A partial line of a killed writer is truncated first. If writing fails, the new line is truncated again.

    Raises
    ------
    StorageError
        The line could not be written or made durable; the ledger is unchanged.
    """
    document = {**step.to_json(), "previous": ledger.tip}
    document["sha256"] = _hash(document)
    path = folder / FILE_NAME
    with storing(path):
        new = not path.exists()
        with path.open("ab", buffering=0) as file:
            end = file.tell() - ledger.torn
            try:
                file.truncate(end)
                _write_all(file, to_json_line(document).encode() + b"\n")
                os.fsync(file.fileno())
            except BaseException:
                with contextlib.suppress(OSError):  # report the first error
                    file.truncate(end)
                raise
        if new:
            fsync_folder(folder)
    return Ledger((*ledger.steps, step), (*ledger.hashes, document["sha256"]))


def _write_all(file: io.RawIOBase, data: bytes) -> None:
    """Write to an unbuffered file, which may accept fewer bytes than it is given."""
    while data:
        data = data[file.write(data) or 0 :]


def _hash(unsigned: dict[str, Any]) -> str:
    return hashlib.sha256(to_json_line(unsigned).encode()).hexdigest()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the object that a line holds, or None if any byte of it was changed."""
    try:
        document = json.loads(line)
        unsigned = {name: value for name, value in document.items() if name != "sha256"}
        intact = to_json_line(document).encode() == line and document["sha256"] == _hash(unsigned)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return document if intact else None
