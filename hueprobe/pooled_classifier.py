"""Classifiers beside Eq. (1)-(3) for memories of one vector an image: hull, centroid, plain neighbors."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.classification import Classification
from hueprobe.classifier import warn_of_duplicates
from hueprobe.density import DEFAULT_EPS
from hueprobe.errors import InputError, require_choice
from hueprobe.memory.store import Memory
from hueprobe.queries import Queries
from hueprobe.query_source import QuerySource
from hueprobe.stats.hulls import hull_distances

RULES = ("hull", "centroid", "knn")


class PooledClassifier:
    """Classifies one pooled vector an image by its nearest vectors of each class.

    ========== ==================================================================================
    `hull`     the class whose k nearest vectors have the nearest convex hull
    `centroid` the class whose k nearest vectors have the nearest mean, a point of that hull
    `knn`      the class of most of the k nearest vectors of all, each counting the same
    ========== ==================================================================================

    The likelihood of `hull` and `centroid` is exp(-d_C^2 / min_C d_C^2) with d_C the class's distance, as in
    Eq. (3); that of `knn` the number of votes. A zero vector has no class. All vectors are held in memory
    and searched exactly; no match table is kept.

    Parameters
    ----------
    memory : Memory
        Of a pooled descriptor (a grid of 1 x 1).
    rule : str
        `hull`, `centroid` or `knn`.
    k : int
        Nearest vectors of each class; for `knn` of all.
    exclude, eps, images, backbone, transform, weights, device, workers, progress
        As in `KernelDensityClassifier`; `eps` is that of the likelihood above.

    Raises
    ------
    InputError
        The memory holds several cells an image, the rule is unknown, or k or exclude are out of range.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        rule: str = "hull",
        k: int = 10,
        exclude: str | None = "image",
        eps: float = DEFAULT_EPS,
        images: Any = None,
        backbone: Any = None,
        transform: Any = None,
        weights: Any = None,
        device: str = "auto",
        workers: int | None = None,
        progress: bool = False,
    ) -> None:
        require_choice("classifier of pooled vectors", rule, RULES)
        if memory.grid.n_cells != 1:
            raise InputError(
                f"{memory.path} holds {memory.grid.n_cells} vectors an image; {rule} needs one: make a "
                "pooled memory of it with `hueprobe index MEMORY -o POOLED --descriptor gap`"
            )
        self.memory, self.rule, self.k, self.eps = memory, rule, as_count("k", k), eps
        self._source = QuerySource(
            memory, exclude=exclude, images=images, backbone=backbone, transform=transform, weights=weights,
            device=device, workers=workers, progress=progress,
        )  # fmt: skip
        self.exclude, rows = self._source.exclude, self._source.rows
        valid = memory.valid().reshape(memory.n_images)[rows]
        self._held = rows[valid & (memory.image_class[rows] >= 0)]
        self._vectors = memory.image_vectors(self._held)[:, 0].astype(np.float64)
        self._class = memory.image_class[self._held]
        self._class_counts = memory.class_counts(rows)

    def classify(self, images: Any) -> Classification:
        """Classify images; see `KernelDensityClassifier.classify`.

        Parameters
        ----------
        images
            Whatever `build_memory` takes.
        """
        result = Classification.concatenate(self.classify_batches(images))
        warn_of_duplicates(result.duplicates, self.exclude)
        return result

    def classify_batches(self, images: Any) -> Iterator[Classification]:
        """Yield the classification of one batch of images after another.

        Parameters
        ----------
        images
            Whatever `build_memory` takes.
        """
        yield from map(self._classify, self._source.of_images(images))

    def classify_activations(self, activations: np.ndarray, **about: Any) -> Classification:
        """Classify activations extracted elsewhere; see `KernelDensityClassifier.classify_activations`.

        Parameters
        ----------
        activations : ndarray of shape (n, C, H, W)
        **about
            `names`, `classes` and `groups`, one an image.
        """
        return self._classify(self._source.of_activations(activations, **about))

    def leave_one_out(self) -> Classification:
        """Classify every memory image by the others (those of other groups with `exclude="group"`)."""
        return Classification.concatenate(self.leave_one_out_batches())

    def leave_one_out_batches(self) -> Iterator[Classification]:
        """Yield the leave-one-out classification of one batch of memory images after another."""
        yield from map(self._classify, self._source.of_memory())

    def _classify(self, queries: Queries) -> Classification:
        started = time.perf_counter()
        vectors = queries.vectors[:, 0].astype(np.float64)
        distances = _distances(vectors, self._vectors)
        for i, barred in enumerate(queries.barred):
            distances[i, np.isin(self._held, barred)] = np.inf
        distances[~vectors.any(1)] = np.inf
        searched = time.perf_counter()
        n_classes = len(self.memory.classes)
        counts = self._class_counts - self._source.exclusion.barred_counts(queries.barred)
        scores = self._votes(distances, n_classes) if self.rule == "knn" else self._kernel(vectors, distances)
        return Classification.of_queries(
            queries, self.memory, scores, class_counts=counts,
            n_matches=np.minimum(np.isfinite(distances).sum(1), self.k),
            matches=None,
            seconds={"search": searched - started, "density": time.perf_counter() - searched},
        )  # fmt: skip

    def _votes(self, distances: np.ndarray, n_classes: int) -> np.ndarray:
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
        votes = np.zeros((len(distances), n_classes))
        found = np.isfinite(np.take_along_axis(distances, nearest, 1))
        rows = np.broadcast_to(np.arange(len(distances))[:, None], nearest.shape)
        np.add.at(votes, (rows[found], self._class[nearest[found]]), 1.0)
        return votes

    def _kernel(self, vectors: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """Return exp(-d_C^2 / (min d^2 + eps)), 0 for a class without a vector left."""
        of_class = np.full((len(vectors), len(self.memory.classes)), np.inf)
        for number in range(len(self.memory.classes)):
            members = np.flatnonzero(self._class == number)
            if not len(members):
                continue
            order = members[np.argsort(distances[:, members], axis=1, kind="stable")[:, : self.k]]  # (n, k)
            there = np.isfinite(np.take_along_axis(distances, order, 1))
            of_class[:, number] = self._rule_distances(vectors, self._vectors[order], there)
        least = of_class.min(1, keepdims=True)
        scale = np.where(np.isfinite(least), least, 1.0) ** 2 + self.eps
        return np.exp(-(of_class**2) / scale)

    def _rule_distances(self, vectors: np.ndarray, nearest: np.ndarray, there: np.ndarray) -> np.ndarray:
        if self.rule == "hull":
            return hull_distances(vectors, nearest, there)
        counts = there.sum(1)
        sums = np.where(there[:, :, None], nearest, 0.0).sum(1)
        means = sums / np.maximum(counts, 1)[:, None]
        return np.where(counts > 0, np.linalg.norm(vectors - means, axis=1), np.inf)


def _distances(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, m) in float64; good to 1e-8, enough to rank and to choose hulls."""
    squared = (queries**2).sum(1)[:, None] + (vectors**2).sum(1) - 2 * queries @ vectors.T
    distances: np.ndarray = np.sqrt(np.maximum(squared, 0.0))
    return distances
