"""P-values of permutation tests: from drawn arrangements, and exactly over all signs."""

from typing import Literal

import numpy as np

from hueprobe.errors import ShapeError, require_choice

TOLERANCE = 1e-12  # of 1 + |observed|: what arrangements that tie differ by in rounding
ALTERNATIVES = ("greater", "less", "two-sided")


def permutation_p(
    observed: np.ndarray | float,
    null: np.ndarray,
    *,
    alternative: Literal["greater", "less", "two-sided"] = "greater",
) -> np.ndarray:
    """Return the p-value of a statistic from its values under random arrangements.

    The observed arrangement is one of those that the null hypothesis allows, and is counted among them
    (Phipson and Smyth 2010), so that no p is 0 and a test at level a rejects at most a of the time::

        p = (1 + #{null at least as extreme as observed}) / (1 + n_draws)

    Values within 1e-12 ``(1 + |observed|)`` of the observed one are ties, and at least as extreme.

    Parameters
    ----------
    observed : float or ndarray
        One statistic, or several that share one null distribution.
    null : ndarray of shape (n_draws,)
        The statistic under each arrangement. A NaN counts as extreme, so that p is never too small.
    alternative : {"greater", "less", "two-sided"}
        What is extreme: large values, small ones, or those far from 0.

    Returns
    -------
    ndarray of float64, shape of `observed`
        NaN where the observed value is NaN, and everywhere without a draw.

    Raises
    ------
    InputError
        An unknown alternative.
    ShapeError
        `null` has not one dimension.

    Examples
    --------
    >>> float(permutation_p(2.0, np.array([0.5, 2.0, 3.0, -4.0])))  # itself, the tie, and 3
    0.6
    """
    require_choice("alternative", alternative, ALTERNATIVES)
    values, null = np.asarray(observed, np.float64), np.asarray(null, np.float64)
    if null.ndim != 1:
        raise ShapeError(f"the null has shape {null.shape}; give one value a draw, (n_draws,)")
    if alternative == "two-sided":
        values, null = np.abs(values), np.abs(null)
    elif alternative == "less":
        values, null = -values, -null
    if not len(null):
        return np.full(values.shape, np.nan)
    tied = values - TOLERANCE * (1 + np.abs(values))
    n_below = np.searchsorted(np.sort(null), tied)  # NaN is sorted behind all numbers
    return np.where(np.isnan(values), np.nan, (1 + len(null) - n_below) / (1 + len(null)))


def sign_flip_p(sums: np.ndarray) -> float:
    """Return the two-sided p-value of integer sums having symmetric distributions about 0, exactly.

    Fisher's randomization test for paired differences, over all signs instead of some drawn ones.

    Parameters
    ----------
    sums : ndarray of int64, shape (n_units,)
        One a unit. The null distribution of their total, over all 2^n signs, is built up by convolution.

    Examples
    --------
    >>> sign_flip_p(np.array([1, 1, 1, 1, 1]))  # 2 of 32 signs
    0.0625
    """
    sizes = np.abs(np.asarray(sums, np.int64))
    sizes = sizes[sizes > 0]
    reach = int(sizes.sum())
    chance = np.zeros(2 * reach + 1)  # of each total from -reach to reach
    chance[reach] = 1
    for size in sizes:
        up, down = np.zeros_like(chance), np.zeros_like(chance)
        up[size:], down[:-size] = chance[:-size], chance[size:]
        chance = (up + down) / 2
    total = abs(int(np.sum(sums)))
    return min(1.0, float(chance[np.abs(np.arange(-reach, reach + 1)) >= total].sum()))
