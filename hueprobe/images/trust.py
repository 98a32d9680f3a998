"""Allowed folders for the images of a table that came with third-party data.

A table that a user names may list any file that the user can read. One inside the data folder, where
archives are unpacked, may not: its images must be below its own folder. Users allow more folders by the
environment variables `HUEPROBE_ROOTS` (several, separated like in `PATH`) and `HUEPROBE_DATA`, the folder of
data sets. Links are resolved.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from hueprobe.images.paths import common_folder
from hueprobe.images.table import ImageTable

ROOTS = "HUEPROBE_ROOTS"
DATA = "HUEPROBE_DATA"


def trusted_folders(folder: str) -> list[str]:
    """Return the allowed folders for images of a table in `folder`, with links resolved."""
    named = [*os.environ.get(ROOTS, "").split(os.pathsep), os.environ.get(DATA, "")]
    return [os.path.realpath(name) for name in (folder, *named) if name]


class Below:
    """Tests whether files are below one of some folders, with links resolved; looks up each folder once.

    Parameters
    ----------
    folders : sequence of str
        Absolute paths with links resolved.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._resolved: dict[str, str] = {}

    def __call__(self, file: str) -> bool:
        """Whether this absolute file is below one of the folders."""
        if "\0" in file:
            return True  # no file can have this name
        above, name = os.path.split(file)
        if above not in self._resolved:
            self._resolved[above] = os.path.realpath(above)
        where = os.path.realpath(file) if os.path.islink(file) else os.path.join(self._resolved[above], name)
        return any(os.path.commonpath([where, folder]) == folder for folder in self._folders)


def outside_of(table: ImageTable, path: str | Path) -> str | None:
    """Return the common folder of a table's images, or None if all are below the folder of the table's file.

    Parameters
    ----------
    table : ImageTable
        Table of files.
    path : path
        The table's own file.
    """
    files = [os.path.abspath(table.file(i)) for i in range(len(table))]
    is_below = Below([os.path.realpath(os.path.dirname(os.path.abspath(path)))])
    return None if all(map(is_below, files)) else common_folder(files)
