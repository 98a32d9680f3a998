"""Image tables of folders and of lists of files."""

import os
import re
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
    """List the images of a folder of class folders, of split folders, or of a flat folder.

    Each sub-folder is a class, with all images anywhere below it. If all sub-folders have names of splits
    (train, training, val, validation, valid, test, testing and similar, in any case), they are splits and
    the folders inside them are classes; a warning reports this. The same holds if all class folders
    contain only folders with such names. Images of a folder without sub-folders have no class.

    Images are recognized by their ending (in any case). Hidden files and `__MACOSX` are ignored. A warning
    counts other ignored files, except texts, tables and the like. Links are followed unless they are
    cyclic. Images are sorted by class, then by path, by code point.

    Parameters
    ----------
    path : path
        The folder.
    splits : bool, optional
        True: the outer folders are splits, whatever their names. False: they are classes, and there are no
        splits. None decides by their names.

    Returns
    -------
    ImageTable
        The images.

    Raises
    ------
    ImageError
        If the folder does not exist, contains no image, or cannot be read in part; or if only some
        folders have names of splits and `splits` is not given.

    Warns
    -----
    HueprobeWarning
        If folders are taken for splits, if files are ignored, or if a class or split is empty.

    See Also
    --------
    hueprobe.images.resolve_images : List the images of any source.
    hueprobe.images.split_table : Split the images at random.

    Examples
    --------
    >>> table = from_folder("images")
    >>> len(table), table.class_names
    (12, ('circle', 'square', 'triangle'))
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
            f"{len(flat)} images beside the {what} folders of {os.fspath(path)!r} are ignored, "
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
    """Warn the caller of `from_folder`."""
    warnings.warn(text, HueprobeWarning, stacklevel=3)


def _layout(images: list[tuple[str, ...]], folder: str, splits: bool | None) -> Layout:
    """Return the layout given by `splits`, or the one that the folders' names show, with a warning."""
    if splits is not None:
        return SPLIT_OVER_CLASS if splits else CLASS_ALONE
    layout = find_layout(images, folder)
    if said := describe_layout(layout, (layout.split_of(parts) or "" for parts in images), folder):
        warnings.warn(said, HueprobeWarning, stacklevel=3)
    return layout


def _warn_of_empty(root: str, layout: Layout, images: list[tuple[str, ...]]) -> None:
    """Warn of class or split folders without images."""
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
    """List image files in the given order, without classes.

    Paths in the table are relative to the deepest folder that contains all files. A missing file keeps
    its row, like an unreadable one.

    Parameters
    ----------
    paths : sequence of path
        Image files, at least one; folders are not allowed.

    Returns
    -------
    ImageTable
        One row per file.

    Raises
    ------
    ImageError
        If none of the files exists, or if one is a folder.
    InputError
        If the list is empty, or contains something other than paths.

    See Also
    --------
    hueprobe.images.from_folder : List all images of a folder.

    Examples
    --------
    >>> from_paths(["images/square/square1.png", "images/circle/circle0.png"]).paths
    ('square/square1.png', 'circle/circle0.png')
    """
    if isinstance(paths, str | os.PathLike):
        raise InputError(f"expected a list of image files, got the single path {os.fspath(paths)!r}")
    if not paths:
        raise InputError("the list of image files is empty; give at least one")
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"expected an image file, got {type(path).__name__}; give paths")
        if os.path.isdir(path):
            raise ImageError(f"{os.fspath(path)!r} is a folder; give image files, or only the folder")
    on_disk = OnDisk()
    files = [on_disk(os.path.abspath(path)) for path in paths]
    sizes = [file_size(file) for file in files]
    if max(sizes) < 0:
        raise ImageError(f"none of {len(files)} image files exists, the first is {os.fspath(paths[0])!r}")
    root = common_folder(files)
    return _table([posix_relative(file, root) for file in files], root, sizes)


def common_folder(files: Sequence[str]) -> str:
    """Return the deepest folder that contains all of these absolute files."""
    return os.path.commonpath([os.path.dirname(file) for file in files])


def posix_relative(file: str, root: str) -> str:
    """Return the path from `root` to an absolute file, with `/` between its parts."""
    above = os.path.join(root, "")
    rest = file[len(above) :] if file.startswith(above) else ""
    if rest and rest[0] != os.sep and normal_path(os.sep + rest) == os.sep + rest:
        return rest.replace(os.sep, "/")
    return os.path.relpath(file, root).replace(os.sep, "/")


def normal_path(file: str) -> str:
    """Return `os.path.normpath` of an absolute path; quick if no part of it is empty or begins with a dot."""
    is_plain = file.startswith(os.sep) and not file.endswith(os.sep) and not _DOTTED.search(file)
    return file if is_plain else os.path.normpath(file)


def file_size(file: str) -> int:
    """Return the size of a regular file in bytes, -1 if there is none."""
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


_DOTTED = re.compile(rf"{re.escape(os.sep)}[.{re.escape(os.sep)}]")


def _ignored(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _folders(root: str) -> Iterator[str]:
    with os.scandir(root) as entries:
        yield from (entry.name for entry in entries if not _ignored(entry.name) and os.path.isdir(entry))


def _images(root: str, others: list[str]) -> Iterator[tuple[str, int]]:
    """Yield the path relative to `root` and the size of every image below it; a dangling link has size -1.

    The names of other files, except those of memories, are appended to `others`.
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
