"""The one face of all engines: jobs go in, workers come out; and the names that users give them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hueprobe.errors import InputError
from hueprobe.scale.engines.outcomes import Outcome
from hueprobe.scale.part import Part

KINDS = ("local:N", "ray[:ADDRESS]", "submitit[:slurm|local]")
_MOST_WORKERS = 9_999


@dataclass(frozen=True)
class Job:
    """The work of one part, which any worker can do that sees the same folders.

    Attributes
    ----------
    part : Part
        The part.
    task : callable
        What a worker calls; it goes to another process, so it can be pickled.
    log : Path
        Absolute path of the file to which the worker's output is appended.
    """

    part: Part
    task: Callable[[], Any]
    log: Path


class Worker(Protocol):
    """A job that an engine has started."""

    def poll(self) -> Outcome | None:
        """Return how the job ended; None while it waits or works."""
        ...

    def stop(self) -> None:
        """End the job at once, and wait for that where the engine can."""
        ...


class Engine(Protocol):
    """Starts jobs, and knows nothing else of the work: its state is in the files of the parts.

    Attributes
    ----------
    capacity : int or None
        Number of jobs that may be started at a time; None if the engine has a queue of its own.
    n_parts : int or None
        Default number of parts; None if the engine cannot know.
    decoders : int or None
        Number of threads that decode images in each worker; None for the default there.
    """

    capacity: int | None
    n_parts: int | None
    decoders: int | None

    def require_sendable(self, task: Any) -> None:
        """Raise any Exception unless an object can be pickled for a worker."""
        ...

    def start(self, jobs: Sequence[Job]) -> "list[Worker]":
        """Start jobs, or enter them into the queue."""
        ...


@dataclass(frozen=True)
class EngineName:
    """A parsed name of an engine.

    Attributes
    ----------
    kind : str
        `local`, `ray` or `submitit`.
    argument : str
        What stands behind the colon; empty if nothing does.
    """

    kind: str
    argument: str

    @classmethod
    def parse(cls, text: str) -> "EngineName":
        """Return the engine of a text such as `local:4`.

        Raises
        ------
        InputError
            No engine has this name.

        >>> EngineName.parse("ray:10.0.0.1:6379")
        EngineName(kind='ray', argument='10.0.0.1:6379')
        """
        kind, colon, argument = text.strip().partition(":")
        good = {
            "local": bool(re.fullmatch("0*[1-9][0-9]{0,3}", argument)),
            "ray": bool(argument) or not colon,
            "submitit": argument in ("slurm", "local") or not colon,
        }
        if not good.get(kind, False):
            raise InputError(
                f"unknown engine {text!r}; choose one of: {', '.join(KINDS)}, such as local:4 for four "
                "processes on this machine"
            )
        return cls(kind, argument)


def require_sendable(engine: Engine, task: Any) -> None:
    """Raise unless the task of a part can be sent to a worker of an engine.

    Raises
    ------
    InputError
        It cannot; the message says what to give instead.
    """
    try:
        engine.require_sendable(task)
    except Exception as error:
        raise InputError(
            f"the network, its transform or the images cannot be sent to another process ({error}); give the "
            "network as 'package.module:callable', which every worker imports, images as files, and a "
            "transform that is a hueprobe.images.Transform or a function of a module"
        ) from None
