"""KernelDensityClassifier: images or activations in; likelihoods and the match table out."""

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hueprobe import density
from hueprobe.activations.descriptors import require_finite
from hueprobe.classification import Classification
from hueprobe.errors import HueprobeWarning, InputError, require_choice
from hueprobe.exclusion import EXCLUDE, Exclusion
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import unfiled_table
from hueprobe.match_images import MatchImages
from hueprobe.matches import Matches
from hueprobe.memory.store import Memory
from hueprobe.progress import progress_bar
from hueprobe.queries import Queries, QueryExtractor, match_images, stored_vectors
from hueprobe.search import open_searcher

_LEAVE_ONE_OUT_VECTORS = 16_384  # asked at a time: each batch streams the whole memory once


class KernelDensityClassifier:
    """Classifies by the adaptive kernel density over matched memory pixels, Eq. (1)-(3).

    Parameters
    ----------
    memory : Memory
    k : int
        Neighbors of each query pixel; the paper takes 10.
    searcher : str
        A SPEC: `exact`, `annoy:trees=10`, `faiss:HNSW32`, ...; an absent index is built.
    exclude : {"image", "group", None}
        What a query may not match: the same image (memory row or file content), also its group
        (falling back to the image where it has none), or nothing.
    eps : float
        Of Eq. (3), in squared distance.
    images : array_like of int, optional
        Use these memory rows alone, as if the memory held no others; exact search only.
    backbone, transform : optional
        The live module (and its transform) where the memory was made with one.
    weights : path, optional
        Where the recorded weights file lies now; its sha256 is checked.
    device : str
        `"auto"` is the device kind that made the memory, or the best there is where that is absent.
    workers : int, optional
        Threads that decode images, one a core by default, none with 0.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM; see `open_searcher`.
    progress : bool
        Show progress of index building and classification.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        k: int = 10,
        searcher: str = "exact",
        exclude: str | None = "image",
        eps: float = density.DEFAULT_EPS,
        images: Any = None,
        backbone: Any = None,
        transform: Any = None,
        weights: Any = None,
        device: str = "auto",
        workers: int | None = None,
        memory_budget: int | None = None,
        progress: bool = False,
    ) -> None:
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}")
        require_choice("exclude", exclude or "none", EXCLUDE)
        self.memory, self.k, self.eps = memory, k, eps
        self.exclude = exclude or "none"
        self._rows = np.arange(memory.n_images) if images is None else np.unique(np.asarray(images, np.int64))
        self.searcher = open_searcher(
            memory,
            searcher,
            device=device,
            images=None if images is None else self._rows,
            memory_budget=memory_budget,
            progress=progress,
        )
        self._extractor = QueryExtractor(
            memory=memory, backbone=backbone, transform=transform, weights=weights, device=device,
            workers=workers,
        )  # fmt: skip
        self._progress = progress
        self._exclusion = Exclusion(memory, self.exclude, images=self._rows)
        self._class_counts = memory.class_counts(self._rows)

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
        parts = [_light(part, keep_matches) for part in self.classify_batches(images)]
        result = Classification.concatenate(parts)
        warn_of_duplicates(result.duplicates, self.exclude)
        return result

    def classify_batches(self, images: Any) -> Iterator[Classification]:
        """Yield the classification of one batch of images after another."""
        table = resolve_images(images)
        sides = match_images(self.memory, table)
        with progress_bar(len(table), label="classify", enabled=self._progress) as advance:
            started = time.perf_counter()
            for batch, readable, vectors in self._extractor.batches(table):
                rows = batch.start + readable
                hashes = [batch.records[i].sha256 for i in readable]
                barred = [
                    self._exclusion.of(h, table.groups[row]) for h, row in zip(hashes, rows, strict=True)
                ]
                part = self._classify(Queries(rows, vectors, barred), sides, table.classes)
                part.seconds["extract"] = time.perf_counter() - started - sum(part.seconds.values())
                yield replace(
                    part,
                    skipped=tuple(
                        (table.paths[batch.start + i], record.reason or "unreadable")
                        for i, record in enumerate(batch.records)
                        if not record.readable
                    ),
                    duplicates=tuple(
                        table.paths[row]
                        for h, row in zip(hashes, rows, strict=True)
                        if h in self._exclusion.known
                    ),
                )
                advance(len(batch.records))
                started = time.perf_counter()

    def vectors_of(self, images: Any) -> np.ndarray:
        """Return images' vectors as the memory would store them, zero where an image is unreadable.

        Returns
        -------
        ndarray of float32, shape (n_images, n_cells, n_channels)
        """
        table = resolve_images(images)
        vectors = np.zeros((len(table), self.memory.grid.n_cells, self.memory.n_channels), np.float32)
        for batch, readable, found in self._extractor.batches(table):
            vectors[batch.start + readable] = found
        return vectors

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
        activations : ndarray of shape (n, C, H, W)
            After the closing nonlinearity, not normalized, at the layer that made the memory.
        names, classes, groups : sequence, optional
            One an image.

        Raises
        ------
        ShapeError
            Channels or grid are not the memory's.
        """
        activations = np.asarray(activations, np.float32)
        table = unfiled_table(len(activations), names=names, classes=classes, groups=groups)
        require_finite(activations, table.paths, self.memory.settings["layer"])
        barred = [self._exclusion.of(None, group) for group in table.groups]
        queries = Queries(np.arange(len(table)), stored_vectors(self.memory, activations), barred)
        return self._classify(queries, match_images(self.memory, table), table.classes)

    def leave_one_out(self, *, keep_matches: bool = True, ask: Memory | None = None) -> Classification:
        """Classify every memory image by the others (those of other groups with `exclude="group"`).

        Parameters
        ----------
        keep_matches : bool
            Whether the result carries the match table.
        ask : Memory, optional
            Ask with this memory's vectors, row by row of the same images, such as their mirror images.
        """
        parts = [_light(part, keep_matches) for part in self.leave_one_out_batches(ask=ask)]
        return Classification.concatenate(parts)

    def leave_one_out_batches(self, *, ask: Memory | None = None) -> Iterator[Classification]:
        """Yield the leave-one-out classification of one batch of memory images after another."""
        if self.exclude == "none":
            raise InputError(
                "leave-one-out without exclusion would match each image to itself; use 'image' or 'group'"
            )
        memory = self.memory
        asked = ask if ask is not None else memory
        if asked.images.paths != memory.images.paths or asked.grid != memory.grid:
            raise InputError(f"{asked.path} does not hold the images of {memory.path}, row by row")
        sides = match_images(memory, memory.images)
        names = tuple(name if name in set(memory.classes) else None for name in memory.images.classes)
        readable = self._rows[memory.readable[self._rows]]
        unreadable = [int(i) for i in self._rows[~memory.readable[self._rows]]]
        skipped = tuple((memory.images.paths[i], memory.records["reason"][i].as_py()) for i in unreadable)
        step = max(1, _LEAVE_ONE_OUT_VECTORS // memory.grid.n_cells)
        with progress_bar(len(readable), label="classify", enabled=self._progress) as advance:
            for start in range(0, len(readable), step):
                started = time.perf_counter()
                rows = readable[start : start + step]
                barred = [self._exclusion.of_row(int(row)) for row in rows]
                part = self._classify(Queries(rows, asked.image_vectors(rows), barred), sides, names)
                part.seconds["extract"] = time.perf_counter() - started - sum(part.seconds.values())
                yield replace(part, skipped=skipped if start == 0 else ())
                advance(len(rows))

    def _classify(self, queries: Queries, sides: MatchImages, names: Sequence[str | None]) -> Classification:
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
        counts = self._class_counts - self._exclusion.barred_counts(queries.barred)
        unnormalized = density.likelihoods(weights, neighbor_class, image, counts)
        decision = density.decide(unnormalized)
        matches = Matches.from_neighbors(
            neighbors,
            weights,
            query_image=queries.row[image],
            query_cell=np.tile(np.arange(n_cells), n),
            images=sides,
        )
        done = time.perf_counter()
        return Classification(
            classes=memory.classes,
            images=tuple(sides.query_paths[row] for row in queries.row),
            rows=queries.row,
            true_class=tuple(names[row] for row in queries.row),
            predicted=decision.predicted,
            tie=decision.tie,
            likelihood=decision.normalized,
            unnormalized=unnormalized,
            n_matches=(neighbors.ids >= 0).reshape(n, n_cells * self.k).sum(axis=1),
            matches=matches,
            skipped=(),
            duplicates=(),
            seconds={"extract": 0.0, "search": searched - started, "density": done - searched},
        )


def warn_of_duplicates(names: Sequence[str], exclude: str) -> None:
    """Warn where images from outside are in the memory too."""
    if names:
        few = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
        what = "may match themselves" if exclude == "none" else "are kept from matching themselves"
        warnings.warn(
            f"{len(names)} of the images asked are in the memory too ({few}); they {what}",
            HueprobeWarning,
            stacklevel=3,
        )


def _light(part: Classification, keep_matches: bool) -> Classification:
    return part if keep_matches else replace(part, matches=None)
