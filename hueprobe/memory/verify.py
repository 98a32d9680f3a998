"""Checking a memory against its ledger: every hash, every shape, every id."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hueprobe.errors import HueprobeError
from hueprobe.files import PARTIAL, sha256_of
from hueprobe.memory import headers
from hueprobe.memory import ledger as ledger_file
from hueprobe.memory.steps import label_file, mask_list_file, shard_files, source_file
from hueprobe.memory.store import Memory
from hueprobe.progress import progress_bar

# Files that operating systems put into folders; the lock is empty and always there.
_BYSTANDERS = {".DS_Store", "Thumbs.db", "desktop.ini"}
_OWN = {"lock", ledger_file.FILE_NAME}


@dataclass(frozen=True)
class Verification:
    """Result of `verify_memory`.

    Attributes
    ----------
    n_files, n_bytes : int
        Number and size of the hashed files, without indexes.
    problems : tuple of str
        One sentence per problem; empty if there is none.
    unfinished : str or None
        What remains to be done if the memory is not complete; an outdated ledger looks the same.
    """

    n_files: int
    n_bytes: int
    problems: tuple[str, ...]
    unfinished: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the memory is complete and unchanged since it was written."""
        return not self.problems and self.unfinished is None


def verify_memory(path: str | Path, *, progress: bool = False) -> Verification:
    """Check a memory against its ledger: sizes, hashes, shapes, ids, classes, unit length, and its indexes.

    Parameters
    ----------
    path : path
        Folder of the memory.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Verification
        Damage is reported here, not raised.

    Raises
    ------
    MemoryFormatError
        There is no memory, or one of a newer format.

    See Also
    --------
    hueprobe.open_memory : Checks only sizes and the ledger.

    Examples
    --------
    >>> report = hp.memory.verify_memory("memory")
    >>> report.ok, report.n_files, report.problems
    (True, 5, ())
    """
    folder = Path(path)
    there = _files_in(folder)  # before the ledger is read: a build may be running
    try:
        memory = Memory(folder)
    except OSError as error:
        return Verification(0, 0, (str(error),))
    files = memory.ledger.files
    problems = []
    n_bytes = 0
    with progress_bar(len(files), label="verify", unit="files", enabled=progress) as advance:
        for name, entry in files.items():
            n_bytes += entry.size
            try:
                if sha256_of(folder / name) != entry.sha256:
                    problems.append(f"{folder / name}: its bytes differ from what was written; restore it")
            except OSError as error:
                problems.append(f"{folder / name}: cannot be read: {error.strerror or error}; restore it")
            advance(1)
    if memory.ledger.torn:
        problems.append(f"{folder}: the ledger ends in a partial line; run `hueprobe index` again")
    problems += _unknown_files(memory, there)
    if not problems:
        problems += _content_problems(memory)
    problems += headers.folder_problems(folder, set(memory.ledger.hashes))
    return Verification(len(files), n_bytes, tuple(problems), _unfinished(memory))


def _files_in(folder: Path) -> list[str]:
    """Return the names of all files and links below a folder, without indexes, sorted."""
    found = []
    for where, folders, names in os.walk(folder):
        below = Path(where).relative_to(folder)
        if below == Path():
            folders[:] = [name for name in folders if name != headers.FOLDER]
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        found += [(below / name).as_posix() for name in (*names, *links) if name not in _BYSTANDERS]
    return sorted(found)


def _unknown_files(memory: Memory, there: list[str]) -> list[str]:
    """Report files that do not belong to a memory; those of a running or killed build do."""
    known = _OWN | memory.ledger.files.keys()
    if not memory.complete:
        ledger = memory.ledger
        coming = {*shard_files(len(ledger.shards), memory.settings.dtype), source_file(len(ledger.lists))}
        if memory.has_labels:
            coming |= {label_file(len(ledger.shards)), mask_list_file(len(ledger.lists))}
        known |= coming | {name + PARTIAL for name in coming}
    return [
        f"{memory.path / name}: not in the memory's ledger; remove it" for name in there if name not in known
    ]


def _unfinished(memory: Memory) -> str | None:
    if memory.complete:
        return None
    return (
        f"{memory.path}: {memory.n_images} of {memory.ledger.n_listed} images are stored, and the ledger has "
        "no closing line; run its `hueprobe index` again"
    )


def _content_problems(memory: Memory) -> list[str]:
    """Check what hashes cannot: that rows, energies and images agree with each other."""
    problems = []
    try:
        if len(memory.images) != memory.n_images:
            problems.append(f"{memory.path}: {len(memory.images)} images listed, {memory.n_images} stored")
        if memory.records["image"].to_pylist() != list(range(memory.n_images)):
            problems.append(f"{memory.path}: image ids are not 0..{memory.n_images - 1} in order")
        if memory.valid_per_image[~memory.readable].any():
            problems.append(f"{memory.path}: an unreadable image has activations")
        energy = memory.energy()
        if not np.isfinite(energy).all() or (energy < 0).any():
            problems.append(f"{memory.path}: an energy is negative, NaN or infinite")
        if memory.has_labels:
            problems += _label_problems(memory)
        valid = memory.valid()
        for first, rows in memory.raw_blocks(16_384):
            norms = np.sqrt(np.square(rows.astype(np.float32)).sum(axis=1))
            unit = np.abs(norms - 1) < 2e-3
            if not np.where(valid[first : first + len(rows)], unit, norms == 0).all():
                problems.append(
                    f"{memory.path}: vectors near id {first} do not have the length that their energy implies"
                )
                break
    except HueprobeError as error:
        problems.append(str(error))
    return problems


def _label_problems(memory: Memory) -> list[str]:
    """Check that images and masks agree: an unreadable image has no labels."""
    problems = []
    if memory.masks["image"].to_pylist() != list(range(memory.n_images)):
        problems.append(f"{memory.path}: the masks are not those of images 0 to {memory.n_images - 1}")
    for shard in memory.shards:
        rows = np.arange(shard.start, shard.stop)
        if memory.label_counts(rows[~memory.readable[rows]]).any():
            problems.append(f"{memory.path}: an unreadable image has labels")
            break
    return problems
