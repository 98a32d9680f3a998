"""Annoy, the paper's index: angular, of fixed seed, built on disk by one thread, so reproducible."""

import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from annoy import AnnoyIndex

from hueprobe.errors import SearcherError, StorageError
from hueprobe.progress import progress_bar
from hueprobe.search.approximate import n_threads, search_with
from hueprobe.search.neighbors import Neighbors
from hueprobe.search.spec import SearcherSpec
from hueprobe.threads import threaded_map

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

FILE_NAME = "index.annoy"
_SEED = 0
_QUERIES_AT_A_TIME = 16  # of one thread


class AnnoySearcher:
    """Searches an Annoy file; its ids are the memory's, its distances are computed anew."""

    def __init__(self, memory: "Memory", spec: SearcherSpec, folder: Path) -> None:
        self.memory, self.spec, self.folder = memory, spec, folder
        self._search_k = spec.search.get("search_k", -1)
        self._index = AnnoyIndex(memory.n_channels, "angular")
        try:
            self._index.load(str(folder / FILE_NAME))
        except OSError as error:
            raise SearcherError(
                f"cannot load {folder / FILE_NAME} ({error}); build the index again"
            ) from None

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Return k near stored vectors of each query.

        Parameters
        ----------
        vectors, k, exclude_images
            As in `Searcher.search`.
        """
        return search_with(self._fetch, self.memory, vectors, k, exclude_images)

    def _fetch(self, vectors: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Take all queries, some in each thread: Annoy's C++ holds no Python lock."""
        ids = np.full((len(vectors), width), -1, np.int64)
        distances = np.full((len(vectors), width), np.inf, np.float32)

        def find(start: int) -> None:
            # Annoy reads a list in half the time of an array.
            for row, vector in enumerate(vectors[start : start + _QUERIES_AT_A_TIME].tolist(), start):
                found, far = self._index.get_nns_by_vector(
                    vector, width, search_k=self._search_k, include_distances=True
                )
                ids[row, : len(found)], distances[row, : len(found)] = found, far

        with threaded_map(n_threads(), name="hueprobe-annoy") as each:
            list(each(find, range(0, len(vectors), _QUERIES_AT_A_TIME)))
        return ids, 1 - np.square(distances, dtype=np.float64) / 2  # of unit vectors: their product


def build_annoy(memory: "Memory", spec: SearcherSpec, folder: Path, *, progress: bool = False) -> None:
    """Build the index of a memory's nonzero vectors into `folder`.

    Parameters
    ----------
    memory : Memory
    spec : SearcherSpec
    folder : Path
        Empty.
    progress : bool
        Show it.
    """
    require_working_annoy()
    valid = memory.valid()
    _require_room(folder, memory.n_slots, int(valid.sum()), memory.n_channels, spec.trees)
    index = AnnoyIndex(memory.n_channels, "angular")
    index.set_seed(_SEED)
    try:
        index.on_disk_build(str(folder / FILE_NAME))
    except OSError as error:
        raise StorageError(
            f"cannot write {folder / FILE_NAME}: {error}; mend that, or use --searcher exact"
        ) from None
    with progress_bar(memory.n_slots, label="annoy", unit="vectors", enabled=progress) as advance:
        for first, block in memory.blocks():
            for offset in np.flatnonzero(valid[first : first + len(block)]):
                index.add_item(first + int(offset), block[offset])
            advance(len(block))
    index.build(spec.trees, n_jobs=1)
    index.unload()


def _require_room(folder: Path, n_slots: int, n_vectors: int, n_channels: int, trees: int) -> None:
    """Refuse a disk too full: Annoy writes through a memory map, where that is a bus error, not an exception.

    A node takes 12 bytes and a vector. There is one a slot, and in each tree about 2 n / K leaves, of up to
    K = n_channels + 2 vectors, with as many branches above them.
    """
    nodes = n_slots + trees * (4 * n_vectors // (n_channels + 2) + 3)
    needed, free = nodes * (12 + 4 * n_channels), shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"cannot build an Annoy index in {folder}: it takes up to {needed / 1e6:.0f} MB, and "
            f"{free / 1e6:.0f} MB are free; make room on that disk, or use --searcher exact"
        )


@cache
def require_working_annoy() -> None:
    """Query a tiny index for five neighbors; some builds of Annoy return one, however many are wanted.

    Raises
    ------
    SearcherError
        It returned anything but the five nearest.
    """
    points = np.stack([np.cos(np.arange(20) * 0.1), np.sin(np.arange(20) * 0.1)], axis=1)
    index = AnnoyIndex(2, "angular")
    index.set_seed(_SEED)
    for item, point in enumerate(points):
        index.add_item(item, point)
    index.build(2, n_jobs=1)
    found = index.get_nns_by_vector(points[0], 5, search_k=1_000)
    if sorted(found) != [0, 1, 2, 3, 4]:
        raise SearcherError(
            f"this build of Annoy is broken: for the 5 nearest of 20 points it returned {found}; "
            "reinstall it from source with another compiler (pip install --no-binary annoy annoy), "
            "or use --searcher exact"
        )
