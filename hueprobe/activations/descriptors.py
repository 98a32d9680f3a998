"""What an image is reduced to: all cells of its grid, or one pooled vector. NumPy only."""

import math
from collections.abc import Sequence

import numpy as np

from hueprobe.errors import NumericsError, ShapeError, require_choice

DESCRIPTORS = ("pixel", "gap", "gmp", "gem", "rmac", "flat")

GEM_POWER = 3.0
GEM_FLOOR = 1e-6
RMAC_SCALES = 3
RMAC_OVERLAP = 0.4


def describe(activations: np.ndarray, descriptor: str) -> np.ndarray:
    """Reduce grids of activations to a descriptor, not normalized.

    Parameters
    ----------
    activations : ndarray of shape (n, C, H, W)
        After the closing nonlinearity.
    descriptor : str
        - `pixel`: the activations themselves;
        - `gap`, `gmp`: mean and maximum over the cells;
        - `gem`: generalized mean, (mean of a^3)^(1/3) with a no less than 1e-6;
        - `rmac`: see `rmac`;
        - `flat`: all C*H*W values in the order (C, H, W), for comparing whole grids.

    Returns
    -------
    ndarray of shape (n, C', H', W')
        `pixel` keeps (C, H, W), `flat` gives (C*H*W, 1, 1), the others (C, 1, 1).

    Examples
    --------
    >>> grid = np.array([[[[1.0, 3.0], [0.0, 4.0]]]])  # one image, one channel, 2 x 2 cells
    >>> describe(grid, "gap").ravel(), describe(grid, "gmp").ravel()
    (array([2.]), array([4.]))
    """
    require_choice("descriptor", descriptor, DESCRIPTORS)
    if activations.ndim != 4 or 0 in activations.shape[1:]:
        raise ShapeError(
            f"activations must be (n, C, H, W) with no empty side, got shape {activations.shape}"
        )
    if descriptor == "pixel":
        return activations
    with np.errstate(over="ignore", invalid="ignore"):  # `unit_vectors` refuses what comes of it
        return _pooled(activations, descriptor)


def _pooled(activations: np.ndarray, descriptor: str) -> np.ndarray:
    if descriptor == "gap":
        mean: np.ndarray = activations.mean(axis=(2, 3), keepdims=True)
        return mean
    if descriptor == "gmp":
        largest: np.ndarray = activations.max(axis=(2, 3), keepdims=True)
        return largest
    if descriptor == "gem":
        powers = np.maximum(activations, GEM_FLOOR) ** GEM_POWER
        powered: np.ndarray = powers.mean(axis=(2, 3), keepdims=True) ** (1 / GEM_POWER)
        return powered
    if descriptor == "rmac":
        return rmac(activations)[:, :, None, None]
    return activations.reshape(len(activations), math.prod(activations.shape[1:]), 1, 1)


def rmac(activations: np.ndarray) -> np.ndarray:
    """Regional maximum activations: each region max-pooled, made a unit vector, and summed.

    Tolias, Sicre, Jegou, *Particular object retrieval with integral max-pooling of CNN activations*,
    ICLR 2016, section 3.2, with L = 3 scales and without its whitening.

    Parameters
    ----------
    activations : ndarray of shape (n, C, H, W)

    Returns
    -------
    ndarray of shape (n, C)
    """
    height, width = activations.shape[2:]
    total = np.zeros(activations.shape[:2], np.result_type(activations, np.float32))
    for top, left, side in rmac_regions(height, width):
        peak = activations[:, :, top : top + side, left : left + side].max(axis=(2, 3))
        norm = np.linalg.norm(peak, axis=1, keepdims=True)
        total += np.divide(peak, norm, out=np.zeros_like(total), where=norm > 0)
    return total


