"""Circular statistics: angles in radians, NaN where there is none (the grid's center) and then left out.

Fisher, Statistical Analysis of Circular Data (1993), and Mardia and Jupp, Directional Statistics (2000).

Image-plane angles are theta = atan2(v, u) with v upwards (see `hueprobe.grid`), so an image mirrored left to
right has theta -> pi - theta, and a quarter turn against the clock adds pi/2.
"""

import numpy as np


def wrap(angles: np.ndarray | float) -> np.ndarray:
    """Return the angles in (-pi, pi].

    Parameters
    ----------
    angles : ndarray or float
        Radians, any shape.

    Examples
    --------
    >>> wrap(3 * np.pi / 2) == -np.pi / 2
    np.True_
    """
    return np.pi - np.mod(np.pi - np.asarray(angles, float), 2 * np.pi)


def difference(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Return a - b the short way round, in (-pi, pi] radians.

    Parameters
    ----------
    a, b : ndarray or float
        Radians, of shapes that broadcast.

    Examples
    --------
    >>> float(np.degrees(difference(np.radians(10), np.radians(350)))).__round__(6)
    20.0
    """
    return wrap(np.asarray(a, float) - np.asarray(b, float))


def mirror(theta: np.ndarray | float) -> np.ndarray:
    """Return the angle in an image mirrored left to right, pi - theta, in (-pi, pi].

    Parameters
    ----------
    theta : ndarray or float
        Radians, any shape.
    """
    return wrap(np.pi - np.asarray(theta, float))


def quarter_turn(theta: np.ndarray | float, turns: int = 1) -> np.ndarray:
    """Return the angle after quarter turns against the clock, in (-pi, pi].

    Parameters
    ----------
    theta : ndarray or float
        Radians, any shape.
    turns : int
        How many; negative ones with the clock.
    """
    return wrap(np.asarray(theta, float) + turns * np.pi / 2)


def mean_vector(angles: np.ndarray, weights: np.ndarray | None = None) -> complex:
    """Return the weighted mean of exp(i * angle); NaN angles take no part, NaN if none is left.

    Parameters
    ----------
    angles : ndarray
        Radians, any shape.
    weights : ndarray, optional
        Of the same shape, at least 0; all equal by default.
    """
    angles = np.asarray(angles, float)
    weights = np.ones_like(angles) if weights is None else np.broadcast_to(weights, angles.shape)
    known = ~np.isnan(angles)
    total = weights[known].sum()
    if total == 0:
        return complex(np.nan, np.nan)
    return complex((weights[known] * np.exp(1j * angles[known])).sum() / total)


def mean_direction(angles: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the direction of the mean vector in radians, in (-pi, pi]; NaN where the angles cancel.

    The linear mean of 350 and 10 degrees is 180; this one is 0.

    Parameters
    ----------
    angles, weights : ndarray
        As in `mean_vector`.

    Examples
    --------
    >>> round(mean_direction(np.radians([350, 10])), 6) + 0.0
    0.0
    """
    mean = mean_vector(angles, weights)
    return float(wrap(np.angle(mean))) if abs(mean) > 1e-12 else float("nan")


def resultant_length(angles: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return R, the length of the mean vector: 1 where all angles agree, 0 where they cancel.

    R is biased upward: n directions drawn at random have R of about sqrt(pi / (4 n)), see
    `resultant_by_chance`.

    Parameters
    ----------
    angles, weights : ndarray
        As in `mean_vector`.
    """
    return abs(mean_vector(angles, weights))


def resultant_by_chance(n: np.ndarray | int) -> np.ndarray:
    """Return E[R] for n independent uniform directions, sqrt(pi / (4 n)) (1 for n = 1, NaN for 0).

    Exact for n = 1 and as n grows, 1.6 % low at n = 2.

    Parameters
    ----------
    n : ndarray of int, or int
        Directions.

    Examples
    --------
    >>> float(resultant_by_chance(20).round(2))
    0.2
    """
    n = np.asarray(n, float)
    with np.errstate(divide="ignore"):
        return np.select([n == 1, n > 1], [1.0, np.sqrt(np.pi / (4 * n))], np.nan)


def rayleigh_p(angles: np.ndarray) -> float:
    """Return the Rayleigh test's p-value of *independent* angles being uniform on the circle.

    Greenwood and Durand's (1955) approximation, good to three decimals from n = 10::

        p = exp( sqrt(1 + 4 n + 4 n^2 (1 - R^2)) - (1 + 2 n) )

    Matches are not independent; `hueprobe.observations.locations.replicate_test` tests those.

    Parameters
    ----------
    angles : ndarray
        Radians; NaN takes no part.
    """
    angles = np.asarray(angles, float)
    n = int((~np.isnan(angles)).sum())
    if n == 0:
        return float("nan")
    lost = n**2 * max(0.0, 1 - resultant_length(angles) ** 2)
    return float(min(1.0, np.exp(np.sqrt(1 + 4 * n + 4 * lost) - (1 + 2 * n))))
