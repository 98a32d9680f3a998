"""Reading a memory: opening is instant, vectors are memory-mapped."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from hueprobe.arguments import as_rows
from hueprobe.errors import MemoryFormatError
from hueprobe.grid import Grid
from hueprobe.images.table import ImageTable
from hueprobe.memory.contents import (
    map_array,
    read_array,
    read_records,
    read_source,
    read_whole,
    require_sizes,
)
from hueprobe.memory.ledger import Ledger, read_ledger
from hueprobe.memory.settings import FILE_NAME as SETTINGS
from hueprobe.memory.settings import MemorySettings, read_settings
from hueprobe.memory.show import facts_html, index_states
from hueprobe.memory.steps import ShardStep, shard_files, source_file
from hueprobe.memory.vectors import renormalize


@dataclass(frozen=True)
class Shard:
    """Images [start, stop) of a memory: raw vectors (n, H, W, C), a read-only memory map."""

    start: int
    stop: int
    vectors: np.ndarray


class Memory:
    """Unit activation vectors with their image, class and (x, y); open one with `open_memory`.

    Parameters
    ----------
    path : path
        Its folder.

    Attributes
    ----------
    path : Path
        Its folder.
    settings : MemorySettings
        `memory.json`.
    ledger : Ledger
        The steps of its build that are finished.
    grid : Grid
        Rows and columns of cells an image.
    n_channels, n_images : int
        Channels of a vector; images in finished shards, unreadable ones included.
    dtype : str
        Of the stored rows, "float16" or "float32".
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.settings: MemorySettings = read_settings(self.path)
        self.ledger: Ledger = read_ledger(self.path)
        self._files = self.ledger.files
        self.grid = Grid(*self.settings.grid)
        self.n_channels: int = self.settings.channels
        self.dtype: str = self.settings.dtype
        self._shard_steps = self.ledger.shards
        self.n_images: int = self.ledger.n_done
        if not self._shard_steps:
            raise MemoryFormatError(
                f"{self.path} holds no finished shard yet; run its `hueprobe index` again"
            )
        require_sizes(self.path, self._files)
        read_whole(self.path / SETTINGS, self._files[SETTINGS])
        self.shards = tuple(self._open_shard(step) for step in self._shard_steps)

    def __repr__(self) -> str:
        """Return one line: where, how many images, of what."""
        return (
            f"<Memory {self.path}: {self.n_images} images x {self.grid.height}x{self.grid.width} x "
            f"{self.n_channels}, {self.settings.backbone}:{self.settings.layer}"
            f"{'' if self.complete else ', not complete'}>"
        )

    def _repr_html_(self) -> str:
        settings, n_unreadable = self.settings, int((~self.readable).sum())
        listed = self.ledger.n_listed
        return facts_html(
            {
                "path": str(self.path),
                "backbone": settings.backbone,
                "layer": settings.layer,
                "grid": f"{self.grid.height} x {self.grid.width} cells",
                "channels": f"{self.n_channels:,}",
                "descriptor": settings.descriptor,
                "dtype": settings.dtype,
                "images": f"{self.n_images:,}" + (f" ({n_unreadable:,} unreadable)" if n_unreadable else ""),
                "classes": f"{len(self.classes):,}",
                "complete": "yes" if self.complete else f"no: {self.n_images:,} of {listed:,} images are in",
                "indexes": ", ".join(index_states(self.path, self.ledger.tip)) or "none",
            }
        )

    def _open_shard(self, step: ShardStep) -> Shard:
        path = self.path / shard_files(step.number)[0]
        shape = (step.stop - step.start, *self.grid.shape, self.n_channels)
        return Shard(step.start, step.stop, map_array(path, shape, self.dtype))

    @property
    def complete(self) -> bool:
        """Whether all images on the list are in."""
        return self.ledger.complete

    @property
    def n_slots(self) -> int:
        """Vector ids run from 0 to n_slots - 1: n_images * H * W, zero vectors included."""
        return self.n_images * self.grid.n_cells

    @property
    def nonnegative(self) -> bool:
        """Whether every stored value is >= 0 (true after a ReLU)."""
        return all(step.nonnegative for step in self._shard_steps)

    @cached_property
    def images(self) -> ImageTable:
        """The images, one a memory row; an append's lists follow the first."""
        steps = self.ledger.lists
        names = [source_file(part) for part in range(len(steps))]
        table = ImageTable.concatenate(
            [
                read_source(self.path / name, self._files[name], step.stop - step.start)
                for name, step in zip(names, steps, strict=True)
            ]
        )
        return replace(table.select(range(self.n_images)), value_range=self.settings.range_of_values())

    @cached_property
    def records(self) -> pa.Table:
        """What was learnt while reading: image, sha256, width, height, readable, reason."""
        names = [shard_files(step.number)[2] for step in self._shard_steps]
        return pa.concat_tables(
            [
                read_records(self.path / name, self._files[name], step.start, step.stop)
                for name, step in zip(names, self._shard_steps, strict=True)
            ]
        )

    @cached_property
    def readable(self) -> np.ndarray:
        """Whether each image could be read, shape (n_images,) bool."""
        readable: np.ndarray = self.records["readable"].to_numpy()
        return readable

    @cached_property
    def sha256(self) -> tuple[str, ...]:
        """Hash of each image's file; empty where it could not be read at all."""
        return tuple(value or "" for value in self.records["sha256"].to_pylist())

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names by id: of readable images, sorted, those of each append behind the earlier."""
        names: list[str] = []
        for part in self.ledger.lists:
            rows = range(part.start, min(part.stop, self.n_images))
            new = {self.images.classes[i] for i in rows if self.readable[i]} - {None, *names}
            names += sorted(name for name in new if name is not None)
        return tuple(names)

    @cached_property
    def image_class(self) -> np.ndarray:
        """Class id of each image, shape (n_images,) int64; -1 without a class or unreadable."""
        ids = {name: i for i, name in enumerate(self.classes)}
        return np.array(
            [
                ids[name] if name is not None and readable else -1
                for name, readable in zip(self.images.classes, self.readable, strict=True)
            ],
            np.int64,
        )

    @cached_property
    def _energy(self) -> np.ndarray:
        parts = []
        for step in self._shard_steps:
            name = shard_files(step.number)[1]
            shape = (step.stop - step.start, *self.grid.shape)
            parts.append(read_array(self.path / name, self._files[name], shape, "float32"))
        energy = np.concatenate(parts)
        energy.setflags(write=False)
        return energy

    def energy(self) -> np.ndarray:
        """Return ||I||^2 of every pixel, shape (n_images, H, W) float32; 0 for a zero vector."""
        return self._energy

    def valid(self) -> np.ndarray:
        """Return whether each slot holds a nonzero vector, shape (n_slots,) bool."""
        return self._energy.reshape(-1) > 0

    @cached_property
    def valid_per_image(self) -> np.ndarray:
        """Number of nonzero vectors of each image, shape (n_images,) int64."""
        counts: np.ndarray = self.valid().reshape(self.n_images, -1).sum(axis=1)
        return counts

    def class_counts(self, images: np.ndarray | None = None) -> np.ndarray:
        """Return the number of nonzero vectors of each class, n_C of Eq. (2), shape (n_classes,) int64.

        Parameters
        ----------
        images : array_like of int or of bool, optional
            Count these memory rows alone.
        """
        rows = np.arange(self.n_images) if images is None else as_rows("images", images, self.n_images)
        rows = rows[self.image_class[rows] >= 0]
        counts = np.zeros(len(self.classes), np.int64)
        np.add.at(counts, self.image_class[rows], self.valid_per_image[rows])
        return counts

    def raw(self, ids: np.ndarray) -> np.ndarray:
        """Return stored rows by vector id (or by a mask of all), shape (n, C), in the memory's dtype."""
        ids = as_rows("vector ids", ids, self.n_slots)
        rows = np.empty((len(ids), self.n_channels), self.dtype)
        image = ids // self.grid.n_cells
        for shard in self.shards:
            here = (image >= shard.start) & (image < shard.stop)
            if here.any():
                flat = shard.vectors.reshape(-1, self.n_channels)
                rows[here] = flat[ids[here] - shard.start * self.grid.n_cells]
        return rows

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """Return stored vectors by id (or by a mask), shape (n, C) float32, of unit length (or zero)."""
        return renormalize(self.raw(ids))

    def image_vectors(self, images: np.ndarray) -> np.ndarray:
        """Return all vectors of some images, rows or a mask: (n, H*W, C) float32 of unit length (or zero)."""
        images = as_rows("images", images, self.n_images)
        ids = images[:, None] * self.grid.n_cells + np.arange(self.grid.n_cells)
        return self.vectors(ids.reshape(-1)).reshape(*ids.shape, self.n_channels)

    def raw_blocks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first vector id, stored rows (n <= size, C)) over the whole memory, in order."""
        for shard in self.shards:
            flat = shard.vectors.reshape(-1, self.n_channels)
            offset = shard.start * self.grid.n_cells
            for start in range(0, len(flat), size):
                yield offset + start, flat[start : start + size]

    def blocks(self, size: int = 16_384) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first vector id, vectors (n <= size, C) float32 of unit length), in order."""
        for first, rows in self.raw_blocks(size):
            yield first, renormalize(rows)


def open_memory(path: str | Path) -> Memory:
    """Open a memory for reading; images of a build that still runs are seen up to its last shard.

    Parameters
    ----------
    path : path
        Its folder.

    Returns
    -------
    Memory

    Raises
    ------
    MemoryFormatError
        Not a memory, or one of a newer format.
    MemoryDamagedError
        Its files are not what the ledger says; the file is named.
    """
    return Memory(path)
