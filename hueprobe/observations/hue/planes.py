"""Activation hue: the angle of a vector in a plane orthogonal to the axis of uninformative vectors.

In RGB the axis is the gray line, and the plane orthogonal to it carries hue. With C channels the space
orthogonal to the axis has C - 1 dimensions, so the plane must be chosen. Planes are `rgb` (three channels
only), `pca` or `lda` of class means, `dft`, `unlabeled`, or the plane of two given vectors. `dft` is the
first harmonic over channels; since their order is arbitrary, it is a control. So is `unlabeled`, the first
two principal directions of the vectors, which no label chose.

The `rgb` plane gives HSI hue, atan2(sqrt(3) (G - B), 2 R - G - B). HSV hue differs from it by up to 1.12
degrees.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hueprobe.errors import InputError, ShapeError, require_choice
from hueprobe.grid import Grid

AXES = ("uniform", "mean")
PLANES = ("rgb", "pca", "lda", "dft", "unlabeled")
# A vector whose component orthogonal to the axis is smaller (relative to its length) has no hue.
NO_HUE = 1e-6

Blocks = Iterable[tuple[int, np.ndarray]]


@dataclass(frozen=True)
class Plane:
    """A plane orthogonal to an axis, with the directions that hue is measured from.

    Attributes
    ----------
    name : str
        One of `PLANES`, `given` or `random`.
    axis : ndarray of shape (C,)
        Unit vector.
    basis : ndarray of shape (2, C)
        Orthonormal and orthogonal to the axis; hue is 0 along the first vector and pi/2 along the second.
    """

    name: str
    axis: np.ndarray
    basis: np.ndarray

    def coordinates(self, vectors: np.ndarray) -> np.ndarray:
        """Return the coordinates in the plane, (..., 2), of vectors (..., C)."""
        coordinates: np.ndarray = vectors @ self.basis.T.astype(vectors.dtype)
        return coordinates

    def hue(self, vectors: np.ndarray) -> np.ndarray:
        """Return atan2 of the coordinates in radians, (...,), of vectors (..., C); NaN on the axis."""
        return hue_of(self.coordinates(vectors), np.linalg.norm(vectors, axis=-1))


def hue_of(coordinates: np.ndarray, length: np.ndarray | float = 1.0) -> np.ndarray:
    """Return the angle of plane coordinates (..., 2) in (-pi, pi]; NaN where they are 0 within rounding.

    Parameters
    ----------
    coordinates : ndarray of shape (..., 2)
        Coordinates from `Plane.coordinates`.
    length : ndarray of shape (...,) or float, default=1.0
        Lengths of the vectors.
    """
    angle = np.arctan2(coordinates[..., 1], coordinates[..., 0])
    angle = np.where(angle == -np.pi, np.pi, angle)
    return np.where(np.linalg.norm(coordinates, axis=-1) > NO_HUE * length, angle, np.nan)


def uniform_axis(n_channels: int) -> np.ndarray:
    """Return the unit vector with equal channels, shape (C,)."""
    return np.full(n_channels, n_channels**-0.5)


def choose_axis(axis: str | np.ndarray, mean: np.ndarray) -> tuple[str, np.ndarray]:
    """Return the name and the unit vector, shape (C,), of an axis.

    Parameters
    ----------
    axis : {"uniform", "mean"} or ndarray of shape (C,)
        `mean` is the direction of the mean activation; an array is named `given`.
    mean : ndarray of shape (C,)
        Mean of the unit vectors.
    """
    if isinstance(axis, str):
        require_choice("axis", axis, AXES)
        name, vector = axis, uniform_axis(len(mean)) if axis == "uniform" else mean
    else:
        name, vector = "given", np.asarray(axis, float)
    if vector.shape != mean.shape:
        raise ShapeError(f"the axis has shape {vector.shape}, the vectors have {len(mean)} channels")
    length = np.linalg.norm(vector)
    if length < 1e-12:
        raise InputError(f"axis {name!r} is the zero vector; use axis='uniform'")
    return name, vector / length


def saturation(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return the sine of the angle to the axis, (...,), of vectors (..., C); NaN for a zero vector.

    It is 0 on the axis and 1 orthogonal to it: for a unit vector, its distance from the axis.
    """
    squared = np.asarray((vectors**2).sum(-1), float)
    along = np.asarray(vectors @ axis.astype(vectors.dtype), float)
    ratio = np.divide(along**2, squared, out=np.full(squared.shape, np.nan), where=squared > 0)
    sine: np.ndarray = np.sqrt(np.clip(1 - ratio, 0, 1))
    return sine


