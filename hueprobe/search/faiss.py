"""Any FAISS index, by its factory string; inner product on unit vectors, which ranks as distance does."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from hueprobe.errors import SearcherError
from hueprobe.files import written_whole
from hueprobe.progress import progress_bar
from hueprobe.search.approximate import n_threads, search_with
from hueprobe.search.neighbors import Neighbors
from hueprobe.search.spec import SearcherSpec
from hueprobe.threads import require_threads

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

FILE_NAME = "index.faiss"
_SEED = 0
_MAX_TRAINING_VECTORS = 262_144
# Factory strings of indexes that hold the vectors as they are, so that their products can be relied upon.
_WHOLE_VECTORS = re.compile(r"Flat|HNSW\d*(,Flat)?|IVF\d+(_HNSW\d+)?,Flat")


class FaissSearcher:
    """Searches a FAISS file; its ids are the memory's, its distances are computed anew."""

    def __init__(self, memory: "Memory", spec: SearcherSpec, folder: Path) -> None:
        self.memory, self.spec, self.folder = memory, spec, folder
        self._whole = _WHOLE_VECTORS.fullmatch(spec.build) is not None
        try:
            self._index = faiss.read_index(str(folder / FILE_NAME))
        except RuntimeError as error:
            raise SearcherError(
                f"cannot load {folder / FILE_NAME} ({_first_line(error)}); build the index again"
            ) from None
        for name, value in spec.search.items():
            try:
                faiss.ParameterSpace().set_index_parameter(self._index, name, value)
            except RuntimeError:
                raise SearcherError(
                    f"FAISS index {spec.build!r} has no setting {name!r}; leave it out of {spec.text!r}"
                ) from None

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Return k near stored vectors of each query.

        Parameters
        ----------
        vectors, k, exclude_images
            As in `Searcher.search`.
        """
        return search_with(self._fetch, self.memory, vectors, k, exclude_images)

    def _fetch(self, vectors: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray | None]:
        require_threads("FAISS", n_threads())
        faiss.omp_set_num_threads(n_threads())
        products, ids = self._index.search(vectors, width)
        return ids, products if self._whole else None


def build_faiss(memory: "Memory", spec: SearcherSpec, folder: Path, *, progress: bool = False) -> None:
    """Build the index of a memory's nonzero vectors into `folder`, with one thread: reproducible.

    Parameters
    ----------
    memory : Memory
    spec : SearcherSpec
    folder : Path
        Empty.
    progress : bool
        Show it.
    """
    try:
        index = faiss.index_factory(memory.n_channels, f"IDMap,{spec.build}", faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, AssertionError) as error:
        raise SearcherError(
            f"FAISS does not take the factory string {spec.build!r} for {memory.n_channels} channels "
            f"({_first_line(error)}); try Flat, HNSW32 or IVF64,Flat"
        ) from None
    valid = memory.valid()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        if not index.is_trained:
            index.train(_training_vectors(memory, valid))
        with progress_bar(memory.n_slots, label="faiss", unit="vectors", enabled=progress) as advance:
            for first, block in memory.blocks():
                offsets = np.flatnonzero(valid[first : first + len(block)])
                index.add_with_ids(block[offsets], first + offsets)
                advance(len(block))
    except RuntimeError as error:
        raise SearcherError(
            f"FAISS cannot build {spec.build!r} from {int(valid.sum())} vectors ({_first_line(error)}); "
            "ask for fewer lists, or use --searcher exact"
        ) from None
    finally:
        faiss.omp_set_num_threads(threads)
    with written_whole(folder / FILE_NAME) as file:  # FAISS's own writer says nothing of a full disk
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined]


def _training_vectors(memory: "Memory", valid: np.ndarray) -> np.ndarray:
    ids = np.flatnonzero(valid)
    if len(ids) > _MAX_TRAINING_VECTORS:
        ids = np.sort(np.random.default_rng(_SEED).choice(ids, _MAX_TRAINING_VECTORS, replace=False))
    return memory.vectors(ids)


def _first_line(error: Any) -> str:
    text = str(error).strip().splitlines()
    return text[-1][:200] if text else type(error).__name__
