"""What is asked of a memory by the observations, and what one memory shows."""

from dataclasses import dataclass, field
from typing import Any

from hueprobe.observations.accuracy.grid import AccuracyGrid
from hueprobe.observations.conditional.conditional import Conditional
from hueprobe.observations.conditional.mirrored import ContentOrPosition
from hueprobe.observations.energy import Energy
from hueprobe.observations.hue.hue import Hue
from hueprobe.observations.hue.planes import Plane
from hueprobe.observations.hue.relations import EnergyPosition
from hueprobe.observations.locations.maps import Locations
from hueprobe.observations.locations.replicate_test import BlockedTest
from hueprobe.observations.verdicts.rules import Verdict

OBSERVATIONS = ("energy", "accuracy", "locations", "conditional", "hue")


@dataclass(frozen=True, kw_only=True)
class ObserveSettings:
    """How the observations are measured.

    Attributes
    ----------
    k : int
        Neighbors of each query pixel.
    searcher, exclude : str
        As in `KernelDensityClassifier`.
    weighting : {"count", "kernel"}
        Whether matches count the same or by kernel weight.
    seed : int
        Of permutations, splits and random planes.
    plane : str
        Where activation hue is measured.
    planes : tuple of (str or Plane)
        Further planes whose accuracy is wanted.
    center : (float, float) or None
        (y, x) in cells that distances are taken from, such as `network_center(memory)`; the grid's
        middle by default.
    network : dict
        `weights`, `device` and `workers` of `KernelDensityClassifier`.
    """

    k: int = 10
    searcher: str = "exact"
    exclude: str = "image"
    weighting: str = "count"
    seed: int = 0
    plane: str = "pca"
    planes: tuple[str | Plane, ...] = ("lda", "dft")
    center: tuple[float, float] | None = None
    network: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MemoryReport:
    """What one memory shows; None for what was not asked for or cannot be measured.

    Attributes
    ----------
    name : str
        Of the memory's folder.
    network : str
    n_images : int
        Readable images in the memory.
    energy, locations, conditional, hue
        Results of the observations.
    blocked : BlockedTest or None
        The blocked replicate test.
    relation : EnergyPosition or None
    accuracy : AccuracyGrid or None
    content : ContentOrPosition or None
        Of the control `mirror-queries`.
    verdicts : tuple of Verdict
    notes : tuple of str
        Why something could not be measured.
    """

    name: str
    network: str
    n_images: int
    energy: Energy | None = None
    locations: Locations | None = None
    blocked: BlockedTest | None = None
    relation: EnergyPosition | None = None
    conditional: Conditional | None = None
    hue: Hue | None = None
    accuracy: AccuracyGrid | None = None
    content: ContentOrPosition | None = None
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
