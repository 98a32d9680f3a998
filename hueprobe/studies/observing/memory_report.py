"""Results, verdicts and notes of the observations of one memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from hueprobe.observations.accuracy.grid import AccuracyGrid
from hueprobe.observations.conditional.conditional import Conditional
from hueprobe.observations.conditional.mirrored import ContentOrPosition
from hueprobe.observations.energy import Energy
from hueprobe.observations.hue.hue import Hue
from hueprobe.observations.hue.relations import EnergyPosition, energy_position
from hueprobe.observations.locations.maps import Locations
from hueprobe.observations.table import OBSERVATIONS, Result
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.intervals import Interval


@dataclass(frozen=True, kw_only=True)
class MemoryReport:
    """Results for one memory; None for what was not requested or cannot be measured.

    Attributes
    ----------
    name : str
        Name of the memory's folder.
    network : str
        Name of the network.
    n_images : int
        Number of readable images in the memory.
    provenance : dict of str to str, default={}
        What the numbers depend on, in words: layer, weights, transform, K, searcher.
    seed : int, default=0
        Seed of permutations.
    energy, accuracy, locations, conditional, hue
        Results of the observations.
    content : ContentOrPosition or None
        Result of the control `mirror-queries`.
    verdicts : tuple of Verdict, default=()
        Verdicts on the claims.
    notes : tuple of str, default=()
        Reasons why something could not be measured.
    seconds : dict of str to float
        Time by stage, controls included: `extract` (the vectors of queries and of controls), `pool` (memories
        of pooled descriptors), `search` (opening searchers, too), `density`, and the statistics of each
        observation by its name. Stages that did not run are absent.

    See Also
    --------
    hueprobe.studies.observe_memory : Make a report of one memory.

    Examples
    --------
    >>> report = hp.observe(memory, "locations").memories[0]
    >>> report.name, report.n_images, list(report.results)
    ('memory', 12, ['locations'])
    """

    name: str
    network: str
    n_images: int
    provenance: dict[str, str] = field(default_factory=dict, repr=False)
    seed: int = 0
    energy: Energy | None = None
    accuracy: AccuracyGrid | None = None
    locations: Locations | None = None
    conditional: Conditional | None = None
    hue: Hue | None = None
    content: ContentOrPosition | None = None
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def results(self) -> dict[str, Result]:
        """Results by the observation's name."""
        found = {observation.name: getattr(self, observation.name) for observation in OBSERVATIONS}
        return {name: result for name, result in found.items() if result is not None}

    @cached_property
    def relation(self) -> EnergyPosition | None:
        """Whether classes match where their energy is; None without both observations."""
        if self.energy is None or self.locations is None:
            return None
        return energy_position(self.energy.centroids, self.locations.positions.points(), seed=self.seed)

    def numbers(self) -> Iterator[tuple[str, str, Interval]]:
        """Yield observation, name and interval of every headline number.

        Yields
        ------
        (str, str, Interval)
            Name of the observation, name of the number, and its interval.

        Examples
        --------
        >>> report = hp.observe(memory, "energy").memories[0]
        >>> [name for _, name, interval in report.numbers()]
        ['rho', 'symmetric share']
        """
        for observation, result in self.results.items():
            for name, interval in result.numbers().items():
                yield observation, name, interval
