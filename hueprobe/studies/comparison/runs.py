"""One run of a training comparison: a network trained with one loss, tested, and observed."""

import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hueprobe.errors import HueprobeError
from hueprobe.studies.comparison.loss_run import LossRun
from hueprobe.studies.comparison.settings import NOT_OBSERVED, TRAINING_CROP, ComparisonSettings
from hueprobe.studies.comparison.study_files import ComparisonRun, StudyFolder
from hueprobe.studies.comparison.trained_networks import TrainedObservation
from hueprobe.studies.comparison.trained_observing import observe_trained

if TYPE_CHECKING:
    from hueprobe.activations.hooks import Tap
    from hueprobe.training.images import TrainingImages
    from hueprobe.training.objective import Objective


@contextmanager
def run_objective(
    run: ComparisonRun, settings: ComparisonSettings, num_classes: int
) -> "Iterator[tuple[Objective, Tap]]":
    """Give the objective with which a run begins, and the tap at its network's bottleneck."""
    from hueprobe.training.networks import fresh_network
    from hueprobe.training.objectives import objective_named

    network, tap = fresh_network(
        settings.backbone, num_classes, seed=run.seed, weights=settings.weights, layer=settings.layer
    )
    with objective_named(
        run.loss, network, num_classes, tap=tap, image_size=settings.training.get("crop", TRAINING_CROP),
        seed=run.seed, stages=settings.stages, **settings.head,
    ) as objective:  # fmt: skip
        yield objective, tap


def train_run(
    run: ComparisonRun, files: StudyFolder, settings: ComparisonSettings, images: "TrainingImages",
    test: "TrainingImages", *, keep_weights: bool,
) -> None:  # fmt: skip
    """Train a run's network, or go on with it, test it, and write the result: last, so it is whole."""
    from hueprobe.training.loop import train
    from hueprobe.training.memory_use import bytes_kept
    from hueprobe.training.trained import save_beside, save_trained

    own = settings.training_settings(seed=run.seed, learning_rate=run.learning_rate)
    with run_objective(run, settings, len(images.class_names)) as (objective, _):
        trained = train(objective, images, own, test=test, folder=files.checkpoints(run))
        tested = _tested(run, settings, objective, test)
        if keep_weights:
            files.weights(run).parent.mkdir(exist_ok=True)
            save_beside(files.beside(run), objective)
            save_trained(
                objective, trained, images, own, test=test, backbone=settings.backbone,
                begun_from=settings.weights, head=settings.head, stages=settings.stages,
                weights=files.weights(run), config=files.config(run),
            )  # fmt: skip
        n_network = sum(p.numel() for p in objective.network.parameters())
        beside = [name for name in trained.log[0] if name.startswith("share_") and name != "share_class"]
        result = LossRun(
            loss=run.loss, seed=run.seed, fold=run.fold, learning_rate=run.learning_rate,
            **tested,
            curve=tuple(row["test_accuracy"] for row in trained.log),
            train_loss=tuple(row["loss_class"] for row in trained.log),
            shares=tuple(sum(row[name] for name in beside) for row in trained.log) if beside else (),
            seconds_per_step=statistics.median(row["seconds"] / row["steps"] for row in trained.log),
            saved_bytes=bytes_kept(objective, images, own),
            n_parameters=n_network,
            n_extra=sum(p.numel() for p in objective.parameters()) - n_network,
        )  # fmt: skip
    files.runs.write(run.name, result)
    shutil.rmtree(files.checkpoints(run))


def _tested(
    run: ComparisonRun, settings: ComparisonSettings, objective: "Objective", test: "TrainingImages"
) -> dict[str, Any]:
    """Return `n_right`, `n_test` and `robustness` of a LossRun."""
    from hueprobe.training.loop import predict_classes
    from hueprobe.training.perturbations import SEVERITIES, perturbation

    own = settings.training_settings(seed=run.seed, learning_rate=run.learning_rate)
    truth = test.targets.numpy()
    predicted = predict_classes(objective.network, test, own)
    robustness = {}
    for kind, strengths in SEVERITIES.items() if settings.robustness else ():
        for severity in range(1, len(strengths) + 1):
            changed = perturbation(kind, severity, seed=run.seed)
            found = predict_classes(objective.network, test, own, perturb=changed)
            robustness[f"{kind} {severity}"] = int((found == truth).sum())
    return {
        "n_right": int((predicted == truth).sum()),
        "n_test": int((predicted >= 0).sum()),
        "robustness": robustness,
    }


def observe_run(
    run: ComparisonRun, files: StudyFolder, settings: ComparisonSettings, num_classes: int,
    images: "TrainingImages",
) -> None:  # fmt: skip
    """Observe the network that a run left, and write what was found; what fails becomes a note."""
    from hueprobe.training.trained import load_trained

    own = settings.training_settings(seed=run.seed, learning_rate=run.learning_rate)
    with run_objective(run, settings, num_classes) as (objective, tap):
        load_trained(files.weights(run), objective, beside=files.beside(run))
        try:
            own = replace(own, crop=settings.observed_crop)
            found = observe_trained(objective, tap, images, own, part=settings.observe)
        except HueprobeError as error:
            found = _unobserved(settings.observe, str(error))
    files.observed.write(run.name, found)


def read_run(run: ComparisonRun, files: StudyFolder, settings: ComparisonSettings) -> LossRun:
    """Return a finished run, with what was observed on the images that the settings name.

    Raises
    ------
    InputError
        A file is none, or of another version.
    """
    found = files.runs.read(run.name)
    if settings.observe == NOT_OBSERVED:
        return found
    if run.name in files.observed:
        return replace(found, observed=files.observed.read(run.name))
    note = (
        f"{run.name} was trained without keeping its weights; remove {files.runs.path(run.name).name} to "
        "train it again"
    )
    return replace(found, observed=_unobserved(settings.observe, note))


def _unobserved(part: str, note: str) -> TrainedObservation:
    return TrainedObservation(part=part, n_images=0, grid=(0, 0), notes=(f"not observed: {note}",))
