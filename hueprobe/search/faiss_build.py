"""The build of a FAISS index: a sample trains it, pieces of the memory are added; a stopped build goes on.

What a build keeps in its folder until the index is whole: `build.json`, what the files belong to;
`trained.faiss`, the trained index without vectors; and the inverted lists of one piece of the memory after
the other, `FIRST-STOP.lists`, named by their vector ids. Each appears completely or not at all. Every build
reads the trained index back, so that all add to the same one.
"""

import contextlib
import importlib.metadata
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import UNSET, UnsetType

from hueprobe.errors import HueprobeError, HueprobeWarning, SearcherError
from hueprobe.memory.headers import IndexTraining
from hueprobe.progress import progress_bar
from hueprobe.search.approximate import n_threads
from hueprobe.search.faiss import FILE_NAME, FaissBuild, first_line, on_gpus
from hueprobe.search.spec import SearcherSpec
from hueprobe.search.unfinished import BuildRecord, read_build, write_build

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory

TRAINED = "trained.faiss"
BLOCK = 16_384  # vectors handed to FAISS at a time
PIECE_BYTES, _PIECE_VECTORS = 256 << 20, 1 << 20  # of the lists that are in RAM at a time
_SEED = 0
_TRAINING_VECTORS, _PER_LIST = 262_144, 64
_IDS_AT_A_TIME = 1 << 24


def build_faiss(
    memory: "Memory", spec: SearcherSpec, folder: Path, package: str, *, progress: bool = False
) -> None:
    """Build the index of a memory's nonzero vectors in `folder`, reproducibly.

    Parameters
    ----------
    memory : Memory
        The memory.
    spec : SearcherSpec
        Gives the factory string and the size of the training sample.
    folder : Path
        An empty folder, or one that an earlier call left; what belongs to another build is removed.
    package : str
        Name of the package of FAISS, for its version.
    progress : bool, default=False
        Whether to show progress bars.
    """
    build, valid = FaissBuild(spec, memory.n_channels), memory.valid()
    n_vectors = int(valid.sum())
    n_training = min(spec.train or max(_TRAINING_VECTORS, _PER_LIST * build.n_lists), n_vectors)
    training: IndexTraining | UnsetType = UNSET
    if build.needs_training:
        training = IndexTraining(n_vectors=n_training, seed=_SEED, device="gpu" if on_gpus() else "cpu")
        _require_enough(build, spec, n_training)
    record = BuildRecord(
        spec=spec.index,
        ledger=memory.ledger.tip,
        n_channels=memory.n_channels,
        library={package: importlib.metadata.version(package)},
        training=training,
    )
    if not record.continues(read_build(folder)):
        for file in folder.iterdir():
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        write_build(folder, record)
    if (folder / FILE_NAME).exists():
        return
    if build.needs_training and not (folder / TRAINED).exists():
        vectors = _sample(memory, valid, n_training, progress=progress)
        with progress_bar(n_training, label="faiss: train", unit="vectors", enabled=progress) as advance:
            with _refusals(spec, n_vectors):
                build.train(vectors, threads=n_threads() if n_training > _TRAINING_VECTORS else 1)
            advance(n_training)
        del vectors
        build.write(folder / TRAINED)
    if (folder / TRAINED).exists():
        build.read(folder / TRAINED)
    if build.by_pieces and build.has_plain_lists():
        with _refusals(spec, n_vectors), build.adding():
            pieces = _add_by_pieces(build, memory, valid, folder, progress=progress)
        _join(build, pieces, n_vectors, folder / FILE_NAME, progress=progress)
        return
    with (
        progress_bar(memory.n_slots, label="faiss: add", unit="vectors", enabled=progress) as advance,
        _refusals(spec, n_vectors),
    ):
        for first, block in memory.blocks(BLOCK):
            _add(build, valid, first, block)
            advance(len(block))
    build.write(folder / FILE_NAME)


