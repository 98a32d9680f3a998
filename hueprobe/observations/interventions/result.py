"""Does a class have an angle, and is it the content's or the network's? The answer by intervention.

All images, those of the memory and the queries, are flipped alike. Class positions that follow the content
flip with them (o), those that belong to the network stay (n); see `.symmetries`. Both are tested by the
blocked replicate test, averaged over many deals of blocks; see `.averaged`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hueprobe.archives import read_archive, write_archive
from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.frames import to_frame
from hueprobe.html_tables import html_table
from hueprobe.json_documents import plain
from hueprobe.observations.interventions.averaged import UNKNOWN
from hueprobe.observations.interventions.conclusion import Conclusion, angle_findings, conclude
from hueprobe.observations.interventions.doses import DoseResponse, Planted, respond
from hueprobe.observations.interventions.image_positions import ImagePositions
from hueprobe.observations.interventions.records import (
    dose_row,
    response_record,
    separation_record,
    vector_rows,
)
from hueprobe.observations.interventions.separation import PARTS, Part, Separation, content_in_cells, separate
from hueprobe.observations.interventions.symmetries import parse_flips
from hueprobe.observations.table import Row
from hueprobe.observations.verdicts.findings import p_text, range_text
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.intervals import Interval

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.1
WORDS = {"as_is": "as is", "content": "content-locked", "network": "network-locked"}
FORMAT = 1
_SETTINGS = ("margin", "seed", "n_permutations", "memory", "network", "definitions")
_COLUMNS = ("estimator", "what", "value", "95 %", "p")


@dataclass(frozen=True, eq=False, repr=False)
class Interventions:
    """Result of `measure`.

    Attributes
    ----------
    positions : ImagePositions
        What it was measured from.
    planted : tuple of Planted
        Positions of images moved by known distances, at each dose; empty if none were.
    margin : float
        Distance between classes that is too small to matter, in cells.
    seed, n_permutations : int
        Of the permutation tests.
    memory, network : str
        Name of the memory, and of the network; empty if unknown.
    definitions : mapping of str to Any
        How the positions were found: K, exclusion.
    separations : dict of str to Separation
        Both parts of the class positions, by estimator.
    responses : dict of str to DoseResponse
        Response to the planted doses, by estimator; empty without doses.

    See Also
    --------
    hueprobe.intervene : Make one from a memory.
    hueprobe.plots.figures : Figures of the result.

    Examples
    --------
    >>> angles = np.radians([90, 210, 330])
    >>> content = 0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> found = hp.observations.interventions.measure(
    ...     hp.observations.interventions.simulate(content, 0 * content, n_images=40, seed=0)
    ... )
    >>> found.conclusion.verdict
    'content-locked angle'
    >>> list(found.numbers())[:3]
    ['energy, as is', 'energy, content-locked', 'energy, content-locked, u']
    """

    positions: ImagePositions
    planted: tuple[Planted, ...]
    margin: float
    seed: int
    n_permutations: int
    separations: dict[str, Separation]
    responses: dict[str, DoseResponse]
    memory: str = "memory"
    network: str = ""
    definitions: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the memory, the flips and the verdict."""
        flips = ",".join(self.positions.flips)
        return f"<Interventions on {self.memory}, flips {flips}: {self.conclusion.verdict}>"

    @property
    def conclusion(self) -> Conclusion:
        """The verdict, by the first estimator."""
        return conclude(next(iter(self.separations.values())), margin=self.margin)

    def claims(self, *, memory: str | None = None) -> tuple[Verdict, ...]:
        """Return the verdict on claim 3b, by the first estimator.

        It holds if content-locked positions differ between classes along two axes; for two classes, which
        lie on one line, if they differ.

        Parameters
        ----------
        memory : str, optional
            Name of the memory, for the verdict. By default the recorded one.

        Returns
        -------
        tuple of Verdict
            One verdict.

        See Also
        --------
        hueprobe.observations.verdicts.verdicts_json : Write verdicts to JSON.

        Examples
        --------
        >>> up = [(0, 0.5), (0, -0.5), (0, 0)]
        >>> found = hp.observations.interventions.measure(
        ...     hp.observations.interventions.simulate(up, [(0, 0)] * 3, n_images=40, seed=0)
        ... )
        >>> (verdict,) = found.claims()
        >>> verdict.id, verdict.verdict == "holds", verdict.deciding.name
        ('3b angle', False, 'content-locked distance across the major axis')
        """
        estimator, found = next(iter(self.separations.items()))
        definitions = {
            **self.definitions, "estimator": estimator, "flips": ",".join(self.positions.flips),
            "classes": len(found.classes), "conclusion": self.conclusion.verdict,
        }  # fmt: skip
        findings = angle_findings(found, margin=self.margin, n=found.n_images)
        name = self.memory if memory is None else memory
        return (
            Verdict(id="3b angle", memory=name, findings=findings, decided=True, definitions=definitions),
        )

    def content_cells(self, estimator: str) -> Interval:
        """Return the content-locked distance between classes in cells of content, by the measured slopes.

        Parameters
        ----------
        estimator : str
            One of `positions.estimators`.

        Returns
        -------
        Interval
            Its width is that of the distance alone: the slopes count as known. NaN without a dose, or if a
            slope is not clearly above 0.
        """
        slopes = self.responses[estimator].slope if estimator in self.responses else (UNKNOWN, UNKNOWN)
        if not all(slope.low > 0 for slope in slopes):
            return UNKNOWN
        return content_in_cells(self.positions, estimator, (slopes[0].estimate, slopes[1].estimate))

    def numbers(self) -> dict[str, Interval]:
        """Return the distances between classes in cells, and the network's share, by estimator.

        Returns
        -------
        dict of str to Interval
        """
        numbers = {}
        for estimator, found in self.separations.items():
            numbers[f"{estimator}, as is"] = found.as_is.effect
            for name in PARTS[1:]:
                part: Part = getattr(found, name)
                for axis, interval in (("", part.effect), (", u", part.u), (", v", part.v)):
                    numbers[f"{estimator}, {WORDS[name]}{axis}"] = interval
            if found.major is not None and found.minor is not None:
                numbers[f"{estimator}, content-locked, major axis"] = found.major
                numbers[f"{estimator}, content-locked, minor axis"] = found.minor
            numbers[f"{estimator}, network's share of the square"] = found.network_share
            if estimator in self.responses:
                slopes = self.responses[estimator].slope
                numbers[f"{estimator}, cells per cell of content, u"] = slopes[0]
                numbers[f"{estimator}, cells per cell of content, v"] = slopes[1]
                numbers[f"{estimator}, content-locked, in cells of content"] = self.content_cells(estimator)
        return numbers

    def tables(self) -> dict[str, list[Row]]:
        """Return the vector of each class in each part, and the response to each dose.

        Returns
        -------
        dict of str to list of dict
            Rows of `class_vectors`, and of `doses` if there are any.
        """
        tables: dict[str, list[Row]] = {"class_vectors": [], "doses": []}
        for estimator, found in self.separations.items():
            for name in PARTS:
                rows = vector_rows(found.classes, getattr(found, name))
                tables["class_vectors"] += [
                    {"estimator": estimator, "part": WORDS[name], **row} for row in rows
                ]
        for estimator, response in self.responses.items():
            tables["doses"] += [{"estimator": estimator, **dose_row(dose)} for dose in response.doses]
        return {name: rows for name, rows in tables.items() if rows}

    def to_json(self) -> dict[str, Any]:
        """Return all numbers as JSON values; None for unknown ones.

        Returns
        -------
        dict
            The document of `interventions.json`.
        """
        conclusion = self.conclusion
        estimators = {}
        for name, found in self.separations.items():
            response = None
            if name in self.responses:
                response = response_record(self.responses[name], self.content_cells(name))
            estimators[name] = {**separation_record(found), "response": response}
        document: dict[str, Any] = plain(
            {
                "memory": self.memory,
                "network": self.network,
                "definitions": dict(self.definitions),
                "flips": self.positions.flips,
                "deals": len(self.positions.block),
                "blocks": self.positions.n_blocks,
                "n_permutations": self.n_permutations,
                "seed": self.seed,
                "margin": self.margin,
                "verdict": conclusion.verdict,
                "text": conclusion.text,
                "needed": conclusion.needed,
                "estimators": estimators,
            }
        )
        return document

    def save(self, path: str | Path) -> None:
        """Write the positions of all images and the settings to a file (.npz).

        Parameters
        ----------
        path : path
            File to write; it appears complete or not at all.

        See Also
        --------
        hueprobe.observations.interventions.Interventions.load : Read the file.
        """
        sets = [self.positions, *(one.positions for one in self.planted)]
        header = {
            "format": FORMAT,
            "positions": [one.header() for one in sets],
            "pixels": [one.pixels for one in self.planted],
            "margin": self.margin, "seed": self.seed, "n_permutations": self.n_permutations,
            "memory": self.memory, "network": self.network, "definitions": dict(self.definitions),
        }  # fmt: skip
        arrays = {f"{i} {name}": array for i, one in enumerate(sets) for name, array in one.arrays().items()}
        arrays |= {f"{i + 1} displacement": one.displacement for i, one in enumerate(self.planted)}
        write_archive(Path(path), header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Interventions":
        """Read a file that `save` wrote, and measure again: the same seed gives the same numbers.

        Parameters
        ----------
        path : path
            File to read.

        Returns
        -------
        Interventions

        Raises
        ------
        InputError
            There is no such file, or it holds something else.

        Examples
        --------
        >>> up = [(0, 0.5), (0, -0.5), (0, 0)]
        >>> found = hp.observations.interventions.measure(
        ...     hp.observations.interventions.simulate(up, [(0, 0)] * 3, n_images=20, seed=0)
        ... )
        >>> found.save("interventions.npz")
        >>> again = hp.observations.interventions.Interventions.load("interventions.npz")
        >>> again.to_json() == found.to_json()
        True
        """
        header, arrays = read_archive(Path(path), "interventions")
        try:
            if header["format"] != FORMAT:
                raise ValueError(f"its format is {header['format']!r}, this version reads {FORMAT}")
            base, *moved = (
                ImagePositions.of_parts(
                    one, {name.split(" ", 1)[1]: a for name, a in arrays.items() if name.startswith(f"{i} ")}
                )
                for i, one in enumerate(header["positions"])
            )
            planted = [
                Planted(pixels, arrays[f"{i + 1} displacement"], positions)
                for i, (pixels, positions) in enumerate(zip(header["pixels"], moved, strict=True))
            ]
            settings = {name: header[name] for name in _SETTINGS}
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path} holds no saved interventions ({error}); save them again") from error
        return measure(base, planted=planted, **settings)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a data frame with one row per number.

        Returns
        -------
        pandas.DataFrame
            Columns `number`, `value`, `low`, `high` and `p`.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        import pyarrow as pa

        rows = [
            {"number": name, "value": one.estimate, "low": one.low, "high": one.high, "p": one.p_value}
            for name, one in self.numbers().items()
        ]
        return to_frame(pa.Table.from_pylist(rows))

    def _repr_html_(self) -> str:
        rows = [
            (*name.split(", ", 1), f"{one.estimate:.3f}", range_text(one.low, one.high), _p(one))
            for name, one in self.numbers().items()
            if one.estimate == one.estimate
        ]
        return html_table(_COLUMNS, rows, caption=self.conclusion.text)


