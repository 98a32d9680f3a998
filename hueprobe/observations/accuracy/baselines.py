"""Reference classifiers beside Eq. (1)-(3): majority vote, K tuned, centroids, logistic regression.

Votes come from a match table. Centroids and logistic regression use one pooled vector per image, scaled to
unit length like the memory's.
"""

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import takes
from hueprobe.density import decide
from hueprobe.errors import InputError, ShapeError
from hueprobe.matches import Matches
from hueprobe.stats.dealing import deal
from hueprobe.stats.intervals import unit_codes
from hueprobe.threads import single_blas_threads

KS = (1, 2, 3, 5, 10, 20, 50)
FOLDS = 10
REGULARISATION = 10.0  # scikit-learn's C, on unit vectors
_SMALL = 10**9  # products of a step of logistic regression that one thread does in a fraction of a second


@dataclass(frozen=True)
class TunedK:
    """Leave-one-out accuracy of Eq. (1)-(3) on the memory's own images, by K.

    Attributes
    ----------
    k : int
        K of the highest accuracy; the smallest in a tie.
    ks : tuple of int
        Values of K that were tried.
    accuracy : ndarray of shape (len(ks),)
        Leave-one-out accuracy of each.
    """

    k: int
    ks: tuple[int, ...]
    accuracy: np.ndarray


@takes(Matches)
def majority_vote(matches: Matches, *, k: int | None = None) -> np.ndarray:
    """Return the class of most matches, without kernel weights and without n_C.

    Parameters
    ----------
    matches : Matches
        Matches of any classification.
    k : int, optional
        Use the first k matches of each query vector; all by default.

    Returns
    -------
    ndarray of int64, shape (n_query_images,)
        Class id, the lowest in a tie; -1 where no match has a class.
    """
    return decide(_votes(matches, k, np.ones(len(matches)))).predicted


@takes(Matches)
def kernel_vote(matches: Matches, class_counts: np.ndarray, *, k: int | None = None) -> np.ndarray:
    """Return the class by Eq. (1)-(3) from the first `k` matches of each query vector.

    Parameters
    ----------
    matches : Matches
        Matches with kernel weights, which do not depend on K.
    class_counts : ndarray of shape (n_query_images, n_classes) or (n_classes,)
        n_C: number of vectors of each class that the image can match; 0 for a class that the memory does not
        have.
    k : int, optional
        Number of matches of each query vector; all by default.

    Returns
    -------
    ndarray of int64, shape (n_query_images,)
        Class id, the lowest in a tie; -1 where no match has a class.
    """
    votes = _votes(matches, k, matches.weight)
    try:
        counts = np.broadcast_to(class_counts, votes.shape)
    except ValueError:
        raise ShapeError(
            f"class counts have shape {np.shape(class_counts)}; the matches need {votes.shape}"
        ) from None
    return decide(np.divide(votes, counts, out=np.zeros_like(votes), where=counts > 0)).predicted


@takes(Matches)
def tune_k(matches: Matches, class_counts: np.ndarray, *, ks: Sequence[int] = KS) -> TunedK:
    """Choose K on the memory itself.

    Parameters
    ----------
    matches : Matches
        Leave-one-out matches of the memory's own images, with as many neighbors as the largest K.
    class_counts : ndarray
        As for `kernel_vote`, without the image itself.
    ks : sequence of int, default=KS
        Values to choose from; those above the matches' largest rank are ignored.
    """
    found = int(matches.rank.max(initial=0))
    tried = tuple(sorted(k for k in set(ks) if 1 <= k <= found))
    labeled = matches.query_image_class >= 0
    if not tried or not labeled.any():
        raise InputError(
            f"no K of {tuple(ks)} to choose from matches of {found} neighbors and {labeled.sum()} labeled "
            "images; search with a larger k, and with labels"
        )
    truth = matches.query_image_class[labeled]
    accuracy = np.array([(kernel_vote(matches, class_counts, k=k)[labeled] == truth).mean() for k in tried])
    return TunedK(tried[int(accuracy.argmax())], tried, accuracy)


def nearest_centroid(
    vectors: np.ndarray,
    image_class: np.ndarray,
    *,
    query_vectors: np.ndarray | None = None,
    groups: Sequence[str | None] | None = None,
) -> np.ndarray:
    """Return the class with the nearest mean direction.

    Parameters
    ----------
    vectors : ndarray of shape (n_images, C)
        Pooled vectors of the memory's images, of any length.
    image_class : ndarray of int64, shape (n_images,)
        Class id of each image, -1 for none.
    query_vectors : ndarray of shape (n, C), optional
        Vectors of held-out images. By default the memory's own images are classified, each without its own
        group (image).
    groups : sequence of (str or None), length n_images, optional
        Group of each of the memory's images.

    Returns
    -------
    ndarray of int64, shape (n,)
        Class id, the lowest in a tie; -1 for a zero vector, or where no class is left.
    """
    vectors, image_class = _checked(vectors, image_class)
    n_classes = int(image_class.max(initial=-1)) + 1
    member = (image_class[:, None] == np.arange(n_classes)).astype(float)
    sums, counts = member.T @ vectors, member.sum(0)
    if query_vectors is not None:
        queries = unit_rows(query_vectors)
        return _nearest(queries @ unit_rows(sums).T, counts > 0, queries)
    predicted = np.empty(len(vectors), np.int64)
    units = unit_codes(groups, len(vectors))
    for unit in range(int(units.max(initial=-1)) + 1):
        rows = np.flatnonzero(units == unit)
        left = sums - member[rows].T @ vectors[rows]
        predicted[rows] = _nearest(
            vectors[rows] @ unit_rows(left).T, counts > member[rows].sum(0), vectors[rows]
        )
    return predicted


