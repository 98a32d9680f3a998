"""Classifiers beside Eq. (1)-(3) for memories of one vector an image: hull, centroid, plain neighbors."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from hueprobe.classification import Classification
from hueprobe.classifier import KernelDensityClassifier
from hueprobe.density import decide
from hueprobe.errors import InputError, require_choice
from hueprobe.match_images import MatchImages
from hueprobe.memory.store import Memory
from hueprobe.queries import Queries
from hueprobe.stats.hulls import hull_distances

RULES = ("hull", "centroid", "knn")


class PooledClassifier(KernelDensityClassifier):
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
    **options
        As `KernelDensityClassifier` takes them, but searcher.

    Raises
    ------
    InputError
        The memory holds several cells an image, or the rule is unknown.
    """

    def __init__(self, memory: Memory, *, rule: str = "hull", k: int = 10, **options: Any) -> None:
        require_choice("classifier of pooled vectors", rule, RULES)
        if memory.grid.n_cells != 1:
            raise InputError(
                f"{memory.path} holds {memory.grid.n_cells} vectors an image; {rule} needs one: make a "
                "pooled memory of it with `hueprobe index MEMORY -o POOLED --descriptor gap`"
            )
        super().__init__(memory, k=k, **options)
        self.rule = rule
        valid = memory.valid().reshape(memory.n_images)[self._rows]
        self._held = self._rows[valid & (memory.image_class[self._rows] >= 0)]
        self._vectors = memory.image_vectors(self._held)[:, 0].astype(np.float64)
        self._class = memory.image_class[self._held]

    def _classify(self, queries: Queries, images: MatchImages, names: Sequence[str | None]) -> Classification:
        started = time.perf_counter()
        vectors = queries.vectors[:, 0].astype(np.float64)
        distances = _distances(vectors, self._vectors)
        for i, barred in enumerate(queries.barred):
            distances[i, np.isin(self._held, barred)] = np.inf
        distances[~vectors.any(1)] = np.inf
        searched = time.perf_counter()
        n_classes = len(self.memory.classes)
        scores = self._votes(distances, n_classes) if self.rule == "knn" else self._kernel(vectors, distances)
        decision = decide(scores)
        return Classification(
            classes=self.memory.classes,
            images=tuple(images.query_paths[row] for row in queries.row),
            rows=queries.row,
            true_class=tuple(names[row] for row in queries.row),
            predicted=decision.predicted,
            tie=decision.tie,
            likelihood=decision.normalized,
            unnormalized=scores,
            n_matches=np.minimum(np.isfinite(distances).sum(1), self.k),
            matches=None,
            skipped=(),
            duplicates=(),
            seconds={"extract": 0.0, "search": searched - started, "density": time.perf_counter() - searched},
        )

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
