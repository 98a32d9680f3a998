"""Names in one form: Unicode's composed one (NFC), without space at the ends; files found under either form.

Two names that look alike would be two classes: 'café' comes decomposed (NFD) from the archives of one
system and composed from another, and 'cat ' from a spreadsheet.
"""

import os
import unicodedata
import warnings
from collections.abc import Iterable, Mapping

from hueprobe.errors import HueprobeWarning

_SHOWN = 5  # names in one warning


def normal_name(name: str) -> str:
    """Return a name in composed form (NFC) and without space at its ends.

    >>> normal_name(" cafe\u0301 ") == "café"
    True
    """
    return name.strip() if name.isascii() else unicodedata.normalize("NFC", name).strip()


def normalized(values: Iterable[str | None]) -> dict[str | None, str | None]:
    """Return the normal form of each distinct value that is not in it; None for one of nothing but space."""
    found: dict[str | None, str | None] = {}
    for value in set(values):
        if isinstance(value, str) and value != (normal := normal_name(value)):
            found[value] = normal or None
    return found


def warn_of_names(changed: Mapping[str, Mapping[str | None, str | None]], *, stacklevel: int) -> None:
    """Say in one warning which names were brought to normal form.

    Parameters
    ----------
    changed : mapping of str to mapping
        By what they name ("class"), what `normalized` gave.
    stacklevel : int
        As for `warnings.warn`, of the caller.
    """
    pairs = [
        (what, old, new) for what, names in changed.items() for old, new in sorted(names.items(), key=str)
    ]
    if not pairs:
        return
    shown = [f"{what} {old!a} is {'no value' if new is None else repr(new)}" for what, old, new in pairs]
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    warnings.warn(
        f"names are taken in one form, Unicode NFC without space at the ends: "
        f"{', '.join(shown[:_SHOWN])}{more}",
        HueprobeWarning,
        stacklevel=stacklevel + 1,
    )


class SpelledAs:
    """Finds a name among known ones in whichever Unicode form it is given.

    Parameters
    ----------
    names : iterable of str
        The known ones, which keep their spelling.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)
        self._by_form = {_composed(name): name for name in self._names if not name.isascii()}

    def __call__(self, name: str) -> str:
        """Return the known name, or the name as it was given where none is known."""
        return name if name in self._names or name.isascii() else self._by_form.get(_composed(name), name)


class OnDisk:
    """Finds files whose path is spelled in another Unicode form than on disk; each folder is listed once."""

    def __init__(self) -> None:
        self._folders: dict[str, SpelledAs] = {}

    def __call__(self, path: str) -> str:
        """Return the path as it is on disk; as it was given where it is there, or nothing like it is.

        Parameters
        ----------
        path : str
            Absolute or relative.
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
