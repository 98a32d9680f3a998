"""Temperature scaling of normalized likelihoods, fitted on calibration images alone."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import norm

from hueprobe.arguments import takes
from hueprobe.classification import Classification
from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.stats.intervals import CONFIDENCE, Interval, clustered_variance
from hueprobe.trust.groups import codes_of, groups_of

LIMITS = (0.01, 100.0)


@dataclass(frozen=True)
class Temperature:
    """A temperature that turns likelihoods into probabilities.

    Attributes
    ----------
    value : Interval
        The temperature T with its 95 % interval. Below 1 it sharpens likelihoods, above 1 it flattens them.
        At a limit (0.01 or 100) it has no bounds.
    n : int
        Number of calibration images.
    loss_before, loss_after : float
        Mean negative log-likelihood of the calibration images' classes at T = 1 and at T, in nats.

    See Also
    --------
    hueprobe.trust.fit_temperature : Fits it.

    Examples
    --------
    >>> temperature = hp.trust.fit_temperature(result)
    >>> temperature.n, temperature.loss_after <= temperature.loss_before
    (12, True)
    """

    value: Interval
    n: int
    loss_before: float
    loss_after: float

    def probabilities(self, result: Classification) -> np.ndarray:
        """Return the scaled likelihoods of a classification.

        Parameters
        ----------
        result : Classification
            A classification by the same classifier.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            softmax(log(likelihood) / T); each row sums to 1.

        Examples
        --------
        >>> temperature = hp.trust.fit_temperature(result)
        >>> bool(np.allclose(temperature.probabilities(result).sum(axis=1), 1))
        True
        """
        scaled: np.ndarray = softmax(log_likelihoods(result) / self.value.estimate, axis=1)
        return scaled


def log_likelihoods(result: Classification) -> np.ndarray:
    """Return logarithms of the normalized likelihoods, where no class is impossible.

    A class without any vote would have the logarithm -inf. A likelihood is therefore at least that of half an
    average vote, 1 / (2 * number of matches), and at most half of 1 / number of classes, so that the class of
    the largest likelihood stays the same.

    Parameters
    ----------
    result : Classification
        Any classification.
    """
    n_classes = max(1, len(result.classes))
    least = 0.5 / np.maximum(np.maximum(result.n_matches, n_classes), 1)
    floored: np.ndarray = np.log(np.maximum(result.likelihood, least[:, None]))
    return floored


@takes(Classification)
def fit_temperature(calibration: Classification) -> Temperature:
    """Fit the temperature of least negative log-likelihood on calibration images [1]_.

    The scaled likelihood is softmax(log(likelihood) / T), so predictions stay the same. The interval is that
    of an M-estimator with variances over groups (images where there are no groups), on log T.

    Parameters
    ----------
    calibration : Classification
        Labeled images that are neither in the memory nor in the test set.

    Returns
    -------
    Temperature

    Raises
    ------
    InputError
        No image has a class that can be matched, or the memory has fewer than two classes.

    Warns
    -----
    HueprobeWarning
        The best temperature lies outside 0.01 to 100: all calibration images are right, or likelihoods tell
        nothing.

    See Also
    --------
    hueprobe.trust.calibration_check : Reliability of test images before and after.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks", ICML
       2017.

    Examples
    --------
    >>> temperature = hp.trust.fit_temperature(result)
    >>> 0.01 <= temperature.value.estimate <= 100
    True
    """
    judged = np.array(calibration.judged, np.int64)
    if not len(judged) or len(calibration.classes) < 2:
        raise InputError(
            f"{len(judged)} of {len(calibration)} calibration images have a class that can be matched, and "
            f"the memory has {len(calibration.classes)} classes; a temperature needs such images and 2 "
            "classes"
        )
    numbers = {name: i for i, name in enumerate(calibration.classes)}
    truth = np.array([numbers[str(calibration.true_class[i])] for i in judged])
    logs = log_likelihoods(calibration)[judged]
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logs * np.exp(-log_temperature), axis=1)[rows, truth].mean())

    limits = np.log(LIMITS)
    found = minimize_scalar(loss, bounds=tuple(limits), method="bounded", options={"xatol": 1e-6})
    best = float(found.x)
    # Near a limit the loss may be flat, so that the search stops anywhere.
    ends = [float(limit) for limit in limits if loss(float(limit)) <= loss(best) + 1e-9]
    if ends:
        best = ends[0]
        warnings.warn(
            f"the temperature of {len(truth)} calibration images is at its limit, {np.exp(best):.3g}: "
            + ("all are right" if best < 0 else "likelihoods say nothing of their classes")
            + "; use more calibration images",
            HueprobeWarning,
            stacklevel=3,
        )
    groups = groups_of(calibration)
    codes = codes_of([calibration.images[i] for i in judged], [groups[i] for i in judged])
    error = np.nan if ends else _error(logs, truth, best, codes)
    factor = np.exp(norm.ppf((1 + CONFIDENCE) / 2) * error)
    value = float(np.exp(best))
    return Temperature(
        Interval(value, value / factor, value * factor, value * error, np.inf),
        len(truth),
        loss(0.0),
        loss(best),
    )


def _error(logs: np.ndarray, truth: np.ndarray, log_temperature: float, codes: np.ndarray) -> float:
    """Return the standard error of log T; NaN where the loss is flat."""
    inverse = np.exp(-log_temperature)
    shares = softmax(logs * inverse, axis=1)
    mean = (shares * logs).sum(axis=1)
    slope = mean - logs[np.arange(len(truth)), truth]  # of each image's loss, by 1 / T
    curvature = float(((shares * logs**2).sum(axis=1) - mean**2).mean())
    if curvature <= 0:
        return np.nan
    variance = clustered_variance(slope / (curvature * len(truth)), codes)
    return float(np.sqrt(variance) / inverse)  # d log T = -d(1 / T) * T
