"""How long the steps of observing a memory take, roughly: rates measured on two cores with AVX2."""

from dataclasses import dataclass

from hueprobe.images.table import ImageTable
from hueprobe.matches import Matches
from hueprobe.memory.store import Memory
from hueprobe.observations.accuracy.baselines import KS
from hueprobe.observations.accuracy.grid import CLASSIFIER

_FORWARD = 0.02  # seconds for an image
_PRODUCTS = 1e11  # products of search per second
_POOLED = 5e7  # values pooled per second
_LEAST = 0.1  # seconds of the smallest step


@dataclass(frozen=True)
class Work:
    """Sizes of a memory and of its queries, and the seconds that follow from them.

    Attributes
    ----------
    n_images : int
        Images of the memory.
    n_queries : int
        Query images.
    n_cells, n_channels : int
        Cells of an image, and values of a vector.
    k : int
        Number of neighbors.
    n_classes : int
        Classes of the memory.
    held_out : bool
        Whether the queries are not the memory's own images.
    """

    n_images: int
    n_queries: int
    n_cells: int
    n_channels: int
    k: int
    n_classes: int
    held_out: bool

    @classmethod
    def on(cls, memory: Memory | None, images: ImageTable | None, matches: Matches | None, k: int) -> "Work":
        """Return the sizes of a memory, or of matches alone.

        Parameters
        ----------
        memory, images, matches
            As for `observe_memory`.
        k : int
            Number of neighbors.
        """
        if memory is None:
            assert matches is not None
            n = len(matches.query_paths)
            return cls(len(matches.image_paths), n, matches.grid.n_cells, 0, k, len(matches.classes), False)
        n = memory.n_images if images is None else len(images)
        return cls(
            memory.n_images, n, memory.grid.n_cells, memory.n_channels, k, len(memory.classes),
            images is not None,
        )  # fmt: skip

    def forward(self, n: int | None = None) -> float:
        """Return the seconds for images to go through the network; by default all of the memory's own."""
        return _LEAST + _FORWARD * (self.n_images if n is None else n)

    @property
    def search(self) -> float:
        """Seconds of the search of all queries."""
        return self._search(self.n_queries, self.n_cells, self.n_channels)

    def observation(self, name: str) -> float:
        """Return the seconds of an observation other than accuracy, without the search that it may share.

        Parameters
        ----------
        name : str
            Name of the observation.
        """
        n_matches = self.n_queries * self.n_cells * self.k
        return (
            _LEAST
            + {
                "energy": 1e-6 * self.n_images * self.n_cells,
                "locations": 1e-5 * n_matches + self.search / max(1, self.n_classes),
                "conditional": 5e-6 * n_matches,
                "hue": 3e-5 * n_matches,
            }[name]
        )

    def run(self, descriptor: str, classifier: str) -> float:
        """Return the seconds of a run of the accuracy grid, without the search that it may share.

        Parameters
        ----------
        descriptor, classifier : str
            As in `AccuracyRun`.
        """
        if classifier == "logistic regression":
            return _LEAST + 1e-7 * self.n_images * self.n_channels * self.n_classes
        votes = 1e-7 * self.n_images * (self.n_cells if descriptor == "pixel" else 1) * sum(KS)
        tuned = classifier == "kernel density, K tuned"
        if descriptor == "pixel":
            # K is chosen where the queries are classified; for held-out images by a search of its own.
            first = classifier == CLASSIFIER and self.held_out
            own = self._search(self.n_images, self.n_cells, self.n_channels)
            return _LEAST + (own + votes if first else 0.0 if self.held_out or not tuned else votes)
        if classifier != CLASSIFIER:
            return _LEAST
        n, values = self.n_images + (self.n_queries if self.held_out else 0), self.n_cells * self.n_channels
        flat = self._search(self.n_queries, 1, values) if descriptor == "flat" else 0.0
        return _LEAST + n * values / _POOLED + flat

    def _search(self, n_queries: int, n_cells: int, n_channels: int) -> float:
        return n_queries * self.n_images * n_cells**2 * n_channels / _PRODUCTS
