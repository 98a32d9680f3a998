"""How the process allocates RAM: freed blocks are reused, and large blocks use huge pages.

A network on the CPU allocates and frees its activations layer by layer, gigabytes per batch. The C library
returns a large block to the kernel as soon as it is freed. The kernel then finds, maps and zeroes the same
pages again for every layer. `benchmarks/extraction.py` times both ways.
"""

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator

# From glibc's malloc.h: the parameters of `mallopt`, and the threshold that glibc itself sets once a block of
# 32 MiB has been freed.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_LARGEST_THRESHOLD = 32 << 20
_MOST_MAPPED = 65536

_lock = threading.Lock()
_n_keeping = 0


def ask_for_huge_pages() -> None:
    """Let torch put large CPU tensors on huge pages, if Linux grants them on request.

    Torch reads the environment variable `THP_MEM_ALLOC_ENABLE` at its first allocation, and has no function
    for it. A value that is already set is kept. The `hueprobe` command calls this function in its own
    process. For the same effect, call it at the top of your own script.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


@contextlib.contextmanager
def freed_memory_kept(keep: bool = True) -> Iterator[None]:
    """Within the `with` block, keep freed RAM for the next allocation; at its end return it to the system.

    This affects the whole process, whose size does not shrink meanwhile. Blocks may be nested. Without
    glibc's allocator (outside Linux, or with another libc) nothing happens.

    Parameters
    ----------
    keep : bool, default=True
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
        libc.gnu_get_libc_version  # noqa: B018 - only checked to exist
    except (OSError, TypeError, AttributeError):
        return None
    return libc
