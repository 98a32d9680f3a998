"""The runs of a training comparison, and where the files of each lie."""

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
    """One network of a comparison, by what it is trained with.

    Attributes
    ----------
    loss : str
    seed : int
    fold : str
        Empty where the images come with their own test part.
    learning_rate : float
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
    """A comparison's folder: finished runs, what was observed, and what is needed until then.

    Parameters
    ----------
    path : Path
    settings : ComparisonSettings

    Attributes
    ----------
    runs : RunStore of LossRun
        What each network came to, without what was observed; their locks lie in `running/`.
    observed : RunStore of TrainedObservation
        What was observed with them on the images that the settings name.
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
        """Make the folder and write its settings down, or raise InputError where it holds another study."""
        for sub in (_CELLS, _RUNNING):
            with storing(self._path / sub):
                (self._path / sub).mkdir(parents=True, exist_ok=True)
        with locked(self._path / _RUNNING / "settings.lock", wait=True):
            write_settings(self._path / _SETTINGS, self._settings, images)

    def checkpoints(self, run: ComparisonRun) -> Path:
        """Return the folder of a run's checkpoint and log while it is trained."""
        return self._path / _RUNNING / run.name

    def weights(self, run: ComparisonRun) -> Path:
        """Return the file of the weights that a run's network ended with."""
        return self._path / _WEIGHTS / f"{run.name}.safetensors"

    def config(self, run: ComparisonRun) -> Path:
        """Return the file that says what network the weights are of."""
        return self._path / _WEIGHTS / f"{run.name}.json"

    def beside(self, run: ComparisonRun) -> Path:
        """Return the file of what a run trained beside its network, such as a hue head."""
        return self._path / _WEIGHTS / f"{run.name}.beside.safetensors"

    def drop_weights(self, run: ComparisonRun) -> None:
        """Remove all that a run's weights are kept in; the weights last."""
        for path in (self.config(run), self.beside(run), self.weights(run)):
            path.unlink(missing_ok=True)
