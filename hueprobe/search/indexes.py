"""Searchers by SPEC, and the derived index folders: built whole, tied to a ledger line, never stale."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hueprobe.errors import SearcherError
from hueprobe.files import PARTIAL, fsync_folder, sha256_of, written_whole
from hueprobe.memory.files import one_writer
from hueprobe.search.neighbors import Searcher
from hueprobe.search.spec import SearcherSpec, parse_spec

if TYPE_CHECKING:
    import numpy as np

    from hueprobe.memory.store import Memory

_HEADER = "index.json"


def open_searcher(
    memory: "Memory",
    spec: str = "exact",
    *,
    device: str = "cpu",
    images: "np.ndarray | None" = None,
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
    if parsed.kind == "exact":
        from hueprobe.search.exact import ExactSearcher

        return ExactSearcher(memory, device=device, images=images)
    if images is not None:
        raise SearcherError(
            f"{spec!r} searches the whole memory; some of its pictures alone need exact search"
        )
    if not has_index(memory, spec):
        if not build:
            raise SearcherError(
                f"{memory.path} has no index {parsed.folder_name!r}; "
                f"make it with `hueprobe index --searcher {spec}`"
            )
        build_index(memory, spec, progress=progress)
    folder = index_folder(memory, parsed)
    _require_current(memory, parsed, folder)
    return open_files(memory, parsed, folder)


def has_index(memory: "Memory", spec: str) -> bool:
    """Whether the index that a SPEC needs lies beside the memory; exact search needs none."""
    parsed = parse_spec(spec)
    return parsed.kind == "exact" or (index_folder(memory, parsed) / _HEADER).is_file()


def has_current_index(memory: "Memory", spec: str) -> bool:
    """Whether that index is there and belongs to the memory as it is now."""
    parsed = parse_spec(spec)
    if parsed.kind == "exact":
        return True
    try:
        _require_current(memory, parsed, index_folder(memory, parsed))
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
    folder = index_folder(memory, parsed)
    partial = folder.with_name(folder.name + PARTIAL)
    partial.parent.mkdir(exist_ok=True)
    with one_writer(memory.path):
        try:
            build_files(memory, parsed, partial, progress=progress)
            install_files(memory, parsed, partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    recall_of(memory, open_files(memory, parsed, folder))


def build_files(memory: "Memory", parsed: SearcherSpec, folder: Path, *, progress: bool = False) -> None:
    """Build an index into `folder`, which is emptied first; nothing says yet that it is one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if parsed.kind == "annoy":
        from hueprobe.search.annoy import build_annoy

        build_annoy(memory, parsed, folder, progress=progress)
    else:
        from hueprobe.search.faiss import build_faiss

        build_faiss(memory, parsed, folder, progress=progress)


def install_files(memory: "Memory", parsed: SearcherSpec, built: Path) -> None:
    """Make what `build_files` left in a folder the memory's index; its writer holds the memory's lock."""
    _write_header(built, _header(memory, parsed, next(built.glob("index.*"))))
    folder = index_folder(memory, parsed)
    shutil.rmtree(folder, ignore_errors=True)
    built.rename(folder)
    fsync_folder(folder.parent)


def recall_of(memory: "Memory", searcher: Searcher) -> float:
    """Return recall@10 under the searcher's settings: 1 for exact search, else measured once and kept."""
    parsed = parse_spec(searcher.spec)
    if parsed.kind == "exact":
        return 1.0
    folder = index_folder(memory, parsed)
    header = _read_header(folder)
    if parsed.search_text not in header["recall_at_10"]:
        from hueprobe.search.recall import measure_recall

        header["recall_at_10"][parsed.search_text] = measure_recall(memory, searcher)
        _write_header(folder, header)
    return float(header["recall_at_10"][parsed.search_text])


def list_indexes(memory: "Memory") -> dict[str, dict[str, Any]]:
    """Return the header of every index beside the memory, with `stale` added, by folder name."""
    headers = {}
    for path in sorted(memory.path.glob(f"indexes/*/{_HEADER}")):
        if not path.parent.name.endswith(PARTIAL):
            header = _read_header(path.parent)
            headers[path.parent.name] = {**header, "stale": header["ledger"] != memory.ledger.tip}
    return headers


def index_folder(memory: "Memory", parsed: SearcherSpec) -> Path:
    """Return where a SPEC's index lies, or will."""
    return memory.path / "indexes" / parsed.folder_name


def open_files(memory: "Memory", parsed: SearcherSpec, folder: Path) -> Searcher:
    """Open the files that `build_files` left in a folder, wherever it lies."""
    if parsed.kind == "annoy":
        from hueprobe.search.annoy import AnnoySearcher

        return AnnoySearcher(memory, parsed, folder)
    from hueprobe.search.faiss import FaissSearcher

    return FaissSearcher(memory, parsed, folder)


def _header(memory: "Memory", parsed: SearcherSpec, index: Path) -> dict[str, Any]:
    import importlib.metadata

    package = "annoy" if parsed.kind == "annoy" else "faiss-cpu"
    return {
        "spec": f"{parsed.kind}:{parsed.build}",
        "file": index.name,
        "sha256": sha256_of(index),
        "size": index.stat().st_size,
        "ledger": memory.ledger.tip,
        "n_vectors": int(memory.valid().sum()),
        "n_channels": memory.n_channels,
        "library": {package: importlib.metadata.version(package)},
        "recall_at_10": {},
    }


def _write_header(folder: Path, header: dict[str, Any]) -> None:
    with written_whole(folder / _HEADER) as file:
        file.write((json.dumps(header, sort_keys=True, indent=2) + "\n").encode())


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / _HEADER
    try:
        header = json.loads(path.read_bytes())
        if isinstance(header["recall_at_10"], dict) and isinstance(header["file"], str):
            str(header["ledger"]), int(header["size"]), int(header["n_channels"])
            return header
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise SearcherError(f"{path} is damaged; remove {folder} and build the index again")


def _require_current(memory: "Memory", parsed: SearcherSpec, folder: Path) -> None:
    header = _read_header(folder)
    spec = f"{parsed.kind}:{parsed.build}"
    if header["ledger"] != memory.ledger.tip or header["spec"] != spec:
        raise SearcherError(
            f"the index {folder} belongs to another state of the memory, or to another memory; "
            f"rebuild it with `hueprobe index --searcher {spec}` or remove the folder"
        )
    path = folder / Path(header["file"]).name
    size = path.stat().st_size if path.is_file() else -1
    if size != header["size"]:
        raise SearcherError(f"{path} has {size} bytes, its header says {header['size']}; rebuild the index")
