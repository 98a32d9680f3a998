"""Locations of the matches of single images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import takes
from hueprobe.errors import InputError, require_choice
from hueprobe.grid import Grid
from hueprobe.matches import Matches
from hueprobe.observations.locations.base import base_density, normalized
from hueprobe.observations.locations.positions import WEIGHTINGS
from hueprobe.observations.units.radial import require_grid


@dataclass(frozen=True)
class ImageLocations:
    """Where the same-class matches of single images lie, n images.

    Attributes
    ----------
    grid : Grid
        Grid of the memory.
    paths, classes : tuple of str
        Path and class name of each query image.
    n_matches : ndarray of int64, shape (n,)
        Number of same-class matches of each image.
    density : ndarray of shape (n, H, W)
        Density of the same-class matches of each image, which sums to 1 over the grid.
    base : ndarray of shape (H, W)
        Density of a random memory vector.
    u, v : ndarray of shape (n,)
        Mean centered position of the matches, in cells, v upwards.
    center : (float, float)
        Center (y, x) in cells that positions are measured from.

    See Also
    --------
    hueprobe.plots.image_locations : Draw them.

    Examples
    --------
    >>> found = hp.observations.locations.image_locations(matches, ["circle"], n_each=2)
    >>> found.classes, found.density.shape == (2, *memory.grid.shape)
    (('circle', 'circle'), True)
    """

    grid: Grid
    paths: tuple[str, ...]
    classes: tuple[str, ...]
    n_matches: np.ndarray
    density: np.ndarray
    base: np.ndarray
    u: np.ndarray
    v: np.ndarray
    center: tuple[float, float]


@takes(Matches)
def image_locations(
    matches: Matches,
    classes: Sequence[str] | None = None,
    *,
    n_each: int = 5,
    weighting: str = "count",
    valid: np.ndarray | None = None,
    center: tuple[float, float] | None = None,
) -> ImageLocations:
    """Return where the same-class matches of the first images of each class lie.

    Parameters
    ----------
    matches : Matches
        Matches of labeled images.
    classes : sequence of str, optional
        Names of the classes; all by default.
    n_each : int, default=5
        Number of images of each class, at least 1: the first ones, in the order of the queries, that have
        same-class matches.
    weighting : {"count", "kernel"}, default="count"
        Whether an image's matches have equal weight or their kernel weights, Eq. (3).
    valid : ndarray of bool, shape (n_images * H * W,), optional
        Memory vectors that can be matched (`memory.valid()`), for `base`; all by default.
    center : (float, float), optional
        Center (y, x) in cells for positions; by default the middle of the grid.

    Returns
    -------
    ImageLocations
        The images class by class; none where there are no same-class matches.

    Raises
    ------
    InputError, ShapeError
        A class is unknown; `n_each` is below 1; a 1x1 grid; an unknown weighting; a mask of another length.

    See Also
    --------
    hueprobe.observations.locations.class_positions : The mean positions of classes.
    hueprobe.plots.image_locations : Draw them.

    Examples
    --------
    >>> found = hp.observations.locations.image_locations(matches, n_each=1)
    >>> found.classes, bool(np.allclose(found.density.sum((1, 2)), 1))
    (('circle', 'square', 'triangle'), True)
    """
    require_choice("weighting", weighting, WEIGHTINGS)
    require_grid(matches.grid, "locations")
    names = matches.classes if classes is None else classes
    if unknown := [name for name in names if name not in matches.classes]:
        raise InputError(f"no class {unknown[0]!r} in these matches; they have: {', '.join(matches.classes)}")
    if n_each < 1:
        raise InputError(f"n_each is {n_each}; at least 1 image of each class is needed")
    same = matches.select(matches.same_class)
    asked = np.unique(same.query_image)
    chosen = [asked[same.query_image_class[asked] == matches.classes.index(name)][:n_each] for name in names]
    images = np.concatenate([np.zeros(0, np.int64), *chosen])
    place = np.full(len(same.query_paths), -1)
    place[images] = np.arange(len(images))
    own = same.select(place[same.query_image] >= 0)
    row, n, n_cells = place[own.query_image], len(images), own.grid.n_cells
    weight = own.weight if weighting == "kernel" else np.ones(len(own))
    counts = np.bincount(row * n_cells + own.match_cell, weight, n * n_cells).reshape(n, *own.grid.shape)
    density = normalized(counts)
    u, v = own.grid.centered(*own.grid.rows_and_columns(), center=center)
    return ImageLocations(
        grid=own.grid,
        paths=tuple(same.query_paths[image] for image in images),
        classes=tuple(name for name, part in zip(names, chosen, strict=True) for _ in part),
        n_matches=np.bincount(row, minlength=n),
        density=density,
        base=base_density(valid, len(matches.image_paths), own.grid),
        u=(density * u).sum((1, 2)),
        v=(density * v).sum((1, 2)),
        center=center or ((own.grid.height - 1) / 2, (own.grid.width - 1) / 2),
    )
