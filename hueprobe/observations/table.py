"""The paper's observations in one table, and the common interface of their results.

Report, command line, notebooks and documentation iterate over this table. Each observation has a function
`measure` in its own package of `hueprobe.observations`. Its return value has the methods of `Result`, and
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
    """Interface of every observation's result."""

    def numbers(self) -> "dict[str, Interval]":
        """Return the headline numbers by name, each with its interval."""
        ...

    def claims(
        self, *, memory: str = "memory", definitions: Mapping[str, Any] | None = None
    ) -> "tuple[Verdict, ...]":
        """Return the verdicts on the paper's claims that the result bears on."""
        ...

    def tables(self) -> "dict[str, list[Row]]":
        """Return further numbers as rows, by table name."""
        ...


@dataclass(frozen=True)
class Observation:
    """One observation of the paper.

    Attributes
    ----------
    name : str
        Name on the command line, and of its package in `hueprobe.observations`.
    title : str
        What is observed.
    claims : tuple of str
        Ids of the claims that it bears on (`hueprobe.observations.verdicts.CLAIMS`).
    by_search : bool, default=True
        Whether it uses a search, so that K, searcher and exclusion are part of its definition.
    needs_memory : bool, default=False
        Whether it needs the memory itself, not only a table of its matches.
    under_controls : bool, default=True
        Whether it is repeated under controls.
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

# Variants of the same images or network under which an observation is repeated.
CONTROLS = {
    "random-weights": "the same network with random weights",
    "mirror-all": "every image mirrored left to right",
    "mirror-queries": "only the query images mirrored",
    "random-mirror": "each image mirrored or not, by a hash of its content",
    "shifted-crop": "the crop moved by a quarter of a cell to the right and down",
    "reflect-padding": "images padded by reflection before they are resized",
    "no-near-duplicates": "images that nearly repeat another left out",
}
