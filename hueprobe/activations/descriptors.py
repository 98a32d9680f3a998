"""Descriptors of an image: all cells of its grid, or one pooled vector. NumPy only."""

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
    """Reduce grids of activations to a descriptor, without normalizing it.

    Parameters
    ----------
    activations : ndarray of shape (n, C, H, W)
        Activations after the closing nonlinearity.
    descriptor : str
        - `pixel`: the activations themselves;
        - `gap`, `gmp`: global average and global maximum pooling over the cells;
        - `gem`: generalized mean pooling [1]_, (mean of a^3)^(1/3), with a clamped to at least 1e-6;
        - `rmac`: regional maximum activations [2]_ at 3 scales, without whitening;
        - `flat`: all C*H*W values in the order (C, H, W), to compare whole grids.

    Returns
    -------
    ndarray of shape (n, C', H', W')
        `pixel` keeps (C, H, W), `flat` returns (C*H*W, 1, 1), the others (C, 1, 1).

    Raises
    ------
    ShapeError
        If activations do not have four axes, or if an axis other than the first is empty.

    See Also
    --------
    hueprobe.activations.pooled_from_vectors : Compute a descriptor from a stored `pixel` memory.
    hueprobe.activations.unit_vectors : Normalize the descriptor.

    References
    ----------
    .. [1] Radenović, Tolias, Chum, *Fine-tuning CNN image retrieval with no human annotation*,
       TPAMI 2019.
    .. [2] Tolias, Sicre, Jégou, *Particular object retrieval with integral max-pooling of CNN
       activations*, ICLR 2016, section 3.2.

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
    with np.errstate(over="ignore", invalid="ignore"):  # `unit_vectors` rejects the result
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
    """Compute R-MAC: max-pool each region, normalize it to a unit vector, and sum over regions.

    Uses L = 3 scales and no whitening, see section 3.2 of [1]_.

    Parameters
    ----------
    activations : ndarray of shape (n, C, H, W)
        Activations after the closing nonlinearity.

    Returns
    -------
    ndarray of shape (n, C)
        Sum of the regions' unit vectors, not normalized.

    References
    ----------
    .. [1] Tolias, Sicre, Jégou, *Particular object retrieval with integral max-pooling of CNN
       activations*, ICLR 2016.
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

    At scale l = 1 a region is as large as the grid's shorter side. The number of regions along the
    longer side (2 to 7) is the one whose overlap of neighbors is closest to 40 %. At scale l the side
    is 2 min(H, W) / (l + 1), with l - 1 more regions along each axis. Sides and positions are rounded
    down; regions of side 0 are omitted.

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
    """Return the first cells of n intervals of `side` cells, evenly spaced over `length` cells."""
    return [i * (length - side) // (n - 1) for i in range(n)] if n > 1 else [0]


def require_finite(activations: np.ndarray, names: Sequence[str], layer: str) -> None:
    """Raise NumericsError, naming the first image, if activations (n, C, H, W) are NaN or infinite."""
    broken = ~np.isfinite(activations).all(axis=(1, 2, 3))
    if broken.any():
        raise NumericsError(
            f"activations of {names[int(broken.argmax())]!r} at layer {layer!r} are NaN or infinite; "
            "check the weights, or use precision fp32"
        )


def unit_vectors(
    activations: np.ndarray, *, names: Sequence[str] | None = None, layer: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Split activations into unit vectors over the channels and the energy lost by normalizing.

    Parameters
    ----------
    activations : ndarray of shape (n, C, H, W)
        Activations or pooled descriptors.
    names : sequence of str, length n, optional
        Names of the images, for the error message; None reports the position in the batch.
    layer : str, optional
        Name of the layer, for the error message; None omits it.

    Returns
    -------
    vectors : ndarray of shape (n, H, W, C), float32
        Activations scaled to unit length (L2), zero vectors if the energy is zero.
    energy : ndarray of shape (n, H, W), float32
        Squared L2 norm of each activation.

    Raises
    ------
    ShapeError
        If activations do not have four axes.
    NumericsError
        If an activation is NaN or infinite, or its energy is too large for float32.

    Examples
    --------
    >>> activations = np.array([[[[3.0]], [[4.0]]]])  # one image, two channels, one cell
    >>> vectors, energy = unit_vectors(activations)
    >>> vectors.ravel(), energy.item()
    (array([0.6, 0.8], dtype=float32), 25.0)
    """
    if activations.ndim != 4:
        raise ShapeError(f"activations must be (n, C, H, W), got shape {activations.shape}")
    n, channels, height, width = activations.shape
    vectors = np.empty((n, height, width, channels), np.float32)
    energy = np.empty((n, height, width), np.float32)
    bad = []
    for i, image in enumerate(activations):  # one image at a time fits in the cache
        cells = np.moveaxis(image, 0, -1).astype(np.float64)  # (H, W, C)
        squared = np.einsum("yxc,yxc->yx", cells, cells)
        if not (squared <= np.finfo(np.float32).max).all():
            bad.append(i)
            continue
        energy[i] = squared
        cells /= np.sqrt(np.where(energy[i] > 0, squared, np.inf))[..., None]
        vectors[i] = cells
    if bad:
        first = f"number {bad[0]} of the batch" if names is None else repr(names[bad[0]])
        where = "" if layer is None else f" at layer {layer!r}"
        raise NumericsError(
            f"activations of {len(bad)} of {n} images (the first is {first}){where} are NaN, infinite "
            "or too large; check the weights and the precision (fp16 overflows above 65504)"
        )
    return vectors, energy


def pooled_from_vectors(vectors: np.ndarray, energy: np.ndarray, descriptor: str) -> np.ndarray:
    """Compute a descriptor from the contents of a `pixel` memory, without running the network again.

    Parameters
    ----------
    vectors : ndarray of shape (n, H, W, C)
        Unit vectors, or zeros.
    energy : ndarray of shape (n, H, W)
        Squared norms: an activation is its vector times sqrt(energy).
    descriptor : str
        One of the descriptors that `describe` accepts.

    Returns
    -------
    ndarray of shape (n, C', H', W'), float32
        Same as from `describe`, up to the rounding of the stored vectors.

    Raises
    ------
    ShapeError
        If the shapes of vectors and energy do not match.

    See Also
    --------
    hueprobe.activations.describe : Compute a descriptor from activations.

    Examples
    --------
    >>> grid = np.array([[[[1.0, 3.0], [0.0, 4.0]]]])  # one image, one channel, 2 x 2 cells
    >>> pooled_from_vectors(*unit_vectors(grid), "gap").item()
    2.0
    """
    if vectors.ndim != 4 or vectors.shape[:3] != energy.shape:
        raise ShapeError(
            f"vectors (n, H, W, C) and energy (n, H, W) differ: {vectors.shape} and {energy.shape}"
        )
    activations = vectors.astype(np.float32) * np.sqrt(energy, dtype=np.float32)[..., None]
    return describe(np.ascontiguousarray(np.moveaxis(activations, -1, 1)), descriptor)
