"""Conformal predictions from the density: p-values of classes, credibility, confidence, prediction sets.

Deep k-nearest neighbors (Papernot and McDaniel 2018) count, over layers, the neighbors of other classes than
the one in question. Here the neighbors' votes are the kernel weights of Eq. (2) and (3), and a memory is a
layer: the nonconformity of an image with a class is the share of likelihood that other classes have, summed
over memories.
"""

from collections.abc import Sequence

import numpy as np

from hueprobe.classification import Classification
from hueprobe.errors import InputError, ShapeError
from hueprobe.stats.permutation import TOLERANCE
from hueprobe.trust.groups import codes_of, groups_of, require_apart
from hueprobe.trust.prediction_sets import ConformalPredictions


def nonconformity(likelihoods: Sequence[np.ndarray]) -> np.ndarray:
    """Return the nonconformity of images with each class.

    For one memory it is 1 - the normalized likelihood: the share of the weighted votes, each class divided by
    its n_C, that other classes have. Several memories are added. With equal weights and classes of equal size
    this is the number of neighbors of other classes [1]_, divided by K.

    Parameters
    ----------
    likelihoods : sequence of ndarray of shape (n, n_classes)
        Normalized likelihoods of each memory, Eq. (2); all 0 where nothing voted.

    Returns
    -------
    ndarray of float64, shape (n, n_classes)
        From 0 to the number of memories.

    Raises
    ------
    ShapeError
        There is no array, or their shapes differ.

    See Also
    --------
    hueprobe.trust.conformal_p_values : Compare with calibration images.

    References
    ----------
    .. [1] N. Papernot and P. McDaniel, "Deep k-Nearest Neighbors: Towards Confident, Interpretable and Robust
       Deep Learning", arXiv:1803.04765, 2018.

    Examples
    --------
    >>> hp.trust.nonconformity([np.array([[0.75, 0.25]]), np.array([[0.5, 0.5]])])
    array([[0.75, 1.25]])
    """
    shapes = {np.shape(one) for one in likelihoods}
    if len(shapes) != 1:
        raise ShapeError(
            f"likelihoods have shapes {sorted(shapes)}; give arrays of one shape (n, n_classes), one for "
            "each memory"
        )
    total = np.zeros(shapes.pop())
    for one in likelihoods:
        total += 1 - np.asarray(one, np.float64)
    return total


def conformal_p_values(
    calibration: np.ndarray, test: np.ndarray, *, codes: np.ndarray | None = None
) -> np.ndarray:
    """Return the conformal p-value of each nonconformity among those of calibration images.

    The image in question is counted among the calibration images, so no p-value is 0::

        p = (1 + #{calibration score >= score}) / (1 + n)

    If calibration and test images are exchangeable, the p-value of the true class is at most a with a
    probability of at most a [1]_. Ties count as at least as large, so p is never too small.

    With groups, images of one group are not exchangeable with those of another, but whole groups are. Each
    group then counts once: # becomes the sum over groups of the share of the group's images, and n the number
    of groups [2]_. The statement holds for a random image of a new group.

    Parameters
    ----------
    calibration : ndarray of shape (n,)
        Nonconformity of each calibration image with its true class.
    test : ndarray
        Nonconformities of any shape.
    codes : ndarray of int64, shape (n,), optional
        Group of each calibration image; by default each is a group of its own.

    Returns
    -------
    ndarray of float64, shape of `test`
        p-values.

    Raises
    ------
    InputError
        There is no calibration score, or a score is NaN.
    ShapeError
        There is not one code for each score.

    See Also
    --------
    hueprobe.trust.conformal_predictions : p-values of classified images.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", Springer, 2005.
    .. [2] Y. Lee, R. F. Barber and R. Willett, "Distribution-free inference with hierarchical data",
       arXiv:2306.06342, 2023.

    Examples
    --------
    >>> hp.trust.conformal_p_values(np.array([0.1, 0.2, 0.5]), np.array([0.0, 0.2, 0.9]))
    array([1.  , 0.75, 0.25])

    The first two images are of one group:

    >>> hp.trust.conformal_p_values(np.array([0.1, 0.2, 0.5]), np.array([0.2]), codes=np.array([0, 0, 1]))
    array([0.83333333])
    """
    scores, values = np.asarray(calibration, np.float64), np.asarray(test, np.float64)
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any() or np.isnan(values).any():
        raise InputError(
            f"conformal p-values need calibration scores, (n,), without NaN; got shape {scores.shape} with "
            f"{int(np.isnan(scores).sum())} NaN, and {int(np.isnan(values).sum())} NaN in the test scores"
        )
    groups = np.arange(len(scores)) if codes is None else np.asarray(codes)
    if groups.shape != scores.shape:
        raise ShapeError(f"{len(groups)} groups for {len(scores)} calibration scores; give one for each")
    _, of_image, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(scores)
    weights = (1 / sizes)[of_image][order]
    at_least = np.append(np.cumsum(weights[::-1])[::-1], 0.0)  # summed weight from each position on
    tied = values - TOLERANCE * (1 + np.abs(values))
    counted = at_least[np.searchsorted(scores[order], tied)]
    return np.minimum((1 + counted) / (1 + len(sizes)), 1.0)


