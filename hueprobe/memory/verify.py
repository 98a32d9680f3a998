"""Proving that a memory is what its ledger says: every hash, every shape, every id."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hueprobe.errors import HueprobeError
from hueprobe.files import PARTIAL, sha256_of
from hueprobe.memory.store import Memory
from hueprobe.progress import progress_bar


@dataclass(frozen=True)
class Verification:
    """What `verify_memory` found.

    Attributes
    ----------
    n_files, n_bytes : int
        What was hashed.
    problems : tuple of str
        One sentence each; empty when all is well.
    """

    n_files: int
    n_bytes: int
    problems: tuple[str, ...]


def verify_memory(path: str | Path, *, progress: bool = False) -> Verification:
    """Check a memory against its ledger: sizes, hashes, shapes, ids, classes, and unit length.

    Damage is reported, not raised; MemoryFormatError is raised where there is no memory at all.
    """
    folder = Path(path)
    try:
        memory = Memory(folder)
    except OSError as error:
        return Verification(0, 0, (str(error),))
    files = memory.ledger.files
    problems = []
    n_bytes = 0
    with progress_bar(len(files), label="verify", unit="files", enabled=progress) as advance:
        for name, entry in files.items():
            n_bytes += entry["size"]
            if sha256_of(folder / name) != entry["sha256"]:
                problems.append(f"{folder / name}: its bytes are not those that were written; restore it")
            advance(1)
    problems += _ledger_problems(memory)
    if not problems:
        problems += _content_problems(memory)
    return Verification(len(files), n_bytes, tuple(problems))


def _ledger_problems(memory: Memory) -> list[str]:
    problems = []
    if memory.ledger.torn:
        problems.append(f"{memory.path}: the ledger ends in half a line; run `hueprobe index` again")
    if memory.complete:
        if memory.ledger.steps[-1]["files"] != memory.ledger.files:
            problems.append(f"{memory.path}: the ledger's closing line names other files than its steps")
        problems += [
            f"{path}: not in the ledger of a complete memory; remove it" for path in _unknown_files(memory)
        ]
    stop = 0
    for number, step in enumerate(memory.ledger.of("shard")):
        if step["number"] != number or step["start"] != stop or step["stop"] <= step["start"]:
            problems.append(f"{memory.path}: shard {step['number']} is out of order in the ledger")
        stop = step["stop"]
    return problems


def _unknown_files(memory: Memory) -> list[Path]:
    known = memory.ledger.files
    found = [*memory.path.glob("shards/*"), *memory.path.glob("source*"), *memory.path.glob(f"*{PARTIAL}")]
    return [path for path in sorted(set(found)) if path.relative_to(memory.path).as_posix() not in known]


def _content_problems(memory: Memory) -> list[str]:
    """Check what hashes cannot: that rows, energies and pictures agree with each other."""
    problems = []
    try:
        if len(memory.images) != memory.n_images:
            problems.append(f"{memory.path}: {len(memory.images)} pictures listed, {memory.n_images} stored")
        if memory.records["image"].to_pylist() != list(range(memory.n_images)):
            problems.append(f"{memory.path}: picture ids are not 0..{memory.n_images - 1} in order")
        if memory.valid_per_image[~memory.readable].any():
            problems.append(f"{memory.path}: an unreadable picture has activations")
        energy = memory.energy()
        if not np.isfinite(energy).all() or (energy < 0).any():
            problems.append(f"{memory.path}: an energy is negative, NaN or infinite")
        valid = memory.valid()
        for first, rows in memory.raw_blocks(16_384):
            norms = np.sqrt(np.square(rows.astype(np.float32)).sum(axis=1))
            unit = np.abs(norms - 1) < 2e-3
            if not np.where(valid[first : first + len(rows)], unit, norms == 0).all():
                problems.append(
                    f"{memory.path}: vectors near id {first} have not the length their energy says"
                )
                break
    except HueprobeError as error:
        problems.append(str(error))
    return problems
