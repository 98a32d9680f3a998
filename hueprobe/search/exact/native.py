"""The native part of exact search: products in fixed point, by the extension module `_native`.

It is built with the package where a C compiler is at hand. Without it exact search multiplies by torch.
"""

from types import ModuleType

import numpy as np

_native: ModuleType | None
try:
    from hueprobe.search.exact import _native
except ImportError:  # no compiler when hueprobe was installed, or one that has no vector extensions
    _native = None

PANEL = 64  # queries side by side
LOWEST = np.iinfo(np.int32).min  # what is no score


def instructions() -> str | None:
    """Return the name of the instruction set that native products use here; None where there are none.

    Examples
    --------
    >>> instructions() in (None, "plain", "avx2", "avx512", "avx512vnni")
    True
    """
    return None if _native is None else str(_native.levels()[-1])


def native_text() -> str:
    """Return whether there are native products, in words, and what to do where not."""
    if (name := instructions()) is not None:
        return f"native ({name})"
    return (
        "by torch alone, which is slower: no C compiler was found when hueprobe was installed; install a C "
        "compiler and then hueprobe again"
    )


def round_to_codes(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round vectors to multiples of 1/32767.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, d)
        Of unit length, or zero.

    Returns
    -------
    codes : ndarray of int16, shape (n, d or d + 1)
        An even number of columns.
    residuals : ndarray of float64, shape (n,)
        At least ||x - codes / 32767||.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    n, d = vectors.shape
    codes, changed = np.empty((n, d + d % 2), np.int16), np.empty(n)
    _module().quantize(vectors, codes, changed, d, codes.shape[1])
    return codes, np.sqrt(changed) * (1 + 1e-9) + 1e-12  # float64 was rounded itself


def coupled(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nonzero codes of each row in couples.

    Parameters
    ----------
    codes : ndarray of int16, shape (n, d)

    Returns
    -------
    pointers : ndarray of int64, shape (n + 1,)
        Where each row's couples begin.
    couples : ndarray of uint16, shape (n_couples, 4)
        Columns and values of two; a single one is followed by a zero.
    """
    codes = np.ascontiguousarray(codes, np.int16)
    pointers = np.empty(len(codes) + 1, np.int64)
    count = _module().couple(codes, pointers, None, codes.shape[1])
    couples = np.empty((count, 4), np.uint16)
    _module().couple(codes, pointers, couples, codes.shape[1])
    return pointers, couples


def are_coupled(pointers: np.ndarray, couples: np.ndarray, n_channels: int) -> bool:
    """Return whether arrays are such as `coupled` returns; others would be read beyond their ends."""
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
    """Take the highest products of up to 64 queries with some rows into lists, in place.

    Parameters
    ----------
    queries : ndarray of int16, shape (n, d)
        Codes; d even.
    pointers, rows : ndarray
        Those of `coupled`; or None and codes (n_rows, d).
    barred : (ndarray of int64, shape (n + 1,), ndarray of int32)
        Where the rows that each query may not match begin, and these rows, ascending for each query.
    found : (ndarray of int32, shape (n, keep), the same, ndarray of int32, shape (n,))
        Scores and rows so far, in no order, `LOWEST` and -1 where there is none yet; and the highest score
        that was left out, `LOWEST` where none was.
    part : slice
        Of the rows.
    first : int
        What the first of all rows is called in `found`.
    level : int, optional
        Of `_native.levels()`; the fastest by default.
    """
    module = _module()
    scores, names, left = found
    n_rows = len(rows) if pointers is None else len(pointers) - 1
    level = len(module.levels()) - 1 if level is None else level
    module.highest_products(
        queries, pointers, rows, *barred, scores, names, left, len(queries), queries.shape[1], n_rows,
        part.start, part.stop, first, scores.shape[1], level,
    )  # fmt: skip


def has_native_distances() -> bool:
    """Return whether `native_distances` are available: so fast that no candidate need be sifted before."""
    return _native is not None


def native_distances(vectors: np.ndarray, rows: np.ndarray, where: np.ndarray) -> np.ndarray | None:
    """Return ||vectors[i] - rows[where[i, j]]|| in float64, shape of `where`; None where it is not available.

    Parameters
    ----------
    vectors, rows : ndarray of float32, shape (n, d) and (n_rows, d)
    where : ndarray of int64, shape (n, c)
    """
    if _native is None:
        return None
    distances = np.empty(where.shape)
    vectors, rows = (np.ascontiguousarray(part, np.float32) for part in (vectors, rows))
    _native.distances(vectors, rows, np.ascontiguousarray(where, np.int64), distances, rows.shape[1])
    return distances


def _module() -> ModuleType:
    assert _native is not None, "asked for native products where there are none"
    return _native
