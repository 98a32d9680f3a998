"""The native part of exact search: fixed-point products, computed by the extension module `_native`.

The module is built with the package if a C compiler is available. Otherwise, exact search uses
torch products.
"""

import functools
import os
from types import ModuleType

import numpy as np

from hueprobe.errors import require_choice
from hueprobe.memory.vectors import renormalize

_native: ModuleType | None
try:
    from hueprobe.search.exact import _native
except ImportError:  # hueprobe was installed without a C compiler, or with one that has no vector extensions
    _native = None

PANEL = 64  # queries multiplied side by side
LOWEST = np.iinfo(np.int32).min  # marks an empty entry
LIMIT = "HUEPROBE_INSTRUCTIONS"  # environment variable: the most that native products may use


def instructions() -> str | None:
    """Return the instruction set of native products on this machine; None if they are unavailable.

    The environment variable `HUEPROBE_INSTRUCTIONS` may name a smaller one than the processor has.

    Raises
    ------
    InputError
        The variable names an instruction set that is unknown or that this processor does not have.

    Examples
    --------
    >>> instructions() in (None, "plain", "avx2", "avx512", "avx512vnni")
    True
    """
    if _native is None:
        return None
    levels = tuple(_native.levels())
    limit = os.environ.get(LIMIT) or levels[-1]
    require_choice(f"instruction set in {LIMIT}", limit, levels)
    return limit


def native_text() -> str:
    """Describe whether native products are available, and what to do if they are not."""
    if (name := instructions()) is not None:
        return f"native ({name})"
    return (
        "by torch only, which is slower: no C compiler was found when hueprobe was installed; install a C "
        "compiler and then reinstall hueprobe"
    )


def round_to_codes(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round vectors to multiples of 1/32767.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Vectors of unit length, or zero vectors.

    Returns
    -------
    codes : ndarray of int16, shape (n, d or d + 1)
        Rounded vectors; the number of columns is even.
    residuals : ndarray of float64, shape (n,)
        Upper bounds of ||x - codes / 32767||.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    n, d = vectors.shape
    codes, changed = np.empty((n, d + d % 2), np.int16), np.empty(n)
    _module().quantize(vectors, codes, changed, d, codes.shape[1])
    return codes, np.sqrt(changed) * (1 + 1e-9) + 1e-12  # float64 operations were rounded too


def coupled(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nonzero codes of each row as couples.

    Parameters
    ----------
    codes : ndarray of int16, shape (n, d)
        Rounded vectors.

    Returns
    -------
    pointers : ndarray of int64, shape (n + 1,)
        Start of each row's couples.
    couples : ndarray of uint16, shape (n_couples, 4)
        Columns and values of two codes each; an unpaired code is followed by a zero.
    """
    codes = np.ascontiguousarray(codes, np.int16)
    pointers = np.empty(len(codes) + 1, np.int64)
    count = _module().couple(codes, pointers, None, codes.shape[1])
    couples = np.empty((count, 4), np.uint16)
    _module().couple(codes, pointers, couples, codes.shape[1])
    return pointers, couples


def are_coupled(pointers: np.ndarray, couples: np.ndarray, n_channels: int) -> bool:
    """Check that arrays have the form that `coupled` returns; others would be read out of bounds."""
    return bool(_module().check_couples(pointers, couples, n_channels))


def keep_highest(
    queries: np.ndarray,
    pointers: np.ndarray | None,
    rows: np.ndarray,
    barred: tuple[np.ndarray, np.ndarray],
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    part: slice,
    first: int,
    level: int | None = None,
) -> None:
    """Merge the highest products of up to 64 queries with some rows into lists, in place.

    Parameters
    ----------
    queries : ndarray of int16, shape (n, d)
        Codes of the queries; d is even.
    pointers, rows : ndarray
        Output of `coupled`; or None and codes of shape (n_rows, d).
    barred : (ndarray of int64, shape (n + 1,), ndarray of int32)
        Start of each query's rows that it may not match, and these rows, ascending for each query.
    found : (ndarray of int32, shape (n, keep), the same, ndarray of int32, shape (n,))
        Scores and rows so far, unordered; `LOWEST` and -1 mark empty entries. The last array holds the
        highest score that was left out; `LOWEST` if none was.
    part : slice
        Range of rows to multiply.
    first : int
        Number assigned to the first of `rows` in `found`.
    level : int, optional
        Index into `_native.levels()`; that of `instructions()` if None.
    """
    module = _module()
    scores, names, left = found
    n_rows = len(rows) if pointers is None else len(pointers) - 1
    level = module.levels().index(instructions()) if level is None else level
    module.highest_products(
        queries, pointers, rows, *barred, scores, names, left, len(queries), queries.shape[1], n_rows,
        part.start, part.stop, first, scores.shape[1], level,
    )  # fmt: skip


def normalized(rows: np.ndarray) -> np.ndarray:
    """Return `renormalize(rows)`, several times as fast if native code is available.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Stored rows, float16 or float32.
    """
    if not _normalizes_like_numpy():
        return renormalize(rows)
    rows = np.ascontiguousarray(rows)
    vectors = np.empty(rows.shape, np.float32)
    if rows.size:
        _module().normalize(rows, vectors, rows.shape[1])
    return vectors


@functools.cache
def _normalizes_like_numpy() -> bool:
    """Return whether native code gives the same bits as NumPy here; checked once per process."""
    if _native is None:
        return False
    rng = np.random.default_rng(0)
    for d in (1, 7, 8, 100, 1_000, 2_055):
        for dtype in (np.float16, np.float32):
            rows = (rng.standard_normal((8, d)) * rng.random((8, 1)) ** 40).astype(dtype)
            found = np.empty(rows.shape, np.float32)
            _native.normalize(rows, found, d)
            if not np.array_equal(found, renormalize(rows)):
                return False
    return True


def has_native_distances() -> bool:
    """Return whether `native_distances` is available; if so, candidates need no filtering before it."""
    return _native is not None


def native_distances(vectors: np.ndarray, rows: np.ndarray, where: np.ndarray) -> np.ndarray | None:
    """Return ||vectors[i] - rows[where[i, j]]|| in float64, shaped like `where`; None if unavailable.

    Parameters
    ----------
    vectors, rows : ndarray of float32, shape (n, d) and (n_rows, d)
        Query vectors and candidate vectors.
    where : ndarray of int64, shape (n, c)
        Rows to compare with each query.
    """
    if _native is None:
        return None
    distances = np.empty(where.shape)
    vectors, rows = (np.ascontiguousarray(part, np.float32) for part in (vectors, rows))
    _native.distances(vectors, rows, np.ascontiguousarray(where, np.int64), distances, rows.shape[1])
    return distances


def _module() -> ModuleType:
    assert _native is not None, "native products were requested but are unavailable"
    return _native
