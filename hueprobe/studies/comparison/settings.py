"""What a training comparison compares, written down before the first network is trained."""

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
# A study may grow in these; the rest would mix two studies.
_GROWING = ("losses", "seeds", "learning_rates", "observe", "observe_crop", "keep_weights")
_PARTS = ("train_splits", "test_splits", "drop_repeated")  # the images' hash tells what came of them
_FREE = (*_GROWING, *_PARTS)


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """What is compared, written down as `comparison.json` before the first network is trained.

    Attributes
    ----------
    backbone, weights : str
        Of the networks; weights `none` starts from scratch.
    layer : str or None
        The networks' bottleneck, where it is not in the table.
    losses : tuple of str
        Names as `objective_named` takes them; one-hot should be among them.
    primary : str or None
        The one contrast to one-hot that is declared beforehand.
    seeds : int
        Seeds 0, 1, ...: of weights, batches, heads and angles, the same for each loss.
    folds : int
        Of cross-validation; 0 takes the images' own train and test parts.
    learning_rates : tuple of float
        The same for each loss.
    side : int
        Images' side in pixels before the crop.
    stages : tuple of str
        Layers for MaxDropout and Catch-up Mix, where the network has no layer1 ... layer4.
    robustness : bool
        Whether to test on perturbed images too.
    training : dict
        TrainingSettings but seed and learning_rate.
    head : dict
        `head_input`, `head_hidden` and `project` of `objective_named`, where they are not the defaults.
    observe : str
        The images on which observations 3 to 5 are made with each trained network: `test` (which it has not
        seen), `train`, or `none`.
    observe_crop : int
        Side in pixels of the images observed; 0 for that of training. A larger one gives a finer grid, of
        things larger than the network has learnt.
    keep_weights : bool
        Whether trained weights stay after they have been observed, as `weights/<run>.safetensors` under the
        network's own names, with `<run>.json` (a `TrainedNetwork`) beside.
    train_splits, test_splits : tuple of str
        Splits to train and to test on, where they are not called train and test; see `training_parts`.
    drop_repeated : bool
        Whether images of a test image's content are left out of training, instead of refusing them.

    Raises
    ------
    InputError
        No loss, no seed, no learning rate, one fold, or an unknown choice.
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
        """Refuse a study without runs."""
        if not self.losses or len(set(self.losses)) < len(self.losses):
            raise InputError(f"losses are {', '.join(self.losses) or 'none'}; give at least one, each once")
        if self.primary is not None and self.primary not in self.losses:
            raise InputError(f"the primary loss {self.primary!r} is not among {', '.join(self.losses)}")
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}; it must be at least 1, and 6 for a p-value below .05")
        if self.folds == 1 or self.folds < 0:
            raise InputError(f"folds is {self.folds}; it must be 2 or more, or 0 for the images' own parts")
        if self.folds and (self.train_splits or self.test_splits):
            raise InputError(
                f"folds is {self.folds}, which deals out all images anew, and splits are named: leave out "
                "folds (--folds), or train_splits and test_splits (--train-split, --test-split)"
            )
        require_choice("images to observe", self.observe, OBSERVED)
        if self.observe_crop < 0:
            raise InputError(
                f"observe_crop is {self.observe_crop}; give pixels, or 0 for the crop of training"
            )
        if not self.learning_rates:
            raise InputError("there is no learning rate; give at least one")

    @property
    def observed_crop(self) -> int:
        """Side in pixels of the images observed."""
        trained: int = self.training.get("crop", TRAINING_CROP)
        return self.observe_crop or trained

    def training_settings(self, *, seed: int, learning_rate: float) -> "TrainingSettings":
        """Return the settings of one run."""
        from hueprobe.training.settings import TrainingSettings

        return TrainingSettings(**self.training, seed=seed, learning_rate=learning_rate)


def write_settings(path: Path, settings: ComparisonSettings, images: ImageTable) -> None:
    """Write the study's settings, or raise InputError where its folder holds another study."""
    rows = repr((images.paths, images.classes, images.splits, images.groups, images.sizes))
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
                f"{path.parent} holds a study of these images before they changed; bring back what they "
                "were, or choose another folder"
            )
        if before == own:
            return
    with written_whole(path) as file:
        file.write(json_text(own, indent=1).encode())
