"""Normalization of names (composed Unicode, NFC, without space at the ends) and of paths on disk.

Otherwise two names that look the same would be two classes: archives of one system contain 'café' decomposed
(NFD), those of another composed, and spreadsheets contain 'cat '.
"""

import os
import unicodedata
import warnings
from collections.abc import Iterable, Mapping

from hueprobe.errors import HueprobeWarning

_SHOWN = 5  # names in one warning


def normal_name(name: str) -> str:
    """Return a name in composed form (NFC) without space at its ends.

    >>> normal_name(" cafe\u0301 ") == "café"
    True
    """
    return name.strip() if name.isascii() else unicodedata.normalize("NFC", name).strip()


def normalized(values: Iterable[str | None]) -> dict[str | None, str | None]:
    """Return the normal form of each distinct value that is not normal; None for one of only spaces."""
    found: dict[str | None, str | None] = {}
    for value in set(values):
        if isinstance(value, str) and value != (normal := normal_name(value)):
            found[value] = normal or None
    return found


def warn_of_names(changed: Mapping[str, Mapping[str | None, str | None]], *, stacklevel: int) -> None:
    """Report in one warning which names were normalized.

    Parameters
    ----------
    changed : mapping of str to mapping
        Results of `normalized` by kind of name, such as "class".
    stacklevel : int
        Stack level of the caller, as in `warnings.warn`.
    """
    pairs = [
        (what, old, new) for what, names in changed.items() for old, new in sorted(names.items(), key=str)
    ]
    if not pairs:
        return
    shown = [f"{what} {old!a} is {'no value' if new is None else repr(new)}" for what, old, new in pairs]
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    warnings.warn(
        f"names are normalized to Unicode NFC without space at the ends: {', '.join(shown[:_SHOWN])}{more}",
        HueprobeWarning,
        stacklevel=stacklevel + 1,
    )


class SpelledAs:
    """Finds a name among known ones, whatever its Unicode form.

    Parameters
    ----------
    names : iterable of str
        Known names, which keep their spelling.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._by_form = {_composed(name): name for name in self._names if not name.isascii()}

    def __call__(self, name: str) -> str:
        """Return the known spelling of a name, or the name itself if it is unknown."""
        return name if name in self._names or name.isascii() else self._by_form.get(_composed(name), name)


class OnDisk:
    """Finds files whose path has another Unicode form than on disk; lists each folder only once."""

    def __init__(self) -> None:
        self._folders: dict[str, SpelledAs] = {}

    def __call__(self, path: str) -> str:
        """Return the path as spelled on disk, or unchanged if it exists or nothing similar does.

        Parameters
        ----------
        path : str
            Absolute or relative path.
        """
        if path.isascii() or "\0" in path or os.path.lexists(path):
            return path
        above, name = os.path.split(path.rstrip(os.sep))
        folder = self(above) if above else above
        found = os.path.join(folder, self._in(folder or os.curdir)(name))
        return found if os.path.lexists(found) else path

    def _in(self, folder: str) -> SpelledAs:
        if folder not in self._folders:
            try:
                names = os.listdir(folder)
            except OSError:
                names = []
            self._folders[folder] = SpelledAs(names)
        return self._folders[folder]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
