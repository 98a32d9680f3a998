"""Immutable columns of an image table: like tuples, but held in arrays instead of one object per row."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Self, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hueprobe.errors import ImageError

T = TypeVar("T", covariant=True)

_STEP = 65_536  # rows that are Python objects at a time
_SHOWN_WHOLE, _SHOWN = 1_000, 3  # rows of a short column, and first rows of a longer one, in its repr


class Column(Sequence[T]):
    """An immutable sequence that compares, hashes and adds like the tuple of its values.

    Slices are columns. Values are made when they are read, so take `list(column)` to read many in any order.
    """

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: Any) -> Any:
        """Return one value, or a column of some."""
        if isinstance(index, slice):
            return self.take(index)
        try:
            return self._value(range(len(self))[index])
        except IndexError:
            raise IndexError(f"row {index} of a column of {len(self)} rows") from None

    def __iter__(self) -> Iterator[T]:
        """Yield the values in order."""
        for start in range(0, len(self), _STEP):
            yield from self._values(start, min(start + _STEP, len(self)))

    def __reversed__(self) -> Iterator[T]:
        """Yield the values from last to first."""
        return iter(self[::-1])

    def __contains__(self, value: object) -> bool:
        """Return whether a row has this value."""
        return bool(self.where(value).any())

    def count(self, value: Any) -> int:
        """Return how many rows have this value."""
        return int(self.where(value).sum())

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Return the first row that has this value, as `tuple.index` does."""
        first, last, _ = slice(start, stop).indices(len(self))
        found = np.flatnonzero(self.where(value)[first:last])
        if not len(found):
            raise ValueError(f"no row has the value {value!r}")
        return first + int(found[0])

    def __eq__(self, other: object) -> bool:
        """Return whether a column or a tuple has the same values in the same order."""
        if not isinstance(other, Column | tuple):
            return NotImplemented
        if len(self) != len(other):
            return False
        if isinstance(other, type(self)):
            return self._same(other)
        return all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        """Return the hash of the tuple of the values."""
        return hash(tuple(self))

    def __add__(self, other: Any) -> tuple[Any, ...]:
        """Return the tuple of the values and those of another column or tuple."""
        return (*self, *other) if isinstance(other, Column | tuple) else NotImplemented

    def __radd__(self, other: Any) -> tuple[Any, ...]:
        """Return the tuple of another tuple's values and these."""
        return (*other, *self) if isinstance(other, tuple) else NotImplemented

    def __repr__(self) -> str:
        """Return the tuple's, shortened for a long column: do not derive a hash from it."""
        if len(self) <= _SHOWN_WHOLE:
            return repr(tuple(self))
        first = ", ".join(map(repr, islice(self, _SHOWN)))
        return f"({first}, ..., {self[-1]!r}: {len(self):,} values)"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the values as NumPy makes an array of their list."""
        return np.array(list(self), dtype)

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        """Return the values as an Arrow array."""

    @abstractmethod
    def take(self, rows: Any) -> Self:
        """Return some rows: those of a slice, or of an array of row numbers or of bool."""

    @abstractmethod
    def where(self, value: object) -> np.ndarray:
        """Return which rows have this value, bool."""

    @classmethod
    @abstractmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of several columns, one after the other."""

    @abstractmethod
    def _value(self, row: int) -> T:
        """Return one value."""

    @abstractmethod
    def _values(self, start: int, stop: int) -> list[T]:
        """Return the values of some rows in order."""

    @abstractmethod
    def _same(self, other: Self) -> bool:
        """Return whether a column of this kind and length has the same values."""


