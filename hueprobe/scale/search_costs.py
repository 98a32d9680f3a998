"""What search will cost: measured on two small samples of a memory, extrapolated by the line through them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hueprobe.errors import HueprobeError
from hueprobe.memory.arrays import memory_from_arrays
from hueprobe.memory.store import Memory
from hueprobe.search.tuning import Trial, Tuning, tune_searcher

MOST_VECTORS = 10_240
_FEWEST_IMAGES = 4
_TRAINING_VECTORS = 39  # per list; with fewer, FAISS's k-means warns
_HOUR = 3600


@dataclass(frozen=True)
class SearchCost:
    """What a searcher costs on two samples, and by the line through both on the whole memory.

    Attributes
    ----------
    spec : str
        SPEC of the searcher.
    recall : float
        Recall@10 on the larger sample; that on the whole memory is likely lower, except for exact search.
    sample_seconds : (float, float)
        Seconds to search all cells of an image in each sample.
    seconds_per_image : float
        The same in the whole memory.
    build_hours : float
        Hours to build the index of the whole memory; 0 for exact search.
    index_bytes : int
        Size of that index; 0 for exact search.
    """

    spec: str
    recall: float
    sample_seconds: tuple[float, float]
    seconds_per_image: float
    build_hours: float
    index_bytes: int


@dataclass(frozen=True)
class SearchCosts:
    """What searchers cost for one memory.

    Attributes
    ----------
    sample_vectors : (int, int)
        Vectors of the two samples; 0 if the trial had too few images.
    n_queries : int
        Queries that were searched at once.
    costs : tuple of SearchCost
        One per searcher, exact search first.
    failed : tuple of (str, str)
        SPEC and reason of each searcher that could not be measured.
    """

    sample_vectors: tuple[int, int]
    n_queries: int
    costs: tuple[SearchCost, ...]
    failed: tuple[tuple[str, str], ...]


def measure_search(
    folder: Path, memory: Memory, n_vectors: int, specs: Sequence[str] | None, *, progress: bool = False
) -> SearchCosts:
    """Measure searchers on a memory's first images, and on the first half of these.

    Parameters
    ----------
    folder : Path
        A temporary folder.
    memory : Memory
        Memory of the trial.
    n_vectors : int
        Number of vectors of the whole memory.
    specs : sequence of str or None
        SPECs besides exact search; None for Annoy and a FAISS index with inverted lists.
    progress : bool, default=False
        Whether to show progress of the builds.
    """
    n_images = min(memory.n_images, max(_FEWEST_IMAGES, MOST_VECTORS // memory.grid.n_cells))
    tunings: list[Tuning] = []
    if n_images < _FEWEST_IMAGES:
        reason = f"the trial has {memory.n_images} images, and {_FEWEST_IMAGES} are needed"
        return SearchCosts((0, 0), 0, (), (("exact", reason),))
    for n in (n_images // 2, n_images):
        sample = _first_images(folder / f"{n}", memory, n)
        if specs is None:
            specs = default_specs(int(sample.valid().sum()))
        try:
            tunings.append(tune_searcher(sample, specs=[*specs], progress=progress))
        except HueprobeError as error:  # for example no vector that is not zero
            return SearchCosts((0, 0), 0, (), (("exact", str(error)),))
    small, large = tunings
    sizes = (small.n_vectors, large.n_vectors)
    trials = {trial.spec: trial for trial in small.trials}
    pairs = [(trials[trial.spec], trial) for trial in large.trials if trial.spec in trials]
    costs = [_cost(pair, sizes, n_vectors, memory.grid.n_cells) for pair in pairs]
    failed = {**dict(large.failed), **dict(small.failed)}
    return SearchCosts(sizes, large.n_queries, tuple(costs), tuple(failed.items()))


def default_specs(n: int) -> tuple[str, str]:
    """Return the SPECs of approximate search that are measured by default on `n` vectors.

    >>> default_specs(5_120)
    ('annoy:trees=10', 'faiss:IVF128,SQ8;nprobe=8')
    """
    lists = 2 ** int(math.log2(max(1, n // _TRAINING_VECTORS)))
    return "annoy:trees=10", f"faiss:IVF{lists},SQ8;nprobe={max(1, lists // 16)}"


def _first_images(path: Path, memory: Memory, n: int) -> Memory:
    """Make a memory of the first n images of another."""
    rows = memory.image_vectors(np.arange(n)) * np.sqrt(memory.energy()[:n]).reshape(n, -1, 1)
    grids = rows.transpose(0, 2, 1).reshape(n, memory.n_channels, *memory.grid.shape)
    return memory_from_arrays(path, grids, dtype="float32" if memory.dtype == "float32" else "float16")


def _cost(pair: tuple[Trial, Trial], sizes: tuple[int, int], n: int, cells: int) -> SearchCost:
    seconds = (cells / pair[0].queries_per_second, cells / pair[1].queries_per_second)
    return SearchCost(
        spec=pair[1].spec,
        recall=pair[1].recall,
        sample_seconds=seconds,
        seconds_per_image=extrapolated(sizes, seconds, n),
        build_hours=extrapolated(sizes, (pair[0].build_seconds, pair[1].build_seconds), n) / _HOUR,
        index_bytes=round(extrapolated(sizes, (pair[0].n_bytes, pair[1].n_bytes), n)),
    )


def extrapolated(sizes: tuple[int, int], values: tuple[float, float], n: int) -> float:
    """Return the value at `n` of the line through two points; never less than the second value for more.

    >>> extrapolated((100, 200), (3.0, 5.0), 1000), extrapolated((100, 200), (3.0, 2.0), 1000)
    (21.0, 2.0)
    """
    slope = max(0.0, (values[1] - values[0]) / (sizes[1] - sizes[0])) if sizes[1] > sizes[0] else 0.0
    return values[1] + slope * (n - sizes[1])
