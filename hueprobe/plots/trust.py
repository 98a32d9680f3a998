"""Plots of how far to trust an answer: reliability, sizes of prediction sets, scores of outside images."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hueprobe.arguments import takes
from hueprobe.errors import InputError
from hueprobe.plots.style import (
    CATEGORIES,
    GRAY,
    OTHER,
    PAGE,
    PALE,
    SAME,
    composing,
    drawing,
    interval_text,
    shortened,
)
from hueprobe.stats.roc import roc_curve
from hueprobe.trust.calibration import CalibrationCheck
from hueprobe.trust.outside import OutsideDetection, ScoreDetection
from hueprobe.trust.prediction_sets import LEVELS, ConformalPredictions
from hueprobe.trust.reliability import Reliability

_BARS = 30  # of a histogram
_COLUMNS = 3  # histograms in a row


@takes(Reliability)
def reliability_diagram(result: Reliability, *, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw accuracy against confidence by bin, with 95 % intervals.

    A calibrated classifier is on the diagonal. The area of a dot is the number of images in its bin.

    Parameters
    ----------
    result : Reliability
        From `hueprobe.trust.measure_reliability` or `calibration_check`.
    title : str, default=""
        First line of the title; the calibration error is the second.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.calibration_figure : Before and after temperature scaling.
    hueprobe.trust.measure_reliability : Computes the bins.

    Examples
    --------
    >>> right = np.array([True, True, True, False])
    >>> found = hp.trust.measure_reliability(np.array([0.9, 0.8, 0.6, 0.5]), right)
    >>> hp.plots.reliability_diagram(found).get_xlabel()
    'confidence (mean of a bin)'
    """
    filled = result.n > 0
    with drawing(ax, height=3.2) as ax:
        ax.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
        at = result.confidence[filled]
        ax.vlines(at, result.low[filled], result.high[filled], color=SAME, linewidth=0.9)
        area = 60 * result.n[filled] / result.n.max()
        ax.scatter(at, result.accuracy[filled], np.maximum(area, 6), color=SAME)
        _, limit = result.error_if_calibrated
        told = f"calibration error {interval_text(result.error, 3)}\n(up to {limit:.3f} if calibrated)"
        ax.set(
            xlim=(0, 1), ylim=(0, 1.02), aspect="equal", xlabel="confidence (mean of a bin)",
            ylabel="accuracy (share of images)", title=f"{shortened(title, 40)}\n{told}" if title else told,
        )  # fmt: skip
    return ax


@takes(ConformalPredictions)
def set_sizes(result: ConformalPredictions, *, ax: Axes | None = None) -> Axes:
    """Draw how many classes the prediction sets at 90 and 95 % hold, with their measured coverage.

    Parameters
    ----------
    result : ConformalPredictions
        From `hueprobe.trust.conformal_predictions`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    Raises
    ------
    InputError
        There are no images.

    See Also
    --------
    hueprobe.trust.conformal_predictions : Computes the sets.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> found = hp.trust.conformal_predictions(result, classifier.classify("others"))
    >>> hp.plots.set_sizes(found).get_xlabel()
    'classes in a prediction set'
    """
    if not len(result):
        raise InputError("there are no prediction sets to draw; give at least one image")
    sizes = [result.sets(level).sum(axis=1) for level in LEVELS]
    counts = np.arange(max(int(size.max()) for size in sizes) + 1)
    with drawing(ax) as ax:
        width = 0.8 / len(LEVELS)
        for i, (level, size) in enumerate(zip(LEVELS, sizes, strict=True)):
            share = result.coverage(level).share
            covered = f": coverage {interval_text(share)}" if len(result.judged) else ""
            shares = np.bincount(size, minlength=len(counts)) / len(size)
            at = counts + (i - (len(LEVELS) - 1) / 2) * width
            ax.bar(at, shares, width, color=CATEGORIES[i], label=f"{100 * level:.0f} %{covered}")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(
            xlabel="classes in a prediction set", ylabel="share of images",
            title=f"n = {len(result):,} images, calibrated on {result.n_calibration:,}",
        )  # fmt: skip
        _room_for_legend(ax)
    return ax


@takes(CalibrationCheck)
def calibration_figure(check: CalibrationCheck, conformal: ConformalPredictions | None = None) -> Figure:
    """Draw reliability before and after temperature scaling (equal mass), and the sizes of prediction sets.

    Parameters
    ----------
    check : CalibrationCheck
        From `hueprobe.trust.calibration_check`.
    conformal : ConformalPredictions, optional
        Prediction sets to draw beside; none by default.

    Returns
    -------
    Figure
        As wide as a page of a paper (6.9 inches), not managed by pyplot.

    See Also
    --------
    hueprobe.plots.reliability_diagram : One diagram.
    hueprobe.plots.set_sizes : The sizes alone.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> others = classifier.classify("others")
    >>> check = hp.trust.calibration_check(result, others)
    >>> len(hp.plots.calibration_figure(check, hp.trust.conformal_predictions(result, others)).axes)
    3
    """
    columns = 2 if conformal is None else 3
    with composing(PAGE, 3.0) as figure:
        axes = figure.subplots(1, columns)
        reliability_diagram(check.before["mass"], title="normalized likelihoods", ax=axes[0])
        scaled = f"temperature {check.temperature.value.estimate:.2g}"
        reliability_diagram(check.after["mass"], title=scaled, ax=axes[1])
        if conformal is not None:
            set_sizes(conformal, ax=axes[2])
    return figure


