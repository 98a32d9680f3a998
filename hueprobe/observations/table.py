"""The observations of the paper in one table, and the one form that their results have.

Report, command line, notebooks and documentation loop over this table. Each observation has a function
`measure` in its own room of `hueprobe.observations`; what it returns has the methods of `Result`, and
`hueprobe.plots.figures` draws it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hueprobe.observations.verdicts.rules import Verdict
    from hueprobe.stats.intervals import Interval

Row = Mapping[str, Any]


class Result(Protocol):
    """What every observation's result can say of itself."""

    def numbers(self) -> "dict[str, Interval]":
        """Return the headline numbers by name, each with its interval."""
        ...

    def claims(
        self, *, memory: str = "memory", definitions: Mapping[str, Any] | None = None
    ) -> "tuple[Verdict, ...]":
        """Return the verdicts on the paper's claims that the result speaks for."""
        ...

    def tables(self) -> "dict[str, list[Row]]":
        """Return further numbers as rows, by the name of the table that they belong to."""
        ...


@dataclass(frozen=True)
class Observation:
    """One observation of the paper.

    Attributes
    ----------
    name : str
        As on the command line; `hueprobe.observations` has a room of that name.
    title : str
        What is observed.
    claims : tuple of str
        Ids of the claims that it speaks for (`hueprobe.observations.verdicts.CLAIMS`).
    by_search : bool
        Whether it rests on a search, so that K, searcher and exclusion are part of what was measured.
    needs_memory : bool
        Whether it needs the memory itself, not only a table of its matches.
    under_controls : bool
        Whether it is measured again under controls.
    """

    name: str
    title: str
    claims: tuple[str, ...]
    by_search: bool = True
    needs_memory: bool = False
    under_controls: bool = True


OBSERVATIONS = (
    Observation(
        "energy", "activation energy about the image center", ("1a centre", "1b symmetry"),
        by_search=False, needs_memory=True,
    ),
    Observation("accuracy", "accuracy by descriptor", ("2 pixel",), needs_memory=True, under_controls=False),
    Observation("locations", "where matches land", ("3a centre", "3b angle", "3c border")),
    Observation(
        "conditional", "where matches land, given the query cell",
        ("4a stay", "4b spread", "4c tangential"),
    ),
    Observation("hue", "activation hue", ("5 hue",), needs_memory=True),
)  # fmt: skip
NAMES = tuple(observation.name for observation in OBSERVATIONS)

# Another way of looking at the same images, under which an observation is made again.
CONTROLS = {
    "random-weights": "the same network with random weights",
    "mirror-all": "every image mirrored left to right",
    "mirror-queries": "only the query images mirrored",
    "random-mirror": "each image mirrored or not, by a hash of its content",
    "shifted-crop": "the crop moved by a quarter of a cell to the right and down",
    "reflect-padding": "images padded by reflection before they are resized",
    "no-near-duplicates": "images that nearly repeat another left out",
}
