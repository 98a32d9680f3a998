"""Segmentation of images by the labels of the nearest cells of a memory."""

from typing import Any

from hueprobe.dense.intervals import N_RESAMPLES
from hueprobe.dense.one_pass import segment_in_one_pass
from hueprobe.dense.segmentation import Segmentation
from hueprobe.dense.transfer import EQ3
from hueprobe.memory.store import Memory


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
    return segment_in_one_pass(
        [memory], images, masks=masks, kernel=kernel, k=k, protocol=protocol, searcher=searcher,
        exclude=exclude, memory_rows=memory_rows, cells_per_image=cells_per_image, sampling=sampling,
        by_group=by_group, n_resamples=n_resamples, seed=seed, backbone=backbone, transform=transform,
        weights=weights, device=device, workers=workers, memory_budget=memory_budget, index_dir=index_dir,
        progress=progress,
    ).segmentations[0]  # fmt: skip
