"""Progress of long work: a bar on a terminal or in Jupyter, elsewhere a plain line on stderr now and then."""

import contextlib
import contextvars
import sys
import time
from collections.abc import Iterator
from typing import Protocol

from hueprobe.escapes import escape_controls

SECONDS_BETWEEN_LINES = 5.0


class Advance(Protocol):
    """Function that takes the number of units just finished, and an optional note."""

    def __call__(self, n: int, note: str = "", /) -> None:
        """Update the progress shown."""


_pass: contextvars.ContextVar[str] = contextvars.ContextVar("pass", default="")


@contextlib.contextmanager
def named_pass(name: str) -> Iterator[None]:
    """Add the name of a pass to the labels of its bars, for a call that makes several passes over its images.

    Parameters
    ----------
    name : str
        Precedes a bar's own label. The name of a nested pass follows that of the outer pass.
    """
    before = _pass.get()
    shown = escape_controls(name)
    token = _pass.set(f"{before}, {shown}" if before else shown)
    try:
        yield
    finally:
        _pass.reset(token)


def announce(text: str, *, enabled: bool = False) -> None:
    """Write a line on stderr, after the names of the passes.

    Parameters
    ----------
    text : str
        The line.
    enabled : bool, default=False
        Whether it is written.
    """
    if enabled:
        sys.stderr.write(f"{_pass.get()}; {text}\n" if _pass.get() else f"{text}\n")
        sys.stderr.flush()


@contextlib.contextmanager
def progress_bar(
    total: int, *, label: str, unit: str = "images", done: int = 0, enabled: bool = False
) -> "Iterator[Advance]":
    """Yield a function to call with the number of units just finished.

    Its second argument is a note shown after the counts until the next call, such as "loss 0.7448".

    Parameters
    ----------
    total : int
        Number of all units.
    label : str
        What is being done; `named_pass` may add the name of a pass.
    unit : str, default="images"
        Name of the units.
    done : int, default=0
        Number of units finished before this run; they do not count for the rate.
    enabled : bool, default=False
        Whether anything is shown. The command line enables it.
    """
    label = f"{_pass.get()}: {label}" if _pass.get() else label
    if not enabled:
        yield lambda n, note="", /: None
    elif sys.stderr.isatty() or _in_jupyter():
        from tqdm.auto import tqdm

        with tqdm(total=total, initial=done, desc=label, unit=f" {unit}", file=sys.stderr) as bar:

            def advance(n: int, note: str = "", /) -> None:
                bar.set_postfix_str(note, refresh=False)
                bar.update(n)

            yield advance
    else:
        lines = _PlainLines(total, label, unit, done)
        yield lines.advance
        lines.show()


def _in_jupyter() -> bool:
    """Return, like tqdm, whether this is a notebook kernel: its stderr is no terminal, but it shows bars."""
    return "ipykernel.zmqshell" in sys.modules


class _PlainLines:
    """A line every few seconds: finished units, rate, remaining time and a note."""

    def __init__(self, total: int, label: str, unit: str, done: int) -> None:
        self.total, self.label, self.unit = total, label, unit
        self.before = self.done = done
        self.started = self.shown = time.monotonic()
        self.note = ""

    def advance(self, n: int, note: str = "", /) -> None:
        self.done, self.note = self.done + n, note
        if time.monotonic() - self.shown >= SECONDS_BETWEEN_LINES and self.done < self.total:
            self.show()

    def show(self) -> None:
        self.shown = time.monotonic()
        rate = (self.done - self.before) / max(self.shown - self.started, 1e-9)
        to_go = (
            f", ETA {(self.total - self.done) / rate:.0f} s" if rate > 0 and self.done < self.total else ""
        )
        speed = f"{rate:.1f} {self.unit}/s" if rate >= 1 or not rate else f"{1 / rate:.1f} s each"
        note = f"; {self.note}" if self.note else ""
        sys.stderr.write(f"{self.label}: {self.done}/{self.total} {self.unit}, {speed}{to_go}{note}\n")
        sys.stderr.flush()
