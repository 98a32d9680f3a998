"""Threads: their number, a `map` that runs in them, and a way to limit torch to the calling thread."""

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any

from hueprobe.errors import ForkedError

# With more threads, waiting for Python's lock takes longer than decoding.
_MOST_WORKERS = 16
Map = Callable[..., Iterator[Any]]
_computed_by: dict[str, int] = {}  # library -> id of the process that used its threads; a fork inherits it


def n_cores() -> int:
    """Return the number of cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def default_workers() -> int:
    """Return the default number of threads that read images: one per core of this process, at most 16."""
    return min(n_cores(), _MOST_WORKERS)


def require_threads(library: str, n_threads: int) -> None:
    """Record that this process computes with a library's threads, or raise if a fork lost them.

    OpenMP's thread teams do not survive a fork, and the child process waits for them forever.

    Parameters
    ----------
    library : str
        Name of the library.
    n_threads : int
        Number of threads that the library will use; a single thread is safe.

    Raises
    ------
    ForkedError
        The parent process had computed with these threads before the fork.
    """
    if n_threads > 1 and _computed_by.setdefault(library, os.getpid()) != os.getpid():
        raise ForkedError(
            f"this process was forked from one that had computed with {library}'s threads, and would wait "
            "for them forever; start processes with multiprocessing.get_context('spawn'), fork before the "
            "first computation, or use one thread per process (torch.set_num_threads(1), OMP_NUM_THREADS=1)"
        )


def computing_alone() -> Callable[[], None]:
    """Return a function for a thread to call first, so that torch's operations in it use only that thread.

    Call this in the thread that starts the others: torch's number of threads is read there. If several
    threads had OpenMP teams, OpenMP would count more threads than cores. Waiting threads would then sleep
    instead of spin, which slows a network on the CPU.
    """
    torch = sys.modules.get("torch")
    return (lambda: None) if torch is None else partial(_compute_alone, torch, torch.get_num_threads())


def _compute_alone(torch: Any, n_threads: int) -> None:
    """Limit torch to this thread; as torch would apply this to new threads too, a new thread resets it."""
    torch.get_num_threads()  # the first call adopts the stored number, and would undo the next line
    torch.set_num_threads(1)
    restoring = threading.Thread(target=torch.set_num_threads, args=(n_threads,))
    restoring.start()
    restoring.join()


@contextlib.contextmanager
def single_blas_threads() -> Iterator[Callable[[], None]]:
    """Limit the BLAS (linear algebra library) of NumPy, SciPy and FAISS to one thread per calling thread.

    For threads that multiply parts of a matrix. The BLAS's own threads keep a core busy for a while after
    each product, and slow down what follows. Some BLAS have one limit for the process, others one for each
    thread. So other threads wait to enter the block, and it is given a function for each thread in it to
    call first. Accelerate, NumPy's BLAS on macOS, knows no limit.
    """
    blas = _blas()

    def limit() -> None:
        blas.limit(limits=1, user_api="blas")

    with _one_at_a_time, blas.limit(limits=1, user_api="blas"):
        yield limit


_one_at_a_time = threading.Lock()


def _blas() -> Any:
    """Return a controller of the libraries loaded now; SciPy and FAISS bring a BLAS of their own, later."""
    return _controller(tuple(name in sys.modules for name in ("scipy.linalg", "faiss")))


@cache
def _controller(_loaded: tuple[bool, ...]) -> Any:
    variable = "KMP_DUPLICATE_LIB_OK"  # set by the import of threadpoolctl
    kept = os.environ.get(variable)
    from threadpoolctl import ThreadpoolController

    if kept is None:
        os.environ.pop(variable, None)
    return ThreadpoolController()


@contextlib.contextmanager
def threaded_map(workers: int, *, name: str, before: Callable[[], None] = lambda: None) -> Iterator[Map]:
    """Yield a `map` that runs in several threads and returns its results in order, once all are there.

    It starts its calls immediately. With 0 workers it is Python's own lazy `map`. All threads end with the
    block, however it ends; calls that have not started by then are dropped.

    Parameters
    ----------
    workers : int
        Number of threads.
    name : str
        Name of the threads, followed by their numbers.
    before : callable, optional
        Called first in each thread; by default nothing.
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
    """Threads that take calls from one queue and put each result into a queue of its own.

    Not `ThreadPoolExecutor`: Ctrl-C in the caller can leave the lock of a Future acquired. The thread that
    delivers the result then waits for the lock, and the caller waits for the thread. A `SimpleQueue` has no
    such state: each operation is a single C call.
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
        """Wait for each thread to finish its current call and end."""
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
    """Wait for all results, the last one first: waking up for each would compete with the threads."""
    answers = [call.wait() for call in reversed(calls)]
    while answers:
        value, error = answers.pop()
        if error is not None:
            try:
                raise error
            finally:
                del error  # avoids a reference cycle with the traceback, which would keep images in RAM
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
