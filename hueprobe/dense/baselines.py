"""What label transfer is compared with: position alone, a linear classifier, images as neighbors."""

import warnings
from collections.abc import Callable

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.dense.transfer import EQ3, parse_kernel, shares_of
from hueprobe.errors import InputError, ShapeError

_INVERSE_PENALTY = (
    100.0  # unit vectors are short; the penalty of scikit-learn's default is too strong for them
)


def position_shares(counts: np.ndarray, n_images: int) -> np.ndarray:
    """Return the label shares of each cell position in the memory, the same for every image.

    Parameters
    ----------
    counts : ndarray of shape (n, H, W, n_labels)
        Pixels of each label in each cell; see `hueprobe.Memory.label_counts`.
    n_images : int
        Number of query images.

    Returns
    -------
    ndarray of float32, shape (n_images, H, W, n_labels)

    See Also
    --------
    hueprobe.dense.score_maps : Score label maps.

    Examples
    --------
    >>> position_shares(np.array([[[[3, 1]]], [[[1, 3]]]]), 2)[:, 0, 0]
    array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)
    """
    counts = np.asarray(counts)
    if counts.ndim != 4:
        raise ShapeError(f"counts have shape {counts.shape}; need (n, H, W, n_labels)")
    mean = shares_of(counts.sum(axis=0, dtype=np.int64))
    return np.broadcast_to(mean, (n_images, *mean.shape)).copy()


def logistic_shares(
    vectors: np.ndarray, counts: np.ndarray, queries: np.ndarray, *, max_iterations: int = 200
) -> np.ndarray:
    """Return label probabilities of query cells from a logistic regression on the memory's cells.

    Each memory cell is one example of its most frequent label. Cells without labels are left out.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_channels)
        Unit vectors of the memory's cells.
    counts : ndarray of shape (n, n_labels)
        Pixels of each label in these cells.
    queries : ndarray of shape (m, n_channels)
        Unit vectors of the query cells.
    max_iterations : int, default=200
        Largest number of steps of the optimizer, which need not converge.

    Returns
    -------
    ndarray of float32, shape (m, n_labels)
        0 for labels that are the most frequent one of no cell.

    Raises
    ------
    InputError
        Fewer than two labels are the most frequent one of a cell.

    See Also
    --------
    hueprobe.dense.transfer_labels : Labels of the nearest cells instead.

    Examples
    --------
    >>> vectors, counts = np.eye(2), np.array([[5, 1], [0, 4]])
    >>> logistic_shares(vectors, counts, vectors).argmax(axis=1)
    array([0, 1])
    """
    return fit_logistic(vectors, counts, max_iterations=max_iterations)(np.asarray(queries))


def fit_logistic(
    vectors: np.ndarray, counts: np.ndarray, *, max_iterations: int = 200
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit the classifier of `logistic_shares`, and return a function from queries to its results.

    Parameters
    ----------
    vectors, counts, max_iterations
        See `logistic_shares`.

    Raises
    ------
    InputError
        Fewer than two labels are the most frequent one of a cell.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    counts = np.asarray(counts)
    labeled = counts.sum(axis=1) > 0
    label = counts[labeled].argmax(axis=1)
    if len(np.unique(label)) < 2:
        raise InputError(
            f"{len(np.unique(label))} labels are the most frequent one of a cell; a classifier needs 2"
        )
    classifier = LogisticRegression(C=_INVERSE_PENALTY, max_iter=as_count("max_iterations", max_iterations))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(np.asarray(vectors)[labeled], label)

    def shares_of_queries(queries: np.ndarray) -> np.ndarray:
        shares = np.zeros((len(queries), counts.shape[1]), np.float32)
        shares[:, classifier.classes_] = classifier.predict_proba(queries)
        return shares

    return shares_of_queries


def pooled_shares(
    vectors: np.ndarray, counts: np.ndarray, queries: np.ndarray, *, k: int = 10, kernel: str = EQ3
) -> np.ndarray:
    """Return label shares at each position from the K images whose pooled vectors are nearest.

    The pooled vector of an image is the mean of its cells' unit vectors, divided by its length. A cell takes
    the labels at its own position in these images.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_cells, n_channels)
        Unit vectors of the memory's cells.
    counts : ndarray of shape (n, H, W, n_labels)
        Pixels of each label in these cells.
    queries : ndarray of shape (m, n_cells, n_channels)
        Unit vectors of the query cells.
    k : int, default=10
        Number of images; at most n.
    kernel : str, default="eq3"
        Weights of the images; see `hueprobe.dense.parse_kernel`.

    Returns
    -------
    ndarray of float32, shape (m, H, W, n_labels)

    See Also
    --------
    hueprobe.dense.transfer_labels : Cells as neighbors instead.

    Examples
    --------
    >>> vectors, counts = np.eye(2)[:, None], np.array([[[[4, 0]]], [[[0, 4]]]])
    >>> pooled_shares(vectors, counts, vectors, k=1)[:, 0, 0]
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    shares = shares_of(counts)
    return vote_of_images(pooled_vectors(vectors), pooled_vectors(queries), shares.__getitem__, k, kernel)


def vote_of_images(
    own: np.ndarray,
    asked: np.ndarray,
    shares_of_images: Callable[[np.ndarray], np.ndarray],
    k: int,
    kernel: str,
) -> np.ndarray:
    """Return label shares at each position from the K images with the nearest pooled vectors.

    Parameters
    ----------
    own, asked : ndarray of shape (n, n_channels) and (m, n_channels)
        Pooled vectors of the memory's images and of the queries; see `pooled_vectors`.
    shares_of_images : callable
        Function from numbers of memory images, shape (k,), to their label shares, shape (k, H, W, n_labels).
    k, kernel
        See `pooled_shares`.

    Returns
    -------
    ndarray of float32, shape (m, H, W, n_labels)
    """
    distances = np.linalg.norm(asked[:, None] - own, axis=-1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : as_count("k", k)]
    weights = parse_kernel(kernel).weights(np.take_along_axis(distances, nearest, axis=1))
    return shares_of(
        np.stack([np.tensordot(w, shares_of_images(ids), 1) for w, ids in zip(weights, nearest, strict=True)])
    )


def pooled_vectors(vectors: np.ndarray) -> np.ndarray:
    """Return the mean of each image's vectors, divided by its length; zero if all of them are.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_cells, n_channels)
        Unit vectors of the cells of images.

    Returns
    -------
    ndarray of float64, shape (n, n_channels)
    """
    mean = np.asarray(vectors, np.float64).mean(axis=1)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(mean, length, out=np.zeros_like(mean), where=length > 0)
    return unit
