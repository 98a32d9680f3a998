"""Images of an audit, compared with each other before there are limits."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from hueprobe.activations.descriptors import pooled_from_vectors
from hueprobe.classification import Classification
from hueprobe.classifier import KernelDensityClassifier
from hueprobe.grid import Grid
from hueprobe.images.table import ImageTable
from hueprobe.queries import Queries
from hueprobe.stats.extremes import limit_of_maxima, limit_of_minima
from hueprobe.trust.label_noise import LabelCandidates, label_candidates
from hueprobe.trust.near_images import PooledImages
from hueprobe.trust.shared_cells import LEAST, SharedCells, shared_cells


@dataclass
class Gathered:
    """What is kept of the batches of one side."""

    rows: list[np.ndarray] = field(default_factory=list)
    descriptors: list[np.ndarray] = field(default_factory=list)
    sha256: list[str | None] = field(default_factory=list)
    cells: list[SharedCells] = field(default_factory=list)
    labels: LabelCandidates | None = None
    skipped: tuple[tuple[str, str], ...] = ()


def gathered(classifier: KernelDensityClassifier, batches: Iterable[Queries], *, offset: int) -> Gathered:
    """Classify batch by batch; keep descriptors and shared cells, drop vectors and matches."""
    found, results = Gathered(), []
    for queries in batches:
        result = classifier.classify_queries(queries)
        matches = result.matches
        if matches is None:
            raise AssertionError("a batch is classified with its matches")
        found.descriptors.append(pooled_descriptors(queries, matches.query_grid))
        found.rows.append(offset + queries.row)
        found.sha256.extend(queries.sha256)
        cells = shared_cells(matches)
        found.cells.append(replace(cells, first=offset + cells.first))
        results.append(replace(result, matches=None))
    if results:
        joined = Classification.concatenate(results)
        found.skipped, ranked = joined.skipped, label_candidates(joined)
        found.labels = replace(ranked, rows=offset + ranked.rows)
    return found


def pooled_descriptors(queries: Queries, grid: Grid) -> np.ndarray:
    """Return the mean activation of each image, scaled to unit length, shape (n, n_channels).

    Parameters
    ----------
    queries : Queries
        Vectors and energy of n images.
    grid : Grid
        Their grid.
    """
    n, _, channels = queries.vectors.shape
    vectors = queries.vectors.reshape(n, *grid.shape, channels)
    pooled = pooled_from_vectors(vectors, queries.energy, "gap").reshape(n, channels)
    norms = np.linalg.norm(pooled, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(pooled, norms, out=np.zeros_like(pooled), where=norms > 0)
    return unit


@dataclass(frozen=True, eq=False)
class ComparedImages:
    """Images of all sides, compared with each other, before there are limits."""

    tables: list[ImageTable]
    classes: tuple[str | None, ...]
    readable: np.ndarray
    exact: tuple[tuple[int, ...], ...]
    pooled: PooledImages
    cells: SharedCells
    labels: LabelCandidates
    skipped: tuple[tuple[str, str], ...]
    other: dict[str, np.ndarray]
    other_value: dict[str, np.ndarray]

    @classmethod
    def of(cls, tables: list[ImageTable], parts: list[Gathered]) -> "ComparedImages":
        """Compare the images of all sides: of the memory, and of IMAGES if there are any."""
        classes = tuple(name for table in tables for name in table.classes)
        n = len(classes)
        rows = np.concatenate([np.empty(0, np.int64), *(some for part in parts for some in part.rows)])
        readable = np.zeros(n, bool)
        readable[rows] = True
        codes = _codes(classes, readable)
        contents, exact = _by_content(n, rows, [value for part in parts for value in part.sha256])
        every = [some for part in parts for some in part.descriptors]
        descriptors = np.zeros((n, every[0].shape[1] if every else 1), np.float32)
        if every:
            descriptors[rows] = np.concatenate(every)
        pooled = PooledImages.of(descriptors, contents, len(tables[0]))
        cells = SharedCells.concatenate([some for part in parts for some in part.cells]).undirected()
        cells = cells.select(contents[cells.first] != contents[cells.second])
        nearest, least = pooled.most_alike_of_other_classes(codes)
        partner, most = _most_shared(cells, codes)
        return cls(
            tables=tables, classes=classes, readable=readable, exact=exact, pooled=pooled, cells=cells,
            labels=LabelCandidates.concatenate([part.labels for part in parts if part.labels is not None]),
            skipped=tuple(one for part in parts for one in part.skipped),
            other={"relative_distance": nearest, "cells": partner},
            other_value={"relative_distance": least, "cells": most},
        )  # fmt: skip

    def cells_of(self, pairs: np.ndarray) -> np.ndarray:
        """Return the number of shared cells of pairs first * n + second, shape (n_pairs,)."""
        known = self.cells.first * len(self.classes) + self.cells.second
        at = np.searchsorted(known, pairs)
        there = at < len(known)
        there[there] = known[at[there]] == pairs[there]
        counts = np.zeros(len(pairs), np.int64)
        counts[there] = self.cells.cells[at[there]]
        return counts

    def limits(self, rate: float) -> dict[str, float]:
        """Return the limits that pair this share of the images with an image of another class by chance."""
        labeled = _codes(self.classes, self.readable) >= 0
        fewest = limit_of_maxima(self.other_value["cells"][labeled], rate)
        return {
            "relative_distance": limit_of_minima(self.other_value["relative_distance"], rate),
            "cells": max(LEAST, fewest),
        }


def _codes(classes: tuple[str | None, ...], readable: np.ndarray) -> np.ndarray:
    """Return a number for each class, -1 without one; one for each image if there are not two classes."""
    there = {name for name, seen in zip(classes, readable, strict=True) if seen}
    known = sorted(name for name in there if name is not None)
    if len(known) < 2:
        return np.where(readable, np.arange(len(classes)), -1)
    ids: dict[str | None, int] = {name: number for number, name in enumerate(known)}
    return np.array([ids.get(name, -1) for name in classes], np.int64)


def _by_content(
    n: int, rows: np.ndarray, sha256: list[str | None]
) -> tuple[np.ndarray, tuple[tuple[int, ...], ...]]:
    """Return a number that images of equal content share, shape (n,), and the sets of such images."""
    sets: dict[str, list[int]] = defaultdict(list)
    for row, digest in zip(rows.tolist(), sha256, strict=True):
        if digest:
            sets[digest].append(row)
    contents = np.arange(n)
    several = tuple(tuple(images) for images in sets.values() if len(images) > 1)
    for images in several:
        contents[list(images)] = images[0]
    return contents, several


def _most_shared(cells: SharedCells, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the image of another class that shares the most cells, and their number; else -1 and 0."""
    first, second = cells.first, cells.second
    differ = (codes[first] != codes[second]) & (codes[first] >= 0) & (codes[second] >= 0)
    image = np.concatenate([first[differ], second[differ]])
    other = np.concatenate([second[differ], first[differ]])
    both = np.concatenate([cells.cells[differ], cells.cells[differ]])
    order = np.argsort(both, kind="stable")  # of several assignments to a row, the last, greatest, stays
    partner, most = np.full(len(codes), -1), np.zeros(len(codes), np.int64)
    partner[image[order]], most[image[order]] = other[order], both[order]
    return partner, most
