"""The logs of workers: a folder beside what is written, kept as long as the work is not finished."""

import contextlib
import shutil
from pathlib import Path

from hueprobe.scale.part import Part


def log_file(folder: Path, part: Part) -> Path:
    """Return the log of a part.

    >>> log_file(Path("my.memory.logs"), Part(3, 16)).as_posix()
    'my.memory.logs/0003-of-0016.log'
    """
    return folder / f"{part.number:04d}-of-{part.n:04d}.log"


def remove_logs(folder: Path) -> None:
    """Remove the logs of a finished work; files of others are kept, and so is their folder."""
    with contextlib.suppress(OSError):
        for log in folder.glob("[0-9]*-of-[0-9]*.log"):
            log.unlink()
        shutil.rmtree(folder / "jobs", ignore_errors=True)
        folder.rmdir()
