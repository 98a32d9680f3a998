"""Below which folders the images of a table may lie that came with others' data.

A table that a user names may list any file that the user may read; one that lies among the data sets, where
archives are unpacked, may not. Its own folder always counts. A user adds folders by the environment
variables `HUEPROBE_ROOTS` (several, joined as in `PATH`) and `HUEPROBE_DATA`, which holds data sets. Links
are resolved.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from hueprobe.images.paths import common_folder
from hueprobe.images.table import ImageTable

ROOTS = "HUEPROBE_ROOTS"
DATA = "HUEPROBE_DATA"


def trusted_folders(folder: str) -> list[str]:
    """Return the folders below which the images of a table in `folder` may lie, links resolved."""
    named = [*os.environ.get(ROOTS, "").split(os.pathsep), os.environ.get(DATA, "")]
    return [os.path.realpath(name) for name in (folder, *named) if name]


class Below:
    """Whether files lie below one of some folders, links resolved; each folder is looked up once.

    Parameters
    ----------
    folders : sequence of str
        Absolute, links resolved.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._resolved: dict[str, str] = {}

    def __call__(self, file: str) -> bool:
        """Whether this absolute file does."""
        if "\0" in file:
            return True  # it names no file anywhere
        above, name = os.path.split(file)
        if above not in self._resolved:
            self._resolved[above] = os.path.realpath(above)
        where = os.path.realpath(file) if os.path.islink(file) else os.path.join(self._resolved[above], name)
        return any(os.path.commonpath([where, folder]) == folder for folder in self._folders)


def outside_of(table: ImageTable, path: str | Path) -> str | None:
    """Return the folder of a table's images where not all lie below that of the table's file, else None.

    Parameters
    ----------
    table : ImageTable
        Of files.
    path : path
        Of the table's own file.
    """
    files = [os.path.abspath(table.file(i)) for i in range(len(table))]
    is_below = Below([os.path.realpath(os.path.dirname(os.path.abspath(path)))])
    return None if all(map(is_below, files)) else common_folder(files)
