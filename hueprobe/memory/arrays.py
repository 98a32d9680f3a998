"""Memories without a forward pass: of given activations, or pooled from a `pixel` memory."""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from hueprobe.activations.descriptors import DESCRIPTORS, describe
from hueprobe.arguments import as_array
from hueprobe.errors import InputError, ShapeError, require_choice
from hueprobe.images.table import unfiled_table
from hueprobe.memory.filling import Filled, fill_memories
from hueprobe.memory.nonnegative import require_nonnegative
from hueprobe.memory.settings import (
    CLASS_ORDER,
    DEFAULT_BATCH_SIZE,
    MemorySettings,
    format_of,
    images_per_shard,
    library_versions,
)
from hueprobe.memory.store import Memory
from hueprobe.memory.vectors import DTYPES, SPARSE16


def memory_from_arrays(
    path: str | Path,
    activations: np.ndarray,
    classes: Sequence[str | None] | None = None,
    *,
    groups: Sequence[str | None] | None = None,
    names: Sequence[str] | None = None,
    hashes: Sequence[str] | None = None,
    descriptor: str = "pixel",
    dtype: str = "float16",
    shard_images: int | None = None,
    overwrite: bool = False,
) -> Memory:
    """Make a memory of activations extracted elsewhere.

    Parameters
    ----------
    path : path
        Folder of the memory.
    activations : array_like or tensor of shape (n, C, H, W)
        Activations after the nonlinearity that follows the layer, not normalized.
    classes, groups : sequence of (str, int or None), optional
        Class and group of each image. An integer becomes a string of its digits; NaN means none. By default
        images have none.
    names : sequence of str, optional
        Name of each image. By default `array-0000000`, ...
    hashes : sequence of str, optional
        Hash of each image, used like the sha256 of a file: to detect equal images, and to assign images to
        random blocks. By default the sha256 of the activations as float32.
    descriptor : {"pixel", "gap", "gmp", "gem", "rmac", "flat"}, default="pixel"
        What each image is reduced to; see `build_memory`.
    dtype : {"float16", "float32", "sparse16"}, default="float16"
        Data type of the stored unit vectors. `"sparse16"` is float16 without the zeros, lossless and 4 to 8
        times smaller on disk; only for layers that end in a ReLU.
    shard_images : int, optional
        Images per shard, a multiple of 32. By default as many as fit into 256 MiB and at most 512.
    overwrite : bool, default=False
        Whether to replace an existing memory, whatever its settings and activations.

    Returns
    -------
    Memory

    Raises
    ------
    InputError
        The activations are not numbers, or negative and the dtype is `sparse16`; or a class is neither a name
        nor a whole number.
    ShapeError
        The activations do not have four axes, or another sequence has the wrong length.
    NumericsError
        A value is NaN or infinite.
    MemoryFormatError
        The folder holds something else, or a memory of other settings or activations.

    See Also
    --------
    hueprobe.build_memory : A memory of images.
    hueprobe.KernelDensityClassifier.classify_activations : Classify activations.

    Examples
    --------
    >>> activations = np.random.default_rng(0).random((4, 8, 3, 3))
    >>> small = hp.memory_from_arrays("small.memory", activations, ["a", "a", "b", "b"])
    >>> small.classes, small.grid.shape, small.n_channels
    (('a', 'b'), (3, 3), 8)
    """
    activations = as_array("activations", activations)
    if activations.ndim != 4 or not len(activations):
        raise ShapeError(
            f"activations must have shape (n, C, H, W) with n >= 1, got {activations.shape}; give one array "
            "per image, (n, C, 1, 1) for one vector per image"
        )
    require_choice("descriptor", descriptor, DESCRIPTORS)
    require_choice("dtype", dtype, DTYPES)
    if hashes is not None and len(hashes) != len(activations):
        raise ShapeError(f"{len(hashes)} hashes for {len(activations)} activation arrays; give one each")
    table = unfiled_table(len(activations), names=names, classes=classes, groups=groups)
    if dtype == SPARSE16:
        require_nonnegative(activations, table.paths, "")
    digests = [
        hashlib.sha256(np.ascontiguousarray(image, np.float32).tobytes()).hexdigest() for image in activations
    ]
    told = list(hashes) if hashes is not None else digests
    _, channels, height, width = describe(activations[:1].astype(np.float32), descriptor).shape
    settings = MemorySettings(
        format=format_of(dtype),
        class_order=CLASS_ORDER,
        backbone="arrays",
        layer="",
        closing=None,
        table_layer=False,
        weights="none",
        weights_sha256="",
        transform={},
        grid=(height, width),
        channels=channels,
        descriptor=descriptor,
        dtype=dtype,
        batch_size=DEFAULT_BATCH_SIZE,
        shard_images=images_per_shard((height, width), channels, dtype, DEFAULT_BATCH_SIZE, shard_images),
        device="cpu",
        precision="fp32",
        seed=0,
        versions=library_versions(),
        content_sha256=_content(activations.shape[1:], digests),
    )

    def batches(start: int, stop: int) -> Generator[Filled, None, None]:
        for first in range(start, stop, DEFAULT_BATCH_SIZE):
            last = min(first + DEFAULT_BATCH_SIZE, stop)
            yield (
                [np.ascontiguousarray(activations[first:last], np.float32)],
                [
                    {"sha256": h, "width": 0, "height": 0, "readable": True, "reason": None}
                    for h in told[first:last]
                ],
            )

    def hashes_of(rows: Sequence[int]) -> Iterator[str | None]:
        return (told[row] for row in rows)

    (memory,) = fill_memories([Path(path)], [settings], table, batches, hashes=hashes_of, overwrite=overwrite)
    return memory


