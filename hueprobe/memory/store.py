"""Reading a memory: opening takes no time, as vectors are memory-mapped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from msgspec import UNSET

from hueprobe.arguments import as_rows
from hueprobe.errors import InputError, MemoryDamagedError, MemoryFormatError
from hueprobe.grid import Grid
from hueprobe.images.columns import text_column
from hueprobe.images.label_names import LabelSet
from hueprobe.images.name_columns import name_column
from hueprobe.images.table import ImageTable
from hueprobe.memory.contents import (
    map_array,
    read_array,
    read_mask_list,
    read_records,
    read_source,
    read_whole,
    require_sizes,
)
from hueprobe.memory.ledger import Ledger, read_ledger
from hueprobe.memory.settings import FILE_NAME as SETTINGS
from hueprobe.memory.settings import MemorySettings, read_settings
from hueprobe.memory.show import facts_html, index_states, saved_text
from hueprobe.memory.sparse_rows import SparseRows
from hueprobe.memory.steps import (
    ShardStep,
    energy_file,
    images_file,
    label_file,
    mask_list_file,
    source_file,
    vectors_are_sparse,
    vectors_file,
)
from hueprobe.memory.vectors import SPARSE16, renormalize, value_type


@dataclass(frozen=True)
class Shard:
    """Images [start, stop) of a memory: stored rows (n, H, W, C), read from disk when they are indexed.

    Attributes
    ----------
    start, stop : int
        Memory rows of the images.
    vectors : ndarray or SparseRows
        A read-only memory map; or the rows of a `sparse16` file, which `numpy.asarray` reads whole.
    """

    start: int
    stop: int
    vectors: np.ndarray | SparseRows

    def rows(self, which: slice | np.ndarray) -> np.ndarray:
        """Return stored rows (n, C) of the shard, counted by cell."""
        if isinstance(self.vectors, SparseRows):
            return self.vectors[which]
        chosen: np.ndarray = self.vectors.reshape(-1, self.vectors.shape[-1])[which]
        return chosen


class Memory:
    """Unit activation vectors with their image, class and cell (y, x); opened by `open_memory`.

    Parameters
    ----------
    path : path
        Folder of the memory.

    Attributes
    ----------
    path : Path
        Folder of the memory.
    settings : MemorySettings
        Contents of `memory.json`.
    ledger : Ledger
        Finished steps of the build.
    grid : Grid
        Rows and columns of cells per image.
    n_channels, n_images : int
        Channels of a vector; images in finished shards, unreadable ones included.
    dtype : {"float16", "float32"}
        Data type of the stored rows as they are read; float16 also for `sparse16` (`settings.dtype`).

    See Also
    --------
    hueprobe.build_memory : Build a memory of images.
    hueprobe.open_memory : Open a memory.
    hueprobe.open_searcher : Search a memory.

    Examples
    --------
    >>> memory = hp.open_memory("memory")
    >>> memory.n_images, memory.grid.shape, memory.n_channels, memory.dtype
    (12, (7, 7), 16, 'float16')
    >>> memory.classes
    ('circle', 'square', 'triangle')
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.settings: MemorySettings = read_settings(self.path)
        self.ledger: Ledger = read_ledger(self.path)
        self._files = self.ledger.files
        self.grid = Grid(*self.settings.grid)
        self.n_channels: int = self.settings.channels
        self.dtype: str = value_type(self.settings.dtype)
        self._shard_steps = self.ledger.shards
        self.n_images: int = self.ledger.n_done
        if not self._shard_steps:
            raise MemoryFormatError(
                f"{self.path} holds no finished shard yet; run its `hueprobe index` again"
            )
        require_sizes(self.path, self._files)
        read_whole(self.path / SETTINGS, self._files[SETTINGS])
        if self.has_labels != (mask_list_file(0) in self._files):
            raise MemoryDamagedError(
                f"{self.path / SETTINGS} and the ledger disagree on whether there are masks; restore them or "
                "rebuild the memory"
            )
        if vectors_are_sparse(self._shard_steps[0]) != (self.settings.dtype == SPARSE16):
            raise MemoryDamagedError(
                f"{self.path / SETTINGS} and the ledger disagree on the dtype; restore them or rebuild the "
                "memory"
            )
        self.shards = tuple(self._open_shard(step) for step in self._shard_steps)
        self._stops = np.array([shard.stop for shard in self.shards])

    def __repr__(self) -> str:
        """Return one line: path, number of images, grid, channels, network and layer."""
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
                "dtype": settings.dtype + ("" if self.saved is None else f" ({saved_text(self.saved)})"),
                "images": f"{self.n_images:,}" + (f" ({n_unreadable:,} unreadable)" if n_unreadable else ""),
                "classes": f"{len(self.classes):,}",
                **({"labels": f"{len(self.label_names):,}"} if self.has_labels else {}),
                "complete": "yes" if self.complete else f"no: {self.n_images:,} of {listed:,} images are in",
                "indexes": ", ".join(index_states(self.path, self.ledger.tip)) or "none",
            }
        )

    def _open_shard(self, step: ShardStep) -> Shard:
        path = self.path / vectors_file(step.number, self.settings.dtype)
        shape = (step.stop - step.start, *self.grid.shape, self.n_channels)
        is_sparse = self.settings.dtype == SPARSE16
        vectors = SparseRows(path, shape) if is_sparse else map_array(path, shape, self.dtype)
        return Shard(step.start, step.stop, vectors)

    @property
    def complete(self) -> bool:
        """Whether all listed images are stored."""
        return self.ledger.complete

    @property
    def n_slots(self) -> int:
        """Number of vector ids, n_images * H * W: ids are 0 to n_slots - 1, zero vectors included."""
        return self.n_images * self.grid.n_cells

    @property
    def nonnegative(self) -> bool:
        """Whether every stored value is >= 0 (true after a ReLU)."""
        return all(step.nonnegative for step in self._shard_steps)

    @property
    def saved(self) -> float | None:
        """Share of the vectors' disk space that `sparse16` saves against float16; None for other dtypes.

        It is negative if the vectors have almost no zeros.
        """
        if self.settings.dtype != SPARSE16:
            return None
        dense = self.n_slots * self.n_channels * np.dtype(self.dtype).itemsize
        return 1 - sum(shard.vectors.nbytes for shard in self.shards) / dense

    @cached_property
    def images(self) -> ImageTable:
        """The images, one per memory row; appended images follow the first ones."""
        steps = self.ledger.lists
        names = [source_file(part) for part in range(len(steps))]
        table = ImageTable.concatenate(
            [
                read_source(self.path / name, self._files[name], step.stop - step.start)
                for name, step in zip(names, steps, strict=True)
            ]
        )
        return replace(table.select(slice(self.n_images)), value_range=self.settings.range_of_values())

    @property
    def has_labels(self) -> bool:
        """Whether the memory was built with masks, so that its cells have labels."""
        return self.settings.labels is not UNSET

    @property
    def label_set(self) -> LabelSet:
        """The labels of the masks and their pixel values.

        Raises
        ------
        InputError
            The memory has no labels.
        """
        if self.settings.labels is UNSET:
            raise InputError(
                f"{self.path} has no labels of cells; build it with masks (hueprobe index --masks)"
            )
        return self.settings.labels.label_set()

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels by id; empty without masks."""
        return self.label_set.names if self.has_labels else ()

    @cached_property
    def _label_shards(self) -> tuple[np.ndarray, ...]:
        labels = self.settings.labels
        if labels is UNSET:
            raise AssertionError("a memory without labels")
        shape = (*self.grid.shape, len(labels.names))
        return tuple(
            map_array(self.path / label_file(step.number), (step.stop - step.start, *shape), labels.dtype)
            for step in self._shard_steps
        )

    @cached_property
    def masks(self) -> pa.Table:
        """The mask of each image as it was listed: columns image, path and sha256.

        Raises
        ------
        InputError
            The memory has no labels.
        """
        _ = self.label_set
        parts = [
            read_mask_list(
                self.path / mask_list_file(part), self._files[mask_list_file(part)], step.start, step.stop
            )
            for part, step in enumerate(self.ledger.lists)
        ]
        return pa.concat_tables(parts).slice(0, self.n_images)

    @cached_property
    def records(self) -> pa.Table:
        """What reading each image found: columns image, sha256, width, height, readable, reason."""
        return self._read_records()

    def _read_records(self, columns: Sequence[str] | None = None) -> pa.Table:
        names = [images_file(step.number) for step in self._shard_steps]
        return pa.concat_tables(
            [
                read_records(self.path / name, self._files[name], step.start, step.stop, columns)
                for name, step in zip(names, self._shard_steps, strict=True)
            ]
        ).combine_chunks()

    @cached_property
    def readable(self) -> np.ndarray:
        """Whether each image could be read, shape (n_images,) bool."""
        records = self.records if "records" in self.__dict__ else self._read_records(["readable"])
        readable: np.ndarray = records["readable"].to_numpy()
        return readable

    @cached_property
    def sha256(self) -> Sequence[str]:
        """Hash of each image's file; empty where the file could not be read."""
        return text_column(self.records["sha256"].fill_null(""))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names by id: those of readable images, sorted; an append adds its new classes at the end."""
        column = name_column(self.images.classes)
        names: list[str] = []
        for part in self.ledger.lists:
            rows = slice(part.start, min(part.stop, self.n_images))
            read = column.take(rows).take(self.readable[rows])
            names += sorted(set(read.occurring()) - set(names))
        return tuple(names)

    @cached_property
    def image_class(self) -> np.ndarray:
        """Class id of each image, shape (n_images,) int64; -1 without a class or unreadable."""
        ids = name_column(self.images.classes).positions_in(self.classes)
        return np.where(self.readable, ids, -1)

    @cached_property
    def _energy(self) -> np.ndarray:
        parts = []
        for step in self._shard_steps:
            name = energy_file(step.number)
            shape = (step.stop - step.start, *self.grid.shape)
            parts.append(read_array(self.path / name, self._files[name], shape, "float32"))
        energy = np.concatenate(parts)
        energy.setflags(write=False)
        return energy

    def energy(self) -> np.ndarray:
        """Return the energy ||I||^2 of every pixel: the squared norm of its activation.

        Returns
        -------
        ndarray of float32, shape (n_images, H, W)
            0 for a zero vector.

        See Also
        --------
        hueprobe.Memory.vectors : The activations divided by their norm.

        Examples
        --------
        >>> memory.energy().shape
        (12, 7, 7)
        """
        return self._energy

    def valid(self) -> np.ndarray:
        """Return which vector ids hold a nonzero vector.

        Returns
        -------
        ndarray of bool, shape (n_slots,)

        See Also
        --------
        hueprobe.Memory.class_counts : Number of nonzero vectors of each class.

        Examples
        --------
        >>> memory.valid().shape, int(memory.valid().sum())
        ((588,), 588)
        """
        return self._energy.reshape(-1) > 0

    @cached_property
    def valid_per_image(self) -> np.ndarray:
        """Number of nonzero vectors of each image, shape (n_images,) int64."""
        counts: np.ndarray = self.valid().reshape(self.n_images, -1).sum(axis=1)
        return counts

    def class_counts(self, images: np.ndarray | None = None) -> np.ndarray:
        """Return the number of nonzero vectors of each class, n_C of Eq. (2).

        Parameters
        ----------
        images : array_like of int or of bool, optional
            Count only these memory rows. By default all.

        Returns
        -------
        ndarray of int64, shape (n_classes,)

        See Also
        --------
        hueprobe.Memory.valid : Which vectors are nonzero.

        Examples
        --------
        >>> memory.class_counts()  # 4 images x 49 cells per class
        array([196, 196, 196])
        >>> memory.class_counts([0, 1])
        array([98,  0,  0])
        """
        rows = np.arange(self.n_images) if images is None else as_rows("images", images, self.n_images)
        rows = rows[self.image_class[rows] >= 0]
        counts = np.zeros(len(self.classes), np.int64)
        np.add.at(counts, self.image_class[rows], self.valid_per_image[rows])
        return counts

    def label_counts(self, images: np.ndarray | None = None) -> np.ndarray:
        """Return how many pixels of each label are in each cell; ignored pixels are not counted.

        Pixels are those of the masks at the size that the network sees. A cell's shares of the labels are
        its counts divided by their sum; if the sum is 0, all of its pixels are ignored, or the image is
        unreadable.

        Parameters
        ----------
        images : array_like of int or of bool, optional
            Memory rows, or a mask of all of them. By default all.

        Returns
        -------
        ndarray of uint16 or uint32, shape (n, H, W, n_labels)

        Raises
        ------
        InputError
            The memory has no labels.

        See Also
        --------
        hueprobe.images.mask_on_grid : The same for the mask of any image.
        hueprobe.images.pair_masks : Masks for `hueprobe.build_memory`.

        Examples
        --------
        >>> labeled = hp.build_memory(
        ...     "labeled.memory", "images", masks="masks", backbone=network, layer="3", transform=transform
        ... )
        >>> labeled.label_names, labeled.label_counts([0, 1]).shape
        (('0', '1'), (2, 7, 7, 2))
        """
        n_labels = len(self.label_set)
        rows = np.arange(self.n_images) if images is None else as_rows("images", images, self.n_images)
        counts = np.empty((len(rows), *self.grid.shape, n_labels), self._label_shards[0].dtype)
        for shard, stored in zip(self.shards, self._label_shards, strict=True):
            here = (rows >= shard.start) & (rows < shard.stop)
            counts[here] = stored[rows[here] - shard.start]
        return counts

    def raw(self, ids: np.ndarray) -> np.ndarray:
        """Return stored rows by vector id, in the memory's dtype.

        Parameters
        ----------
        ids : array_like of int, or of bool of shape (n_slots,)
            Vector ids, or a mask of all of them.

        Returns
        -------
        ndarray of shape (n, n_channels)
            Rows as stored; rounding leaves their length slightly off 1.

        See Also
        --------
        hueprobe.Memory.vectors : The same rows with length 1.

        Examples
        --------
        >>> rows = memory.raw([0, 1])
        >>> rows.shape, rows.dtype.name
        ((2, 16), 'float16')
        """
        ids = as_rows("vector ids", ids, self.n_slots)
        rows = np.empty((len(ids), self.n_channels), self.dtype)
        for shard, here in self._by_shard(ids // self.grid.n_cells):
            rows[here] = shard.rows(ids[here] - shard.start * self.grid.n_cells)
        return rows

    def _by_shard(self, images: np.ndarray) -> Iterator[tuple[Shard, np.ndarray]]:
        """Yield each shard that holds some of these memory rows, and where these are in the array."""
        number = np.searchsorted(self._stops, images, side="right")
        order = np.argsort(number, kind="stable")
        bounds = np.flatnonzero(np.diff(number[order], prepend=-1, append=len(self.shards)))
        for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
            yield self.shards[number[order[start]]], order[start:stop]

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """Return stored vectors by id, normalized to unit length.

        Parameters
        ----------
        ids : array_like of int, or of bool of shape (n_slots,)
            Vector ids, or a mask of all of them.

        Returns
        -------
        ndarray of float32, shape (n, n_channels)
            Unit vectors; zero vectors stay zero.

        See Also
        --------
        hueprobe.Grid.vector_id : The id of a vector.
        hueprobe.Memory.image_vectors : All vectors of an image.

        Examples
        --------
        >>> vectors = memory.vectors(memory.grid.vector_id(3, [0, 6], [0, 6]))  # two corners of image 3
        >>> vectors.shape, np.linalg.norm(vectors, axis=1).round(3)
        ((2, 16), array([1., 1.], dtype=float32))
        """
        return renormalize(self.raw(ids))

    def image_vectors(self, images: np.ndarray) -> np.ndarray:
        """Return all vectors of some images, normalized to unit length.

        Parameters
        ----------
        images : array_like of int, or of bool of shape (n_images,)
            Memory rows, or a mask of all of them.

        Returns
        -------
        ndarray of float32, shape (n, H*W, n_channels)
            Unit vectors; zero vectors stay zero.

        See Also
        --------
        hueprobe.KernelDensityClassifier.vectors_of : Vectors of images that are not in the memory.

        Examples
        --------
        >>> memory.image_vectors(memory.image_class == 0).shape  # the four circles
        (4, 49, 16)
        """
        images = as_rows("images", images, self.n_images)
        ids = images[:, None] * self.grid.n_cells + np.arange(self.grid.n_cells)
        return self.vectors(ids.reshape(-1)).reshape(*ids.shape, self.n_channels)

    def raw_blocks(self, size: int, *, start: int = 0) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the stored rows of the whole memory in blocks, in the memory's dtype.

        Parameters
        ----------
        size : int
            Largest number of rows in a block.
        start : int, default=0
            Vector id to begin with, the first of a block; earlier rows are not read.

        Yields
        ------
        first : int
            Vector id of the first row.
        rows : ndarray of shape (n, n_channels)
            Rows as stored, n <= size.

        See Also
        --------
        hueprobe.Memory.blocks : The same rows with length 1.

        Examples
        --------
        >>> [(first, rows.shape) for first, rows in memory.raw_blocks(300)]
        [(0, (300, 16)), (300, (288, 16))]
        """
        for shard in self.shards:
            offset = shard.start * self.grid.n_cells
            n_rows = shard.stop * self.grid.n_cells - offset
            for first in range(max(0, start - offset), n_rows, size):
                yield offset + first, shard.rows(slice(first, min(first + size, n_rows)))

    def blocks(self, size: int = 16_384, *, start: int = 0) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the vectors of the whole memory in blocks, normalized to unit length.

        Parameters
        ----------
        size : int, default=16384
            Largest number of vectors in a block.
        start : int, default=0
            Vector id to begin with, the first of a block; earlier vectors are not read.

        Yields
        ------
        first : int
            Vector id of the first vector.
        vectors : ndarray of float32, shape (n, n_channels)
            Unit vectors, n <= size; zero vectors stay zero.

        See Also
        --------
        hueprobe.Memory.raw_blocks : The rows as stored.

        Examples
        --------
        >>> total = sum(vectors.sum(axis=0, dtype=float) for _, vectors in memory.blocks(100))
        >>> total.shape
        (16,)
        """
        for first, rows in self.raw_blocks(size, start=start):
            yield first, renormalize(rows)


def open_memory(path: str | Path) -> Memory:
    """Open a memory for reading.

    If a build is still running, the memory holds the images of all shards finished so far.

    Parameters
    ----------
    path : path
        Folder of the memory.

    Returns
    -------
    Memory

    Raises
    ------
    MemoryFormatError
        The folder is not a memory, or is one of a newer format.
    MemoryDamagedError
        A file differs from the ledger; the message names it.

    See Also
    --------
    hueprobe.build_memory : Build a memory.
    hueprobe.memory.verify_memory : Check every byte of a memory.

    Examples
    --------
    >>> hp.open_memory("memory").n_images
    12
    """
    return Memory(path)
