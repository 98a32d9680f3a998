"""One cell of a training comparison: a network trained with one loss, and its files."""

import json
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hueprobe.errors import HueprobeError, InputError
from hueprobe.files import written_whole
from hueprobe.studies.comparison.loss_comparison import LossRun
from hueprobe.studies.comparison.settings import NOT_OBSERVED, TRAINING_CROP, ComparisonSettings
from hueprobe.studies.comparison.trained_networks import TrainedObservation
from hueprobe.studies.comparison.trained_observing import observe_trained, read_observation, write_observation

if TYPE_CHECKING:
    from hueprobe.training.images import TrainingImages
    from hueprobe.training.objective import Objective

CELLS, RUNNING, WEIGHTS, OBSERVED = "cells", "running", "weights", "observed"


@dataclass(frozen=True)
class Cell:
    """What one run is told by, and where its files lie.

    Attributes
    ----------
    study : Path
        The study's folder.
    loss : str
    seed : int
    fold : str
        Empty where the images come with their own test part.
    learning_rate : float
    """

    study: Path
    loss: str
    seed: int
    fold: str
    learning_rate: float

    @property
    def name(self) -> str:
        """Name of the cell's files."""
        loss = self.loss.replace(":", "-")
        return f"{loss}_seed{self.seed}_{self.fold or 'test'}_lr{self.learning_rate:g}"

    @property
    def result(self) -> Path:
        """The finished run, as JSON."""
        return self.study / CELLS / f"{self.name}.json"

    @property
    def running(self) -> Path:
        """Folder of checkpoints while it is trained."""
        return self.study / RUNNING / self.name

    @property
    def lock(self) -> Path:
        """Held by the process that works on the cell."""
        return self.study / RUNNING / f"{self.name}.lock"

    @property
    def weights(self) -> Path:
        """What the run ended with."""
        return self.study / WEIGHTS / f"{self.name}.safetensors"

    def observed(self, settings: ComparisonSettings) -> Path:
        """What was observed on the images that the settings name, as JSON."""
        how = f"{settings.observe}{settings.observed_crop}"
        return self.study / OBSERVED / f"{self.name}_{how}.json"


@contextmanager
def cell_objective(
    cell: Cell, settings: ComparisonSettings, num_classes: int
) -> "Iterator[tuple[Objective, Any]]":
    """Give the objective with which a cell begins, and the tap at its network's bottleneck."""
    from hueprobe.training.networks import fresh_network
    from hueprobe.training.objectives import objective_named

    network, tap = fresh_network(settings.backbone, num_classes, seed=cell.seed, weights=settings.weights)
    with objective_named(
        cell.loss, network, num_classes, tap=tap, image_size=settings.training.get("crop", TRAINING_CROP),
        seed=cell.seed, stages=settings.stages, **settings.head,
    ) as objective:  # fmt: skip
        yield objective, tap


def train_cell(
    cell: Cell, settings: ComparisonSettings, images: "TrainingImages", test: "TrainingImages", *,
    keep_weights: bool,
) -> None:  # fmt: skip
    """Train a cell's network, or go on with it, test it, and write the result: last, so it is whole."""
    from hueprobe.training.loop import predict_classes, train
    from hueprobe.training.memory_use import bytes_kept
    from hueprobe.training.perturbations import SEVERITIES, perturbation
    from hueprobe.training.trained import save_trained

    own = settings.training_settings(seed=cell.seed, learning_rate=cell.learning_rate)
    with cell_objective(cell, settings, len(images.class_names)) as (objective, _):
        network = objective.network
        run = train(objective, images, own, test=test, folder=cell.running)
        truth = test.targets.numpy()
        predicted = predict_classes(network, test, own)
        robust = {}
        if settings.robustness:
            for kind, strengths in SEVERITIES.items():
                for severity in range(1, len(strengths) + 1):
                    changed = perturbation(kind, severity, seed=cell.seed)
                    found = predict_classes(network, test, own, perturb=changed)
                    robust[f"{kind} {severity}"] = int((found == truth).sum())
        if keep_weights:
            cell.weights.parent.mkdir(exist_ok=True)
            save_trained(cell.weights, objective)
        n_network = sum(p.numel() for p in network.parameters())
        beside = [name for name in run.log[0] if name.startswith("share_") and name != "share_class"]
        result = LossRun(
            loss=cell.loss, seed=cell.seed, fold=cell.fold, learning_rate=cell.learning_rate,
            n_right=int((predicted == truth).sum()), n_test=int((predicted >= 0).sum()),
            curve=tuple(row["test_accuracy"] for row in run.log),
            train_loss=tuple(row["loss_class"] for row in run.log),
            shares=tuple(sum(row[name] for name in beside) for row in run.log) if beside else (),
            seconds_per_step=statistics.median(row["seconds"] / row["steps"] for row in run.log),
            saved_bytes=bytes_kept(objective, images, own),
            n_parameters=n_network,
            n_extra=sum(p.numel() for p in objective.parameters()) - n_network,
            robustness=robust,
        )  # fmt: skip
    with written_whole(cell.result) as out:
        out.write(json.dumps(asdict(result), sort_keys=True, indent=1).encode())
    shutil.rmtree(cell.running)


def observe_cell(
    cell: Cell, settings: ComparisonSettings, num_classes: int, images: "TrainingImages"
) -> None:
    """Observe the network that a cell left, and write what was found; what fails becomes a note."""
    from hueprobe.training.trained import load_trained

    own = settings.training_settings(seed=cell.seed, learning_rate=cell.learning_rate)
    with cell_objective(cell, settings, num_classes) as (objective, tap):
        load_trained(cell.weights, objective)
        try:
            own = replace(own, crop=settings.observed_crop)
            found = observe_trained(objective, tap, images, own, part=settings.observe)
        except HueprobeError as error:
            found = _unobserved(settings.observe, str(error))
    path = cell.observed(settings)
    path.parent.mkdir(exist_ok=True)
    write_observation(path, found)


def read_cell(cell: Cell, settings: ComparisonSettings) -> LossRun:
    """Return a finished run, with what was observed on the images that the settings name.

    Raises
    ------
    InputError
        The file is none, or of another version.
    """
    try:
        values: dict[str, Any] = dict(json.loads(cell.result.read_bytes()))
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        run = LossRun(**values)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{cell.result} is no run of this version; remove it, and it is trained again"
        ) from error
    if settings.observe == NOT_OBSERVED:
        return run
    path = cell.observed(settings)
    if path.exists():
        return replace(run, observed=read_observation(path))
    note = f"{cell.name} was trained without keeping its weights; remove {cell.result.name} to train it again"
    return replace(run, observed=_unobserved(settings.observe, note))


def _unobserved(part: str, note: str) -> TrainedObservation:
    return TrainedObservation(pictures=part, n_images=0, grid=(0, 0), notes=(f"not observed: {note}",))
