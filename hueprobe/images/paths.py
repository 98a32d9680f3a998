"""Image tables of folders and of lists of files, and what stands on paths alone."""

import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from hueprobe.errors import HueprobeWarning, ImageError, InputError
from hueprobe.images.endings import begins_as_image, is_image, known_endings, left_out
from hueprobe.images.layout import (
    CLASS_ALONE,
    SPLIT_OVER_CLASS,
    Layout,
    describe_layout,
    find_layout,
    is_split_name,
)
from hueprobe.images.names import OnDisk, normal_name
from hueprobe.images.table import ImageTable

TABLE_ENDINGS = (".csv", ".parquet")
_MEMORY_FILE = "memory.json"
MANIFEST_ENDING = ".toml"  # of a data manifest in a file of its own
ACCEPTED = (
    "a folder of class folders, a folder of images, a .csv or .parquet table, "
    "image files, a data manifest's name, a torch Dataset, or 'demo'"
)


def from_folder(path: str | Path, *, splits: bool | None = None) -> ImageTable:
    """List the images of a folder of class folders, of folders named as splits, or of a flat folder.

    A sub-folder with images anywhere below it is a class of its own name. Where all sub-folders are named
    as splits (train, training, val, validation, valid, test, testing and their like, in any case), they
    are the images' splits and the folders in them are classes, with a warning that says so; likewise where
    all class folders hold nothing but folders of such names. Without a sub-folder the images beside each
    other have no class.

    Images are told by their ending (any case); hidden files and `__MACOSX` do not count, other files that
    are left out are counted in a warning unless they are texts, tables and their like. Links are followed,
    but not back into a folder on the way to them. The order is by class, then by path, by code point.

    Parameters
    ----------
    path : path
        The folder.
    splits : bool, optional
        True: the outer folders are splits, whatever they are called. False: no folder is, so the outer ones
        are classes. By default their names tell.

    Raises
    ------
    ImageError
        There is no such folder, no image in it, or a part of it cannot be read; or some folders are
        named as splits and others beside them are not, and `splits` does not say what they are.
    """
    root = os.path.abspath(path)
    if not os.path.isdir(root):
        root = OnDisk()(root)
    if not os.path.isdir(root):
        what = "is a file, not a folder" if os.path.exists(root) else "does not exist"
        raise ImageError(f"folder {os.fspath(path)!r} {what}; give {ACCEPTED}")
    others: list[str] = []
    found = [(tuple(name.split("/")), size) for name, size in _images(root, others)]
    rest = left_out(others)
    if not found:
        raise ImageError(
            f"no images in {os.fspath(path)!r}; their names must end in one of: {known_endings()}"
            + (f" ({rest})" if rest else "")
        )
    if rest:
        _warn(f"in {os.fspath(path)!r} {rest}")
    in_folders = [(parts, size) for parts, size in found if len(parts) > 1]
    flat = sorted(("/".join(parts), size) for parts, size in found if len(parts) == 1)
    if not in_folders:
        return _table([name for name, _ in flat], root, [size for _, size in flat])
    layout = _layout([parts for parts, _ in in_folders], os.fspath(path), splits)
    if flat:
        what = "class" if layout.split_depth != 0 else "split"
        _warn(
            f"{len(flat)} images beside the {what} folders of {os.fspath(path)!r} are left out, "
            f"such as {flat[0][0]!r}; move them into a {what} folder"
        )
    _warn_of_empty(root, layout, [parts for parts, _ in in_folders])
    rows = sorted(
        (normal_name(layout.class_of(parts) or ""), "/".join(parts), parts, size)
        for parts, size in in_folders
    )
    return _table(
        [name for _, name, _, _ in rows],
        root,
        [size for *_, size in rows],
        [layout.class_of(parts) for _, _, parts, _ in rows],
        [layout.split_of(parts) for _, _, parts, _ in rows],
    )


def _warn(text: str) -> None:
    """Warn whoever called `from_folder`."""
    warnings.warn(text, HueprobeWarning, stacklevel=3)


def _layout(images: list[tuple[str, ...]], folder: str, splits: bool | None) -> Layout:
    """Return what the folders are: as `splits` says, or as their names do, and then say so."""
    if splits is not None:
        return SPLIT_OVER_CLASS if splits else CLASS_ALONE
    layout = find_layout(images, folder)
    if said := describe_layout(layout, (layout.split_of(parts) or "" for parts in images), folder):
        warnings.warn(said, HueprobeWarning, stacklevel=3)
    return layout


def _warn_of_empty(root: str, layout: Layout, images: list[tuple[str, ...]]) -> None:
    """Say which class or split folders hold no image."""
    outer = {parts[0] for parts in images}
    empty = sorted(set(_folders(root)) - outer)
    if layout.split_depth == 0:
        if parts := [name for name in empty if is_split_name(name)]:
            warnings.warn(f"no image in split {_named(parts)}; dropped", HueprobeWarning, stacklevel=3)
        if layout.class_depth is None:
            return
        classes = {normal_name(parts[1]) for parts in images if len(parts) > 2}
        inner = {name for split in outer for name in _folders(os.path.join(root, split))}
        empty = sorted(name for name in inner if normal_name(name) not in classes)
    if empty:
        warnings.warn(f"no image in class {_named(empty)}; dropped", HueprobeWarning, stacklevel=3)


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


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
    on_disk = OnDisk()
    files = [on_disk(os.path.abspath(path)) for path in paths]
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


def _table(
    paths: list[str],
    root: str,
    sizes: list[int],
    classes: Sequence[str | None] | None = None,
    splits: Sequence[str | None] | None = None,
) -> ImageTable:
    none = (None,) * len(paths)
    roots = (root,) * len(paths)
    return ImageTable(tuple(paths), roots, tuple(classes or none), tuple(splits or none), none, tuple(sizes))


def _ignored(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _folders(root: str) -> Iterator[str]:
    with os.scandir(root) as entries:
        yield from (entry.name for entry in entries if not _ignored(entry.name) and os.path.isdir(entry))


def _images(root: str, others: list[str]) -> Iterator[tuple[str, int]]:
    """Yield path relative to `root` and size of every image below it; a dangling link has size -1.

    The names of other files, but for those of memories, go to `others`.
    """
    pending = [("", frozenset({_identity(os.stat(root))}), False)]
    while pending:
        folder, above, in_memory = pending.pop()
        names = _names(os.path.join(root, folder))
        in_memory = in_memory or _MEMORY_FILE in names
        for name in names:
            path = f"{folder}/{name}" if folder else name
            file = os.path.join(root, path)
            try:
                info = os.stat(file)
            except OSError:
                if is_image(name):
                    yield path, -1
                continue
            if stat.S_ISDIR(info.st_mode):
                if (identity := _identity(info)) not in above:  # else a link back up: a cycle
                    pending.append((path, above | {identity}, in_memory))
            elif stat.S_ISREG(info.st_mode):
                if is_image(name):
                    yield path, info.st_size
                elif not in_memory and (os.path.splitext(name)[1] or begins_as_image(file)):
                    others.append(name)


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not _ignored(name)]
    except OSError as error:
        raise ImageError(f"cannot read folder {folder!r}: {error.strerror}") from None


def _identity(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino
