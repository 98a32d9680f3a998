"""The rows of a column that hold a value."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hueprobe.images.columns import Column
from hueprobe.images.name_columns import NameColumn


class ValueRows:
    """Finds rows by their value, through a sorted array of keys: no Python object for each row.

    Rows of None are never found.

    Parameters
    ----------
    column : sequence of (str or None)
        The values.
    rows : ndarray of int64
        Rows to find, ascending.

    Examples
    --------
    >>> found = ValueRows(("a", "b", "a", None), np.arange(4))
    >>> found("a").tolist(), found("c").tolist(), found.repeated().tolist()
    ([0, 2], [], [0, 2])
    """

    def __init__(self, column: Sequence[str | None], rows: np.ndarray) -> None:
        self._column, self._given = column, rows
        if isinstance(column, NameColumn):
            keys = column.codes[rows].astype(np.int64)
            some = keys >= 0
        else:
            values: Iterable[Any] = (
                column.take(rows) if isinstance(column, Column) else [column[row] for row in rows.tolist()]
            )
            keys = np.fromiter(map(hash, values), np.int64, len(rows))
            some = np.fromiter((value is not None for value in values), bool, len(rows))
        order = np.argsort(keys[some], kind="stable")
        self._keys, self._rows = keys[some][order], rows[some][order]

    def __reduce__(self) -> tuple[Any, ...]:
        """Make the keys anew in another process, where strings have other hashes."""
        return type(self), (self._column, self._given)

    def __call__(self, value: str) -> np.ndarray:
        """Return the rows of a value, ascending, int64.

        Parameters
        ----------
        value : str
            The value; it may be unknown.
        """
        named = isinstance(self._column, NameColumn)
        key = self._column.code(value) if isinstance(self._column, NameColumn) else hash(value)
        start, stop = (np.searchsorted(self._keys, key, side=side) for side in ("left", "right"))
        rows: np.ndarray = self._rows[start:stop]
        if named or not len(rows):
            return rows
        # Values may share a hash.
        return np.array([row for row in rows.tolist() if self._column[row] == value], np.int64)

    def repeated(self) -> np.ndarray:
        """Return the rows that may share their value with another one, ascending; the others do not."""
        same = self._keys[1:] == self._keys[:-1]
        shared = np.append(False, same) | np.append(same, False) if len(self._keys) else np.zeros(0, bool)
        return np.sort(self._rows[shared])
