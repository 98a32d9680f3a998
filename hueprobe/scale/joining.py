"""Joining the parts of a memory: files are linked, not copied, and no vector is read.

The memory to be gets one shard after the other, each entered in its ledger as by a build: so it is always a
sound memory, and a join that is killed at any moment continues. It gets its name when it is complete.
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hueprobe.errors import HueprobeWarning, MemoryFormatError
from hueprobe.files import fsync_folder, storing
from hueprobe.memory.contents import read_records, require_sizes
from hueprobe.memory.files import file_entry
from hueprobe.memory.filling import open_filled
from hueprobe.memory.in_parts import parts_folder
from hueprobe.memory.ledger import read_ledger
from hueprobe.memory.settings import FILE_NAME as SETTINGS
from hueprobe.memory.steps import ShardStep, images_file
from hueprobe.memory.store import Memory, open_memory
from hueprobe.memory.writer import MemoryWriter, open_writer, write_records
from hueprobe.progress import progress_bar
from hueprobe.scale.checks import FinishedPart, finished_parts
from hueprobe.scale.folders import Whole, read_parts
from hueprobe.scale.locks import alone
from hueprobe.scale.removing import part_folders, remove_parts


def join(path: str | Path, *, progress: bool = False) -> Memory:
    """Make one memory of its parts, byte for byte that of one undisturbed build, and remove the parts.

    Vectors are neither copied nor read: files are linked, or renamed where the file system has no links. A
    join that is stopped or killed continues with the same call.

    Parameters
    ----------
    path : path
        Folder of the whole memory, as it was given to `build_part`.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Memory
        The whole memory. If it was joined before, and no parts are left, there is nothing to do.

    Raises
    ------
    MemoryFormatError
        A part is missing, not complete, or of another memory; or parts are being built or joined; or there
        are no parts.
    MemoryDamagedError
        A file of a part is damaged or missing.
    ImageError
        No image of any part could be read; all parts are removed.

    Warns
    -----
    HueprobeWarning
        A class has no readable image.

    See Also
    --------
    hueprobe.scale.build_part : Build a part.
    hueprobe.memory.verify_memory : Check every byte of a memory.

    Examples
    --------
    >>> for part in ("1/3", "2/3", "3/3"):
    ...     built = hp.scale.build_part(
    ...         "m", "images", part, backbone=network, layer="3", transform=transform,
    ...         batch_size=4, shard_images=4,
    ...     )
    >>> hp.scale.join("m").complete, hp.memory.verify_memory("m").ok
    (True, True)
    """
    path = Path(path)
    folder = parts_folder(path)
    if not folder.is_dir():
        if (path / SETTINGS).is_file() and read_ledger(path).complete:
            return open_memory(path)
        raise MemoryFormatError(
            f"{path} has no parts ({folder} does not exist); build them with `hueprobe index IMAGES -o "
            f"{path} --part I/N`"
        )
    if (whole := read_parts(path)) is not None:
        finished_parts(whole)  # whatever is missing is said, even if it is being built
    with alone(path) as is_alone:
        if not is_alone:
            raise MemoryFormatError(
                f"another process is building a part of {path} or joins them; wait for it to end, then join"
            )
        whole = read_parts(path)
        if whole is None:
            _require_joined(path)
        else:
            _require_no_memory(path)
            _fill(whole, finished_parts(whole), progress)
            with storing(path):
                whole.folder.rename(path)
                fsync_folder(path.parent)
                fsync_folder(folder)
        if not remove_parts(path):
            warnings.warn(
                f"{folder} has files that are not hueprobe's, and stays; all parts in it are joined",
                HueprobeWarning,
                stacklevel=2,
            )
    return open_filled(path, stacklevel=3)


def _require_no_memory(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise MemoryFormatError(
            f"{path} exists, so its parts cannot be joined there; move or remove it, then join again"
        )


def _require_joined(path: Path) -> None:
    """Raise unless all parts that are left are in the memory, which a killed join has finished."""
    if not (path / SETTINGS).is_file():
        raise MemoryFormatError(
            f"no part of {path} is begun; build the parts with `hueprobe index IMAGES -o {path} --part I/N`"
        )
    there = set(read_ledger(path).files.values())
    for folder in part_folders(path):
        for step in read_ledger(folder).shards:
            records = images_file(step.number)
            if {entry for name, entry in step.files.items() if name != records} - there:
                raise MemoryFormatError(
                    f"{folder} is no part of {path}, which is a memory already; move or remove one of them"
                )


def _fill(whole: Whole, parts: Sequence[FinishedPart], progress: bool) -> None:
    """Add the shards of all parts to the memory to be, after those that are there, and close its ledger."""
    steps = [(part, step) for part in parts for step in part.ledger.shards]
    n_done = len(whole.ledger.shards)
    coming: set[str] = set()  # files of the shard that a killed join was adding: renamed ones are only here
    for number, (part, step) in enumerate(steps[n_done:], n_done):
        names = {name: _renumbered(name, number) for name in step.files}
        if number == n_done:
            coming = {new for new in names.values() if (whole.folder / new).exists()}
        lacking = {name: entry for name, entry in step.files.items() if names[name] not in coming}
        require_sizes(part.folder, lacking)
    with (
        open_writer(whole.folder, whole.settings, kept=coming) as writer,
        progress_bar(len(steps), label="join", unit="shards", done=n_done, enabled=progress) as advance,
    ):
        for part, step in steps[n_done:]:
            _add_shard(writer, part, step)
            advance(1)
        if not writer.ledger.complete:
            writer.complete()


def _add_shard(writer: MemoryWriter, part: FinishedPart, step: ShardStep) -> None:
    """Add one shard of a part: its files as they are, but for the numbers of its images."""
    number, first = len(writer.ledger.shards), part.rows.start
    old_records, records = images_file(step.number), images_file(number)
    files = {_renumbered(name, number): entry for name, entry in step.files.items()}
    with storing(writer.folder):
        for name in sorted(step.files.keys() - {old_records}):
            _link(part.folder / name, writer.folder / _renumbered(name, number))
    found = read_records(part.folder / old_records, step.files[old_records], step.start, step.stop)
    write_records(writer.folder / records, first + step.start, found.to_pylist())
    files[records] = file_entry(writer.folder / records)
    writer.enter(
        msgspec.structs.replace(
            step, number=number, start=first + step.start, stop=first + step.stop, files=files
        )
    )


def _renumbered(name: str, number: int) -> str:
    """Return the name of a shard's file under another number of the shard.

    >>> _renumbered("shards/000002.vectors.npy", 17)
    'shards/000017.vectors.npy'
    """
    return f"shards/{number:06d}.{name.partition('.')[2]}"


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or a new one where the file system has no links."""
    if target.exists():  # from a join that was killed
        if not source.exists():
            return
        target.unlink()
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        source.rename(target)
