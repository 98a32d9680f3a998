"""Predictions compared with true classes: accuracy with its interval, per class, confusion."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.stats.intervals import proportion_interval

NO_PREDICTION = "(none)"  # in the confusion table, if no neighbor had a class


@dataclass(frozen=True)
class ClassAccuracy:
    """Accuracy over `n` images of one class (or of all): `correct` of them, with a 95 % Wilson interval."""

    n: int
    correct: int
    accuracy: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Evaluation:
    """Result of `evaluate`.

    Attributes
    ----------
    overall : ClassAccuracy
        Accuracy over images of the memory's classes.
    per_class : dict of str to ClassAccuracy
        Accuracy of each class.
    confusion : dict of str to dict of str to int
        Number of images by true class and predicted class; `(none)` where nothing was predicted.
    unknown_classes : dict of str to int
        Number of images by class that the memory does not have; excluded from the accuracy.
    n_unlabeled : int
        Number of images without a class; excluded from the accuracy.
    lone : dict of str to int
        Number of images by class that have no possible match of their class. In leave-one-out this is the
        only image, or group, of a class. They cannot be classified correctly and are excluded from the
        accuracy.
    chance : float
        1 / number of the memory's classes.
    """

    overall: ClassAccuracy
    per_class: dict[str, ClassAccuracy]
    confusion: dict[str, dict[str, int]]
    unknown_classes: dict[str, int]
    n_unlabeled: int
    lone: dict[str, int]
    chance: float


@takes(Classification)
def evaluate(classification: Classification) -> Evaluation:
    """Compare predictions with the true classes of the images.

    Parameters
    ----------
    classification : Classification
        Classification of labeled images. Images are counted and left out if they have no class, a class that
        the memory does not have, or no possible match of their class.

    Returns
    -------
    Evaluation
        Accuracy overall and per class, confusion, and the numbers of images left out.

    Raises
    ------
    InputError
        The memory has fewer than two classes, no image has one of its classes, or none could be classified
        correctly.

    See Also
    --------
    hueprobe.observations.accuracy.accuracy_run : The same classification as a run to be compared with others.
    hueprobe.stats.proportion_interval : The Wilson interval.

    Examples
    --------
    >>> found = hp.observations.accuracy.evaluate(result)
    >>> found.overall.n, sorted(found.per_class), round(found.chance, 3)
    (12, ['circle', 'square', 'triangle'], 0.333)
    >>> sum(found.confusion["circle"].values())
    4
    """
    classes = classification.classes
    if len(classes) < 2:
        raise InputError(
            f"the memory has {len(classes)} class{'es' if not classes else ''}; evaluation needs at least 2"
        )
    true = classification.true_class
    predicted = classification.predicted_class
    known = set(classes)
    judged = [(str(true[i]), predicted[i]) for i in classification.judged]
    lone = Counter(str(t) for t in true if t in known) - Counter(t for t, _ in judged)
    if lone and not judged:
        raise InputError(
            f"none of {lone.total()} images could be classified right: the memory has no other image of its "
            "class that it can match (in leave-one-out it is the only image, or group, of its class); "
            "evaluation needs two of at least one class"
        )
    if not judged:
        raise InputError(
            f"none of {len(true)} images is of a class that the memory has "
            f"({', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''}); evaluation needs such labels"
        )
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    for t, p in judged:
        confusion[t][p if p is not None else NO_PREDICTION] += 1
    per_class = {
        name: _accuracy(confusion[name].total(), confusion[name][name])
        for name in classes
        if name in confusion
    }
    return Evaluation(
        overall=_accuracy(len(judged), sum(t == p for t, p in judged)),
        per_class=per_class,
        confusion={name: dict(sorted(confusion[name].items())) for name in sorted(confusion)},
        unknown_classes=dict(sorted(Counter(t for t in true if t is not None and t not in known).items())),
        n_unlabeled=sum(t is None for t in true),
        lone=dict(sorted(lone.items())),
        chance=1 / len(classes),
    )


@takes(Classification)
def predictions(classification: Classification) -> list[dict[str, Any]]:
    """Return one record per image: image, class, predicted, tie, likelihood by class name.

    Parameters
    ----------
    classification : Classification
        Classification of any images.
    """
    return [
        {
            "image": image,
            "class": true,
            "predicted": predicted,
            "tie": bool(tie),
            "likelihood": dict(zip(classification.classes, np.asarray(row).tolist(), strict=True)),
        }
        for image, true, predicted, tie, row in zip(
            classification.images,
            classification.true_class,
            classification.predicted_class,
            classification.tie,
            classification.likelihood,
            strict=True,
        )
    ]


def _accuracy(n: int, correct: int) -> ClassAccuracy:
    return ClassAccuracy(n, correct, correct / n, proportion_interval(correct, n))
