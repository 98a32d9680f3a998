"""Prediction sets by conformal p-values, and how often they hold the true class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from hueprobe.errors import InputError
from hueprobe.frames import to_frame
from hueprobe.html_tables import html_table
from hueprobe.stats.intervals import CONFIDENCE, Interval, unit_interval
from hueprobe.stats.permutation import TOLERANCE
from hueprobe.stats.shares import share_interval
from hueprobe.trust.groups import codes_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

LEVELS = (0.9, 0.95)
_EXACT = 1e-9  # 1 - 0.9 is not 0.1: levels are compared up to this


@dataclass(frozen=True)
class Coverage:
    """How often prediction sets of one level hold the true class.

    Attributes
    ----------
    level : float
        Level of the sets: the share of images that should be covered, at least.
    n, n_units : int
        Number of labeled test images, and of groups (images where there are no groups).
    share : Interval
        Share of images whose set holds their class, with its 95 % interval. With groups, each group counts
        once: the mean over groups of the share of the group's images.
    expected : (float, float) or None
        Where 95 % of measured shares lie for images without groups and without ties, by the numbers of
        calibration and test images alone; ties raise the share. None with groups.
    size : Interval
        Mean number of classes in a set.
    single, empty : float
        Share of sets with one class, and of those with none.
    """

    level: float
    n: int
    n_units: int
    share: Interval
    expected: tuple[float, float] | None
    size: Interval
    single: float
    empty: float


@dataclass(frozen=True, repr=False)
class ConformalPredictions:
    """Conformal p-values of n test images.

    Attributes
    ----------
    classes : tuple of str
        Class names, indexed by class id.
    images : tuple of str
        Path or name of each test image.
    groups : tuple of (str or None)
        Group of each.
    true_class : tuple of (str or None)
        Its true class, if given.
    judged : ndarray of int64, shape (n_judged,)
        Positions of the images that count for coverage: their class is in the memory and can be matched.
    nonconformity : ndarray of float64, shape (n, n_classes)
        Nonconformity with each class, from 0 to the number of memories.
    p_values : ndarray of float64, shape (n, n_classes)
        p-value of each class, above 0 and at most 1.
    n_calibration, n_calibration_units : int
        Number of calibration images, and of their groups (images where there are no groups).
    n_left_out : int
        Number of calibration images left out: without a class that the memory has and can match.
    n_memories : int
        Number of memories, the layers of Papernot and McDaniel.

    See Also
    --------
    hueprobe.trust.conformal_predictions : Makes them.
    hueprobe.plots.set_sizes : Draw the sizes of the prediction sets.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> found = hp.trust.conformal_predictions(result, classifier.classify("others"))
    >>> found
    ConformalPredictions(6 images, 3 classes, calibrated on 12 images, 1 memory)
    >>> sorted(found.numbers())[:3]
    ['accuracy', 'classes in a set at 90 %', 'classes in a set at 95 %']
    """

    classes: tuple[str, ...]
    images: tuple[str, ...]
    groups: tuple[str | None, ...]
    true_class: tuple[str | None, ...]
    judged: np.ndarray
    nonconformity: np.ndarray
    p_values: np.ndarray
    n_calibration: int
    n_calibration_units: int
    n_left_out: int
    n_memories: int

    def __len__(self) -> int:
        """Return the number of test images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Count images, classes and calibration images."""
        return f"ConformalPredictions({self._summary()})"

    def _summary(self) -> str:
        grouped = self.n_calibration_units < self.n_calibration
        units = f" of {self.n_calibration_units} groups" if grouped else ""
        memories = f"{self.n_memories} {'memory' if self.n_memories == 1 else 'memories'}"
        return (
            f"{len(self)} images, {len(self.classes)} classes, calibrated on {self.n_calibration} images"
            f"{units}, {memories}"
        )

    def _repr_html_(self) -> str:
        """Show coverage by level, for notebooks."""
        rows = [
            [f"{found.level:.0%}", _with_bounds(found.share), _with_bounds(found.size, 2)]
            for found in map(self.coverage, LEVELS)
            if found.n
        ]
        return html_table(["level", "coverage", "classes in a set"], rows, caption=self._summary())

    @property
    def predicted(self) -> np.ndarray:
        """Class id of the least nonconformity, the lowest in a tie, shape (n,); -1 where nothing voted."""
        if not self.classes:
            return np.full(len(self), -1)
        least = self.nonconformity.min(axis=1, keepdims=True)
        best = (self.nonconformity <= least + TOLERANCE).argmax(axis=1)
        return np.where(least[:, 0] < self.n_memories, best, -1)

    @property
    def credibility(self) -> np.ndarray:
        """Largest p-value of each image, shape (n,): small where the image fits no class of the memory."""
        largest: np.ndarray = self.p_values.max(axis=1)
        return largest

    @property
    def confidence(self) -> np.ndarray:
        """1 - the second largest p-value, shape (n,): large where all classes but one can be ruled out."""
        if len(self.classes) < 2:
            return np.ones(len(self))
        second: np.ndarray = np.sort(self.p_values, axis=1)[:, -2]
        return 1 - second

    def sets(self, level: float = 0.9) -> np.ndarray:
        """Return the prediction sets: the classes whose p-value is above 1 - level.

        Parameters
        ----------
        level : float, default=0.9
            Share of images to cover, between 0 and 1.

        Returns
        -------
        ndarray of bool, shape (n, n_classes)
            Whether each class is in the set of each image. A set may be empty.

        Raises
        ------
        InputError
            The level is not between 0 and 1.

        Examples
        --------
        >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
        >>> found = hp.trust.conformal_predictions(result, classifier.classify("others"))
        >>> found.sets(0.8).shape
        (6, 3)
        """
        if not 0 < level < 1:
            raise InputError(f"level {level} is not between 0 and 1; give for instance 0.9")
        kept: np.ndarray = self.p_values > 1 - level + _EXACT
        return kept

    def coverage(self, level: float = 0.9) -> Coverage:
        """Return how often the prediction sets of a level hold the true class.

        Parameters
        ----------
        level : float, default=0.9
            Share of images to cover, between 0 and 1.

        Returns
        -------
        Coverage
            Its numbers are NaN without labeled test images.

        Raises
        ------
        InputError
            The level is not between 0 and 1.

        Examples
        --------
        >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
        >>> found = hp.trust.conformal_predictions(result, classifier.classify("others"))
        >>> found.coverage(0.8).n
        6
        """
        sets = self.sets(level)[self.judged]
        numbers = {name: i for i, name in enumerate(self.classes)}
        truth = [numbers[str(self.true_class[i])] for i in self.judged]
        covered, sizes = sets[np.arange(len(truth)), truth], sets.sum(axis=1)
        codes = self._codes()
        n, n_units = len(truth), len(np.unique(codes))
        grouped = n_units < n or self.n_calibration_units < self.n_calibration
        return Coverage(
            level=level, n=n, n_units=n_units, share=share_interval(covered, codes, each_group_once=True),
            expected=None if grouped or not n else expected_coverage(level, self.n_calibration, n),
            size=unit_interval(sizes, np.ones(n), codes),
            single=float((sizes == 1).mean()) if n else np.nan,
            empty=float((sizes == 0).mean()) if n else np.nan,
        )  # fmt: skip

    def numbers(self) -> dict[str, Interval]:
        """Return coverage and size of the sets at 90 and 95 %, accuracy, mean credibility and confidence.

        Returns
        -------
        dict of str to Interval
            Over labeled test images whose class can be matched; intervals count groups.
        """
        codes, ones = self._codes(), np.ones(len(self.judged))
        found: dict[str, Interval] = {}
        for level in LEVELS:
            coverage = self.coverage(level)
            found[f"coverage at {level:.0%}".replace("%", " %")] = coverage.share
            found[f"classes in a set at {level:.0%}".replace("%", " %")] = coverage.size
        names = [None if c < 0 else self.classes[c] for c in self.predicted[self.judged]]
        right = np.array(
            [name == self.true_class[i] for i, name in zip(self.judged, names, strict=True)], bool
        )
        found["accuracy"] = share_interval(right, codes)
        found["credibility"] = unit_interval(self.credibility[self.judged], ones, codes)
        found["confidence"] = unit_interval(self.confidence[self.judged], ones, codes)
        return found

    def to_arrow(self) -> "pa.Table":
        """Return an Arrow table with one row per image.

        Returns
        -------
        pyarrow.Table
            Columns `image`, `group`, `class`, `predicted`, `credibility`, `confidence`, and `p: C` for each
            class C.
        """
        import pyarrow as pa

        names = [None if c < 0 else self.classes[c] for c in self.predicted]
        columns: dict[str, Any] = {
            "image": pa.array(self.images, pa.string()),
            "group": pa.array(self.groups, pa.string()),
            "class": pa.array(self.true_class, pa.string()),
            "predicted": pa.array(names, pa.string()),
            "credibility": self.credibility,
            "confidence": self.confidence,
        }
        for number, name in enumerate(self.classes):
            columns[f"p: {name}"] = np.ascontiguousarray(self.p_values[:, number])
        return pa.table(columns)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table of `to_arrow` as a data frame.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        return to_frame(self.to_arrow())

    def _codes(self) -> np.ndarray:
        return codes_of([self.images[i] for i in self.judged], [self.groups[i] for i in self.judged])


def expected_coverage(level: float, n_calibration: int, n: int) -> tuple[float, float]:
    """Return where 95 % of measured coverages lie for exchangeable images without ties.

    Given the calibration images, the coverage of further images follows a beta distribution, and the number
    of n test images that are covered a beta-binomial one.

    Parameters
    ----------
    level : float
        Level of the sets.
    n_calibration, n : int
        Number of calibration images and of test images.

    Examples
    --------
    >>> [round(share, 2) for share in expected_coverage(0.9, 199, 200)]
    [0.83, 0.95]
    """
    beyond = int(np.floor((1 - level) * (n_calibration + 1) + _EXACT))
    if beyond == 0:
        return 1.0, 1.0
    covered = stats.betabinom(n, n_calibration + 1 - beyond, beyond)
    return tuple(float(covered.ppf(q)) / n for q in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))  # type: ignore[return-value]


def _with_bounds(found: Interval, digits: int = 3) -> str:
    return f"{found.estimate:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"
