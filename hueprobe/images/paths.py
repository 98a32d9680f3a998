"""Image tables of folders and of lists of files, and what stands on paths alone."""

import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from hueprobe.errors import HueprobeWarning, ImageError, InputError
from hueprobe.images.table import ImageTable

IMAGE_ENDINGS = (
    ".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm",
)  # fmt: skip
TABLE_ENDINGS = (".csv", ".parquet")
MANIFEST_ENDING = ".toml"  # of a data manifest in a file of its own
ACCEPTED = (
    "a folder of class folders, a folder of images, a .csv or .parquet table, "
    "image files, a data manifest's name, a torch Dataset, or 'demo'"
)


def from_folder(path: str | Path) -> ImageTable:
    """List the images of a folder of class folders, or of a flat folder.

    A sub-folder with images anywhere below it is a class of its own name. Without such a sub-folder the
    images beside each other have no class. Images are told by their ending (`IMAGE_ENDINGS`, any
    case); hidden files and `__MACOSX` do not count. Links are followed, but not back into a folder on
    the way to them. The order is by class, then by path, by code point.

    Parameters
    ----------
    path : path
        The folder.

    Raises
    ------
    ImageError
        There is no such folder, no image in it, or a part of it cannot be read.
    """
    if not os.path.isdir(path):
        what = "is a file, not a folder" if os.path.exists(path) else "does not exist"
        raise ImageError(f"folder {os.fspath(path)!r} {what}; give {ACCEPTED}")
    root = os.path.abspath(path)
    found = [(tuple(name.split("/")), size) for name, size in _images(root)]
    in_classes = sorted(((parts[0], "/".join(parts), size) for parts, size in found if len(parts) > 1))
    flat = sorted(("/".join(parts), size) for parts, size in found if len(parts) == 1)
    if not found:
        endings = " ".join(ending[1:] for ending in IMAGE_ENDINGS)
        raise ImageError(f"no images in {os.fspath(path)!r}; their names must end in one of: {endings}")
    if not in_classes:
        return _table([name for name, _ in flat], root, [size for _, size in flat])
    if flat:
        warnings.warn(
            f"{len(flat)} images beside the class folders of {os.fspath(path)!r} are left out, "
            f"such as {flat[0][0]!r}; move them into a class folder",
            HueprobeWarning,
            stacklevel=2,
        )
    classes = [name for name, _, _ in in_classes]
    if empty := sorted(set(_folders(root)) - set(classes)):
        warnings.warn(
            f"no image in class {', '.join(map(repr, empty))}; dropped", HueprobeWarning, stacklevel=2
        )
    return _table([name for _, name, _ in in_classes], root, [size for _, _, size in in_classes], classes)


def from_paths(paths: Sequence[str | Path]) -> ImageTable:
    """List image files in the order given, without classes.

    Paths in the table are relative to the folder that all files share. A file that is missing keeps
    its place, as an unreadable one does.

    Parameters
    ----------
    paths : sequence of path
        At least one; none of them a folder.

    Raises
    ------
    ImageError
        None of the files exists, or one is a folder.
    InputError
        The list is empty, or holds something else than paths.
    """
    if isinstance(paths, str | os.PathLike):
        raise InputError(f"expected a list of image files, got the single path {os.fspath(paths)!r}")
    if not paths:
        raise InputError("the list of image files is empty; give at least one")
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"expected an image file, got {type(path).__name__}; give paths")
        if os.path.isdir(path):
            raise ImageError(f"{os.fspath(path)!r} is a folder; give image files, or the folder alone")
    files = [os.path.abspath(path) for path in paths]
    sizes = [file_size(file) for file in files]
    if max(sizes) < 0:
        raise ImageError(f"none of {len(files)} image files exists, the first is {os.fspath(paths[0])!r}")
    root = common_folder(files)
    return _table([posix_relative(file, root) for file in files], root, sizes)


def common_folder(files: Sequence[str]) -> str:
    """Return the deepest folder above all of these absolute files."""
    return os.path.commonpath([os.path.dirname(file) for file in files])


def posix_relative(file: str, root: str) -> str:
    """Return the path from `root` to an absolute file, with `/` between its parts."""
    return os.path.relpath(file, root).replace(os.sep, "/")


def file_size(file: str) -> int:
    """Return the bytes of a regular file, -1 where there is none."""
    try:
        info = os.stat(file)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return -1
    return info.st_size if stat.S_ISREG(info.st_mode) else -1


def _table(paths: list[str], root: str, sizes: list[int], classes: list[str] | None = None) -> ImageTable:
    none = (None,) * len(paths)
    roots = (root,) * len(paths)
    return ImageTable(tuple(paths), roots, tuple(classes) if classes else none, none, none, tuple(sizes))


def _ignored(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _folders(root: str) -> Iterator[str]:
    with os.scandir(root) as entries:
        yield from (entry.name for entry in entries if not _ignored(entry.name) and os.path.isdir(entry))


def _images(root: str) -> Iterator[tuple[str, int]]:
    """Yield path relative to `root` and size of every image below it; a dangling link has size -1."""
    pending = [("", frozenset({_identity(os.stat(root))}))]
    while pending:
        folder, above = pending.pop()
        for name in _names(os.path.join(root, folder)):
            path = f"{folder}/{name}" if folder else name
            try:
                info = os.stat(os.path.join(root, path))
            except OSError:
                if _is_image(name):
                    yield path, -1
                continue
            if stat.S_ISDIR(info.st_mode):
                if (identity := _identity(info)) not in above:  # else a link back up: a cycle
                    pending.append((path, above | {identity}))
            elif stat.S_ISREG(info.st_mode) and _is_image(name):
                yield path, info.st_size


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not _ignored(name)]
    except OSError as error:
        raise ImageError(f"cannot read folder {folder!r}: {error.strerror}") from None


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_ENDINGS
