"""Searchers by SPEC, and their indexes: built if missing, refused if stale."""

import contextlib
import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hueprobe.errors import HueprobeError, HueprobeWarning, SearcherError
from hueprobe.files import PARTIAL
from hueprobe.memory.headers import FILE_NAME as HEADER
from hueprobe.memory.headers import FOLDER, UNFINISHED, read_header, write_header
from hueprobe.search.index_folder import IndexFolder, indexes_of, written_alone
from hueprobe.search.neighbors import Searcher
from hueprobe.search.spec import SearcherSpec, parse_spec

if TYPE_CHECKING:
    import numpy as np

    from hueprobe.memory.store import Memory

_PACKAGES = {"annoy": "annoy", "faiss": "faiss-cpu"}


class StoredIndex:
    """The index of a memory for one SPEC, existing or not.

    Parameters
    ----------
    memory : Memory
        The memory.
    spec : SearcherSpec or str
        A SPEC of Annoy or FAISS; exact search needs no index.
    index_dir : path, optional
        Folder of indexes outside the memory. By default indexes are kept in the memory's folder.

    Attributes
    ----------
    spec : SearcherSpec
        The parsed SPEC.
    folder : IndexFolder
        Its folder, named by how the index is built.
    """

    def __init__(
        self, memory: "Memory", spec: SearcherSpec | str, *, index_dir: str | Path | None = None
    ) -> None:
        self.memory, self.spec = memory, parse_spec(spec)
        if not self.spec.needs_index:
            raise SearcherError(f"{self.spec.text!r} search has no index; there is nothing to build or open")
        self.folder = IndexFolder(
            memory, self.spec.index, _PACKAGES[self.spec.kind], indexes_of(memory, index_dir)
        )

    @classmethod
    def of(cls, searcher: Any) -> "StoredIndex":
        """Return the index that a searcher from `open` reads, wherever it is."""
        index = cls(searcher.memory, searcher.spec)
        index.folder = replace(index.folder, indexes=searcher.folder.parent)
        return index

    @property
    def exists(self) -> bool:
        """Whether the index exists, for any state of the memory."""
        return self.folder.exists

    @property
    def is_current(self) -> bool:
        """Whether the index exists and belongs to the current state of the memory."""
        return self.folder.is_current

    def build(self, *, progress: bool = False) -> None:
        """Build or rebuild the index, and measure its recall@10; a FAISS build that was stopped goes on.

        Parameters
        ----------
        progress : bool, default=False
            Whether to show a progress bar.

        Raises
        ------
        SearcherError
            The library rejects the SPEC, or the memory is not complete.
        """
        if not self.memory.complete:
            raise SearcherError(
                f"{self.memory.path} is not complete; finish `hueprobe index` before building an index"
            )
        self.folder.build(
            lambda partial: self.write(partial, progress=progress), resumable=self.spec.kind == "faiss"
        )
        self.recall(self.load(self.folder.path), progress=progress)

    def open(self) -> Searcher:
        """Open the index.

        Raises
        ------
        SearcherError
            The index is missing, stale, damaged, or of another memory.
        """
        if not self.exists:
            raise SearcherError(
                f"{self.memory.path} has no index {self.folder.path.name!r} in {self.folder.indexes}; "
                f"build it with `hueprobe index --searcher {self.spec.text}`"
            )
        self.folder.require_whole()
        return self.load(self.folder.path)

    def recall(self, searcher: Searcher, *, progress: bool = False) -> float:
        """Return the recall@10 of a searcher's settings: measured once, and stored in the header.

        NaN if no image has a neighbor in another image.

        Parameters
        ----------
        searcher : Searcher
            A searcher from `open`.
        progress : bool, default=False
            Whether to show a progress bar if it is measured.
        """
        from hueprobe.search.recall import measure_recall

        settings, header = self.spec.search_text, read_header(self.folder.path)
        if settings in header.recall_at_10:
            kept = header.recall_at_10[settings]
            return math.nan if kept is None else kept
        recall = measure_recall(self.memory, searcher, progress=progress)
        # This only saves time: if the folder is read-only or locked, recall is measured again next time.
        with contextlib.suppress(HueprobeError), written_alone(self.memory, self.folder.indexes):
            now = read_header(self.folder.path)
            if now.ledger == header.ledger:
                known = {**now.recall_at_10, settings: None if math.isnan(recall) else recall}
                write_header(self.folder.path, msgspec.structs.replace(now, recall_at_10=known))
        return recall

    def write(self, folder: Path, *, progress: bool = False) -> Path:
        """Write the index file into a folder and return the file.

        Parameters
        ----------
        folder : Path
            Any empty folder, or for FAISS one that a stopped `write` left. FAISS leaves other files beside
            the index, which `IndexFolder.install` removes.
        progress : bool, default=False
            Whether to show a progress bar.
        """
        if self.spec.kind == "annoy":
            from hueprobe.search.annoy import build_annoy

            build_annoy(self.memory, self.spec, folder, progress=progress)
        else:
            from hueprobe.search.faiss_build import build_faiss

            build_faiss(self.memory, self.spec, folder, _PACKAGES["faiss"], progress=progress)
        return self.file_in(folder)

    def file_in(self, folder: Path) -> Path:
        """Return the file that `write` leaves in a folder."""
        return folder / f"index.{self.spec.kind}"

    def load(self, folder: Path) -> Searcher:
        """Open the file that `write` left in a folder, without checking it.

        Parameters
        ----------
        folder : Path
            That folder.
        """
        if self.spec.kind == "annoy":
            from hueprobe.search.annoy import AnnoySearcher

            return AnnoySearcher(self.memory, self.spec, folder)
        from hueprobe.search.faiss import FaissSearcher

        return FaissSearcher(self.memory, self.spec, folder)