def _require_enough(build: FaissBuild, spec: SearcherSpec, n_training: int) -> None:
    """Raise or warn if the training sample is too small for the lists; FAISS would print a warning."""
    more = "use fewer lists" if spec.train is None else "use fewer lists, or a larger train="
    if n_training < build.n_lists:
        raise SearcherError(
            f"FAISS cannot build {spec.build!r}: its {build.n_lists} lists need at least as many training "
            f"vectors, but there are {n_training}; {more}, or --searcher exact"
        )
    if n_training < build.fewest:
        warnings.warn(
            f"{spec.build!r} should be trained with at least {build.fewest} vectors, 39 for each centroid, "
            f"but there are {n_training}; {more} or shorter codes",
            HueprobeWarning,
            stacklevel=2,
        )


def _sample(memory: "Memory", valid: np.ndarray, n: int, *, progress: bool) -> np.ndarray:
    """Return n vectors drawn from the nonzero ones, in order of their ids; the others stay on disk."""
    ids = _drawn_ids(valid, n)
    vectors = np.empty((n, memory.n_channels), np.float32)
    with progress_bar(n, label="faiss: read the sample", unit="vectors", enabled=progress) as advance:
        for start in range(0, n, BLOCK):
            part = ids[start : start + BLOCK]
            vectors[start : start + len(part)] = memory.vectors(part)
            advance(len(part))
    return vectors


def _drawn_ids(valid: np.ndarray, n: int) -> np.ndarray:
    """Draw n ids of nonzero vectors, ascending; all ids are never in RAM."""
    n_valid = int(valid.sum())
    if n >= n_valid:
        return np.flatnonzero(valid)
    drawn = np.sort(np.random.default_rng(_SEED).choice(n_valid, n, replace=False))
    ids, before = np.empty(n, np.int64), 0
    for start in range(0, len(valid), _IDS_AT_A_TIME):
        here = start + np.flatnonzero(valid[start : start + _IDS_AT_A_TIME])
        first, last = np.searchsorted(drawn, [before, before + len(here)])
        ids[first:last] = here[drawn[first:last] - before]
        before += len(here)
    return ids


def _add(build: FaissBuild, valid: np.ndarray, first: int, block: np.ndarray) -> None:
    offsets = np.flatnonzero(valid[first : first + len(block)])
    build.add(block[offsets], first + offsets)


def _add_by_pieces(
    build: FaissBuild, memory: "Memory", valid: np.ndarray, folder: Path, *, progress: bool
) -> list[Path]:
    """Add all vectors that earlier builds did not, and return the files of all pieces, in order."""
    most = min(_PIECE_VECTORS, PIECE_BYTES // build.bytes_each)
    pieces = sorted(folder.glob("*.lists"))
    start = int(pieces[-1].stem.partition("-")[2]) if pieces else 0
    with progress_bar(
        memory.n_slots, label="faiss: add", unit="vectors", done=start, enabled=progress
    ) as advance:
        for first, block in memory.blocks(BLOCK, start=start):
            _add(build, valid, first, block)
            stop = first + len(block)
            advance(len(block))
            if stop - start + BLOCK > most or stop == memory.n_slots:
                pieces.append(folder / f"{start:015d}-{stop:015d}.lists")
                build.write_lists(pieces[-1])
                build.empty()
                start = stop
    return pieces


def _join(build: FaissBuild, pieces: list[Path], n_vectors: int, path: Path, *, progress: bool) -> None:
    with progress_bar(n_vectors, label="faiss: write", unit="vectors", enabled=progress) as advance:
        for n in build.write_joined(pieces, path):
            advance(n)


@contextlib.contextmanager
def _refusals(spec: SearcherSpec, n_vectors: int) -> Iterator[None]:
    """Replace an error of FAISS by a SearcherError."""
    try:
        yield
    except HueprobeError:
        raise
    except RuntimeError as error:
        raise SearcherError(
            f"FAISS cannot build {spec.build!r} from {n_vectors} vectors ({first_line(error)}); "
            "use fewer lists, or --searcher exact"
        ) from None
