"""One mean of effects that were measured on several data sets, which may truly differ."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.stats.intervals import CONFIDENCE, Interval


def random_effects(estimates: Sequence[float], standard_errors: Sequence[float]) -> Interval:
    """Return the mean effect over studies, such as data sets, with an interval for further ones.

    Effects are taken to vary between studies with a variance that is estimated by the method of Paule and
    Mandel [1]_. The interval is that of Hartung and Knapp [2]_, by Student's t with one degree of freedom
    less than there are studies; it is never narrower than that of a common effect.

    Parameters
    ----------
    estimates : sequence of float, length k
        Effect in each study.
    standard_errors : sequence of float, length k
        Standard error of each, above 0.

    Returns
    -------
    Interval
        The mean effect. NaN with fewer than two studies.

    Raises
    ------
    InputError, ShapeError
        A standard error is not above 0; the lengths differ.

    See Also
    --------
    hueprobe.stats.compare_paired : Compare two methods on one data set.

    References
    ----------
    .. [1] R. C. Paule and J. Mandel, "Consensus values and weighting factors", Journal of Research of the
       National Bureau of Standards 87, 1982.
    .. [2] J. Hartung and G. Knapp, "A refined method for the meta-analysis of controlled clinical trials
       with binary outcome", Statistics in Medicine 20, 2001.

    Examples
    --------
    >>> found = random_effects([0.2, 0.3, 0.4], [0.01, 0.01, 0.01])
    >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3)
    (0.3, 0.052, 0.548)
    """
    y, error = np.asarray(estimates, float), np.asarray(standard_errors, float)
    if y.shape != error.shape or y.ndim != 1:
        raise ShapeError(f"{y.shape} estimates for {error.shape} standard errors; give one for each")
    if not (error > 0).all():
        raise InputError(f"standard errors are {error.tolist()}; each must be above 0")
    k = len(y)
    if k < 2:
        return Interval(math.nan, math.nan, math.nan, math.nan, 0)

    def excess(between: float) -> float:
        weight = 1 / (error**2 + between)
        return float((weight * (y - weight @ y / weight.sum()) ** 2).sum() - (k - 1))

    between = 0.0
    if excess(0.0) > 0:
        between = float(optimize.brentq(excess, 0.0, 10 * float(np.ptp(y)) ** 2 + float(error.max()) ** 2))
    weight = 1 / (error**2 + between)
    mean = float(weight @ y / weight.sum())
    scale = max(float((weight * (y - mean) ** 2).sum() / (k - 1)), 1.0)
    standard_error = math.sqrt(scale / float(weight.sum()))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, k - 1)) * standard_error
    return Interval(mean, mean - reach, mean + reach, standard_error, k - 1)
