"""Progress of long work: a bar on a terminal or in Jupyter, a plain line on stderr now and then elsewhere."""

import contextlib
import contextvars
import sys
import time
from collections.abc import Iterator
from typing import Protocol

SECONDS_BETWEEN_LINES = 5.0


class Advance(Protocol):
    """Takes the number of units just finished, and what is worth a word about the last of them."""

    def __call__(self, n: int, note: str = "", /) -> None:
        """Show them."""


_pass: contextvars.ContextVar[str] = contextvars.ContextVar("pass", default="")


@contextlib.contextmanager
def named_pass(name: str) -> Iterator[None]:
    """Name the pass, of several that one call makes over the same images, in the labels of its bars.

    Parameters
    ----------
    name : str
        Comes before a bar's own label; of a pass within another, after that one's name.
    """
    before = _pass.get()
    token = _pass.set(f"{before}, {name}" if before else name)
    try:
        yield
    finally:
        _pass.reset(token)


@contextlib.contextmanager
def progress_bar(
    total: int, *, label: str, unit: str = "images", done: int = 0, enabled: bool = False
) -> "Iterator[Advance]":
    """Give a function to call with the number of units just finished.

    A second argument stands behind the counts until the next: "loss 0.7448".

    Parameters
    ----------
    total, done : int
        All units, and those finished before this run; the rate counts only what this run does.
    label, unit : str
        What is done, and to what; `named_pass` may add which of several passes this is.
    enabled : bool
        Off in the library by default; the command line turns it on.
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
    """Say, as tqdm does, whether this is a kernel: its stderr is no terminal, but its cell redraws a bar."""
    return "ipykernel.zmqshell" in sys.modules


class _PlainLines:
    """A line every few seconds: what is done, how fast, time to go, and what is worth a word."""

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
