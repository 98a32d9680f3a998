"""Thumbnails that are made on demand and kept in files, outside the memory and bounded in size.

A thumbnail's file is named by everything that it depends on: the memory's ledger, the image file with its
size and time of change, and the settings. So nothing outdated is ever found, and what is no longer found is
removed in time as the least recently used.
"""

import contextlib
import hashlib
import os
import threading
from pathlib import Path

from hueprobe.explorer.exploration import Explored
from hueprobe.explorer.thumbnails import ThumbnailSettings, thumbnail_bytes
from hueprobe.images.reading import show_image
from hueprobe.images.table import ImageTable

MOST_BYTES = 512 << 20
_LEFT = 0.8  # of the limit, after removing the least recently used
_ENDING = ".webp"


def default_folder() -> Path:
    """Return the user's cache folder for thumbnails."""
    from platformdirs import user_cache_path

    return user_cache_path("hueprobe", appauthor=False, opinion=False) / "thumbnails"


class ThumbnailCache:
    """Thumbnails in files, which several servers may share.

    A folder that cannot be written to only means that thumbnails are made again.

    Parameters
    ----------
    folder : Path
        Folder of the files, made if missing.
    settings : ThumbnailSettings
        Size and quality.
    most_bytes : int, default=512 MiB
        Largest size of all files together.
    """

    def __init__(self, folder: Path, settings: ThumbnailSettings, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._settings, self._most = folder, settings, most_bytes
        self._lock = threading.Lock()
        self._bytes: int | None = None  # of all files; counted when the first is written

    def get(self, explored: Explored, table: ImageTable, i: int) -> bytes:
        """Return the thumbnail of row `i` of a table, as the network of a memory sees the image.

        Parameters
        ----------
        explored : Explored
            The memory and its transform.
        table : ImageTable
            The memory's images, or query images.
        i : int
            Row of the image.

        Returns
        -------
        bytes
            Content of a WebP file.

        Raises
        ------
        ImageError
            The image cannot be read.
        """
        path = self._path(explored, table, i)
        if path is not None and (found := _read(path)) is not None:
            return found
        made = thumbnail_bytes(show_image(table, i), explored.transform, self._settings)
        if path is not None:
            with contextlib.suppress(OSError):
                self._write(path, made)
        return made

    def _path(self, explored: Explored, table: ImageTable, i: int) -> Path | None:
        """Return the file of a thumbnail; None for an image that is no file."""
        if not table.roots[i]:
            return None
        file = table.file(i)
        try:
            state = os.stat(file)
        except OSError:
            return None
        facts = (
            explored.memory.ledger.tip, file, state.st_size, state.st_mtime_ns, self._settings,
            table.value_range,
        )  # fmt: skip
        name = hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()
        return self._folder / name[:2] / (name[2:] + _ENDING)

    def _write(self, path: Path, made: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            partial.write_bytes(made)
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        with self._lock:
            if self._bytes is None:
                self._bytes = sum(size for _, size, _ in self._files())
            else:
                self._bytes += len(made)
            if self._bytes > self._most:
                self._bytes = self._shrink()

    def _files(self) -> list[tuple[int, int, Path]]:
        """Return when each file was last used, its size and its path; of partial files too."""
        found = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):  # another server removed it
                state = path.stat()
                found.append((state.st_mtime_ns, state.st_size, path))
        return found

    def _shrink(self) -> int:
        """Remove the least recently used files, and return the size of the others."""
        files = sorted(self._files())
        left = sum(size for _, size, _ in files)
        for _, size, path in files:
            if left <= _LEFT * self._most:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            left -= size
        return left


def _read(path: Path) -> bytes | None:
    """Return a file that is whole, and mark it as used."""
    try:
        data = path.read_bytes()
        # Files are not flushed one by one: a crash of the machine may leave one of zeros, or half of one.
        if data[:4] != b"RIFF" or int.from_bytes(data[4:8], "little") + 8 != len(data):
            return None
        os.utime(path)
    except OSError:
        return None
    return data
