"""Files that one process at a time holds, of all that work on one study."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hueprobe.files import storing


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock file `path` in the block, and say whether it was free.

    The kernel frees the lock when its holder ends in whatever way. A block that ends well removes the file.
    Whoever waited for it then gets the lock, and looks whether the work behind it is still to be done.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    wait : bool
        Wait for whoever holds it, instead of giving False.

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
            file.close()  # its holder was done and removed it: others would lock a new one beside us
        yield True
        path.unlink(missing_ok=True)


def _is_at(file: IO[str], path: Path) -> bool:
    """Say whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
