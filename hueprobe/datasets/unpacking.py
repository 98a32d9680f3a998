"""Unpacking of untrusted archives: only plain files, and only inside the folder."""

import errno
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hueprobe.datasets.inside import require_inside
from hueprobe.errors import DownloadError, HueprobeError
from hueprobe.images.limits import UNPACKED, max_unpacked

_CHUNK = 1 << 20
ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError,
    NotImplementedError, ValueError, struct.error, IndexError, MemoryError, OverflowError, RuntimeError,
)  # fmt: skip


def is_archive(name: str) -> bool:
    """Whether a file's name has the ending of an archive that `unpack` supports."""
    return name.lower().endswith(ARCHIVE_ENDINGS)


def unpack(archive: Path, folder: Path) -> int:
    """Unpack a tar or zip archive into `folder` and return the number of files.

    Only folders and plain files are created, without the archive's owners and permissions.

    Raises
    ------
    DownloadError
        If a member leads out of `folder` (absolute, `..`) or is a link or a device; if the archive is damaged
        or truncated; or if its content exceeds `limits.max_unpacked`. Files unpacked before the error remain,
        so unpack into a separate folder.
    """
    n_files = 0
    left = max_unpacked(archive.stat().st_size)
    try:
        for name, content in _members(archive):
            path = folder.joinpath(*name.split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                while chunk := content.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise DownloadError(
                            f"archive {archive.name!r} unpacks to more bytes than allowed, at {name!r}; if "
                            f"you trust it, increase {UNPACKED}"
                        )
                    file.write(chunk)
            n_files += 1
    except FileExistsError:
        raise DownloadError(f"archive {archive.name!r} contains {name!r} twice; it is not used") from None
    except HueprobeError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        reason = error.strerror or str(error)
        raise DownloadError(
            f"archive {archive.name!r} cannot be unpacked: {reason}; fetch it again"
        ) from None
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DownloadError(
            f"archive {archive.name!r} is damaged or truncated: {reason}; fetch it again"
        ) from None
    if not n_files:
        raise DownloadError(f"archive {archive.name!r} contains no file; fetch it again")
    return n_files


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if archive.name.lower().endswith(".zip"):
        yield from _zip_members(archive)
    else:
        yield from _tar_members(archive)


def _tar_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            name = _inside(member.name, archive)
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                raise DownloadError(
                    f"archive {archive.name!r} contains {member.name!r}, a link or a device; "
                    "it is not unpacked"
                )
            yield name, content
        # tarfile accepts an archive that ends between two members; a complete one ends in zeros.
        assert tar.fileobj is not None  # it was opened from a file
        if tar.fileobj.tell() <= tar.offset:
            raise DownloadError(f"archive {archive.name!r} is truncated: it has no end mark; fetch it again")


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            name = _inside(member.filename, archive)
            if member.is_dir():
                continue
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DownloadError(
                    f"archive {archive.name!r} contains {member.filename!r}, a link; it is not unpacked"
                )
            with file.open(member) as content:
                yield name, content


def _inside(name: str, archive: Path) -> str:
    plain = (
        "/".join(part for part in name.split("/") if part not in ("", "."))
        if not name.startswith("/")
        else name
    )
    if plain and (why := require_inside(plain)):
        raise DownloadError(
            f"archive {archive.name!r} contains {name!r}, which is not allowed: {why}; it is not unpacked"
        )
    return plain
