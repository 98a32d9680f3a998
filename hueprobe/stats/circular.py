"""Circular statistics of angles in radians.

An undefined angle, such as that of the grid's center, is NaN and is ignored. The formulas are those of
Fisher, Statistical Analysis of Circular Data (1993), and of Mardia and Jupp, Directional Statistics (2000).

Image-plane angles are theta = atan2(v, u) with v upwards (see `hueprobe.grid`). Mirroring an image left to
right maps theta to pi - theta. A quarter turn counterclockwise adds pi/2.
"""

import numpy as np


def wrap(angles: np.ndarray | float) -> np.ndarray:
    """Return the angles in (-pi, pi].

    Parameters
    ----------
    angles : ndarray or float
        Angles in radians, any shape.

    Returns
    -------
    ndarray of float64
        The same angles modulo 2 pi, in the shape of `angles`.

    See Also
    --------
    hueprobe.stats.circular.difference : Wrapped difference of two angles.

    Examples
    --------
    >>> hp.stats.circular.wrap(3 * np.pi / 2) == -np.pi / 2
    np.True_
    """
    return np.pi - np.mod(np.pi - np.asarray(angles, float), 2 * np.pi)


def difference(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Return a - b along the shorter arc, in (-pi, pi] radians.

    Parameters
    ----------
    a, b : ndarray or float
        Angles in radians; their shapes must broadcast.

    Returns
    -------
    ndarray of float64
        Wrapped differences, in the broadcast shape.

    See Also
    --------
    hueprobe.stats.circular.wrap : Angles in (-pi, pi].

    Examples
    --------
    >>> difference = hp.stats.circular.difference(np.radians(10), np.radians(350))
    >>> round(float(np.degrees(difference)), 6)
    20.0
    """
    return wrap(np.asarray(a, float) - np.asarray(b, float))


def mirror(theta: np.ndarray | float) -> np.ndarray:
    """Return the angle in an image mirrored left to right, pi - theta, in (-pi, pi].

    Parameters
    ----------
    theta : ndarray or float
        Image-plane angles in radians, any shape.

    Returns
    -------
    ndarray of float64
        Mirrored angles, in the shape of `theta`.

    See Also
    --------
    hueprobe.stats.circular.quarter_turn : Angles in a rotated image.

    Examples
    --------
    >>> np.degrees(hp.stats.circular.mirror(np.radians([30, 90]))).round(6)
    array([150.,  90.])
    """
    return wrap(np.pi - np.asarray(theta, float))


def quarter_turn(theta: np.ndarray | float, turns: int = 1) -> np.ndarray:
    """Return the angle after counterclockwise quarter turns, in (-pi, pi].

    Parameters
    ----------
    theta : ndarray or float
        Image-plane angles in radians, any shape.
    turns : int, default=1
        Number of quarter turns; negative values turn clockwise.

    Returns
    -------
    ndarray of float64
        Turned angles, in the shape of `theta`.

    See Also
    --------
    hueprobe.stats.circular.mirror : Angles in a mirrored image.

    Examples
    --------
    >>> np.degrees(hp.stats.circular.quarter_turn(np.radians([30, 150]))).round(6)
    array([ 120., -120.])
    """
    return wrap(np.asarray(theta, float) + turns * np.pi / 2)


def mean_vector(angles: np.ndarray, weights: np.ndarray | None = None) -> complex:
    """Return the weighted mean of exp(i * angle).

    NaN angles are ignored. The mean is NaN if no angle is left.

    Parameters
    ----------
    angles : ndarray
        Angles in radians, any shape.
    weights : ndarray, optional
        Weights of the same shape, at least 0; equal weights by default.

    Returns
    -------
    complex
        Mean vector; its argument is the mean direction, its modulus the resultant length.

    See Also
    --------
    hueprobe.stats.circular.mean_direction : Argument of the mean vector.
    hueprobe.stats.circular.resultant_length : Modulus of the mean vector.

    Examples
    --------
    >>> mean = hp.stats.circular.mean_vector(np.radians([60, 120, np.nan]))
    >>> round(abs(mean), 3), round(float(np.degrees(np.angle(mean))), 3)
    (0.866, 90.0)
    """
    angles = np.asarray(angles, float)
    weights = np.ones_like(angles) if weights is None else np.broadcast_to(weights, angles.shape)
    known = ~np.isnan(angles)
    total = weights[known].sum()
    if total == 0:
        return complex(np.nan, np.nan)
    return complex((weights[known] * np.exp(1j * angles[known])).sum() / total)


def mean_direction(angles: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the direction of the mean vector in radians, in (-pi, pi].

    It is NaN where the angles cancel. The linear mean of 350 and 10 degrees is 180 degrees; the mean
    direction is 0.

    Parameters
    ----------
    angles : ndarray
        Angles in radians, any shape; NaN angles are ignored.
    weights : ndarray, optional
        Weights of the same shape, at least 0; equal weights by default.

    Returns
    -------
    float
        Mean direction in radians.

    See Also
    --------
    hueprobe.stats.circular.resultant_length : How far the angles agree.

    Examples
    --------
    >>> round(hp.stats.circular.mean_direction(np.radians([350, 10])), 6) + 0.0
    0.0
    """
    mean = mean_vector(angles, weights)
    return float(wrap(np.angle(mean))) if abs(mean) > 1e-12 else float("nan")


def resultant_length(angles: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return R, the length of the mean vector: 1 where all angles agree, 0 where they cancel.

    R is biased upward: for n random directions its expectation is about sqrt(pi / (4 n)); see
    `resultant_by_chance`.

    Parameters
    ----------
    angles : ndarray
        Angles in radians, any shape; NaN angles are ignored.
    weights : ndarray, optional
        Weights of the same shape, at least 0; equal weights by default.

    Returns
    -------
    float
        R, between 0 and 1; NaN if no angle is left.

    See Also
    --------
    hueprobe.stats.circular.resultant_by_chance : Expected R of random directions.
    hueprobe.stats.circular.rayleigh_p : Test of uniform directions.

    Examples
    --------
    >>> round(hp.stats.circular.resultant_length(np.radians([60, 120])), 3)
    0.866
    """
    return abs(mean_vector(angles, weights))


def resultant_by_chance(n: np.ndarray | int) -> np.ndarray:
    """Return E[R] for n independent uniform directions, sqrt(pi / (4 n)).

    The value is 1 for n = 1 and NaN for n = 0. It is exact for n = 1 and in the limit of large n, and 1.6 %
    low at n = 2.

    Parameters
    ----------
    n : ndarray of int, or int
        Number of directions.

    Returns
    -------
    ndarray of float64
        Expected resultant lengths, in the shape of `n`.

    See Also
    --------
    hueprobe.stats.circular.resultant_length : R of given angles.

    Examples
    --------
    >>> float(hp.stats.circular.resultant_by_chance(20).round(2))
    0.2
    """
    n = np.asarray(n, float)
    with np.errstate(divide="ignore"):
        return np.select([n == 1, n > 1], [1.0, np.sqrt(np.pi / (4 * n))], np.nan)


def rayleigh_p(angles: np.ndarray) -> float:
    """Return the p-value of the Rayleigh test that *independent* angles are uniform on the circle.

    The approximation of Greenwood and Durand [1]_ is accurate to three decimals from n = 10::

        p = exp( sqrt(1 + 4 n + 4 n^2 (1 - R^2)) - (1 + 2 n) )

    Matches are not independent. Test them with `hueprobe.observations.locations.blocked_replicate_test`.

    Parameters
    ----------
    angles : ndarray
        Angles in radians; NaN angles are ignored.

    Returns
    -------
    float
        p-value; NaN if no angle is left.

    See Also
    --------
    hueprobe.stats.circular.resultant_length : The test's statistic.
    hueprobe.observations.locations.blocked_replicate_test : Test of class positions that suits matches.

    References
    ----------
    .. [1] J. A. Greenwood and D. Durand, "The distribution of length and components of the sum of n random
       unit vectors", Annals of Mathematical Statistics 26, 233-246, 1955.

    Examples
    --------
    >>> aligned = np.radians([80, 85, 90, 95, 100, 80, 85, 90, 95, 100])
    >>> hp.stats.circular.rayleigh_p(aligned) < 0.001
    True
    """
    angles = np.asarray(angles, float)
    n = int((~np.isnan(angles)).sum())
    if n == 0:
        return float("nan")
    lost = n**2 * max(0.0, 1 - resultant_length(angles) ** 2)
    return float(min(1.0, np.exp(np.sqrt(1 + 4 * n + 4 * lost) - (1 + 2 * n))))
