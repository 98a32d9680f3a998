"""Observation 1: activation energy, its concentration near the image center and its symmetry.

Each image's map is first divided by its own mean, so that images of high energy do not dominate. Then

    rho = E_w[r^2] / E_uniform[r^2]

weights the squared distance from the center by energy: 1 for a flat map, below 1 for energy near the center.
The *symmetric share* is the part of the mean map's variation between cells that all mirror images and quarter
turns share: ``|P s|^2 / |s|^2``, with s the mean map minus 1 and P the mean over the symmetries of the
rectangle. Both norms are sums over pairs of *different* images (or groups), so that noise of single images
does not bias them.
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
    """Result of `measure`; maps are in multiples of an image's mean energy.

    Attributes
    ----------
    grid : Grid
        Grid of the maps.
    center : tuple of (float, float)
        Center (y, x) in cells that distances are measured from.
    classes : tuple of str
        Class names.
    n_images, n_dark : int
        Number of images measured, and of images left out because their energy is zero everywhere.
    mean_map : ndarray of shape (H, W)
        Mean of the normalized maps; its own mean is 1.
    class_maps : ndarray of shape (n_classes, H, W)
        Mean map of each class; NaN for a class without images.
    class_images : ndarray of int64, shape (n_classes,)
        Number of images of each class measured.
    centroids : ndarray of shape (n_classes, 2)
        Energy centroid (u, v) of each class in cells, relative to the middle of the grid.
    rho : Interval
        E_w[r^2] / E_uniform[r^2]; 1 where energy does not depend on location.
    class_rho : tuple of Interval
        rho of each class.
    profile : RadialProfile
        Energy by distance from the center.
    symmetry : Interval
        Symmetric share, from about `symmetry_by_chance` (no symmetry) to 1.
    symmetry_by_chance : float
        Symmetric share of a random pattern: (orbits - 1) / (cells - 1).
    class_symmetry : tuple of Interval
        Symmetric share of each class's mean map.
    operations : dict of str to Interval
        Correlation of the mean map with its image under each operation (`left-right`, `up-down`, `half turn`,
        and on a square grid `quarter turn`).

    See Also
    --------
    hueprobe.observations.energy.measure : Measure it.

    Examples
    --------
    >>> found = hp.observations.energy.measure(memory.energy(), memory.grid)
    >>> found.mean_map.shape == memory.grid.shape, round(float(found.mean_map.mean()), 6)
    (True, 1.0)
    >>> list(found.operations)[:3]
    ['left-right', 'up-down', 'half turn']
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
        """Return rho and the symmetric share, each with its interval.

        Returns
        -------
        dict of str to Interval
            Numbers by name.

        Examples
        --------
        >>> list(hp.observations.energy.measure(memory.energy(), memory.grid).numbers())
        ['rho', 'symmetric share']
        """
        return {"rho": self.rho, "symmetric share": self.symmetry}

    def claims(
        self, *, memory: str = "memory", definitions: Definitions | None = None
    ) -> tuple[Verdict, ...]:
        """Return the verdicts on claims 1a and 1b.

        Parameters
        ----------
        memory : str, default="memory"
            Name of the memory, for the verdicts.
        definitions : mapping of str to Any, optional
            How the result was measured, to be recorded with the verdicts.

        Returns
        -------
        tuple of Verdict
            One verdict per claim.

        Examples
        --------
        >>> found = hp.observations.energy.measure(memory.energy(), memory.grid)
        >>> [verdict.id for verdict in found.claims(memory="shapes")]
        ['1a centre', '1b symmetry']
        """
        definitions = {**(definitions or {}), "centre (y, x)": list(self.center)}
        return (
            one_finding("1a centre", self.rho, memory, definitions),
            one_finding("1b symmetry", self.symmetry, memory, definitions),
        )

    def tables(self) -> dict[str, list[Row]]:
        """Return the mean map as rows of a table `maps`.

        Returns
        -------
        dict of str to list of dict
            One row per cell.

        Examples
        --------
        >>> rows = hp.observations.energy.measure(memory.energy(), memory.grid).tables()["maps"]
        >>> len(rows) == memory.grid.n_cells, sorted(rows[0])
        (True, ['map', 'value', 'x', 'y'])
        """
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
    """Measure how energy is distributed over the grid.

    Parameters
    ----------
    energy_maps : array_like of shape (n_images, H, W), or (H, W) for one image
        Squared norm of each activation before normalization (`memory.energy()`).
    grid : Grid
        Grid of H rows and W columns.
    image_class : ndarray of int64, shape (n_images,), optional
        Class id of each image, -1 for none; by default no image has a class.
    classes : sequence of str, default=()
        Class names by id.
    groups : sequence of (str or None), length n_images, optional
        Group of each image. Intervals treat groups as independent units; by default, images.
    center : (float, float), optional
        Center (y, x) of the network in cells, which its strides may shift; by default the middle of the grid.
        Symmetry is measured on the largest window of whole cells about the nearest half cell.

    Returns
    -------
    Energy
        Intervals are NaN where there are fewer than two images (or groups).

    Raises
    ------
    InputError, ShapeError, NumericsError
        A 1x1 grid, no image with energy, mismatched arrays, negative or non-finite energy.

    See Also
    --------
    hueprobe.memory.Memory.energy : Energy maps of a memory.
    hueprobe.studies.network_center : Center of a network's receptive fields.
    hueprobe.observations.hue.energy_position : Relation of energy and match positions.

    Examples
    --------
    Energy in the middle row of a 3x3 grid is nearer to the center than uniform energy:

    >>> maps = np.zeros((4, 3, 3))
    >>> maps[:, 1] = 1
    >>> found = hp.observations.energy.measure(maps, hp.Grid(3, 3))
    >>> round(found.rho.estimate, 3), found.n_images
    (0.5, 4)

    The energy maps of a memory:

    >>> found = hp.observations.energy.measure(
    ...     memory.energy(), memory.grid, image_class=memory.image_class, classes=memory.classes
    ... )
    >>> found.mean_map.shape == memory.grid.shape, len(found.class_rho)
    (True, 3)
    """
    require_kind("grid", grid, Grid)
    require_grid(grid, "energy")
    maps = as_array("energy_maps", energy_maps).astype(float)
    maps = maps[None] if maps.ndim == 2 else maps
    if maps.shape[1:] != grid.shape:
        raise ShapeError(
            f"energy maps have shape {maps.shape}; the grid needs (n, {grid.height}, {grid.width})"
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
        Maps divided by their own means.
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
    """Return slices (images, rows, columns) of the largest window about the half cell nearest to `center`."""

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
    """Return the mean over the symmetries of the rectangle (4) or of the square (8)."""
    maps = (maps + maps[..., ::-1]) / 2
    maps = (maps + maps[..., ::-1, :]) / 2
    if maps.shape[-1] == maps.shape[-2]:
        maps = (maps + maps.swapaxes(-1, -2)) / 2
    return maps


def _share_by_chance(shape: tuple[int, ...]) -> float:
    """Return (orbits - 1) / (cells - 1): the trace of the projection P among patterns of mean zero."""
    cells = shape[0] * shape[1]
    trace = np.trace(_symmetrise(np.eye(cells).reshape(cells, *shape)).reshape(cells, cells))
    return float((trace - 1) / (cells - 1)) if cells > 1 else float("nan")


def _pattern_ratio(maps: np.ndarray, operation: Operation, units: np.ndarray) -> Interval:
    """Return <s, operation(s)> / <s, s> of the mean pattern s with its jackknife interval."""
    present, codes = np.unique(units, return_inverse=True)
    n_units = len(present)
    if n_units < 3:
        return Interval(np.nan, np.nan, np.nan, np.nan, n_units - 1)
    pattern = maps - maps.mean((1, 2), keepdims=True)
    other = operation(pattern).reshape(len(maps), -1)
    pattern = pattern.reshape(len(maps), -1)
    s, t = (np.stack([np.bincount(codes, column, n_units) for column in a.T], 1) for a in (pattern, other))

    def between(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
        """Return sums of <a_g, b_h> over pairs of different units: of all, and with each unit left out."""
        whole_a, whole_b, own = a.sum(0), b.sum(0), (a * b).sum(1)
        full = whole_a @ whole_b - own.sum()
        left_out = ((whole_a - a) * (whole_b - b)).sum(1) - (own.sum() - own)
        return full, left_out

    (top, tops), (bottom, bottoms) = between(s, t), between(s, s)
    if bottom <= 0 or (bottoms <= 0).any():  # images share no pattern
        return Interval(np.nan, np.nan, np.nan, np.nan, n_units - 1)
    without = tops / bottoms
    error = np.sqrt((n_units - 1) / n_units * ((without - without.mean()) ** 2).sum())
    return normal_interval(top / bottom, error, degrees=n_units - 1)
