"""Threads: how many, a `map` that runs in them, and torch kept from starting more."""

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from hueprobe.errors import ForkedError

# Past so many, threads wait for Python's lock more than they decode.
_MOST_WORKERS = 16
Map = Callable[..., Iterator[Any]]
_computed_by: dict[str, int] = {}  # library -> the process that computed with its threads; a fork inherits it


def n_cores() -> int:
    """Return on how many cores this process may run."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def default_workers() -> int:
    """Return how many threads read images unless told otherwise: one a core of this process, up to 16."""
    return min(n_cores(), _MOST_WORKERS)


def require_threads(library: str, n_threads: int) -> None:
    """Note that this process computes with a library's threads, unless a fork left them behind.

    The teams of threads of OpenMP do not follow a fork, and the child waits for them without end.

    Parameters
    ----------
    library : str
    n_threads : int
        That the library will use; one is never waited for.

    Raises
    ------
    ForkedError
        The process that this one was forked from had computed with them.
    """
    if n_threads > 1 and _computed_by.setdefault(library, os.getpid()) != os.getpid():
        raise ForkedError(
            f"this process was forked from one that had computed with {library}'s threads, for which it "
            "would wait without end; start processes with multiprocessing.get_context('spawn'), fork before "
            "the first computation, or compute with one thread in each (torch.set_num_threads(1), "
            "OMP_NUM_THREADS=1)"
        )


def computing_alone() -> Callable[[], None]:
    """Return what a thread calls first, so that torch's operations in it use this thread alone.

    Ask for it in the thread that starts the others: it takes torch's number of threads from there. With
    teams of threads for several callers OpenMP counts more threads than cores and lets them sleep, not
    spin, while they wait for each other, which slows a network on the CPU.
    """
    torch = sys.modules.get("torch")
    return (lambda: None) if torch is None else partial(_compute_alone, torch, torch.get_num_threads())


def _compute_alone(torch: Any, n_threads: int) -> None:
    """Torch keeps the number for threads to come, too, so one of those puts it back."""
    torch.get_num_threads()  # the first question takes the kept number over, and would undo the next line
    torch.set_num_threads(1)
    restoring = threading.Thread(target=torch.set_num_threads, args=(n_threads,))
    restoring.start()
    restoring.join()


@contextlib.contextmanager
def threaded_map(workers: int, *, name: str, before: Callable[[], None] = lambda: None) -> Iterator[Map]:
    """Yield a `map` that runs in so many threads and hands out its results in order, once it has them all.

    It begins its calls at once; with 0 workers it is Python's own, which begins each when its result
    is wanted. No thread outlives the block, however it ends; calls not begun by then are dropped.

    Parameters
    ----------
    workers : int
    name : str
        Of the threads, before their numbers.
    before : callable
        Called first in each thread.
    """
    if not workers:
        yield map
        return
    crew = _Crew(workers, name, before)
    try:
        crew.start()
        yield crew.map
    finally:
        crew.dismiss()


class _Crew:
    """Threads that take calls from one queue and put each result into one of its own.

    Not `ThreadPoolExecutor`: Ctrl-C in the caller can leave the lock of a Future taken, which the thread that
    brings its result then waits for, and the caller for the thread. These queues are one call of C each.
    """

    def __init__(self, workers: int, name: str, before: Callable[[], None]) -> None:
        self._before = before
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._dismissed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}_{i}", daemon=True) for i in range(workers)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def map(self, function: Callable[..., Any], *arguments: Iterable[Any]) -> Iterator[Any]:
        calls = [_Call(function, each) for each in zip(*arguments, strict=False)]
        for call in calls:
            self._calls.put(call)
        return _results(calls)

    def dismiss(self) -> None:
        """Let each end the call it is at, and wait for it."""
        self._dismissed = True
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        failure = None
        try:
            self._before()
        except BaseException as error:
            failure = error
        while (call := self._calls.get()) is not None:
            if not self._dismissed:
                call.answer(failure)


def _results(calls: Sequence["_Call"]) -> Iterator[Any]:
    """Wait for all, for the last first: a caller that woke for each would take turns with the threads."""
    answers = [call.wait() for call in reversed(calls)]
    while answers:
        value, error = answers.pop()
        if error is not None:
            try:
                raise error
            finally:
                del error  # no cycle with the traceback, which would keep images
        yield value


class _Call:
    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._function, self._arguments = function, arguments
        self._answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def answer(self, failure: BaseException | None) -> None:
        try:
            if failure is not None:
                raise failure
            self._answer.put((self._function(*self._arguments), None))
        except BaseException as error:
            self._answer.put((None, error))

    def wait(self) -> tuple[Any, BaseException | None]:
        return self._answer.get()
