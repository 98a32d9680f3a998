"""Observation 2: accuracy by network, descriptor, task and classifier, and whether `pixel` beats the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import InputError, ShapeError
from hueprobe.observations.table import Row
from hueprobe.observations.verdicts.evidence import Definitions
from hueprobe.observations.verdicts.rules import Verdict, finding
from hueprobe.stats.intervals import Interval, proportion_interval
from hueprobe.stats.paired import PairedComparison, compare_paired

BASELINE = "pixel"
CLASSIFIER = "kernel density"  # Eq. (1)-(3)


@dataclass(frozen=True)
class AccuracyRun:
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
    n_lone : int
        Further images, of classes of which they may match nothing: they could not be right, and are left out.
    """

    network: str
    descriptor: str
    task: str
    classifier: str
    images: tuple[str, ...]
    groups: tuple[str | None, ...]
    right: tuple[bool, ...]
    held_out: bool
    n_lone: int = 0

    def __post_init__(self) -> None:
        """Refuse columns of different lengths, and a run without images."""
        if not len(self.images) == len(self.groups) == len(self.right):
            raise ShapeError(
                f"{len(self.images)} images, {len(self.groups)} groups and {len(self.right)} answers; "
                "give one of each for each image"
            )
        if not self.images:
            alone = (
                f" that could be right (each of {self.n_lone} is alone in its class)" if self.n_lone else ""
            )
            raise InputError(
                f"no labeled image{alone} was classified for task {self.task!r}; give at least one"
            )

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
        return proportion_interval(sum(self.right), self.n)

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table row."""
        low, high = self.ci95
        return {
            "network": self.network,
            "descriptor": self.descriptor,
            "task": self.task,
            "classifier": self.classifier,
            "n": self.n,
            "alone in their class": self.n_lone,
            "accuracy": self.accuracy,
            "low": low,
            "high": high,
        }


@takes(Classification)
def accuracy_run(
    result: Classification,
    *,
    network: str,
    descriptor: str,
    task: str,
    classifier: str = CLASSIFIER,
    groups: Sequence[str | None] | None = None,
    predicted: Sequence[int] | None = None,
    held_out: bool = True,
) -> AccuracyRun:
    """Take a classification as a run, or other predictions for its images.

    Parameters
    ----------
    result : Classification
        Images without a class, of one that the memory lacks, or alone in theirs are left out.
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
    judged = result.judged
    return AccuracyRun(
        network=network,
        descriptor=descriptor,
        task=task,
        classifier=classifier,
        images=tuple(result.images[i] for i in judged),
        groups=tuple(groups[i] for i in judged),
        right=tuple(ids[str(result.true_class[i])] == int(answers[i]) for i in judged),
        held_out=held_out,
        n_lone=sum(name in ids for name in result.true_class) - len(judged),
    )


@dataclass(frozen=True)
class AccuracyGrid:
    """Runs of networks x descriptors x tasks x classifiers, each at most once.

    Attributes
    ----------
    runs : tuple of AccuracyRun
        In the order given.
    """

    runs: tuple[AccuracyRun, ...]

    def __post_init__(self) -> None:
        """Refuse a run that is there twice."""
        keys = [run.key for run in self.runs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise InputError(f"{' / '.join(twice[0])} is there twice; give each run once")

    def run(self, network: str, descriptor: str, task: str, classifier: str = CLASSIFIER) -> AccuracyRun:
        """Return one run.

        Parameters
        ----------
        network, descriptor, task, classifier : str
            As in the run; the classifier is Eq. (1)-(3) by default.

        Raises
        ------
        InputError
            There is no such run; the message lists those of the same task.
        """
        for run in self.runs:
            if run.key == (network, descriptor, task, classifier):
                return run
        there = [" / ".join(run.key) for run in self.runs if run.task == task]
        raise InputError(
            f"no accuracy of {network} / {descriptor} / {task} / {classifier}; there are: "
            f"{'; '.join(there) or 'none of this task'}"
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return a table row for each run."""
        return [run.row() for run in self.runs]

    def numbers(self) -> dict[str, Interval]:
        """Return every accuracy with its Wilson interval, by descriptor, classifier, task and network."""
        return {
            f"{run.descriptor}, {run.classifier}, {run.task}, {run.network}": Interval(
                run.accuracy, *run.ci95, standard_error=float("nan"), degrees=run.n - 1
            )
            for run in self.runs
        }

    def claims(
        self, *, memory: str = "memory", definitions: Definitions | None = None
    ) -> tuple[Verdict, ...]:
        """Return the verdict on claim 2, from the first run and the descriptors of its network and task."""
        first = self.runs[0]
        rivals = [
            comparison
            for comparison in self.comparisons(first.network, first.task)
            if comparison.second in {run.descriptor for run in self.runs}
        ]
        return (accuracy_claim(rivals, memory=memory, definitions=definitions),) if rivals else ()

    def tables(self) -> dict[str, list[Row]]:
        """Return a row for each run."""
        return {"accuracy": list(self.rows())}

    def comparisons(
        self, network: str, task: str, *, descriptor: str = BASELINE, classifier: str = CLASSIFIER
    ) -> tuple[PairedComparison, ...]:
        """Compare one run with every other run of its network and task.

        Parameters
        ----------
        network, task, descriptor, classifier : str
            The run that is compared.

        Returns
        -------
        tuple of PairedComparison
            The other is named by its descriptor, and by its classifier where that is another one.
        """
        first = self.run(network, descriptor, task, classifier)
        others = [run for run in self.runs if (run.network, run.task) == (network, task) and run is not first]
        return tuple(_compare(first, other) for other in others)


@takes(PairedComparison, several=True)
def accuracy_claim(
    comparisons: Sequence[PairedComparison], *, memory: str, definitions: Definitions | None = None
) -> Verdict:
    """Return the verdict on claim 2: `pixel` must beat every descriptor that it was compared with.

    Parameters
    ----------
    comparisons : sequence of PairedComparison
        Of `pixel` with each pooled or flattened descriptor (`AccuracyGrid.comparisons`); at least one.
    memory : str
        Name of the memory.
    definitions : mapping of str to Any, optional
        How it was measured.
    """
    nearest_first = sorted(comparisons, key=lambda comparison: comparison.difference.estimate)
    findings = tuple(
        finding(
            "2 pixel",
            comparison.difference,
            comparison.p,
            comparison.n_units,
            name=f"accuracy less that of {comparison.second}",
        )
        for comparison in nearest_first
    )
    tests = sorted({comparison.test for comparison in comparisons})
    definitions = {**(definitions or {}), "test": ", ".join(tests)}
    return Verdict(id="2 pixel", memory=memory, findings=findings, definitions=definitions)


def _compare(first: AccuracyRun, second: AccuracyRun) -> PairedComparison:
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
