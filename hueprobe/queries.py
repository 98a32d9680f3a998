"""Query images: their vectors as the memory would store them, and their metadata in match tables."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.activations.descriptors import describe, require_finite, unit_vectors
from hueprobe.allocation import freed_memory_kept
from hueprobe.errors import ShapeError
from hueprobe.images.name_columns import name_column
from hueprobe.images.table import ImageTable
from hueprobe.match_images import MatchImages
from hueprobe.memory.arrays import stored_activations
from hueprobe.memory.recorded import load_recorded_backbones, recorded_device
from hueprobe.memory.store import Memory
from hueprobe.memory.vectors import as_stored

if TYPE_CHECKING:
    from hueprobe.activations.backbones import Backbone
    from hueprobe.activations.extractor import Extractor
    from hueprobe.images.loading import Batch


@dataclass(frozen=True)
class Queries:
    """A batch of images ready to be classified.

    Attributes
    ----------
    row : ndarray of int64, shape (n,)
        Position of each image in the list of all query images.
    vectors : ndarray of float32, shape (n, n_cells, n_channels)
        Vectors as the memory would store them; a zero vector casts no vote.
    energy : ndarray of float32, shape (n, H, W)
        Squared norm of each activation before normalization.
    barred : list of ndarray of int64
        Memory images that each image may not match.
    images : MatchImages
        Metadata of all query images, not only of this batch.
    true_class : tuple of (str or None)
        Class name given with each image.
    table : ImageTable
        All query images.
    skipped : tuple of (str, str)
        Path and reason of each unreadable image; these are not in the batch.
    duplicates : tuple of str
        Paths of the images whose file content is also in the memory.
    sizes : ndarray of int64, shape (n, 2), optional
        Height and width of each upright image in pixels; None if the images are not read from files.
    seconds : float
        Time spent to get the vectors.
    sha256 : tuple of (str or None)
        Hash of each image's file content; None where it is not known.
    """

    row: np.ndarray
    vectors: np.ndarray
    energy: np.ndarray
    barred: list[np.ndarray]
    images: MatchImages
    true_class: tuple[str | None, ...]
    table: ImageTable
    skipped: tuple[tuple[str, str], ...] = ()
    duplicates: tuple[str, ...] = ()
    sizes: np.ndarray | None = None
    seconds: float = 0.0
    sha256: tuple[str | None, ...] = ()

    def excluded(self) -> np.ndarray:
        """Return the memory images that each vector may not match, padded with -1.

        Returns
        -------
        ndarray of int64, shape (n * n_cells, m)
            As `hueprobe.search.Searcher.search` takes it.
        """
        images = np.full((len(self.barred), max(map(len, self.barred), default=0)), -1, np.int64)
        for i, rows in enumerate(self.barred):
            images[i, : len(rows)] = rows
        return np.repeat(images, self.vectors.shape[1], axis=0)


@dataclass(frozen=True, eq=False, kw_only=True)
class QueryExtractor:
    """Extracts query images in the way that the images of one or several memories were extracted.

    Attributes
    ----------
    memories : tuple of Memory
        The memory, or those of several layers of one network, which share the forward pass; see
        `require_one_network`.
    backbone, transform, weights, device, workers
        See `KernelDensityClassifier`.
    """

    memories: tuple[Memory, ...]
    backbone: Any = None
    transform: Any = None
    weights: Any = None
    device: str = "auto"
    workers: int | None = None

    def batches(
        self, table: ImageTable, *, start: int = 0
    ) -> Iterator[tuple["Batch", np.ndarray, list[tuple[np.ndarray, np.ndarray]]]]:
        """Yield each batch with the positions of its readable images, and their vectors and energy.

        Parameters
        ----------
        table : ImageTable
            The query images.
        start : int, default=0
            Row of the first image.

        Yields
        ------
        batch : Batch
            The batch.
        readable : ndarray of int64, shape (n,)
            Positions of the readable images in it.
        stored : list of (ndarray, ndarray)
            For each memory, the results of `stored_vectors` for these images.
        """
        from hueprobe.images.loading import load_batches

        # A live module belongs to the caller, who may have changed it since: it is checked every time.
        extractor, taps = self._of_record if self.backbone is None else self._loaded()
        batches = load_batches(
            table, extractor.backbone.transform, batch_size=self.memories[0].settings.batch_size,
            workers=self.workers, start=start, **extractor.loading,
        )  # fmt: skip
        with freed_memory_kept(extractor.device_kind == "cpu"), contextlib.closing(batches):
            for batch in batches:
                readable = np.flatnonzero([record.readable for record in batch.records])
                names = [table.paths[batch.start + i] for i in readable.tolist()]
                stored = []
                for memory, grid in zip(self.memories, extractor.at(taps, batch.images), strict=True):
                    activations = grid[readable]
                    require_finite(activations, names, memory.settings.layer)
                    stored.append(stored_vectors(memory, activations))
                yield batch, readable, stored

    @cached_property
    def _of_record(self) -> "tuple[Extractor, list[Backbone]]":
        return self._loaded()

    def _loaded(self) -> "tuple[Extractor, list[Backbone]]":
        from hueprobe.activations.extractor import Extractor

        settings = [memory.settings for memory in self.memories]
        taps = load_recorded_backbones(
            settings, backbone=self.backbone, transform=self.transform, weights=self.weights
        )
        device = recorded_device(settings[0]) if self.device == "auto" else self.device
        return Extractor(taps[0], device=device, precision=settings[0].precision), taps


def stored_vectors(memory: Memory, activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of activations as a memory would store them, and their energy.

    Parameters
    ----------
    memory : Memory
        The memory.
    activations : ndarray of shape (n, C, H, W)
        Activations, not normalized.

    Returns
    -------
    vectors : ndarray of float32, shape (n, n_cells, n_channels)
        Unit vectors; zero where the energy is 0.
    energy : ndarray of float32, shape (n, H, W)
        Squared norm of each activation.

    Raises
    ------
    ShapeError
        The channels or the grid differ from those of the memory.
    """
    vectors, energy = unit_vectors(describe(activations, memory.settings.descriptor))
    n, height, width, channels = vectors.shape
    if (height, width, channels) != (*memory.grid.shape, memory.n_channels):
        raise _other_shape(memory, height, width, channels)
    return as_stored(vectors.reshape(n, height * width, channels), memory.dtype), energy