def rmac_regions(height: int, width: int, *, scales: int = RMAC_SCALES) -> list[tuple[int, int, int]]:
    """Return (top, left, side) of R-MAC's square regions, in cells.

    At scale l = 1 the side is the grid's shorter one, and as many squares (2 to 7) lie along the longer
    one as bring the overlap of neighbors closest to 40 %; at scale l the side is 2 min(H, W) / (l + 1),
    with l - 1 more squares along each axis. Sides and places are rounded down; a side of 0 is left out.

    Examples
    --------
    >>> rmac_regions(4, 4)[:5]      # the whole grid, then four squares of side floor(8/3)
    [(0, 0, 4), (0, 0, 2), (0, 2, 2), (2, 0, 2), (2, 2, 2)]
    """
    shorter, longer = min(height, width), max(height, width)
    extra = 0
    if longer > shorter:
        overlaps = {n: 1 - (longer - shorter) / (n - 1) / shorter for n in range(2, 8)}
        extra = min(overlaps, key=lambda n: abs(overlaps[n] - RMAC_OVERLAP)) - 1
    regions = []
    for scale in range(1, scales + 1):
        side = 2 * shorter // (scale + 1)
        tops = _starts(height, side, scale + (extra if height > width else 0))
        lefts = _starts(width, side, scale + (extra if width > height else 0))
        regions += [(top, left, side) for top in tops for left in lefts if side > 0]
    return regions


def _starts(length: int, side: int, n: int) -> list[int]:
    """First cells of n intervals of `side` cells spread evenly from one end to the other."""
    return [i * (length - side) // (n - 1) for i in range(n)] if n > 1 else [0]


def require_finite(activations: np.ndarray, names: Sequence[str], layer: str) -> None:
    """Raise NumericsError, naming the first image, where activations (n, C, H, W) are NaN or infinite."""
    broken = ~np.isfinite(activations).all(axis=(1, 2, 3))
    if broken.any():
        raise NumericsError(
            f"activations of {names[int(broken.argmax())]!r} at layer {layer!r} are NaN or infinite; "
            "check the weights, or use precision fp32"
        )


def unit_vectors(
    activations: np.ndarray, *, names: Sequence[str] | None = None, layer: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split activations into unit vectors over the channels and the energy that normalizing destroys.

    Parameters
    ----------
    activations : ndarray of shape (n, C, H, W)
    names : sequence of str, length n, optional
        Of the images, for the error.
    layer : str, optional
        Its name, for the error.

    Returns
    -------
    vectors : ndarray of shape (n, H, W, C), float32
        Unit length (L2); zeros where the energy is zero.
    energy : ndarray of shape (n, H, W), float32
        Squared L2 norm of each activation.

    Raises
    ------
    NumericsError
        When an activation is NaN or infinite, or its energy is too large for float32.
    """
    if activations.ndim != 4:
        raise ShapeError(f"activations must be (n, C, H, W), got shape {activations.shape}")
    n, channels, height, width = activations.shape
    vectors = np.empty((n, height, width, channels), np.float32)
    energy = np.empty((n, height, width), np.float32)
    bad = []
    for i, image in enumerate(activations):  # one at a time stays in the cache
        cells = np.moveaxis(image, 0, -1).astype(np.float64)  # (H, W, C)
        squared = np.einsum("yxc,yxc->yx", cells, cells)
        if not (squared <= np.finfo(np.float32).max).all():
            bad.append(i)
            continue
        energy[i] = squared
        cells /= np.sqrt(np.where(energy[i] > 0, squared, np.inf))[..., None]
        vectors[i] = cells
    if bad:
        first = f"number {bad[0]} of its batch" if names is None else repr(names[bad[0]])
        where = "" if layer is None else f" at layer {layer!r}"
        raise NumericsError(
            f"activations of {len(bad)} of {n} images (the first is {first}){where} are NaN, infinite "
            "or too large; check the weights and the precision (fp16 overflows above 65504)"
        )
    return vectors, energy


def pooled_from_vectors(vectors: np.ndarray, energy: np.ndarray, descriptor: str) -> np.ndarray:
    """Derive a descriptor from what a `pixel` memory stores, without running the network again.

    Parameters
    ----------
    vectors : ndarray of shape (n, H, W, C)
        Unit vectors, or zeros.
    energy : ndarray of shape (n, H, W)
        Squared norms: an activation is its vector times sqrt(energy).
    descriptor : str
        As in `describe`.

    Returns
    -------
    ndarray of shape (n, C', H', W'), float32
        As `describe` gives, exact up to the rounding of the stored vectors.
    """
    if vectors.ndim != 4 or vectors.shape[:3] != energy.shape:
        raise ShapeError(
            f"vectors (n, H, W, C) and energy (n, H, W) differ: {vectors.shape} and {energy.shape}"
        )
    activations = vectors.astype(np.float32) * np.sqrt(energy, dtype=np.float32)[..., None]
    return describe(np.ascontiguousarray(np.moveaxis(activations, -1, 1)), descriptor)
