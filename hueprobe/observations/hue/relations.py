"""Relations between what the observations find: energy and match position, image-plane angle and hue."""

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
        Two-sided, by permuting the classes of one side; NaN for fewer than three.
    n_classes : int
        Classes with both values.
    """

    r: Interval
    p: float
    n_classes: int


@dataclass(frozen=True)
class EnergyPosition:
    """Do classes whose energy lies to one side match on that side; by component.

    Attributes
    ----------
    u, v : Correlation
        Of the energy centroid and the position of same-class matches, to the right and upwards.
    """

    u: Correlation
    v: Correlation


def energy_position(
    centroids: np.ndarray, positions: np.ndarray, *, seed: int, n_permutations: int = 9999
) -> EnergyPosition:
    """Relate where classes have their energy and where their matches land.

    Parameters
    ----------
    centroids : ndarray of shape (n_classes, 2)
        (u, v) of each class's energy (`Energy.centroids`); NaN where unknown.
    positions : ndarray of shape (n_classes, 2)
        (u, v) of each class's same-class matches (`ClassPositions.points()`); NaN where unknown.
    seed : int
        Of the permutations.
    n_permutations : int
        Random permutations.
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
    """Return the correlation of two values a class, shape (n_classes,); classes with a NaN are left out."""
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
    """Does activation hue turn with the image-plane angle; NaN where there is too little to tell.

    Attributes
    ----------
    with_theta, against_theta : float
        Resultant length of hue - theta and of hue + theta over all cells: 1 where hue is the angle (the
        mirrored angle) up to a constant, about 0 where they have nothing to do with each other.
    strength : float
        Signed root of |with|^2 + |against|^2 less its mean under the null: about 0 by chance.
    p : float
        One-sided. Null: every image (group) is turned and mirrored at random, which keeps each
        image's own layout of hues and forgets which way is up.
    n_images : int
        Images with at least one hue.
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
        Activation hue in radians; NaN where there is none.
    grid : Grid
        H rows and W columns. Random turns are quarter turns on a square grid, half turns on another.
    seed : int
        Of the random turns.
    groups : sequence of (str or None), length n_images, optional
        Images of one group turn together.
    n_permutations : int
        Random draws.
    """
    require_kind("grid", grid, Grid)
    require_grid(grid, "hue")
    hue = as_array("hue", hue)
    if hue.shape[1:] != grid.shape:
        raise ShapeError(f"hue has shape {hue.shape}, the grid asks for (n, {grid.height}, {grid.width})")
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
        Radians (`ClassPositions.direction`, and the mean direction of the class's hues); NaN where unknown.
    seed : int
        Of the permutations.
    n_permutations : int
        Random permutations of the classes, the null.

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
