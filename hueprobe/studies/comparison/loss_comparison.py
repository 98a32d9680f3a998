"""Training losses compared over paired seeds: means, differences to one-hot, exact p-values.

The unit is the seed: within it every loss starts from the same weights and sees the same batches. Folds of
one seed share images and are summed, not counted as replicates. The p-value of a difference flips the sign
of each seed's difference, exactly: with n seeds it cannot be below 2^(1-n), so 5 seeds never reach .05.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hueprobe.errors import InputError
from hueprobe.stats.intervals import Interval
from hueprobe.stats.permutation import sign_flip_p
from hueprobe.studies.comparison.trained_networks import (
    MeasureSummary,
    TrainedObservation,
    over_seeds,
    summarize_measures,
)

BASELINE = "onehot"
_SHARES = (0.0, 1.0)  # what an accuracy can be


@dataclass(frozen=True, kw_only=True)
class LossRun:
    """One trained network: a loss, a seed, a fold, a learning rate.

    Attributes
    ----------
    loss : str
    seed : int
    fold : str
        Empty where the images come with their own test part.
    learning_rate : float
    n_right, n_test : int
        Test images after the last epoch.
    curve : tuple of float
        Test accuracy after each epoch.
    train_loss : tuple of float
        Of the class term, mean over each epoch.
    shares : tuple of float
        Of the terms beside the class term in the gradient norm at the bottleneck, each epoch; empty without.
    seconds_per_step : float
        Median over epochs.
    saved_bytes : int
        What one training step keeps for its backward pass.
    n_parameters, n_extra : int
        Of the network; of what is trained beside it.
    robustness : dict of str to int
        Right answers on perturbed test images, "noise 1" to "contrast 3".
    observed : TrainedObservation or None
        Observations 3 to 5 with the trained network.
    """

    loss: str
    seed: int
    fold: str
    learning_rate: float
    n_right: int
    n_test: int
    curve: tuple[float, ...]
    train_loss: tuple[float, ...]
    shares: tuple[float, ...]
    seconds_per_step: float
    saved_bytes: int
    n_parameters: int
    n_extra: int
    robustness: dict[str, int] = field(default_factory=dict)
    observed: TrainedObservation | None = None


@dataclass(frozen=True, kw_only=True)
class LossSummary:
    """A loss at one learning rate, over seeds.

    Attributes
    ----------
    loss : str
    learning_rate : float
    n_seeds : int
    accuracy : Interval
        Mean over seeds, with Student's interval; NaN bounds for one seed.
    difference : Interval or None
        Accuracy less that of one-hot with the same seeds; None for one-hot itself, or without shared seeds.
    p, p_holm : float
        Two-sided exact sign-flip test over shared seeds; corrected by Holm over all losses of the rate but
        the primary one, which stays as it is. NaN without a difference.
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
    if not runs:
        raise InputError("no training runs to compare; give at least one")
    keys = [(run.loss, run.seed, run.fold, run.learning_rate) for run in runs]
    if len(set(keys)) < len(keys):
        raise InputError("a training run is there twice; give each loss, seed, fold and learning rate once")
    folds = {run.fold for run in runs}
    summaries = []
    for rate in dict.fromkeys(run.learning_rate for run in runs):
        of_rate = [run for run in runs if run.learning_rate == rate]
        grouped = {
            loss: _by_seed([run for run in of_rate if run.loss == loss], folds)
            for loss in dict.fromkeys(run.loss for run in of_rate)
        }
        grouped = {loss: seeds for loss, seeds in grouped.items() if seeds}
        baseline = grouped.get(BASELINE, {})
        p_values = {loss: _p(seeds, baseline) for loss, seeds in grouped.items() if loss != BASELINE}
        corrected = _holm({loss: p for loss, p in p_values.items() if loss != primary and not np.isnan(p)})
        for loss, seeds in grouped.items():
            p = p_values.get(loss, np.nan)
            summaries.append(
                _summary(
                    loss, rate, seeds, baseline, p=p, primary=loss == primary,
                    p_holm=p if loss == primary else corrected.get(loss, np.nan),
                )
            )  # fmt: skip
    return summaries


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


def mean_curve(runs: Sequence[LossRun], values: Sequence[Sequence[float]]) -> list[Interval]:
    """Return the mean over seeds of a share that each run has for each epoch, with Student's interval.

    Parameters
    ----------
    runs : sequence of LossRun
        Of one loss; a seed's folds are averaged first.
    values : sequence of sequences of float
        Of each run, one an epoch, 0 to 1; so is the interval.
    """
    of_seed: dict[int, list[Sequence[float]]] = {}
    for run, row in zip(runs, values, strict=True):
        of_seed.setdefault(run.seed, []).append(row)
    rows = np.array([np.mean(found, axis=0) for found in of_seed.values()])  # (seeds, epochs)
    return [over_seeds(column, within=_SHARES) for column in rows.T.tolist()]


def _by_seed(runs: Sequence[LossRun], folds: set[str]) -> dict[int, list[LossRun]]:
    seeds: dict[int, list[LossRun]] = {}
    for run in runs:
        seeds.setdefault(run.seed, []).append(run)
    return {seed: found for seed, found in seeds.items() if {run.fold for run in found} == folds}


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
        accuracy=over_seeds([right[seed] / n_test[seed] for seed in seeds], within=_SHARES),
        difference=over_seeds(differences, within=(-1, 1)) if shared else None,
        p=p,
        p_holm=p_holm,
        primary=primary,
        seconds_ratio=_ratio(seeds, baseline, "seconds_per_step"),
        memory_ratio=_ratio(seeds, baseline, "saved_bytes"),
        n_extra=runs[0].n_extra,
        epochs_to_95=float(np.mean([epochs_to(run.curve) for run in runs])),
        robustness={
            name: over_seeds(
                [sum(run.robustness[name] for run in found) / n_test[seed] for seed, found in seeds.items()],
                within=_SHARES,
            )
            for name in runs[0].robustness
        },
    )


def _accuracy(runs: Sequence[LossRun]) -> float:
    return sum(run.n_right for run in runs) / sum(run.n_test for run in runs)


def _p(seeds: dict[int, list[LossRun]], baseline: dict[int, list[LossRun]]) -> float:
    shared = [seed for seed in seeds if seed in baseline]
    if not shared:
        return float("nan")
    counts = [sum(r.n_right for r in seeds[s]) - sum(r.n_right for r in baseline[s]) for s in shared]
    return sign_flip_p(np.array(counts))


def _holm(p_values: dict[str, float]) -> dict[str, float]:
    """Return p-values corrected by Holm's step-down procedure."""
    corrected, reached = {}, 0.0
    for place, loss in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        reached = max(reached, min(1.0, (len(p_values) - place) * p_values[loss]))
        corrected[loss] = reached
    return corrected


def _ratio(seeds: dict[int, list[LossRun]], baseline: dict[int, list[LossRun]], name: str) -> float:
    shared = [seed for seed in seeds if seed in baseline]
    if not shared:
        return float("nan")
    own, other = (np.median([getattr(r, name) for s in shared for r in of[s]]) for of in (seeds, baseline))
    return float(own / other)
