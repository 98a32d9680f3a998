"""Observation 2: accuracy by network, descriptor, task and classifier, and whether `pixel` beats the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from hueprobe.classification import Classification
from hueprobe.errors import InputError, ShapeError
from hueprobe.observations.accuracy.evaluation import wilson_interval
from hueprobe.observations.table import Row
from hueprobe.observations.verdicts.evidence import accuracy_claim
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.intervals import Interval
from hueprobe.stats.paired import PairedComparison, compare_paired

BASELINE = "pixel"
CLASSIFIER = "kernel density"  # Eq. (1)-(3)


@dataclass(frozen=True)
class AccuracyCell:
    """One classifier on one task.

    Attributes
    ----------
    network, descriptor, task, classifier : str
        What was classified by what; `task` names data and split.
    images : tuple of str
        Images of classes that the memory has, n long.
    groups : tuple of (str or None)
        Group of each.
    right : tuple of bool
        Whether each was classified right.
    held_out : bool
        Whether they are no part of the memory (otherwise leave-one-out).
    """

    network: str
    descriptor: str
    task: str
    classifier: str
    images: tuple[str, ...]
    groups: tuple[str | None, ...]
    right: tuple[bool, ...]
    held_out: bool

    def __post_init__(self) -> None:
        """Refuse columns of different lengths, and a cell without images."""
        if not len(self.images) == len(self.groups) == len(self.right):
            raise ShapeError(
                f"{len(self.images)} images, {len(self.groups)} groups and {len(self.right)} answers; "
                "give one of each for each image"
            )
        if not self.images:
            raise InputError(f"no labeled image was classified for task {self.task!r}; give at least one")

    @property
    def key(self) -> tuple[str, str, str, str]:
        """(network, descriptor, task, classifier)."""
        return self.network, self.descriptor, self.task, self.classifier

    @property
    def n(self) -> int:
        """Images."""
        return len(self.right)

    @property
    def accuracy(self) -> float:
        """Share of images classified right."""
        return sum(self.right) / self.n

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy; with groups it is too narrow."""
        return wilson_interval(sum(self.right), self.n)

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table row."""
        low, high = self.ci95
        return {
            "network": self.network,
            "descriptor": self.descriptor,
            "task": self.task,
            "classifier": self.classifier,
            "n": self.n,
            "accuracy": self.accuracy,
            "low": low,
            "high": high,
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "AccuracyCell":
        """Return the cell that `to_json` gave."""
        names = {field.name for field in fields(cls)}
        if set(document) != names:
            raise InputError(
                f"an accuracy cell has the fields {sorted(names)}, this document has {sorted(document)}"
            )
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
        }
        columns: dict[str, set[type]] = {"images": {str}, "groups": {str, type(None)}, "right": {bool}}
        wrong = [
            name
            for name, value in values.items()
            if not (
                isinstance(value, tuple) and {type(item) for item in value} <= columns[name]
                if name in columns
                else type(value) is (bool if name == "held_out" else str)
            )
        ]
        if wrong:
            raise InputError(f"{wrong[0]} of an accuracy cell is {str(values[wrong[0]])[:80]!r}")
        return cls(**values)


def accuracy_cell(
    result: Classification,
    *,
    network: str,
    descriptor: str,
    task: str,
    classifier: str = CLASSIFIER,
    groups: Sequence[str | None] | None = None,
    predicted: Sequence[int] | None = None,
    held_out: bool = True,
) -> AccuracyCell:
    """Return the cell of a classification, or of other predictions for its images.

    Parameters
    ----------
    result : Classification
        Images without a class, or of one that the memory lacks, are left out.
    network, descriptor, task, classifier : str
        What was classified by what.
    groups : sequence of (str or None), length n, optional
        Group of each image of the result.
    predicted : sequence of int, length n, optional
        Class ids of another classifier; those of the result by default.
    held_out : bool
        Whether the images are no part of the memory.
    """
    answers = result.predicted if predicted is None else predicted
    groups = (None,) * len(result.images) if groups is None else groups
    if not len(answers) == len(groups) == len(result.images):
        raise ShapeError(
            f"{len(answers)} predictions and {len(groups)} groups for {len(result.images)} images; "
            "give one for each"
        )
    ids = {name: number for number, name in enumerate(result.classes)}
    known = [i for i, name in enumerate(result.true_class) if name in ids]
    return AccuracyCell(
        network=network,
        descriptor=descriptor,
        task=task,
        classifier=classifier,
        images=tuple(result.images[i] for i in known),
        groups=tuple(groups[i] for i in known),
        right=tuple(ids[str(result.true_class[i])] == int(answers[i]) for i in known),
        held_out=held_out,
    )


@dataclass(frozen=True)
class AccuracyGrid:
    """Cells of networks x descriptors x tasks x classifiers, each at most once.

    Attributes
    ----------
    cells : tuple of AccuracyCell
        In the order given.
    """

    cells: tuple[AccuracyCell, ...]

    def __post_init__(self) -> None:
        """Refuse a cell that is there twice."""
        keys = [cell.key for cell in self.cells]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise InputError(f"{' / '.join(twice[0])} is there twice; give each cell once")

    def cell(self, network: str, descriptor: str, task: str, classifier: str = CLASSIFIER) -> AccuracyCell:
        """Return one cell.

        Raises
        ------
        InputError
            There is no such cell; the message lists those of the same task.
        """
        for cell in self.cells:
            if cell.key == (network, descriptor, task, classifier):
                return cell
        there = [" / ".join(cell.key) for cell in self.cells if cell.task == task]
        raise InputError(
            f"no accuracy of {network} / {descriptor} / {task} / {classifier}; there are: "
            f"{'; '.join(there) or 'none of this task'}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a table row for each cell."""
        return [cell.row() for cell in self.cells]

    def numbers(self) -> dict[str, Interval]:
        """Return every accuracy with its Wilson interval, by descriptor, classifier, task and network."""
        return {
            f"{cell.descriptor}, {cell.classifier}, {cell.task}, {cell.network}": Interval(
                cell.accuracy, *cell.ci95, standard_error=float("nan"), degrees=cell.n - 1
            )
            for cell in self.cells
        }

    def claims(
        self, *, memory: str = "memory", definitions: Mapping[str, Any] | None = None
    ) -> tuple[Verdict, ...]:
        """Return the verdict on claim 2, from the first cell and the descriptors of its network and task."""
        first = self.cells[0]
        rivals = [
            comparison
            for comparison in self.comparisons(first.network, first.task)
            if comparison.second in {cell.descriptor for cell in self.cells}
        ]
        return (accuracy_claim(rivals, memory=memory, definitions=definitions),) if rivals else ()

    def tables(self) -> dict[str, list[Row]]:
        """Return a row for each cell."""
        return {"accuracy": list(self.rows())}

    def comparisons(
        self, network: str, task: str, *, descriptor: str = BASELINE, classifier: str = CLASSIFIER
    ) -> tuple[PairedComparison, ...]:
        """Compare one cell with every other cell of its network and task.

        Parameters
        ----------
        network, task, descriptor, classifier : str
            The cell that is compared.

        Returns
        -------
        tuple of PairedComparison
            A rival is named by its descriptor, and by its classifier where that is another one.
        """
        first = self.cell(network, descriptor, task, classifier)
        rivals = [
            cell for cell in self.cells if (cell.network, cell.task) == (network, task) and cell is not first
        ]
        return tuple(_compare(first, rival) for rival in rivals)


def _compare(first: AccuracyCell, second: AccuracyCell) -> PairedComparison:
    if first.images != second.images:
        raise InputError(
            f"{' / '.join(first.key)} and {' / '.join(second.key)} were not asked the same images in the "
            "same order; evaluate both on one list"
        )
    other = second.descriptor if second.classifier == first.classifier else ""
    other = other or f"{second.descriptor}, {second.classifier}"
    return compare_paired(
        np.array(first.right),
        np.array(second.right),
        names=(first.descriptor, other),
        groups=first.groups,
        held_out=first.held_out and second.held_out,
    )
