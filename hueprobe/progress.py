"""Progress of long work: a bar on a terminal or in Jupyter, a plain line on stderr now and then elsewhere."""

import contextlib
import contextvars
import sys
import time
from collections.abc import Callable, Iterator

SECONDS_BETWEEN_LINES = 5.0


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
) -> Iterator[Callable[[int], None]]:
    """Give a function to call with the number of units just finished.

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
        yield lambda n: None
    elif sys.stderr.isatty() or _in_jupyter():
        from tqdm.auto import tqdm

        with tqdm(total=total, initial=done, desc=label, unit=f" {unit}", file=sys.stderr) as bar:
            yield lambda n: bar.update(n) and None
    else:
        lines = _PlainLines(total, label, unit, done)
        yield lines.advance
        lines.show()


def _in_jupyter() -> bool:
    """Say, as tqdm does, whether this is a kernel: its stderr is no terminal, but its cell redraws a bar."""
    return "ipykernel.zmqshell" in sys.modules


class _PlainLines:
    """A line every few seconds: what is done, units a second, time to go."""

    def __init__(self, total: int, label: str, unit: str, done: int) -> None:
        self.total, self.label, self.unit = total, label, unit
        self.before = self.done = done
        self.started = self.shown = time.monotonic()

    def advance(self, n: int) -> None:
        self.done += n
        if time.monotonic() - self.shown >= SECONDS_BETWEEN_LINES and self.done < self.total:
            self.show()

    def show(self) -> None:
        self.shown = time.monotonic()
        rate = (self.done - self.before) / max(self.shown - self.started, 1e-9)
        to_go = (
            f", ETA {(self.total - self.done) / rate:.0f} s" if rate > 0 and self.done < self.total else ""
        )
        sys.stderr.write(
            f"{self.label}: {self.done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s{to_go}\n"
        )
        sys.stderr.flush()
