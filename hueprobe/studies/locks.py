"""Cells of a study dealt out among the processes that work on it at the same time."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def claimed(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock file `path` in the block, and say whether it was free.

    The kernel frees the lock when its holder ends in whatever way. A block that ends well removes the file;
    so whoever gets a lock looks again whether the work behind it is still to be done.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    wait : bool
        Wait for whoever holds it, instead of giving False.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
        path.unlink(missing_ok=True)