def queries_of_stored(memory: Memory, stored: Memory, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return images of one memory as another memory would store them: their vectors, and their energy.

    Parameters
    ----------
    memory : Memory
        The memory.
    stored : Memory
        Memory of the images, from the same layer of the same network: of the same descriptor, or `pixel`, of
        which the memory's descriptor is then computed as `derive_memory` does.
    rows : ndarray of int64, shape (n,)
        Rows of the images in `stored`.

    Returns
    -------
    vectors, energy : ndarray
        As from `stored_vectors`.

    Raises
    ------
    ShapeError
        The channels or the grid differ from those of the memory.
    """
    if memory.settings.descriptor != stored.settings.descriptor:
        return stored_vectors(memory, stored_activations(stored, rows))
    if (stored.grid, stored.n_channels) != (memory.grid, memory.n_channels):
        raise _other_shape(memory, *stored.grid.shape, stored.n_channels)
    vectors = stored.image_vectors(rows)  # rounding them twice would change them
    return vectors if stored.dtype == memory.dtype else as_stored(vectors, memory.dtype), stored.energy()[
        rows
    ]


def _other_shape(memory: Memory, height: int, width: int, channels: int) -> ShapeError:
    return ShapeError(
        f"activations give {height}x{width} cells of {channels} channels, memory {memory.path} has "
        f"{memory.grid.height}x{memory.grid.width} of {memory.n_channels}; extract both from the same layer "
        "and from images of the same size"
    )


def require_shape(memory: Memory, activations: np.ndarray) -> None:
    """Raise ShapeError if activations (n, C, H, W) have other channels or another grid than a memory."""
    channels, height, width = activations.shape[1:]
    if (height, width, channels) != (*memory.grid.shape, memory.n_channels):
        raise _other_shape(memory, height, width, channels)


def match_images(memory: Memory, table: ImageTable) -> MatchImages:
    """Return the metadata that a match table holds of the images on both sides.

    Parameters
    ----------
    memory : Memory
        The memory.
    table : ImageTable
        The query images.
    """
    given = name_column(table.classes)
    classes = (*memory.classes, *sorted(set(given.occurring()) - set(memory.classes)))
    return MatchImages(
        grid=memory.grid,
        query_grid=memory.grid,
        classes=classes,
        query_paths=table.paths,
        query_image_class=given.positions_in(classes),
        query_image_group=table.groups,
        image_paths=memory.images.paths,
        image_class=memory.image_class,
        image_group=memory.images.groups,
    )
