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


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Return p-values corrected by Benjamini and Hochberg's (1995) step-up procedure.

    Rejecting those below 0.05 keeps the expected share of true nulls among the rejected below 0.05. The
    largest of n is multiplied by 1, the next by n / (n - 1), and so on; none is above the one after.

    Parameters
    ----------
    p_values : ndarray of shape (n,)
        NaN counts as 1 and stays NaN.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.04, 0.01, np.nan, 0.03])).round(3).tolist()
    [0.053, 0.04, nan, 0.053]
    """
    values = np.asarray(p_values, float)
    known = np.where(np.isnan(values), 1.0, values)
    order = np.argsort(known, kind="stable")
    times = len(values) / np.arange(1, len(values) + 1)
    corrected = np.empty(len(values))
    corrected[order] = np.minimum.accumulate((known[order] * times)[::-1])[::-1]
    return np.where(np.isnan(values), np.nan, np.minimum(corrected, 1.0))
