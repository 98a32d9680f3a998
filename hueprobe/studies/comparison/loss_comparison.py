"""Training losses compared over paired seeds: means, differences to one-hot, exact p-values.

The unit is the seed: for one seed, every loss has the same initial weights and the same batches. Folds of one
seed share images and are summed, not counted as replicates. The p-value of a difference flips the sign of
each seed's difference, exactly. With n seeds it cannot be below 2^(1-n), so 5 seeds never reach 0.05.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.errors import InputError
from hueprobe.stats.intervals import Interval
from hueprobe.stats.multiplicity import holm
from hueprobe.stats.over_seeds import DIFFERENCES, SHARES, mean_over_seeds
from hueprobe.stats.permutation import sign_flip_p
from hueprobe.studies.comparison.loss_run import LossRun
from hueprobe.studies.comparison.trained_networks import (
    MeasureSummary,
    TrainedObservation,
    summarize_measures,
)

BASELINE = "onehot"


@dataclass(frozen=True, kw_only=True)
class LossSummary:
    """Summary of a loss at one learning rate, over seeds.

    Attributes
    ----------
    loss : str
        Name of the loss.
    learning_rate : float
        Learning rate.
    n_seeds : int
        Number of seeds.
    accuracy : Interval
        Mean over seeds, with an interval within 0 and 1. Bounds are NaN for one seed and for equal seeds.
    difference : Interval or None
        Accuracy minus that of one-hot with the same seeds; None for one-hot itself, or without shared seeds.
    p, p_holm : float
        Two-sided exact sign-flip test over shared seeds, and the same corrected by Holm over all losses of
        the rate. The primary loss is not corrected. NaN for fewer than two shared seeds, and if none differs.
    primary : bool
        Whether this is the contrast declared in advance.
    seconds_ratio, memory_ratio : float
        Seconds per step and bytes kept for the backward pass, relative to one-hot; NaN without one-hot.
    n_extra : int
        Number of parameters trained beside the network.
    epochs_to_95 : float
        First epoch with 95 % of the last epoch's test accuracy, mean over runs.
    robustness : dict of str to Interval
        Accuracy on perturbed test images.

    See Also
    --------
    hueprobe.studies.compare_losses : Make these summaries.

    Examples
    --------
    >>> onehot, hue = hp.studies.compare_losses(runs)
    >>> round(onehot.accuracy.estimate, 3), round(hue.difference.estimate, 3), onehot.difference
    (0.62, 0.04, None)
    """

    loss: str
    learning_rate: float
    n_seeds: int
    accuracy: Interval
    difference: Interval | None
    p: float
    p_holm: float
    primary: bool
    seconds_ratio: float
    memory_ratio: float
    n_extra: int
    epochs_to_95: float
    robustness: dict[str, Interval]


@dataclass(frozen=True, kw_only=True)
class LossCurves:
    """Curves of a loss at one learning rate, epoch by epoch, over seeds.

    Attributes
    ----------
    loss : str
        Name of the loss.
    learning_rate : float
        Learning rate.
    accuracy : tuple of Interval
        Test accuracy after each epoch, mean over seeds.
    shares : tuple of Interval
        Share of the terms other than the class term in the gradient norm at the bottleneck, per epoch; empty
        if there are none.

    See Also
    --------
    hueprobe.studies.compare_curves : Make these curves.

    Examples
    --------
    >>> curves, _ = hp.studies.compare_curves(runs)
    >>> curves.loss, len(curves.accuracy), curves.shares
    ('onehot', 2, ())
    """

    loss: str
    learning_rate: float
    accuracy: tuple[Interval, ...]
    shares: tuple[Interval, ...]


def compare_losses(runs: Sequence[LossRun], *, primary: str | None = None) -> list[LossSummary]:
    """Summarize runs by learning rate and loss, in the order of first appearance.

    Differences to one-hot are paired by seed, tested by an exact sign flip, and corrected by Holm [1]_.

    Parameters
    ----------
    runs : sequence of LossRun
        Runs of a comparison. A seed counts for a loss if all its folds are present.
    primary : str, optional
        Loss of the one contrast declared in advance, which is not corrected; by default all are corrected.

    Returns
    -------
    list of LossSummary
        One summary per learning rate and loss.

    Raises
    ------
    InputError
        There are no runs, or one is given twice.

    See Also
    --------
    hueprobe.studies.run_comparison : Make the runs.
    hueprobe.studies.compare_curves : The same epoch by epoch.
    hueprobe.stats.sign_flip_p : The test.

    References
    ----------
    .. [1] S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
       Statistics 6, 65-70, 1979.

    Examples
    --------
    >>> _, hue = hp.studies.compare_losses(runs, primary="hue:eq5")
    >>> round(hue.difference.estimate, 3), hue.n_seeds, hue.p
    (0.04, 3, 0.25)
    """
    summaries = []
    for rate, grouped in _whole_seeds(runs).items():
        baseline = grouped.get(BASELINE, {})
        p_values = {
            loss: _p(seeds, baseline)
            for loss, seeds in grouped.items()
            if loss != BASELINE and seeds.keys() & baseline.keys()
        }
        corrected = _holm({loss: p for loss, p in p_values.items() if loss != primary})
        for loss, seeds in grouped.items():
            p = p_values.get(loss, np.nan)
            summaries.append(
                _summary(
                    loss, rate, seeds, baseline, p=p, primary=loss == primary,
                    p_holm=p if loss == primary else corrected.get(loss, np.nan),
                )
            )  # fmt: skip
    return summaries


def compare_curves(runs: Sequence[LossRun]) -> list[LossCurves]:
    """Summarize runs epoch by epoch, by learning rate and loss.

    Parameters
    ----------
    runs : sequence of LossRun
        Runs of a comparison. A seed counts for a loss if all its folds are present.

    Returns
    -------
    list of LossCurves
        Curves of each learning rate and loss.

    Raises
    ------
    InputError
        There are no runs, or one is given twice.

    See Also
    --------
    hueprobe.studies.compare_losses : Summaries of the last epoch.

    Examples
    --------
    >>> curves, _ = hp.studies.compare_curves(runs)
    >>> [round(epoch.estimate, 3) for epoch in curves.accuracy]
    [0.31, 0.62]
    """
    return [
        LossCurves(
            loss=loss,
            learning_rate=rate,
            accuracy=_mean_curve([[run.curve for run in found] for found in seeds.values()]),
            shares=_mean_curve([[run.shares for run in found] for found in seeds.values()]),
        )
        for rate, losses in _whole_seeds(runs).items()
        for loss, seeds in losses.items()
    ]


def compare_observed(runs: Sequence[LossRun]) -> list[MeasureSummary]:
    """Summarize the observations of the trained networks over seeds.

    Parameters
    ----------
    runs : sequence of LossRun
        Runs of a comparison; those without observations are ignored. A seed counts if all its folds are
        observed.

    Returns
    -------
    list of MeasureSummary
        One summary per learning rate, measure and loss.

    See Also
    --------
    hueprobe.studies.compare_losses : Accuracies of the same runs.

    Examples
    --------
    >>> found = hp.studies.compare_observed(runs)
    >>> (hue,) = [one for one in found if (one.measure, one.loss) == ("full direction", "hue:eq5")]
    >>> round(hue.difference.estimate, 3), hue.p
    (0.04, 0.25)
    """
    folds = {run.fold for run in runs}
    found: dict[tuple[str, float, int], list[TrainedObservation]] = {}
    for run in runs:
        if run.observed is not None:
            found.setdefault((run.loss, run.learning_rate, run.seed), []).append(run.observed)
    whole = {key: observed for key, observed in found.items() if len(observed) == len(folds)}
    return summarize_measures(whole, baseline=BASELINE)


def epochs_to(curve: Sequence[float], share: float = 0.95) -> int:
    """Return the first epoch (from 1) whose value is at least `share` of the last one's.

    >>> epochs_to([0.1, 0.5, 0.78, 0.7, 0.8])
    3
    """
    values = np.asarray(curve, float)
    return int(np.argmax(values >= share * values[-1])) + 1


def _whole_seeds(runs: Sequence[LossRun]) -> dict[float, dict[str, dict[int, list[LossRun]]]]:
    """Return runs by learning rate, loss and seed, in order of appearance; only seeds with all folds."""
    if not runs:
        raise InputError("no training runs to compare; give at least one")
    keys = [(run.loss, run.seed, run.fold, run.learning_rate) for run in runs]
    if len(set(keys)) < len(keys):
        raise InputError("a training run is given twice; give each loss, seed, fold and learning rate once")
    grouped: dict[float, dict[str, dict[int, list[LossRun]]]] = {}
    for run in runs:
        of_loss = grouped.setdefault(run.learning_rate, {}).setdefault(run.loss, {})
        of_loss.setdefault(run.seed, []).append(run)
    n_folds = len({run.fold for run in runs})
    for losses in grouped.values():
        for loss, seeds in list(losses.items()):
            losses[loss] = {seed: found for seed, found in seeds.items() if len(found) == n_folds}
            if not losses[loss]:
                del losses[loss]
    return grouped


def _mean_curve(curves: Sequence[Sequence[Sequence[float]]]) -> tuple[Interval, ...]:
    """Return the mean over seeds of shares per epoch; the folds of a seed are averaged first."""
    rows = np.array([np.mean(folds, axis=0) for folds in curves])  # (seeds, epochs)
    return tuple(mean_over_seeds(epoch, within=SHARES) for epoch in rows.T.tolist())


def _summary(
    loss: str, rate: float, seeds: dict[int, list[LossRun]], baseline: dict[int, list[LossRun]], *, p: float,
    p_holm: float, primary: bool,
) -> LossSummary:  # fmt: skip
    shared = [seed for seed in seeds if seed in baseline] if loss != BASELINE else []
    runs = [run for found in seeds.values() for run in found]
    n_test = {seed: sum(run.n_test for run in found) for seed, found in seeds.items()}
    right = {seed: sum(run.n_right for run in found) for seed, found in seeds.items()}
    differences = [right[s] / n_test[s] - _accuracy(baseline[s]) for s in shared]
    return LossSummary(
        loss=loss,
        learning_rate=rate,
        n_seeds=len(seeds),
        accuracy=mean_over_seeds([right[seed] / n_test[seed] for seed in seeds], within=SHARES),
        difference=mean_over_seeds(differences, within=DIFFERENCES) if shared else None,
        p=p,
        p_holm=p_holm,
        primary=primary,
        seconds_ratio=_ratio(seeds, baseline, "seconds_per_step"),
        memory_ratio=_ratio(seeds, baseline, "saved_bytes"),
        n_extra=runs[0].n_extra,
        epochs_to_95=float(np.mean([epochs_to(run.curve) for run in runs])),
        robustness={
            name: mean_over_seeds(
                [sum(run.robustness[name] for run in found) / n_test[seed] for seed, found in seeds.items()],
                within=SHARES,
            )
            for name in runs[0].robustness
        },
    )


def _accuracy(runs: Sequence[LossRun]) -> float:
    return sum(run.n_right for run in runs) / sum(run.n_test for run in runs)


def _p(seeds: dict[int, list[LossRun]], baseline: dict[int, list[LossRun]]) -> float:
    shared = [seed for seed in seeds if seed in baseline]
    counts = [sum(r.n_right for r in seeds[s]) - sum(r.n_right for r in baseline[s]) for s in shared]
    return sign_flip_p(np.array(counts)) if len(counts) > 1 and any(counts) else float("nan")


def _holm(p_values: dict[str, float]) -> dict[str, float]:
    """Return the p-values, corrected; without those that are NaN, which count as 1."""
    corrected = holm(np.array(list(p_values.values())))
    return {loss: p for loss, p in zip(p_values, corrected.tolist(), strict=True) if not np.isnan(p)}


def _ratio(seeds: dict[int, list[LossRun]], baseline: dict[int, list[LossRun]], name: str) -> float:
    shared = [seed for seed in seeds if seed in baseline]
    if not shared:
        return float("nan")
    own, other = (np.median([getattr(r, name) for s in shared for r in of[s]]) for of in (seeds, baseline))
    return float(own / other)
