"""Image tables from folders, from lists of files, and from whatever a user names."""

import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hueprobe.errors import HueprobeWarning, ImageError, InputError
from hueprobe.images.table import ImageTable

PICTURE_ENDINGS = (
    ".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm",
)  # fmt: skip
_MANIFEST = "manifest:"
TABLE_ENDINGS = (".csv", ".parquet")
ACCEPTED = (
    "a folder of class folders, a folder of pictures, a .csv or .parquet table, "
    "picture files, a data manifest's name, a torch Dataset, or 'demo'"
)


def resolve(spec: Any) -> ImageTable:
    """Return the image table of whatever a user names.

    Parameters
    ----------
    spec : str, path, list of paths, torch Dataset or ImageTable
        `"demo"` (for a folder of that name say `"./demo"`), a folder, a CSV or Parquet table, a picture
        file, a data manifest's name (`"dtd"`, `"dtd:2"`) or TOML file, a list of picture files, a Dataset, or
        a table, which comes back as it is. What exists under a manifest's name is taken before it, with a
        warning; `"manifest:dtd"` is always the manifest.

    Raises
    ------
    ImageError
        There is nothing of that name, or nothing in it.
    InputError
        `spec` is none of these.
    """
    if isinstance(spec, ImageTable):
        return spec
    if isinstance(spec, list | tuple):
        return from_paths(spec)
    if not isinstance(spec, str | os.PathLike):
        from hueprobe.images.datasets import from_dataset

        return from_dataset(spec)
    spec = os.fspath(spec)
    if spec == "demo":
        from hueprobe.images.demo_pictures import demo

        return demo()
    if (manifest := manifest_of(spec)) is not None:
        from hueprobe.images.manifests.resolving import from_manifest

        return from_manifest(manifest)
    _warn_of_both(spec)
    if os.path.isdir(spec):
        return from_folder(spec)
    ending = os.path.splitext(spec)[1].lower()
    if ending in TABLE_ENDINGS:
        from hueprobe.images.table_files import from_table

        return from_table(spec)
    if not os.path.lexists(spec):
        raise ImageError(f"no images at {spec!r}; give {ACCEPTED}")
    if ending not in PICTURE_ENDINGS:
        raise ImageError(f"{spec!r} is neither a folder, a table nor a picture; give {ACCEPTED}")
    return from_paths([spec])


def manifest_of(spec: str) -> str | None:
    """Return the data manifest that `spec` names, None where it names none or a path that exists.

    >>> manifest_of("manifest:dtd"), manifest_of("pictures/")
    ('dtd', None)
    """
    from hueprobe.images.manifests.library import ENDING, is_manifest

    name = spec.removeprefix(_MANIFEST)
    if name != spec:
        return name
    is_one = is_manifest(spec) and (spec.endswith(ENDING) or not os.path.lexists(spec))
    return spec if is_one else None


def _warn_of_both(path: str) -> None:
    """Say where a path is taken that is a manifest's name too."""
    from hueprobe.images.manifests.library import is_manifest

    if is_manifest(path) and os.path.lexists(path):
        warnings.warn(
            f"{path!r} is a path here and a data manifest too; the path is taken, "
            f"say '{_MANIFEST}{path}' for the manifest",
            HueprobeWarning,
            stacklevel=3,
        )


def from_folder(path: str | Path) -> ImageTable:
    """List the pictures of a folder of class folders, or of a flat folder.

    A sub-folder with pictures anywhere below it is a class of its own name. Without such a sub-folder the
    pictures beside each other have no class. Pictures are told by their ending (`PICTURE_ENDINGS`, any
    case); hidden files and `__MACOSX` do not count. Links are followed, but not back into a folder on
    the way to them. The order is by class, then by path, by code point.

    Raises
    ------
    ImageError
        There is no such folder, no picture in it, or a part of it cannot be read.
    """
    if not os.path.isdir(path):
        what = "is a file, not a folder" if os.path.exists(path) else "does not exist"
        raise ImageError(f"folder {os.fspath(path)!r} {what}; give {ACCEPTED}")
    root = os.path.abspath(path)
    found = [(tuple(name.split("/")), size) for name, size in _pictures(root)]
    in_classes = sorted(((parts[0], "/".join(parts), size) for parts, size in found if len(parts) > 1))
    flat = sorted(("/".join(parts), size) for parts, size in found if len(parts) == 1)
    if not found:
        endings = " ".join(ending[1:] for ending in PICTURE_ENDINGS)
        raise ImageError(f"no pictures in {os.fspath(path)!r}; their names must end in one of: {endings}")
    if not in_classes:
        return _table([name for name, _ in flat], root, [size for _, size in flat])
    if flat:
        warnings.warn(
            f"{len(flat)} pictures beside the class folders of {os.fspath(path)!r} are left out, "
            f"such as {flat[0][0]!r}; move them into a class folder",
            HueprobeWarning,
            stacklevel=2,
        )
    classes = [name for name, _, _ in in_classes]
    if empty := sorted(set(_folders(root)) - set(classes)):
        warnings.warn(
            f"no picture in class {', '.join(map(repr, empty))}; dropped", HueprobeWarning, stacklevel=2
        )
    return _table([name for _, name, _ in in_classes], root, [size for _, _, size in in_classes], classes)


def from_paths(paths: Sequence[str | Path]) -> ImageTable:
    """List picture files in the order given, without classes.

    Paths in the table are relative to the folder that all files share. A file that is missing keeps
    its place, as an unreadable one does.

    Raises
    ------
    ImageError
        None of the files exists, or one is a folder.
    InputError
        The list is empty, or holds something else than paths.
    """
    if isinstance(paths, str | os.PathLike):
        raise InputError(f"expected a list of picture files, got the single path {os.fspath(paths)!r}")
    if not paths:
        raise InputError("the list of picture files is empty; give at least one")
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"expected a picture file, got {type(path).__name__}; give paths")
        if os.path.isdir(path):
            raise ImageError(f"{os.fspath(path)!r} is a folder; give picture files, or the folder alone")
    files = [os.path.abspath(path) for path in paths]
    sizes = [file_size(file) for file in files]
    if max(sizes) < 0:
        raise ImageError(f"none of {len(files)} picture files exists, the first is {os.fspath(paths[0])!r}")
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


def _pictures(root: str) -> Iterator[tuple[str, int]]:
    """Yield path relative to `root` and size of every picture below it; a dangling link has size -1."""
    pending = [("", frozenset({_identity(os.stat(root))}))]
    while pending:
        folder, above = pending.pop()
        for name in _names(os.path.join(root, folder)):
            path = f"{folder}/{name}" if folder else name
            try:
                info = os.stat(os.path.join(root, path))
            except OSError:
                if _is_picture(name):
                    yield path, -1
                continue
            if stat.S_ISDIR(info.st_mode):
                if (identity := _identity(info)) not in above:  # else a link back up: a cycle
                    pending.append((path, above | {identity}))
            elif stat.S_ISREG(info.st_mode) and _is_picture(name):
                yield path, info.st_size


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not _ignored(name)]
    except OSError as error:
        raise ImageError(f"cannot read folder {folder!r}: {error.strerror}") from None


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURE_ENDINGS
