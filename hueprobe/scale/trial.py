"""A trial of an extraction: images from all over the list go into temporary memories, and are timed."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hueprobe.memory.extraction import extracted_batches
from hueprobe.memory.filling import Share, fill_memories
from hueprobe.memory.planned_build import PlannedBuild
from hueprobe.memory.settings import MemorySettings
from hueprobe.memory.store import Memory
from hueprobe.progress import named_pass
from hueprobe.scale.peak_memory import peak_memory

MOST_BYTES = 1 << 30  # of the temporary memories
_PILOT_BATCHES = 3


@dataclass(frozen=True)
class ExtractionTrial:
    """What extracting some images took on this machine: reading, network, and writing to disk.

    Attributes
    ----------
    n_images : int
        Number of images.
    seconds : float
        Time that they took.
    ram : int or None
        Most RAM that the process held, in bytes, network included; None where the system does not tell.
    device : str
        Device of the network.
    device_ram : int or None
        Most memory that the network took on a CUDA device, in bytes; None for other devices.
    """

    n_images: int
    seconds: float
    ram: int | None
    device: str
    device_ram: int | None

    @property
    def images_per_second(self) -> float:
        """Speed of the extraction."""
        return self.n_images / self.seconds


def try_extraction(
    folder: Path, planned: PlannedBuild, seconds: float, *, progress: bool = False
) -> tuple[ExtractionTrial, list[Memory]]:
    """Extract images for about so many seconds.

    A few batches go first, unmeasured: the first ones are slower, and they tell how many images to take.

    Parameters
    ----------
    folder : Path
        A temporary folder.
    planned : PlannedBuild
        The build.
    seconds : float
        Time to measure for. A list or a disk (1 GiB) that is too small for it makes it shorter.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    trial : ExtractionTrial
        What was measured.
    memories : list of Memory
        The memories of the trial, one per layer.
    """
    from hueprobe.activations.devices import most_device_memory

    batch, n = planned.settings[0].batch_size, len(planned.table)
    rate = _pilot(planned, min(n, _PILOT_BATCHES * batch))
    most = MOST_BYTES // sum(map(bytes_of_image, planned.settings))
    n_batches = max(1, min(round(seconds * rate / batch), most // batch))
    rows = spread(n, n_batches * batch)
    table = planned.table.select(rows)
    masks = None if planned.masks is None else planned.masks.select(rows.tolist())
    batches = extracted_batches(planned.extractions, table, planned.workers, masks)
    paths = [folder / f"{number}" for number in range(len(planned.extractions))]
    with named_pass("trial"), peak_memory() as peak, most_device_memory() as on_device:
        started = time.perf_counter()
        memories = fill_memories(
            paths, planned.settings, table, batches, masks=masks,
            shares=[Share(range(len(table)), table)] * len(paths), progress=progress,
        )  # fmt: skip
        took = time.perf_counter() - started
    device = planned.extractions[0].extractor.device_kind
    device_ram = on_device() if device == "cuda" else None
    return ExtractionTrial(len(table), took, peak.n_bytes, device, device_ram), memories


def _pilot(planned: PlannedBuild, n_images: int) -> float:
    """Return a first estimate of the images per second."""
    rows = spread(len(planned.table), n_images)
    masks = None if planned.masks is None else planned.masks.select(rows.tolist())
    table = planned.table.select(rows)
    n_done, rates, before = 0, [], time.perf_counter()
    for made in extracted_batches(planned.extractions, table, planned.workers, masks)(0, len(table)):
        filled = made() if callable(made) else made
        now = time.perf_counter()
        rates.append(len(filled[1]) / (now - before))
        n_done, before = n_done + len(filled[1]), now
    return max(rates)


def spread(n: int, wanted: int) -> np.ndarray:
    """Return `wanted` of `n` rows, or all, evenly spread.

    >>> spread(10, 4), spread(3, 8)
    (array([1, 3, 6, 8]), array([0, 1, 2]))
    """
    wanted = min(n, wanted)
    return (np.arange(wanted) * n + n // 2) // wanted if wanted < n else np.arange(n)


def bytes_of_image(settings: MemorySettings) -> int:
    """Return the bytes of an image's vectors, if all their values are stored."""
    values = settings.grid[0] * settings.grid[1] * settings.channels
    return values * (4 if settings.dtype == "float32" else 2)
