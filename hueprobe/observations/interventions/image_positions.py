"""Positions of every image's same-class matches, under each flip and in each deal of blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hueprobe.errors import InputError, ShapeError
from hueprobe.images.motions import FLIPS

ESTIMATORS = {
    "energy": "same-class matches, weighted by the energy of the matched cell",
    "plain": "same-class matches, all equal",
}
_NAMES = ("classes", "flips", "estimators", "cell")
_ARRAYS = ("image_class", "unit", "block", "position")


@dataclass(frozen=True, repr=False)
class ImagePositions:
    """Mean position of each query image's same-class matches, searched within blocks of images.

    Attributes
    ----------
    classes : tuple of str
        Class names, M of them.
    flips : tuple of str
        The flips of all images that were searched, in the order of `position`.
    estimators : tuple of str
        How matches are weighted, in the order of `position`; keys of `ESTIMATORS`.
    image_class : ndarray of int64, shape (n,)
        Class id of each query image, -1 for none.
    unit : ndarray of int64, shape (n,)
        Independent unit of each query image: its group where known.
    block : ndarray of int64, shape (n_deals, n)
        Block of each query image in each deal, -1 for none.
    position : ndarray of float32, shape (n_deals, n_flips, n_estimators, n, 2)
        (u, v) in cells, v upwards; NaN for an image without same-class matches in its block.
    cell : (float, float)
        Height and width of a cell, in pixels of the images that the network sees.

    See Also
    --------
    hueprobe.observations.interventions.measure : Split them into content and network.

    Examples
    --------
    >>> positions = hp.observations.interventions.simulate(
    ...     content=[(1, 0), (0, 1), (-1, -1)], network=[(0, 0)] * 3, n_images=20, seed=0
    ... )
    >>> positions.position.shape
    (20, 4, 1, 60, 2)
    """

    classes: tuple[str, ...]
    flips: tuple[str, ...]
    estimators: tuple[str, ...]
    image_class: np.ndarray
    unit: np.ndarray
    block: np.ndarray
    position: np.ndarray
    cell: tuple[float, float] = (32.0, 32.0)

    def __post_init__(self) -> None:
        """Refuse parts that do not fit each other."""
        if "e" not in self.flips or tuple(name for name in FLIPS if name in self.flips) != self.flips:
            raise InputError(f"flips are {self.flips}; give e and others in the order e, h, r, v, each once")
        n, n_deals = len(self.image_class), len(self.block)
        wanted = (n_deals, len(self.flips), len(self.estimators), n, 2)
        if self.position.shape != wanted or self.block.shape != (n_deals, n) or self.unit.shape != (n,):
            raise ShapeError(
                f"positions have shape {self.position.shape}, blocks {self.block.shape} and units "
                f"{self.unit.shape}; {n} images, {n_deals} deals, {len(self.flips)} flips and "
                f"{len(self.estimators)} estimators need {wanted}, ({n_deals}, {n}) and ({n},)"
            )

    def __repr__(self) -> str:
        """Count images, classes, deals and flips."""
        return (
            f"ImagePositions({len(self.image_class)} images, {len(self.classes)} classes, "
            f"{len(self.block)} deals of {self.n_blocks} blocks, flips {','.join(self.flips)})"
        )

    @property
    def n_blocks(self) -> int:
        """Number of blocks of each deal."""
        return int(self.block.max(initial=-1)) + 1

    def of(self, estimator: str) -> np.ndarray:
        """Return the positions by one estimator.

        Parameters
        ----------
        estimator : str
            One of `estimators`.

        Returns
        -------
        ndarray of float64, shape (n_flips, n_deals, n, 2)
        """
        if estimator not in self.estimators:
            raise InputError(f"no positions by {estimator!r}; there are: {', '.join(self.estimators)}")
        found: np.ndarray = self.position[:, :, self.estimators.index(estimator)].swapaxes(0, 1)
        return found.astype(float)

    def select(self, flips: Sequence[str]) -> "ImagePositions":
        """Return the positions under some of the flips.

        Parameters
        ----------
        flips : sequence of str
            Some of `flips`, such as `("e", "h")`.

        Returns
        -------
        ImagePositions
        """
        chosen = [flip for flip in self.flips if flip in flips]
        columns = [self.flips.index(flip) for flip in chosen]
        return ImagePositions(
            self.classes, tuple(chosen), self.estimators, self.image_class, self.unit, self.block,
            self.position[:, columns], self.cell,
        )  # fmt: skip

    def header(self) -> dict[str, Any]:
        """Return what is not an array, as JSON values.

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in _NAMES}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name.

        Returns
        -------
        dict of str to ndarray
        """
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def of_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "ImagePositions":
        """Return the positions that `header` and `arrays` describe.

        Parameters
        ----------
        header : mapping of str to Any
            Result of `header`; other keys are ignored.
        arrays : mapping of str to ndarray
            Result of `arrays`; other arrays are ignored.

        Returns
        -------
        ImagePositions

        Raises
        ------
        KeyError
            A part is missing.
        """
        parts: dict[str, Any] = {name: tuple(header[name]) for name in _NAMES}
        parts |= {name: arrays[name] for name in _ARRAYS}
        return cls(**parts)
