"""A draft of a manifest from a folder of one's own images."""

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
    """Return the text of a manifest that describes a folder as it is; what no program knows says so.

    The folder holds class folders, folders named as splits with class folders in them, or images without
    classes; the counts are those of today, so that `verify_set` tells what changes.

    Parameters
    ----------
    folder : path
    checksums : bool
        Also write down the sha256 of each image.
    beside : path, optional
        The folder that the manifest will lie in; images below it are found without a root.

    Raises
    ------
    ImageError
        There is no such folder, or no image in it.
    """
    folder = Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise ImageError(f"no folder at {str(folder)!r}; give one that holds images")
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
            "# Named groups (?P<class>...), (?P<group>...) and (?P<split>...) tell what a path says.",
            "pattern = '(?s:.+)'",
        ]
    if aside := [path for path in files if path not in set(counted)]:
        lines += ["# These are there and are no images of the set.", f"exclude = {_texts(aside)}"]
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
    """Return the set's folder as seen from the manifest's, or else its name; empty where they are one."""
    if beside is not None and folder.is_relative_to(os.path.abspath(beside)):
        below = folder.relative_to(os.path.abspath(beside)).as_posix()
        return "" if below == "." else below
    return folder.name


def _head(name: str) -> list[str]:
    return [
        "# A draft: mend what is in capitals; data_manifests/README.md explains every key.",
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
    """Return how the images lie: by the folders at the top, and whether those hold folders."""
    tops = {path.split("/")[0] for path in images if "/" in path}
    if not tops:
        return "pattern"
    deep = {path.split("/")[0] for path in images if path.count("/") >= 2}
    are_splits = len(tops) > 1 and tops == deep and all(map(is_split_name, tops))
    return "split_folders" if are_splits else "class_folders"


def _text(value: str) -> str:
    """Return a TOML string or quoted key: JSON's escapes, and TOML's for what else is not printable."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _texts(values: list[str]) -> str:
    return "[" + ", ".join(_text(_literal(value)) for value in values) + "]"


def _literal(path: str) -> str:
    """Return a glob that only this path matches."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)
