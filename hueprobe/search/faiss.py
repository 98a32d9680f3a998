"""Any FAISS index, by its factory string; on unit vectors, inner product and distance rank equally.

The only file that imports FAISS: `faiss_build` decides what is trained, added and kept, and when.
"""

import contextlib
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from hueprobe.errors import SearcherError
from hueprobe.files import written_whole
from hueprobe.search.approximate import n_threads, search_with
from hueprobe.search.neighbors import Neighbors
from hueprobe.search.spec import SearcherSpec
from hueprobe.threads import require_threads

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

FILE_NAME = "index.faiss"
# Factory strings of indexes that store the original vectors, so that their inner products are accurate.
_WHOLE_VECTORS = re.compile(r"Flat|HNSW\d*(,Flat)?|IVF\d+(_HNSW\d+)?,Flat")
_FEWEST_TRAINING_VECTORS = 39  # per centroid; with fewer, FAISS's k-means warns
# How FAISS writes inverted lists without a vector: their number and the bytes of a code, and no sizes.
_EMPTY_LISTS = struct.Struct("<4sQQ4sQ")


class FaissSearcher:
    """Searches a FAISS file; items are the memory's vector ids, and distances are recomputed exactly."""

    def __init__(self, memory: "Memory", spec: SearcherSpec, folder: Path) -> None:
        self.memory, self.spec, self.folder = memory, spec, folder
        self._whole = _WHOLE_VECTORS.fullmatch(spec.factory) is not None
        try:
            flags = faiss.IO_FLAG_MMAP if spec.on_disk else 0
            self._index = faiss.read_index(str(folder / FILE_NAME), flags)
        except RuntimeError as error:
            raise SearcherError(
                f"cannot load {folder / FILE_NAME} ({first_line(error)}); build the index again"
            ) from None
        if spec.on_disk and not _has_lists(self._index, faiss.OnDiskInvertedLists):
            raise SearcherError(no_lists_on_disk(spec))
        for name, value in spec.search.items():
            if name not in ("rerank", "ondisk"):
                self._set(name, value)

    def _set(self, name: str, value: int) -> None:
        """Set a setting of the search, also of an index inside another."""
        try:
            faiss.ParameterSpace().set_index_parameter(self._index, name, value)
        except RuntimeError:
            raise SearcherError(
                f"FAISS index {self.spec.factory!r} has no setting {name!r}; leave it out of "
                f"{self.spec.text!r}"
            ) from None

    def search(self, vectors: np.ndarray, k: int, *, exclude_images: np.ndarray | None = None) -> Neighbors:
        """Return k approximate nearest stored vectors of each query.

        Parameters
        ----------
        vectors, k, exclude_images
            See `Searcher.search`.

        Raises
        ------
        SearcherError
            k exceeds the number of candidates, `rerank`.
        """
        if self.spec.rerank is not None and k > self.spec.rerank:
            raise SearcherError(
                f"{self.spec.text!r} ranks {self.spec.rerank} candidates, fewer than k={k}; use "
                f"rerank={k} or more, or leave it out"
            )
        return search_with(
            self._fetch, self.memory, vectors, k, exclude_images, n_candidates=self.spec.rerank
        )

    def _fetch(self, vectors: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray | None]:
        _use_threads(n_threads())
        products, ids = self._index.search(vectors, width)
        return ids, products if self._whole else None


