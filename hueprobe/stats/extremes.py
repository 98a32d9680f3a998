"""Limits that a small share of images passes by chance, from each image's extreme value.

An image's distance to the most similar of many other images is a minimum, its largest count of cells in
common with one of them a maximum. Minima of a quantity whose own lower tail is a power have a Weibull
distribution (Fisher and Tippett 1928), maxima of one with an exponential upper tail a Gumbel distribution.
For both, with h(p) = -log(1 - p),

    log h(share of minima below x)     is linear in log x,
    log h(share of maxima from n on)   is linear in n.

The line is drawn through two inner points, near 50 % and 10 % of the images. So a few true duplicates among
them hardly move it, and it reaches to shares that are smaller than one image of the set.
"""

import numpy as np

from hueprobe.errors import InputError

MIDDLE, TAIL = 0.5, 0.1  # shares of images; up to about half of TAIL may be duplicates


def limit_of_minima(minima: np.ndarray, rate: float) -> float:
    """Return the limit that a share `rate` of images is below by chance.

    Parameters
    ----------
    minima : ndarray of shape (n,)
        Smallest distance of each image. Zeros and infinite values are left out.
    rate : float
        Share of images, between 0 and 1.

    Returns
    -------
    float
        The limit by a Weibull distribution through the 10 % and 50 % quantiles; 0 without any value.

    Raises
    ------
    InputError
        The rate is not between 0 and 1.

    See Also
    --------
    hueprobe.stats.limit_of_maxima : The same for counts, of which large ones are rare.

    Examples
    --------
    >>> minima = 2 * np.random.default_rng(0).weibull(5, 10_000)
    >>> limit = limit_of_minima(minima, 0.001)
    >>> round(limit, 2), float((minima < limit).mean())
    (0.52, 0.0013)
    """
    need = _hazard(_require_rate(rate))
    known = np.asarray(minima, np.float64)
    known = known[np.isfinite(known) & (known > 0)]
    if not len(known):
        return 0.0
    low, middle = np.quantile(known, [TAIL, MIDDLE])
    if low == middle:
        return float(low)
    power = np.log(_hazard(MIDDLE) / _hazard(TAIL)) / np.log(middle / low)
    return float(low * (need / _hazard(TAIL)) ** (1 / power))


def limit_of_maxima(maxima: np.ndarray, rate: float) -> int:
    """Return the smallest count that at most a share `rate` of images reaches by chance.

    Parameters
    ----------
    maxima : ndarray of int64, shape (n,)
        Largest count of each image.
    rate : float
        Share of images, between 0 and 1.

    Returns
    -------
    int
        The limit by a Gumbel distribution through the largest count that half of the images reach and the
        smallest that at most 10 % do; at least 1. A count that no image reaches counts as reached by half an
        image.

    Raises
    ------
    InputError
        The rate is not between 0 and 1.

    See Also
    --------
    hueprobe.stats.limit_of_minima : The same for distances, of which small ones are rare.

    Examples
    --------
    >>> maxima = np.random.default_rng(0).gumbel(3, 0.5, 10_000).astype(int)
    >>> limit = limit_of_maxima(maxima, 0.001)
    >>> limit, float((maxima >= limit).mean())
    (7, 0.0007)
    """
    need = _hazard(_require_rate(rate))
    counts = np.asarray(maxima, np.int64)
    n = len(counts)
    if not n:
        return 1
    steps = np.arange(max(int(counts.max()), 1) + 3)
    shares = np.clip([(counts >= step).mean() for step in steps], 0.5 / n, 1 - 0.5 / n)
    middle = max(1, int(steps[shares >= MIDDLE].max(initial=0)))
    tail = int(steps[(shares <= max(TAIL, 0.5 / n)) & (steps > middle)].min())
    slope = np.log(_hazard(shares[middle]) / _hazard(shares[tail])) / (tail - middle)
    if slope <= 0:  # no image reaches either count
        return middle
    return max(1, int(np.ceil(tail + np.log(_hazard(shares[tail]) / need) / slope - 1e-9)))


def _hazard(share: float) -> float:
    return float(-np.log1p(-share))


def _require_rate(rate: float) -> float:
    if not 0 < rate < 1:
        raise InputError(f"rate is {rate}; give a share of images between 0 and 1, such as 0.001")
    return rate
