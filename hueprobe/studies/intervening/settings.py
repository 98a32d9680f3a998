"""How interventions are made and measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hueprobe.arguments import as_count
from hueprobe.errors import InputError, require_choice
from hueprobe.observations.interventions.result import MARGIN
from hueprobe.observations.interventions.symmetries import parse_flips

_DOSES = (0.25, 0.5, 1.0)  # of the largest shift


@dataclass(frozen=True, kw_only=True)
class InterveneSettings:
    """Settings of an intervention.

    Attributes
    ----------
    flips : str or sequence of str, default="e,h,r,v"
        Flips of all images: `e` (as they are), `h` (left-right mirror), `r` (half turn), `v` (up-down
        mirror). `e` and one that reverses a coordinate are needed to separate content from network in it.
    shift : int, default=0
        Distance in pixels that the network sees, by which the images of each class are also moved, each class
        at its own angle; 0 for none. It measures how much of a motion of the content the estimators report.
    plant : bool, default=False
        Whether to move images by a quarter and half of `shift` as well, and to flip them at every dose.
    n_deals : int, default=20
        Number of deals of blocks.
    k : int, default=10
        Number of neighbors within a block.
    exclude : {"image", "group"}, default="image"
        What an image may not match: itself, or its group.
    margin : float, default=0.1
        Distance between classes that is too small to matter, in cells.
    seed : int, default=0
        Seed of the deals and permutations.
    n_permutations : int, default=10000
        Number of permutations, over all deals.
    keep : bool, default=False
        Whether the memories of flipped and moved images are kept; by default each is removed once it has been
        searched.
    weights : Path, optional
        Where the recorded weights file is now; by default its recorded path.
    device : str, default="auto"
        Where the network and the search run.
    workers : int, optional
        Number of threads that decode images; by default one per core, at most 16.

    See Also
    --------
    hueprobe.intervene : Makes an intervention.

    Examples
    --------
    >>> settings = hp.studies.InterveneSettings(flips="e,h,r", shift=32, plant=True)
    >>> settings.flips, settings.doses
    (('e', 'h', 'r'), (8.0, 16.0, 32.0))
    """

    flips: str | Sequence[str] = "e,h,r,v"
    shift: int = 0
    plant: bool = False
    n_deals: int = 20
    k: int = 10
    exclude: str = "image"
    margin: float = MARGIN
    seed: int = 0
    n_permutations: int = 10_000
    keep: bool = False
    weights: Path | None = None
    device: str = "auto"
    workers: int | None = None

    def __post_init__(self) -> None:
        """Refuse settings out of range."""
        object.__setattr__(self, "flips", parse_flips(self.flips))
        for name in ("k", "n_deals", "n_permutations"):
            object.__setattr__(self, name, as_count(name, getattr(self, name)))
        object.__setattr__(self, "shift", as_count("shift", self.shift, least=0))
        require_choice("exclude", self.exclude, ("image", "group"))
        if self.plant and not self.shift:
            raise InputError("there is no distance to plant; give shift, such as shift=32")
        if not self.margin > 0:
            raise InputError(f"margin is {self.margin}; give a distance in cells above 0, such as {MARGIN}")

    @property
    def doses(self) -> tuple[float, ...]:
        """Distances by which images are moved, in pixels, ascending."""
        if not self.shift:
            return ()
        return tuple(self.shift * part for part in (_DOSES if self.plant else _DOSES[-1:]))

    def flips_at(self, dose: float) -> tuple[str, ...]:
        """Return the flips that are searched at a dose: all, or none of moved images unless planted.

        Parameters
        ----------
        dose : float
            Distance in pixels; 0 for images that are not moved.

        Returns
        -------
        tuple of str
        """
        return tuple(self.flips) if dose == 0 or self.plant else ("e",)

    @property
    def definitions(self) -> dict[str, Any]:
        """Settings that a result records about how positions were found."""
        return {"k": self.k, "exclude": self.exclude, "searcher": "exact"}
