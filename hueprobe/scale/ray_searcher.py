"""Exact search by actors of Ray; each keeps its part of a memory's vectors in RAM between queries."""

import contextlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.errors import HueprobeWarning, InputError, WorkerError
from hueprobe.memory.store import Memory, open_memory
from hueprobe.scale.engines.ray import resources, running_ray
from hueprobe.scale.part import Part
from hueprobe.scale.part_search import part_images
from hueprobe.search.neighbors import Neighbors, checked_queries, merge_neighbors
from hueprobe.search.spec import EXACT, SearcherSpec

_RESTARTS = 3


class RaySearcher:
    """Exact searcher of a memory whose parts are kept in RAM by actors, on any node of a Ray cluster.

    It is used like a searcher of `hueprobe.open_searcher` and finds the same, ties included. An actor that
    dies is started again, and reads its part again. All nodes see the memory's folder under the same path.

    Parameters
    ----------
    memory : Memory
        Complete memory.
    n_parts : int
        Number of actors; each keeps a part of whole shards.
    address : str, optional
        Address of the Ray cluster, such as `"auto"`. By default Ray is started on this machine, unless this
        process is connected already.
    device : str, default="auto"
        Device of exact search in each actor.
    memory_budget : int, optional
        Bytes of vectors that each actor may keep in RAM; by default 1 GiB, or 70 % of a GPU's free memory.
        If a part is larger, it is read again for each search, with a warning.
    actor_options : mapping of str to value, optional
        Options of `ray.remote`, such as `num_cpus`. By default one GPU with its share of the cores, or one
        core.

    Attributes
    ----------
    memory : Memory
        The memory.
    spec : SearcherSpec
        That of exact search.

    Raises
    ------
    MissingDependencyError
        Ray is not installed.
    InputError
        The memory is not complete or has fewer shards than parts, or the cluster has less than the actors
        ask for.
    WorkerError
        An actor cannot be started.

    Warns
    -----
    HueprobeWarning
        A part exceeds the memory budget.

    See Also
    --------
    hueprobe.search.merge_neighbors : Merge results of parts in RAM.
    hueprobe.scale.search_in_parts : Search once for many images, with files of parts.

    Examples
    --------
    >>> with hp.scale.RaySearcher(memory, 1) as searcher:  # doctest: +SKIP
    ...     neighbors = searcher.search(memory.vectors([0, 1]), 3)
    >>> neighbors  # doctest: +SKIP
    Neighbors(2 queries, k=3, 0 missing)
    """

    spec: SearcherSpec = EXACT

    def __init__(
        self,
        memory: Memory,
        n_parts: int,
        *,
        address: str | None = None,
        device: str = "auto",
        memory_budget: int | None = None,
        actor_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.memory = memory
        parts = [Part(number, n) for n in [as_count("n_parts", n_parts)] for number in range(1, n + 1)]
        rows = [part_images(memory, part) for part in parts]
        with contextlib.ExitStack() as stack:
            self._ray = stack.enter_context(running_ray(address))
            asked = resources(actor_options or {}, uses_gpu=device != "cpu")
            self._require_room(asked, len(parts))
            kind = self._ray.remote(max_restarts=_RESTARTS, max_task_retries=_RESTARTS, **asked)(_Actor)
            path = str(memory.path.absolute())
            self._actors = [
                kind.remote(path, memory.ledger.tip, its.start, its.stop, device, memory_budget)
                for its in rows
            ]
            stack.callback(self._kill)
            fits = self._answers([actor.fits.remote() for actor in self._actors])
            self._stack: contextlib.ExitStack = stack.pop_all()
        if large := [str(part) for part, one in zip(parts, fits, strict=True) if not one]:
            warnings.warn(
                f"the vectors of part {large[0]} exceed the memory budget of an actor, so they are read from "
                "the shards again for each search; use more parts, or give a larger memory_budget=",
                HueprobeWarning,
                stacklevel=2,
            )

    def __enter__(self) -> "RaySearcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the actors, and Ray if it was started or connected to here."""
        self._stack.close()

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Find the k nearest stored vectors of each query; see `hueprobe.search.Searcher`.

        Parameters
        ----------
        vectors : ndarray of shape (n_queries, n_channels)
            Unit vectors, rounded by `as_stored`; a zero vector has no neighbors.
        k : int
            Number of neighbors, at least 1.
        exclude_images : ndarray of int, shape (n_queries, m), optional
            Memory rows of images that each query may not match, padded with -1. Or a mask of bool, shape
            (n_queries, n_images). By default nothing is excluded.

        Returns
        -------
        Neighbors

        Raises
        ------
        ShapeError, InputError, NumericsError
            See `hueprobe.search.Searcher`.
        WorkerError
            An actor died more often than it is started again.
        """
        vectors, k, excluded = checked_queries(self.memory, vectors, k, exclude_images)
        sent = self._ray.put((vectors, excluded))
        found = self._answers([actor.search.remote(sent, k) for actor in self._actors])
        return merge_neighbors((Neighbors(ids, distances) for ids, distances in found), k)

    def _require_room(self, asked: Mapping[str, Any], n: int) -> None:
        """Raise unless the cluster has room for so many actors; others would wait for ever."""
        there = self._ray.cluster_resources()
        for option, name in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
            has, wanted = there.get(name, 0), n * asked.get(option, 0)
            if wanted > has:
                raise InputError(
                    f"{n} actors ask for {wanted:g} {name}s, the Ray cluster has {has:g}; use fewer "
                    f"parts, or give actor_options={{'{option}': {has / n:.2g}}}"
                )

    def _answers(self, results: list[Any]) -> list[Any]:
        try:
            answers: list[Any] = self._ray.get(results)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except self._ray.exceptions.RayError as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise WorkerError(
                f"an actor that holds a part of {self.memory.path} died ({said}); open the searcher again"
            ) from None
        return answers

    def _kill(self) -> None:
        for actor in self._actors:
            with contextlib.suppress(Exception):  # its node may be gone
                self._ray.kill(actor)


class _Actor:
    """The searcher of one part, in a process of Ray."""

    def __init__(
        self, path: str, tip: str, start: int, stop: int, device: str, memory_budget: int | None
    ) -> None:
        from hueprobe.search.exact.searcher import ExactSearcher

        memory = open_memory(Path(path))
        if memory.ledger.tip != tip:
            raise InputError(
                f"{path} is another memory, or in another state, than when its searcher was opened"
            )
        self._searcher = ExactSearcher(
            memory, device=device, images=np.arange(start, stop), memory_budget=memory_budget
        )

    def fits(self) -> bool:
        """Return whether the part is kept in RAM."""
        return bool(self._searcher.quantized.fits)

    def search(self, sent: tuple[np.ndarray, np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and distances of the nearest vectors of the part."""
        vectors, excluded = sent
        found = self._searcher.search(np.array(vectors), k, exclude_images=excluded)
        return found.ids, found.distances
