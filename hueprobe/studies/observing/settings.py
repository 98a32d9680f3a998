"""Settings of how observations are measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hueprobe.arguments import as_count
from hueprobe.memory.store import Memory
from hueprobe.memory.transforms import transform_words
from hueprobe.observations.hue.planes import Plane


@dataclass(frozen=True, kw_only=True)
class ObserveSettings:
    """Settings of how observations are measured.

    Attributes
    ----------
    k : int, default=10
        Number of neighbors of each query pixel.
    searcher : str, default="exact"
        Searcher, as in `KernelDensityClassifier`.
    exclude : str, default="image"
        What a query may not match, as in `KernelDensityClassifier`.
    weighting : {"count", "kernel"}, default="count"
        Whether matches have equal weight or their kernel weights, Eq. (3).
    seed : int, default=0
        Seed of permutations, splits and random planes.
    plane : str, default="pca"
        Plane in which activation hue is measured.
    planes : tuple of (str or Plane), default=("lda", "dft")
        Further planes whose accuracy is measured.
    center : (float, float), optional
        Center (y, x) in cells that distances are measured from, such as `network_center(memory)`; by default
        the middle of the grid.
    weights : Path, optional
        Present location of the recorded weights file; by default the recorded one.
    device : str, default="auto"
        Device, as in `KernelDensityClassifier`.
    workers : int, optional
        Number of threads that read images; by default one per core.
    index_dir : Path, optional
        Folder in which indexes are kept; see `open_searcher`.

    See Also
    --------
    hueprobe.studies.observe : Measure observations with these settings.

    Examples
    --------
    >>> settings = hp.studies.ObserveSettings(k=5, weighting="kernel")
    >>> settings.definitions
    {'k': 5, 'searcher': 'exact', 'exclude': 'image'}
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
        """Accept a whole K of another type, such as 3.0."""
        object.__setattr__(self, "k", as_count("k", self.k))

    def words(self, memory: Memory | None) -> dict[str, str]:
        """Return in words what numbers depend on: the network and how it saw the images, and the search.

        Parameters
        ----------
        memory : Memory or None
            The memory; None for a table of matches alone.
        """
        words = {}
        if memory is not None:
            made = memory.settings
            height, width = made.grid
            words = {
                "network": made.backbone,
                "layer": f"{made.layer or 'none'}, closing {made.closing or 'unknown or none'}",
                "weights": f"{made.weights} (sha256 {made.weights_sha256[:12]})" if made.weights else "none",
                "transform": transform_words(made.transform),
                "vectors": f"{height}x{width} cells of {made.channels:,} channels, {made.dtype}",
                "memory made by": f"hueprobe {made.versions.get('hueprobe', 'unknown')}",
            }
        search = f"K = {self.k}, searcher {self.searcher}, a query's own {self.exclude} excluded"
        return words | {"search": search, "weighting": self.weighting, "seed": str(self.seed)}

    @property
    def definitions(self) -> dict[str, Any]:
        """Settings that verdicts record about how they were measured."""
        definitions: dict[str, Any] = {"k": self.k, "searcher": self.searcher, "exclude": self.exclude}
        if self.center is not None:
            definitions["centre (y, x)"] = [round(float(value), 3) for value in self.center]
        return definitions
