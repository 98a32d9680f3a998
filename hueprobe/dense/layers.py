"""Segmentation of images by the memories of several layers, with one forward pass per image."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hueprobe.dense.intervals import N_RESAMPLES
from hueprobe.dense.layer_comparison import compare_layers
from hueprobe.dense.layer_scores import NEAREST, LayerScores, best_layer
from hueprobe.dense.one_pass import segment_in_one_pass
from hueprobe.dense.segmentation import Segmentation
from hueprobe.dense.transfer import EQ3
from hueprobe.errors import InputError
from hueprobe.memory.store import Memory

BEST, LAST = "best", "last"


@dataclass(frozen=True, eq=False, repr=False)
class LayerSegmentations:
    """Result of `segment_layers`.

    Attributes
    ----------
    layers : tuple of str
        Name of each layer, in the order of the memories.
    segmentations : tuple of Segmentation
        The segmentation by each layer. The seconds of extraction are those of the pass they share.
    scores : LayerScores or None
        Comparison of the layers; None without masks.
    seconds : dict of str to float
        Time by stage, all layers together.

    See Also
    --------
    hueprobe.dense.segment_layers : Make one.

    Examples
    --------
    >>> both = hp.build_memories(
    ...     "m", "images", masks="masks", backbone=network, layers=["1", "3"], transform=transform
    ... )
    >>> found = hp.dense.segment_layers(both, "others", backbone=network, transform=transform)
    >>> found
    <LayerSegmentations of 6 images by the layers 1, 3>
    >>> found["3"].shares.shape
    (6, 7, 7, 2)
    """

    layers: tuple[str, ...]
    segmentations: tuple[Segmentation, ...]
    scores: LayerScores | None
    seconds: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.layers)

    def __getitem__(self, layer: str) -> Segmentation:
        """Return the segmentation by a layer; raise InputError if there is none."""
        if layer not in self.layers:
            raise InputError(f"there is no layer {layer!r}; the layers are {', '.join(self.layers)}")
        return self.segmentations[self.layers.index(layer)]

    def __repr__(self) -> str:
        """Return one line with the layers."""
        return (
            f"<LayerSegmentations of {len(self.segmentations[0])} images by the layers "
            f"{', '.join(self.layers)}>"
        )

    def _repr_html_(self) -> str:
        return self.segmentations[0]._repr_html_() if self.scores is None else self.scores._repr_html_()


def segment_layers(
    memories: Sequence[Memory],
    images: Any,
    *,
    masks: Any = None,
    baselines: Sequence[str] = (),
    reference: str = LAST,
    kernel: str = EQ3,
    k: int | None = None,
    protocol: str = "strict",
    searcher: str = "exact",
    exclude: str | None = "image",
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
) -> LayerSegmentations:
    """Segment images by the memories of several layers, and compare the layers.

    Each image goes through the network once. With masks, each layer's scores are subtracted from those of a
    reference layer; the intervals of these differences are of a bootstrap that draws the same images, or
    groups, for both.

    The vectors of one batch of images are in RAM at a time. The label shares of all images are kept: 4 bytes
    for each cell and label, once for each layer and once more for each of its baselines.

    Parameters
    ----------
    memories : sequence of Memory
        Memories of the same images and masks at different layers of one network, as `build_memories` makes.
    images : path, ImageTable, torch Dataset or list of files
        Images to segment, in any form that `build_memory` takes.
    masks : path, sequence of path, or Masks, optional
        True labels of the images; see `hueprobe.segment`. By default nothing is compared.
    baselines : sequence of {"position", "logistic", "pooled"}, default=()
        What label transfer is compared with at each layer; see `fit_baseline`. They know all images of the
        memory, so the images to segment must not be among them.
    reference : str, default="last"
        Layer that differences are to: its name, `last` for that of the last memory, or `best` for the one
        with the largest mean IoU. A best layer is chosen by the same images, so that differences to it are
        biased away from 0.
    kernel : str, default="eq3"
        Weights of neighbors, `eq3` or `softmax:T`; see `hueprobe.segment`.
    k : int, optional
        Number of neighbors of each cell. By default 10 with Eq. (3) and 30 with softmax.
    protocol : {"strict", "hummingbird"}, default="strict"
        How predictions are compared with true labels; see `hueprobe.dense.protocol_of`.
    searcher : str, default="exact"
        SPEC of the searchers. Missing indexes are built.
    exclude : {"image", "group", None}, default="image"
        What a query may not match; see `KernelDensityClassifier`.
    cells_per_image : int, optional
        Search only so many cells of each memory image, chosen at random at each layer; exact search only. By
        default all.
    sampling : {"uniform", "rare"}, optional
        How these cells are chosen; see `hueprobe.dense.sample_cells`. By default as the protocol does.
    by_group : bool, default=True
        Whether intervals are over groups, where images have one. Otherwise they are over images.
    n_resamples : int, default=1000
        Number of bootstrap draws of the intervals.
    seed : int, default=0
        Seed of these draws, of the sample of cells, and of the cells that a baseline is fitted to.
    backbone, transform, weights : optional
        See `KernelDensityClassifier`.
    device : str, default="auto"
        Device of the network and of exact search.
    workers : int, optional
        Number of threads that decode images and masks. By default one per core, at most 16.
    memory_budget : int, optional
        Bytes of vectors in RAM, of all memories together; see `hueprobe.open_searcher`.
    index_dir : path, optional
        Folder of search indexes. By default they are in the memories.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    LayerSegmentations

    Raises
    ------
    InputError
        The memories differ in their network, transform, images or labels, or two are of the same layer; there
        is no reference layer of that name; baselines are given without masks, or an image is in the memory
        that they are fitted to; or as in `hueprobe.segment`.
    ImageError
        No image could be read, or a mask is missing.

    Warns
    -----
    HueprobeWarning
        See `hueprobe.segment`.

    See Also
    --------
    hueprobe.build_memories : Build the memories with one pass.
    hueprobe.plots.layer_figure : Draw the comparison.

    Examples
    --------
    >>> both = hp.build_memories(
    ...     "m", "images", masks="masks", backbone=network, layers=["1", "3"], transform=transform
    ... )
    >>> options = {"masks": "other_masks", "backbone": network, "transform": transform}
    >>> found = hp.dense.segment_layers(both, "others", baselines=["position"], **options)
    >>> [(row.layer, row.method) for row in found.scores.rows]
    [('1', 'nearest'), ('1', 'position'), ('3', 'nearest'), ('3', 'position')]
    """
    if not memories:
        raise InputError("there are no memories; give at least one")
    layers = tuple(memory.settings.layer for memory in memories)
    if reference not in (*layers, BEST, LAST):
        raise InputError(
            f"reference is {reference!r}; give the layer of a memory ({', '.join(layers)}), {BEST} or {LAST}"
        )
    found = segment_in_one_pass(
        memories, images, masks=masks, kernel=kernel, k=k, protocol=protocol, searcher=searcher,
        exclude=exclude, memory_rows=None, cells_per_image=cells_per_image, sampling=sampling,
        by_group=by_group, n_resamples=n_resamples, seed=seed, backbone=backbone, transform=transform,
        weights=weights, device=device, workers=workers, memory_budget=memory_budget, index_dir=index_dir,
        progress=progress, baselines=baselines,
    )  # fmt: skip
    scores = None
    if masks is not None:
        scores = _compared(memories, found.segmentations, found.baselines, reference)
    return LayerSegmentations(layers, tuple(found.segmentations), scores, found.seconds)


def _compared(
    memories: Sequence[Memory], segmentations: Sequence[Segmentation], baselines: Any, reference: str
) -> LayerScores:
    rows = []
    for memory, segmentation, compared in zip(memories, segmentations, baselines, strict=True):
        for method, scores in {NEAREST: segmentation.scores, **compared}.items():
            rows.append((memory.settings.layer, method, memory.grid.shape, memory.n_channels, scores))
    layers = [memory.settings.layer for memory in memories]
    if reference not in layers:
        transferred = [(layer, scores) for layer, method, _, _, scores in rows if method == NEAREST]
        reference = best_layer(transferred) if reference == BEST else layers[-1]
    first = segmentations[layers.index(reference)]
    return compare_layers(rows, reference, groups=first.groups, settings=first.settings)
