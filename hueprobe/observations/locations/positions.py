"""Positions of each class's same-class matches in the image plane."""

import warnings
from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import takes
from hueprobe.errors import HueprobeWarning, require_choice
from hueprobe.matches import Matches
from hueprobe.observations.locations.off_center import off_center
from hueprobe.observations.units.match_units import match_units, ratio_interval
from hueprobe.observations.units.radial import require_grid
from hueprobe.stats.circular import mean_direction, rayleigh_p, resultant_by_chance, resultant_length
from hueprobe.stats.intervals import Interval

WEIGHTINGS = ("count", "kernel")


@dataclass(frozen=True)
class ClassPositions:
    """Position of each class's same-class matches in the image plane.

    Attributes
    ----------
    classes : tuple of str
        Class names, M of them.
    n_images : ndarray of int64, shape (M,)
        Number of query images with a same-class match.
    u, v : tuple of Interval
        Mean over these images of the mean centered position of their same-class matches, in cells, v upwards,
        with the pigeonhole interval. NaN for a class without such matches.
    direction : ndarray of shape (M,)
        Mean direction in radians of the images' mean positions.
    resultant : ndarray of shape (M,)
        Resultant length R of these directions: 1 where all images agree.
    resultant_by_chance : ndarray of shape (M,)
        Expected R of as many random directions: R is biased upward with few images.
    distance : tuple of Interval
        Distance of the mean position (u, v) from the center, in cells, and the p-value of no distance
        (`Interval.p_value`). They allow for shared memory images, as `resultant_by_chance` does not. A
        position that all classes share counts too; whether classes differ is what `blocked_replicate_test`
        tests.
    center : (float, float)
        Center (y, x) in cells that positions and directions are measured from.
    """

    classes: tuple[str, ...]
    n_images: np.ndarray
    u: tuple[Interval, ...]
    v: tuple[Interval, ...]
    direction: np.ndarray
    resultant: np.ndarray
    resultant_by_chance: np.ndarray
    distance: tuple[Interval, ...]
    center: tuple[float, float]

    def points(self) -> np.ndarray:
        """Return the mean positions (u, v) of the classes in cells, shape (M, 2).

        Examples
        --------
        >>> hp.observations.locations.class_positions(matches).points().shape
        (3, 2)
        """
        pairs = [(u.estimate, v.estimate) for u, v in zip(self.u, self.v, strict=True)]
        return np.array(pairs, float).reshape(-1, 2)


def image_positions(matches: Matches, *, weighting: str = "count") -> tuple[np.ndarray, np.ndarray]:
    """Return the class of each query image with a same-class match, (n,), and its mean (u, v), (n, 2)."""
    same = matches.select(matches.same_class)
    weight = same.weight if weighting == "kernel" else np.ones(len(same))
    n_images = len(same.query_paths)
    total = np.bincount(same.query_image, weight, n_images)
    there = np.flatnonzero(total)
    u, v = same.grid.centered(same.y, same.x)
    sums = np.stack([np.bincount(same.query_image, weight * part, n_images) for part in (u, v)], axis=1)
    return same.query_image_class[there], sums[there] / total[there, None]


@takes(Matches)
def class_positions(
    matches: Matches, *, weighting: str = "count", center: tuple[float, float] | None = None
) -> ClassPositions:
    """Return the position of each class's same-class matches.

    Parameters
    ----------
    matches : Matches
        Matches of labeled images.
    weighting : {"count", "kernel"}, default="count"
        Whether an image's matches have equal weight or their kernel weights, Eq. (3).
    center : (float, float), optional
        Center (y, x) in cells for positions and angles; by default the middle of the grid.

    Returns
    -------
    ClassPositions
        Positions and directions with their intervals.

    Raises
    ------
    InputError
        The grid is 1x1, or the weighting is unknown.

    See Also
    --------
    hueprobe.observations.locations.blocked_replicate_test : Test whether positions differ between classes.

    Examples
    --------
    >>> positions = hp.observations.locations.class_positions(matches)
    >>> positions.classes, positions.n_images.tolist()
    (('circle', 'square', 'triangle'), [4, 4, 4])
    """
    require_choice("weighting", weighting, WEIGHTINGS)
    require_grid(matches.grid, "locations")
    same = matches.select(matches.same_class)
    weight = same.weight if weighting == "kernel" else np.ones(len(same))
    n_images = len(same.query_paths)
    total = np.bincount(same.query_image, weight, n_images)
    weight = weight / total[same.query_image]  # every image counts once
    u, v = same.grid.centered(same.y, same.x, center=center)
    mean_u, mean_v = (np.bincount(same.query_image, weight * part, n_images) for part in (u, v))
    theta = np.where((mean_u == 0) & (mean_v == 0), np.nan, np.arctan2(mean_v, mean_u))
    units = match_units(same)
    of_class = [same.query_class == c for c in range(len(same.classes))]
    images = [theta[(total > 0) & (same.query_image_class == c)] for c in range(len(same.classes))]
    counts = np.array([len(angles) for angles in images], np.int64)

    def mean(part: np.ndarray) -> tuple[Interval, ...]:
        return tuple(ratio_interval((weight * part)[own], weight[own], units.select(own)) for own in of_class)

    return ClassPositions(
        classes=same.classes,
        n_images=counts,
        u=mean(u),
        v=mean(v),
        direction=np.array([mean_direction(angles) for angles in images]),
        resultant=np.array([resultant_length(angles) for angles in images]),
        resultant_by_chance=resultant_by_chance(counts),
        distance=tuple(off_center(weight[own], u[own], v[own], units.select(own)) for own in of_class),
        center=center or ((same.grid.height - 1) / 2, (same.grid.width - 1) / 2),
    )


@takes(Matches)
def naive_rayleigh(matches: Matches, *, center: tuple[float, float] | None = None) -> np.ndarray:
    """Return the Rayleigh p-value of each class's same-class match angles, and warn that it is invalid.

    Matches are not independent. The function is here to show the size of the error. The warning
    (HueprobeWarning) explains it.

    Parameters
    ----------
    matches : Matches
        Matches of labeled images.
    center : (float, float), optional
        Center (y, x) in cells for angles; by default the middle of the grid.

    Returns
    -------
    ndarray of shape (M,)
        p-value of each class.

    Warns
    -----
    HueprobeWarning
        Always.

    See Also
    --------
    hueprobe.observations.locations.blocked_replicate_test : The test to use.
    hueprobe.stats.circular.rayleigh_p : The test, for independent angles.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", hp.HueprobeWarning)
    ...     p = hp.observations.locations.naive_rayleigh(matches)
    >>> p.shape
    (3,)
    """
    warnings.warn(
        "the Rayleigh test assumes independent matches, but those of one image, and those that share a "
        "memory image, are dependent: without any class effect it rejects 26 to 97 % of the time at a "
        "nominal 5 %; use blocked_replicate_test",
        HueprobeWarning,
        stacklevel=2,
    )
    same = matches.select(matches.same_class)
    theta = same.grid.theta(same.y, same.x, center=center)
    return np.array([rayleigh_p(theta[same.query_class == c]) for c in range(len(same.classes))])
