"""How well scores tell outside images, unlike those of the memory, from inside ones."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.frames import to_frame
from hueprobe.html_tables import html_table
from hueprobe.stats.intervals import Interval
from hueprobe.stats.roc import RESAMPLES, auroc, fpr_at_tpr, threshold_at_tpr
from hueprobe.trust.scores import ImageScores

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

TPR = 0.95  # share of inside images that are accepted


@dataclass(frozen=True)
class ScoreDetection:
    """How well one score tells outside images from inside ones.

    Attributes
    ----------
    name : str
        Name of the score.
    inside, outside : ndarray of float64, shape (n_inside,) and (n_outside,)
        The scores.
    auroc : Interval
        Probability that an outside image has the larger score, ties counted half, with DeLong's interval.
    fpr95 : Interval
        Share of outside images accepted where 95 % of inside images are, with its bootstrap interval.
    threshold : float
        Largest score that is accepted there.
    """

    name: str
    inside: np.ndarray
    outside: np.ndarray
    auroc: Interval
    fpr95: Interval
    threshold: float


@dataclass(frozen=True, repr=False)
class OutsideDetection:
    """How well each score tells outside images from inside ones.

    Attributes
    ----------
    inside_images, outside_images : tuple of str
        The images.
    by_score : dict of str to ScoreDetection
        By name of the score.

    See Also
    --------
    hueprobe.trust.detect_outside : Computes it.
    hueprobe.plots.outside_figure : Draws it.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> outside = hp.trust.image_scores(classifier.classify("others"))
    >>> hp.trust.detect_outside(hp.trust.image_scores(result), outside)
    OutsideDetection(12 inside and 6 outside images, 4 scores)
    """

    inside_images: tuple[str, ...]
    outside_images: tuple[str, ...]
    by_score: dict[str, ScoreDetection]

    def __repr__(self) -> str:
        """Count images and scores."""
        return f"OutsideDetection({self._summary()}, {len(self.by_score)} scores)"

    def _summary(self) -> str:
        return f"{len(self.inside_images)} inside and {len(self.outside_images)} outside images"

    def _repr_html_(self) -> str:
        """Show AUROC and FPR by score, for notebooks."""
        rows = [
            [name, _with_bounds(found.auroc), _with_bounds(found.fpr95)]
            for name, found in self.by_score.items()
        ]
        return html_table(["score", "AUROC", "FPR at 95 % TPR"], rows, caption=self._summary())

    def numbers(self) -> dict[str, Interval]:
        """Return AUROC and FPR at 95 % TPR of each score.

        Returns
        -------
        dict of str to Interval
        """
        found = {}
        for name, one in self.by_score.items():
            found[f"AUROC, {name}"] = one.auroc
            found[f"FPR at 95 % TPR, {name}"] = one.fpr95
        return found

    def to_arrow(self) -> "pa.Table":
        """Return an Arrow table with one row per image.

        Returns
        -------
        pyarrow.Table
            Columns `image`, `outside`, and one for each score.
        """
        import pyarrow as pa

        n_inside, n_outside = len(self.inside_images), len(self.outside_images)
        columns: dict[str, Any] = {
            "image": pa.array([*self.inside_images, *self.outside_images], pa.string()),
            "outside": np.repeat([False, True], [n_inside, n_outside]),
        }
        for name, one in self.by_score.items():
            columns[name] = np.concatenate([one.inside, one.outside])
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


@takes(ImageScores)
def detect_outside(
    inside: ImageScores, outside: ImageScores, *, n_resamples: int = RESAMPLES, seed: int = 0
) -> OutsideDetection:
    """Measure how well each score tells outside images from inside ones.

    Outside images are the kind to be detected in the AUROC. In the false positive rate, as in the literature
    on out-of-distribution detection [1]_, inside images are the positives: the threshold accepts 95 % of
    them, and the rate is the share of outside images that it accepts too.

    Parameters
    ----------
    inside : ImageScores
        Images like those of the memory, but not in it.
    outside : ImageScores
        Images unlike those of the memory, with the same scores.
    n_resamples : int, default=2000
        Number of bootstrap samples for the rate, over groups of both sides (images without groups).
    seed : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    OutsideDetection

    Raises
    ------
    InputError
        A side has no images, the scores have different names, or an image is on both sides.

    See Also
    --------
    hueprobe.stats.auroc : Area under the ROC curve of any score.
    hueprobe.stats.fpr_at_tpr : False positive rate of any score.

    References
    ----------
    .. [1] S. Liang, Y. Li and R. Srikant, "Enhancing the reliability of out-of-distribution image detection
       in neural networks", ICLR 2018.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> outside = hp.trust.image_scores(classifier.classify("others"))
    >>> found = hp.trust.detect_outside(hp.trust.image_scores(result), outside, n_resamples=50)
    >>> 0 <= found.by_score["mean distance"].auroc.estimate <= 1
    True
    """
    if not isinstance(outside, ImageScores):
        raise InputError(f"outside is a {type(outside).__name__}; give an ImageScores")
    if not len(inside) or not len(outside):
        raise InputError(
            f"there are {len(inside)} inside and {len(outside)} outside images; detection needs both"
        )
    if set(inside.scores) != set(outside.scores):
        raise InputError(
            f"inside images have the scores {', '.join(inside.scores)}, outside images have "
            f"{', '.join(outside.scores)}; compute both with or both without a calibration"
        )
    codes = _codes(inside, "inside"), _codes(outside, "outside")
    found = {}
    for name, kept in inside.scores.items():
        other = outside.scores[name]
        # Acceptance is a small score: an inside image is "positive" by its negated score.
        rate = fpr_at_tpr(
            -kept, -other, tpr=TPR, positive_codes=codes[0], negative_codes=codes[1], n_resamples=n_resamples,
            seed=seed,
        )  # fmt: skip
        area = auroc(other, kept, positive_codes=codes[1], negative_codes=codes[0])
        found[name] = ScoreDetection(name, kept, other, area, rate, -threshold_at_tpr(-kept, TPR))
    return OutsideDetection(inside.images, outside.images, found)


def _codes(side: ImageScores, name: str) -> np.ndarray:
    """Return a group's name as its code, so that a group on both sides counts as one."""
    codes = np.empty(len(side), object)
    codes[:] = [(name, i) if group is None else group for i, group in enumerate(side.groups)]
    return codes


def _with_bounds(found: Interval) -> str:
    return f"{found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]"
