"""AL2's own case in small: digits with 75 % wrong labels, with and without the penalty.

    python -m benchmarks.al2_noisy_labels [--epochs 250] [--seeds 6]

scikit-learn's 1,797 digits (8 x 8 pixels) in place of MNIST: 1,000 to train, of which 75 % get one of the
nine wrong labels, and 797 to test, all right. Two hidden layers of 256, bare and with dropout, Adam with the
cosine schedule of `hueprobe.training`. Seeds are paired: split, wrong labels, weights and batches are the
same with and without AL2. Writes benchmarks/results/al2_noisy_labels.json and the curves as a figure beside.
"""

import argparse
import json
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from benchmarks.machine import machine
from hueprobe.activations.random_weights import own_randomness
from hueprobe.memory.settings import library_versions
from hueprobe.plots.training import loss_curves
from hueprobe.studies.comparison.loss_comparison import BASELINE, compare_curves, compare_losses
from hueprobe.studies.comparison.loss_run import LossRun
from hueprobe.training import AL2, Objective, TrainingImages, TrainingSettings, images_from_arrays, train

RESULTS = Path(__file__).parent / "results" / "al2_noisy_labels.json"
WRONG, N_TRAIN, CLASSES = 0.75, 1000, 10
LOSSES = (BASELINE, "al2")
KINDS = ("bare", "dropout")


def wrong_labels(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return labels of which a share, rounded, are one of the other classes, drawn evenly."""
    chosen = rng.permutation(len(labels))[: round(share * len(labels))]
    spoilt = labels.copy()
    spoilt[chosen] = (labels[chosen] + rng.integers(1, CLASSES, len(chosen))) % CLASSES
    return spoilt


def digits(seed: int) -> tuple[TrainingImages, TrainingImages]:
    """Return training images with wrong labels and test images with right ones."""
    from sklearn.datasets import load_digits

    found = load_digits()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(found.target))
    pixels = (found.images * 15).astype(np.uint8)
    names = [str(number) for number in range(CLASSES)]
    known, asked = order[:N_TRAIN], order[N_TRAIN:]
    spoilt = wrong_labels(found.target[known], WRONG, rng)
    return (
        images_from_arrays(pixels[known], spoilt, class_names=names),
        images_from_arrays(pixels[asked], found.target[asked], class_names=names),
    )


def small_network(kind: str, seed: int) -> nn.Module:
    """Return two hidden layers, with dropout of .5 before the classifier for `dropout`."""
    with own_randomness(seed):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(3 * 64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(),
            nn.Dropout(0.5 if kind == "dropout" else 0.0), nn.Linear(256, CLASSES),
        )  # fmt: skip


def trained(kind: str, loss: str, seed: int, epochs: int) -> LossRun:
    """Train one network and return its run."""
    known, asked = digits(seed)
    network = small_network(kind, seed)
    if loss == "al2":
        al2 = AL2.before(network)
        objective = Objective(
            network, terms={"al2": lambda _targets: al2.penalty()}, modules={"al2": al2}, name=loss
        )
    else:
        objective = Objective(network, name=loss)
    settings = TrainingSettings(
        epochs=epochs, batch_size=100, crop=8, flip=False, device="cpu", seed=seed, channels_last=False
    )
    log = train(objective, known, settings, test=asked).log
    n_test = len(asked)
    return LossRun(
        loss=loss, seed=seed, fold="", learning_rate=settings.learning_rate,
        n_right=round(log[-1]["test_accuracy"] * n_test), n_test=n_test,
        curve=tuple(row["test_accuracy"] for row in log), train_loss=tuple(row["loss_class"] for row in log),
        shares=(), seconds_per_step=statistics.median(row["seconds"] / row["steps"] for row in log),
        saved_bytes=1, n_parameters=sum(p.numel() for p in network.parameters()), n_extra=0,
    )  # fmt: skip


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {}
    drawn: list[LossRun] = []
    for kind in KINDS:
        runs = [
            trained(kind, loss, seed, arguments.epochs) for seed in range(arguments.seeds) for loss in LOSSES
        ]
        without, with_it = compare_losses(runs, primary="al2")
        best = {loss: np.mean([max(run.curve) for run in runs if run.loss == loss]) for loss in LOSSES}
        found[kind] = {
            "without": asdict(without.accuracy),
            "with": asdict(with_it.accuracy),
            "difference": asdict(with_it.difference) if with_it.difference else None,
            "p": with_it.p,
            "best_epoch_on_test": {loss: float(value) for loss, value in best.items()},
            "curves": {
                loss: [[round(value, 4) for value in run.curve] for run in runs if run.loss == loss]
                for loss in LOSSES
            },
        }
        drawn += [replace(run, loss=kind if run.loss == BASELINE else f"{kind} + AL2") for run in runs]
        print(
            f"{kind}: {without.accuracy.estimate:.3f} without, {with_it.accuracy.estimate:.3f} with, "
            f"p = {with_it.p:.3g}"
        )
    document = {
        "wrong": WRONG,
        "n_train": N_TRAIN,
        "epochs": arguments.epochs,
        "seeds": arguments.seeds,
        "networks": found,
        "machine": machine(),
        "versions": library_versions(),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(document, sort_keys=True, allow_nan=False) + "\n")
    figure = loss_curves(compare_curves(drawn)).figure
    assert isinstance(figure, Figure)
    figure.savefig(arguments.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
