"""Observations 3 to 5 of a newly trained network, in a temporary memory."""

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.memory.arrays import memory_from_arrays
from hueprobe.observations.hue.planes import Plane, plane_through, uniform_axis
from hueprobe.studies.comparison.trained_networks import Measured, TrainedObservation, measurable
from hueprobe.studies.observing.memories import observe_memory
from hueprobe.studies.observing.memory_report import MemoryReport
from hueprobe.studies.observing.settings import ObserveSettings

if TYPE_CHECKING:
    from hueprobe.activations.hooks import Tap
    from hueprobe.training.images import TrainingImages
    from hueprobe.training.objective import Objective
    from hueprobe.training.settings import TrainingSettings

PER_CLASS = 40  # maximum number of images observed per class, as in the memories of 20 x 40 images
_HEAD = "head"
_NO_SPREAD = "not measurable: both sides are exactly alike in every image that can be compared"
# Observation and name of the number for each of `MEASURES`.
_PLACES = {
    "class positions": ("locations", "class positions, both, cells"),
    "class positions, u": ("locations", "class positions, u, cells"),
    "class positions, v": ("locations", "class positions, v, cells"),
    "stay-put, same less other": ("conditional", "stay-put, same less other, adjusted"),
    "information, same less other": ("conditional", "bits, same less other"),
    "angle, pca plane": ("hue", "angle-only accuracy, pca"),
    "angle, pca plane above random": ("hue", "angle-only accuracy, pca, above random planes"),
    "angle, head's plane": ("hue", f"angle-only accuracy, {_HEAD}"),
    "angle, head's plane above random": ("hue", f"angle-only accuracy, {_HEAD}, above random planes"),
    "full direction": ("hue", "full direction"),
    "far less near the axis": ("hue", "same-class share, far less near the axis"),
}


def observe_trained(
    objective: "Objective", tap: "Tap", images: "TrainingImages", settings: "TrainingSettings", *,
    part: str, per_class: int = PER_CLASS, seed: int = 0,
) -> TrainedObservation:  # fmt: skip
    """Measure class positions, conditional spread and activation hue with a trained network.

    Each image is matched with all others (leave-one-out). Images, their assignment to blocks, and random
    planes are the same for every loss of a study.

    Parameters
    ----------
    objective : Objective
        Trained objective.
    tap : Tap
        Tap of its network at the bottleneck.
    images : TrainingImages
        Images to observe.
    settings : TrainingSettings
        Settings, of which batch_size, crop and device are used.
    part : str
        Name of the images, recorded in the result.
    per_class : int, default=40
        Maximum number of images per class; larger classes are sampled at random.
    seed : int, default=0
        Seed of that sample, permutations and random planes.
    """
    from hueprobe.training.bottleneck import bottleneck_activations, head_directions

    chosen = images.select(capped_rows(images.targets.numpy(), per_class, seed=seed))
    seen = bottleneck_activations(objective.network, tap, chosen, settings)
    _, channels, height, width = seen.values.shape
    told: dict[str, Any] = {"part": part, "n_images": len(seen.rows), "grid": (height, width)}
    if height * width == 1:
        note = f"images of {settings.crop} px leave a bottleneck of 1x1, without places; use a larger --crop"
        return TrainedObservation(**told, notes=(f"observations 3 to 5: {note}",))
    directions = head_directions(objective)
    planes: tuple[Plane, ...] = ()
    notes: tuple[str, ...] = ()
    if directions is not None:
        planes = (plane_through(directions[0], directions[1], uniform_axis(channels), name=_HEAD),)
    elif "head" in objective.beside:
        notes = ("the head's plane: the head is not one linear layer from pooled activations to two numbers",)
    names = [images.class_names[number] for number in chosen.targets.numpy()[seen.rows]]
    with tempfile.TemporaryDirectory(prefix="hueprobe-") as folder:
        memory = memory_from_arrays(
            Path(folder) / "trained.memory", seen.values, names, hashes=seen.hashes,
            groups=None if chosen.table is None else [chosen.table.groups[row] for row in seen.rows],
        )  # fmt: skip
        report = observe_memory(
            memory, ("locations", "conditional", "hue"), folder=Path(folder),
            settings=ObserveSettings(seed=seed, planes=planes),
        )  # fmt: skip
    numbers = report_numbers(report)
    notes = (*notes, *(f"{name}: {_NO_SPREAD}" for name, one in numbers.items() if math.isnan(one.estimate)))
    if report.locations is not None and (blocked := report.locations.blocked) and blocked.undecided:
        notes = (*notes, f"class positions: {blocked.undecided}")
    return TrainedObservation(**told, numbers=numbers, notes=(*notes, *report.notes))


def capped_rows(targets: np.ndarray, per_class: int, *, seed: int) -> np.ndarray:
    """Return rows with at most `per_class` of each class, drawn at random, in ascending order.

    >>> capped_rows(np.array([0, 0, 0, 1]), 2, seed=0).tolist()
    [0, 2, 3]
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(targets))
    taken = [order[targets[order] == number][:per_class] for number in np.unique(targets)]
    return np.sort(np.concatenate(taken))


def report_numbers(report: MemoryReport) -> dict[str, Measured]:
    """Return the numbers of `MEASURES` in a memory's report; NaN for uninformative ones."""
    found = {(observation, name): interval for observation, name, interval in report.numbers()}
    numbers = {
        measure: Measured.of(found[place])
        for measure, place in _PLACES.items()
        if place in found and not math.isnan(found[place].estimate)
    }
    return {
        measure: one if measurable(measure, one) else Measured(estimate=math.nan, low=math.nan, high=math.nan)
        for measure, one in numbers.items()
    }
