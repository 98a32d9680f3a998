"""Segmentation of images by several memories, with one forward pass per image."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.classifier import warn_of_duplicates
from hueprobe.dense.cell_labels import CellLabels
from hueprobe.dense.memory_baselines import Predict, fit_baseline
from hueprobe.dense.memory_labels import memory_counts, memory_shares, recorded_geometry
from hueprobe.dense.protocols import Protocol, protocol_of, warn_of_other_input
from hueprobe.dense.sampling import sampled_cells
from hueprobe.dense.scores import Scores
from hueprobe.dense.segmentation import Segmentation, SegmentSettings
from hueprobe.dense.transfer import Kernel, parse_kernel, transfer_labels
from hueprobe.errors import ImageError, InputError
from hueprobe.images.mask_files import Masks
from hueprobe.images.mask_pairing import pair_masks
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.memory.store import Memory
from hueprobe.queries import Queries
from hueprobe.query_source import QuerySource
from hueprobe.search.index import recall_of
from hueprobe.search.neighbors import Searcher
from hueprobe.search.several import open_searchers


@dataclass(frozen=True, eq=False)
class OnePass:
    """What `segment_in_one_pass` found.

    Attributes
    ----------
    segmentations : list of Segmentation
        One for each memory.
    baselines : list of dict of str to Scores
        Scores of the baselines of each memory, by name.
    seconds : dict of str to float
        Time by stage, all memories together.
    """

    segmentations: list[Segmentation]
    baselines: list[dict[str, Scores]]
    seconds: dict[str, float]


def segment_in_one_pass(
    memories: Sequence[Memory],
    images: Any,
    *,
    masks: Any,
    kernel: str,
    k: int | None,
    protocol: str,
    searcher: str,
    exclude: str | None,
    memory_rows: Any,
    cells_per_image: int | None,
    sampling: str | None,
    by_group: bool,
    n_resamples: int,
    seed: int,
    backbone: Any,
    transform: Any,
    weights: Any,
    device: str,
    workers: int | None,
    memory_budget: int | None,
    index_dir: Any,
    progress: bool,
    baselines: Sequence[str] = (),
) -> OnePass:
    """Segment images by each of several memories, which one forward pass per image serves.

    The vectors of one batch of images are held at a time.

    Parameters
    ----------
    memories : sequence of Memory
        Memories of the same images and labels at different layers of one network.
    images, masks, kernel, k, protocol, searcher, exclude, memory_rows, cells_per_image, sampling
        See `hueprobe.segment`.
    by_group, n_resamples, seed
        See `hueprobe.segment`.
    backbone, transform, weights, device, workers, memory_budget, index_dir, progress
        See `hueprobe.segment`.
    baselines : sequence of str, default=()
        Baselines to compare with; see `fit_baseline`.

    Raises
    ------
    InputError
        The memories differ in their network, images or labels, or are of the same layer; there are baselines
        but no masks; and as in `hueprobe.segment`.
    ImageError
        No image could be read, or a mask is missing.
    """
    chosen, rules = parse_kernel(kernel), protocol_of(protocol)
    k = chosen.default_k if k is None else as_count("k", k)
    labels, geometry = memories[0].label_set, recorded_geometry(memories[0])
    _require_same_labels(memories)
    if baselines and masks is None:
        raise InputError("baselines are compared with true labels; give the masks of the images")
    warn_of_other_input(rules, geometry)
    source = QuerySource(
        memories[0], others=memories[1:], exclude=exclude, images=memory_rows, backbone=backbone,
        transform=transform, weights=weights, device=device, workers=workers, progress=progress,
    )  # fmt: skip
    if sampling is not None and cells_per_image is None:
        raise InputError(f"sampling is {sampling!r}, but all cells are searched; give cells_per_image")
    table = resolve_images(images)
    paired = None
    if masks is not None:
        paired = pair_masks(table, masks, labels=labels, workers=workers, progress=progress)
    rule, chosen_cells = None, None
    if cells_per_image is not None:
        rule = sampling or rules.sampling
        chosen_cells = [
            sampled_cells(
                memory_counts(memory, rules), source.rows, memory.grid.shape, cells_per_image, rule, seed
            )
            for memory in memories
        ]
    searchers = open_searchers(
        memories, searcher, device=device, images=None if memory_rows is None else source.rows,
        vectors=chosen_cells, memory_budget=memory_budget, index_dir=index_dir, progress=progress,
    )  # fmt: skip
    layers = [
        _Layer(memory, found_by, chosen, k, rules, baselines, seed)
        for memory, found_by in zip(memories, searchers, strict=True)
    ]
    extract, rows, sizes, skipped = _run(source, table, layers)
    groups = tuple(table.groups[i] for i in rows)
    comparing = {"groups": groups if by_group else None, "n_resamples": n_resamples, "seed": seed}
    segmentations, of_baselines = [], []
    for layer in layers:
        cells = CellLabels(layer.joined(layer.shares), sizes, geometry)
        scores, compared = layer.compare(cells, paired, rows, comparing)
        of_baselines.append(compared)
        settings = SegmentSettings(
            kernel=chosen.text, k=k, protocol=rules.name, searcher=layer.searcher.spec.text,
            searcher_recall=float(recall_of(layer.searcher)), exclude=source.exclude,
            n_resamples=n_resamples, seed=seed, by_group=by_group, cells_per_image=cells_per_image,
            sampling=rule,
        )  # fmt: skip
        segmentation = Segmentation(
            images=tuple(table.paths[i] for i in rows),
            groups=groups,
            rows=rows,
            labels=labels,
            shares=cells.shares,
            nearest=layer.joined(layer.nearest),
            memory_images=tuple(layer.memory.images.paths),
            boxes=cells.boxes,
            sizes=sizes,
            scores=scores,
            settings=settings,
            skipped=skipped,
            seconds={"extract": extract, **layer.seconds},
        )
        segmentations.append(segmentation)
    seconds = {"extract": extract}
    for stage in dict.fromkeys(stage for layer in layers for stage in layer.seconds):
        seconds[stage] = sum(layer.seconds.get(stage, 0.0) for layer in layers)
    return OnePass(segmentations, of_baselines, seconds)


def _run(
    source: QuerySource, table: ImageTable, layers: "list[_Layer]"
) -> tuple[float, np.ndarray, np.ndarray, tuple[tuple[str, str], ...]]:
    """Label all images; return the seconds of the forward passes, rows, sizes and unreadable images."""
    extract, rows, sizes = 0.0, [], []
    skipped: list[tuple[str, str]] = []
    duplicates: list[str] = []
    for of_layers in source.of_layers(table):
        first = of_layers[0]
        skipped += first.skipped
        duplicates += first.duplicates
        extract += first.seconds
        if not len(first.row):
            continue
        for layer, queries in zip(layers, of_layers, strict=True):
            layer.add(queries)
        rows.append(first.row)
        assert first.sizes is not None  # they are read from files
        sizes.append(first.sizes)
    warn_of_duplicates(tuple(duplicates), source.exclude)
    if not rows:
        raise ImageError(f"none of {len(table)} images could be read; nothing to segment")
    return extract, np.concatenate(rows), np.concatenate(sizes), tuple(skipped)


@dataclass(eq=False)
class _Layer:
    """Labels that one memory gives to images, batch by batch."""

    memory: Memory
    searcher: Searcher
    kernel: Kernel
    k: int
    rules: Protocol
    baselines: Sequence[str]
    seed: int
    shares: list[np.ndarray] = field(default_factory=list)
    nearest: list[np.ndarray] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: {"search": 0.0, "transfer": 0.0})

    def __post_init__(self) -> None:
        self._shares_of = memory_shares(self.memory, self.rules)
        started = time.perf_counter()
        self._predict: dict[str, Predict] = {
            name: fit_baseline(name, self.memory, self.rules, seed=self.seed) for name in self.baselines
        }
        self._of_baselines: dict[str, list[np.ndarray]] = {name: [] for name in self.baselines}
        if self.baselines:
            self.seconds["baselines"] = time.perf_counter() - started

    def add(self, queries: Queries) -> None:
        """Label the cells of a batch."""
        n, _, channels = queries.vectors.shape
        shape = self.memory.grid.shape
        started = time.perf_counter()
        found = self.searcher.search(
            queries.vectors.reshape(-1, channels), self.k, exclude_images=queries.excluded()
        )
        searched = time.perf_counter()
        moved = transfer_labels(found.ids, found.distances, self._shares_of, self.kernel)
        self.seconds["search"] += searched - started
        self.seconds["transfer"] += time.perf_counter() - searched
        self.shares.append(moved.reshape(n, *shape, -1))
        self.nearest.append(found.ids[:, 0].reshape(n, *shape))
        if self.baselines:
            _require_unseen(queries, self.memory)
            started = time.perf_counter()
            for name, predict in self._predict.items():
                self._of_baselines[name].append(predict(queries.vectors))
            self.seconds["baselines"] += time.perf_counter() - started

    @staticmethod
    def joined(batches: list[np.ndarray]) -> np.ndarray:
        """Return the batches as one array, and forget them."""
        whole = np.concatenate(batches)
        batches.clear()
        return whole

    def compare(
        self, cells: CellLabels, masks: Masks | None, rows: np.ndarray, comparing: dict[str, Any]
    ) -> tuple[Scores | None, dict[str, Scores]]:
        """Return the scores of this layer's labels and of the baselines; None and none without masks."""
        if masks is None:
            return None, {}
        started = time.perf_counter()
        scores = cells.compare(masks, rows, self.rules, **comparing)
        self.seconds["compare"] = time.perf_counter() - started
        compared = {}
        started = time.perf_counter()
        for name, batches in self._of_baselines.items():
            others = CellLabels(self.joined(batches), cells.sizes, cells.transform)
            compared[name] = others.compare(masks, rows, self.rules, **comparing)
        if compared:
            self.seconds["baselines"] += time.perf_counter() - started
        return scores, compared


def _require_unseen(queries: Queries, memory: Memory) -> None:
    """Refuse images that a baseline was fitted to, although they may not match themselves."""
    for row, barred in zip(queries.row, queries.barred, strict=True):
        if len(barred):
            raise InputError(
                f"image {queries.table.paths[row]!r} may not match {memory.images.paths[barred[0]]!r} of the "
                "memory, but baselines are fitted to the whole memory; leave out the baselines, or segment "
                "images that are not in it"
            )


def _require_same_labels(memories: Sequence[Memory]) -> None:
    first = memories[0]
    for other in memories[1:]:
        if other.label_set != first.label_set:
            raise InputError(
                f"{other.path} and {first.path} have different labels: {other.label_set.in_words}; and "
                f"{first.label_set.in_words}; build them with the same masks and names"
            )