def open_searcher(
    memory: "Memory",
    spec: SearcherSpec | str = "exact",
    *,
    device: str = "auto",
    images: "np.ndarray | None" = None,
    vectors: "np.ndarray | None" = None,
    memory_budget: int | None = None,
    products: str | None = None,
    index_dir: str | Path | None = None,
    build: bool = True,
    progress: bool = False,
) -> Searcher:
    """Open the searcher that a SPEC names; a missing index is built first.

    Parameters
    ----------
    memory : Memory
        Memory to search.
    spec : str or SearcherSpec, default="exact"
        `exact`, `annoy[:trees=50,search_k=20000]` [1]_ or `faiss:FACTORY[;nprobe=16,rerank=100]` [2]_; see
        `hueprobe.search.parse_spec`.
    device : str, default="auto"
        Device of exact search: `"auto"`, `"cpu"`, `"cuda"` or `"cuda:1"`. Annoy and FAISS search on the CPU.
    images : array_like of int or of bool, optional
        Search only these memory rows (or the rows of this mask); exact search only. By default all.
    vectors : array_like of int or of bool, optional
        Search only the vectors of these ids (or of this mask over all ids); exact search only. By default
        all.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM. By default 1 GiB. For a larger memory, a file of
        quantized vectors is written next to it, and every search reads that file.
    products : {"sparse", "int16", "uint8", "int8", "half", "float32", "float32-numpy"}, optional
        Number format of the first pass of exact search. By default the fastest one on this machine for the
        memory's vectors. The result does not depend on it.
    index_dir : path, optional
        Folder to keep indexes in, for example if the memory is read-only. Several memories may share it. By
        default indexes are kept in the memory's folder.
    build : bool, default=True
        Whether a missing index may be built.
    progress : bool, default=False
        Whether to show progress of the build.

    Returns
    -------
    Searcher

    Raises
    ------
    SearcherError
        The SPEC is invalid, or the index is stale, damaged, of another memory, or missing with `build=False`.

    Warns
    -----
    HueprobeWarning
        The memory is not complete: only the images stored so far are searched.

    See Also
    --------
    hueprobe.search.Searcher : The methods of a searcher.
    hueprobe.search.tune_searcher : Find the fastest searcher for a target recall.
    hueprobe.search.build_index : Build an index beforehand.

    Notes
    -----
    The threads of torch and FAISS do not survive a fork. Once a process has searched, start other processes
    with `multiprocessing.get_context("spawn")`. A ForkedError is raised in a child process that would
    otherwise wait for these threads forever.

    References
    ----------
    .. [1] E. Bernhardsson, "Annoy", https://github.com/spotify/annoy, 2015.
    .. [2] FAISS, https://github.com/facebookresearch/faiss.

    Examples
    --------
    >>> searcher = hp.open_searcher(memory)
    >>> neighbors = searcher.search(memory.vectors([0, 1]), 3)
    >>> neighbors.distances[:, 0]  # each vector finds itself
    array([0., 0.])
    >>> hp.open_searcher(memory, "annoy:trees=5").spec.text
    'annoy:trees=5'
    """
    parsed = parse_spec(spec)
    _warn_of_unfinished(memory)
    if not parsed.needs_index:
        from hueprobe.search.exact.searcher import ExactSearcher
        from hueprobe.search.exact.stored import use_stored_codes

        searcher = ExactSearcher(
            memory, device=device, images=images, vectors=vectors, products=products,
            memory_budget=memory_budget,
        )  # fmt: skip
        if images is None and vectors is None and memory.complete:
            use_stored_codes(memory, searcher.quantized, index_dir=index_dir, build=build, progress=progress)
        return searcher
    if images is not None or vectors is not None:
        only = "images" if vectors is None else "vectors"
        raise SearcherError(
            f"{parsed.text!r} searches the whole memory; use exact search to search only some of its {only}"
        )
    index = StoredIndex(memory, parsed, index_dir=index_dir)
    if build and not index.exists:
        index.build(progress=progress)
    return index.open()