def conformal_predictions(
    calibration: Classification | Sequence[Classification], test: Classification | Sequence[Classification]
) -> ConformalPredictions:
    """Return conformal p-values of classified test images, by classified calibration images [1]_.

    Calibration and test images must be exchangeable, by image or by group: drawn in the same way, and both
    outside the memory (or both treated alike in leave-one-out). Calibration images without a class that the
    memory has are left out.

    Parameters
    ----------
    calibration : Classification, or a sequence of one for each memory
        Labeled images that are not in the test set. Several memories, such as those of several layers, are
        the layers of [1]_; each classifies the same images in the same order.
    test : Classification, or a sequence of one for each memory
        The test images, classified by the same memories.

    Returns
    -------
    ConformalPredictions
        p-values, prediction sets and their coverage.

    Raises
    ------
    InputError
        No calibration image has a class that can be matched, classes or images differ between memories, or an
        image or group is in both sets.

    See Also
    --------
    hueprobe.trust.calibration_check : Whether likelihoods are probabilities.
    hueprobe.trust.image_scores : Credibility as a score of outside images.

    References
    ----------
    .. [1] N. Papernot and P. McDaniel, "Deep k-Nearest Neighbors: Towards Confident, Interpretable and Robust
       Deep Learning", arXiv:1803.04765, 2018.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> found = hp.trust.conformal_predictions(result, classifier.classify("others"))
    >>> found.p_values.shape, bool((found.credibility >= 1 / 13).all())
    ((6, 3), True)
    """
    known, asked = _layers("calibration", calibration), _layers("test", test)
    if len(known) != len(asked):
        raise InputError(
            f"{len(known)} calibration and {len(asked)} test classifications; give one of each for each "
            "memory"
        )
    classes = known[0].classes
    if any(one.classes != classes for one in (*known, *asked)):
        raise InputError("the classifications have different classes; use memories of the same classes")
    require_apart(known[0], asked[0])
    judged = np.array(known[0].judged, np.int64)
    if not len(judged):
        raise InputError(
            f"none of {len(known[0])} calibration images has a class that the memory has and can match; "
            "calibration needs such labels"
        )
    numbers = {name: i for i, name in enumerate(classes)}
    truth = [numbers[str(known[0].true_class[i])] for i in judged]
    scores = nonconformity([one.likelihood for one in known])[judged, truth]
    groups = groups_of(known[0])
    codes = codes_of([known[0].images[i] for i in judged], [groups[i] for i in judged])
    values = nonconformity([one.likelihood for one in asked])
    return ConformalPredictions(
        classes=classes, images=asked[0].images, groups=groups_of(asked[0]), true_class=asked[0].true_class,
        judged=np.array(asked[0].judged, np.int64), nonconformity=values,
        p_values=conformal_p_values(scores, values, codes=codes), n_calibration=len(judged),
        n_calibration_units=len(np.unique(codes)), n_left_out=len(known[0]) - len(judged),
        n_memories=len(known),
    )  # fmt: skip


def _layers(what: str, given: Classification | Sequence[Classification]) -> list[Classification]:
    layers = [given] if isinstance(given, Classification) else list(given)
    if not layers or not all(isinstance(one, Classification) for one in layers):
        raise InputError(f"{what} is not a Classification, nor a sequence of them; give one for each memory")
    if any(one.images != layers[0].images for one in layers):
        raise InputError(
            f"the {what} classifications hold different images; classify the same images with each memory"
        )
    return layers
