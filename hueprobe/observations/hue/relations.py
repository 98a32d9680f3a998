"""Relations between observations: energy and match position, image-plane angle and hue."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import as_array, require_kind
from hueprobe.errors import ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.units.radial import require_grid
from hueprobe.stats.intervals import Interval, unit_codes
from hueprobe.stats.permutation import permutation_p


@dataclass(frozen=True)
class Correlation:
    """A correlation over classes.

    Attributes
    ----------
    r : Interval
        Pearson's r with Fisher's interval; NaN for fewer than four classes.
    p : float
        Two-sided p-value from permutations of the classes of one side; NaN for fewer than three.
    n_classes : int
        Number of classes with both values.
    """

    r: Interval
    p: float
    n_classes: int


@dataclass(frozen=True)
class EnergyPosition:
    """Correlation of energy centroids and match positions over classes, by component.

    Attributes
    ----------
    u, v : Correlation
        Correlation of the energy centroid and the position of same-class matches, to the right and upwards.
    """

    u: Correlation
    v: Correlation


def energy_position(
    centroids: np.ndarray, positions: np.ndarray, *, seed: int, n_permutations: int = 9999
) -> EnergyPosition:
    """Correlate the energy centroids of classes with the positions of their matches.

    Parameters
    ----------
    centroids : ndarray of shape (n_classes, 2)
        Energy centroid (u, v) of each class (`Energy.centroids`); NaN where unknown.
    positions : ndarray of shape (n_classes, 2)
        Position (u, v) of each class's same-class matches (`ClassPositions.points()`); NaN where unknown.
    seed : int
        Seed of the permutations.
    n_permutations : int, default=9999
        Number of random permutations.

    Returns
    -------
    EnergyPosition
        Correlation of each component.

    Raises
    ------
    ShapeError
        The arrays are not of shape (n_classes, 2), or differ in length.

    See Also
    --------
    hueprobe.observations.energy.measure : Energy centroids.
    hueprobe.observations.locations.class_positions : Positions of classes.

    Examples
    --------
    Classes whose matches lie where their energy is, in u and not in v:

    >>> centroids = np.array([[0.0, 1], [1, 0], [2, 1], [3, 0]])
    >>> positions = np.array([[0.1, 0], [1, 1], [2.2, 2], [3, 3]])
    >>> found = hp.observations.hue.energy_position(centroids, positions, seed=0, n_permutations=99)
    >>> round(found.u.r.estimate, 2), round(found.v.r.estimate, 2), found.u.n_classes
    (1.0, -0.45, 4)
    """
    centroids, positions = as_array("centroids", centroids), as_array("positions", positions)
    if centroids.ndim != 2 or centroids.shape[1] != 2:
        raise ShapeError(f"centroids has shape {centroids.shape}; give (n_classes, 2)")
    if centroids.shape != positions.shape:
        raise ShapeError(f"{len(centroids)} energy centroids for {len(positions)} class positions")
    return EnergyPosition(
        *(
            correlation(centroids[:, i], positions[:, i], seed=seed, n_permutations=n_permutations)
            for i in (0, 1)
        )
    )


def correlation(a: np.ndarray, b: np.ndarray, *, seed: int, n_permutations: int = 9999) -> Correlation:
    """Return the correlation of two values per class, shape (n_classes,); classes with a NaN are left out."""
    known = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[known] - a[known].mean() if known.any() else a[known], b[known]
    n = len(a)
    b = b - b.mean() if n else b
    scale = np.sqrt((a @ a) * (b @ b))
    if n < 3 or scale == 0:
        return Correlation(Interval(np.nan, np.nan, np.nan, np.nan, n - 3), float("nan"), n)
    r = float(np.clip(a @ b / scale, -1, 1))
    order = np.random.default_rng(seed).random((n_permutations, n)).argsort(1)
    p = permutation_p(r, b[order] @ a / scale, alternative="two-sided")
    with np.errstate(divide="ignore"):
        error = 1 / np.sqrt(n - 3) if n > 3 else np.nan
        low, high = np.tanh(np.arctanh(r) + np.array([-1, 1]) * 1.959964 * error)
    return Correlation(Interval(r, float(low), float(high), np.nan, n - 3), float(p), n)


@dataclass(frozen=True)
class AngleRelation:
    """Relation of activation hue and image-plane angle; NaN where there are too few values.

    Attributes
    ----------
    with_theta, against_theta : float
        Resultant length of hue - theta and of hue + theta over all cells. It is 1 where hue is the angle (the
        mirrored angle) up to a constant, and about 0 where they are unrelated.
    strength : float
        Signed root of |with|^2 + |against|^2 minus its mean under the null: about 0 by chance.
    p : float
        One-sided p-value. Null: every image (group) is rotated and mirrored at random, which keeps each
        image's layout of hues but not its orientation.
    n_images : int
        Number of images with at least one hue.
    """

    with_theta: float
    against_theta: float
    strength: float
    p: float
    n_images: int


def angle_relation(
    hue: np.ndarray,
    grid: Grid,
    *,
    seed: int,
    groups: Sequence[str | None] | None = None,
    n_permutations: int = 9999,
) -> AngleRelation:
    """Relate the activation hue of each cell to the cell's angle in the image plane.

    Parameters
    ----------
    hue : ndarray of shape (n_images, H, W)
        Activation hue in radians; NaN where undefined.
    grid : Grid
        Grid of H rows and W columns. Random rotations are quarter turns on a square grid, otherwise half
        turns.
    seed : int
        Seed of the random rotations.
    groups : sequence of (str or None), length n_images, optional
        Images of one group are rotated together; by default each image on its own.
    n_permutations : int, default=9999
        Number of random draws.

    Returns
    -------
    AngleRelation
        Strength of the relation and its p-value.

    Raises
    ------
    InputError, ShapeError
        A 1x1 grid; hue of another shape.

    See Also
    --------
    hueprobe.observations.hue.measure : Measures the relation on a memory.

    Examples
    --------
    Hue that is the image-plane angle in every image:

    >>> grid = hp.Grid(3, 3)
    >>> hue = np.tile(grid.theta(*grid.rows_and_columns()), (6, 1, 1))
    >>> found = hp.observations.hue.angle_relation(hue, grid, seed=0, n_permutations=199)
    >>> round(found.with_theta, 3), round(found.strength, 3), found.p < 0.05
    (1.0, 1.0, True)
    """
    require_kind("grid", grid, Grid)
    require_grid(grid, "hue")
    hue = as_array("hue", hue)
    if hue.shape[1:] != grid.shape:
        raise ShapeError(f"hue has shape {hue.shape}; the grid needs (n, {grid.height}, {grid.width})")
    theta = grid.theta(*grid.rows_and_columns())
    known = ~np.isnan(hue) & ~np.isnan(theta)
    turning = np.stack(
        [np.where(known, np.exp(1j * (hue + sign * theta)), 0).sum((1, 2)) for sign in (-1, 1)], axis=1
    )
    units = unit_codes(groups, len(hue))
    n_units = int(units.max(initial=-1)) + 1
    sums = np.zeros((n_units, 2), complex)  # (with, against) of each unit
    np.add.at(sums, units, turning)
    cells = np.bincount(units, known.sum((1, 2)), n_units)
    pairs = cells.sum() ** 2 - (cells**2).sum()
    if pairs == 0:
        return AngleRelation(np.nan, np.nan, np.nan, np.nan, int(known.any((1, 2)).sum()))

    observed = float((np.abs(sums.sum(0)) ** 2).sum())
    squared = (observed - (np.abs(sums) ** 2).sum()) / pairs
    generator = np.random.default_rng(seed)
    step = 1 if grid.height == grid.width else 2
    null = np.empty(n_permutations)
    for draw in range(n_permutations):
        turn = np.exp(0.5j * np.pi * step * generator.integers(0, 4 // step, n_units))
        flip = generator.random(n_units) < 0.5
        # a turn by t: theta + t; a mirror image: theta -> pi - theta swaps the two, with a minus sign
        ours = np.where(flip[:, None], -sums[:, ::-1], sums)
        null[draw] = abs(ours[:, 0] @ turn.conj()) ** 2 + abs(ours[:, 1] @ turn) ** 2
    lengths = np.abs(sums.sum(0)) / cells.sum()
    return AngleRelation(
        with_theta=float(lengths[0]),
        against_theta=float(lengths[1]),
        strength=float(np.sign(squared) * np.sqrt(abs(squared))),
        p=float(permutation_p(observed, null)),
        n_images=int(known.any((1, 2)).sum()),
    )


def class_angle_relation(
    theta: np.ndarray, hue: np.ndarray, *, seed: int, n_permutations: int = 9999
) -> AngleRelation:
    """Relate the direction of each class's matches in the image plane to the class's mean hue.

    Parameters
    ----------
    theta, hue : ndarray of shape (n_classes,)
        Angles in radians (`ClassPositions.direction`, and the mean direction of the class's hues); NaN where
        unknown.
    seed : int
        Seed of the permutations.
    n_permutations : int, default=9999
        Number of random permutations of the classes, the null.

    Returns
    -------
    AngleRelation
        `n_images` counts classes. NaN for fewer than three.
    """
    known = ~np.isnan(theta) & ~np.isnan(hue)
    a, b = np.exp(1j * theta[known]), np.exp(1j * hue[known])
    n = len(a)
    if n < 3:
        return AngleRelation(np.nan, np.nan, np.nan, np.nan, n)
    order = np.random.default_rng(seed).random((n_permutations, n)).argsort(1)
    null = np.abs(b[order] @ a.conj()) ** 2 + np.abs(b[order] @ a) ** 2
    with_theta, against_theta = abs(b @ a.conj()) / n, abs(b @ a) / n
    observed = n**2 * (with_theta**2 + against_theta**2)
    squared = (observed - null.mean()) / n**2
    return AngleRelation(
        with_theta=float(with_theta),
        against_theta=float(against_theta),
        strength=float(np.sign(squared) * np.sqrt(abs(squared))),
        p=float(permutation_p(observed, null)),
        n_images=n,
    )
