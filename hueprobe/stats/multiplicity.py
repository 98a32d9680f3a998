"""Corrections of p-values for testing several hypotheses."""

import numpy as np


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values corrected by Holm's (1979) step-down procedure.

    The smallest of n is multiplied by n, the next by n - 1, and so on; none is below the one before.

    Parameters
    ----------
    p_values : ndarray of shape (n,)
        NaN counts as 1 and stays NaN.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> holm(np.array([0.04, 0.01, np.nan, 0.03])).tolist()
    [0.09, 0.04, nan, 0.09]
    """
    values = np.asarray(p_values, float)
    known = np.where(np.isnan(values), 1.0, values)
    order = np.argsort(known, kind="stable")
    times = np.arange(len(values), 0, -1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(np.maximum.accumulate(known[order] * times), 1.0)
    return np.where(np.isnan(values), np.nan, corrected)
