"""Whether the likelihoods of a classification are probabilities, before and after temperature scaling."""

from dataclasses import dataclass

import numpy as np

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.html_tables import html_table
from hueprobe.stats.intervals import Interval
from hueprobe.trust.groups import codes_of, groups_of, require_apart
from hueprobe.trust.reliability import BINNINGS, N_BINS, Reliability, measure_reliability
from hueprobe.trust.temperature import Temperature, fit_temperature

STAGES = ("before", "after")


@dataclass(frozen=True)
class CalibrationCheck:
    """Reliability of test images before and after temperature scaling.

    Attributes
    ----------
    temperature : Temperature
        Fitted on the calibration images alone.
    before, after : dict of str to Reliability
        By binning, `mass` and `width`, for normalized likelihoods and for scaled ones.
    n, n_units : int
        Number of labeled test images, and of groups (images where there are no groups).

    See Also
    --------
    hueprobe.trust.calibration_check : Computes it.
    hueprobe.plots.reliability_diagram : Draws one of the four.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> check = hp.trust.calibration_check(result, classifier.classify("others"))
    >>> sorted(check.before), check.n
    (['mass', 'width'], 6)
    """

    temperature: Temperature
    before: dict[str, Reliability]
    after: dict[str, Reliability]
    n: int
    n_units: int

    def numbers(self) -> dict[str, Interval]:
        """Return the temperature, and the expected calibration error by stage and binning.

        Returns
        -------
        dict of str to Interval
        """
        found = {"temperature": self.temperature.value}
        for stage in STAGES:
            for binning, one in getattr(self, stage).items():
                found[f"expected calibration error {stage}, equal {binning}"] = one.error
        return found

    def _repr_html_(self) -> str:
        """Show the numbers, for notebooks."""
        rows = [
            [name, f"{found.estimate:.3f}", f"{found.low:.3f} to {found.high:.3f}"]
            for name, found in self.numbers().items()
        ]
        caption = f"{self.n} test images; temperature of {self.temperature.n} calibration images"
        return html_table(["", "estimate", "95 %"], rows, caption=caption)


@takes(Classification)
def calibration_check(
    calibration: Classification, test: Classification, *, n_bins: int = N_BINS, seed: int = 0
) -> CalibrationCheck:
    """Compare likelihoods with accuracy on test images, before and after temperature scaling.

    The confidence of a prediction is its class's normalized likelihood, and after scaling its
    softmax(log(likelihood) / T). An image without any vote has the confidence 0 and is not right.

    Parameters
    ----------
    calibration : Classification
        Labeled images that are not in the test set; the temperature is fitted on them.
    test : Classification
        The test images, classified by the same memory.
    n_bins : int, default=10
        Number of bins.
    seed : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    CalibrationCheck

    Raises
    ------
    InputError
        A set has no image whose class can be matched, or an image or group is in both.

    See Also
    --------
    hueprobe.trust.fit_temperature : The temperature alone.
    hueprobe.trust.measure_reliability : The same for any confidences.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> check = hp.trust.calibration_check(result, classifier.classify("others"))
    >>> len(check.numbers())
    5
    """
    if not isinstance(test, Classification):
        raise InputError(f"test is a {type(test).__name__}; give a Classification")
    if calibration.classes != test.classes:
        raise InputError("calibration and test images were classified by memories of other classes; use one")
    require_apart(calibration, test)
    judged = np.array(test.judged, np.int64)
    if not len(judged):
        raise InputError(
            f"none of {len(test)} test images has a class that the memory has and can match; give such labels"
        )
    temperature = fit_temperature(calibration)
    groups = groups_of(test)
    codes = codes_of([test.images[i] for i in judged], [groups[i] for i in judged])
    right = np.array([test.predicted_class[i] == test.true_class[i] for i in judged])
    found = {
        stage: {
            str(binning): measure_reliability(
                shares[judged].max(axis=1), right, codes=codes, binning=binning, n_bins=n_bins, seed=seed
            )
            for binning in BINNINGS
        }
        for stage, shares in zip(STAGES, (test.likelihood, temperature.probabilities(test)), strict=True)
    }
    return CalibrationCheck(temperature, **found, n=len(judged), n_units=len(np.unique(codes)))
