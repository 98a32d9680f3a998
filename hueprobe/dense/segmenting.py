"""Segmentation of images by the labels of the nearest cells of a memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.classifier import warn_of_duplicates
from hueprobe.dense.intervals import N_RESAMPLES
from hueprobe.dense.protocols import Protocol, protocol_of, warn_of_other_input
from hueprobe.dense.sampling import sampled_cells
from hueprobe.dense.scores import Scores, score_maps
from hueprobe.dense.segmentation import Segmentation, SegmentSettings
from hueprobe.dense.transfer import EQ3, parse_kernel, shares_of, transfer_labels
from hueprobe.dense.upsampling import NONE, leading_labels, seen_pixels
from hueprobe.errors import ImageError, InputError
from hueprobe.images.mask_files import Masks
from hueprobe.images.mask_pairing import pair_masks
from hueprobe.images.masks import cell_counts, mask_as_seen, require_geometry
from hueprobe.images.resolve import resolve_images
from hueprobe.images.visible import visible_box
from hueprobe.memory.store import Memory
from hueprobe.query_source import QuerySource
from hueprobe.search.index import open_searcher, recall_of

if TYPE_CHECKING:
    from hueprobe.images.transform import Transform


def segment(
    memory: Memory,
    images: Any,
    *,
    masks: Any = None,
    kernel: str = EQ3,
    k: int | None = None,
    protocol: str = "strict",
    searcher: str = "exact",
    exclude: str | None = "image",
    memory_rows: Any = None,
    cells_per_image: int | None = None,
    sampling: str | None = None,
    by_group: bool = True,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    backbone: Any = None,
    transform: Any = None,
    weights: Any = None,
    device: str = "auto",
    workers: int | None = None,
    memory_budget: int | None = None,
    index_dir: Any = None,
    progress: bool = False,
) -> Segmentation:
    """Label the pixels of images by the labels of the nearest cells of a memory with masks.

    Each cell of an image takes the label shares of its K nearest memory cells, weighted by a kernel. The
    shares are interpolated bilinearly to the image's own size; a pixel has the label of its largest share.

    Parameters
    ----------
    memory : Memory
        A memory that was built with masks.
    images : path, ImageTable, torch Dataset or list of files
        Images to segment, in any form that `build_memory` takes.
    masks : path, sequence of path, or Masks, optional
        True labels of the images, to compare with; see `hueprobe.images.pair_masks`. Pixel values are those
        of the memory's labels. By default nothing is compared.
    kernel : str, default="eq3"
        `eq3` is the kernel of Eq. (3); `softmax:0.02` is exp(cosine / 0.02) divided by its sum.
    k : int, optional
        Number of neighbors of each cell. By default 10 with Eq. (3) and 30 with softmax.
    protocol : {"strict", "hummingbird"}, default="strict"
        How predictions are compared with true labels; see `hueprobe.dense.protocol_of`.
    searcher : str, default="exact"
        SPEC of the searcher. A missing index is built.
    exclude : {"image", "group", None}, default="image"
        What a query may not match; see `KernelDensityClassifier`.
    memory_rows : array_like of int or of bool, optional
        Use only these memory rows; exact search only. By default all.
    cells_per_image : int, optional
        Search only so many cells of each memory image, chosen at random; exact search only. By default all.
    sampling : {"uniform", "rare"}, optional
        How these cells are chosen; see `hueprobe.dense.sample_cells`. By default as the protocol does.
    by_group : bool, default=True
        Whether intervals are over groups, where images have one. Otherwise they are over images.
    n_resamples : int, default=1000
        Number of bootstrap draws of the intervals.
    seed : int, default=0
        Seed of these draws, and of the sample of cells.
    backbone, transform, weights, device, workers, memory_budget, index_dir : optional
        See `KernelDensityClassifier`.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    Segmentation

    Raises
    ------
    InputError
        The memory has no labels, its transform is a custom one, or an argument is out of range.
    ImageError
        No image could be read, or a mask is missing.

    Warns
    -----
    HueprobeWarning
        An image is also in the memory, or the memory's transform is not that of the protocol.

    See Also
    --------
    hueprobe.build_memory : Build a memory with `masks=`.
    hueprobe.dense.Segmentation : The result.

    Examples
    --------
    >>> labeled = hp.build_memory(
    ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
    ... )
    >>> found = hp.segment(labeled, "others", backbone=network, transform=transform)
    >>> found.shares.shape
    (6, 7, 7, 2)
    """
    chosen, rules = parse_kernel(kernel), protocol_of(protocol)
    k = chosen.default_k if k is None else as_count("k", k)
    labels, geometry = memory.label_set, recorded_geometry(memory)
    warn_of_other_input(rules, geometry)
    table = resolve_images(images)
    paired = None
    if masks is not None:
        paired = pair_masks(table, masks, labels=labels, workers=workers, progress=progress)
    source = QuerySource(
        memory, exclude=exclude, images=memory_rows, backbone=backbone, transform=transform, weights=weights,
        device=device, workers=workers, progress=progress,
    )  # fmt: skip
    if sampling is not None and cells_per_image is None:
        raise InputError(f"sampling is {sampling!r}, but all cells are searched; give cells_per_image")
    rule = None if cells_per_image is None else sampling or rules.sampling
    chosen_cells = None
    if cells_per_image is not None:
        assert rule is not None
        chosen_cells = sampled_cells(
            memory_counts(memory, rules), source.rows, memory.grid.shape, cells_per_image, rule, seed
        )
    found_by = open_searcher(
        memory, searcher, device=device, images=None if memory_rows is None else source.rows,
        vectors=chosen_cells, memory_budget=memory_budget, index_dir=index_dir, progress=progress,
    )  # fmt: skip
    shares_of_ids = memory_shares(memory, rules)
    seconds = dict.fromkeys(("extract", "search", "transfer"), 0.0)
    shares, nearest, rows, sizes = [], [], [], []
    skipped: list[tuple[str, str]] = []
    duplicates: list[str] = []
    for queries in source.of_images(table):
        skipped += queries.skipped
        duplicates += queries.duplicates
        seconds["extract"] += queries.seconds
        assert queries.sizes is not None  # they are read from files
        n, _, channels = queries.vectors.shape
        if not n:
            continue
        started = time.perf_counter()
        found = found_by.search(queries.vectors.reshape(-1, channels), k, exclude_images=queries.excluded())
        seconds["search"] += time.perf_counter() - started
        started = time.perf_counter()
        moved = transfer_labels(found.ids, found.distances, shares_of_ids, chosen)
        seconds["transfer"] += time.perf_counter() - started
        shares.append(moved.reshape(n, *memory.grid.shape, -1))
        nearest.append(found.ids[:, 0].reshape(n, *memory.grid.shape))
        rows.append(queries.row)
        sizes.append(queries.sizes)
    warn_of_duplicates(tuple(duplicates), source.exclude)
    if not rows:
        raise ImageError(f"none of {len(table)} images could be read; nothing to segment")
    row, size = np.concatenate(rows), np.concatenate(sizes)
    started = time.perf_counter()
    cells = CellLabels(np.concatenate(shares), size, geometry)
    groups = tuple(table.groups[i] for i in row)
    scores = None
    if paired is not None:
        scores = cells.compare(
            paired, row, rules, groups=groups if by_group else None, n_resamples=n_resamples, seed=seed
        )
        seconds["compare"] = time.perf_counter() - started
    return Segmentation(
        images=tuple(table.paths[i] for i in row),
        groups=groups,
        rows=row,
        labels=labels,
        shares=cells.shares,
        nearest=np.concatenate(nearest),
        memory_images=memory.images.paths,
        boxes=cells.boxes,
        sizes=size,
        scores=scores,
        settings=SegmentSettings(
            kernel=chosen.text, k=k, protocol=rules.name, searcher=found_by.spec.text,
            searcher_recall=float(recall_of(found_by)), exclude=source.exclude, n_resamples=n_resamples,
            seed=seed, by_group=by_group, cells_per_image=cells_per_image, sampling=rule,
        ),
        skipped=tuple(skipped),
        seconds=seconds,
    )  # fmt: skip


def recorded_geometry(memory: Memory) -> "Transform":
    """Return the transform of a memory, of which the geometry is known.

    Parameters
    ----------
    memory : Memory
        The memory.

    Raises
    ------
    InputError
        It was built with a custom transform, or of arrays.
    """
    from hueprobe.images.transform import Transform

    recorded = memory.settings.transform
    if not {"resize", "crop"} <= set(recorded):
        raise InputError(
            f"{memory.path} was built with a transform of unknown geometry, so cells have no place in an "
            "image; build it with a hueprobe.images.Transform"
        )
    return require_geometry(Transform.from_json(recorded))


def memory_shares(memory: Memory, protocol: Protocol) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from vector ids to the label shares of these memory cells; see `memory_counts`."""
    counts = memory_counts(memory, protocol)
    return lambda ids: shares_of(counts(ids))