@takes(ImagePositions)
def measure(
    positions: ImagePositions,
    *,
    planted: Sequence[Planted] = (),
    margin: float = MARGIN,
    seed: int = 0,
    n_permutations: int = 10_000,
    memory: str = "memory",
    network: str = "",
    definitions: Mapping[str, Any] | None = None,
) -> Interventions:
    """Split class positions into content and network, and judge them.

    Parameters
    ----------
    positions : ImagePositions
        Positions of the images' same-class matches under the flips.
    planted : sequence of Planted, default=()
        Positions of images that were moved by known distances.
    margin : float, default=0.1
        Distance between classes that is too small to matter, in cells.
    seed : int, default=0
        Seed of the permutations.
    n_permutations : int, default=10000
        Number of permutations, over all deals; p is at least 1 / (n_permutations + 1).
    memory : str, default="memory"
        Name of the memory, to be recorded.
    network : str, default=""
        Name of the network, to be recorded.
    definitions : mapping of str to Any, optional
        How the positions were found, to be recorded.

    Returns
    -------
    Interventions

    Raises
    ------
    InputError
        The margin is not above 0, or the flips separate nothing.

    See Also
    --------
    hueprobe.intervene : Find the positions of a memory, and measure them.

    Examples
    --------
    Classes that lie up or down because of their content, and left or right because of the network:

    >>> up, right = np.array([[0, 0.5], [0, -0.5], [0, 0]]), np.array([[0.3, 0], [0, 0], [-0.3, 0]])
    >>> found = hp.observations.interventions.measure(
    ...     hp.observations.interventions.simulate(up, right, n_images=60, seed=0)
    ... )
    >>> found.conclusion.verdict
    'content-locked lean up-down'
    >>> energy = found.separations["energy"]
    >>> energy.network.u.p_value < 0.01, energy.content.u.p_value > 0.05
    (True, True)
    """
    if not margin > 0:
        raise InputError(f"margin is {margin}; give a distance in cells above 0, such as {MARGIN}")
    parse_flips(positions.flips)
    separations = {
        name: separate(positions, name, seed=seed, n_permutations=n_permutations)
        for name in positions.estimators
    }
    responses = {name: respond(positions, planted, name) for name in positions.estimators} if planted else {}
    return Interventions(
        positions, tuple(planted), float(margin), seed, n_permutations, separations, responses, memory,
        network, dict(definitions or {}),
    )  # fmt: skip


def _p(found: Interval) -> str:
    return "" if found.p_value is None else p_text(found.p_value)
