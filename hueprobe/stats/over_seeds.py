"""One value a seed: the mean with its interval, and an exact test of paired differences, where these exist.

Few seeds make wide intervals. Student's interval of a share reaches below 0 or above 1 then, and cutting it
there would claim what was not measured. So for what has limits it is made for the logit of the mean's place
between them, by the delta method, as surveys do with shares, and put back: it stays within, and where the
error is small it is Student's. Seeds that are all equal tell nothing of how far another would be off: they
have no interval.
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

from hueprobe.stats.intervals import Interval, normal_interval
from hueprobe.stats.permutation import sign_flip_p

SHARES, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)  # what a share can be, and a difference of two
NOT_MEASURABLE = "not measurable"
_STEPS = 100_000  # to which differences are rounded for the exact test, of the largest
_EQUAL = 1e-12  # what equal values may differ by in rounding, of the largest


def mean_over_seeds(values: Sequence[float], *, within: tuple[float, float] = (-np.inf, np.inf)) -> Interval:
    """Return the mean of one value a seed with its 95 % interval.

    Parameters
    ----------
    values : sequence of float
    within : (float, float)
        The least and the most that the mean can be: the interval stays within. Without it is Student's.

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
    """Return the exact two-sided sign-flip p of one difference a seed, each rounded to 1e-5 of the largest.

    Parameters
    ----------
    differences : sequence of float

    Returns
    -------
    float
        NaN where nothing can be told: fewer than two seeds, or no difference in any.
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
        As `mean_over_seeds` gives it.
    digits : int
        Behind the point.
    sign : str
        "+" to show it before positive numbers, too.

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
    sign : str
        "+" to show it before positive numbers, too.

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
    """Return a p-value of a paired difference, or why there is none; empty where there is no difference.

    Parameters
    ----------
    p : float
        As `paired_p` gives it.
    difference : Interval or None
        What it tests.

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
    """Say why there is no interval; empty where there is one."""
    n = int(found.degrees) + 1
    return "" if not np.isnan(found.low) else f"{n} equal seeds" if n > 1 else "1 seed"


def _all_equal(values: Sequence[float]) -> bool:
    return bool(np.ptp(values) <= _EQUAL * np.abs(values).max())
