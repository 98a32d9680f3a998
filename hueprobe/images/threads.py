"""The threads that read pictures: how many, and a `map` that runs in them."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Past so many, threads wait for Python's lock more than they decode.
_MOST_WORKERS = 16
Map = Callable[..., Iterable[Any]]


def default_workers() -> int:
    """Return how many threads read pictures unless told otherwise: one a core of this process, up to 16."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(len(affinity(0)) if affinity else os.cpu_count() or 1, _MOST_WORKERS)


@contextlib.contextmanager
def threaded_map(workers: int, *, before: Callable[[], None]) -> Iterator[Map]:
    """Yield a `map` that runs in so many threads and hands out its results in order.

    It begins its calls at once; with 0 workers it is Python's own, which begins each when its result
    is wanted. No thread outlives the block, however it ends; calls not begun by then are dropped.

    Parameters
    ----------
    workers : int
    before : callable
        Called first in each thread.
    """
    if not workers:
        yield map
        return
    threads = ThreadPoolExecutor(workers, thread_name_prefix="hueprobe-read", initializer=before)
    try:
        yield threads.map
    finally:
        threads.shutdown(cancel_futures=True)
