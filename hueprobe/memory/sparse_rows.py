"""`sparse16`: rows of float16 without their zeros, in a file that is read in any order.

After a ReLU, 6 to 16 % of the values are nonzero. A packed row of C values is a bitmap of C bits, padded to
whole words of 16 bits (channel c is bit c % 16 of word c // 16), and then the values whose bits are set, in
order. A bit is set where any bit of the value is, so a negative zero is kept like any other value, and the
rows come back bit for bit. A row without zeros takes 1/16 more than in float16.

A file of n images, little-endian:

    64 bytes                   0x93 and "SPARSE16"; from byte 16 the shape (n, H, W, C) in uint64; else zeros
    words                      the packed rows of all cells, row by row
    0 to 6 zero bytes          so that what follows is aligned to 8 bytes
    (n H W + 1) x int64        first word of each row, and the number of words

Rows are read from a memory map. Each read checks the places and the bitmaps of its rows, so damage gives an
error, never a wrong place. A changed value is found by its hash, as in other files (`hueprobe verify`).
"""

import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hueprobe.errors import MemoryDamagedError

_sparse: ModuleType | None
try:
    from hueprobe.memory import _sparse
except ImportError:  # hueprobe was installed without a C compiler; NumPy then does the same
    _sparse = None

_MAGIC = b"\x93SPARSE16".ljust(16, b"\0")
_HEADER = 64  # bytes
_WORD, _PLACE = 16, 8  # bits of a word, bytes of a place


class SparseRows:
    """The rows of a shard, read from a `sparse16` file when they are indexed.

    Parameters
    ----------
    path : Path
        The file.
    shape : (int, int, int, int)
        Expected shape: images, H, W, channels.

    Attributes
    ----------
    path : Path
        The file.
    shape : tuple of int
        (images, H, W, channels), as of the array that the file stands for.

    Raises
    ------
    MemoryDamagedError
        The file is not one of this shape.
    """

    dtype = np.dtype(np.float16)

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape = path, shape
        self._channels = shape[-1]
        n_rows = math.prod(shape[:-1])
        try:
            with path.open("rb") as file:
                header = file.read(_HEADER)
            whole = np.memmap(path, np.uint8, "r").view(np.ndarray)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise self._damaged(f"it cannot be read: {reason}") from None
        if header != header_of(shape):
            raise self._damaged(f"its header is not that of an array of shape {shape}")
        places = len(whole) - (n_rows + 1) * _PLACE
        if places < _HEADER or places % _PLACE:
            raise self._damaged(f"it has {len(whole)} bytes, which do not fit {n_rows} rows")
        self._places = whole[places:].view(np.int64)
        n_words = int(self._places[-1])
        if self._places[0] != 0 or not 0 <= places - _HEADER - 2 * n_words < _PLACE:
            raise self._damaged(f"it says that it has {n_words} words, which does not fit its size")
        self._words = whole[_HEADER : _HEADER + 2 * n_words].view(np.uint16)

    def __len__(self) -> int:
        """Return the number of rows, images times cells."""
        return len(self._places) - 1

    def __getitem__(self, which: slice | np.ndarray) -> np.ndarray:
        """Return chosen rows.

        Parameters
        ----------
        which : slice or ndarray of int64
            Rows of the shard, counted by cell.

        Returns
        -------
        ndarray of float16, shape (n, channels)

        Raises
        ------
        MemoryDamagedError
            A row is not one that was written; the message names the file.
        """
        starts, stops = self._places[:-1][which], self._places[1:][which]
        rows = np.empty((len(starts), self._channels), np.uint16)
        unpack = _unpacked_by_numpy if _sparse is None else _sparse.unpack
        broken = unpack(
            self._words, np.ascontiguousarray(starts), np.ascontiguousarray(stops), rows, self._channels
        )
        if broken >= 0:
            row = np.arange(len(self))[which][broken]
            raise self._damaged(f"row {row} does not lie where the file says, or its bitmap is not its own")
        return rows.view(np.float16)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return all rows in the shape of the shard."""
        if copy is False:
            raise ValueError("sparse rows are unpacked, so an array of them is always new")
        return np.array(self[:].reshape(self.shape), dtype)

    @property
    def nbytes(self) -> int:
        """Size of the file, in bytes."""
        return _HEADER + self._words.nbytes + -self._words.nbytes % _PLACE + self._places.nbytes

    def _damaged(self, reason: str) -> MemoryDamagedError:
        return MemoryDamagedError(f"{self.path} is damaged: {reason}; restore it or rebuild the memory")


class SparseRowsWriter:
    """Writes a `sparse16` file from start to end, batch by batch.

    Parameters
    ----------
    file : file
        An object whose `write` appends bytes.
    shape : (int, int, int, int)
        Shape of the array: images, H, W, channels.
    """

    def __init__(self, file: Any, shape: tuple[int, ...]) -> None:
        self._file = file
        self._places: list[np.ndarray] = [np.zeros(1, np.int64)]
        file.write(header_of(shape))

    def add(self, rows: np.ndarray) -> None:
        """Append rows, float16 of shape (..., channels)."""
        words, starts = packed(rows)
        self._places.append(self._places[-1][-1] + starts[1:])
        self._file.write(words.data)

    def finish(self) -> None:
        """Append the places of all rows."""
        places = np.concatenate(self._places)
        self._file.write(bytes(-2 * int(places[-1]) % _PLACE))
        self._file.write(places.data)


def header_of(shape: tuple[int, ...]) -> bytes:
    """Return the header of a file of this shape (n, H, W, C)."""
    return (_MAGIC + np.array(shape, np.uint64).tobytes()).ljust(_HEADER, b"\0")


def packed(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pack rows.

    Parameters
    ----------
    rows : ndarray of float16, shape (..., channels)
        Any values.

    Returns
    -------
    words : ndarray of uint16
        The packed rows.
    starts : ndarray of int64, shape (n + 1,)
        First word of each row, and the number of words.
    """
    rows = np.ascontiguousarray(rows, np.float16).view(np.uint16)
    rows = rows.reshape(-1, rows.shape[-1])
    n, channels = rows.shape
    if _sparse is None:
        return _packed_by_numpy(rows)
    words = np.empty(n * (channels + _n_bitmap(channels)), np.uint16)
    starts = np.empty(n + 1, np.int64)
    _sparse.pack(rows, words, starts, channels)
    return words[: starts[-1]], starts


