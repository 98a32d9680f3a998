"""KernelDensityClassifier: images or activations in; likelihoods and the match table out."""

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hueprobe import density
from hueprobe.arguments import as_count
from hueprobe.classification import Classification
from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.matches import Matches
from hueprobe.memory.store import Memory
from hueprobe.queries import Queries
from hueprobe.query_source import QuerySource
from hueprobe.search import Neighbors, SearcherSpec, open_searcher


class KernelDensityClassifier:
    """Classifier by adaptive kernel density over matched memory pixels, Eq. (1)-(3).

    Each query pixel is matched to its k nearest memory pixels. The likelihood of a class is the sum of kernel
    weights over its matches, divided by the number of its memory vectors [1]_.

    Parameters
    ----------
    memory : Memory
        Memory that query pixels are matched to.
    k : int, default=10
        Number of neighbors of each query pixel; the paper uses 10.
    searcher : str or SearcherSpec, default="exact"
        A SPEC: `exact`, `annoy:trees=10`, `faiss:HNSW32`, ... A missing index is built.
    exclude : {"image", "group", None}, default="image"
        What a query may not match. `"image"`: the same image (memory row or file content). `"group"`: also
        all images of its group, if it has one. None: nothing is excluded.
    eps : float, default=1e-6
        Epsilon of Eq. (3), a squared distance.
    images : array_like of int or of bool, optional
        Use only these memory rows (or the rows of this mask), as if the memory held no others; exact search
        only. By default all rows are used.
    backbone : nn.Module, optional
        The live module, if the memory was built with one. By default the recorded network is loaded.
    transform : callable, optional
        The transform, if the memory was built with a custom one. By default the recorded one is used.
    weights : path, optional
        Where the recorded weights file is now; its sha256 is checked. By default its recorded path is used.
    device : str, default="auto"
        Where the network and exact search run. `"auto"` is the device kind that built the memory, or the
        best available one if that kind is missing.
    workers : int, optional
        Number of threads that decode images; 0 decodes in the main thread. By default one per core, at most
        16.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM; see `open_searcher`.
    index_dir : path, optional
        Where indexes are kept; see `open_searcher`.
    progress : bool, default=False
        Whether to show progress of index building and classification.

    See Also
    --------
    hueprobe.PooledClassifier : Classifies one pooled vector per image.
    hueprobe.open_searcher : The searchers that a SPEC names.

    Notes
    -----
    The threads of torch and FAISS do not survive a fork. Once a process has classified, start other processes
    with `multiprocessing.get_context("spawn")`. A ForkedError is raised in a child process that would
    otherwise wait for these threads forever.

    References
    ----------
    .. [1] L.-F. Bouchard, M. Ben Lazreg and M. Toews, "Coloring Deep CNN Layers with Activation Hue Loss".

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> result = classifier.classify("others")
    >>> result.predicted
    array([0, 2, 1, 0, 0, 1])
    """

    def __init__(
        self,
        memory: Memory,
        *,
        k: int = 10,
        searcher: str | SearcherSpec = "exact",
        exclude: str | None = "image",
        eps: float = density.DEFAULT_EPS,
        images: Any = None,
        backbone: Any = None,
        transform: Any = None,
        weights: Any = None,
        device: str = "auto",
        workers: int | None = None,
        memory_budget: int | None = None,
        index_dir: Any = None,
        progress: bool = False,
    ) -> None:
        self.memory, self.k, self.eps = memory, as_count("k", k), eps
        self._source = QuerySource(
            memory, exclude=exclude, images=images, backbone=backbone, transform=transform, weights=weights,
            device=device, workers=workers, progress=progress,
        )  # fmt: skip
        self.exclude = self._source.exclude
        self.searcher = open_searcher(
            memory,
            searcher,
            device=device,
            images=None if images is None else self._source.rows,
            memory_budget=memory_budget,
            index_dir=index_dir,
            progress=progress,
        )
        self._class_counts = memory.class_counts(self._source.rows)

    def classify(self, images: Any, *, keep_matches: bool = True) -> Classification:
        """Classify images.

        Parameters
        ----------
        images : path, ImageTable, torch Dataset or list of files
            Query images, in any form that `build_memory` takes.
        keep_matches : bool, default=True
            Whether the result carries the match table. For large sets, use `classify_batches` instead.

        Returns
        -------
        Classification

        Warns
        -----
        HueprobeWarning
            An image is also in the memory; unless `exclude` is None, it may not match itself.

        See Also
        --------
        hueprobe.KernelDensityClassifier.classify_batches : The same, one batch at a time.
        hueprobe.KernelDensityClassifier.leave_one_out : Classify the memory's own images.

        Examples
        --------
        >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
        >>> classifier.classify(["others/square/square0.png"]).predicted_class
        ('square',)
        """
        result = Classification.concatenate(self.classify_batches(images), keep_matches=keep_matches)
        warn_of_duplicates(result.duplicates, self.exclude)
        return result

    def classify_batches(self, images: Any) -> Iterator[Classification]:
        """Classify images batch by batch, so that only one batch is held in RAM.

        Parameters
        ----------
        images : path, ImageTable, torch Dataset or list of files
            Query images, in any form that `build_memory` takes.

        Yields
        ------
        Classification
            One batch, with its match table.

        See Also
        --------
        hueprobe.Classification.concatenate : Join the batches.

        Examples
        --------
        >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
        >>> for part in classifier.classify_batches("others"):
        ...     print(len(part), len(part.matches))  # 6 images x 49 cells x 5 neighbors
        6 1470
        """
        yield from map(self.classify_queries, self._source.of_images(images))

    def vectors_of(self, images: Any) -> np.ndarray:
        """Extract the vectors of images as the memory would store them.

        Parameters
        ----------
        images : path, ImageTable, torch Dataset or list of files
            Images, in any form that `build_memory` takes.

        Returns
        -------
        ndarray of float32, shape (n_images, n_cells, n_channels)
            Unit vectors; zero where an image is unreadable.

        See Also
        --------
        hueprobe.Memory.image_vectors : Vectors of images that are in a memory.

        Examples
        --------
        >>> classifier = hp.KernelDensityClassifier(memory, backbone=network, transform=transform)
        >>> classifier.vectors_of("others").shape
        (6, 49, 16)
        """
        return self._source.vectors_of(images)

    def classify_activations(
        self,
        activations: np.ndarray,
        *,
        names: Sequence[str] | None = None,
        classes: Sequence[str | None] | None = None,
        groups: Sequence[str | None] | None = None,
    ) -> Classification:
        """Classify activations extracted elsewhere.

        Activations do not identify their images. So `exclude="image"` excludes nothing, and
        `exclude="group"` excludes the given `groups`.

        Parameters
        ----------
        activations : array_like or tensor of shape (n, C, H, W), or (C, H, W) for one image
            Activations of the layer that the memory was built from, after its nonlinearity, not normalized.
        names : sequence of str, optional
            Name of each image; numbered names by default.
        classes, groups : sequence of (str, int or None), optional
            Class and group of each image. An integer becomes a string of its digits; NaN means none. By
            default images have none.

        Returns
        -------
        Classification

        Raises
        ------
        InputError
            The activations are not numbers, or a class is neither a name nor a whole number.
        ShapeError
            The channels or the grid differ from those of the memory.

        See Also
        --------
        hueprobe.memory_from_arrays : Make a memory of activations.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> small = hp.memory_from_arrays("small.memory", rng.random((4, 8, 3, 3)), ["a", "a", "b", "b"])
        >>> hp.KernelDensityClassifier(small, k=3).classify_activations(rng.random((2, 8, 3, 3)))
        Classification(2 images, 2 classes, 0 of 0 labeled images right, 0 ties, 0 skipped, 54 matches)
        """
        return self.classify_queries(
            self._source.of_activations(activations, names=names, classes=classes, groups=groups)
        )

    def leave_one_out(
        self, *, keep_matches: bool = True, query_memory: Memory | None = None, rows: Any = None
    ) -> Classification:
        """Classify every memory image by all others (with `exclude="group"`, by those of other groups).

        Parameters
        ----------
        keep_matches : bool, default=True
            Whether the result carries the match table.
        query_memory : Memory, optional
            Memory to take the query vectors from, such as one of mirrored images. It holds the same images in
            the same rows. By default the queries are the vectors of the memory itself.
        rows : array_like of int or of bool, optional
            Classify only these memory rows, ascending, each by all others of the memory. By default all.

        Returns
        -------
        Classification

        Raises
        ------
        InputError
            `exclude` is None, `query_memory` holds different images, or `rows` holds no readable image.

        See Also
        --------
        hueprobe.KernelDensityClassifier.classify : Classify images from outside the memory.
        hueprobe.KernelDensityClassifier.leave_one_out_batches : The same, one batch at a time.

        Examples
        --------
        >>> result = hp.KernelDensityClassifier(memory, k=5).leave_one_out()
        >>> len(result), len(result.matches)  # 12 images x 49 cells x 5 neighbors
        (12, 2940)
        >>> hp.KernelDensityClassifier(memory, k=5).leave_one_out(rows=[7]).images
        ('square/square3.png',)
        """
        parts = self.leave_one_out_batches(query_memory=query_memory, rows=rows)
        return Classification.concatenate(parts, keep_matches=keep_matches)

    def leave_one_out_batches(
        self, *, query_memory: Memory | None = None, rows: Any = None
    ) -> Iterator[Classification]:
        """Classify every memory image by all others, batch by batch.

        Parameters
        ----------
        query_memory : Memory, optional
            Memory to take the query vectors from; see `leave_one_out`. By default the memory itself.
        rows : array_like of int or of bool, optional
            Classify only these memory rows. By default all.

        Yields
        ------
        Classification
            One batch, with its match table.

        See Also
        --------
        hueprobe.KernelDensityClassifier.leave_one_out : All batches at once.
        hueprobe.Classification.concatenate : Join the batches.

        Examples
        --------
        >>> classifier = hp.KernelDensityClassifier(memory, k=5)
        >>> sum(len(part.matches) for part in classifier.leave_one_out_batches())
        2940
        """
        yield from map(self.classify_queries, self._source.of_memory(query_memory, rows))

    def leave_one_out_by_k(
        self, ks: Sequence[int], *, query_memory: Memory | None = None
    ) -> dict[int, Classification]:
        """Classify every memory image by all others with several numbers of neighbors, in one search.

        With exact search, each result is that of `leave_one_out` of a classifier with that k. An index finds
        more of the nearest neighbors when it is asked for more, so results may differ from those.

        Parameters
        ----------
        ks : sequence of int
            Numbers of neighbors, instead of the classifier's own.
        query_memory : Memory, optional
            Memory to take the query vectors from; see `leave_one_out`. By default the memory itself.

        Returns
        -------
        dict of int to Classification
            Result of each k. The `extract` and `search` seconds count for the largest k alone.

        Raises
        ------
        InputError
            There is no k, or one is not a positive whole number; or as in `leave_one_out`.

        See Also
        --------
        hueprobe.KernelDensityClassifier.leave_one_out : The same for one number of neighbors.

        Examples
        --------
        >>> found = hp.KernelDensityClassifier(memory).leave_one_out_by_k([1, 5])
        >>> {k: len(result.matches) for k, result in found.items()}
        {1: 588, 5: 2940}
        """
        return self._joined(self._source.of_memory(query_memory), ks)

    def classify_stored_by_k(self, stored: Memory, ks: Sequence[int]) -> dict[int, Classification]:
        """Classify the images of another memory with several numbers of neighbors, in one search.

        With exact search, each result is that of `classify` of a classifier with that k, but no image goes
        through the network. Exclusion compares images by file content and group, not by row.

        Parameters
        ----------
        stored : Memory
            Memory of the images, from the same layer of the same network: of the same descriptor as the
            classifier's memory, or `pixel`. Descriptors other than `pixel` are then computed as
            `hueprobe.memory.derive_memory` does, and may differ from those of images in the last digits.
        ks : sequence of int
            Numbers of neighbors, instead of the classifier's own.

        Returns
        -------
        dict of int to Classification
            Result of each k. The `extract` and `search` seconds count for the largest k alone.

        Raises
        ------
        InputError
            There is no k, or one is not a positive whole number.
        ShapeError
            The channels or the grid differ from those of the classifier's memory.

        Warns
        -----
        HueprobeWarning
            An image is also in the classifier's memory; unless `exclude` is None, it may not match itself.

        See Also
        --------
        hueprobe.KernelDensityClassifier.classify : Classify images.
        hueprobe.KernelDensityClassifier.leave_one_out_by_k : The same for the memory's own images.

        Examples
        --------
        >>> others = hp.build_memory(
        ...     "others.memory", "others", backbone=network, layer=memory.settings.layer, transform=transform
        ... )
        >>> found = hp.KernelDensityClassifier(memory).classify_stored_by_k(others, [1, 5])
        >>> {k: len(result.matches) for k, result in found.items()}  # 6 images x 49 cells x k neighbors
        {1: 294, 5: 1470}
        """
        found = self._joined(self._source.of_stored(stored), ks)
        warn_of_duplicates(next(iter(found.values())).duplicates, self.exclude)
        return found

    def _joined(self, queries: Iterator[Queries], ks: Sequence[int]) -> dict[int, Classification]:
        ks = tuple(dict.fromkeys(as_count("k", k) for k in ks))
        if not ks:
            raise InputError("no k to classify with; give at least one")
        batches = [self._classify_by_k(batch, ks) for batch in queries]
        return {k: Classification.concatenate(batch[k] for batch in batches) for k in ks}

    def classify_queries(self, queries: Queries) -> Classification:
        """Classify a batch of queries, for callers that also need their vectors.

        Parameters
        ----------
        queries : Queries
            Batch of a `QuerySource` of the same memory and the same rule of exclusion.

        Returns
        -------
        Classification
            With the match table.

        See Also
        --------
        hueprobe.KernelDensityClassifier.classify : Classify images.

        Examples
        --------
        >>> from hueprobe.query_source import QuerySource
        >>> options = dict(images=None, backbone=None, transform=None, weights=None, device="cpu", workers=0)
        >>> source = QuerySource(memory, exclude="image", progress=False, **options)
        >>> classifier = hp.KernelDensityClassifier(memory, k=5)
        >>> [len(classifier.classify_queries(queries)) for queries in source.of_memory()]
        [12]
        """
        return self._classify_by_k(queries, (self.k,))[self.k]

    def _classify_by_k(self, queries: Queries, ks: Sequence[int]) -> dict[int, Classification]:
        """Classify by the nearest neighbors of one search for the largest k."""
        excluded = queries.excluded()
        started = time.perf_counter()
        found = self.searcher.search(
            queries.vectors.reshape(-1, queries.vectors.shape[2]), max(ks), exclude_images=excluded
        )
        seconds = time.perf_counter() - started
        results = {}
        for k in ks:
            nearest = Neighbors(found.ids[:, :k], found.distances[:, :k])
            if k == max(ks):
                results[k] = self._by_density(queries, nearest, seconds)
            else:
                results[k] = self._by_density(replace(queries, seconds=0.0), nearest, 0.0)
        return results

    def _by_density(self, queries: Queries, neighbors: Neighbors, seconds: float) -> Classification:
        """Classify by the kernel density of neighbors that were found in so many seconds."""
        memory = self.memory
        n, n_cells, _ = queries.vectors.shape
        image = np.repeat(np.arange(n), n_cells)
        started = time.perf_counter()
        weights = density.kernel_weights(neighbors.distances, eps=self.eps)
        neighbor_image = np.where(neighbors.ids >= 0, neighbors.ids // n_cells, 0)
        neighbor_class = np.where(neighbors.ids >= 0, memory.image_class[neighbor_image], -1)
        counts = self._class_counts - self._source.exclusion.barred_counts(queries.barred)
        unnormalized = density.likelihoods(weights, neighbor_class, image, counts)
        matches = Matches.from_neighbors(
            neighbors,
            weights,
            query_image=queries.row[image],
            query_cell=np.tile(np.arange(n_cells), n),
            images=queries.images,
        )
        return Classification.of_queries(
            queries, memory, unnormalized, class_counts=counts,
            n_matches=(neighbors.ids >= 0).reshape(n, n_cells * neighbors.ids.shape[1]).sum(axis=1),
            matches=matches,
            seconds={"search": seconds, "density": time.perf_counter() - started},
        )  # fmt: skip


def warn_of_duplicates(names: Sequence[str], exclude: str) -> None:
    """Warn of query images that are in the memory too.

    Parameters
    ----------
    names : sequence of str
        Names of these images.
    exclude : {"image", "group", "none"}
        What a query may not match.
    """
    if names:
        few = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
        what = "may match themselves" if exclude == "none" else "are prevented from matching themselves"
        warnings.warn(
            f"{len(names)} of the query images are in the memory too ({few}); they {what}",
            HueprobeWarning,
            stacklevel=3,
        )
