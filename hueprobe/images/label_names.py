"""The labels of masks: which pixel value is which label, and which values are ignored."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.errors import InputError
from hueprobe.images.names import normal_name

IGNORE = (255,)
MOST_VALUE = 65_535  # of a 16-bit mask
_MOST_BYTES = 1 << 22  # of a file of names
_UNKNOWN, IGNORED = -2, -1


@dataclass(frozen=True)
class LabelSet:
    """The labels of masks, in the order of their ids.

    Attributes
    ----------
    names : tuple of str
        Name of each label, without repeats.
    values : tuple of int
        Pixel value of each label, 0 to 65535.
    ignore : tuple of int, default=(255,)
        Pixel values that are not labeled, in increasing order.

    Raises
    ------
    InputError
        A name or value is invalid or repeated, or a value is both a label and ignored.

    See Also
    --------
    hueprobe.images.label_set : Make one from names or a file of names.

    Examples
    --------
    >>> labels = LabelSet(("sky", "road"), (0, 3))
    >>> labels.of_values(np.array([[0, 3, 255]]))
    array([[ 0,  1, -1]], dtype=int32)
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    ignore: tuple[int, ...] = IGNORE

    def __post_init__(self) -> None:
        """Normalize names; refuse values out of range and repeats."""
        object.__setattr__(self, "names", tuple(normal_name(str(name)) for name in self.names))
        object.__setattr__(self, "values", tuple(map(_pixel_value, self.values)))
        object.__setattr__(self, "ignore", tuple(sorted(set(map(_pixel_value, self.ignore)))))
        if len(self.names) != len(self.values):
            raise InputError(f"{len(self.names)} names for {len(self.values)} labels; give one each")
        for what, given in (("name", self.names), ("value", self.values)):
            if twice := _first_repeated(given):
                raise InputError(f"the label {what} {twice[0]!r} occurs twice; give each label its own")
        if "" in self.names:
            raise InputError(f"label {self.names.index('')} has no name; give each label one")
        for name, value in zip(self.names, self.values, strict=True):
            if value in self.ignore:
                raise InputError(
                    f"the value {value} is the label {name!r} and is ignored too; leave out one of the two"
                )

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self.names)

    def of_values(self, values: np.ndarray) -> np.ndarray:
        """Return the labels of pixel values.

        Parameters
        ----------
        values : array_like of int
            Pixel values of a mask, 0 to 65535.

        Returns
        -------
        ndarray of int32
            Ids of labels; -1 for an ignored value.

        Raises
        ------
        InputError
            A value is neither a label nor ignored.

        Examples
        --------
        >>> LabelSet(("sky", "road"), (1, 2), ignore=(0,)).of_values([2, 0, 1])
        array([ 1, -1,  0], dtype=int32)
        """
        values = np.asarray(values)
        table = np.full(MOST_VALUE + 1, _UNKNOWN, np.int32)
        table[list(self.values)] = np.arange(len(self), dtype=np.int32)
        table[list(self.ignore)] = IGNORED
        labels: np.ndarray = table[values]
        if (labels == _UNKNOWN).any():
            first = int(values[labels == _UNKNOWN].min())
            raise InputError(f"has the value {first}, but {self.in_words}; name it, or ignore it")
        return labels

    @property
    def in_words(self) -> str:
        """Values of the labels and ignored values, in words."""
        n = len(self)
        values = sorted(self.values)
        gapless = n > 2 and values == list(range(values[0], values[0] + n))
        shown = f"{values[0]} to {values[-1]}" if gapless else _few(values)
        ignored = f"{_few(self.ignore)} ignored" if self.ignore else "nothing is ignored"
        return f"the {n} label{'s' if n != 1 else ''} are the values {shown}, {ignored}"


def label_set(
    names: Any = None,
    *,
    ignore: Iterable[int] = IGNORE,
    zero_is_ignore: bool = False,
    found: Iterable[int] = (),
) -> LabelSet:
    """Return the labels of masks from their names.

    Parameters
    ----------
    names : path, sequence of str or mapping of int to str, optional
        A sequence names the values 0, 1, ... (1, 2, ... if 0 is ignored); a mapping names the values that
        are its keys. A path is a text file with one name per line, or a JSON file with a list or an object.
        By default labels are named by their values, those in `found`.
    ignore : iterable of int, default=(255,)
        Pixel values that are not labeled.
    zero_is_ignore : bool, default=False
        Whether 0 is ignored too, so that a sequence of names begins at 1.
    found : iterable of int, default=()
        The pixel values that occur, if no names are given.

    Returns
    -------
    LabelSet

    Raises
    ------
    InputError
        The file cannot be read, or the names do not fit; see `LabelSet`.

    See Also
    --------
    hueprobe.images.pair_masks : Find the masks of images.

    Examples
    --------
    >>> label_set(["wall", "floor"], zero_is_ignore=True)
    LabelSet(names=('wall', 'floor'), values=(1, 2), ignore=(0, 255))
    """
    ignored = {*map(_pixel_value, ignore), *([0] if zero_is_ignore else [])}
    if names is None:
        values: list[int] = sorted({int(value) for value in found} - ignored)
        if not values:
            raise InputError("all pixels of all masks are ignored; change what is ignored")
        return LabelSet(tuple(map(str, values)), tuple(values), tuple(ignored))
    if isinstance(names, str | Path):
        names = _names_in(Path(names))
    if isinstance(names, Mapping):
        pairs = sorted((_pixel_value(value), name) for value, name in names.items())
        values, listed = [value for value, _ in pairs], [name for _, name in pairs]
    else:
        listed = list(names)
        values = list(range(int(zero_is_ignore), int(zero_is_ignore) + len(listed)))
    if not listed:
        raise InputError("there are no label names; give at least one")
    if wrong := [name for name in listed if not isinstance(name, str)]:
        raise InputError(f"the label name {wrong[0]!r} is no text; give names")
    return LabelSet(tuple(listed), tuple(values), tuple(ignored))


def _names_in(path: Path) -> Any:
    """Return the names in a text or JSON file: a list, or a mapping of values to names."""
    shown = os.fspath(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise InputError(f"{shown!r} is too large for label names; give a text or JSON file of names")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{shown!r} is not UTF-8 text; save the label names as UTF-8") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read the label names {shown!r}: {reason}") from None
    if path.suffix.lower() != ".json":
        lines = text.rstrip().splitlines()
        return [line.strip() for line in lines]
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown!r} is not JSON ({error}); give a list of names, or value: name") from None
    if not isinstance(document, list | dict):
        raise InputError(
            f"{shown!r} holds neither a list nor an object; give a list of names, or value: name"
        )
    return document


def _pixel_value(value: Any) -> int:
    text = str(value).strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= MOST_VALUE):
        raise InputError(
            f"{value!r} is no value of a mask's pixel; give whole numbers from 0 to {MOST_VALUE}"
        )
    return int(text)


def _first_repeated(values: Sequence[Any]) -> tuple[Any] | None:
    seen = set()
    for value in values:
        if value in seen:
            return (value,)
        seen.add(value)
    return None


def _few(values: Sequence[int]) -> str:
    shown = [str(value) for value in values[:6]]
    if len(values) > 6:
        shown = [*shown[:4], "...", str(values[-1])]
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