class FaissBuild:
    """An index that is trained, filled and written, piece by piece if it is one of inverted lists.

    Parameters
    ----------
    spec : SearcherSpec
        Gives the factory string.
    n_channels : int
        Number of channels of the vectors.

    Attributes
    ----------
    by_pieces : bool
        Whether vectors can be added to empty lists, and these be put together on disk.
    n_lists : int
        Number of inverted lists; 0 if there are none.
    fewest : int
        Number of training vectors below which FAISS warns.
    bytes_each : int
        Bytes of a vector in the lists, its id included.
    """

    def __init__(self, spec: SearcherSpec, n_channels: int) -> None:
        self._spec = spec
        try:
            index = _of_factory(spec.factory, n_channels)
            self.by_pieces = _has_lists(index, faiss.ArrayInvertedLists)
            if not self.by_pieces:
                index = _of_factory(f"IDMap,{spec.factory}", n_channels)
        except (RuntimeError, AssertionError) as error:
            raise SearcherError(
                f"FAISS does not accept the factory string {spec.factory!r} for {n_channels} channels "
                f"({first_line(error)}); try Flat, HNSW32 or IVF64,Flat"
            ) from None
        if spec.on_disk and not self.by_pieces:
            raise SearcherError(no_lists_on_disk(spec))
        self._use(index)
        inner = _innermost(index)
        self.n_lists = inner.nlist if isinstance(inner, faiss.IndexIVF) else 0
        # A single list is the mean of any sample.
        centroids = [self.n_lists * (self.n_lists > 1), inner.pq.ksub if hasattr(inner, "pq") else 0]
        self.fewest = _FEWEST_TRAINING_VECTORS * max(centroids)
        for part in (inner, getattr(inner, "pq", None)):
            if (clustering := getattr(part, "cp", None)) is not None:
                clustering.min_points_per_centroid = 1  # the caller warns
        self.bytes_each = inner.code_size + 8 if self.by_pieces else 0

    def _use(self, index: Any) -> None:
        self._index, self._lists = index, _innermost(index) if self.by_pieces else None

    @property
    def needs_training(self) -> bool:
        """Whether the index still has to be trained."""
        return not self._index.is_trained

    def train(self, vectors: np.ndarray, *, threads: int) -> None:
        """Train the index; the lists are found on GPUs if there are any."""
        _use_threads(threads)
        inner = _innermost(self._index)
        if on_gpus() and self.n_lists:
            flat = faiss.IndexFlat(inner.quantizer.d, inner.quantizer.metric_type)
            on_gpu = faiss.index_cpu_to_all_gpus(flat)
            inner.clustering_index = on_gpu
            try:
                self._index.train(vectors)
            finally:
                inner.clustering_index = None
        else:
            self._index.train(vectors)

    def add(self, vectors: np.ndarray, ids: np.ndarray) -> None:
        """Add vectors under their ids."""
        # Each list gets its vectors in order, whatever the threads; a graph does not.
        _use_threads(n_threads() if self.by_pieces else 1)
        self._index.add_with_ids(vectors, ids)

    @contextlib.contextmanager
    def adding(self) -> Iterator[None]:
        """Find the lists of added vectors on GPUs meanwhile, if there are any."""
        lists = self._lists
        if lists is None or not on_gpus() or type(faiss.downcast_index(lists.quantizer)) not in _FLAT:
            yield
            return
        own, quantizer = lists.own_fields, lists.quantizer
        on_gpu = faiss.index_cpu_to_all_gpus(faiss.downcast_index(quantizer))
        lists.own_fields, lists.quantizer = False, on_gpu
        try:
            yield
        finally:
            lists.quantizer, lists.own_fields = quantizer, own

    def write(self, path: Path) -> None:
        """Write the index, completely or not at all."""
        with written_whole(path) as file:  # FAISS's own writer does not report a full disk
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined]

    def read(self, path: Path) -> None:
        """Go on with the index that `write` wrote."""
        self._use(faiss.read_index(str(path)))

    def empty(self) -> None:
        """Leave the vectors that were added so far, and their RAM: FAISS's own `reset` would keep it."""
        lists: Any = self._lists
        fresh: Any = faiss.ArrayInvertedLists(lists.nlist, lists.code_size)
        lists.replace_invlists(fresh, True)
        fresh.this.disown()
        self._index.ntotal = lists.ntotal = 0

    def write_lists(self, path: Path) -> None:
        """Write the lists alone, completely or not at all."""
        lists: Any = self._lists
        with written_whole(path) as file:
            writer = faiss.PyCallbackIOWriter(file.write)  # type: ignore[attr-defined]
            faiss.write_InvertedLists(lists.invlists, writer)

    def write_joined(self, pieces: Sequence[Path], path: Path) -> Iterator[int]:
        """Write the index with the lists of all pieces; the bytes are those of vectors added at once.

        Parameters
        ----------
        pieces : sequence of Path
            Files from `write_lists`, which are mapped and not read into RAM.
        path : Path
            Written completely or not at all.

        Yields
        ------
        int
            Number of vectors written since the last time.
        """
        lists: Any = self._lists
        readers = [faiss.FileIOReader(str(piece)) for piece in pieces]
        parts = [faiss.read_InvertedLists(reader, faiss.IO_FLAG_MMAP) for reader in readers]
        pointers = faiss.InvertedListsPtrVector()  # type: ignore[attr-defined]
        for part in parts:
            pointers.push_back(part)
        joined: Any = faiss.HStackInvertedLists(pointers.size(), pointers.data())
        sizes = np.array([joined.list_size(number) for number in range(lists.nlist)], np.uint64)
        self.empty()
        self._index.ntotal = lists.ntotal = int(sizes.sum())
        settings = faiss.serialize_index(self._index)[: -_EMPTY_LISTS.size].tobytes()
        with written_whole(path) as file:
            file.write(settings + _list_sizes(sizes, lists.code_size))
            for number in np.flatnonzero(sizes).tolist():
                size = int(sizes[number])
                codes, ids = joined.get_codes(number), joined.get_ids(number)
                file.write(faiss.rev_swig_ptr(codes, size * lists.code_size).data)
                file.write(faiss.rev_swig_ptr(ids, size).data)
                joined.release_codes(number, codes)
                joined.release_ids(number, ids)
                yield size

    def has_plain_lists(self) -> bool:
        """Return whether the index is written as `write_joined` takes it to be: lists last, and empty."""
        lists: Any = self._lists
        expected = _EMPTY_LISTS.pack(b"ilar", lists.nlist, lists.code_size, b"sprs", 0)
        return bool(faiss.serialize_index(self._index)[-_EMPTY_LISTS.size :].tobytes() == expected)


