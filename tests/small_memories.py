"""Memories of noise, for tests that need some small memory: the fixture `small_memory` of conftest.py."""

from itertools import cycle, islice

import numpy as np

from hueprobe import Memory, memory_from_arrays


def noise(n=5, *, channels=4, grid=(2, 3), seed=0):
    """Return positive activations (n, channels, height, width) in float32, the same for the same seed."""
    return np.random.default_rng(seed).random((n, channels, *grid)).astype(np.float32)


def memory_of_noise(path, n=5, *, channels=4, grid=(2, 3), seed=0, classes=None, **options) -> Memory:
    """Make a memory of `noise`; `classes` are dealt to the images in turn, `options` are the memory's."""
    values = noise(n, channels=channels, grid=grid, seed=seed)
    dealt = None if classes is None else list(islice(cycle(classes), n))
    return memory_from_arrays(path, values, dealt, **options)
