"""Work done in a thread, item by item, while the caller produces the next item."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from hueprobe.threads import computing_alone

_WAITING = 1  # items in the queue, besides those that the caller and the thread work on
_END, _STOP = object(), object()
_MOST_SECONDS_TO_START = 10.0


class _Stopped(Exception):
    """The caller gave up: raised when the thread takes its next item."""


@contextlib.contextmanager
def consumed_in_background(consume: Callable[[Iterator[Any]], None]) -> Iterator["Background"]:
    """Run `consume` in a thread over the items that the `with` block hands over.

    One item may wait while the thread is busy; then the next hand-over blocks. If `consume` raises, the next
    hand-over or the end of the block raises the same error. If an exception (including Ctrl-C) leaves the
    block, `consume` gets the items handed over so far, and then an exception of its own. The thread ends
    before the block does.

    Examples
    --------
    >>> squares = []
    >>> with consumed_in_background(lambda numbers: squares.extend(n * n for n in numbers)) as thread:
    ...     for n in range(4):
    ...         thread.hand_over(n)
    >>> squares
    [0, 1, 4, 9]
    """
    background = Background(consume)
    last = _STOP
    try:
        background.start()
        yield background
        last = _END
    finally:
        background.finish(last)
    background.raise_failure()


class Background:
    """The thread, and its communication with the caller.

    All communication uses queues whose operations are single C calls. Ctrl-C may interrupt the caller
    anywhere. Inside a `Queue`, an `Event` or a `Thread.join`, which are written in Python, it can leave a
    lock acquired forever. Or it can mark a live thread as ended (python/cpython issue 90882).
    """

    def __init__(self, consume: Callable[[Iterator[Any]], None]) -> None:
        self._consume = consume
        self._begin = computing_alone()
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()  # a token for each item that may wait
        self._consumed: queue.SimpleQueue[None] = queue.SimpleQueue()  # and one for each that is done
        self._n_awaited = 0
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._running = self._more = True
        self._failure: BaseException | None = None
        for _ in range(_WAITING):
            self._room.put(None)
        self._thread = threading.Thread(target=self._run, name="hueprobe-write", daemon=True)
        self.start = self._thread.start

    def hand_over(self, item: Any) -> None:
        """Pass the next item to the thread."""
        self.raise_failure()
        self._room.get()
        self._items.put(item)
        self._n_awaited += 1

    def settle(self) -> None:
        """Wait until all items handed over are consumed, so that the thread is idle."""
        for _ in range(self._n_awaited):
            self._consumed.get()
        self._n_awaited = 0
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise the error that `consume` raised, if any."""
        if self._failure is not None:
            raise self._failure

    def finish(self, last: object) -> None:
        """Wait for the thread, even after Ctrl-C: it may be writing files that the caller's lock protects."""
        interrupt = None
        while self._running:
            try:
                if last is not None:
                    self._items.put(last)
                    last = None
                self._ended.get(timeout=_MOST_SECONDS_TO_START)
            except queue.Empty:
                if self._thread.ident is None:  # the thread could not be started, or Ctrl-C came first
                    break
            except KeyboardInterrupt as error:
                interrupt = error
        if self._thread.ident is not None:
            self._thread.join()
        if interrupt is not None:
            raise interrupt

    def _run(self) -> None:
        try:
            self._begin()
            self._consume(self._received())
        except _Stopped:
            pass
        except BaseException as error:
            self._failure = error
        while self._more:  # after a failure, drop the items, so that the caller does not wait forever
            self._consumed.put(None)
            self._next()
        self._running = False
        self._ended.put(None)

    def _received(self) -> Iterator[Any]:
        while (item := self._next()) is not _END:
            if item is _STOP:
                raise _Stopped
            yield item
            self._consumed.put(None)

    def _next(self) -> Any:
        item = self._items.get()
        self._room.put(None)
        self._more = item is not _END and item is not _STOP
        return item
