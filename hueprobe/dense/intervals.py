"""Intervals of ratios of summed counts, by a bootstrap over images or groups."""

from collections.abc import Callable

import numpy as np

from hueprobe.stats.intervals import CONFIDENCE, Interval, bootstrap_counts

N_RESAMPLES = 1000


def resampled_sums(counts: np.ndarray, codes: np.ndarray, *, n_resamples: int, seed: int) -> np.ndarray:
    """Return the counts summed over images, for each draw of units with replacement.

    Parameters
    ----------
    counts : ndarray of shape (n_images, ...)
        Counts of each image.
    codes : ndarray of int64, shape (n_images,)
        Unit of each image: its group, or the image itself.
    n_resamples : int
        Number of draws.
    seed : int
        Seed of the draws.

    Returns
    -------
    ndarray of float64, shape (n_resamples, ...)
    """
    draws = bootstrap_counts(codes, n_resamples=n_resamples, seed=seed).astype(np.float64)
    sums: np.ndarray = draws @ counts.reshape(len(counts), -1).astype(np.float64)
    return sums.reshape(n_resamples, *counts.shape[1:])


def percentile_interval(estimate: float, resampled: np.ndarray, n_units: int) -> Interval:
    """Return an estimate with the 2.5 % and 97.5 % quantiles of its resampled values.

    Parameters
    ----------
    estimate : float
        The statistic of all images.
    resampled : ndarray of shape (n_resamples,)
        The statistic of each draw; NaN where it is not defined, which is left out.
    n_units : int
        Number of units that were drawn from. Fewer than two give no bounds (NaN).
    """
    known = resampled[np.isfinite(resampled)]
    if n_units < 2 or not np.isfinite(estimate) or len(known) < 2:
        return Interval(float(estimate), np.nan, np.nan, np.nan, n_units - 1)
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(estimate), float(low), float(high), float(known.std(ddof=1)), n_units - 1)


def intervals_of(
    statistic: Callable[[np.ndarray], np.ndarray], total: np.ndarray, sums: np.ndarray, n_units: int
) -> tuple[Interval, ...]:
    """Return the interval of each value of a statistic of summed counts.

    Parameters
    ----------
    statistic : callable
        Function from counts (..., *shape) to values (...) or (..., n).
    total : ndarray
        Counts of all images.
    sums : ndarray of shape (n_resamples, *shape)
        Counts of each draw; see `resampled_sums`.
    n_units : int
        Number of units.
    """
    estimates, resampled = np.atleast_1d(statistic(total)), statistic(sums).reshape(len(sums), -1)
    return tuple(
        percentile_interval(estimate, column, n_units)
        for estimate, column in zip(estimates, resampled.T, strict=True)
    )
