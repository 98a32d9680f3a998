"""Searchers by SPEC, and the indexes that they need: built where absent, refused where stale."""

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
from hueprobe.memory.headers import FOLDER, read_header, write_header
from hueprobe.search.index_folder import IndexFolder, indexes_of, written_alone
from hueprobe.search.neighbors import Searcher
from hueprobe.search.spec import SearcherSpec, parse_spec

if TYPE_CHECKING:
    import numpy as np

    from hueprobe.memory.store import Memory

_PACKAGES = {"annoy": "annoy", "faiss": "faiss-cpu"}


class StoredIndex:
    """The index of a SPEC of a memory, whether it is there yet or not.

    Parameters
    ----------
    memory : Memory
    spec : SearcherSpec or str
        Of Annoy or FAISS; exact search needs no index.
    index_dir : path, optional
        The folder of indexes that are not kept beside the memory.

    Attributes
    ----------
    spec : SearcherSpec
    folder : IndexFolder
        Where it lies, under a name that says how it is built.
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
        """Return the index that a searcher of `open` reads, wherever it lies."""
        index = cls(searcher.memory, searcher.spec)
        index.folder = replace(index.folder, indexes=searcher.folder.parent)
        return index

    @property
    def exists(self) -> bool:
        """Whether it lies there, of whatever state of the memory."""
        return self.folder.exists

    @property
    def is_current(self) -> bool:
        """Whether it is there and belongs to the memory as it is now."""
        return self.folder.is_current

    def build(self, *, progress: bool = False) -> None:
        """Build it, or build it anew, and measure its recall@10.

        Parameters
        ----------
        progress : bool
            Show it.

        Raises
        ------
        SearcherError
            The library does not take the SPEC, or the memory is not complete.
        """
        if not self.memory.complete:
            raise SearcherError(
                f"{self.memory.path} is not complete; finish `hueprobe index` before building an index"
            )
        self.folder.build(lambda partial: self.write(partial, progress=progress))
        self.recall(self.load(self.folder.path))

    def open(self) -> Searcher:
        """Open it.

        Raises
        ------
        SearcherError
            It is absent, stale, damaged, or of another memory.
        """
        if not self.exists:
            raise SearcherError(
                f"{self.memory.path} has no index {self.folder.path.name!r} in {self.folder.indexes}; "
                f"make it with `hueprobe index --searcher {self.spec.text}`"
            )
        self.folder.require_whole()
        return self.load(self.folder.path)

    def recall(self, searcher: Searcher) -> float:
        """Return recall@10 under a searcher's settings: measured once, and kept in the header.

        NaN where no image has a neighbor in another.

        Parameters
        ----------
        searcher : Searcher
            That of `open`.
        """
        from hueprobe.search.recall import measure_recall

        settings, header = self.spec.search_text, read_header(self.folder.path)
        if settings in header.recall_at_10:
            kept = header.recall_at_10[settings]
            return math.nan if kept is None else kept
        recall = measure_recall(self.memory, searcher)
        # It only saves time: where nobody may write, or another does, it is measured again next time.
        with contextlib.suppress(HueprobeError), written_alone(self.memory, self.folder.indexes):
            now = read_header(self.folder.path)
            if now.ledger == header.ledger:
                known = {**now.recall_at_10, settings: None if math.isnan(recall) else recall}
                write_header(self.folder.path, msgspec.structs.replace(now, recall_at_10=known))
        return recall

    def write(self, folder: Path, *, progress: bool = False) -> Path:
        """Write its file into an empty folder, wherever that lies, and return the file.

        Parameters
        ----------
        folder : Path
        progress : bool
            Show it.
        """
        if self.spec.kind == "annoy":
            from hueprobe.search.annoy import FILE_NAME, build_annoy

            build_annoy(self.memory, self.spec, folder, progress=progress)
        else:
            from hueprobe.search.faiss import FILE_NAME, build_faiss

            build_faiss(self.memory, self.spec, folder, progress=progress)
        return folder / FILE_NAME

    def load(self, folder: Path) -> Searcher:
        """Open the file that `write` left in a folder, whether it is whole or not.

        Parameters
        ----------
        folder : Path
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
    memory_budget: int | None = None,
    products: str | None = None,
    index_dir: str | Path | None = None,
    build: bool = True,
    progress: bool = False,
) -> Searcher:
    """Open the searcher that a SPEC names; an absent index is built first.

    Parameters
    ----------
    memory : Memory
    spec : str or SearcherSpec
        `exact`, `annoy[:trees=50,search_k=20000]` or `faiss:FACTORY[;nprobe=16]`.
    device : str
        Of exact search: `auto`, `cpu`, `cuda` or `cuda:<i>`; see `search_device`. Annoy and FAISS search on
        the CPU.
    images : array_like of int or of bool, optional
        Search these memory rows (or those of this mask) alone; exact search only.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM, 1 GiB by default. A larger memory gets a file of
        quantized vectors beside it (half its size), which every search reads.
    products : {"sparse", "int16", "int8", "half", "float32"}, optional
        Format of exact search's first pass; by default the one that is fastest here with the memory's
        vectors. The result does not depend on it.
    index_dir : path, optional
        Where indexes are kept, such as those of a memory that nobody may write to; beside the memory by
        default. Several memories may share the folder.
    build : bool
        Whether an index that is absent may be built.
    progress : bool
        Show the build's.

    Raises
    ------
    SearcherError
        The SPEC is wrong, or the index is stale, damaged, of another memory, or absent with `build=False`.

    Notes
    -----
    The threads of torch and FAISS do not follow a fork: where a process has searched, start others with
    `multiprocessing.get_context("spawn")`. A ForkedError is raised in a child that would wait for them.
    """
    parsed = parse_spec(spec)
    _warn_of_unfinished(memory)
    if not parsed.needs_index:
        from hueprobe.search.exact.searcher import ExactSearcher
        from hueprobe.search.exact.stored import use_stored_codes

        searcher = ExactSearcher(
            memory, device=device, images=images, products=products, memory_budget=memory_budget
        )
        if images is None and memory.complete:
            use_stored_codes(memory, searcher.quantized, index_dir=index_dir, build=build, progress=progress)
        return searcher
    if images is not None:
        raise SearcherError(
            f"{parsed.text!r} searches the whole memory; some of its images alone need exact search"
        )
    index = StoredIndex(memory, parsed, index_dir=index_dir)
    if build and not index.exists:
        index.build(progress=progress)
    return index.open()


