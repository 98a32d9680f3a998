"""Shares of images with an interval that counts groups, also where the share is 0 or 1."""

import numpy as np
from scipy import stats

from hueprobe.errors import ShapeError
from hueprobe.stats.intervals import CONFIDENCE, Interval, clustered_variance


def share_interval(
    successes: np.ndarray, codes: np.ndarray | None = None, *, each_group_once: bool = False
) -> Interval:
    """Return the share of successes with its 95 % Wilson interval, for images that may form groups.

    With groups, the number of images in Wilson's formula [1]_ is replaced by the effective number: the number
    of independent images that would have the variance between groups. It is at most the number of images, and
    it is the number of groups where all groups have the same share, which says nothing about the variance.

    Parameters
    ----------
    successes : ndarray of bool, shape (n,)
        Whether each image is a success.
    codes : ndarray of int64, shape (n,), optional
        Group of each image; by default the images are independent.
    each_group_once : bool, default=False
        Whether the share is the mean over groups of the share of the group's images, instead of the mean over
        images.

    Returns
    -------
    Interval
        Share and bounds. Without images the share is NaN and the bounds are 0 and 1.

    Raises
    ------
    ShapeError
        There is not one code for each image.

    See Also
    --------
    hueprobe.stats.proportion_interval : The same for a number of independent trials.
    hueprobe.stats.unit_interval : Ratios of sums by Student's t.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
       the American Statistical Association 22, 209-212, 1927.

    Examples
    --------
    >>> found = hp.stats.share_interval(np.array([True] * 9 + [False]))
    >>> round(found.estimate, 2), round(found.low, 4), round(found.high, 4)
    (0.9, 0.5958, 0.9821)

    Ten images of two subjects are worth no more than two:

    >>> found = hp.stats.share_interval(np.ones(10, bool), np.repeat([0, 1], 5))
    >>> round(found.low, 2)
    0.34
    """
    successes = np.asarray(successes, bool)
    n = len(successes)
    codes = np.arange(n) if codes is None else np.asarray(codes)
    if len(codes) != n:
        raise ShapeError(f"{len(codes)} groups for {n} images; give one for each")
    if n == 0:
        return Interval(np.nan, 0.0, 1.0, np.nan, 0)
    _, of_image, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    n_units = len(sizes)
    weights = (1 / sizes)[of_image] / n_units if each_group_once else np.full(n, 1 / n)
    share = float(np.clip(weights @ successes, 0.0, 1.0)) if not successes.all() else 1.0
    size = float(n)
    if n_units < n:
        variance = clustered_variance(weights * (successes - share), codes)
        size = share * (1 - share) / variance if variance > 0 else float(n_units)
        size = min(size, float(n))
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    margin = z / (1 + z * z / size) * np.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    low = 0.0 if share == 0 else max(0.0, middle - margin)
    high = 1.0 if share == 1 else min(1.0, middle + margin)
    return Interval(share, float(low), float(high), float(np.sqrt(share * (1 - share) / size)), np.inf)
