"""File locks between the processes that work on one study."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hueprobe.files import storing


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock file `path` within the block, and yield whether it was free.

    The kernel frees the lock when the process that holds it ends, for any reason. A block that ends without
    an error removes the file. A process that waited for the lock must check whether the work is still to be
    done.

    Parameters
    ----------
    path : Path
        Lock file; its folder must exist.
    wait : bool, default=False
        Whether to wait for the process that holds the lock, instead of yielding False.

    Raises
    ------
    StorageError
        The file cannot be made.
    """
    with contextlib.ExitStack() as stack:
        while True:
            with storing(path):
                file = stack.enter_context(path.open("a"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            if _is_at(file, path):
                break
            file.close()  # its holder removed it when done: others would lock a new file
        yield True
        path.unlink(missing_ok=True)


def _is_at(file: IO[str], path: Path) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
