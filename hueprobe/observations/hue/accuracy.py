"""Accuracy of predicting an image's class from the angle, against other planes and other numbers.

Random planes of all dimensions hold almost none of the variance, so any plane that was fitted to anything
beats them. The plane of the class means is special only if it beats random planes within the span of the
class means, which hold as much of what the classes differ in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from hueprobe.arguments import as_count
from hueprobe.errors import InputError, ShapeError, require_choice
from hueprobe.observations.hue.planes import (
    Plane,
    across,
    class_span,
    fit_plane,
    random_plane,
    random_plane_within,
    saturation,
    uniform_axis,
)
from hueprobe.stats.dealing import deal
from hueprobe.stats.intervals import Interval, unit_codes, unit_interval
from hueprobe.stats.permutation import permutation_p

NONE = Interval(float("nan"), float("nan"), float("nan"), float("nan"), 0)


@dataclass(frozen=True)
class PlaneAccuracy:
    """Accuracy from one plane.

    Attributes
    ----------
    name : str
        Name of the plane.
    angle : Interval
        Accuracy from the angle alone.
    both : Interval
        Accuracy from both coordinates in the plane.
    advantage : Interval
        Accuracy from the angle minus the mean of random planes of all dimensions, paired by image.
    p : float
        One-sided p-value: share of planes, this one among the random ones, with at least its accuracy from
        the angle.
    advantage_within, p_within
        The same against random planes within the span of the class means; 0 for a plane like any other
        there. NaN with fewer than four classes, whose means span no other plane.
    beyond_within : Interval
        Accuracy from the angle minus that of the plane of the class means that 5 % of them exceed, paired by
        image: above 0 for a plane that is special.
    """

    name: str
    angle: Interval
    both: Interval
    advantage: Interval
    p: float
    advantage_within: Interval
    p_within: float
    beyond_within: Interval


@dataclass(frozen=True)
class HueAccuracy:
    """Result of `hue_accuracy`; all out of sample, with intervals over images (groups).

    Attributes
    ----------
    n_images, k : int
        Number of labeled images with energy, and of neighbors that vote.
    chance : float
        Accuracy of a random guess with the classes' own frequencies.
    planes : tuple of PlaneAccuracy
        Accuracy of each plane, in the order of the argument.
    random, within : ndarray of shape (n_random,)
        Accuracy from the angle in random planes of all dimensions, and in random planes within the span of
        the class means; the latter is empty with fewer than four classes.
    saturation : Interval
        Accuracy from the distance to the axis alone, the radius that belongs to the angle.
    line : Interval
        Accuracy from one signed number: the coordinate along the first principal direction of the class
        means.
    direction : Interval
        Accuracy from the full direction orthogonal to the axis: the upper limit.
    """

    n_images: int
    k: int
    chance: float
    planes: tuple[PlaneAccuracy, ...]
    random: np.ndarray
    within: np.ndarray
    saturation: Interval
    line: Interval
    direction: Interval

    def plane(self, name: str) -> PlaneAccuracy:
        """Return the result of a plane by its name."""
        require_choice("plane", name, [plane.name for plane in self.planes])
        return next(plane for plane in self.planes if plane.name == name)


def hue_accuracy(
    pooled: np.ndarray,
    image_class: np.ndarray,
    *,
    seed: int,
    planes: Sequence[str | Plane] = ("pca", "lda", "dft", "unlabeled"),
    axis: np.ndarray | None = None,
    n_random: int = 200,
    k: int = 10,
    groups: Sequence[str | None] | None = None,
) -> HueAccuracy:
    """Classify images by the angle of their pooled activation in a plane, and nothing else.

    Images are split in two halves, by whole groups. Planes are fitted on each half and used on the other,
    where the k nearest angles of the first half vote (ties: the lower class id).

    Parameters
    ----------
    pooled : ndarray of shape (n_images, C)
        One vector per image (`pool`).
    image_class : ndarray of int64, shape (n_images,)
        Class id of each image, -1 for none.
    seed : int
        Seed of the split and of the random planes.
    planes : sequence of (str or Plane), default=("pca", "lda", "dft", "unlabeled")
        Names for `fit_plane`, or planes.
    axis : ndarray of shape (C,), optional
        Unit vector that the planes are orthogonal to; the uniform axis by default.
    n_random : int, default=200
        Number of random planes of each null. Use at least 200.
    k : int, default=10
        Number of neighbors that vote. It is limited to half the size of the median class, since a larger k
        would let other classes outvote it.
    groups : sequence of (str or None), length n_images, optional
        Images of one group go to one half.

    Raises
    ------
    InputError
        There are fewer than two classes with two images (groups) each, or fewer than three channels.
    """
    k, labels = as_count("k", k), np.asarray(image_class)
    if len(labels) != len(pooled):
        raise ShapeError(f"{len(labels)} class ids for {len(pooled)} pooled vectors; give one for each")
    labels = np.where(np.linalg.norm(pooled, axis=1) > 0, labels, -1)
    order = np.random.default_rng([seed, 0]).permutation(len(labels))
    half = deal(order, labels, n_parts=2, groups=groups)
    in_both = np.intersect1d(labels[half == 0], labels[half == 1])
    if len(in_both) < 2:
        raise InputError(
            f"{len(in_both)} of the classes have two images (groups) with activations, and accuracy by hue "
            "needs two such classes; label more images"
        )
    tested = half >= 0
    units = unit_codes(groups, len(labels))[tested]
    sizes = np.bincount(labels[half >= 0])
    k = max(1, min(k, int(np.median(sizes[sizes > 0])) // 2))
    axis = uniform_axis(pooled.shape[1]) if axis is None else axis
    hits: dict[str, np.ndarray] = {}

    def record(key: str, part: np.ndarray, correct: np.ndarray) -> None:
        hits.setdefault(key, np.zeros(len(labels)))[part] = correct

    for fold in (0, 1):
        memory, query = np.flatnonzero(half == fold), np.flatnonzero(half == 1 - fold)
        vote = _Vote(labels[memory], labels[query], k)
        fitted = [_plane(plane, pooled[memory], labels[memory], axis) for plane in planes]
        for plane in fitted:
            known, queries = plane.coordinates(pooled[memory]), plane.coordinates(pooled[query])
            record(f"angle {plane.name}", query, vote(_directions(known), _directions(queries)))
            record(f"both {plane.name}", query, vote(known, queries))
        generator = np.random.default_rng([seed, 1])  # the same planes for both halves
        for draw in range(n_random):
            plane = random_plane(axis, generator)
            known, queries = plane.coordinates(pooled[memory]), plane.coordinates(pooled[query])
            record(f"random {draw}", query, vote(_directions(known), _directions(queries)))
        span = class_span(pooled[memory], labels[memory], axis)
        if len(span) > 2:
            generator = np.random.default_rng([seed, 2])
            for draw in range(n_random):
                plane = random_plane_within(span, axis, generator)
                known, queries = plane.coordinates(pooled[memory]), plane.coordinates(pooled[query])
                record(f"within {draw}", query, vote(_directions(known), _directions(queries)))
        line = fit_plane("pca", pooled[memory], labels[memory], axis)
        record("line", query, vote(*(line.coordinates(pooled[part])[:, :1] for part in (memory, query))))
        distance = [saturation(pooled[part], axis)[:, None] for part in (memory, query)]
        record("saturation", query, vote(*distance))
        parts = [_directions(across(pooled[part], axis)) for part in (memory, query)]
        record("direction", query, vote(*parts))

    def accuracy(values: np.ndarray) -> Interval:
        return unit_interval(values[tested], np.ones(tested.sum()), units)

    def null(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return each random plane's accuracy, each image's mean hit, and the hits of the plane at 95 %."""
        rows = [hits[f"{kind} {draw}"] for draw in range(n_random) if f"{kind} {draw}" in hits]
        if not rows:
            return np.zeros(0), np.full(len(labels), np.nan), np.full(len(labels), np.nan)
        accuracies = np.array([row[tested].mean() for row in rows])
        high = np.argsort(accuracies, kind="stable")[min(int(0.95 * len(rows)), len(rows) - 1)]
        return accuracies, np.mean(rows, axis=0), rows[high]

    random, expected, _ = null("random")
    within, expected_within, high_within = null("within")
    shares = np.bincount(labels[tested]) / tested.sum()
    names = [plane if isinstance(plane, str) else plane.name for plane in planes]
    return HueAccuracy(
        n_images=int(tested.sum()),
        k=k,
        chance=float((shares**2).sum()),
        planes=tuple(
            PlaneAccuracy(
                name=name,
                angle=accuracy(hits[f"angle {name}"]),
                both=accuracy(hits[f"both {name}"]),
                advantage=accuracy(hits[f"angle {name}"] - expected),
                p=float(permutation_p(hits[f"angle {name}"][tested].mean(), random)),
                beyond_within=accuracy(hits[f"angle {name}"] - high_within) if len(within) else NONE,
                advantage_within=accuracy(hits[f"angle {name}"] - expected_within) if len(within) else NONE,
                p_within=(
                    float(permutation_p(hits[f"angle {name}"][tested].mean(), within))
                    if len(within)
                    else float("nan")
                ),
            )
            for name in names
        ),
        random=random,
        within=within,
        saturation=accuracy(hits["saturation"]),
        line=accuracy(hits["line"]),
        direction=accuracy(hits["direction"]),
    )


