"""Scores with random subsets of a memory's images, by their size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.errors import InputError

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)


@dataclass(frozen=True)
class SizePoint:
    """A score with memories of one size.

    Attributes
    ----------
    share : float
        Share of the memory's images.
    n_images : int
        Number of images.
    values : tuple of float
        Score with each draw of images; one value if all images are used.

    See Also
    --------
    hueprobe.dense.measure_sizes : Measure several sizes.

    Examples
    --------
    >>> hp.dense.SizePoint(0.5, 60, (0.5, 0.75)).mean
    0.625
    """

    share: float
    n_images: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over draws."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """Standard deviation over draws; NaN for one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else float("nan")


def measure_sizes(
    score: Callable[[np.ndarray], float],
    n_images: int,
    *,
    shares: Sequence[float] = SHARES,
    n_draws: int = 5,
    seed: int = 0,
) -> tuple[SizePoint, ...]:
    """Measure a score with random subsets of a memory's images.

    Parameters
    ----------
    score : callable
        Function from memory rows, ndarray of int64, ascending, to a score.
    n_images : int
        Number of images in the memory.
    shares : sequence of float, default=(1/8, 1/4, 1/2, 1)
        Shares of the images, above 0 and at most 1.
    n_draws : int, default=5
        Number of draws of each size. All images are measured once.
    seed : int, default=0
        Seed of the draws; smaller subsets are parts of the larger ones of the same draw.

    Returns
    -------
    tuple of SizePoint

    Raises
    ------
    InputError
        A share is not above 0 and at most 1.

    See Also
    --------
    hueprobe.segment : Its `memory_rows` takes the rows.

    Examples
    --------
    >>> [point.mean for point in measure_sizes(lambda rows: len(rows) / 80, 80, n_draws=2)]
    [0.125, 0.25, 0.5, 1.0]
    """
    if wrong := [share for share in shares if not 0 < share <= 1]:
        raise InputError(f"share {wrong[0]} of the memory is not above 0 and at most 1")
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(n_images) for _ in range(as_count("n_draws", n_draws))]
    points = []
    for share in shares:
        n = max(1, round(share * n_images))
        draws = orders[:1] if n == n_images else orders
        points.append(SizePoint(share, n, tuple(float(score(np.sort(order[:n]))) for order in draws)))
    return tuple(points)
