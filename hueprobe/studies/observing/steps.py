"""The steps of observing memories: known before they begin, with a total ETA from the work of each."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hueprobe.progress import announce, named_pass


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes
    ----------
    key : tuple of str
        Names of what it is part of, from the memory to the step itself.
    weight : float
        Its work: rough seconds on two cores.
    """

    key: tuple[str, ...]
    weight: float


class Steps:
    """Says which of a run's steps is at work, of how many, and how long all that are left may take.

    Parameters
    ----------
    *plans : sequence of Step
        All steps in order: those of each memory, which may have the name of another. A step that is not
        among them is only named.
    enabled : bool, default=False
        Whether anything is said.
    """

    def __init__(self, *plans: Sequence[Step], enabled: bool = False) -> None:
        self._enabled = enabled
        self._steps = tuple(step for plan in plans for step in plan)
        self._plan = tuple(number for number, plan in enumerate(plans) for _ in plan)  # of each step
        self._left = dict.fromkeys(range(len(self._steps)))  # numbers from 0, in order
        self._within: tuple[str, ...] = ()
        self._done = self._took = 0.0
        # Until steps of this work are done, the ETA is mostly that of the weights.
        self._trust = 10 + 0.1 * sum(step.weight for step in self._steps)

    @contextmanager
    def under(self, name: str) -> Iterator[None]:
        """Say in front of the steps of a `with` block what they are part of: a memory, or a control of it.

        Parameters
        ----------
        name : str
            The name.
        """
        before = self._within
        self._within = (*before, name)
        try:
            with named_pass(name):
                yield
        finally:
            self._within = before

    @contextmanager
    def of(self, *names: str) -> Iterator[None]:
        """Say that a step begins, and the time to go; its number stands in front of the bars within it.

        Parameters
        ----------
        *names : str
            The step's key after the names of `under`.
        """
        number = next(iter(self._unfinished(names)), None)
        label = ", ".join(names)
        if number is None:
            with named_pass(label):
                yield
            return
        with named_pass(f"step {number + 1} of {len(self._steps)}: {label}"):
            announce(f"total ETA {self.eta():.0f} s", enabled=self._enabled)
            started = time.monotonic()
            yield  # after an error the step is not finished: it may begin again, or `leave` tells why not
            self._took += time.monotonic() - started
            self._done += self._steps[number].weight
            self._left.pop(number, None)

    def leave(self, *names: str, reason: str) -> None:
        """Leave out what is not finished of a step, or of all steps that are part of something.

        Parameters
        ----------
        *names : str
            The beginning of the steps' keys after the names of `under`.
        reason : str
            Why, in words.
        """
        numbers = self._unfinished(names)[:1] or self._unfinished(names, whole=False)
        numbers = [number for number in numbers if self._plan[number] == self._plan[numbers[0]]]
        if not numbers:
            return
        first, last = numbers[0] + 1, numbers[-1] + 1
        which = f"step {first}" if first == last else f"steps {first} to {last}"
        with named_pass(f"{which} of {len(self._steps)}: {', '.join(names)}"):
            announce(reason, enabled=self._enabled)
        for number in numbers:
            del self._left[number]

    def eta(self) -> float:
        """Return the seconds that the steps that are not finished may take: their work at the pace so far."""
        pace = (self._took + self._trust) / max(self._done + self._trust, 1e-9)
        return pace * sum(self._steps[number].weight for number in self._left)

    def _unfinished(self, names: tuple[str, ...], *, whole: bool = True) -> list[int]:
        key = (*self._within, *names)
        n = None if whole else len(key)
        return [number for number in self._left if self._steps[number].key[:n] == key]
