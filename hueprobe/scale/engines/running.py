"""Running the parts of a work with an engine: start, watch on disk, start again what died, report."""

import itertools
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hueprobe.errors import HueprobeError, HueprobeWarning, WorkerError
from hueprobe.files import storing
from hueprobe.progress import Advance, named_pass, progress_bar
from hueprobe.scale.engines.engine import Engine, Job, Worker, require_sendable
from hueprobe.scale.engines.logs import log_file
from hueprobe.scale.engines.outcomes import DIED, REFUSED, Outcome
from hueprobe.scale.part import Part

RESTARTS = 3
_BETWEEN_POLLS = 0.1  # seconds
_BETWEEN_STATES = 1.0  # at least; reading them may take a tenth of the time


@dataclass(frozen=True)
class Piece:
    """The work of one part.

    Attributes
    ----------
    part : Part
        The part.
    task : callable
        What does it, in another process. Called again after a death, it continues.
    state : callable
        Returns how many of its units are finished on disk, and whether all are.
    is_held : callable
        Returns whether another process is at it, for example a job that an earlier command started.
    """

    part: Part
    task: Callable[[], Any]
    state: Callable[[], tuple[int, bool]]
    is_held: Callable[[], bool]


@dataclass(frozen=True)
class Work:
    """A work in parts.

    Attributes
    ----------
    label : str
        What is done, for the line of progress.
    n_images : int
        Number of images, which the line counts.
    units_per_image : int
        Number of units of all parts that make an image.
    logs : Path
        Absolute path of the folder of logs.
    restarts : int
        How often a part may die in a row without having finished more of it.
    """

    label: str
    n_images: int
    units_per_image: int
    logs: Path
    restarts: int = RESTARTS


def run_pieces(pieces: Sequence[Piece], engine: Engine, work: Work, *, progress: bool = False) -> None:
    """Do all pieces by the workers of an engine, and return when every one is complete on disk.

    However this ends, no worker that it has started goes on.

    Parameters
    ----------
    pieces : sequence of Piece
        The pieces; those that are complete are not started.
    engine : Engine
        What starts them.
    work : Work
        What they have in common.
    progress : bool, default=False
        Whether to show a line over all parts.

    Raises
    ------
    WorkerError
        The worker of a part died more often than allowed.
    HueprobeError
        What refused a part; of the same class.
    """
    running = _Running(pieces, engine, work)
    if not running.is_done:
        require_sendable(engine, pieces[0].task)
        with storing(work.logs):
            work.logs.mkdir(parents=True, exist_ok=True)
    n = len(pieces)
    with (
        named_pass(f"{n} part{'s' if n > 1 else ''}"),
        progress_bar(work.n_images, label=work.label, done=running.n_images, enabled=progress) as advance,
    ):
        try:
            while not running.is_done:
                running.step(advance)
                time.sleep(_BETWEEN_POLLS)
            running.show(advance)
        finally:
            running.stop()


class _Running:
    """Which parts wait, which are at work, and how often each has died."""

    def __init__(self, pieces: Sequence[Piece], engine: Engine, work: Work) -> None:
        self._pieces = {piece.part.number: piece for piece in pieces}
        self._engine, self._work = engine, work
        self._workers: dict[int, Worker] = {}
        self._states = {number: piece.state() for number, piece in self._pieces.items()}
        self._waiting = [number for number, (_, complete) in self._states.items() if not complete]
        self._begun_at = {number: done for number, (done, _) in self._states.items()}
        self._deaths = dict.fromkeys(self._pieces, 0)
        self._shown = self.n_images
        self._note = ""
        self._next_look = 0.0

    @property
    def n_images(self) -> int:
        """Number of images that are finished in all parts."""
        return sum(done for done, _ in self._states.values()) // self._work.units_per_image

    @property
    def is_done(self) -> bool:
        return not self._waiting and not self._workers

    def step(self, advance: Advance) -> None:
        """See who has ended; from time to time look at the state on disk, and start who waits."""
        for number in list(self._workers):
            if (outcome := self._workers[number].poll()) is not None:
                del self._workers[number]
                self._end(number, outcome)
                self._next_look = 0.0
        started = time.monotonic()
        if started >= self._next_look:
            self._look()
            self._start()
            self.show(advance)
            now = time.monotonic()
            self._next_look = now + max(_BETWEEN_STATES, 10 * (now - started))

    def show(self, advance: Advance) -> None:
        """Show what has changed."""
        n_complete = sum(complete for _, complete in self._states.values())
        note = f"{n_complete} of {len(self._pieces)} parts complete, {len(self._workers)} started"
        if (n := self.n_images) != self._shown or note != self._note:
            advance(max(0, n - self._shown), note)
            self._shown, self._note = max(n, self._shown), note

    def stop(self) -> None:
        """Stop all workers."""
        for worker in self._workers.values():
            worker.stop()
        self._workers = {}

    def _start(self) -> None:
        """Start waiting parts, as many as the engine takes."""
        most = self._engine.capacity
        room = len(self._waiting) if most is None else most - len(self._workers)
        free = (number for number in self._waiting if not self._pieces[number].is_held())
        if begun := list(itertools.islice(free, max(0, room))):
            jobs = [self._job(number) for number in begun]
            self._waiting = [number for number in self._waiting if number not in begun]
            self._workers.update(zip(begun, self._engine.start(jobs), strict=True))

    def _job(self, number: int) -> Job:
        piece = self._pieces[number]
        return Job(piece.part, piece.task, log_file(self._work.logs, piece.part))

    def _look(self) -> None:
        """Read the state of all parts that are not complete; drop waiting ones that others have finished."""
        for number, (done, complete) in self._states.items():
            if not complete:
                try:
                    now = self._pieces[number].state()
                except HueprobeError:  # its worker will say so, or whoever reads it next
                    continue
                self._states[number] = (max(done, now[0]), now[1])
        self._waiting = [number for number in self._waiting if not self._states[number][1]]

    def _end(self, number: int, outcome: Outcome) -> None:
        """Take note of a worker's end."""
        piece = self._pieces[number]
        if outcome.kind == REFUSED:
            if not piece.is_held() and not piece.state()[1]:
                raise outcome.exception(f"part {piece.part}: ")
            self._waiting.append(number)  # another process is at it, or has just finished it
            return
        done, complete = piece.state()
        self._states[number] = (done, complete)
        if complete:
            return
        text = outcome.text if outcome.kind == DIED else "ended without finishing it"
        self._deaths[number] = 1 if done > self._begun_at[number] else self._deaths[number] + 1
        self._begun_at[number] = done
        deaths, most, log = self._deaths[number], self._work.restarts, log_file(self._work.logs, piece.part)
        if deaths > most:
            more = " without finishing more of it"
            times = "once" if deaths == 1 else f"{deaths} times in a row{more}"
            raise WorkerError(
                f"the worker of part {piece.part} died {times}: "
                f"it {text}; see {log}, remove the cause, then run the same again: finished work is kept"
            )
        warnings.warn(
            f"the worker of part {piece.part} {text}; it is started again ({deaths} of {most} times without "
            f"finishing more of it; log {log})",
            HueprobeWarning,
            stacklevel=4,
        )
        self._waiting.append(number)