class TextColumn(Column[Any]):
    """A column of strings, most of them distinct, such as paths; None is possible.

    Parameters
    ----------
    array : pyarrow.StringArray
        The values.
    """

    def __init__(self, array: pa.Array) -> None:
        self._array = array

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._array)

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        """Return the values as an Arrow array."""
        return self._array if type is None else self._array.cast(type)

    def take(self, rows: Any) -> "TextColumn":
        """Return some rows; a slice without a step shares the memory."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return TextColumn(self._array.slice(start, max(0, stop - start)))
        return TextColumn(self._array.take(pa.array(np.arange(len(self))[rows])))

    def where(self, value: object) -> np.ndarray:
        """Return which rows have this value, bool."""
        if value is None:
            return np.asarray(self._array.is_null())
        scalar = _scalar(value)
        if scalar is None:
            return np.zeros(len(self), bool)
        return np.asarray(pc.equal(self._array, scalar).fill_null(False))

    @classmethod
    def joined(cls, parts: Sequence["TextColumn"]) -> "TextColumn":
        """Return the rows of several columns, one after the other."""
        return cls(pa.concat_arrays([part._array for part in parts]))

    def _value(self, row: int) -> Any:
        return self._array[row].as_py()

    def _values(self, start: int, stop: int) -> list[Any]:
        values: list[Any] = self._array.slice(start, stop - start).to_pylist()
        return values

    def _same(self, other: "TextColumn") -> bool:
        return bool(self._array.equals(other._array))


class NumberColumn(Column[int]):
    """A column of whole numbers, such as sizes of files.

    Parameters
    ----------
    numbers : ndarray of int64, shape (n,)
        The values.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n,)
        The same, read-only.
    """

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers.view()
        self.numbers.setflags(write=False)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.numbers)

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        """Return the values as an Arrow array."""
        return pa.array(self.numbers, type)

    def take(self, rows: Any) -> "NumberColumn":
        """Return some rows; a slice shares the memory."""
        return NumberColumn(self.numbers[rows])

    def where(self, value: object) -> np.ndarray:
        """Return which rows have this value, bool."""
        where = self.numbers == value if isinstance(value, int | float | np.number) else False
        return np.broadcast_to(where, len(self))

    @classmethod
    def joined(cls, parts: Sequence["NumberColumn"]) -> "NumberColumn":
        """Return the rows of several columns, one after the other."""
        return cls(np.concatenate([part.numbers for part in parts]))

    def _value(self, row: int) -> int:
        return int(self.numbers[row])

    def _values(self, start: int, stop: int) -> list[int]:
        values: list[int] = self.numbers[start:stop].tolist()
        return values

    def _same(self, other: "NumberColumn") -> bool:
        return np.array_equal(self.numbers, other.numbers)


def joined(parts: Sequence[Any]) -> Any:
    """Return the rows of several columns of one kind, one after the other."""
    return parts[0] if len(parts) == 1 else type(parts[0]).joined(parts)


def strings(values: Any) -> pa.Array:
    """Return strings and None as one Arrow array.

    Parameters
    ----------
    values : sequence of (str or None), pyarrow.Array or pyarrow.ChunkedArray
        The values.

    Raises
    ------
    ImageError
        A value is not valid Unicode, so that neither Parquet nor JSON can store it.
    """
    try:
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())
    except UnicodeEncodeError:
        _require_unicode(values)
        raise
    if array.type != pa.string():
        array = array.cast(pa.string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def text_column(values: Any) -> TextColumn:
    """Return a column of strings that are mostly distinct; see `strings`."""
    return values if isinstance(values, TextColumn) else TextColumn(strings(values))


def number_column(values: Any) -> NumberColumn:
    """Return a column of whole numbers; a missing one is -1."""
    if isinstance(values, NumberColumn):
        return values
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.int64())
    return NumberColumn(np.asarray(array.fill_null(-1)).astype(np.int64, copy=False))


def _scalar(value: object) -> pa.Scalar | None:
    """Return a string as Arrow's, None if it is no string or cannot be one."""
    try:
        return pa.scalar(value, pa.string()) if isinstance(value, str) else None
    except UnicodeEncodeError:
        return None


def _require_unicode(names: Iterable[str | None]) -> None:
    for name in names:
        try:
            (name or "").encode()
        except UnicodeEncodeError:
            raise ImageError(f"the name {name!a} is not valid UTF-8; rename the file or folder") from None