def packed_size(channels: int, nonzero: float) -> float:
    """Return the bytes of a row and its place if this share of its values is not zero.

    >>> packed_size(1280, 0.09)
    398.4
    """
    return 2 * (_n_bitmap(channels) + channels * nonzero) + _PLACE


def _n_bitmap(channels: int) -> int:
    """Return the number of words of a bitmap."""
    return -(-channels // _WORD)


def _packed_by_numpy(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, channels = rows.shape
    there = rows != 0
    n_bitmap = _n_bitmap(channels)
    bits = np.zeros((n, _WORD * n_bitmap), bool)
    bits[:, :channels] = there
    starts = np.append(0, np.cumsum(n_bitmap + there.sum(axis=1)))
    words = np.empty(starts[-1], np.uint16)
    of_bitmaps = starts[:-1, None] + np.arange(n_bitmap)
    words[of_bitmaps] = np.packbits(bits, axis=1, bitorder="little").view(np.uint16)
    is_value = np.ones(len(words), bool)
    is_value[of_bitmaps] = False
    words[is_value] = rows[there]
    return words, starts


def _unpacked_by_numpy(
    words: np.ndarray, starts: np.ndarray, stops: np.ndarray, rows: np.ndarray, channels: int
) -> int:
    """Unpack rows into `rows`; return the first that is not whole, or -1."""
    n_bitmap = _n_bitmap(channels)
    inside = (starts >= 0) & (starts <= len(words)) & (stops <= len(words)) & (stops - starts >= n_bitmap)
    if not inside.all():
        return int(np.argmin(inside))
    bitmaps = words[starts[:, None] + np.arange(n_bitmap)]
    bits = np.unpackbits(bitmaps.view(np.uint8), axis=1, bitorder="little").view(bool)
    n_values = stops - starts - n_bitmap
    whole = (bits.sum(axis=1) == n_values) & ~bits[:, channels:].any(axis=1)
    if not whole.all():
        return int(np.argmin(whole))
    of_values = np.repeat(starts + n_bitmap - np.cumsum(n_values) + n_values, n_values)
    rows[:] = 0
    rows[bits[:, :channels]] = words[of_values + np.arange(len(of_values))]
    return -1
