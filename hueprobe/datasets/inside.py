"""Paths from outside (manifests, archives, lists): whether they stay below the folder they start from."""

import os
import re

_LONGEST_NAME, _LONGEST_PATH = 255, 2_000  # bytes of a name; characters, the root's own still to come


def require_inside(path: str) -> str | None:
    """Return why `path` is no plain path below a folder, None where it is one.

    Parameters
    ----------
    path : str

    Examples
    --------
    >>> require_inside("images/a.jpg")
    >>> require_inside("../a.jpg")
    "it has a part '..'"
    """
    if not path:
        return "it is empty"
    if "\x00" in path or "\\" in path:
        return "it holds a backslash or a NUL"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "it is absolute"
    parts = path.split("/")
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError:
        return "it holds a character that no file name has"
    if longest > _LONGEST_NAME or len(path) > _LONGEST_PATH:
        return "it is longer than file systems take"
    bad = [part for part in parts if part in ("", ".", "..")]
    return f"it has a part {bad[0]!r}" if bad else None
