"""Classifiers for memories of one vector per image: convex hull, centroid, plain nearest neighbors."""

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
    """Classifier of one pooled vector per image by its nearest vectors of each class.

    ========== ==================================================================================
    `hull`     the class whose k nearest vectors have the nearest convex hull; compare [1]_
    `centroid` the class whose k nearest vectors have the nearest mean, a point of that hull
    `knn`      the majority class among the k nearest vectors of all classes, unweighted
    ========== ==================================================================================

    The likelihood of `hull` and `centroid` is exp(-d_C^2 / (min_C d_C^2 + eps)), where d_C is the distance to
    class C; compare Eq. (3). The likelihood of `knn` is the number of votes. A query that is a zero vector
    gets no class. All vectors are held in RAM and searched exactly; no match table is kept.

    Parameters
    ----------
    memory : Memory
        Memory of a pooled descriptor (a grid of 1 x 1).
    rule : {"hull", "centroid", "knn"}, default="hull"
        How a class is chosen; see the table above.
    k : int, default=10
        Number of nearest vectors of each class; for `knn`, of all classes together.
    exclude : {"image", "group", None}, default="image"
        What a query may not match; see `KernelDensityClassifier`.
    eps : float, default=1e-6
        Epsilon of the likelihood above, a squared distance.
    images : array_like of int or of bool, optional
        Use only these memory rows (or the rows of this mask). By default all rows are used.
    backbone : nn.Module, optional
        The live module, if the memory was built with one. By default the recorded network is loaded.
    transform : callable, optional
        The transform, if the memory was built with a custom one. By default the recorded one is used.
    weights : path, optional
        Where the recorded weights file is now. By default its recorded path is used.
    device : str, default="auto"
        Where the network runs; see `KernelDensityClassifier`.
    workers : int, optional
        Number of threads that decode images; 0 decodes in the main thread. By default one per core, at most
        16.
    progress : bool, default=False
        Whether to show progress of the classification.

    Raises
    ------
    InputError
        The memory holds several cells per image, the rule is unknown, or `k` or `exclude` is out of range.

    See Also
    --------
    hueprobe.KernelDensityClassifier : Classifies by all pixel vectors.
    hueprobe.memory.derive_memory : Makes a pooled memory of a pixel memory.

    References
    ----------
    .. [1] X. Ju, S. Shao, H. Long and W. Wang, "Nearest Neighbor Classification Based on Activation Space of
       Convolutional Neural Network".

    Examples
    --------
    >>> pooled = hp.memory.derive_memory("gap.memory", memory, "gap")
    >>> hp.PooledClassifier(pooled, rule="centroid", k=3).leave_one_out().likelihood.shape
    (12, 3)
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
                f"{memory.path} holds {memory.grid.n_cells} vectors per image; {rule} needs one: make a "
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
        """Classify images.

        Parameters
        ----------
        images : path, ImageTable, torch Dataset or list of files
            Query images, in any form that `build_memory` takes.

        Returns
        -------
        Classification
            Without a match table.

        Warns
        -----
        HueprobeWarning
            An image is also in the memory; unless `exclude` is None, it may not match itself.

        See Also
        --------
        hueprobe.PooledClassifier.leave_one_out : Classify the memory's own images.

        Examples
        --------
        >>> pooled = hp.memory.derive_memory("gap.memory", memory, "gap")
        >>> classifier = hp.PooledClassifier(pooled, k=3, backbone=network, transform=transform)
        >>> len(classifier.classify("others"))
        6
        """
        result = Classification.concatenate(self.classify_batches(images))
        warn_of_duplicates(result.duplicates, self.exclude)
        return result

    def classify_batches(self, images: Any) -> Iterator[Classification]:
        """Classify images batch by batch.

        Parameters
        ----------
        images : path, ImageTable, torch Dataset or list of files
            Query images, in any form that `build_memory` takes.

        Yields
        ------
        Classification
            One batch.

        See Also
        --------
        hueprobe.Classification.concatenate : Join the batches.

        Examples
        --------
        >>> pooled = hp.memory.derive_memory("gap.memory", memory, "gap")
        >>> classifier = hp.PooledClassifier(pooled, k=3, backbone=network, transform=transform)
        >>> [len(part) for part in classifier.classify_batches("others")]
        [6]
        """
        yield from map(self._classify, self._source.of_images(images))

    def classify_activations(self, activations: np.ndarray, **about: Any) -> Classification:
        """Classify activations extracted elsewhere.

        Parameters
        ----------
        activations : array_like or tensor of shape (n, C, H, W)
            Activations of the layer that the memory was built from; they are pooled here.
        **about
            `names`, `classes` and `groups`; see `KernelDensityClassifier.classify_activations`.

        Returns
        -------
        Classification

        See Also
        --------
        hueprobe.KernelDensityClassifier.classify_activations : The same with pixel vectors.

        Examples
        --------
        >>> pooled = hp.memory.derive_memory("gap.memory", memory, "gap")
        >>> activations = np.random.default_rng(0).random((2, 16, 7, 7))
        >>> hp.PooledClassifier(pooled, rule="knn").classify_activations(activations).images
        ('array-0000000', 'array-0000001')
        """
        return self._classify(self._source.of_activations(activations, **about))

    def leave_one_out(self) -> Classification:
        """Classify every memory image by all others (with `exclude="group"`, by those of other groups).

        Returns
        -------
        Classification

        See Also
        --------
        hueprobe.PooledClassifier.classify : Classify images from outside the memory.

        Examples
        --------
        >>> pooled = hp.memory.derive_memory("gap.memory", memory, "gap")
        >>> votes = hp.PooledClassifier(pooled, rule="knn", k=3).leave_one_out().unnormalized
        >>> votes.shape, votes.sum(axis=1)[:3]  # each image has k votes
        ((12, 3), array([3., 3., 3.]))
        """
        return Classification.concatenate(self.leave_one_out_batches())

    def leave_one_out_batches(self) -> Iterator[Classification]:
        """Classify every memory image by all others, batch by batch.

        Yields
        ------
        Classification
            One batch.

        See Also
        --------
        hueprobe.PooledClassifier.leave_one_out : All batches at once.

        Examples
        --------
        >>> pooled = hp.memory.derive_memory("gap.memory", memory, "gap")
        >>> sum(len(part) for part in hp.PooledClassifier(pooled).leave_one_out_batches())
        12
        """
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
        """Return exp(-d_C^2 / (min_C d_C^2 + eps)); 0 for a class of which no vector may be matched."""
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
    """Return Euclidean distances (n, m) in float64, accurate to 1e-8: enough to rank and to choose hulls."""
    squared = (queries**2).sum(1)[:, None] + (vectors**2).sum(1) - 2 * queries @ vectors.T
    distances: np.ndarray = np.sqrt(np.maximum(squared, 0.0))
    return distances
