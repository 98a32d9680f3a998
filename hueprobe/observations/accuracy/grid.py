"""Observation 2: accuracy by network, descriptor, task and classifier, and whether `pixel` is best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import InputError, ShapeError
from hueprobe.observations.table import Row
from hueprobe.observations.verdicts.evidence import Definitions
from hueprobe.observations.verdicts.findings import finding
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.intervals import Interval, proportion_interval
from hueprobe.stats.paired import PairedComparison, compare_paired

BASELINE = "pixel"
CLASSIFIER = "kernel density"  # Eq. (1)-(3)


@dataclass(frozen=True)
class AccuracyRun:
    """Answers of one classifier on one task.

    Attributes
    ----------
    network, descriptor, task, classifier : str
        Names of the network, descriptor, task and classifier; `task` names data and split.
    images : tuple of str
        Images of classes that the memory has, n long.
    groups : tuple of (str or None)
        Group of each image.
    right : tuple of bool
        Whether each image was classified correctly.
    held_out : bool
        Whether the images are outside the memory; False for leave-one-out.
    n_lone : int, default=0
        Number of further images without a possible match of their class. They could not be classified
        correctly and are left out.

    See Also
    --------
    hueprobe.observations.accuracy.accuracy_run : Make a run from a classification.

    Examples
    --------
    >>> run = hp.observations.accuracy.accuracy_run(
    ...     result, network="tiny", descriptor="pixel", task="shapes", held_out=False
    ... )
    >>> run.n, run.key
    (12, ('tiny', 'pixel', 'shapes', 'kernel density'))
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
        """Reject columns of different lengths, and a run without images."""
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
        """Number of images."""
        return len(self.right)

    @property
    def accuracy(self) -> float:
        """Share of images classified correctly."""
        return sum(self.right) / self.n

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy; too narrow if images form groups."""
        return proportion_interval(sum(self.right), self.n)

    def row(self) -> dict[str, Any]:
        """Return the numbers of a table row.

        Returns
        -------
        dict
            Names, number of images, accuracy and its interval.

        Examples
        --------
        >>> run = hp.observations.accuracy.accuracy_run(
        ...     result, network="tiny", descriptor="pixel", task="shapes", held_out=False
        ... )
        >>> row = run.row()
        >>> row["n"], row["low"] < row["accuracy"] < row["high"]
        (12, True)
        """
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
    """Return a classification, or other predictions for its images, as a run.

    Parameters
    ----------
    result : Classification
        Classification of the images. Images are left out if they have no class, a class that the memory does
        not have, or no possible match of their class.
    network, descriptor, task : str
        Names of the network, the descriptor and the task.
    classifier : str, default="kernel density"
        Name of the classifier.
    groups : sequence of (str or None), length n, optional
        Group of each image of the result; by default there are no groups.
    predicted : sequence of int, length n, optional
        Class ids predicted by another classifier; those of the result by default.
    held_out : bool, default=True
        Whether the images are outside the memory; False for leave-one-out.

    Returns
    -------
    AccuracyRun
        Answers to the images that could be classified correctly.

    Raises
    ------
    InputError, ShapeError
        No image is left; there is not one prediction and one group for each image.

    See Also
    --------
    hueprobe.observations.accuracy.AccuracyGrid : Runs to compare.
    hueprobe.observations.accuracy.evaluate : Accuracy per class and confusion.

    Examples
    --------
    >>> run = hp.observations.accuracy.accuracy_run(
    ...     result, network="tiny", descriptor="pixel", task="shapes", held_out=False
    ... )
    >>> run.accuracy == hp.observations.accuracy.evaluate(result).overall.accuracy
    True
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
        Runs in the order given.

    See Also
    --------
    hueprobe.studies.accuracy_grid : Make the runs of one memory.

    Examples
    --------
    >>> names = {"network": "tiny", "task": "shapes", "held_out": False}
    >>> pixel = hp.observations.accuracy.accuracy_run(result, descriptor="pixel", **names)
    >>> other = hp.observations.accuracy.accuracy_run(
    ...     result, descriptor="gap", predicted=np.zeros(12, int), **names
    ... )
    >>> grid = hp.observations.accuracy.AccuracyGrid((pixel, other))
    >>> round(grid.run("tiny", "gap", "shapes").accuracy, 3)
    0.333
    """

    runs: tuple[AccuracyRun, ...]

    def __post_init__(self) -> None:
        """Reject a run that is given twice."""
        keys = [run.key for run in self.runs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise InputError(f"{' / '.join(twice[0])} is given twice; give each run once")

    def run(self, network: str, descriptor: str, task: str, classifier: str = CLASSIFIER) -> AccuracyRun:
        """Return one run.

        Parameters
        ----------
        network, descriptor, task : str
            Names of the network, the descriptor and the task.
        classifier : str, default="kernel density"
            Name of the classifier; the default is Eq. (1)-(3).

        Returns
        -------
        AccuracyRun
            The run of these names.

        Raises
        ------
        InputError
            There is no such run; the message lists those of the same task.

        Examples
        --------
        >>> run = hp.observations.accuracy.accuracy_run(
        ...     result, network="tiny", descriptor="pixel", task="shapes", held_out=False
        ... )
        >>> grid = hp.observations.accuracy.AccuracyGrid((run,))
        >>> grid.run("tiny", "pixel", "shapes").n
        12
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
        """Return a table row for each run.

        Returns
        -------
        list of dict
            One row per run, as in `AccuracyRun.row`.

        Examples
        --------
        >>> run = hp.observations.accuracy.accuracy_run(
        ...     result, network="tiny", descriptor="pixel", task="shapes", held_out=False
        ... )
        >>> [row["descriptor"] for row in hp.observations.accuracy.AccuracyGrid((run,)).rows()]
        ['pixel']
        """
        return [run.row() for run in self.runs]

    def numbers(self) -> dict[str, Interval]:
        """Return every accuracy with its Wilson interval, by descriptor, classifier, task and network.

        Returns
        -------
        dict of str to Interval
            Accuracies by name.

        Examples
        --------
        >>> run = hp.observations.accuracy.accuracy_run(
        ...     result, network="tiny", descriptor="pixel", task="shapes", held_out=False
        ... )
        >>> list(hp.observations.accuracy.AccuracyGrid((run,)).numbers())
        ['pixel, kernel density, shapes, tiny']
        """
        return {
            f"{run.descriptor}, {run.classifier}, {run.task}, {run.network}": Interval(
                run.accuracy, *run.ci95, standard_error=float("nan"), degrees=run.n - 1
            )
            for run in self.runs
        }

    def claims(
        self, *, memory: str = "memory", definitions: Definitions | None = None
    ) -> tuple[Verdict, ...]:
        """Return the verdict on claim 2, from the first run and the descriptors of its network and task.

        Comparisons with other classifiers (K tuned, logistic regression, nearest class mean) are recorded
        beside it, in its definitions.

        Parameters
        ----------
        memory : str, default="memory"
            Name of the memory, for the verdict.
        definitions : mapping of str to Any, optional
            How the result was measured, to be recorded with the verdict.

        Returns
        -------
        tuple of Verdict
            One verdict; none if there is nothing to compare with.

        Examples
        --------
        >>> names = {"network": "tiny", "task": "shapes", "held_out": False}
        >>> pixel = hp.observations.accuracy.accuracy_run(result, descriptor="pixel", **names)
        >>> other = hp.observations.accuracy.accuracy_run(
        ...     result, descriptor="gap", predicted=np.zeros(12, int), **names
        ... )
        >>> (verdict,) = hp.observations.accuracy.AccuracyGrid((pixel, other)).claims(memory="shapes")
        >>> verdict.findings[0].name
        'accuracy less that of gap'
        """
        first = self.runs[0]
        descriptors = {run.descriptor for run in self.runs}
        compared = self.comparisons(first.network, first.task)
        rivals = [comparison for comparison in compared if comparison.second in descriptors]
        beside = {
            f"accuracy less that of {one.second}": finding(
                "2 pixel", one.difference, one.p, one.n_units
            ).to_json()
            for one in compared
            if one.second not in descriptors
        }
        if not rivals:
            return ()
        definitions = {**(definitions or {}), **({"other classifiers": beside} if beside else {})}
        return (accuracy_claim(rivals, memory=memory, definitions=definitions),)

    def tables(self) -> dict[str, list[Row]]:
        """Return a row for each run, in a table `accuracy`."""
        return {"accuracy": list(self.rows())}

    def comparisons(
        self, network: str, task: str, *, descriptor: str = BASELINE, classifier: str = CLASSIFIER
    ) -> tuple[PairedComparison, ...]:
        """Compare one run with every other run of its network and task.

        Parameters
        ----------
        network, task : str
            Names of the network and the task.
        descriptor : str, default="pixel"
            Descriptor of the run that is compared.
        classifier : str, default="kernel density"
            Classifier of the run that is compared.

        Returns
        -------
        tuple of PairedComparison
            One per other run, named by its descriptor, and by its classifier if that differs.

        See Also
        --------
        hueprobe.stats.compare_paired : The test.

        Examples
        --------
        >>> names = {"network": "tiny", "task": "shapes", "held_out": False}
        >>> pixel = hp.observations.accuracy.accuracy_run(result, descriptor="pixel", **names)
        >>> other = hp.observations.accuracy.accuracy_run(
        ...     result, descriptor="gap", predicted=np.zeros(12, int), **names
        ... )
        >>> grid = hp.observations.accuracy.AccuracyGrid((pixel, other))
        >>> (found,) = grid.comparisons("tiny", "shapes")
        >>> found.second, found.n, found.test
        ('gap', 12, 'sign-flip')
        """
        first = self.run(network, descriptor, task, classifier)
        others = [run for run in self.runs if (run.network, run.task) == (network, task) and run is not first]
        return tuple(_compare(first, other) for other in others)


