"""How observations are measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hueprobe.arguments import as_count
from hueprobe.observations.hue.planes import Plane


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
    weights : Path or None
        Where the recorded weights file lies now.
    device : str
        As in `KernelDensityClassifier`.
    workers : int or None
        Threads that read images; one a core by default.
    index_dir : Path or None
        Where indexes are kept; see `open_searcher`.
    """

    k: int = 10
    searcher: str = "exact"
    exclude: str = "image"
    weighting: str = "count"
    seed: int = 0
    plane: str = "pca"
    planes: tuple[str | Plane, ...] = ("lda", "dft")
    center: tuple[float, float] | None = None
    weights: Path | None = None
    device: str = "auto"
    workers: int | None = None
    index_dir: Path | None = None

    def __post_init__(self) -> None:
        """Take a K that is whole, such as 3.0, for what it is."""
        object.__setattr__(self, "k", as_count("k", self.k))

    @property
    def definitions(self) -> dict[str, Any]:
        """What a verdict says of how it was measured."""
        definitions: dict[str, Any] = {"k": self.k, "searcher": self.searcher, "exclude": self.exclude}
        if self.center is not None:
            definitions["centre (y, x)"] = [round(float(value), 3) for value in self.center]
        return definitions
