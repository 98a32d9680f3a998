"""Check of untrusted paths (manifests, archives, lists): whether they stay below their folder."""

import os
import re

_LONGEST_NAME, _LONGEST_PATH = 255, 2_000  # bytes of a name; characters of a path without the root


def require_inside(path: str) -> str | None:
    """Return why `path` is not a plain path below a folder, None if it is one.

    Parameters
    ----------
    path : str
        Path to check, with `/` between its parts.

    Examples
    --------
    >>> require_inside("images/a.jpg")
    >>> require_inside("../a.jpg")
    "it has a part '..'"
    """
    if not path:
        return "it is empty"
    if "\x00" in path or "\\" in path:
        return "it contains a backslash or a NUL"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "it is absolute"
    parts = path.split("/")
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError:
        return "it contains a character that is not allowed in file names"
    if longest > _LONGEST_NAME or len(path) > _LONGEST_PATH:
        return "it is too long for file systems"
    bad = [part for part in parts if part in ("", ".", "..")]
    return f"it has a part {bad[0]!r}" if bad else None
