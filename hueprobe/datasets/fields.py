"""Typed reading of one TOML table: every refusal names the file, the key and what is allowed."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit

from hueprobe.errors import ManifestError, nearest_names

_KINDS = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
_LONGEST_NAME, _LONGEST_PATH = 255, 2_000  # bytes of a name; characters, the root's own still to come


def require_inside(path: str) -> str | None:
    """Return why `path` is no plain path below a folder, None where it is one.

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


class Fields:
    """The keys of one TOML table, taken one by one; `close` refuses those that nobody took.

    Parameters
    ----------
    values : mapping
        The table as tomllib gives it.
    file : str
        Named in every error.
    key : str
        Dotted place of the table in the file; empty at the top.
    """

    def __init__(self, values: Mapping[str, Any], *, file: str, key: str = "") -> None:
        self._values = values
        self._file = file
        self._key = key
        self._known: list[str] = []

    def fail(self, name: str, said: str) -> NoReturn:
        """Raise ManifestError about key `name` of this table."""
        raise ManifestError(f"{self._file}: {self._dotted(name)}: {said}")

    def has(self, name: str) -> bool:
        """Whether the key is there; it counts as known from now on."""
        self._known.append(name)
        return name in self._values

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string that is not empty; without a default the key must be there."""
        value = self._value(name, str, default)
        if not value.strip() and value != default:
            self.fail(name, "the string is empty; write something or leave the key out")
        return str(value)

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...]:
        """Return a list of strings, none of them empty."""
        values = self._value(name, list, None if required else [])
        for value in values:
            if not isinstance(value, str) or not value.strip():
                self.fail(name, f"{value!r} in the list; every item must be a string that is not empty")
        return tuple(values)

    def number(
        self, name: str, default: int | None = None, *, minimum: int = 0, maximum: int = 1 << 62
    ) -> int:
        """Return a whole number from `minimum` to `maximum`."""
        value = self._value(name, int, default)
        if value > maximum:
            self.fail(name, f"{value} is above {maximum}, the most that is allowed")
        if value < minimum and name in self._values:
            self.fail(name, f"{value} is below {minimum}, the least that is allowed")
        return int(value)

    def real(self, name: str, default: float | None = None, *, above: float | None = None) -> float:
        """Return a finite number, greater than `above`."""
        value = float(self._value(name, float, default))
        if not abs(value) < float("inf") or (above is not None and not value > above):
            self.fail(
                name,
                f"{value:g} is not allowed; give a number"
                + (f" above {above:g}" if above is not None else ""),
            )
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false."""
        return bool(self._value(name, bool, default))

    def choice(self, name: str, allowed: Iterable[str], default: str | None = None) -> str:
        """Return one of the allowed strings."""
        allowed = list(allowed)
        value = self._value(name, str, default)
        if value not in allowed:
            self.fail(name, f"{value!r} is not one of: {', '.join(allowed)}")
        return str(value)

    def path(self, name: str, default: str | None = None) -> str:
        """Return a relative POSIX path that stays below the folder it starts from."""
        value = self.text(name, default)
        if value != default and (why := require_inside(value)):
            self.fail(
                name, f"the path {value!r} is not allowed, {why}; give one below the set's folder, with /"
            )
        return value

    def url(self, name: str, default: str | None = None) -> str:
        """Return an http or https address."""
        value = self.text(name, default)
        try:
            parts = urlsplit(value)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:  # a bracket that is no IPv6 address
            is_address = False
        if value != default and not is_address:
            self.fail(name, f"{value!r} is no address; it must begin with http:// or https://")
        return value

    def digest(self, name: str, length: int) -> str | None:
        """Return a hexadecimal checksum of so many characters in lower case, None where there is none."""
        value = self.text(name, "")
        if value and not re.fullmatch(f"[0-9a-f]{{{length}}}", value):
            self.fail(name, f"{value!r} is no checksum; give {length} characters 0-9 a-f")
        return value or None

    def regex(self, name: str, default: str | None = None) -> str:
        """Return a regular expression that Python's `re` takes."""
        value = self.text(name, default)
        try:
            re.compile(value)
        except (re.error, OverflowError, RecursionError) as error:
            self.fail(name, f"{value!r} is no regular expression: {error}")
        return value

    def mapping(self, name: str) -> dict[str, str]:
        """Return a table of strings; empty where there is none."""
        values = self._value(name, dict, {})
        for key, value in values.items():
            if not isinstance(value, str) or not value.strip():
                self.fail(f"{name}.{key}", f"is {value!r}; give a string that is not empty")
        return dict(values)

    def whole_numbers(self, name: str) -> dict[str, int]:
        """Return a table of whole numbers of 0 or more; empty where there is none."""
        values = self._value(name, dict, {})
        for key, value in values.items():
            if type(value) is not int or value < 0:
                self.fail(f"{name}.{key}", f"is {value!r}; give a whole number of 0 or more")
        return dict(values)

    def raw(self, name: str, default: Any = None) -> Any:
        """Return the value as it is, whatever its type."""
        self._known.append(name)
        return self._values.get(name, default)

    def table(self, name: str) -> "Fields":
        """Return the fields of a sub-table; an absent one is empty."""
        return Fields(self._value(name, dict, {}), file=self._file, key=self._dotted(name))

    def tables(self, name: str) -> "list[Fields]":
        """Return the fields of each table of an array of tables."""
        values = self._value(name, list, [])
        for i, value in enumerate(values):
            if not isinstance(value, dict):
                self.fail(
                    f"{name}.{i}", f"is {value!r}; write it as [[{self._dotted(name)}]] with its keys below"
                )
        return [
            Fields(value, file=self._file, key=f"{self._dotted(name)}.{i}") for i, value in enumerate(values)
        ]

    def close(self) -> None:
        """Refuse keys that nobody asked for; the message lists what is allowed here."""
        for name in self._values:
            if name not in self._known:
                near = nearest_names(name, self._known, n=1)
                allowed = ", ".join(dict.fromkeys(self._known))
                self.fail(name, f"unknown key; did you mean {near[0]!r}? Allowed here: {allowed}")

    def _dotted(self, name: str) -> str:
        return f"{self._key}.{name}" if self._key else name

    def _value(self, name: str, kind: type, default: Any) -> Any:
        self._known.append(name)
        if name not in self._values:
            if default is None:
                self.fail(name, f"is missing; give {_KINDS.get(kind, 'a table')}")
            return default
        value = self._values[name]
        if kind is float and type(value) is int:
            return value
        if type(value) is not kind:
            self.fail(name, f"is {_short(value)}; give {_KINDS.get(kind, 'a table')}")
        return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
