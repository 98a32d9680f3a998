"""Removing the parts of a memory: what hueprobe wrote into their folder; files of others stay."""

import contextlib
from pathlib import Path

from hueprobe.files import storing
from hueprobe.memory.files import LOCK
from hueprobe.memory.in_parts import parts_folder
from hueprobe.memory.writer import remove_memory
from hueprobe.scale.folders import FILE_NAME, PART_NAME, whole_folder


def part_folders(path: Path) -> list[Path]:
    """Return the folders that have the name of a part, sorted."""
    found = [folder for folder in parts_folder(path).glob("*-of-*") if PART_NAME.fullmatch(folder.name)]
    return sorted(folder for folder in found if folder.is_dir())


def remove_parts(path: Path) -> bool:
    """Remove all parts of a memory, and their folder if it is then empty; return whether it is gone.

    The caller holds the parts alone. A removal that is killed can be repeated.

    Raises
    ------
    StorageError
        A file cannot be removed.
    """
    folder = parts_folder(path)
    for part in part_folders(path):
        remove_memory(part)
    if whole_folder(path).is_dir():
        remove_memory(whole_folder(path))
    with storing(folder):
        (folder / FILE_NAME).unlink(missing_ok=True)
        (folder / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # files of others are kept, and so is their folder
        folder.rmdir()
    return not folder.exists()