def across(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return the component of vectors (..., C) orthogonal to the axis."""
    axis = axis.astype(vectors.dtype)
    across: np.ndarray = vectors - (vectors @ axis)[..., None] * axis
    return across


def plane_through(first: np.ndarray, second: np.ndarray, axis: np.ndarray, *, name: str = "given") -> Plane:
    """Return the plane that two vectors (C,) span orthogonal to the axis; hue is 0 along the first.

    Raises
    ------
    InputError
        There are fewer than three channels, or the vectors span no plane without the axis.
    """
    if len(axis) < 3:
        raise InputError(f"a plane across the axis needs at least 3 channels, the vectors have {len(axis)}")
    pair = np.stack([np.asarray(first, float), np.asarray(second, float)])
    if pair.shape[1] != len(axis):
        raise ShapeError(
            f"vectors of {pair.shape[1]} channels cannot span a plane across {len(axis)} channels"
        )
    parts = across(pair, axis)
    one = parts[0] / max(np.linalg.norm(parts[0]), 1e-300)
    two = parts[1] - (parts[1] @ one) * one
    lengths = np.linalg.norm(pair, axis=1)
    if np.linalg.norm(parts[0]) <= 1e-9 * lengths[0] or np.linalg.norm(two) <= 1e-9 * lengths[1]:
        raise InputError(f"the two vectors of plane {name!r} span no plane across the axis; give others")
    return Plane(name, np.asarray(axis, float), np.stack([one, two / np.linalg.norm(two)]))


def random_plane(axis: np.ndarray, generator: np.random.Generator) -> Plane:
    """Return a random plane orthogonal to the axis, drawn from the uniform distribution."""
    first, second = generator.normal(size=(2, len(axis)))
    return plane_through(first, second, axis, name="random")


def class_span(vectors: np.ndarray, labels: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis of the span of the class means across the axis, shape (r, C).

    Its dimension r is at most one less than the number of classes: means are taken less their own mean.

    Parameters
    ----------
    vectors : ndarray of shape (n, C)
        Labeled vectors.
    labels : ndarray of int64, shape (n,)
        Class id of each vector.
    axis : ndarray of shape (C,)
        Unit vector that the span is orthogonal to.
    """
    between, _ = _between(across(np.asarray(vectors, float), axis), labels)
    _, sizes, directions = np.linalg.svd(between, full_matrices=False)
    basis: np.ndarray = directions[sizes > 1e-9 * max(sizes[0], 1e-300)]
    return basis


def random_plane_within(span: np.ndarray, axis: np.ndarray, generator: np.random.Generator) -> Plane:
    """Return a random plane within a span, drawn from the uniform distribution.

    Vectors are drawn in all C dimensions and projected on the span, so that one draw gives nearly the same
    plane for spans that are nearly the same.

    Parameters
    ----------
    span : ndarray of shape (r, C)
        Orthonormal basis of the span (`class_span`), r at least 2.
    axis : ndarray of shape (C,)
        Unit vector that the span is orthogonal to.
    generator : numpy.random.Generator
        Source of randomness.
    """
    first, second = generator.normal(size=(2, len(axis))) @ span.T @ span
    return plane_through(first, second, axis, name="random")


def fit_plane(name: str, vectors: np.ndarray, labels: np.ndarray, axis: np.ndarray) -> Plane:
    """Return one of the named planes, fitted to vectors if it needs fitting.

    Parameters
    ----------
    name : {"rgb", "pca", "lda", "dft", "unlabeled"}
        `pca`: first two principal directions of the class means. `lda`: first two discriminant directions,
        with the within-class covariance shrunk by the method of Ledoit and Wolf (2004). `unlabeled`: first
        two principal directions of the vectors. `rgb`, `dft`: fixed.
    vectors : ndarray of shape (n, C)
        Vectors to fit the plane to.
    labels : ndarray of int64, shape (n,)
        Class id of each vector.
    axis : ndarray of shape (C,)
        Unit vector that the plane is orthogonal to.

    Notes
    -----
    The means of two classes span a line. The second direction is then the first principal direction of what
    remains of the vectors.
    """
    require_choice("plane", name, PLANES)
    n_channels = len(axis)
    if name == "rgb":
        if n_channels != 3:
            raise InputError(
                f"plane 'rgb' is for 3 channels, the vectors have {n_channels}; use 'pca' or 'lda'"
            )
        return plane_through(np.array([2.0, -1, -1]), np.array([0.0, 1, -1]), axis, name=name)
    if name == "dft":
        phase = 2 * np.pi * np.arange(n_channels) / n_channels
        return plane_through(np.cos(phase), np.sin(phase), axis, name=name)

    parts = across(np.asarray(vectors, float), axis)
    between, residuals = _between(parts, labels)
    if name == "lda":
        between = between @ np.linalg.inv(_shrunk_covariance(residuals))
    directions = _principal(parts - parts.mean(0) if name == "unlabeled" else between)
    if len(directions) < 2:
        rest = parts - parts.mean(0)
        directions = np.concatenate([directions, _principal(rest - rest @ directions.T @ directions)])
    if len(directions) < 2:
        raise InputError(
            f"the vectors span no plane across the axis to fit {name!r}; use 'dft' or two given vectors"
        )
    return plane_through(directions[0], directions[1], axis, name=name)


def _between(parts: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the class means less their own mean, (M, C), and each row less its class mean, (n, C)."""
    present, codes = np.unique(labels, return_inverse=True)
    means = np.stack([parts[codes == c].mean(0) for c in range(len(present))])
    return means - means.mean(0), parts - means[codes]


def _principal(rows: np.ndarray) -> np.ndarray:
    """Return leading directions of rows (n, C), at most two, signed so that the largest entry is positive."""
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    directions = directions[:2][sizes[:2] > 1e-9 * max(sizes[0], 1e-300)]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], axis=1)
    turned: np.ndarray = directions * np.sign(largest)
    return turned


def _shrunk_covariance(residuals: np.ndarray) -> np.ndarray:
    """Return Ledoit and Wolf's covariance of centered rows (n, C), shrunk towards a multiple of the identity.

    The shrinkage is d = min(1, mean_k |x_k x_k' - S|^2 / n / |S - m I|^2), with m the mean variance.
    """
    n, n_channels = residuals.shape
    sample = residuals.T @ residuals / n
    mean = np.trace(sample) / n_channels
    size = ((residuals**2).sum(1) ** 2).mean()  # mean of |x x'|^2
    spread = (sample**2).sum()
    away = spread - n_channels * mean**2
    shrinkage = min(1.0, (size - spread) / n / away) if away > 0 else 1.0
    identity = np.eye(n_channels) * (mean if mean > 0 else 1.0)
    # a little of the identity keeps the matrix invertible along directions without spread, such as the axis
    shrunk: np.ndarray = (1 - shrinkage) * sample + max(shrinkage, 1e-6) * identity
    return shrunk


@dataclass(frozen=True)
class HueMap:
    """Hue and saturation of every cell of every image.

    Attributes
    ----------
    plane : Plane
        Plane in which hue was measured.
    hue, saturation : ndarray of float32, shape (n_images, H, W)
        Hue in radians in (-pi, pi], and sine of the angle to the axis. NaN for a zero vector.
    signed : bool
        Whether any channel was negative: the uniform axis is then not the middle of the space.
    """

    plane: Plane
    hue: np.ndarray
    saturation: np.ndarray
    signed: bool


def hue_map(blocks: Blocks, plane: Plane, *, n_images: int, grid: Grid) -> HueMap:
    """Measure hue and saturation of a memory's vectors, block by block.

    Parameters
    ----------
    blocks : iterable of (int, ndarray of shape (n, C))
        First vector id and unit vectors, as yielded by `memory.blocks()`.
    plane : Plane
        Plane in which to measure hue.
    n_images, grid
        Number of images and grid of the memory.
    """
    hue = np.full(n_images * grid.n_cells, np.nan, np.float32)
    distance = np.full(n_images * grid.n_cells, np.nan, np.float32)
    signed = False
    for first, vectors in blocks:
        rows = slice(first, first + len(vectors))
        hue[rows], distance[rows] = plane.hue(vectors), saturation(vectors, plane.axis)
        signed = signed or bool((vectors < 0).any())
    shape = (n_images, *grid.shape)
    return HueMap(plane, hue.reshape(shape), distance.reshape(shape), signed)


@dataclass(frozen=True)
class Pooled:
    """Statistics of one pass over a memory's vectors.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n_images, C)
        Each image's average-pooled activation as a unit vector; zero for an image without energy.
    mean : ndarray of shape (C,)
        Mean of all unit vectors, without zero vectors.
    """

    vectors: np.ndarray
    mean: np.ndarray


def pool(blocks: Blocks, energy: np.ndarray) -> Pooled:
    """Pool a `pixel` memory's vectors, block by block.

    Parameters
    ----------
    blocks : iterable of (int, ndarray of shape (n, C))
        First vector id and unit vectors, as yielded by `memory.blocks()`.
    energy : ndarray of shape (n_images, H, W)
        Squared norms of the vectors before normalization (`memory.energy()`).
    """
    n_images, n_cells = len(energy), int(np.prod(np.shape(energy)[1:]))
    norm = np.sqrt(np.asarray(energy, np.float32)).ravel()
    pooled, total = np.zeros((n_images, 0), np.float32), np.zeros(0)
    for first, vectors in blocks:
        if not pooled.shape[1]:
            pooled, total = np.zeros((n_images, vectors.shape[1]), np.float32), np.zeros(vectors.shape[1])
        ids = np.arange(first, first + len(vectors))
        images, starts = np.unique(ids // n_cells, return_index=True)
        pooled[images] += np.add.reduceat(vectors * norm[ids, None], starts, axis=0)
        total += vectors.sum(0, dtype=float)
    length = np.linalg.norm(pooled, axis=1, keepdims=True)
    vectors = np.divide(pooled, length, out=np.zeros_like(pooled), where=length > 0)
    return Pooled(vectors, total / max(1, int((norm > 0).sum())))