def memory_counts(memory: Memory, protocol: Protocol) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from vector ids to the pixels of each label in these memory cells.

    Parameters
    ----------
    memory : Memory
        A memory with labels.
    protocol : Protocol
        Whether ignored pixels count for label 0.
    """
    counts = memory.label_counts().reshape(memory.n_slots, -1)
    if not protocol.ignored_as_first:
        return counts.__getitem__
    shape = recorded_geometry(memory).shape
    if shape is None:
        raise InputError(
            f"protocol {protocol.name} needs one size of input; build the memory with --crop, or a --resize "
            "of HEIGHTxWIDTH"
        )
    n_pixels = cell_counts(np.zeros(shape[1:], np.int32), memory.grid.shape, 1).reshape(-1)

    def with_ignored(ids: np.ndarray) -> np.ndarray:
        numbers: np.ndarray = counts[ids].astype(np.int64)
        numbers[..., 0] += n_pixels[ids % memory.grid.n_cells] - numbers.sum(axis=-1)
        return numbers

    return with_ignored


@dataclass(frozen=True, eq=False)
class CellLabels:
    """Label shares of the cells of n images, and where these cells are.

    Attributes
    ----------
    shares : ndarray of float32, shape (n, H, W, n_labels)
        Share of each label in each cell.
    sizes : ndarray of int64, shape (n, 2)
        Height and width of each image.
    transform : Transform
        Transform of the images.
    """

    shares: np.ndarray
    sizes: np.ndarray
    transform: "Transform"

    @property
    def boxes(self) -> np.ndarray:
        """Left, top, right and bottom of the part of each image that the network saw, shape (n, 4)."""
        seen = self.transform
        return np.array(
            [
                visible_box((width, height), seen.resize, seen.crop, fit=seen.fit)
                for height, width in self.sizes.tolist()
            ],
            np.float64,
        ).reshape(-1, 4)

    def compare(
        self,
        masks: Masks,
        rows: np.ndarray,
        protocol: Protocol,
        *,
        groups: tuple[str | None, ...] | None = None,
        n_resamples: int = N_RESAMPLES,
        seed: int = 0,
    ) -> Scores:
        """Return the scores of the label maps.

        Parameters
        ----------
        masks : Masks
            True labels.
        rows : ndarray of int64, shape (n,)
            Mask of each image.
        protocol : Protocol
            Rules of the comparison.
        groups, n_resamples, seed
            See `score_maps`.
        """
        boxes = self.boxes

        def maps(i: int) -> tuple[np.ndarray, np.ndarray]:
            height, width = self.sizes[i].tolist()
            true = masks.read(int(rows[i]), (width, height))
            if protocol.at_input_size:
                true = mask_as_seen(true, self.transform)
                height, width = true.shape
                return true, leading_labels(self.shares[i], (height, width))
            left, top, right, bottom = boxes[i].tolist()
            box = left, top, right, bottom
            true = np.where(seen_pixels((height, width), box), true, NONE)
            return true, leading_labels(self.shares[i], (height, width), box)

        return score_maps(
            maps, len(rows), masks.labels.names, protocol=protocol, groups=groups, n_resamples=n_resamples,
            seed=seed,
        )  # fmt: skip