@takes(PairedComparison, several=True)
def accuracy_claim(
    comparisons: Sequence[PairedComparison], *, memory: str, definitions: Definitions | None = None
) -> Verdict:
    """Return the verdict on claim 2: `pixel` must be more accurate than every other descriptor.

    Parameters
    ----------
    comparisons : sequence of PairedComparison
        Comparisons of `pixel` with each pooled or flattened descriptor (`AccuracyGrid.comparisons`); at least
        one.
    memory : str
        Name of the memory.
    definitions : mapping of str to Any, optional
        How the result was measured, to be recorded with the verdict.

    Returns
    -------
    Verdict
        Verdict with one finding per comparison, the smallest difference first.

    See Also
    --------
    hueprobe.observations.accuracy.AccuracyGrid.claims : The verdict from a grid of runs.

    Examples
    --------
    >>> second = np.arange(20) >= 6
    >>> found = hp.stats.compare_paired(np.ones(20, bool), second, names=("pixel", "gap"))
    >>> verdict = hp.observations.accuracy.accuracy_claim([found], memory="shapes")
    >>> verdict.findings[0].name, verdict.verdict
    ('accuracy less that of gap', 'holds')
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
            f"{' / '.join(first.key)} and {' / '.join(second.key)} were not evaluated on the same images in "
            "the same order; evaluate both on one list"
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
