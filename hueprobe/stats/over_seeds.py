"""Means over seeds with their intervals, and an exact test of paired differences.

Few seeds give wide intervals. Student's interval of a share can then extend below 0 or above 1, and clipping
it would claim precision that was not measured. For bounded quantities, the interval is therefore computed on
the logit of the mean's position between its limits, by the delta method, and transformed back. It stays
within the limits, and equals Student's where the error is small. Seeds with equal values carry no information
about the spread: they have no interval.
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

from hueprobe.stats.intervals import Interval, normal_interval
from hueprobe.stats.permutation import sign_flip_p

SHARES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)  # limits of a share, and of a difference of two shares
NOT_MEASURABLE = "not measurable"
_STEPS = 100_000  # for the exact test, differences are rounded to this fraction of the largest
_EQUAL = 1e-12  # equal values may differ in rounding by this share of the largest


def mean_over_seeds(values: Sequence[float], *, within: tuple[float, float] = (-np.inf, np.inf)) -> Interval:
    """Return the mean of one value per seed with its 95 % interval.

    Parameters
    ----------
    values : sequence of float
        One value per seed.
    within : (float, float), default=(-inf, inf)
        Limits of the quantity; the interval stays within them. Without limits the interval is Student's.

    Returns
    -------
    Interval
        Bounds and standard error are NaN for one seed, for none, and for seeds that are all equal.

    Examples
    --------
    >>> found = mean_over_seeds([0.02, 0.8], within=(0, 1))
    >>> round(found.estimate, 2), 0 <= found.low < found.high <= 1
    (0.41, True)
    >>> mean_over_seeds([0.5, 0.5, 0.5]).low
    nan
    """
    n, least, most = len(values), *within
    mean = float(np.mean(values)) if n else np.nan
    if n < 2 or _all_equal(values):
        return Interval(mean, np.nan, np.nan, np.nan, max(n - 1, 0))
    error = float(np.std(values, ddof=1) / np.sqrt(n))
    if not np.isfinite([least, most]).all():
        return normal_interval(mean, error, degrees=n - 1)
    place = (mean - least) / (most - least)
    slope = (most - least) * place * (1 - place)  # of the value over its logit
    of_logit = normal_interval(float(special.logit(place)), error / slope, degrees=n - 1)
    low, high = least + (most - least) * special.expit([of_logit.low, of_logit.high])
    return Interval(mean, float(low), float(high), error, n - 1)


def paired_p(differences: Sequence[float]) -> float:
    """Return the exact two-sided sign-flip p-value of one difference per seed.

    Differences are rounded to 1e-5 of the largest.

    Parameters
    ----------
    differences : sequence of float
        One difference per seed.

    Returns
    -------
    float
        NaN for fewer than two seeds, and where no seed differs.
    """
    values = np.asarray(differences, float)
    if len(values) < 2 or not (largest := np.abs(values).max()):
        return float("nan")
    return sign_flip_p(np.rint(values / largest * _STEPS).astype(np.int64))


def interval_text(found: Interval, digits: int = 3, *, sign: str = "") -> str:
    """Return the bounds of an interval over seeds, "0.371 to 0.414", or why there are none.

    Parameters
    ----------
    found : Interval
        Result of `mean_over_seeds`.
    digits : int, default=3
        Decimal places.
    sign : str, default=""
        "+" to show the sign of positive numbers too.

    Examples
    --------
    >>> interval_text(mean_over_seeds([0.5, 0.5]))
    'not measurable (2 equal seeds)'
    """
    if not np.isnan(found.low):
        return f"{found.low:{sign}.{digits}f} to {found.high:{sign}.{digits}f}"
    if np.isnan(found.estimate):
        return NOT_MEASURABLE
    return f"{NOT_MEASURABLE} ({_why_none(found)})"


def estimate_text(found: Interval | None, *, sign: str = "") -> str:
    """Return a mean with its interval, "0.393 [0.371, 0.414]", or why there is none; empty for None.

    Parameters
    ----------
    found : Interval or None
        Result of `mean_over_seeds`.
    sign : str, default=""
        "+" to show the sign of positive numbers too.

    Examples
    --------
    >>> estimate_text(mean_over_seeds([0.5]))
    '0.500 (interval not measurable: 1 seed)'
    """
    if found is None:
        return ""
    if np.isnan(found.estimate):
        return NOT_MEASURABLE
    text = f"{found.estimate:{sign}.3f}"
    if why := _why_none(found):
        return f"{text} (interval {NOT_MEASURABLE}: {why})"
    return f"{text} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def p_text(p: float, difference: Interval | None) -> str:
    """Return the p-value of a paired difference, or why there is none; empty where there is no difference.

    Parameters
    ----------
    p : float
        Result of `paired_p`.
    difference : Interval or None
        The difference that was tested.

    Examples
    --------
    >>> p_text(paired_p([0.0, 0.0]), mean_over_seeds([0.0, 0.0]))
    'not measurable (no seed differs)'
    """
    if difference is None:
        return ""
    if not np.isnan(p):
        return f"{p:.3g}"
    return f"{NOT_MEASURABLE} ({'no seed differs' if difference.degrees else '1 seed'})"


def _why_none(found: Interval) -> str:
    """Return why there is no interval; empty where there is one."""
    n = int(found.degrees) + 1
    return "" if not np.isnan(found.low) else f"{n} equal seeds" if n > 1 else "1 seed"


def _all_equal(values: Sequence[float]) -> bool:
    return bool(np.ptp(values) <= _EQUAL * np.abs(values).max())
