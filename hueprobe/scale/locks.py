"""Who may work on the parts of a memory: builds of parts together, a beginning or a join alone."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from hueprobe.memory.files import LOCK, locked
from hueprobe.memory.in_parts import parts_folder


@contextlib.contextmanager
def together(path: Path) -> Iterator[None]:
    """Hold the parts of a memory together with other builds of parts; wait for one who holds them alone.

    Raises
    ------
    StorageError
        The folder of the parts cannot hold a lock file.
    """
    file = locked(parts_folder(path) / LOCK, shared=True)
    if file is None:
        raise AssertionError("a shared lock waits")
    with file:
        yield


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold the parts of a memory alone; yield False, without the lock, if others hold them.

    Raises
    ------
    StorageError
        The folder of the parts cannot hold a lock file.
    """
    file = locked(parts_folder(path) / LOCK)
    if file is None:
        yield False
        return
    with file:
        yield True


def is_held(file: Path) -> bool:
    """Return whether another process holds a lock file; False if there is none."""
    try:
        with file.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
