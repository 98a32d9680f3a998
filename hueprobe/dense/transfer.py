"""Label shares of query cells from the labels of their nearest cells."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hueprobe.density import DEFAULT_EPS, kernel_weights
from hueprobe.errors import InputError, ShapeError

EQ3 = "eq3"
SOFTMAX = "softmax"
_DEFAULT_K = {EQ3: 10, SOFTMAX: 30}
_AT_ONCE = 1 << 23  # values of neighbors' shares held at a time


@dataclass(frozen=True)
class Kernel:
    """How much each neighbor of a cell counts.

    Attributes
    ----------
    name : {"eq3", "softmax"}
        `eq3` is the adaptive kernel of Eq. (3). `softmax` is exp(cosine similarity / temperature).
    temperature : float, default=0.02
        Temperature of the softmax; not used by Eq. (3).

    See Also
    --------
    hueprobe.dense.parse_kernel : Make one from its text.

    Examples
    --------
    >>> Kernel("softmax").weights(np.array([[0.0, 0.2]])).round(3)
    array([[0.731, 0.269]])
    """

    name: str
    temperature: float = 0.02

    def __post_init__(self) -> None:
        """Refuse an unknown kernel and a temperature that is not above 0."""
        if self.name not in _DEFAULT_K:
            raise InputError(f"kernel is {self.name!r}; choose eq3, or softmax:T with a temperature T")
        if not (self.temperature > 0 and np.isfinite(self.temperature)):
            raise InputError(f"temperature of the kernel is {self.temperature}; it must be above 0")

    @property
    def text(self) -> str:
        """The text that `parse_kernel` reads."""
        return self.name if self.name == EQ3 else f"{self.name}:{self.temperature:g}"

    @property
    def default_k(self) -> int:
        """Number of neighbors if none is given: 10 for Eq. (3), 30 for softmax."""
        return _DEFAULT_K[self.name]

    def weights(self, distances: np.ndarray) -> np.ndarray:
        """Return the weight of each neighbor; those of the softmax sum to 1.

        Parameters
        ----------
        distances : ndarray of shape (n, k)
            Euclidean distances between unit vectors, ascending; +inf marks a missing neighbor.

        Returns
        -------
        ndarray of float64, shape (n, k)
            0 where a neighbor is missing.

        Examples
        --------
        >>> Kernel("eq3").weights(np.array([[0.5, np.inf]])).round(3)
        array([[0.368, 0.   ]])
        """
        if self.name == EQ3:
            return kernel_weights(distances, eps=DEFAULT_EPS)
        squared = np.square(np.asarray(distances, np.float64))
        nearest = np.min(squared, axis=1, keepdims=True, initial=np.inf)
        # The cosine of two unit vectors is 1 - d^2 / 2; the largest exponent is 0.
        found = np.isfinite(squared)
        difference = np.subtract(nearest, squared, out=np.full_like(squared, -np.inf), where=found)
        raised = np.exp(difference / (2 * self.temperature))
        total = raised.sum(axis=1, keepdims=True)
        shares: np.ndarray = np.divide(raised, total, out=np.zeros_like(raised), where=total > 0)
        return shares


def parse_kernel(text: str) -> Kernel:
    """Return the kernel of a text.

    Parameters
    ----------
    text : str
        `eq3`, `softmax` or `softmax:T` with a temperature T.

    Returns
    -------
    Kernel

    Raises
    ------
    InputError
        The text is none of these.

    See Also
    --------
    hueprobe.dense.transfer_labels : Use one.

    Examples
    --------
    >>> parse_kernel("softmax:0.02")
    Kernel(name='softmax', temperature=0.02)
    """
    if not isinstance(text, str):
        raise InputError(f"kernel is a {type(text).__name__}; give eq3, or softmax:T with a temperature T")
    name, colon, number = text.partition(":")
    if not colon:
        return Kernel(name)
    try:
        temperature = float(number)
    except ValueError:
        temperature = np.nan
    if name != SOFTMAX:
        raise InputError(f"kernel is {text!r}; choose eq3, or softmax:T with a temperature T")
    return Kernel(name, temperature)


def shares_of(counts: np.ndarray) -> np.ndarray:
    """Return the share of each label in cells, all 0 where a cell has no labeled pixel.

    Parameters
    ----------
    counts : ndarray of shape (..., n_labels)
        Pixels of each label in each cell.

    Returns
    -------
    ndarray of float32, shape (..., n_labels)

    See Also
    --------
    hueprobe.Memory.label_counts : The counts of a memory.

    Examples
    --------
    >>> shares_of(np.array([[3, 1], [0, 0]]))
    array([[0.75, 0.25],
           [0.  , 0.  ]], dtype=float32)
    """
    numbers = np.asarray(counts)
    # Weights of far neighbors may be too small for float32, and are still all that votes.
    total = numbers.sum(axis=-1, keepdims=True, dtype=np.float64)
    shares: np.ndarray = np.divide(numbers, total, out=np.zeros(numbers.shape), where=total > 0)
    single: np.ndarray = shares.astype(np.float32)
    return single


def transfer_labels(
    ids: np.ndarray,
    distances: np.ndarray,
    shares: np.ndarray | Callable[[np.ndarray], np.ndarray],
    kernel: str | Kernel = EQ3,
) -> np.ndarray:
    """Return the label shares of query cells: the mean of their neighbors' shares, weighted by a kernel.

    A neighbor without labeled pixels casts no vote. Shares of the others sum to 1.

    Parameters
    ----------
    ids : ndarray of int, shape (n, k)
        Vector ids of the neighbors; -1 for a missing one.
    distances : ndarray of shape (n, k)
        Their distances, ascending; +inf for a missing one.
    shares : ndarray of shape (n_slots, n_labels), or callable
        Share of each label in each memory cell; or a function from ids to these.
    kernel : str or Kernel, default="eq3"
        `eq3` or `softmax:T`.

    Returns
    -------
    ndarray of float32, shape (n, n_labels)
        All 0 where no neighbor has labels.

    Raises
    ------
    ShapeError
        The ids and distances differ in shape.

    See Also
    --------
    hueprobe.segment : Transfer labels to images.

    Examples
    --------
    >>> shares = np.array([[1, 0], [0, 1]])
    >>> transfer_labels(np.array([[0, 1]]), np.array([[1.0, 1.0]]), shares)
    array([[0.5, 0.5]], dtype=float32)
    """
    ids, distances = np.asarray(ids), np.asarray(distances)
    if ids.ndim != 2 or ids.shape != distances.shape:
        raise ShapeError(f"ids have shape {ids.shape} and distances {distances.shape}; need (n, k) for both")
    chosen = parse_kernel(kernel) if isinstance(kernel, str) else kernel

    def votes_of(neighbors: np.ndarray) -> np.ndarray:
        votes: np.ndarray = shares[neighbors] if isinstance(shares, np.ndarray) else shares(neighbors)
        return votes

    weights = chosen.weights(distances)
    weights[ids < 0] = 0
    known = np.maximum(ids, 0)
    sums, start, step = [], 0, 1
    while start < len(ids):
        rows = slice(start, start + step)
        votes = votes_of(known[rows])
        sums.append(np.einsum("nk,nkl->nl", weights[rows], votes))
        start, step = start + step, max(1, _AT_ONCE // max(1, votes[0].size))
    if not sums:
        return np.zeros((0, votes_of(known).shape[-1]), np.float32)
    return shares_of(np.concatenate(sums))
