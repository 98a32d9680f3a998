"""What one vector tells of where it was: position decoders, and whether they read content or position.

A ridge regression predicts the centered coordinates u and v of a cell from its vector alone, fitted on some
images and judged on others. On images that were moved, the vectors at a cell show what was elsewhere before.
A decoder that reads the content then reports the place where that content was; one that reads what the
network adds by position, such as the traces of padding, reports the cell.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.observations.interventions.averaged import UNKNOWN
from hueprobe.observations.units.radial import require_grid
from hueprobe.stats.intervals import Interval, clustered_variance, normal_interval, unit_codes, unit_interval

Blocks = Iterable[tuple[int, np.ndarray]]
N_FOLDS = 5
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # times the mean variance of a channel


@dataclass(frozen=True, eq=False)
class PositionDecoders:
    """Decoders of u and v from a vector, one for each fold of images.

    Attributes
    ----------
    grid : Grid
        Grid of the memory.
    fold : ndarray of int64, shape (n_images,)
        Fold of each image; its decoder was fitted on the other folds.
    unit : ndarray of int64, shape (n_images,)
        Independent unit of each image: its group where known.
    weights : ndarray of shape (n_folds, C, 2)
        Weights of the channels for u and v, in cells.
    offset : ndarray of shape (n_folds, 2)
        u and v that are decoded from a zero vector.
    penalty : (float, float)
        Ridge penalty for u and for v, times the mean variance of a channel: of `PENALTIES`, the one with the
        smallest error on images that were held out.
    r2 : (Interval, Interval)
        Share of the variance of u and of v that is explained on images that were held out; negative where the
        mean would do better.

    See Also
    --------
    hueprobe.observations.interventions.content_followed : Whether they read content or position.

    Examples
    --------
    >>> found = hp.observations.interventions.fit_position_decoders(memory.blocks, memory.grid, n_images=12)
    >>> found.weights.shape
    (5, 16, 2)
    """

    grid: Grid
    fold: np.ndarray
    unit: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    penalty: tuple[float, float]
    r2: tuple[Interval, Interval]

    def decode(self, first: int, vectors: np.ndarray) -> np.ndarray:
        """Return the decoded u and v of consecutive vectors, each by the decoder that did not see its image.

        Parameters
        ----------
        first : int
            Vector id of the first vector.
        vectors : ndarray of shape (n, C)
            Unit vectors.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            In cells.
        """
        fold = self.fold[(first + np.arange(len(vectors))) // self.grid.n_cells]
        decoded = np.empty((len(vectors), 2))
        for number in np.unique(fold):
            own = fold == number
            decoded[own] = vectors[own].astype(float) @ self.weights[number] + self.offset[number]
        return decoded


def fit_position_decoders(
    blocks: Callable[[], Blocks],
    grid: Grid,
    *,
    n_images: int,
    groups: Sequence[str | None] | None = None,
    seed: int = 0,
) -> PositionDecoders:
    """Fit decoders of a vector's position in the grid by ridge regression, with images held out.

    The vectors are read twice, block by block.

    Parameters
    ----------
    blocks : callable
        Function that returns the unit vectors from the start, block by block (`memory.blocks`). Zero vectors
        are left out.
    grid : Grid
        Grid of the memory.
    n_images : int
        Number of images.
    groups : sequence of (str or None), length n_images, optional
        Images of one group are in one fold; by default there are no groups.
    seed : int, default=0
        Seed of the folds.

    Returns
    -------
    PositionDecoders

    Raises
    ------
    InputError
        The grid is 1x1, or there are fewer images (groups) than folds.

    See Also
    --------
    hueprobe.observations.interventions.content_followed : Apply them to images that were moved.

    Examples
    --------
    >>> found = hp.observations.interventions.fit_position_decoders(memory.blocks, memory.grid, n_images=12)
    >>> u, v = found.r2
    >>> u.estimate < 1, v.estimate < 1
    (True, True)
    """
    require_grid(grid, "position decoders")
    unit = unit_codes(groups, n_images)
    n_units = int(unit.max(initial=-1)) + 1
    if n_units < N_FOLDS:
        raise InputError(f"{n_units} images (groups) for {N_FOLDS} folds; give at least {N_FOLDS}")
    fold = (np.random.default_rng(seed).permutation(n_units) % N_FOLDS)[unit]
    moments = _moments(blocks(), grid, fold)
    whole = moments.sum(0)
    fitted = [[_ridge(whole - own, penalty) for own in moments] for penalty in PENALTIES]
    wrong = np.array(
        [[_error(own, *part) for own, part in zip(moments, parts, strict=True)] for parts in fitted]
    ).sum(1)  # (penalties, 2)
    best = wrong.argmin(0).tolist()
    weights, offset = (
        np.stack([[part[i][..., axis] for part in fitted[best[axis]]] for axis in range(2)], axis=-1)
        for i in range(2)
    )
    penalty = (PENALTIES[best[0]], PENALTIES[best[1]])
    decoders = PositionDecoders(grid, fold, unit, weights, offset, penalty, (UNKNOWN, UNKNOWN))
    u, v = _explained(decoders, blocks(), n_images)
    return replace(decoders, r2=(u, v))


def content_followed(
    decoders: PositionDecoders,
    before: Callable[[], Blocks],
    after: Callable[[], Blocks],
    displacement: np.ndarray,
    *,
    cells: np.ndarray | None = None,
) -> tuple[Interval, Interval]:
    """Return how far the decoded position follows content that was moved.

    Decoders shrink positions: where the cell moves by one, what is decoded moves by less. What is decoded of
    moved images is compared with that.

    Parameters
    ----------
    decoders : PositionDecoders
        Decoders fitted on the images before they were moved.
    before, after : callable
        Functions that return the unit vectors of the same images, before and after they were moved, in equal
        blocks (`memory.blocks`).
    displacement : ndarray of shape (n_images, 2)
        How far each image's content was moved to the right and upwards, in cells.
    cells : ndarray of bool, shape (H, W), optional
        Cells to look at, such as those away from the border; by default all.

    Returns
    -------
    u, v : Interval
        1 where the decoded position is that of the content before the motion, 0 where it is that of the cell.
        NaN where nothing was moved along the coordinate. Without meaning where R^2 is about 0.

    Raises
    ------
    InputError
        The blocks differ.

    See Also
    --------
    hueprobe.observations.interventions.fit_position_decoders : Fit the decoders.

    Examples
    --------
    Vectors that did not change, though the content moved, tell the cell:

    >>> found = hp.observations.interventions.fit_position_decoders(memory.blocks, memory.grid, n_images=12)
    >>> u, v = hp.observations.interventions.content_followed(
    ...     found, memory.blocks, memory.blocks, np.ones((12, 2))
    ... )
    >>> u.estimate, v.estimate
    (0.0, 0.0)
    """
    n_images = len(displacement)
    n_cells = decoders.grid.n_cells
    looked_at = np.ones(n_cells, bool) if cells is None else np.asarray(cells, bool).ravel()
    middle = _coordinates(decoders.grid, 0, n_cells)[looked_at].mean(0)
    sums = np.zeros((4, n_images, 2))  # moved against the content, moved by; decoded along the true, true
    for (first, old), (also_first, new) in zip(before(), after(), strict=True):
        if first != also_first or old.shape != new.shape:
            raise InputError(
                "the blocks before and after the motion differ; give two memories of the same images"
            )
        ids = first + np.arange(len(old))
        there = old.any(1) & new.any(1) & looked_at[ids % n_cells]
        before_it, after_it = decoders.decode(first, old), decoders.decode(first, new)
        image = ids // n_cells
        away = np.asarray(displacement, float)[image]
        true = _coordinates(decoders.grid, first, len(ids)) - middle
        # content that came from below is decoded lower: the decoded position moves against the content
        parts = ((before_it - after_it) * away, away**2, before_it * true, true**2)
        for number, part in enumerate(parts):
            for axis in range(2):
                sums[number, :, axis] += np.bincount(image[there], part[there, axis], n_images)
    u, v = (_ratio_of_ratios(sums[..., axis], decoders.unit) for axis in range(2))
    return u, v


def _ratio_of_ratios(sums: np.ndarray, unit: np.ndarray) -> Interval:
    """Return (a / b) / (c / d) of sums over images, (4, n_images), with its interval over units."""
    total = sums.sum(1)
    if not total[1:].all():
        return UNKNOWN
    a, b, c, d = sums / np.where(total == 0, 1, total)[:, None]
    estimate = float(total[0] / total[1] / (total[2] / total[3]))
    influence = estimate * (a - b - c + d)
    error = float(np.sqrt(clustered_variance(influence, unit)))
    return normal_interval(estimate, error, degrees=len(np.unique(unit)) - 1)


def _coordinates(grid: Grid, first: int, n: int) -> np.ndarray:
    """Return the centered coordinates of n consecutive vectors, shape (n, 2)."""
    _, y, x = grid.locate(first + np.arange(n))
    return np.stack(grid.centered(y, x), axis=1)


def _moments(blocks: Blocks, grid: Grid, fold: np.ndarray) -> np.ndarray:
    """Return the products of (1, vector, u, v) with themselves, summed by fold, (N_FOLDS, C + 3, C + 3)."""
    sums: np.ndarray | None = None
    for first, vectors in blocks:
        n, channels = vectors.shape
        if sums is None:
            sums = np.zeros((N_FOLDS, channels + 3, channels + 3))
        rows = np.hstack([np.ones((n, 1)), vectors, _coordinates(grid, first, n)])
        own = fold[(first + np.arange(n)) // grid.n_cells]
        for number in np.unique(own):
            part = rows[(own == number) & vectors.any(1)]
            sums[number] += part.T @ part
    if sums is None:
        raise InputError("there are no vectors to decode; give at least one block")
    return sums


def _ridge(moments: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (C, 2) and offsets (2,)."""
    mean = moments[0] / moments[0, 0]
    covariance = moments / moments[0, 0] - np.outer(mean, mean)
    among = covariance[1:-2, 1:-2]
    lifted = among + penalty * np.trace(among) / len(among) * np.eye(len(among))
    weights = np.linalg.solve(lifted, covariance[1:-2, -2:])
    return weights, mean[-2:] - mean[1:-2] @ weights


def _error(moments: np.ndarray, weights: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return the summed squared error in u and v, (2,), from the moments of the images judged."""
    rest = np.vstack([-offset, -weights, np.eye(2)])  # coordinates less what is decoded
    errors: np.ndarray = np.einsum("ia,ij,ja->a", rest, moments, rest)
    return errors


def _explained(decoders: PositionDecoders, blocks: Blocks, n_images: int) -> list[Interval]:
    """Return R^2 in u and v on images that were held out, with intervals over units."""
    squares, total = np.zeros((n_images, 2)), np.zeros((n_images, 2))
    for first, vectors in blocks:
        there = vectors.any(1)
        image = ((first + np.arange(len(vectors))) // decoders.grid.n_cells)[there]
        true = _coordinates(decoders.grid, first, len(vectors))[there]
        wrong = true - decoders.decode(first, vectors)[there]
        for axis in range(2):
            squares[:, axis] += np.bincount(image, wrong[:, axis] ** 2, n_images)
            total[:, axis] += np.bincount(image, true[:, axis] ** 2, n_images)
    return [
        unit_interval(total[:, axis] - squares[:, axis], total[:, axis], decoders.unit) for axis in range(2)
    ]
