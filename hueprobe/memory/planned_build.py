"""A build before anything is written: the images, their masks, the network, and each memory's settings."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.images.label_names import LabelSet
from hueprobe.images.mask_files import Masks
from hueprobe.images.mask_pairing import pair_masks
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.images.value_range import ValueRange
from hueprobe.memory.extraction import Extraction, extracted_batches, plan_extractions
from hueprobe.memory.filling import Batches
from hueprobe.memory.recorded import maker_of
from hueprobe.memory.settings import MemorySettings
from hueprobe.memory.transforms import describe_transform, transform_words
from hueprobe.memory.unchanged import Hashes, image_hashes

if TYPE_CHECKING:
    from torch import nn

    from hueprobe.activations.backbones import Backbone


class BuildOptions(TypedDict, total=False):
    """Keyword arguments that every build takes; see `hueprobe.build_memory`."""

    weights: str | Path
    transform: Any
    descriptor: str
    dtype: str
    precision: str | None
    batch_size: int | None
    shard_images: int | None
    device: str
    workers: int | None
    value_range: Any
    masks: Any
    seed: int


@dataclass(frozen=True)
class PlannedBuild:
    """What a build needs, for one memory or for several layers.

    Attributes
    ----------
    paths : tuple of Path
        Folder of each memory, whose settings, if it exists, were the defaults.
    table : ImageTable
        The images.
    masks : Masks or None
        Masks of the images.
    extractions : tuple of Extraction
        Network, layer and settings of each memory.
    workers : int or None
        Number of threads that decode images.
    """

    paths: tuple[Path, ...]
    table: ImageTable
    masks: Masks | None
    extractions: tuple[Extraction, ...]
    workers: int | None

    @property
    def settings(self) -> tuple[MemorySettings, ...]:
        """Settings of each memory."""
        return tuple(extraction.settings for extraction in self.extractions)

    def batches(self) -> Batches:
        """Return the function that extracts rows of the table."""
        return extracted_batches(self.extractions, self.table, self.workers, self.masks)

    def hashes(self) -> Hashes:
        """Return the function that hashes images of the table."""
        return image_hashes(self.table, self.workers)


def plan_build(
    place: Callable[[str | None], Path],
    images: Any,
    *,
    backbone: "str | nn.Module | Backbone | Sequence[Backbone]",
    layers: Sequence[str | None],
    weights: str | Path = "default",
    transform: Any = None,
    descriptor: str = "pixel",
    dtype: str = "float16",
    precision: str | None = None,
    batch_size: int | None = None,
    shard_images: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    value_range: Any = None,
    masks: Any = None,
    seed: int = 0,
    resume: bool = True,
    progress: bool = False,
) -> PlannedBuild:
    """Load images, masks and network, and make the settings of each memory.

    Parameters
    ----------
    place : callable
        Returns the folder of a layer's memory, new or existing; called with a name of `layers`, or with that
        of a loaded backbone.
    images, backbone, weights, transform, descriptor, dtype, precision, batch_size
        See `hueprobe.build_memory`.
    shard_images, device, workers, value_range, masks, seed, progress
        See `hueprobe.build_memory`.
    layers : sequence of (str or None)
        Dotted names of modules, None for the bottleneck; empty for loaded backbones, which have their own.
    resume : bool, default=True
        Whether existing memories are resumed, and give defaults.

    Raises
    ------
    InputError, LayerError, ImageError, ShapeError
        See `hueprobe.build_memory`.
    """
    from hueprobe.activations.backbones import Backbone, load_backbones

    table = resolve_images(images)
    table = table if value_range is None else replace(table, value_range=ValueRange.of(value_range))
    paired = paired_masks(table, masks, workers, progress)
    if isinstance(backbone, Backbone):
        backbone = [backbone]
    if isinstance(backbone, Sequence) and not isinstance(backbone, str):
        if layers or not backbone:
            raise InputError("loaded backbones have their own layers; give at least one backbone, no layers=")
        loaded = list(backbone)
    else:
        made_by = maker_of(place(layers[0])) if resume and layers else None
        loaded = load_backbones(
            backbone, layers=layers, weights=weights, transform=transform, seed=seed, made_by=made_by
        )
        _warn_of_assumed_transform(loaded[0])
    paths = tuple(place(tapped.layer) for tapped in loaded)
    extractions = plan_extractions(
        paths, loaded, table, descriptor=descriptor, dtype=dtype, precision=precision, batch_size=batch_size,
        shard_images=shard_images, device=device, seed=seed, labels=None if paired is None else paired.labels,
        resume=resume,
    )  # fmt: skip
    extractions[0].seen.warn()
    return PlannedBuild(paths, table, paired, tuple(extractions), workers)


def paired_masks(
    table: ImageTable, masks: Any, workers: int | None, progress: bool, labels: LabelSet | None = None
) -> Masks | None:
    """Return the masks of a table, or None if none are given."""
    if masks is None:
        return None
    return pair_masks(table, masks, labels=labels, workers=workers, progress=progress)


def _warn_of_assumed_transform(loaded: "Backbone") -> None:
    if loaded.transform_assumed:
        words = transform_words(describe_transform(loaded.transform))
        warnings.warn(
            f"transform for {loaded.weights}: {words}; taken from {loaded.transform_of}; give another with "
            "transform=",
            HueprobeWarning,
            stacklevel=4,
        )
