"""Samples of a memory's cells, the same number of each image: uniform, or favoring rare labels."""

from collections.abc import Callable

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.errors import InputError, ShapeError, require_choice

UNIFORM = "uniform"
RARE = "rare"


def sample_cells(counts: np.ndarray, n_per_image: int, *, rule: str = UNIFORM, seed: int = 0) -> np.ndarray:
    """Choose cells of each image at random, from those with labeled pixels.

    With the rule `rare`, as in the reference code of Hummingbird [1]_, a cell's score is the number of cells
    of its image that contain each of its labels, summed over its labels, times a uniform random number. The
    cells with the lowest scores are chosen. So cells of labels that fill few cells are chosen more often.

    Parameters
    ----------
    counts : ndarray of shape (n, H, W, n_labels)
        Pixels of each label in each cell; see `hueprobe.Memory.label_counts`.
    n_per_image : int
        Number of cells of each image. An image with fewer labeled cells gives all of them.
    rule : {"uniform", "rare"}, default="uniform"
        How cells are chosen.
    seed : int, default=0
        Seed of the random numbers.

    Returns
    -------
    ndarray of int64
        Vector ids, ascending.

    Raises
    ------
    InputError
        The rule is unknown, or the number is not a positive integer.
    ShapeError
        The counts are not those of grids.

    See Also
    --------
    hueprobe.segment : Its `cells_per_image` samples the memory.

    References
    ----------
    .. [1] I. Balažević et al., "Towards in-context scene understanding", NeurIPS 2023; open-hummingbird-eval,
       `HbirdEvaluation.sample_features`.

    Examples
    --------
    >>> counts = np.array([[[[4, 0], [4, 0], [0, 0]], [[4, 0], [4, 0], [0, 4]]]])
    >>> sample_cells(counts, 2, rule="rare").tolist(), sample_cells(counts, 9).tolist()
    ([3, 5], [0, 1, 3, 4, 5])
    """
    require_choice("sampling", rule, (UNIFORM, RARE))
    counts, n_per_image = np.asarray(counts), as_count("cells_per_image", n_per_image)
    if counts.ndim != 4:
        raise ShapeError(f"counts have shape {counts.shape}; need (n, H, W, n_labels)")
    n_cells = counts.shape[1] * counts.shape[2]
    rng = np.random.default_rng(seed)
    chosen = []
    for i, image in enumerate(counts.reshape(len(counts), n_cells, -1)):
        here = image > 0
        labeled = here.any(axis=1)
        scores = rng.random(n_cells)
        if rule == RARE:
            scores *= here @ here.sum(axis=0)
        scores[~labeled] = np.inf
        n_chosen = min(n_per_image, int(labeled.sum()))
        cells = np.argsort(scores, kind="stable")[:n_chosen]
        chosen.append(i * n_cells + np.sort(cells))
    return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def sampled_cells(
    counts: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    grid: tuple[int, int],
    n_per_image: int,
    rule: str,
    seed: int,
) -> np.ndarray:
    """Return the vector ids of a sample of the cells of some memory images.

    Parameters
    ----------
    counts : callable
        Function from vector ids to the pixels of each label in these cells.
    rows : ndarray of int64
        Memory rows.
    grid : (int, int)
        Rows and columns of the grid.
    n_per_image, rule, seed
        See `sample_cells`.

    Raises
    ------
    InputError
        None of these cells has a labeled pixel.
    """
    n_cells = grid[0] * grid[1]
    numbers = counts(rows[:, None] * n_cells + np.arange(n_cells)).reshape(len(rows), *grid, -1)
    places = sample_cells(numbers, n_per_image, rule=rule, seed=seed)
    if not len(places):
        raise InputError("no cell of the memory has a labeled pixel, so none can be chosen; check the masks")
    image, cell = np.divmod(places, n_cells)
    return rows[image] * n_cells + cell