@takes(ScoreDetection)
def score_histogram(found: ScoreDetection, *, ax: Axes | None = None) -> Axes:
    """Draw the distributions of one score over inside and outside images, and the threshold at 95 % TPR.

    Parameters
    ----------
    found : ScoreDetection
        One of `OutsideDetection.by_score`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into. Infinite scores are left out.

    See Also
    --------
    hueprobe.plots.roc_curves : All scores at once.
    hueprobe.trust.detect_outside : Computes them.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> outside = hp.trust.image_scores(classifier.classify("others"))
    >>> found = hp.trust.detect_outside(hp.trust.image_scores(result), outside)
    >>> hp.plots.score_histogram(found.by_score["mean distance"]).get_xlabel()
    'mean distance'
    """
    finite = [side[np.isfinite(side)] for side in (found.inside, found.outside)]
    every = np.concatenate(finite)
    with drawing(ax) as ax:
        if len(every):
            edges = np.histogram_bin_edges(every, bins=_BARS).tolist()
            for values, color, name in zip(finite, (SAME, OTHER), ("inside", "outside"), strict=True):
                weights = np.full(len(values), 1 / max(1, len(values)))
                label = f"{name}, n = {len(values):,}"
                ax.hist(values, edges, weights=weights, color=color, alpha=0.6, label=label)
        if np.isfinite(found.threshold):
            ax.axvline(found.threshold, color=GRAY, linewidth=0.8, linestyle="--")
        ax.set(xlabel=found.name, ylabel="share of images")
        ax.set_title(f"FPR at 95 % TPR (dashed)\n{interval_text(found.fpr95)}")
        _room_for_legend(ax)
    return ax


@takes(OutsideDetection)
def roc_curves(found: OutsideDetection, *, ax: Axes | None = None) -> Axes:
    """Draw the ROC curve of each score, with its area and 95 % interval.

    Parameters
    ----------
    found : OutsideDetection
        From `hueprobe.trust.detect_outside`.
    ax : Axes, optional
        Where to draw; a new figure's Axes by default.

    Returns
    -------
    Axes
        The Axes drawn into.

    See Also
    --------
    hueprobe.plots.score_histogram : The scores themselves.
    hueprobe.stats.roc_curve : Computes a curve.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> outside = hp.trust.image_scores(classifier.classify("others"))
    >>> found = hp.trust.detect_outside(hp.trust.image_scores(result), outside)
    >>> hp.plots.roc_curves(found).get_xlabel()
    'inside images taken for outside (share)'
    """
    with drawing(ax, width=5.0, height=3.0) as ax:
        ax.plot([0, 1], [0, 1], color=PALE, linewidth=0.8, zorder=0)
        for i, (name, one) in enumerate(found.by_score.items()):
            fpr, tpr, _ = roc_curve(one.outside, one.inside)
            color = CATEGORIES[i % len(CATEGORIES)]
            ax.plot(fpr, tpr, color=color, label=f"{name}: {interval_text(one.auroc, 3)}")
        ax.set(
            xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal", ylabel="outside images found (share)",
            xlabel="inside images taken for outside (share)",
            title=f"{len(found.inside_images):,} inside, {len(found.outside_images):,} outside images",
        )  # fmt: skip
        ax.legend(
            loc="center left", bbox_to_anchor=(1.02, 0.5), title="area under the curve", title_fontsize=6.5
        )
    return ax


@takes(OutsideDetection)
def outside_figure(found: OutsideDetection) -> Figure:
    """Draw the ROC curves of all scores, and the distributions of each.

    Parameters
    ----------
    found : OutsideDetection
        From `hueprobe.trust.detect_outside`.

    Returns
    -------
    Figure
        As wide as a page of a paper (6.9 inches), not managed by pyplot.

    See Also
    --------
    hueprobe.plots.roc_curves : The curves alone.
    hueprobe.plots.score_histogram : One score alone.

    Examples
    --------
    >>> classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    >>> outside = hp.trust.image_scores(classifier.classify("others"))
    >>> found = hp.trust.detect_outside(hp.trust.image_scores(result), outside)
    >>> len(hp.plots.outside_figure(found).axes)  # one of curves, four of scores
    5
    """
    n_rows = -(-len(found.by_score) // _COLUMNS)
    with composing(PAGE, 2.6 + 2.2 * n_rows) as figure:
        parts: Any = figure.subfigures(2, 1, height_ratios=(2.6, 2.2 * n_rows))
        top, below = parts
        roc_curves(found, ax=top.add_subplot())
        for i, one in enumerate(found.by_score.values(), 1):
            score_histogram(one, ax=below.add_subplot(n_rows, _COLUMNS, i))
    return figure


def _room_for_legend(ax: Axes) -> None:
    """Put a legend above the bars, and leave no tick beside it."""
    top = ax.get_ylim()[1]
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= min(top, 1.0)])
    ax.set_ylim(0, 1.4 * top)
    ax.legend(loc="upper right")
