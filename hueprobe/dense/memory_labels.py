"""Labels of a memory's cells, and where its cells are in an image."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hueprobe.dense.protocols import Protocol
from hueprobe.dense.transfer import shares_of
from hueprobe.errors import InputError
from hueprobe.images.masks import cell_counts, require_geometry
from hueprobe.memory.store import Memory

if TYPE_CHECKING:
    from hueprobe.images.transform import Transform


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
    """Return a function from vector ids to the label shares of these memory cells.

    Parameters
    ----------
    memory : Memory
        A memory with labels.
    protocol : Protocol
        Whether ignored pixels count for label 0.
    """
    counts_of = memory_counts(memory, protocol)
    return lambda ids: shares_of(counts_of(ids))


def memory_counts(memory: Memory, protocol: Protocol) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from vector ids to the pixels of each label in these memory cells.

    Parameters
    ----------
    memory : Memory
        A memory with labels.
    protocol : Protocol
        Whether ignored pixels count for label 0.

    Raises
    ------
    InputError
        They do, and the images have no common size as input of the network.
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
