"""Searchers by SPEC, and the derived index folders: built whole, tied to a ledger line, never stale."""

import contextlib
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hueprobe.errors import HueprobeError, HueprobeWarning, SearcherError
from hueprobe.files import PARTIAL, fsync_file, fsync_folder, sha256_of, storing
from hueprobe.memory.files import one_writer
from hueprobe.memory.headers import FILE_NAME as HEADER
from hueprobe.memory.headers import FOLDER, IndexHeader, read_header, require_whole, write_header
from hueprobe.search.neighbors import Searcher
from hueprobe.search.spec import SearcherSpec, parse_spec

if TYPE_CHECKING:
    import numpy as np

    from hueprobe.memory.store import Memory
    from hueprobe.search.exact.searcher import ExactSearcher


def open_searcher(
    memory: "Memory",
    spec: str = "exact",
    *,
    device: str = "cpu",
    images: "np.ndarray | None" = None,
    memory_budget: int | None = None,
    products: str | None = None,
    build: bool = True,
    progress: bool = False,
) -> Searcher:
    """Open the searcher that a SPEC names; an absent index is built first.

    Parameters
    ----------
    memory : Memory
    spec : str
        `exact`, `annoy[:trees=50,search_k=20000]` or `faiss:FACTORY[;nprobe=16]`.
    device : str
        Of exact search.
    images : ndarray of int, optional
        Search these memory rows alone; exact search only.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM, 1 GiB by default. A larger memory gets a file of
        rounded vectors beside it (half its size), which every search reads.
    products : {"int8", "half", "float32"}, optional
        Format of exact search's first pass; by default the one that is fastest here. The result does not
        depend on it.
    build : bool
        Whether an index that is absent may be built.
    progress : bool
        Show the build's.

    Raises
    ------
    SearcherError
        The SPEC is wrong, or the index is stale, damaged, of another memory, or absent with `build=False`.
    """
    parsed = parse_spec(spec)
    _warn_of_unfinished(memory)
    if parsed.kind == "exact":
        from hueprobe.search.exact.searcher import ExactSearcher

        searcher = ExactSearcher(
            memory, device=device, images=images, products=products, memory_budget=memory_budget
        )
        if images is None and searcher.codebook.wants_file and memory.complete:
            file = _codes_file(memory, searcher, build=build, progress=progress)
            if file is not None:
                searcher.codebook.read_from(file, read_header(file.parent).sha256)
        return searcher
    if images is not None:
        raise SearcherError(f"{spec!r} searches the whole memory; some of its images alone need exact search")
    if not has_index(memory, spec):
        if not build:
            raise SearcherError(
                f"{memory.path} has no index {parsed.folder_name!r}; "
                f"make it with `hueprobe index --searcher {spec}`"
            )
        build_index(memory, spec, progress=progress)
    folder = _folder(memory, parsed)
    _require_current(memory, parsed, folder)
    require_whole(folder)
    return open_files(memory, parsed, folder)


def _warn_of_unfinished(memory: "Memory") -> None:
    """Say that answers come from a part of the images; a ledger that was cut looks like that too."""
    if not memory.complete:
        warnings.warn(
            f"{memory.path} is not complete: answers come from its first {memory.n_images} images; run its "
            "`hueprobe index` again",
            HueprobeWarning,
            stacklevel=3,
        )


def has_index(memory: "Memory", spec: str) -> bool:
    """Whether the index that a SPEC needs lies beside the memory; exact search needs none."""
    parsed = parse_spec(spec)
    return parsed.kind == "exact" or (_folder(memory, parsed) / HEADER).is_file()


def has_current_index(memory: "Memory", spec: str) -> bool:
    """Whether that index is there and belongs to the memory as it is now."""
    parsed = parse_spec(spec)
    if parsed.kind == "exact":
        return True
    try:
        _require_current(memory, parsed, _folder(memory, parsed))
    except SearcherError:
        return False
    return True


def build_index(memory: "Memory", spec: str, *, progress: bool = False) -> None:
    """Build (or rebuild) the index of a SPEC and measure its recall@10.

    Raises
    ------
    SearcherError
        The library does not take the SPEC, or the memory is not complete.
    """
    parsed = parse_spec(spec)
    if parsed.kind == "exact":
        return
    if not memory.complete:
        raise SearcherError(
            f"{memory.path} is not complete; finish `hueprobe index` before building an index"
        )
    _build_folder(memory, parsed, lambda partial: build_files(memory, parsed, partial, progress=progress))
    recall_of(memory, open_files(memory, parsed, _folder(memory, parsed)))


def build_files(memory: "Memory", parsed: SearcherSpec, folder: Path, *, progress: bool = False) -> Path:
    """Build an index into an empty folder and return its file; nothing says yet that it is one."""
    if parsed.kind == "annoy":
        from hueprobe.search.annoy import FILE_NAME, build_annoy

        build_annoy(memory, parsed, folder, progress=progress)
    else:
        from hueprobe.search.faiss import FILE_NAME, build_faiss

        build_faiss(memory, parsed, folder, progress=progress)
    return folder / FILE_NAME


