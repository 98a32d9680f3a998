"""One thread that does every search of the server: what a reader waits for first, then the background pass.

Searches use all cores, so that two at a time would only delay each other. A reader waits at most for the
step of the background pass that has begun; and the pass pauses after each answer, as the next question often
follows soon. Whoever stops waiting cancels the future, and a search that has not begun is never done.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Answer = TypeVar("Answer")
PAUSE_SECONDS = 0.5  # of the background pass after an answer
_Job = tuple[Future, Callable[[], object]]  # type: ignore[type-arg]


class SearchThread:
    """A thread that runs functions one at a time, and between them the steps of a background pass.

    Parameters
    ----------
    background : iterator
        Each `next` does one step. An error ends the pass.
    failed : callable
        Called with the error that ended the background pass.
    """

    def __init__(self, background: Iterator[None], failed: Callable[[Exception], None]) -> None:
        self._background: Iterator[None] | None = background
        self._failed = failed
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="hueprobe-search", daemon=True)

    def start(self) -> None:
        """Begin with the background pass."""
        self._thread.start()

    def ask(self, function: Callable[[], Answer]) -> "Future[Answer]":
        """Return the future of a function's answer; after `stop`, a cancelled one.

        Parameters
        ----------
        function : callable
            What to run in the thread.
        """
        future: Future[Answer] = Future()
        with self._lock:
            if self._ending:
                future.cancel()
            else:
                self._jobs.put((future, function))
        return future

    def stop(self) -> None:
        """Cancel what has not begun, and wait for what has."""
        with self._lock:
            self._ending = True
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        pause = 0.0
        while True:
            try:
                job = self._jobs.get(timeout=None if self._background is None else pause)
            except queue.Empty:
                self._step()
                pause = 0.0
                continue
            pause = PAUSE_SECONDS
            if job is None:
                return
            if self._ending:
                job[0].cancel()
            else:
                _run(*job)
            del job  # an answer may be large, and the next get may wait for hours

    def _step(self) -> None:
        assert self._background is not None
        try:
            next(self._background)
        except StopIteration:
            self._background = None
        except Exception as error:
            self._background = None
            self._failed(error)


def _run(future: "Future[Answer]", function: Callable[[], Answer]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        answer = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(answer)
