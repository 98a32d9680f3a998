"""Predictions against true classes: accuracy with its interval, per class, confusion."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.stats.intervals import proportion_interval

NO_PREDICTION = "(none)"  # in the confusion table, where no neighbor had a class


@dataclass(frozen=True)
class ClassAccuracy:
    """Of `n` images of one class (or all), `correct` were predicted right; 95 % Wilson interval."""

    n: int
    correct: int
    accuracy: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    overall : ClassAccuracy
        Over images of classes that the memory has.
    per_class : dict of str to ClassAccuracy
    confusion : dict of str to dict of str to int
        True class -> predicted class -> images; `(none)` where nothing was predicted.
    unknown_classes : dict of str to int
        Images by class that the memory lacks; they leave the accuracy.
    n_unlabeled : int
        Images without a class; they leave the accuracy too.
    lone : dict of str to int
        Images by class that may match nothing of it (in leave-one-out the only image, or group, of a class):
        they cannot be right, and leave the accuracy.
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
    """Compare predictions with the classes given with the images.

    Parameters
    ----------
    classification : Classification
        Of labeled images; those of no class, of one that the memory lacks, or of one of which they may match
        nothing, are counted and left out.

    Raises
    ------
    InputError
        The memory has fewer than two classes, no image is of a class that it has, or none could be right.
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
            f"none of {lone.total()} images could be classified right: the memory holds nothing else of its "
            "class that it may match (in leave-one-out it is the only image, or group, of its class); "
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
    """Return one record an image: image, class, predicted, tie, likelihood by class name.

    Parameters
    ----------
    classification : Classification
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
