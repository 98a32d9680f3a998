"""KernelDensityClassifier: images or activations in; likelihoods and the match table out."""

import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hueprobe import density
from hueprobe.arguments import as_count
from hueprobe.classification import Classification
from hueprobe.errors import HueprobeWarning
from hueprobe.matches import Matches
from hueprobe.memory.store import Memory
from hueprobe.queries import Queries
from hueprobe.query_source import QuerySource
from hueprobe.search import SearcherSpec, open_searcher


class KernelDensityClassifier:
    """Classifies by the adaptive kernel density over matched memory pixels, Eq. (1)-(3).

    Parameters
    ----------
    memory : Memory
    k : int
        Neighbors of each query pixel; the paper takes 10.
    searcher : str or SearcherSpec
        A SPEC: `exact`, `annoy:trees=10`, `faiss:HNSW32`, ...; an absent index is built.
    exclude : {"image", "group", None}
        What a query may not match: the same image (memory row or file content), also its group
        (falling back to the image where it has none), or nothing.
    eps : float
        Of Eq. (3), in squared distance.
    images : array_like of int or of bool, optional
        Use these memory rows (or those of this mask) alone, as if the memory held no others; exact search
        only.
    backbone, transform : optional
        The live module (and its transform) where the memory was made with one.
    weights : path, optional
        Where the recorded weights file lies now; its sha256 is checked.
    device : str
        Where the network runs and exact search: `"auto"` is the device kind that made the memory, or the best
        there is where that is absent.
    workers : int, optional
        Threads that decode images, one a core by default, none with 0.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM; see `open_searcher`.
    index_dir : path, optional
        Where indexes are kept; see `open_searcher`.
    progress : bool
        Show progress of index building and classification.

    Notes
    -----
    The threads of torch and FAISS do not follow a fork: where a process has classified, start others with
    `multiprocessing.get_context("spawn")`. A ForkedError is raised in a child that would wait for them.

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
        images
            Whatever `build_memory` takes: files, a folder, a table, an ImageTable, a Dataset.
        keep_matches : bool
            Whether the result carries the match table; large sets are better read part by part from
            `classify_batches`.

        Warns
        -----
        HueprobeWarning
            An image is also in the memory; it may not match itself.
        """
        result = Classification.concatenate(self.classify_batches(images), keep_matches=keep_matches)
        warn_of_duplicates(result.duplicates, self.exclude)
        return result

    def classify_batches(self, images: Any) -> Iterator[Classification]:
        """Yield the classification of one batch of images after another.

        Parameters
        ----------
        images
            As `classify` takes them.
        """
        yield from map(self._classify, self._source.of_images(images))

    def vectors_of(self, images: Any) -> np.ndarray:
        """Return images' vectors as the memory would store them, zero where an image is unreadable.

        Parameters
        ----------
        images
            As `classify` takes them.

        Returns
        -------
        ndarray of float32, shape (n_images, n_cells, n_channels)
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

        Nothing says which images they are: `exclude="image"` bars nothing, `"group"` bars `groups`.

        Parameters
        ----------
        activations : array_like or tensor of shape (n, C, H, W), or (C, H, W) for one image
            After the closing nonlinearity, not normalized, at the layer that made the memory.
        names, classes, groups : sequence, optional
            One an image; whole numbers are taken by their digits, NaN for none.

        Raises
        ------
        InputError
            They are no numbers, or a class is neither a name nor a whole number.
        ShapeError
            Channels or grid are not the memory's.
        """
        return self._classify(
            self._source.of_activations(activations, names=names, classes=classes, groups=groups)
        )

    def leave_one_out(
        self, *, keep_matches: bool = True, query_memory: Memory | None = None
    ) -> Classification:
        """Classify every memory image by the others (those of other groups with `exclude="group"`).

        Parameters
        ----------
        keep_matches : bool
            Whether the result carries the match table.
        query_memory : Memory, optional
            Take the queries from this memory, row by row of the same images, such as their mirror images.
        """
        parts = self.leave_one_out_batches(query_memory=query_memory)
        return Classification.concatenate(parts, keep_matches=keep_matches)

    def leave_one_out_batches(self, *, query_memory: Memory | None = None) -> Iterator[Classification]:
        """Yield the leave-one-out classification of one batch of memory images after another.

        Parameters
        ----------
        query_memory : Memory, optional
            As in `leave_one_out`.
        """
        yield from map(self._classify, self._source.of_memory(query_memory))

    def _classify(self, queries: Queries) -> Classification:
        memory = self.memory
        n, n_cells, channels = queries.vectors.shape
        image = np.repeat(np.arange(n), n_cells)
        widest = max((len(rows) for rows in queries.barred), default=0)
        barred = np.full((n, widest), -1, np.int64)
        for i, rows in enumerate(queries.barred):
            barred[i, : len(rows)] = rows
        started = time.perf_counter()
        neighbors = self.searcher.search(
            queries.vectors.reshape(-1, channels), self.k, exclude_images=barred[image]
        )
        searched = time.perf_counter()
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
            n_matches=(neighbors.ids >= 0).reshape(n, n_cells * self.k).sum(axis=1),
            matches=matches,
            seconds={"search": searched - started, "density": time.perf_counter() - searched},
        )  # fmt: skip


def warn_of_duplicates(names: Sequence[str], exclude: str) -> None:
    """Warn where images from outside are in the memory too.

    Parameters
    ----------
    names : sequence of str
        Those images.
    exclude : {"image", "group", "none"}
        What a query may not match.
    """
    if names:
        few = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
        what = "may match themselves" if exclude == "none" else "are kept from matching themselves"
        warnings.warn(
            f"{len(names)} of the query images are in the memory too ({few}); they {what}",
            HueprobeWarning,
            stacklevel=3,
        )