def stored_activations(memory: Memory, images: np.ndarray) -> np.ndarray:
    """Return the activations of a memory's images: unit vectors times the square roots of their energy.

    Parameters
    ----------
    memory : Memory
        The memory.
    images : array_like of int, shape (n,)
        Memory rows.

    Returns
    -------
    ndarray of float32, shape (n, C, H, W)
        Up to the rounding of the stored vectors.
    """
    vectors = memory.image_vectors(images).reshape(-1, *memory.grid.shape, memory.n_channels)
    scaled = vectors * np.sqrt(memory.energy()[images])[..., None]
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _content(shape: tuple[int, ...], digests: Sequence[str]) -> str:
    """Return one sha256 of all arrays: of the shape of one and the digests of all, in order."""
    return hashlib.sha256("\n".join([str(list(shape)), *digests]).encode()).hexdigest()


def derive_memory(
    path: str | Path, memory: Memory, descriptor: str, *, overwrite: bool = False, progress: bool = False
) -> Memory:
    """Make a memory of pooled descriptors from a `pixel` memory, without running the network again.

    Activations are recomputed as unit vector times square root of the energy. As stored vectors are rounded,
    values differ slightly from a memory that `build_memory` makes with this descriptor. From a `sparse16`
    memory, only `flat` becomes `sparse16` too; the others have few zeros and become float16.

    Parameters
    ----------
    path : path
        Folder of the new memory.
    memory : Memory
        A complete memory with descriptor `pixel`.
    descriptor : {"gap", "gmp", "gem", "rmac", "flat"}
        What each image is reduced to; see `build_memory`.
    overwrite : bool, default=False
        Whether to replace an existing memory, whatever its settings and images.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Memory

    Raises
    ------
    InputError
        The memory has another descriptor than `pixel`, or is not complete.

    See Also
    --------
    hueprobe.PooledClassifier : Classifies with a pooled memory.

    Examples
    --------
    >>> pooled = hp.memory.derive_memory("gap.memory", memory, "gap")
    >>> pooled.n_images, pooled.grid.shape, pooled.n_channels
    (12, (1, 1), 16)
    """
    require_choice("descriptor", descriptor, [name for name in DESCRIPTORS if name != "pixel"])
    if memory.settings.descriptor != "pixel" or not memory.complete:
        raise InputError(
            f"{memory.path} holds {memory.settings.descriptor!r} descriptors"
            f"{'' if memory.complete else ' and is not complete'}; derive from a complete 'pixel' memory"
        )

    def activations(start: int, stop: int) -> np.ndarray:
        return stored_activations(memory, np.arange(start, stop))

    def batches(start: int, stop: int) -> Generator[Filled, None, None]:
        for first in range(start, stop, memory.settings.batch_size):
            last = min(first + memory.settings.batch_size, stop)
            records = memory.records.slice(first, last - first).drop_columns(["image"]).to_pylist()
            yield [activations(first, last)], records

    _, channels, height, width = describe(activations(0, 1), descriptor).shape
    dtype = memory.settings.dtype if descriptor == "flat" else memory.dtype  # others have hardly any zeros
    settings = msgspec.structs.replace(
        memory.settings,
        format=format_of(dtype),
        class_order=CLASS_ORDER,
        grid=(height, width),
        channels=channels,
        descriptor=descriptor,
        dtype=dtype,
        shard_images=images_per_shard((height, width), channels, dtype, memory.settings.batch_size),
        versions=library_versions(),
        derived_from=memory.ledger.tip,
        content_sha256=msgspec.UNSET,
        labels=msgspec.UNSET,  # the cells that had them are pooled
    )
    (pooled,) = fill_memories(
        [Path(path)], [settings], memory.images, batches, overwrite=overwrite, progress=progress
    )
    return pooled
