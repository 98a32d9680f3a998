"""The most RAM that this process holds in a `with` block, without pages of files that it maps."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_EVERY = 0.02  # seconds


@dataclass
class Peak:
    """The most RAM seen so far in bytes; None where the system does not tell."""

    n_bytes: int | None = None


@contextlib.contextmanager
def peak_memory() -> Iterator[Peak]:
    """Yield the most anonymous memory of this process in the block, read every 20 ms; Linux only."""
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        while True:
            now = anonymous_memory()
            peak.n_bytes = now if peak.n_bytes is None else max(peak.n_bytes, now or 0)
            if ended.wait(_EVERY):
                return

    watching = threading.Thread(target=watch, name="hueprobe-peak-memory", daemon=True)
    watching.start()
    try:
        yield peak
    finally:
        ended.set()
        watching.join()


def anonymous_memory() -> int | None:
    """Return the anonymous memory of this process in bytes; None where the system does not tell."""
    try:
        text = _STATUS.read_text()
    except OSError:
        return None
    kib = [line.split()[1] for line in text.splitlines() if line.startswith("RssAnon:")]
    return int(kib[0]) * 1024 if kib else None
