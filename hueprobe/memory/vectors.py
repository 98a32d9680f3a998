"""What *stored vector* means: the row in the memory's dtype, read to float32 and renormalized there."""

import numpy as np

DTYPES = ("float16", "float32")

_IN_CACHE = 1 << 17  # values treated at a time


def renormalize(rows: np.ndarray) -> np.ndarray:
    """Return rows as float32 vectors of unit length; zero rows stay zero.

    float16 storage leaves norms off by up to 3.5e-4, so every reader divides again. Each row is
    treated by itself: the result does not depend on which rows are read together.

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
    """Send query vectors the way the memory's went: rounded to its dtype, read back, renormalized.

    An image that is also in the memory is then at distance exactly 0 from itself.

    Parameters
    ----------
    vectors : ndarray of shape (..., n_channels)
        Of unit length, or zero.
    dtype : str
        The memory's, one of `DTYPES`.

    Returns
    -------
    ndarray of float32, same shape
    """
    return renormalize(np.asarray(vectors).astype(dtype))
