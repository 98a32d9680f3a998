"""What the ledger keeps of a file, and the lock of a memory's one writer."""

import contextlib
import fcntl
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hueprobe.errors import MemoryFormatError
from hueprobe.files import sha256_of


def to_json_line(value: dict[str, Any]) -> str:
    """Return one line of JSON with sorted keys; the same value always gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def file_entry(path: Path) -> dict[str, Any]:
    """Return what the ledger keeps of a file: its sha256 and its size in bytes."""
    return {"sha256": sha256_of(path), "size": path.stat().st_size}


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Hold the memory's lock; the kernel frees it even when the holder is killed.

    Raises
    ------
    MemoryFormatError
        Another process holds it.
    """
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MemoryFormatError(
                f"another process is writing {folder}; wait for it to end, or write to another folder"
            ) from None
        yield
