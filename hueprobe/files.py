"""Files that appear complete or not at all, and their hashes."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hueprobe.errors import HueprobeError, StorageError

PARTIAL = ".partial"
_CHUNK = 1 << 20
_WHAT_TO_DO = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room within your quota",
    errno.EROFS: "choose a folder on a writable disk",
    errno.EACCES: "choose a folder with write permission",
    errno.EPERM: "choose a folder with write permission",
    errno.ENOENT: "restore the folder",
    errno.ENOTDIR: "restore the folder",
    errno.ESTALE: "restore the folder",
    errno.EIO: "check the disk or its connection",
}


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Replace an OSError while writing `path` by a StorageError with a clear message.

    Raises
    ------
    StorageError
        Replaces any other OSError. It names the file, the system's reason, and what to do.
    """
    try:
        yield
    except HueprobeError:
        raise
    except OSError as error:
        named = str(error.filename or path)
        where = path if named.startswith(str(path)) else named
        advice = _WHAT_TO_DO.get(error.errno or 0, "fix this")
        raise StorageError(
            f"cannot write {where}: {error.strerror or error}; {advice} and run the same again: "
            "finished work is kept"
        ) from error


def fsync_folder(folder: Path) -> None:
    """Make new and renamed files in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make a file durable that another library wrote."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; on success flush it and rename it to `path`.

    Raises
    ------
    StorageError
        The file could not be written or made durable; `path` is then unchanged.
    """
    partial = path.with_name(path.name + PARTIAL)
    with storing(path):
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):  # report the first error
                partial.unlink()
            raise
        fsync_folder(path.parent)


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    return digest_of(path, "sha256")


def digest_of(path: Path, kind: str) -> str:
    """Return the hex digest of a file's bytes, `kind` being a name that hashlib knows, such as "md5"."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
