"""Those who search in the benchmark: hueprobe, FAISS and Annoy behind one call."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import annoy
import faiss
import numpy as np

from hueprobe import Memory
from hueprobe.search.approximate import n_threads
from hueprobe.search.exact.searcher import ExactSearcher
from hueprobe.search.neighbors import Neighbors
from hueprobe.search.reranking import rerank

PANORAMA = "PCA{channels},FlatL2Panorama16"  # prunes exactly
_QUERIES_AT_A_TIME = 16  # of one thread


class Competitor(Protocol):
    """Who takes part.

    Attributes
    ----------
    name : str
    facts : dict
        Build seconds and the like, for the results.
    excludes : bool
        Whether the query's own image is left out, as it should be.
    """

    name: str
    facts: dict[str, Any]
    excludes: bool

    def ask(self, vectors: np.ndarray, own: np.ndarray, k: int) -> Any:
        """Do what is timed: find the k nearest outside the image `own` (n,) of each vector (n, C)."""
        ...

    def neighbors(self, memory: Memory, vectors: np.ndarray, own: np.ndarray, k: int) -> Neighbors:
        """Return what was found with exact distances, to be compared."""
        ...


class Exact:
    """hueprobe's exact search."""

    excludes = True

    def __init__(self, name: str, searcher: ExactSearcher) -> None:
        self.name, self.searcher = name, searcher
        self.facts: dict[str, Any] = {}

    def ask(self, vectors: np.ndarray, own: np.ndarray, k: int) -> Neighbors:
        """Search."""
        return self.searcher.search(vectors, k, exclude_images=own[:, None])

    def neighbors(self, memory: Memory, vectors: np.ndarray, own: np.ndarray, k: int) -> Neighbors:
        """Search."""
        return self.ask(vectors, own, k)


