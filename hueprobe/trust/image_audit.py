"""Audit of a memory's images: exact and near duplicates, and label-noise candidates."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from hueprobe.activations.descriptors import pooled_from_vectors
from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.classifier import KernelDensityClassifier
from hueprobe.errors import InputError, require_choice
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.memory.store import Memory
from hueprobe.queries import Queries
from hueprobe.query_source import QuerySource
from hueprobe.trust.audit_result import Audit, NearPairs, NearPatches
from hueprobe.trust.label_noise import LabelCandidates, label_candidates
from hueprobe.trust.near_images import distances, near_images
from hueprobe.trust.near_pairs import NEAR, matched_shares

DISTANCE = 0.4  # between pooled descriptors; different photographs are rarely nearer
SHARE = 0.5


@takes(Memory)
def audit(
    memory: Memory,
    images: Any = None,
    *,
    distance: float = DISTANCE,
    share: float = SHARE,
    near: float = NEAR,
    k: int = 10,
    searcher: str = "exact",
    exclude: str = "image",
    backbone: Any = None,
    transform: Any = None,
    weights: Any = None,
    device: str = "auto",
    workers: int | None = None,
    memory_budget: int | None = None,
    index_dir: Any = None,
    progress: bool = False,
) -> Audit:
    """Find duplicates among a memory's images and further images, and labels that are likely wrong.

    - Exact duplicates have the same sha256 of the file's content.
    - Near-duplicates have pooled descriptors (mean activation, scaled to unit length) nearer than `distance`,
      or more than `share` of the cells of one have a nearly equal cell in the other.
    - Label-noise candidates are ranked by the likelihood of their own class in leave-one-out, Eq. (2). Images
      of equal content do not vote for each other; near-duplicates do, so look at those first.

    Parameters
    ----------
    memory : Memory
        Memory whose images are compared with each other.
    images : path, ImageTable, torch Dataset or list of files, optional
        Further images, which are compared with the memory; among each other by content and pooled
        descriptor only. By default the memory alone is audited; its splits are told apart.
    distance : float, default=0.4
        Limit of the distance between pooled descriptors, 0 to 2.
    share : float, default=0.5
        Limit of the share of cells, 0 to 1.
    near : float, default=0.25
        Limit of the distance between nearly equal cells, 0 to 2.
    k : int, default=10
        Number of neighbors of each cell.
    searcher : str, default="exact"
        A SPEC; an approximate search may miss equal cells.
    exclude : {"image", "group"}, default="image"
        "group" does not compare the cells of images of one group, nor lets them vote for each other.
    backbone : nn.Module, optional
        The live module, if the memory was built with one. By default the recorded network is loaded.
    transform : callable, optional
        The transform, if the memory was built with a custom one. By default the recorded one is used.
    weights : path, optional
        Where the recorded weights file is now. By default its recorded path is used.
    device : str, default="auto"
        Where the network and exact search run; see `KernelDensityClassifier`.
    workers : int, optional
        Number of threads that decode images. By default one per core, at most 16.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM; see `open_searcher`.
    index_dir : path, optional
        Where indexes are kept; inside the memory by default.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    Audit

    Raises
    ------
    InputError
        A limit is out of its range, or `exclude` is neither of both.

    See Also
    --------
    hueprobe.trust.Audit.false_alarms : How often a limit pairs images of different classes.
    hueprobe.trust.label_candidates : Ranks the images of any classification.

    Examples
    --------
    >>> found = hp.trust.audit(memory, "others", k=5, backbone=network, transform=transform)
    >>> len(found), found.exact
    (18, ())
    """
    for name, value, top in (("distance", distance, 2), ("share", share, 1), ("near", near, 2)):
        if not 0 <= value <= top:
            raise InputError(f"{name} is {value}; give a number from 0 to {top}")
    require_choice("exclude", exclude, ("image", "group"))
    shared: dict[str, Any] = {
        "exclude": exclude, "backbone": backbone, "transform": transform, "weights": weights,
        "device": device, "workers": workers, "progress": progress,
    }  # fmt: skip
    classifier = KernelDensityClassifier(
        memory, k=k, searcher=searcher, memory_budget=memory_budget, index_dir=index_dir, **shared
    )
    source = QuerySource(memory, images=None, **shared)
    parts = [_gathered(classifier, source.of_memory(), near, offset=0)]
    tables = [memory.images]
    if images is not None:
        tables.append(resolve_images(images))
        parts.append(_gathered(classifier, source.of_images(tables[1]), near, offset=memory.n_images))
    return _joined(tables, parts, {"distance": distance, "share": share, "near": near})


@dataclass
class _Gathered:
    """What is kept of the batches of one side."""

    rows: list[np.ndarray] = field(default_factory=list)
    descriptors: list[np.ndarray] = field(default_factory=list)
    sha256: list[str | None] = field(default_factory=list)
    shares: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    patches: list[NearPatches] = field(default_factory=list)
    labels: LabelCandidates | None = None
    skipped: tuple[tuple[str, str], ...] = ()


def _gathered(
    classifier: KernelDensityClassifier, batches: Iterable[Queries], near: float, *, offset: int
) -> _Gathered:
    """Classify batch by batch; keep descriptors and what is nearly equal, drop vectors and matches."""
    found, results = _Gathered(), []
    for queries in batches:
        n, _, channels = queries.vectors.shape
        result = classifier.classify_queries(queries)
        matches = result.matches
        if matches is None:
            raise AssertionError("a batch is classified with its matches")
        vectors = queries.vectors.reshape(n, *matches.query_grid.shape, channels)
        pooled = pooled_from_vectors(vectors, queries.energy, "gap").reshape(n, channels)
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        found.descriptors.append(np.divide(pooled, norms, out=np.zeros_like(pooled), where=norms > 0))
        found.rows.append(offset + queries.row)
        found.sha256.extend(queries.sha256)
        shares = matched_shares(matches, near=near)
        found.shares.append((offset + shares.query_image, shares.image, shares.share))
        nearest = matches.select((matches.rank == 1) & (matches.distance < near))
        found.patches.append(
            NearPatches(
                offset + nearest.query_image, nearest.query_y, nearest.query_x, nearest.image, nearest.y,
                nearest.x, nearest.distance,
            )
        )  # fmt: skip
        results.append(replace(result, matches=None))
    if results:
        joined = Classification.concatenate(results)
        found.skipped, ranked = joined.skipped, label_candidates(joined)
        found.labels = replace(ranked, rows=offset + ranked.rows)
    return found


def _joined(tables: list[ImageTable], parts: list[_Gathered], limits: dict[str, float]) -> Audit:
    """Compare the images of all sides, and return the audit."""
    names = ("memory", "images")
    sets = tuple(
        name if split is None else f"{name}: {split}"
        for name, table in zip(names, tables, strict=False)
        for split in table.splits
    )
    classes = tuple(name for table in tables for name in table.classes)
    n = len(classes)
    rows = np.concatenate([np.empty(0, np.int64), *(some for part in parts for some in part.rows)])
    readable = np.zeros(n, bool)
    readable[rows] = True
    ids = {name: number for number, name in enumerate(sorted({name for name in classes if name is not None}))}
    codes = np.array([-1 if name is None else ids[name] for name in classes], np.int64)
    contents, exact = _by_content(n, rows, [value for part in parts for value in part.sha256])
    every = [some for part in parts for some in part.descriptors]
    descriptors = np.zeros((n, every[0].shape[1] if every else 1), np.float32)
    if every:
        descriptors[rows] = np.concatenate(every)
    pooled = near_images(descriptors, codes, contents, limit=limits["distance"])
    first, second, value = _undirected([some for part in parts for some in part.shares], contents)
    other_share, other = _most_shared(first, second, value, codes)
    enough = value > limits["share"]
    keys = np.unique(np.concatenate([pooled.first * n + pooled.second, (first * n + second)[enough]]))
    at = np.searchsorted(first * n + second, keys)
    share = np.zeros(len(keys))
    known = np.zeros(len(keys), bool)
    known[at < len(first)] = (first * n + second)[at[at < len(first)]] == keys[at < len(first)]
    share[known] = value[at[known]]
    distance = distances(descriptors, keys // n, keys % n)
    order = np.lexsort((keys, -share, distance))
    return Audit(
        images=tuple(path for table in tables for path in table.paths), sets=sets, classes=classes,
        readable=readable, exact=exact,
        near=NearPairs(keys[order] // n, keys[order] % n, distance[order], share[order]),
        patches=_concatenated(NearPatches, [some for part in parts for some in part.patches]),
        labels=LabelCandidates.concatenate([part.labels for part in parts if part.labels is not None]),
        other={"distance": pooled.other, "share": other},
        other_value={"distance": pooled.other_distance, "share": other_share}, limits=limits,
        skipped=tuple(one for part in parts for one in part.skipped), sources=tuple(tables),
    )  # fmt: skip


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


def _undirected(
    shares: list[tuple[np.ndarray, np.ndarray, np.ndarray]], contents: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs (first < second) with the greater share of both directions, ordered by pair."""
    n = len(contents)
    query = np.concatenate([np.empty(0, np.int64), *(part[0] for part in shares)])
    image = np.concatenate([np.empty(0, np.int64), *(part[1] for part in shares)])
    value = np.concatenate([np.empty(0), *(part[2] for part in shares)])
    apart = contents[query] != contents[image]
    key = (np.minimum(query, image) * n + np.maximum(query, image))[apart]
    keys, inverse = np.unique(key, return_inverse=True)
    most = np.zeros(len(keys))
    np.maximum.at(most, inverse, value[apart])
    return keys // n, keys % n, most


def _most_shared(
    first: np.ndarray, second: np.ndarray, value: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the greatest share with an image of another class, and that image; 0 and -1 without any."""
    differ = (codes[first] != codes[second]) & (codes[first] >= 0) & (codes[second] >= 0)
    image = np.concatenate([first[differ], second[differ]])
    other = np.concatenate([second[differ], first[differ]])
    both = np.concatenate([value[differ], value[differ]])
    order = np.argsort(both, kind="stable")  # of several assignments to a row, the last, greatest, stays
    share, partner = np.zeros(len(codes)), np.full(len(codes), -1)
    share[image[order]], partner[image[order]] = both[order], other[order]
    return share, partner


def _concatenated(kind: Any, parts: list[Any]) -> Any:
    joined = {
        one.name: np.concatenate([getattr(part, one.name) for part in parts] or [np.empty(0, np.int64)])
        for one in fields(kind)
    }
    return kind(**joined)
