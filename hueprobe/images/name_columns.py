"""Columns of names that recur, such as classes: a code for each row, and each name once."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hueprobe.images.columns import Column, strings

_UNUSUAL = r"^[\x00-\x20]|[\x00-\x20]$|[^\x00-\x7f]"


class NameColumn(Column[Any]):
    """A column of names that recur, such as classes, or None: each row has the code of its name.

    Parameters
    ----------
    codes : ndarray of int32, shape (n,)
        Position of each row's name in `names`; -1 for None.
    names : pyarrow.StringArray
        Distinct names; not all need to occur.

    Attributes
    ----------
    codes : ndarray of int32, shape (n,)
        The same, read-only.
    """

    def __init__(self, codes: np.ndarray, names: pa.Array) -> None:
        self.codes, self._names = codes.view(), names
        self.codes.setflags(write=False)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        """Return the values as an Arrow array of strings."""
        array = self._names.take(pa.array(self.codes, mask=self.codes < 0))
        return array if type is None else array.cast(type)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each code; not all need to occur."""
        return tuple(self._names.to_pylist())

    def present(self) -> np.ndarray:
        """Return the codes that occur, ascending, without -1."""
        return np.flatnonzero(np.bincount(self.codes + 1, minlength=1)[1:])

    def occurring(self) -> list[str]:
        """Return the names that occur, in no order."""
        found: list[str] = self._names.take(pa.array(self.present())).to_pylist()
        return found

    def unusual(self) -> list[str]:
        """Return the names that are not ASCII, or begin or end with a space or a control character."""
        found: list[str] = self._names.filter(pc.match_substring_regex(self._names, _UNUSUAL)).to_pylist()
        return found

    def positions_in(self, names: Sequence[str]) -> np.ndarray:
        """Return the position of each row's name among some names, int64; -1 for None and other names."""
        position = {name: i for i, name in enumerate(names)}
        of_code = np.full(len(self._names) + 1, -1)
        for code in self.present().tolist() if position else ():
            of_code[code] = position.get(self.names[code], -1)
        positions: np.ndarray = of_code[self.codes]
        return positions

    def counts(self) -> dict[str | None, int]:
        """Return the number of rows of each value that occurs, None included."""
        n = np.bincount(self.codes + 1, minlength=1 + len(self._names))
        found: dict[str | None, int] = {name: int(k) for name, k in zip(self.names, n[1:], strict=True) if k}
        return {**found, **({None: int(n[0])} if n[0] else {})}

    def code(self, name: object) -> int:
        """Return the code of a name; -1 for None, -2 for a value that is not among the names."""
        if name is None:
            return -1
        if "_code_of" not in self.__dict__:
            self.__dict__["_code_of"] = {name: code for code, name in enumerate(self.names)}
        try:
            return int(self.__dict__["_code_of"].get(name, -2))
        except TypeError:  # it has no hash, so it is no string
            return -2

    def renamed(self, new: Mapping[Any, str | None]) -> "NameColumn":
        """Return the column with other names for some of its names; None removes a name."""
        changed = strings([new.get(name, name) for name in self.names]).dictionary_encode()
        code = np.append(_codes(changed), np.int32(-1))
        return NameColumn(code[self.codes], changed.dictionary)

    def take(self, rows: Any) -> "NameColumn":
        """Return some rows; a slice shares the memory."""
        return NameColumn(self.codes[rows], self._names)

    def where(self, value: object) -> np.ndarray:
        """Return which rows have this value, bool."""
        where: np.ndarray = self.codes == self.code(value)
        return where

    @classmethod
    def joined(cls, parts: Sequence["NameColumn"]) -> "NameColumn":
        """Return the rows of several columns, one after the other."""
        names = pa.concat_arrays([part._names for part in parts]).dictionary_encode()
        code, first, codes = _codes(names), 0, []
        for part in parts:
            codes.append(np.append(code[first : first + len(part._names)], np.int32(-1))[part.codes])
            first += len(part._names)
        return cls(np.concatenate(codes), names.dictionary)

    def _value(self, row: int) -> Any:
        code = self.codes[row]
        return None if code < 0 else self._names[int(code)].as_py()

    def _values(self, start: int, stop: int) -> list[Any]:
        names = (*self.names, None)
        return [names[code] for code in self.codes[start:stop].tolist()]

    def _same(self, other: "NameColumn") -> bool:
        if self._names.equals(other._names):
            return np.array_equal(self.codes, other.codes)
        both = NameColumn.joined([self, other])
        return np.array_equal(both.codes[: len(self)], both.codes[len(self) :])


def name_column(values: Any) -> NameColumn:
    """Return a column of strings that recur; see `strings`."""
    if isinstance(values, NameColumn):
        return values
    encoded = strings(values).dictionary_encode()
    return NameColumn(_codes(encoded), encoded.dictionary)


def _codes(encoded: pa.DictionaryArray) -> np.ndarray:
    """Return the codes of an encoded array, int32, -1 for null."""
    codes: np.ndarray = np.asarray(encoded.indices.fill_null(-1)).astype(np.int32, copy=False)
    return codes
