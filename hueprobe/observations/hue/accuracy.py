"""How much of an image's class the angle alone tells, against random planes and the full direction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from hueprobe.arguments import as_count
from hueprobe.errors import InputError, ShapeError, require_choice
from hueprobe.observations.hue.planes import (
    Plane,
    across,
    fit_plane,
    random_plane,
    saturation,
    uniform_axis,
)
from hueprobe.stats.dealing import deal
from hueprobe.stats.intervals import Interval, unit_codes, unit_interval
from hueprobe.stats.permutation import permutation_p


@dataclass(frozen=True)
class PlaneAccuracy:
    """Accuracy from one plane.

    Attributes
    ----------
    name : str
        Of the plane.
    angle : Interval
        Share of images whose class the angle alone tells.
    both : Interval
        The same from both coordinates in the plane.
    advantage : Interval
        Angle accuracy above the mean of random planes, paired by image; 0 for a plane like any other.
    p : float
        One-sided: the share of random planes, and one, that do at least as well by angle.
    """

    name: str
    angle: Interval
    both: Interval
    advantage: Interval
    p: float


@dataclass(frozen=True)
class HueAccuracy:
    """What `hue_accuracy` found; all out of sample, intervals over images (groups).

    Attributes
    ----------
    n_images, k : int
        Labeled images with energy; neighbors that vote.
    chance : float
        Accuracy of a guess with the classes' own frequencies.
    planes : tuple of PlaneAccuracy
        In the order asked for.
    random : ndarray of shape (n_random,)
        Angle accuracy of random planes: the null of `PlaneAccuracy.p`.
    saturation : Interval
        Accuracy from the distance to the axis alone.
    direction : Interval
        Accuracy from the full direction across the axis: the ceiling.
    """

    n_images: int
    k: int
    chance: float
    planes: tuple[PlaneAccuracy, ...]
    random: np.ndarray
    saturation: Interval
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
    planes: Sequence[str | Plane] = ("pca", "lda", "dft"),
    axis: np.ndarray | None = None,
    n_random: int = 200,
    k: int = 10,
    groups: Sequence[str | None] | None = None,
) -> HueAccuracy:
    """Classify images by the angle of their pooled activation in a plane, and nothing else.

    Images are split in two, by whole groups; planes are fitted on each half and used on the
    other, where the k nearest angles of the first half vote (ties: the lower class id).

    Parameters
    ----------
    pooled : ndarray of shape (n_images, C)
        One vector an image (`pool`).
    image_class : ndarray of int64, shape (n_images,)
        Class id of each, -1 for none.
    seed : int
        Of the split and of the random planes.
    planes : sequence of (str or Plane)
        Names for `fit_plane`, or planes of one's own.
    axis : ndarray of shape (C,), optional
        Unit vector that the planes lie across; the uniform axis by default.
    n_random : int
        Random planes, the null. At least 200 to be of use.
    k : int
        Neighbors that vote; at most as many as half of the median class, or all would outvote it.
    groups : sequence of (str or None), length n_images, optional
        Images of one group go to one half.

    Raises
    ------
    InputError
        Fewer than two classes with two images (groups) each, or fewer than three channels.
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
        distance = [saturation(pooled[part], axis)[:, None] for part in (memory, query)]
        record("saturation", query, vote(*distance))
        parts = [_directions(across(pooled[part], axis)) for part in (memory, query)]
        record("direction", query, vote(*parts))

    def accuracy(values: np.ndarray) -> Interval:
        return unit_interval(values[tested], np.ones(tested.sum()), units)

    random = np.array([hits[f"random {draw}"][tested].mean() for draw in range(n_random)])
    expected = np.mean([hits[f"random {draw}"] for draw in range(n_random)], axis=0)
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
            )
            for name in names
        ),
        random=random,
        saturation=accuracy(hits["saturation"]),
        direction=accuracy(hits["direction"]),
    )


def _plane(plane: str | Plane, vectors: np.ndarray, labels: np.ndarray, axis: np.ndarray) -> Plane:
    if isinstance(plane, Plane):
        return plane
    return fit_plane(plane, vectors, labels, axis)


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors; NaN for a vector without direction, which then neither votes nor is told."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: np.ndarray = np.divide(vectors, length, out=np.full(vectors.shape, np.nan), where=length > 1e-6)
    return units


class _Vote:
    """Majority vote of the k nearest rows of one half about the other."""

    def __init__(self, known_labels: np.ndarray, query_labels: np.ndarray, k: int) -> None:
        self.known_labels, self.query_labels, self.k = known_labels, query_labels, k
        self.n_classes = int(max(known_labels.max(), query_labels.max())) + 1

    def __call__(self, known: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Return whether each query row (n, d) is told right by known rows (m, d), as 0 and 1."""
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
    """Rows of the k nearest, (n, k), by Euclidean distance: a tree in the plane, else products."""
    if known.shape[1] <= 3:
        nearest: np.ndarray = cKDTree(known).query(queries, k)[1].reshape(len(queries), k)
        return nearest
    found = np.empty((len(queries), k), np.int64)
    half_norm = (known**2).sum(1) / 2
    for start in range(0, len(queries), 1024):
        score = half_norm - queries[start : start + 1024] @ known.T
        found[start : start + 1024] = np.argpartition(score, k - 1, axis=1)[:, :k]
    return found
