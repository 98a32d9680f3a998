"""*Stored vectors*: rows in the memory's dtype, read as float32 and renormalized."""

import numpy as np

SPARSE16 = "sparse16"
DTYPES = ("float16", "float32", SPARSE16)

_IN_CACHE = 1 << 17  # values treated at a time


def value_type(dtype: str) -> str:
    """Return the NumPy type of the values that a memory of this dtype holds.

    >>> value_type("sparse16"), value_type("float32")
    ('float16', 'float32')
    """
    return "float16" if dtype == SPARSE16 else dtype


def renormalize(rows: np.ndarray) -> np.ndarray:
    """Return rows as float32 vectors of unit length; zero rows stay zero.

    float16 storage changes norms by up to 3.5e-4, so every reader normalizes again. Each row is treated
    separately: the result does not depend on which rows are read together.

    Parameters
    ----------
    rows : ndarray of shape (..., n_channels)
        Stored rows, float16 or float32.

    Returns
    -------
    ndarray of float32, same shape

    Examples
    --------
    >>> renormalize(np.array([[3, 4], [0, 0]], np.float16))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    rows = np.asarray(rows)
    vectors = np.empty(rows.shape, np.float32)
    flat, out = rows.reshape(-1, rows.shape[-1]), vectors.reshape(-1, rows.shape[-1])
    step = max(1, _IN_CACHE // rows.shape[-1])
    for start in range(0, len(out), step):
        part = out[start : start + step]
        part[:] = flat[start : start + step]
        norms = np.sqrt(np.square(part).sum(axis=-1, keepdims=True))
        norms[norms == 0] = 1
        part /= norms
    return vectors


def as_stored(vectors: np.ndarray, dtype: str) -> np.ndarray:
    """Round query vectors to a memory's dtype, read them as float32 and renormalize them.

    The memory's own vectors were treated in the same way, so that duplicates are at a distance of exactly 0.

    Parameters
    ----------
    vectors : ndarray of shape (..., n_channels)
        Unit vectors, or zero vectors.
    dtype : {"float16", "float32", "sparse16"}
        Data type of the memory.

    Returns
    -------
    ndarray of float32, same shape

    See Also
    --------
    hueprobe.Memory.vectors : The memory's own vectors.

    Examples
    --------
    >>> stored = hp.memory.as_stored(np.array([[0.6, 0.8]]), "float16")
    >>> stored.round(3), stored.dtype.name
    (array([[0.6, 0.8]], dtype=float32), 'float32')
    """
    return renormalize(np.asarray(vectors).astype(value_type(dtype)))
