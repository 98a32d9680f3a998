"""Drafts of manifests for a user's own folder of images."""

import json
import os
from collections import Counter
from pathlib import Path

from hueprobe.datasets.listing import files_below
from hueprobe.errors import ImageError
from hueprobe.files import sha256_of
from hueprobe.images.endings import is_image, known_endings
from hueprobe.images.layout import is_split_name
from hueprobe.images.names import normal_name


def draft_manifest(folder: str | Path, *, checksums: bool = False, beside: str | Path | None = None) -> str:
    """Draft a manifest that describes a folder of images.

    The folder contains class folders, folders with names of splits and class folders inside, or images
    without classes. The counts are the current ones, so that `verify_set` reports later changes. Facts that
    only a person knows, such as the license, are marked in capitals.

    Parameters
    ----------
    folder : path
        Folder of the images.
    checksums : bool, default=False
        Whether to record the sha256 of each image.
    beside : path, optional
        Folder where the manifest will be saved; images below it are then found without a root. None if
        that is unknown.

    Returns
    -------
    str
        The manifest, in TOML.

    Raises
    ------
    ImageError
        If the folder does not exist, or contains no image.

    See Also
    --------
    hueprobe.datasets.load_manifest : Read the manifest once it is saved.
    hueprobe.datasets.verify_set : Compare the images with the manifest.

    Examples
    --------
    >>> draft = draft_manifest("images", beside=".")
    >>> with open("shapes.toml", "w") as file:
    ...     _ = file.write(draft)
    >>> hp.datasets.load_manifest("shapes.toml").counts.per_class
    {'circle': 4, 'square': 4, 'triangle': 4}
    """
    folder = Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise ImageError(f"no folder at {str(folder)!r}; give a folder of images")
    problems: list[str] = []
    files = [path for path, _ in files_below(folder, folder, problems)]
    images = [path for path in files if is_image(path)]
    if not images:
        raise ImageError(f"no images in {str(folder)!r}; their names must end in one of: {known_endings()}")
    kind = _kind(images)
    lines = _head(folder.name)
    # An image beside the class folders belongs to none of them.
    depth = {"class_folders": 1, "split_folders": 2, "pattern": 0}[kind]
    counted = [path for path in images if path.count("/") >= depth]
    lines += ["", "[layout]", f"kind = {_text(kind)}"]
    if own := _own_folder(folder, beside):
        lines += [f"folder = {_text(own)}"]
    if kind == "pattern":
        lines += [
            "# Named groups (?P<class>...), (?P<group>...) and (?P<split>...) read them from a path.",
            "pattern = '(?s:.+)'",
        ]
    if aside := [path for path in files if path not in set(counted)]:
        lines += ["# Files in the folder that are not images of the set.", f"exclude = {_texts(aside)}"]
    lines += ["", "[counts]", f"images = {len(counted)}"]
    if kind != "pattern":
        classes = Counter(normal_name(path.split("/")[depth - 1]) for path in counted)
        lines += [f"classes = {len(classes)}"]
        if kind == "split_folders":
            splits = Counter(normal_name(path.split("/")[0]) for path in counted)
            lines += ["", "[counts.splits]", *(f"{_text(name)} = {n}" for name, n in sorted(splits.items()))]
        lines += ["", "[counts.per_class]", *(f"{_text(name)} = {n}" for name, n in sorted(classes.items()))]
    if checksums:
        lines += ["", "[checksums]"]
        lines += [
            f"{_text(path)} = {_text('sha256:' + sha256_of(folder / path))}" for path in sorted(counted)
        ]
    return "\n".join(lines) + "\n"


def _own_folder(folder: Path, beside: str | Path | None) -> str:
    """Return the set's folder relative to the manifest's, or its name; empty if they are the same."""
    if beside is not None and folder.is_relative_to(os.path.abspath(beside)):
        below = folder.relative_to(os.path.abspath(beside)).as_posix()
        return "" if below == "." else below
    return folder.name


def _head(name: str) -> list[str]:
    return [
        "# A draft: fill in what is in capitals; data_manifests/README.md explains every key.",
        f"title = {_text(name or 'A TITLE')}",
        'authors = ["WHO MADE IT"]',
        'task = "WHAT IT IS FOR"',
        "",
        "[licence]",
        'name = "NOT STATED"',
        'access = "private"  # open, research only, on request or private',
        "",
        "[obtain]",
        'way = "by hand"',
        'steps = ["WHOM TO ASK FOR IT"]',
    ]


def _kind(images: list[str]) -> str:
    """Return the kind of layout, from the top folders and whether they contain folders."""
    tops = {path.split("/")[0] for path in images if "/" in path}
    if not tops:
        return "pattern"
    deep = {path.split("/")[0] for path in images if path.count("/") >= 2}
    are_splits = len(tops) > 1 and tops == deep and all(map(is_split_name, tops))
    return "split_folders" if are_splits else "class_folders"


def _text(value: str) -> str:
    """Return a TOML string or quoted key: JSON's escapes, and TOML's for other unprintable characters."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _texts(values: list[str]) -> str:
    return "[" + ", ".join(_text(_literal(value)) for value in values) + "]"


def _literal(path: str) -> str:
    """Return a glob that only this path matches."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
