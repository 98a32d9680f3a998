"""Training losses compared over paired seeds: means, differences to one-hot, exact p-values.

The unit is the seed: within it every loss starts from the same weights and sees the same batches. Folds of
one seed share images and are summed, not counted as replicates. The p-value of a difference flips the sign
of each seed's difference, exactly: with n seeds it cannot be below 2^(1-n), so 5 seeds never reach .05.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hueprobe.errors import InputError
from hueprobe.stats.intervals import Interval
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
    """A loss at one learning rate, over seeds.

    Attributes
    ----------
    loss : str
    learning_rate : float
    n_seeds : int
    accuracy : Interval
        Mean over seeds, as `mean_over_seeds` gives it: within 0 and 1; NaN bounds for one seed and for seeds
        that are all equal.
    difference : Interval or None
        Accuracy less that of one-hot with the same seeds; None for one-hot itself, or without shared seeds.
    p, p_holm : float
        Two-sided exact sign-flip test over shared seeds; corrected by Holm over all losses of the rate but
        the primary one, which stays as it is. NaN for fewer than two shared seeds, and where none differs.
    primary : bool
        Whether this is the contrast declared beforehand.
    seconds_ratio, memory_ratio : float
        Seconds a step and bytes kept for the backward pass, against one-hot; NaN without it.
    n_extra : int
        Parameters trained beside the network.
    epochs_to_95 : float
        First epoch with 95 % of the last epoch's test accuracy, mean over runs.
    robustness : dict of str to Interval
        Accuracy on perturbed test images.
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
    """A loss at one learning rate, epoch by epoch, over seeds.

    Attributes
    ----------
    loss : str
    learning_rate : float
    accuracy : tuple of Interval
        Test accuracy after each epoch: mean over seeds, as `mean_over_seeds` gives it.
    shares : tuple of Interval
        Of the terms beside the class term in the gradient norm at the bottleneck, each epoch; empty without.
    """

    loss: str
    learning_rate: float
    accuracy: tuple[Interval, ...]
    shares: tuple[Interval, ...]


def compare_losses(runs: Sequence[LossRun], *, primary: str | None = None) -> list[LossSummary]:
    """Summarize runs by learning rate and loss, in the order in which they come.

    Parameters
    ----------
    runs : sequence of LossRun
        A seed counts for a loss once all its folds are there.
    primary : str, optional
        The loss of the one contrast declared beforehand.

    Raises
    ------
    InputError
        There is no run, or one is there twice.
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
    """Summarize runs epoch by epoch, by learning rate and loss; see `compare_losses`.

    Parameters
    ----------
    runs : sequence of LossRun
        A seed counts for a loss once all its folds are there.

    Raises
    ------
    InputError
        There is no run, or one is there twice.
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
    """Summarize what the trained networks were observed to have; a seed counts once all its folds do.

    Parameters
    ----------
    runs : sequence of LossRun
        Those without observations are left out.
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
    """Group runs by learning rate, loss and seed, in the order in which they come; seeds with all folds."""
    if not runs:
        raise InputError("no training runs to compare; give at least one")
    keys = [(run.loss, run.seed, run.fold, run.learning_rate) for run in runs]
    if len(set(keys)) < len(keys):
        raise InputError("a training run is there twice; give each loss, seed, fold and learning rate once")
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
    """Return the mean over seeds of shares that each seed's folds have by epoch; folds are averaged first."""
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
    """Return p-values corrected by Holm's (1979) step-down procedure; NaN counts as 1 and stays NaN."""
    corrected, reached = {}, 0.0
    known = {loss: p for loss, p in p_values.items() if not np.isnan(p)}
    for place, loss in enumerate(sorted(known, key=lambda name: known[name])):
        reached = max(reached, min(1.0, (len(p_values) - place) * known[loss]))
        corrected[loss] = reached
    return corrected


def _ratio(seeds: dict[int, list[LossRun]], baseline: dict[int, list[LossRun]], name: str) -> float:
    shared = [seed for seed in seeds if seed in baseline]
    if not shared:
        return float("nan")
    own, other = (np.median([getattr(r, name) for s in shared for r in of[s]]) for of in (seeds, baseline))
    return float(own / other)
