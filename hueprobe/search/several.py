"""Searchers of several memories that share one budget of RAM."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hueprobe.search.index import open_searcher
from hueprobe.search.neighbors import Searcher
from hueprobe.search.spec import SearcherSpec, parse_spec

if TYPE_CHECKING:
    import numpy as np

    from hueprobe.memory.store import Memory


def open_searchers(
    memories: "Sequence[Memory]",
    spec: SearcherSpec | str = "exact",
    *,
    device: str = "auto",
    images: "np.ndarray | None" = None,
    vectors: "Sequence[np.ndarray] | None" = None,
    memory_budget: int | None = None,
    index_dir: str | Path | None = None,
    progress: bool = False,
) -> list[Searcher]:
    """Open a searcher of each memory; together they keep no more vectors in RAM than one searcher would.

    Parameters
    ----------
    memories : sequence of Memory
        Memories to search.
    spec : str or SearcherSpec, default="exact"
        SPEC of every searcher.
    device : str, default="auto"
        Device of exact search.
    images : array_like of int or of bool, optional
        Search only these memory rows; exact search only. By default all.
    vectors : sequence of ndarray of int, optional
        Search only the vectors of these ids, one array for each memory; exact search only. By default all.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM, divided by the size of the memories. By default
        1 GiB on a CPU; on a GPU each searcher takes its share of what is free.
    index_dir : path, optional
        Folder to keep indexes in. By default they are kept in the memories' folders.
    progress : bool, default=False
        Whether to show progress of builds.

    Returns
    -------
    list of Searcher

    Raises
    ------
    SearcherError
        See `open_searcher`.
    """
    budgets = shared_budgets(memories, spec, device=device, memory_budget=memory_budget)
    among: Sequence[np.ndarray | None] = [None] * len(memories) if vectors is None else vectors
    return [
        open_searcher(
            memory, spec, device=device, images=images, vectors=ids, memory_budget=budget,
            index_dir=index_dir, progress=progress,
        )
        for memory, ids, budget in zip(memories, among, budgets, strict=True)
    ]  # fmt: skip


def shared_budgets(
    memories: "Sequence[Memory]", spec: SearcherSpec | str, *, device: str, memory_budget: int | None
) -> list[int | None]:
    """Divide a budget of RAM between the searchers of several memories by their sizes.

    Parameters
    ----------
    memories, spec, device, memory_budget
        See `open_searchers`.

    Returns
    -------
    list of (int or None)
        Budget of each searcher; None is its own default.
    """
    if parse_spec(spec).needs_index or len(memories) == 1:
        return [memory_budget] * len(memories)
    from hueprobe.search.exact.blocks import DEFAULT_BUDGET
    from hueprobe.search.exact.device import search_device

    if memory_budget is None and search_device(memories[0], device).type == "cpu":
        memory_budget = DEFAULT_BUDGET
    if memory_budget is None:
        return [None] * len(memories)
    sizes = [memory.n_slots * memory.n_channels for memory in memories]
    return [int(memory_budget * (size / max(1, sum(sizes)))) for size in sizes]
