"""Settings of a training comparison, written before the first network is trained."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hueprobe.errors import InputError, require_choice
from hueprobe.files import written_whole
from hueprobe.images.splits import TEST, TRAIN
from hueprobe.images.table import ImageTable
from hueprobe.json_documents import json_text
from hueprobe.memory.unchanged import content_of

if TYPE_CHECKING:
    from hueprobe.training.settings import TrainingSettings

TRAINING_CROP = 224  # that of TrainingSettings
NOT_OBSERVED = "none"
OBSERVED = (TEST, TRAIN, NOT_OBSERVED)
# These may be extended later; changing the rest would mix two studies.
_GROWING = ("losses", "seeds", "learning_rates", "observe", "observe_crop", "keep_weights")
_PARTS = ("train_splits", "test_splits", "drop_repeated")  # their effect is part of the images' hash
_FREE = (*_GROWING, *_PARTS)


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """Settings of a training comparison, written to `comparison.json` before the first network is trained.

    Attributes
    ----------
    backbone : str
        Name of the network.
    weights : str, default="none"
        Initial weights; `none` trains from scratch.
    layer : str, optional
        Bottleneck of the network, if it is not in the table.
    losses : tuple of str
        Names of losses as in `objective_named`; one-hot should be among them.
    primary : str, optional
        The loss whose contrast to one-hot is declared in advance as primary.
    seeds : int
        Number of seeds 0, 1, ... of weights, batches, heads and angles; the same for each loss.
    folds : int, default=0
        Number of folds of cross-validation; 0 uses the images' own train and test parts.
    learning_rates : tuple of float, default=(0.001,)
        Learning rates, the same for each loss.
    side : int
        Side of the images in pixels before the crop.
    stages : tuple of str, default=()
        Layers for MaxDropout and Catch-up Mix, if the network has no layer1 ... layer4.
    robustness : bool, default=True
        Whether to test on perturbed images too.
    training : dict, default={}
        Fields of TrainingSettings other than seed and learning_rate.
    head : dict, default={}
        `head_input`, `head_hidden` and `project` of `objective_named`, if not the defaults.
    observe : {"test", "train", "none"}, default="test"
        Images on which observations 3 to 5 are made with each trained network. It has not seen those of
        `test`.
    observe_crop : int, default=0
        Side in pixels of the images observed; 0 is that of training. A larger side gives a finer grid, of
        objects larger than those seen in training.
    keep_weights : bool, default=False
        Whether to keep trained weights after the observations, as `weights/<run>.safetensors` under the
        network's own names, with `<run>.json` (a `TrainedNetwork`) beside.
    train_splits, test_splits : tuple of str, default=()
        Splits to train and to test on, if not named train and test; see `training_parts`.
    drop_repeated : bool, default=False
        Whether to leave out training images with the content of a test image, instead of raising an error.

    Raises
    ------
    InputError
        No loss, no seed, no learning rate, one fold, or an unknown choice.

    See Also
    --------
    hueprobe.studies.run_comparison : Run the comparison.

    Examples
    --------
    >>> settings = hp.studies.ComparisonSettings(
    ...     backbone="resnet18", losses=("onehot", "hue:eq5"), primary="hue:eq5", seeds=6, side=256,
    ...     training={"epochs": 20},
    ... )
    >>> settings.observed_crop, settings.learning_rates
    (224, (0.001,))
    """

    backbone: str
    losses: tuple[str, ...]
    seeds: int
    side: int
    training: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    weights: str = "none"
    layer: str | None = None
    primary: str | None = None
    folds: int = 0
    learning_rates: tuple[float, ...] = (1e-3,)
    stages: tuple[str, ...] = ()
    robustness: bool = True
    observe: str = "test"
    observe_crop: int = 0
    keep_weights: bool = False
    train_splits: tuple[str, ...] = ()
    test_splits: tuple[str, ...] = ()
    drop_repeated: bool = False

    def __post_init__(self) -> None:
        """Reject a study without runs."""
        if not self.losses or len(set(self.losses)) < len(self.losses):
            raise InputError(f"losses are {', '.join(self.losses) or 'none'}; give at least one, each once")
        if self.primary is not None and self.primary not in self.losses:
            raise InputError(f"the primary loss {self.primary!r} is not among {', '.join(self.losses)}")
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}; it must be at least 1, and 6 for p below 0.05")
        if self.folds == 1 or self.folds < 0:
            raise InputError(f"folds is {self.folds}; it must be 2 or more, or 0 for the images' own parts")
        if self.folds and (self.train_splits or self.test_splits):
            raise InputError(
                f"folds is {self.folds}, which splits all images again, and splits are named: leave out "
                "folds (--folds), or train_splits and test_splits (--train-split, --test-split)"
            )
        require_choice("images to observe", self.observe, OBSERVED)
        if self.observe_crop < 0:
            raise InputError(f"observe_crop is {self.observe_crop}; give pixels, or 0 for the training crop")
        if not self.learning_rates:
            raise InputError("there is no learning rate; give at least one")

    @property
    def observed_crop(self) -> int:
        """Side in pixels of the images observed."""
        trained: int = self.training.get("crop", TRAINING_CROP)
        return self.observe_crop or trained

    def training_settings(self, *, seed: int, learning_rate: float) -> "TrainingSettings":
        """Return the settings of one training run.

        Parameters
        ----------
        seed : int
            Seed of the run.
        learning_rate : float
            Learning rate of the run.

        Returns
        -------
        hueprobe.training.TrainingSettings
            The study's training settings with this seed and learning rate.

        Examples
        --------
        >>> settings = hp.studies.ComparisonSettings(
        ...     backbone="resnet18", losses=("onehot",), seeds=1, side=256, training={"epochs": 20}
        ... )
        >>> settings.training_settings(seed=0, learning_rate=0.01).epochs
        20
        """
        from hueprobe.training.settings import TrainingSettings

        return TrainingSettings(**self.training, seed=seed, learning_rate=learning_rate)


def write_settings(path: Path, settings: ComparisonSettings, images: ImageTable) -> None:
    """Write the study's settings, or raise InputError if its folder holds another study."""
    columns = (images.paths, images.classes, images.splits, images.groups, images.sizes)
    rows = repr(tuple(map(tuple, columns)))
    own = json.loads(json_text(asdict(settings)))
    own["images"] = hashlib.sha256(rows.encode()).hexdigest()
    own["content"] = content_of(images)
    if path.exists():
        try:
            before: dict[str, Any] = dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{path} is damaged ({error}); choose another folder or remove it") from None
        differing = [
            f"{name} was {before.get(name)!r} and is {own.get(name)!r}"
            for name in sorted({*before, *own} - {*_FREE, "content"})
            if before.get(name) != own.get(name)
        ]
        if differing:
            raise InputError(
                f"{path.parent} holds another study: {'; '.join(differing)}; choose another folder"
            )
        if before.get("content", own["content"]) != own["content"]:  # 0.1 did not know it
            raise InputError(
                f"{path.parent} holds a study of these images before they changed; restore the earlier "
                "images, or choose another folder"
            )
        if before == own:
            return
    with written_whole(path) as file:
        file.write(json_text(own, indent=1).encode())