_FLAT = (faiss.IndexFlat, faiss.IndexFlatIP, faiss.IndexFlatL2)


def _list_sizes(sizes: np.ndarray, code_size: int) -> bytes:
    """Return how FAISS writes the sizes of lists: all of them, or those of the lists with vectors."""
    filled = np.flatnonzero(sizes).astype(np.uint64)
    head = struct.pack("<4sQQ", b"ilar", len(sizes), code_size)
    if len(filled) > len(sizes) // 2:
        return head + struct.pack("<4sQ", b"full", len(sizes)) + sizes.astype("<u8").tobytes()
    pairs = np.stack([filled, sizes[filled.astype(np.int64)]], axis=1).astype("<u8")
    return head + struct.pack("<4sQ", b"sprs", pairs.size) + pairs.tobytes()


def _of_factory(factory: str, n_channels: int) -> Any:
    return faiss.index_factory(n_channels, factory, faiss.METRIC_INNER_PRODUCT)


def _innermost(index: Any) -> Any:
    """Return the index behind ids and transforms of vectors."""
    while isinstance(index, (faiss.IndexIDMap, faiss.IndexPreTransform)):
        index = faiss.downcast_index(index.index)
    return index


def _has_lists(index: Any, kind: type) -> bool:
    """Return whether an index, or the one behind its transforms, has inverted lists of exactly this kind."""
    inner = _innermost(index)
    if not isinstance(inner, faiss.IndexIVF) or inner.invlists is None:
        return False
    return type(faiss.downcast_InvertedLists(inner.invlists)) is kind


def on_gpus() -> bool:
    """Return whether this build of FAISS finds a GPU."""
    return hasattr(faiss, "index_cpu_to_all_gpus") and faiss.get_num_gpus() > 0


def no_lists_on_disk(spec: SearcherSpec) -> str:
    """Return the message that an index has no lists for `ondisk=1`."""
    return (
        f"FAISS index {spec.factory!r} has no plain inverted lists that could stay on disk; leave "
        f"ondisk=1 out of {spec.text!r}, or use an index such as IVF1024,Flat or IVF1024,PQ16"
    )


def first_line(error: Any) -> str:
    """Return what FAISS says, without where."""
    text = str(error).strip().splitlines()
    return text[-1][:200] if text else type(error).__name__


def _use_threads(threads: int) -> None:
    require_threads("FAISS", threads)
    faiss.omp_set_num_threads(threads)