def _warn_of_unfinished(memory: "Memory") -> None:
    """Say that answers come from a part of the images; a ledger that was cut looks like that too."""
    if not memory.complete:
        warnings.warn(
            f"{memory.path} is not complete: answers come from its first {memory.n_images} images; run its "
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
    """Build (or rebuild) the index of a SPEC and measure its recall@10; exact search needs none.

    Parameters
    ----------
    memory : Memory
    spec : str or SearcherSpec
    index_dir : path, optional
        As in `open_searcher`.
    progress : bool
        Show it.

    Raises
    ------
    SearcherError
        The library does not take the SPEC, or the memory is not complete.
    """
    parsed = parse_spec(spec)
    if parsed.needs_index:
        StoredIndex(memory, parsed, index_dir=index_dir).build(progress=progress)


def recall_of(searcher: Searcher) -> float:
    """Return a searcher's recall@10: 1 for exact search, else measured once and kept beside its index.

    Parameters
    ----------
    searcher : Searcher
        That of `open_searcher`.
    """
    if not searcher.spec.needs_index:
        return 1.0
    return StoredIndex.of(searcher).recall(searcher)


def list_indexes(memory: "Memory") -> dict[str, dict[str, Any]]:
    """Return the header of every index beside the memory, with `stale` added, by folder name.

    Parameters
    ----------
    memory : Memory
    """
    headers = {}
    for path in sorted(memory.path.glob(f"{FOLDER}/*/{HEADER}")):
        if not path.parent.name.endswith(PARTIAL):
            header = read_header(path.parent)
            headers[path.parent.name] = {**header.to_json(), "stale": header.ledger != memory.ledger.tip}
    return headers
