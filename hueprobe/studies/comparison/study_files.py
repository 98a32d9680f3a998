"""Runs of a training comparison, and the locations of their files."""

from dataclasses import dataclass
from pathlib import Path

from hueprobe.files import storing
from hueprobe.images.table import ImageTable
from hueprobe.studies.comparison.loss_run import LossRun
from hueprobe.studies.comparison.settings import ComparisonSettings, write_settings
from hueprobe.studies.comparison.trained_networks import TrainedObservation
from hueprobe.studies.locks import locked
from hueprobe.studies.run_store import RunStore

_SETTINGS = "comparison.json"
_CELLS, _RUNNING, _WEIGHTS, _OBSERVED = "cells", "running", "weights", "observed"


@dataclass(frozen=True)
class ComparisonRun:
    """One network of a comparison, identified by how it is trained.

    Attributes
    ----------
    loss : str
        Name of the loss.
    seed : int
        Seed of the run.
    fold : str
        Name of the fold; empty if the images have their own test part.
    learning_rate : float
        Learning rate.
    """

    loss: str
    seed: int
    fold: str
    learning_rate: float

    @property
    def name(self) -> str:
        """Name of the run's files."""
        loss = self.loss.replace(":", "-")
        return f"{loss}_seed{self.seed}_{self.fold or 'test'}_lr{self.learning_rate:g}"


class StudyFolder:
    """A comparison's folder: finished runs, observations, and the files needed in between.

    Parameters
    ----------
    path : Path
        The folder.
    settings : ComparisonSettings
        Settings of the comparison.

    Attributes
    ----------
    runs : RunStore of LossRun
        Results of each network, without observations; their locks are in `running/`.
    observed : RunStore of TrainedObservation
        Observations of each network on the images that the settings name.
    """

    def __init__(self, path: Path, settings: ComparisonSettings) -> None:
        self._path, self._settings = path, settings
        self.runs = RunStore(
            path / _CELLS, LossRun, locks=path / _RUNNING, indent=1, encode=LossRun.to_json,
            remedy="remove it, and it is trained again",
        )  # fmt: skip
        self.observed = RunStore(
            path / _OBSERVED, TrainedObservation, indent=1,
            ending=f"_{settings.observe}{settings.observed_crop}.json",
            encode=TrainedObservation.to_json, decode=TrainedObservation.from_json,
            remedy=f"remove it and its run in {_CELLS}/, or keep the weights",
        )  # fmt: skip

    def begin(self, images: ImageTable) -> None:
        """Make the folder and write its settings, or raise InputError if it holds another study."""
        for sub in (_CELLS, _RUNNING):
            with storing(self._path / sub):
                (self._path / sub).mkdir(parents=True, exist_ok=True)
        with locked(self._path / _RUNNING / "settings.lock", wait=True):
            write_settings(self._path / _SETTINGS, self._settings, images)

    def checkpoints(self, run: ComparisonRun) -> Path:
        """Return the folder of a run's checkpoint and log during training."""
        return self._path / _RUNNING / run.name

    def weights(self, run: ComparisonRun) -> Path:
        """Return the file of the final weights of a run's network."""
        return self._path / _WEIGHTS / f"{run.name}.safetensors"

    def config(self, run: ComparisonRun) -> Path:
        """Return the file that describes the network of the weights."""
        return self._path / _WEIGHTS / f"{run.name}.json"

    def beside(self, run: ComparisonRun) -> Path:
        """Return the file of what a run trained beside its network, such as a hue head."""
        return self._path / _WEIGHTS / f"{run.name}.beside.safetensors"

    def drop_weights(self, run: ComparisonRun) -> None:
        """Remove all files of a run's weights; the weights last."""
        for path in (self.config(run), self.beside(run), self.weights(run)):
            path.unlink(missing_ok=True)
