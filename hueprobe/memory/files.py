"""A file's entry in the ledger, and the lock that allows one writer per memory."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from hueprobe.errors import MemoryFormatError
from hueprobe.files import sha256_of, storing
from hueprobe.memory.records import Count, Record, Sha256

LOCK = "lock"


def to_json_line(value: dict[str, Any]) -> str:
    """Return one line of JSON with sorted keys; the same value always gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class FileEntry(Record, frozen=True):
    """A file's entry in the ledger: sha256 and size in bytes."""

    sha256: Sha256
    size: Count


def file_entry(path: Path) -> FileEntry:
    """Return a file's entry for the ledger."""
    return FileEntry(sha256=sha256_of(path), size=path.stat().st_size)


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold the memory's lock; the kernel releases it even if the process is killed.

    Raises
    ------
    MemoryFormatError
        Another process holds the lock.
    StorageError
        The folder cannot hold a lock file.
    """
    file = locked(folder / LOCK)
    if file is None:
        raise MemoryFormatError(
            f"another process is writing {folder}; wait for it to end, or write to another folder"
        )
    with file:
        yield


def locked(path: Path, *, shared: bool = False) -> IO[str] | None:
    """Return a lock file, locked until it is closed; None if another process holds the lock.

    If the file was removed meanwhile together with its folder, this tries again.

    Parameters
    ----------
    path : Path
        The lock file.
    shared : bool, default=False
        Whether others who share the lock may hold it too. This waits for one who holds it alone.

    Raises
    ------
    StorageError
        The folder cannot hold a lock file.
    """
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB
    while True:
        with storing(path), contextlib.ExitStack() as stack:
            file = stack.enter_context(path.open("a+"))  # NFS shares the lock of a file that can be read
            try:
                fcntl.flock(file, operation)
            except BlockingIOError:
                return None
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                stack.pop_all()
                return file
