"""The nearest memory patch of each cell of an image, and how far it is."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import InputError


@dataclass(frozen=True, repr=False)
class NearestPatches:
    """The nearest memory patch of each cell of n images.

    Attributes
    ----------
    images : tuple of str
        Path or name of each image.
    distance : ndarray of float64, shape (n, H, W)
        Euclidean distance between the unit vectors, 0 to 2; NaN where a cell has no match (a zero vector).
    image, y, x : ndarray of int64, shape (n, H, W)
        Memory row, and row and column there, of the nearest patch; -1 where there is none.

    See Also
    --------
    hueprobe.trust.nearest_patches : Takes them from a match table.
    hueprobe.plots.strangeness_map : Draws them for one image.

    Examples
    --------
    >>> found = hp.trust.nearest_patches(result)
    >>> found.distance.shape
    (12, 7, 7)
    """

    images: tuple[str, ...]
    distance: np.ndarray
    image: np.ndarray
    y: np.ndarray
    x: np.ndarray

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Count images and cells."""
        height, width = self.distance.shape[1:]
        return f"NearestPatches({len(self)} images on {height}x{width} cells)"

    @classmethod
    def concatenate(cls, parts: Iterable["NearestPatches"]) -> "NearestPatches":
        """Join the parts of one run, in order.

        Parameters
        ----------
        parts : iterable of NearestPatches
            Parts, such as those of `classify_batches`.

        Returns
        -------
        NearestPatches

        Raises
        ------
        InputError
            There is no part.

        Examples
        --------
        >>> classifier = hp.KernelDensityClassifier(memory, k=5)
        >>> parts = map(hp.trust.nearest_patches, classifier.leave_one_out_batches())
        >>> hp.trust.NearestPatches.concatenate(parts)
        NearestPatches(12 images on 7x7 cells)
        """
        parts = list(parts)
        if not parts:
            raise InputError("no patches to join; give at least one part")
        joined: dict[str, Any] = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
            if field.name != "images"
        }
        return cls(images=tuple(name for part in parts for name in part.images), **joined)


@takes(Classification)
def nearest_patches(result: Classification) -> NearestPatches:
    """Return the nearest memory patch of each cell of a classification's images.

    Parameters
    ----------
    result : Classification
        A classification with its match table.

    Returns
    -------
    NearestPatches

    Raises
    ------
    InputError
        The classification has no match table.

    See Also
    --------
    hueprobe.trust.image_scores : One score for each image.

    Examples
    --------
    >>> found = hp.trust.nearest_patches(result)
    >>> bool((found.image != np.arange(12)[:, None, None]).all())  # no image matches itself
    True
    """
    if result.matches is None:
        raise InputError(
            "this classification has no match table, so the distances of its cells are unknown; classify "
            "with keep_matches=True"
        )
    nearest = result.matches.select(result.matches.rank == 1)
    shape = len(result), *nearest.query_grid.shape
    position = np.full(len(nearest.query_paths), -1)
    position[result.rows] = np.arange(len(result))
    at = position[nearest.query_image], nearest.query_y, nearest.query_x
    distance = np.full(shape, np.nan)
    distance[at] = nearest.distance
    places = {name: np.full(shape, -1, np.int64) for name in ("image", "y", "x")}
    for name, values in places.items():
        values[at] = getattr(nearest, name)
    return NearestPatches(images=result.images, distance=distance, **places)
