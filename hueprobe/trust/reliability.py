"""Reliability of confidences: accuracy by bin of confidence, and the expected calibration error."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hueprobe.arguments import as_count
from hueprobe.errors import InputError, ShapeError, require_choice
from hueprobe.html_tables import html_table
from hueprobe.stats.intervals import CONFIDENCE, Interval, bootstrap_counts, normal_interval, unit_interval
from hueprobe.stats.shares import share_interval

BINNINGS: tuple[Literal["mass", "width"], ...] = ("mass", "width")
N_BINS = 10
RESAMPLES = 1000


@dataclass(frozen=True)
class Reliability:
    """Accuracy by bin of confidence.

    Attributes
    ----------
    binning : str
        `mass`: bins of equally many images; `width`: bins of equal width from 0 to 1.
    edges : ndarray of float64, shape (n_bins + 1,)
        Edges of the bins. A bin holds confidences above its lower and up to its upper edge; the first also
        its lower edge.
    n : ndarray of int64, shape (n_bins,)
        Number of images in each bin.
    confidence : ndarray of float64, shape (n_bins,)
        Mean confidence; NaN in an empty bin.
    accuracy, low, high : ndarray of float64, shape (n_bins,)
        Share of right predictions with its 95 % interval; NaN in an empty bin.
    error : Interval
        Expected calibration error: mean absolute difference of accuracy and confidence over bins, weighted
        by their images. Its interval is two bootstrap standard errors wide on each side, over groups (images
        where there are no groups). It reaches down to 0 unless the error is above what a calibrated
        classifier shows, since the error of a finite sample is biased upwards.
    error_if_calibrated : (float, float)
        Mean and 95 % quantile of the same error if each prediction was right with a probability of its
        confidence. The error of a finite sample is never 0; only an error above this quantile speaks against
        calibration. It takes images as independent.
    mean_confidence, mean_accuracy : Interval
        Over all images.

    See Also
    --------
    hueprobe.trust.measure_reliability : Computes it.
    hueprobe.plots.reliability_diagram : Draws it.

    Examples
    --------
    >>> right = np.array([True, True, True, False])
    >>> found = hp.trust.measure_reliability(np.array([0.9, 0.9, 0.6, 0.6]), right)
    >>> found.n.tolist(), round(found.error.estimate, 3)
    ([2, 2], 0.1)
    """

    binning: str
    edges: np.ndarray
    n: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: Interval
    error_if_calibrated: tuple[float, float]
    mean_confidence: Interval
    mean_accuracy: Interval

    def numbers(self) -> dict[str, Interval]:
        """Return the expected calibration error, mean confidence and accuracy.

        Returns
        -------
        dict of str to Interval
        """
        return {
            "expected calibration error": self.error,
            "mean confidence": self.mean_confidence,
            "accuracy": self.mean_accuracy,
        }

    def _repr_html_(self) -> str:
        """Show the bins, for notebooks."""
        rows = [
            [
                f"{self.edges[i]:.3f} to {self.edges[i + 1]:.3f}",
                n,
                f"{c:.3f}",
                f"{a:.3f} [{low:.3f}, {high:.3f}]",
            ]
            for i, (n, c, a, low, high) in enumerate(
                zip(self.n, self.confidence, self.accuracy, self.low, self.high, strict=True)
            )
            if n
        ]
        found, (_, limit) = self.error, self.error_if_calibrated
        caption = (
            f"expected calibration error {found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}]; up to "
            f"{limit:.3f} is what a calibrated classifier shows too"
        )
        return html_table(["confidence", "images", "mean confidence", "accuracy"], rows, caption=caption)


def measure_reliability(
    confidence: np.ndarray,
    correct: np.ndarray,
    *,
    codes: np.ndarray | None = None,
    binning: Literal["mass", "width"] = "mass",
    n_bins: int = N_BINS,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Reliability:
    """Compare confidences with the share of right predictions, in bins [1]_.

    Parameters
    ----------
    confidence : ndarray of shape (n,)
        Probability that the classifier gives its prediction, from 0 to 1.
    correct : ndarray of bool, shape (n,)
        Whether each prediction is right.
    codes : ndarray of int64, shape (n,), optional
        Group of each image; by default the images are independent.
    binning : {"mass", "width"}, default="mass"
        `mass` takes quantiles of the confidence as edges, so that bins hold equally many images; equal
        confidences share a bin, so there may be fewer bins. `width` takes bins of equal width from 0 to 1, as
        in [1]_.
    n_bins : int, default=10
        Number of bins.
    n_resamples : int, default=1000
        Number of bootstrap samples, and of draws of a calibrated classifier.
    seed : int, default=0
        Seed of both.

    Returns
    -------
    Reliability

    Raises
    ------
    InputError
        There are no images, a confidence is not between 0 and 1, or the binning is unknown.
    ShapeError
        The arrays differ in length.

    See Also
    --------
    hueprobe.trust.calibration_check : The same for a classification, before and after temperature scaling.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks", ICML
       2017.

    Examples
    --------
    >>> found = hp.trust.measure_reliability(
    ...     np.array([0.95, 0.85, 0.35]), np.array([True, False, False]), binning="width"
    ... )
    >>> round(found.error.estimate, 3)  # (0.05 + 0.85 + 0.35) / 3
    0.417
    """
    require_choice("binning", binning, BINNINGS)
    n_bins = as_count("n_bins", n_bins)
    shares, right = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    n = len(shares)
    units = np.arange(n) if codes is None else np.asarray(codes)
    if not shares.shape == right.shape == units.shape or shares.ndim != 1:
        raise ShapeError(
            f"confidences {shares.shape}, answers {right.shape} and groups {units.shape} differ; give one of "
            "each for each image"
        )
    if not n or not ((shares >= 0) & (shares <= 1 + 1e-9)).all():
        raise InputError(
            "reliability needs at least one image, and confidences between 0 and 1; got "
            + (f"{shares.min():.4g} to {shares.max():.4g}" if n else "none")
        )
    edges = _edges(shares, binning, n_bins)
    bins = np.clip(np.searchsorted(edges, shares, side="left") - 1, 0, len(edges) - 2)
    member = bins[:, None] == np.arange(len(edges) - 1)  # (n, n_bins)
    rows = np.array([_bin(shares[m], right[m], units[m]) for m in member.T])
    error = _errors(member, (right - shares)[None], np.ones((1, n)))[0]
    draws = bootstrap_counts(units, n_resamples=n_resamples, seed=seed)
    resampled = _errors(member, np.broadcast_to(right - shares, draws.shape), draws)
    rng = np.random.default_rng(seed)
    drawn = rng.random((n_resamples, n)) < shares
    null = _errors(member, drawn - shares, np.ones((1, n)))
    limit = float(np.quantile(null, CONFIDENCE))
    around = normal_interval(float(error), float(resampled.std(ddof=1)))
    low = 0.0 if error <= limit else max(0.0, around.low)
    return Reliability(
        binning=binning, edges=edges, n=member.sum(axis=0), confidence=rows[:, 0], accuracy=rows[:, 1],
        low=rows[:, 2], high=rows[:, 3],
        error=replace(around, low=low, high=min(1.0, around.high)),
        error_if_calibrated=(float(null.mean()), limit),
        mean_confidence=unit_interval(shares, np.ones(n), units), mean_accuracy=share_interval(right, units),
    )  # fmt: skip


def _edges(shares: np.ndarray, binning: str, n_bins: int) -> np.ndarray:
    if binning == "width":
        return np.linspace(0.0, 1.0, n_bins + 1)
    # Each edge is a confidence that occurs, so that rounding moves no image to another bin.
    upper = np.quantile(shares, np.arange(1, n_bins + 1) / n_bins, method="inverted_cdf")
    return np.concatenate([[0.0], np.unique(upper)])


def _bin(shares: np.ndarray, right: np.ndarray, units: np.ndarray) -> tuple[float, float, float, float]:
    if not len(shares):
        return np.nan, np.nan, np.nan, np.nan
    found = share_interval(right, units)
    return float(shares.mean()), found.estimate, found.low, found.high


def _errors(member: np.ndarray, differences: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the error of each row of differences, (n_draws, n), with how often each image counts."""
    weights = member.astype(np.float64)
    gaps = np.abs((differences * counts) @ weights).sum(axis=1)
    errors: np.ndarray = gaps / counts.sum(axis=1)
    return errors
