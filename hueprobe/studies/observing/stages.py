"""Seconds by stage: where the time of a long command goes."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hueprobe.classification import Classification
from hueprobe.classifier import KernelDensityClassifier
from hueprobe.memory.store import Memory


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

    def classified(
        self,
        classifier: Callable[[], KernelDensityClassifier],
        ks: Sequence[int],
        *,
        held_out: Memory | None = None,
        query_memory: Memory | None = None,
    ) -> dict[int, Classification]:
        """Classify, and count the time for `search`, with the parts `extract` and `density` for themselves.

        Parameters
        ----------
        classifier : callable
            Returns the classifier; opening its searcher is part of `search`.
        ks : sequence of int
            Numbers of neighbors, found in one search.
        held_out : Memory, optional
            Memory of held-out images. By default the memory's own are classified in leave-one-out.
        query_memory : Memory, optional
            See `KernelDensityClassifier.leave_one_out`.
        """
        with self.of("search"):
            if held_out is None:
                found = classifier().leave_one_out_by_k(ks, query_memory=query_memory)
            else:
                found = classifier().classify_stored_by_k(held_out, ks)
            for result in found.values():
                for name in ("extract", "density"):
                    self._count(name, result.seconds[name])
                    self._within[-1] += result.seconds[name]
        return found

    def _count(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