class _Direct:
    """A library called directly: its own ids, those of the own image dropped."""

    excludes = True

    def __init__(self, name: str, memory: Memory, facts: dict[str, Any]) -> None:
        self.name, self.facts, self._n_cells = name, facts, memory.grid.n_cells

    def _fetch(self, vectors: np.ndarray, width: int) -> np.ndarray:
        raise NotImplementedError

    def ask(self, vectors: np.ndarray, own: np.ndarray, k: int) -> np.ndarray:
        """Return ids (n, k); fewer than k outside the own image leave -1."""
        ids = self._fetch(vectors, k + self._n_cells)
        barred = (ids // self._n_cells == own[:, None]) | (ids < 0)
        order = np.argsort(barred, axis=1, kind="stable")[:, :k]
        return np.where(np.take_along_axis(barred, order, 1), -1, np.take_along_axis(ids, order, 1))

    def neighbors(self, memory: Memory, vectors: np.ndarray, own: np.ndarray, k: int) -> Neighbors:
        """Return the ids found, with exact distances."""
        return rerank(memory, vectors, self.ask(vectors, own, k), k)


class FaissDirect(_Direct):
    """An index of FAISS, built with all threads."""

    def __init__(
        self,
        name: str,
        memory: Memory,
        factory: str,
        settings: dict[str, int],
        built: Any = None,
        *,
        l2: bool = False,
    ) -> None:
        self.index, facts = built or _faiss_index(memory, factory, l2=l2)
        super().__init__(name, memory, facts)
        self._settings = settings

    @classmethod
    def several(
        cls, memory: Memory, factory: str, setting: str, values: Sequence[int]
    ) -> list["FaissDirect"]:
        """Return one index under several settings."""
        built = _faiss_index(memory, factory)
        return [
            cls(f"FAISS {factory}, {setting} {value}", memory, factory, {setting: value}, built)
            for value in values
        ]

    def _fetch(self, vectors: np.ndarray, width: int) -> np.ndarray:
        for name, value in self._settings.items():
            faiss.ParameterSpace().set_index_parameter(self.index, name, value)
        return self.index.search(vectors, width)[1]


class FlatBare:
    """FAISS Flat without exclusion: less work than anyone else's."""

    excludes = False

    def __init__(self, name: str, flat: FaissDirect) -> None:
        self.name, self._flat, self.facts = name, flat, flat.facts

    def ask(self, vectors: np.ndarray, own: np.ndarray, k: int) -> np.ndarray:
        """Return the k nearest, the own image's among them."""
        return self._flat.index.search(vectors, k)[1]

    def neighbors(self, memory: Memory, vectors: np.ndarray, own: np.ndarray, k: int) -> Neighbors:
        """Return the ids found, with exact distances."""
        return rerank(memory, vectors, self.ask(vectors, own, k), k)


class AnnoyDirect(_Direct):
    """Annoy with a thread pool over the queries; built with all threads, mapped from a file."""

    def __init__(self, name: str, memory: Memory, built: Any, search_k: int, threads: int) -> None:
        self._memory, self._built, self._search_k, self._threads = memory, built, search_k, threads
        self._index, facts = built
        super().__init__(name, memory, facts)

    @classmethod
    def several(cls, memory: Memory, trees: int, values: Sequence[int]) -> list["AnnoyDirect"]:
        """Return one index under several settings of search_k; -1 is Annoy's own."""
        built = _annoy_index(memory, trees)
        return [
            cls(f"Annoy {trees} trees" + (f", search_k {v}" if v > 0 else ""), memory, built, v, n_threads())
            for v in values
        ]

    def in_one_thread(self) -> "AnnoyDirect":
        """Return the same without a thread pool, for what that gains."""
        return AnnoyDirect(f"{self.name}, 1 thread", self._memory, self._built, self._search_k, 1)

    def _fetch(self, vectors: np.ndarray, width: int) -> np.ndarray:
        ids = np.full((len(vectors), width), -1, np.int64)

        def ask(start: int) -> None:
            for row, vector in enumerate(vectors[start : start + _QUERIES_AT_A_TIME].tolist(), start):
                found = self._index.get_nns_by_vector(vector, width, search_k=self._search_k)
                ids[row, : len(found)] = found

        with ThreadPoolExecutor(self._threads) as threads:
            list(threads.map(ask, range(0, len(vectors), _QUERIES_AT_A_TIME)))
        return ids


def _faiss_index(memory: Memory, factory: str, *, l2: bool = False) -> tuple[Any, dict[str, Any]]:
    faiss.omp_set_num_threads(n_threads())
    metric = faiss.METRIC_L2 if l2 else faiss.METRIC_INNER_PRODUCT  # of unit vectors the order is the same
    index = faiss.index_factory(memory.n_channels, f"IDMap,{factory}", metric)
    started = time.perf_counter()
    if not index.is_trained:
        index.train(memory.vectors(np.flatnonzero(memory.valid())))
    valid = memory.valid()
    for first, block in memory.blocks():
        here = np.flatnonzero(valid[first : first + len(block)])
        index.add_with_ids(block[here], first + here)
    seconds = time.perf_counter() - started
    return index, {"build_seconds": round(seconds, 2), "bytes": _bytes_of(index)}


def _bytes_of(index: Any) -> int:
    """Return the size of an index's file, without a second copy in memory."""
    sizes: list[int] = []
    writer: Any = faiss.PyCallbackIOWriter(lambda part: sizes.append(len(part)))  # type: ignore[attr-defined]
    faiss.write_index(index, writer)
    return sum(sizes)


def _annoy_index(memory: Memory, trees: int) -> tuple[Any, dict[str, Any]]:
    index = annoy.AnnoyIndex(memory.n_channels, "angular")
    index.set_seed(0)
    with TemporaryDirectory(dir=memory.path.parent) as folder:  # the mapped file outlives its name
        file = Path(folder) / "index.annoy"
        index.on_disk_build(str(file))
        started = time.perf_counter()
        valid = memory.valid()
        for first, block in memory.blocks():
            for offset in np.flatnonzero(valid[first : first + len(block)]):
                index.add_item(first + int(offset), block[offset])
        index.build(trees, n_jobs=n_threads())
        seconds = time.perf_counter() - started
        return index, {"build_seconds": round(seconds, 2), "bytes": file.stat().st_size}
