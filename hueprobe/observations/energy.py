"""Observation 1: activation energy, whether near the image center and how symmetric about it.

Each image's map is divided by its own mean first, so that bright images do not speak for all. Then

    rho = E_w[r^2] / E_uniform[r^2]

weighs the squared distance from the center by energy: 1 for a flat map, below 1 for energy near the center.
The *symmetric share* is the part of the mean map's variation from cell to cell that all mirror images and
quarter turns have in common: |P s|^2 / |s|^2, s the mean map minus 1 and P the mean over the symmetries of
the rectangle. Both norms are sums over pairs of *different* images (or groups), so that the noise of
single images neither adds to nor takes from them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import as_array, require_kind
from hueprobe.errors import InputError, NumericsError, ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.table import Row
from hueprobe.observations.units.radial import RadialProfile, require_grid, rings
from hueprobe.observations.units.tables import map_rows
from hueprobe.observations.verdicts.evidence import Definitions, one_finding
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.intervals import Interval, normal_interval, unit_codes, unit_interval

Operation = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Energy:
    """What `measure` found; maps are in multiples of an image's mean energy.

    Attributes
    ----------
    grid : Grid
        The cells.
    center : tuple of (float, float)
        (y, x) of the center that distances are taken from.
    classes : tuple of str
        Class names.
    n_images, n_dark : int
        Images taken in, and images left out because their energy is zero everywhere.
    mean_map : ndarray of shape (H, W)
        Mean of the normalized maps; its own mean is 1.
    class_maps : ndarray of shape (n_classes, H, W)
        The same for each class; NaN for a class without images.
    class_images : ndarray of int64, shape (n_classes,)
        Images of each class taken in.
    centroids : ndarray of shape (n_classes, 2)
        Energy centroid (u, v) of each class in cells, from the grid's middle.
    rho : Interval
        E_w[r^2] / E_uniform[r^2]; 1 where energy does not depend on place.
    class_rho : tuple of Interval
        The same for each class.
    profile : RadialProfile
        Energy by distance from the center.
    symmetry : Interval
        Symmetric share, from about `symmetry_by_chance` (no symmetry) to 1.
    symmetry_by_chance : float
        Share of a random pattern's variation that is symmetric: (orbits - 1) / (cells - 1).
    class_symmetry : tuple of Interval
        Symmetric share of each class's mean map.
    operations : dict of str to Interval
        Correlation of the mean map with its image under each operation (`left-right`, `up-down`,
        `half turn`, and on a square `quarter turn`).
    """

    grid: Grid
    center: tuple[float, float]
    classes: tuple[str, ...]
    n_images: int
    n_dark: int
    mean_map: np.ndarray
    class_maps: np.ndarray
    class_images: np.ndarray
    centroids: np.ndarray
    rho: Interval
    class_rho: tuple[Interval, ...]
    profile: RadialProfile
    symmetry: Interval
    symmetry_by_chance: float
    class_symmetry: tuple[Interval, ...]
    operations: dict[str, Interval]

    def numbers(self) -> dict[str, Interval]:
        """Return rho and the symmetric share."""
        return {"rho": self.rho, "symmetric share": self.symmetry}

    def claims(
        self, *, memory: str = "memory", definitions: Definitions | None = None
    ) -> tuple[Verdict, ...]:
        """Return the verdicts on claims 1a and 1b."""
        definitions = {**(definitions or {}), "centre (y, x)": list(self.center)}
        return (
            one_finding("1a centre", self.rho, memory, definitions),
            one_finding("1b symmetry", self.symmetry, memory, definitions),
        )

    def tables(self) -> dict[str, list[Row]]:
        """Return the mean map."""
        return {"maps": map_rows({"energy, multiples of the mean": self.mean_map})}


def measure(
    energy_maps: np.ndarray,
    grid: Grid,
    *,
    image_class: np.ndarray | None = None,
    classes: Sequence[str] = (),
    groups: Sequence[str | None] | None = None,
    center: tuple[float, float] | None = None,
) -> Energy:
    """Measure how energy is spread over the grid.

    Parameters
    ----------
    energy_maps : array_like of shape (n_images, H, W), or (H, W) for one image
        Squared norm of each activation before normalizing (`memory.energy()`).
    grid : Grid
        H rows and W columns.
    image_class : ndarray of int64, shape (n_images,), optional
        Class id of each image, -1 for none.
    classes : sequence of str
        Class names by id.
    groups : sequence of (str or None), length n_images, optional
        Intervals take whole groups for independent, in place of images.
    center : (float, float), optional
        (y, x) of the network's own center, which its strides may shift. Symmetry is then measured on the
        largest window of whole cells about the half cell nearest to it.

    Returns
    -------
    Energy
        Intervals are NaN where there are fewer than two images (or groups).

    Raises
    ------
    InputError, ShapeError, NumericsError
        A 1x1 grid, no image with energy, arrays that do not fit, negative or non-finite energy.
    """
    require_kind("grid", grid, Grid)
    require_grid(grid, "energy")
    maps = as_array("energy_maps", energy_maps).astype(float)
    maps = maps[None] if maps.ndim == 2 else maps
    if maps.shape[1:] != grid.shape:
        raise ShapeError(
            f"energy maps have shape {maps.shape}, the grid asks for (n, {grid.height}, {grid.width})"
        )
    if not np.isfinite(maps).all() or (maps < 0).any():
        raise NumericsError("energy maps hold negative or non-finite values; energy is a squared norm")
    labels = np.full(len(maps), -1) if image_class is None else as_array("image_class", image_class)
    if len(labels) != len(maps):
        raise ShapeError(f"{len(labels)} class ids for {len(maps)} energy maps; give one for each")
    units = unit_codes(groups, len(maps))

    bright = maps.sum((1, 2)) > 0
    if not bright.any():
        raise InputError(f"all {len(maps)} energy maps are zero everywhere; there is nothing to measure")
    maps, labels, units = maps[bright], labels[bright], units[bright]
    maps = maps / maps.mean((1, 2), keepdims=True)

    middle = (grid.height - 1) / 2, (grid.width - 1) / 2
    y, x = grid.rows_and_columns()
    squared = grid.radius(y, x, center=center) ** 2
    image_rho = (maps * squared).mean((1, 2)) / squared.mean()
    u, v = grid.centered(y, x)
    centroid = np.stack([(maps * u).mean((1, 2)), (maps * v).mean((1, 2))], axis=1)
    window = _window(grid, center or middle)
    of_class = [labels == c for c in range(len(classes))]
    ones = np.ones(len(maps))
    return Energy(
        grid=grid,
        center=center or middle,
        classes=tuple(classes),
        n_images=len(maps),
        n_dark=int((~bright).sum()),
        mean_map=maps.mean(0),
        class_maps=np.array([_mean(maps[own]) for own in of_class]).reshape(-1, *grid.shape),
        class_images=np.array([own.sum() for own in of_class], np.int64),
        centroids=np.array([_mean(centroid[own]) for own in of_class]).reshape(-1, 2),
        rho=unit_interval(image_rho, ones, units),
        class_rho=tuple(unit_interval(image_rho[own], ones[own], units[own]) for own in of_class),
        profile=_profile(maps, units, grid, center),
        symmetry=symmetric_share(maps[window], units),
        symmetry_by_chance=_share_by_chance(maps[window].shape[1:]),
        class_symmetry=tuple(symmetric_share(maps[own][window], units[own]) for own in of_class),
        operations={
            name: _pattern_ratio(maps[window], operation, units)
            for name, operation in _operations(maps[window].shape[1:]).items()
        },
    )


def symmetric_share(maps: np.ndarray, units: np.ndarray) -> Interval:
    """Return the share of the mean map's variation that all its symmetries have in common.

    Parameters
    ----------
    maps : ndarray of shape (n, H, W)
        Maps divided by their own mean.
    units : ndarray of int64, shape (n,)
        Unit (image or group) of each map; the interval is a jackknife over units.
    """
    return _pattern_ratio(maps, _symmetrise, units)


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(0) if len(values) else np.full(values.shape[1:], np.nan)


def _profile(
    maps: np.ndarray, units: np.ndarray, grid: Grid, center: tuple[float, float] | None
) -> RadialProfile:
    radius, ring = rings(grid, center=center)
    parts = [
        unit_interval(maps[:, ring == number].mean(1), np.ones(len(maps)), units)
        for number in range(len(radius))
    ]
    return RadialProfile.of(radius, ring, parts)


def _window(grid: Grid, center: tuple[float, float]) -> tuple[slice, slice, slice]:
    """Slices (images, rows, columns) of the largest window about the half cell nearest to `center`."""

    def part(size: int, middle: float) -> slice:
        twice = round(2 * middle)
        reach = min(twice, 2 * (size - 1) - twice)  # in half cells
        if reach < 0:
            raise InputError(
                f"center {center} lies outside the {grid.height}x{grid.width} grid; give (y, x) in cells"
            )
        return slice((twice - reach) // 2, (twice + reach) // 2 + 1)

    return slice(None), part(grid.height, center[0]), part(grid.width, center[1])


def _operations(shape: tuple[int, ...]) -> dict[str, Operation]:
    operations: dict[str, Operation] = {
        "left-right": lambda maps: maps[..., ::-1],
        "up-down": lambda maps: maps[..., ::-1, :],
        "half turn": lambda maps: maps[..., ::-1, ::-1],
    }
    if shape[0] == shape[1]:
        operations["quarter turn"] = lambda maps: np.rot90(maps, axes=(-2, -1))
    return operations


def _symmetrise(maps: np.ndarray) -> np.ndarray:
    """Mean over the symmetries of the rectangle (4) or of the square (8)."""
    maps = (maps + maps[..., ::-1]) / 2
    maps = (maps + maps[..., ::-1, :]) / 2
    if maps.shape[-1] == maps.shape[-2]:
        maps = (maps + maps.swapaxes(-1, -2)) / 2
    return maps


def _share_by_chance(shape: tuple[int, ...]) -> float:
    """(orbits - 1) / (cells - 1): the trace of the projection P among patterns of mean zero."""
    cells = shape[0] * shape[1]
    trace = np.trace(_symmetrise(np.eye(cells).reshape(cells, *shape)).reshape(cells, cells))
    return float((trace - 1) / (cells - 1)) if cells > 1 else float("nan")


def _pattern_ratio(maps: np.ndarray, operation: Operation, units: np.ndarray) -> Interval:
    """<s, operation(s)> / <s, s> for the mean pattern s, from pairs of different units, by jackknife."""
    present, codes = np.unique(units, return_inverse=True)
    n_units = len(present)
    if n_units < 3:
        return Interval(np.nan, np.nan, np.nan, np.nan, n_units - 1)
    pattern = maps - maps.mean((1, 2), keepdims=True)
    other = operation(pattern).reshape(len(maps), -1)
    pattern = pattern.reshape(len(maps), -1)
    s, t = (np.stack([np.bincount(codes, column, n_units) for column in a.T], 1) for a in (pattern, other))

    def between(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
        """Sum over pairs of different units of <a_g, b_h>: with all units, and with each one left out."""
        whole_a, whole_b, own = a.sum(0), b.sum(0), (a * b).sum(1)
        full = whole_a @ whole_b - own.sum()
        left_out = ((whole_a - a) * (whole_b - b)).sum(1) - (own.sum() - own)
        return full, left_out

    (top, tops), (bottom, bottoms) = between(s, t), between(s, s)
    if bottom <= 0 or (bottoms <= 0).any():  # no pattern that images share
        return Interval(np.nan, np.nan, np.nan, np.nan, n_units - 1)
    without = tops / bottoms
    error = np.sqrt((n_units - 1) / n_units * ((without - without.mean()) ** 2).sum())
    return normal_interval(top / bottom, error, degrees=n_units - 1)