def install_files(memory: "Memory", parsed: SearcherSpec, file: Path) -> None:
    """Make the folder of a file that `build_files` gave the memory's index; the caller holds its lock."""
    folder = _folder(memory, parsed)
    with storing(folder):
        fsync_file(file)
        write_header(file.parent, _header(memory, parsed, file))
        if folder.exists():
            shutil.rmtree(folder)
        file.parent.rename(folder)
        fsync_folder(folder.parent)


def _build_folder(memory: "Memory", parsed: SearcherSpec, write: Callable[[Path], Path]) -> None:
    """Let `write` fill a temporary folder, and put it in the place of what was there.

    What builds that were killed left behind goes first, and this one's where it fails.
    """
    folder = _folder(memory, parsed)
    partial = folder.with_name(folder.name + PARTIAL)
    with one_writer(memory.path):
        for leftover in folder.parent.glob(f"*{PARTIAL}"):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            with storing(folder):
                partial.mkdir(parents=True)
                fsync_folder(memory.path)
            install_files(memory, parsed, write(partial))
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _codes_file(memory: "Memory", searcher: "ExactSearcher", *, build: bool, progress: bool) -> Path | None:
    """Return the file of rounded vectors for exact search, made where it is absent or stale; None without.

    It only saves time, so a memory that nobody may write to, or a full disk, is no error.
    """
    parsed = SearcherSpec("exact", searcher.codebook.layout, {})
    folder = _folder(memory, parsed)
    file = folder / "codes.bin"
    try:
        _require_current(memory, parsed, folder)
        return file
    except SearcherError:
        if not build:
            return None

    def write(partial: Path) -> Path:
        searcher.codebook.write(partial / file.name, progress=progress)
        return partial / file.name

    try:
        _build_folder(memory, parsed, write)
    except (OSError, HueprobeError) as error:
        warnings.warn(
            f"no file of rounded vectors beside {memory.path} ({error}); exact search takes longer without",
            HueprobeWarning,
            stacklevel=3,
        )
        return None
    return file


def recall_of(memory: "Memory", searcher: Searcher) -> float:
    """Return recall@10 under the searcher's settings: 1 for exact search, else measured once and kept."""
    parsed = parse_spec(searcher.spec)
    if parsed.kind == "exact":
        return 1.0
    folder = _folder(memory, parsed)
    header = read_header(folder)
    if parsed.search_text in header.recall_at_10:
        return header.recall_at_10[parsed.search_text]
    from hueprobe.search.recall import measure_recall

    recall = measure_recall(memory, searcher)
    # It only saves time: where nobody may write, or another does, it is measured again next time.
    with contextlib.suppress(HueprobeError), one_writer(memory.path):
        now = read_header(folder)
        if now.ledger == header.ledger:
            known = {**now.recall_at_10, parsed.search_text: recall}
            write_header(folder, msgspec.structs.replace(now, recall_at_10=known))
    return recall


def list_indexes(memory: "Memory") -> dict[str, dict[str, Any]]:
    """Return the header of every index beside the memory, with `stale` added, by folder name."""
    headers = {}
    for path in sorted(memory.path.glob(f"{FOLDER}/*/{HEADER}")):
        if not path.parent.name.endswith(PARTIAL):
            header = read_header(path.parent)
            headers[path.parent.name] = {**header.to_json(), "stale": header.ledger != memory.ledger.tip}
    return headers


def _folder(memory: "Memory", parsed: SearcherSpec) -> Path:
    return memory.path / FOLDER / parsed.folder_name


def open_files(memory: "Memory", parsed: SearcherSpec, folder: Path) -> Searcher:
    """Open the files that `build_files` left in a folder, wherever it lies."""
    if parsed.kind == "annoy":
        from hueprobe.search.annoy import AnnoySearcher

        return AnnoySearcher(memory, parsed, folder)
    from hueprobe.search.faiss import FaissSearcher

    return FaissSearcher(memory, parsed, folder)


def _header(memory: "Memory", parsed: SearcherSpec, index: Path) -> IndexHeader:
    import importlib.metadata

    package = {"annoy": "annoy", "faiss": "faiss-cpu", "exact": "torch"}[parsed.kind]
    return IndexHeader(
        spec=f"{parsed.kind}:{parsed.build}",
        file=index.name,
        sha256=sha256_of(index),
        size=index.stat().st_size,
        ledger=memory.ledger.tip,
        n_vectors=int(memory.valid().sum()),
        n_channels=memory.n_channels,
        library={package: importlib.metadata.version(package)},
        recall_at_10={},
    )


def _require_current(memory: "Memory", parsed: SearcherSpec, folder: Path) -> None:
    header = read_header(folder)
    spec = f"{parsed.kind}:{parsed.build}"
    if header.ledger != memory.ledger.tip or header.spec != spec or header.n_channels != memory.n_channels:
        raise SearcherError(
            f"the index {folder} belongs to another state of the memory, or to another memory; "
            f"rebuild it with `hueprobe index --searcher {spec}` or remove the folder"
        )
    path = folder / header.file
    size = path.stat().st_size if path.is_file() else -1
    if size != header.size:
        raise SearcherError(f"{path} has {size} bytes, its header says {header.size}; rebuild the index")
