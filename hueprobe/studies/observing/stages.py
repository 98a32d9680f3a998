"""Seconds by stage: where the time of a long command goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from hueprobe.classification import Classification


class Stages:
    """Clock of the stages of one run. Each second counts for one stage, the innermost that is open.

    Attributes
    ----------
    seconds : dict of str to float
        Seconds of each stage, in the order in which stages first ended. A stage that is entered several times
        has their sum.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._within = [0.0]  # seconds of other stages within each open one

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count the time of a `with` block for a stage, except the time of other stages within it.

        Parameters
        ----------
        name : str
            Name of the stage.
        """
        started = time.perf_counter()
        self._within.append(0.0)
        try:
            yield
        finally:
            whole = time.perf_counter() - started
            self._count(name, whole - self._within.pop())
            self._within[-1] += whole

    def add_classified(self, result: Classification) -> None:
        """Count what a classification within the open stage `search` spent on `extract` and `density`.

        Parameters
        ----------
        result : Classification
            The classification, made within that stage.
        """
        for name in ("extract", "density"):
            self._count(name, result.seconds[name])
            self._within[-1] += result.seconds[name]

    def _count(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
