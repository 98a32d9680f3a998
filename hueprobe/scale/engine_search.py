"""Searching a memory in parts with an engine: workers search them, and then what they found is merged."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hueprobe.arguments import as_count
from hueprobe.density import DEFAULT_EPS
from hueprobe.errors import InputError, require_choice
from hueprobe.exclusion import EXCLUDE
from hueprobe.files import storing
from hueprobe.images.resolve import resolve_images
from hueprobe.match_files import require_suffix
from hueprobe.match_images import images_to_json
from hueprobe.memory.store import Memory, open_memory
from hueprobe.queries import match_images
from hueprobe.scale.engines.engine import Engine, EngineName
from hueprobe.scale.engines.logs import remove_logs
from hueprobe.scale.engines.opening import open_engine
from hueprobe.scale.engines.running import RESTARTS, Piece, Work, run_pieces
from hueprobe.scale.locks import is_held
from hueprobe.scale.merging import merge_matches
from hueprobe.scale.part import Part
from hueprobe.scale.part_search import part_header, part_images, search_part
from hueprobe.scale.search_facts import SearchFacts
from hueprobe.scale.search_files import ENDING
from hueprobe.scale.search_writing import lock_of, remove_part, require_same, unfinished_size

_PART = re.compile(r"[0-9]{4,}-of-([0-9]{4,})\.arrow.*")


def search_in_parts(
    path: str | Path,
    memory: Memory,
    images: Any = None,
    *,
    engine: str,
    n_parts: int | None = None,
    engine_options: Mapping[str, Any] | None = None,
    restarts: int = RESTARTS,
    k: int = 10,
    exclude: str | None = "image",
    backbone: Any = None,
    transform: Any = None,
    weights: Any = None,
    device: str = "auto",
    workers: int | None = None,
    memory_budget: int | None = None,
    eps: float = DEFAULT_EPS,
    overwrite: bool = False,
    progress: bool = False,
) -> SearchFacts:
    """Search a memory in parts by several workers, and merge what they find into one match table.

    The table is that of one search of the whole memory. Files of parts are in a folder beside it,
    `matches.parquet.parts`, and the output of workers in `matches.parquet.logs`, until the table is written.
    A search that is killed goes on when the same call is made again.

    Parameters
    ----------
    path : path
        File to write; its extension is .parquet, .arrow or .csv.
    memory : Memory
        Complete memory; all workers see its folder under the same path.
    images : path, ImageTable, torch Dataset or list of files, optional
        Query images; see `search_part`. By default the memory's own images, in leave-one-out.
    engine : str
        What starts the workers, such as `"local:4"`; see `build_in_parts`.
    n_parts : int, optional
        Number of parts. By default that of the files that are there, or one for each worker.
    engine_options : mapping of str to value, optional
        Options of the engine; see `build_in_parts`.
    restarts : int, default=3
        How often a part is started again in a row after its worker died without searching more.
    k : int, default=10
        Number of neighbors of each query pixel.
    exclude : {"image", "group", None}, default="image"
        What a query may not match.
    backbone, transform, weights : optional
        See `KernelDensityClassifier`.
    device : str, default="auto"
        Where the network and exact search run.
    workers : int, optional
        Number of threads that decode images in each worker. By default its share of the cores.
    memory_budget : int, optional
        Bytes of vectors that each worker may keep in RAM; by default 1 GiB.
    eps : float, default=1e-6
        Epsilon of Eq. (3), a squared distance.
    overwrite : bool, default=False
        Whether to replace the table, and files of parts that are there.
    progress : bool, default=False
        Whether to show a line over all parts.

    Returns
    -------
    SearchFacts
        How the table was searched.

    Raises
    ------
    InputError
        The table exists, files of parts are of another search, or an argument is invalid; or see
        `search_part` and `build_in_parts`.
    MissingDependencyError, WorkerError
        See `build_in_parts`.

    Warns
    -----
    HueprobeWarning
        A worker died, and is started again.

    See Also
    --------
    hueprobe.search_part : Search one part in this process.
    hueprobe.merge_matches : Merge files of parts.

    Examples
    --------
    >>> facts = hp.scale.search_in_parts("found.parquet", memory, engine="local:1", k=5)
    >>> facts.parts, len(hp.read_matches("found.parquet")) == len(matches)
    (1, True)
    """
    name, path, k = EngineName.parse(engine), Path(path), as_count("k", k)
    restarts = as_count("restarts", restarts, least=0)
    n_asked = None if n_parts is None else as_count("n_parts", n_parts)
    exclude = exclude or "none"
    require_choice("exclude", exclude, EXCLUDE)
    if images is None and exclude == "none":
        raise InputError(
            "leave-one-out without exclusion would match each image to itself; use 'image' or 'group'"
        )
    require_suffix(path, "save matches as")
    if not path.parent.is_dir():
        raise InputError(f"folder {path.parent} does not exist; create it first")
    folder, logs = (path.absolute().with_name(path.name + ending) for ending in (".parts", ".logs"))
    if overwrite:
        _remove(folder)
    elif path.exists() and not folder.is_dir():
        raise InputError(
            f"{path} exists; name another output, or replace it with --overwrite (overwrite=True)"
        )
    table = None if images is None else resolve_images(images)
    sides = images_to_json(match_images(memory, memory.images if table is None else table))
    with open_engine(name, options=engine_options or {}, logs=logs, device=device, work="search") as started:
        n = _number_of_parts(folder, memory, n_asked, started)
        with storing(folder):
            folder.mkdir(exist_ok=True)
        settings = {
            "k": k, "exclude": None if exclude == "none" else exclude, "backbone": backbone,
            "transform": transform, "weights": weights, "device": device, "memory_budget": memory_budget,
            "workers": started.decoders if workers is None else workers,
        }  # fmt: skip
        n_queries = memory.n_images if table is None else len(table)
        image_bytes = memory.grid.n_cells * (16 * k + 12)
        pieces = []
        for number in range(1, n + 1):
            part = Part(number, n)
            file = folder / f"{part.number:04d}-of-{n:04d}{ENDING}"
            require_same(file, part_header(memory, table, sides, part=part, k=k, exclude=exclude))
            task = _SearchTask(file, memory.path.absolute(), table, part, settings)
            state = partial(_state, file, n_queries, len(sides), image_bytes)
            pieces.append(Piece(part, task, state, partial(is_held, lock_of(file))))
        run_pieces(pieces, started, Work("search", n_queries, n, logs, restarts), progress=progress)
    files = [piece.task.path for piece in pieces if isinstance(piece.task, _SearchTask)]
    facts = merge_matches(files, path, eps=eps, progress=progress)
    _remove(folder)
    remove_logs(logs)
    return facts


@dataclass(frozen=True)
class _SearchTask:
    """One part, as it goes to a worker."""

    path: Path
    memory: Path
    table: Any
    part: Part
    settings: Mapping[str, Any]

    def __call__(self) -> None:
        search_part(
            self.path, open_memory(self.memory), self.table, part=self.part, progress=True, **self.settings
        )


def _number_of_parts(folder: Path, memory: Memory, asked: int | None, engine: Engine) -> int:
    """Return the number of parts: as asked for, as begun, or one for each worker."""
    begun = {int(match[1]) for file in _files(folder) if (match := _PART.fullmatch(file.name))}
    if begun and asked is not None and begun != {asked}:
        raise InputError(
            f"{folder} holds parts of {max(begun)}, got {asked}; give --parts {max(begun)} (n_parts=), or "
            "replace them with --overwrite (overwrite=True)"
        )
    wanted = asked or (max(begun) if begun else engine.n_parts)
    if wanted is None:
        raise InputError("engine submitit cannot know how many parts to make; give --parts N (n_parts=)")
    part_images(memory, Part(1, 1))
    n = wanted if asked or begun else min(wanted, len(memory.shards))
    part_images(memory, Part(1, n))
    return n


def _state(file: Path, n_queries: int, head: int, image_bytes: int) -> tuple[int, bool]:
    """Return about how many query images are searched, by the bytes in the file, and whether all are."""
    if file.exists():
        return n_queries, True
    return min(n_queries, max(0, unfinished_size(file) - head) // image_bytes), False


def _files(folder: Path) -> Sequence[Path]:
    return [file for file in folder.glob("*") if _PART.fullmatch(file.name)]


def _remove(folder: Path) -> None:
    """Remove the files of parts; files of others are kept, and so is their folder."""
    for file in _files(folder):
        remove_part(file)
    with contextlib.suppress(OSError):
        folder.rmdir()
