"""How the process asks its system for memory: freed blocks are used again, large ones lie on huge pages.

A network on the CPU allocates and frees its activations layer by layer, gigabytes a batch. The C library
hands a large block back to the kernel as soon as it is free, so the kernel finds, maps and zeroes the same
pages for every layer anew. `benchmarks/extraction.py` times both ways.
"""

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator

# glibc's malloc.h: what `mallopt` sets, and what its own rule arrives at once a block of 32 MiB was freed.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_LARGEST_THRESHOLD = 32 << 20
_MOST_MAPPED = 65536

_lock = threading.Lock()
_n_keeping = 0


def ask_for_huge_pages() -> None:
    """Let torch put large tensors on the CPU on huge pages, where Linux grants those that are asked for.

    Torch reads an environment variable, `THP_MEM_ALLOC_ENABLE`, at its first allocation, and has no function
    for it; whoever has set it keeps their choice. The `hueprobe` command calls this in its own process; call
    it at the top of your own script for the same.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


@contextlib.contextmanager
def freed_memory_kept(keep: bool = True) -> Iterator[None]:
    """Keep in the block what is freed, for the next allocation; give it back to the system at the end.

    Counts for the whole process, whose size does not shrink meanwhile; blocks may be nested. Without
    glibc's allocator (outside Linux, or with another libc) nothing happens.

    Parameters
    ----------
    keep : bool
        False does nothing.
    """
    libc = _glibc() if keep else None
    if libc is None:
        yield
        return
    _count(libc, 1)
    try:
        yield
    finally:
        _count(libc, -1)


def _count(libc: ctypes.CDLL, step: int) -> None:
    global _n_keeping
    with _lock:
        before, _n_keeping = _n_keeping, _n_keeping + step
        if before == 0:
            libc.mallopt(_M_MMAP_MAX, 0)
            libc.mallopt(_M_TRIM_THRESHOLD, -1)
        elif _n_keeping == 0:
            libc.mallopt(_M_MMAP_MAX, _MOST_MAPPED)
            libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
            libc.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_THRESHOLD)
            libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - only asked for
    except (OSError, TypeError, AttributeError):
        return None
    return libc