def logistic_regression(
    vectors: np.ndarray,
    image_class: np.ndarray,
    *,
    seed: int,
    query_vectors: np.ndarray | None = None,
    groups: Sequence[str | None] | None = None,
    n_folds: int = FOLDS,
) -> np.ndarray:
    """Return the class by multinomial logistic regression (scikit-learn, L2, C = 10).

    Parameters
    ----------
    vectors : ndarray of shape (n_images, C)
        Pooled vectors of the memory's images, of any length.
    image_class : ndarray of int64, shape (n_images,)
        Class id of each image, -1 for none.
    seed : int
        Seed of the folds.
    query_vectors : ndarray of shape (n, C), optional
        Vectors of held-out images. By default the memory's own images are classified by cross-validation over
        whole groups, stratified by class.
    groups : sequence of (str or None), length n_images, optional
        Group of each of the memory's images.
    n_folds : int, default=10
        Number of folds of the cross-validation, at least 2.

    Returns
    -------
    ndarray of int64, shape (n,)
        Class id. It is the only class if there is only one to learn, and -1 if there is none. In
        cross-validation it is -1 for images without a class.
    """
    from sklearn.linear_model import LogisticRegression

    def predict(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
        present = np.unique(image_class[rows])
        if len(present) < 2:
            return np.full(len(queries), present[0] if len(present) else -1)
        with warnings.catch_warnings():  # scikit-learn mistakes few images per class for regression
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            model = LogisticRegression(C=REGULARISATION, max_iter=2000)
            products = len(rows) * vectors.shape[1] * len(present)
            # Threads that wait for each other after every small product take several times as long.
            with single_blas_threads() if products < _SMALL else contextlib.nullcontext():
                return np.asarray(model.fit(vectors[rows], image_class[rows]).predict(queries))

    vectors, image_class = _checked(vectors, image_class)
    if query_vectors is not None:
        return predict(np.flatnonzero(image_class >= 0), unit_rows(query_vectors))
    if n_folds < 2:
        raise InputError(f"n_folds is {n_folds}; at least 2 are needed")
    predicted = np.full(len(vectors), -1, np.int64)
    order = np.random.default_rng(seed).permutation(len(vectors))
    folds = deal(order, image_class, n_parts=n_folds, groups=groups)
    for fold in np.unique(folds[folds >= 0]):
        predicted[folds == fold] = predict(
            np.flatnonzero((folds >= 0) & (folds != fold)), vectors[folds == fold]
        )
    return predicted


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Return vectors scaled to unit length in float64; zero vectors stay zero.

    Parameters
    ----------
    vectors : ndarray of shape (n, C)
        Vectors of any length.
    """
    vectors = np.asarray(vectors, np.float64)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: np.ndarray = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 0)
    return units


def _votes(matches: Matches, k: int | None, weight: np.ndarray) -> np.ndarray:
    """Return the sum of weights by query image and class, (n_query_images, n_classes)."""
    if k is not None and k < 1:
        raise InputError(f"k is {k}; at least 1 match is needed")
    shape = len(matches.query_paths), len(matches.classes)
    voting = matches.match_class >= 0
    if k is not None:
        voting &= matches.rank <= k
    slot = matches.query_image[voting] * shape[1] + matches.match_class[voting]
    sums = np.bincount(slot, weight[voting], shape[0] * shape[1])
    return sums.astype(float).reshape(shape)  # without any vote they are integers


def _nearest(similarity: np.ndarray, there: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the class of the largest cosine among classes with a member; -1 for a zero query."""
    if not there.any():
        return np.full(len(queries), -1, np.int64)
    best = np.where(there, similarity, -np.inf).argmax(1)
    return np.where(queries.any(1), best, -1)


def _checked(vectors: np.ndarray, image_class: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vectors, image_class = np.asarray(vectors), np.asarray(image_class, np.int64)
    if vectors.ndim != 2 or len(vectors) != len(image_class):
        raise ShapeError(
            f"pooled vectors have shape {vectors.shape}; {len(image_class)} classes need "
            f"({len(image_class)}, C)"
        )
    return unit_rows(vectors), image_class