def _warn_of_unfinished(memory: "Memory") -> None:
    """Warn that only a part of the images is searched; a truncated ledger looks the same."""
    if not memory.complete:
        warnings.warn(
            f"{memory.path} is not complete: results use only its first {memory.n_images} images; run its "
            "`hueprobe index` again",
            HueprobeWarning,
            stacklevel=3,
        )


def build_index(
    memory: "Memory",
    spec: SearcherSpec | str,
    *,
    index_dir: str | Path | None = None,
    progress: bool = False,
) -> None:
    """Build or rebuild the index of a SPEC and measure its recall@10.

    Parameters
    ----------
    memory : Memory
        Memory to index.
    spec : str or SearcherSpec
        A SPEC of Annoy or FAISS. Exact search needs no index: `exact` does nothing.
    index_dir : path, optional
        Folder to keep indexes in. By default indexes are kept in the memory's folder.
    progress : bool, default=False
        Whether to show a progress bar.

    Raises
    ------
    SearcherError
        The library rejects the SPEC, or the memory is not complete.

    See Also
    --------
    hueprobe.open_searcher : Open a searcher; builds a missing index.
    hueprobe.search.measure_recall : Recall under other settings.

    Examples
    --------
    >>> hp.search.build_index(memory, "annoy:trees=5")
    >>> searcher = hp.open_searcher(memory, "annoy:trees=5", build=False)
    >>> searcher.search(memory.vectors([0]), 3).ids.shape
    (1, 3)
    """
    parsed = parse_spec(spec)
    if parsed.needs_index:
        StoredIndex(memory, parsed, index_dir=index_dir).build(progress=progress)


def recall_of(searcher: Searcher) -> float:
    """Return a searcher's recall@10: 1 for exact search, otherwise measured once and stored with the index.

    Parameters
    ----------
    searcher : Searcher
        A searcher from `open_searcher`.
    """
    if not searcher.spec.needs_index:
        return 1.0
    return StoredIndex.of(searcher).recall(searcher)


def list_indexes(memory: "Memory") -> dict[str, dict[str, Any]]:
    """Return the header of every index in the memory's folder, with `stale` added, by folder name.

    Parameters
    ----------
    memory : Memory
        The memory.
    """
    headers = {}
    for path in sorted(memory.path.glob(f"{FOLDER}/*/{HEADER}")):
        if not path.parent.name.endswith((PARTIAL, UNFINISHED)):
            header = read_header(path.parent)
            headers[path.parent.name] = {**header.to_json(), "stale": header.ledger != memory.ledger.tip}
    return headers