def _plane(plane: str | Plane, vectors: np.ndarray, labels: np.ndarray, axis: np.ndarray) -> Plane:
    if isinstance(plane, Plane):
        return plane
    return fit_plane(plane, vectors, labels, axis)


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Return unit vectors; NaN for a vector without direction, which then neither votes nor is classified."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: np.ndarray = np.divide(vectors, length, out=np.full(vectors.shape, np.nan), where=length > 1e-6)
    return units


class _Vote:
    """Majority vote of the k nearest rows of one half on the rows of the other."""

    def __init__(self, known_labels: np.ndarray, query_labels: np.ndarray, k: int) -> None:
        self.known_labels, self.query_labels, self.k = known_labels, query_labels, k
        self.n_classes = int(max(known_labels.max(), query_labels.max())) + 1

    def __call__(self, known: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Return whether each query row (n, d) is classified correctly by known rows (m, d), as 0 and 1."""
        usable, answerable = ~np.isnan(known).any(1), ~np.isnan(queries).any(1)
        correct = np.zeros(len(queries))
        k = min(self.k, int(usable.sum()))
        if k == 0 or not answerable.any():
            return correct
        nearest = _nearest(known[usable], queries[answerable], k)
        labels = self.known_labels[usable][nearest]
        row = np.arange(len(labels))[:, None] * self.n_classes
        votes = np.bincount((row + labels).ravel(), minlength=len(labels) * self.n_classes)
        told = votes.reshape(-1, self.n_classes).argmax(1)
        correct[answerable] = told == self.query_labels[answerable]
        return correct


def _nearest(known: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Return rows of the k nearest, (n, k), by Euclidean distance: a tree in the plane, else products."""
    if known.shape[1] <= 3:
        nearest: np.ndarray = cKDTree(known).query(queries, k)[1].reshape(len(queries), k)
        return nearest
    found = np.empty((len(queries), k), np.int64)
    half_norm = (known**2).sum(1) / 2
    for start in range(0, len(queries), 1024):
        score = half_norm - queries[start : start + 1024] @ known.T
        found[start : start + 1024] = np.argpartition(score, k - 1, axis=1)[:, :k]
    return found
