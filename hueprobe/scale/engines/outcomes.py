"""How the work of a part ended, and the function that every worker runs: the work, with a log."""

import contextlib
import datetime
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hueprobe import errors
from hueprobe.errors import HueprobeError
from hueprobe.json_documents import json_text

DONE, REFUSED, DIED = "done", "refused", "died"
_MOST_TEXT = 2_000  # characters of an error's text


@dataclass(frozen=True)
class Outcome:
    """How a worker ended.

    Attributes
    ----------
    kind : str
        `done`; `refused`, by an error of hueprobe, which would come again; or `died`, of anything else.
    text : str
        The error's text, or in words how the worker died.
    error : str
        Name of the error's class, if refused.
    """

    kind: str
    text: str = ""
    error: str = ""

    @classmethod
    def of_exit(cls, code: int) -> "Outcome":
        """Return the outcome of a process that ended without saying how.

        >>> Outcome.of_exit(-9).text
        'was killed by SIGKILL, perhaps for lack of RAM'
        """
        if code >= 0:
            return cls(DIED, f"ended with exit code {code}")
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        why = ", perhaps for lack of RAM" if name == "SIGKILL" else ""
        return cls(DIED, f"was killed by {name}{why}")

    def exception(self, before: str) -> HueprobeError:
        """Return the error that refused the work, for another process to raise.

        Parameters
        ----------
        before : str
            Precedes its text.
        """
        kind = getattr(errors, self.error, None)
        if not (isinstance(kind, type) and issubclass(kind, HueprobeError)):
            kind = HueprobeError
        return kind(f"{before}{self.text}")

    def to_json(self) -> str:
        """Return one line, for a pipe."""
        return json_text(vars(self))


def run_logged(task: Callable[[], Any], name: str, log: str, folder: str) -> Outcome:
    """Do a part's work in this process, with everything that is printed appended to a log.

    Parameters
    ----------
    task : callable
        The work.
    name : str
        Name of the part, for the log.
    log : str
        Path of the log.
    folder : str
        The folder in which the user gave the command; its modules can be imported.

    Returns
    -------
    Outcome
        Never that it died without an error, which only others can see.
    """
    try:
        with contextlib.chdir(folder), _printed_to(Path(log)) as file:
            now = datetime.datetime.now().isoformat(" ", "seconds")
            file.write(f"{now} part {name} begins on {socket.gethostname()}, process {os.getpid()}\n")
            file.flush()
            try:
                task()
                outcome = Outcome(DONE)
            except HueprobeError as error:
                outcome = Outcome(REFUSED, str(error)[:_MOST_TEXT], type(error).__name__)
            except Exception as error:
                traceback.print_exc(file=file)
                outcome = Outcome(DIED, f"ended with {type(error).__name__}: {error}"[:_MOST_TEXT])
            file.write(f"part {name}: {outcome.kind} {outcome.text}\n")
            return outcome
    except OSError as error:  # of the log or the folder
        return Outcome(REFUSED, f"{error.strerror} ({error.filename})", "StorageError")


@contextlib.contextmanager
def _printed_to(log: Path) -> Iterator[IO[str]]:
    """Append what Python and libraries print in the block to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8", errors="replace", buffering=1) as file:
        sys.stdout.flush()
        sys.stderr.flush()
        kept = [(number, os.dup(number)) for number in (1, 2)]
        try:
            for number, _ in kept:
                os.dup2(file.fileno(), number)
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield file
        finally:
            file.flush()
            for number, copy in kept:
                os.dup2(copy, number)
                os.close(copy)
