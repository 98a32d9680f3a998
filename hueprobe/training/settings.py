"""How a network is trained: the numbers of a run, checked and written down beside its results."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from hueprobe.errors import InputError, require_choice

OPTIMIZERS = ("adam", "sgd")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The paper's settings, where it gives any: Adam and CosineAnnealingLR with default settings, 100 epochs.

    Attributes
    ----------
    epochs : int
        Also the T_max of the cosine schedule, which the paper does not give.
    batch_size : int
        Images a step; the paper does not say. A last batch of one image is left out of its epoch, since
        BatchNorm cannot take it.
    optimizer : str
        `adam`, or `sgd` with momentum .9.
    learning_rate, weight_decay : float
        Adam's own defaults; SGD usually wants .1 and 5e-4.
    crop : int
        Side in pixels of what the network sees: a random crop in training, the center in evaluation.
    flip : bool
        Mirror half of the training images.
    precision : str
        `fp32`, or `bf16` under autocast.
    channels_last : bool
        Memory layout of network and images; faster on most devices.
    device : str
        `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
    seed : int
        Of batch order, crops, flips and dropout, for each epoch anew.
    checkpoint_every : int
        Epochs from checkpoint to checkpoint.

    Raises
    ------
    InputError
        A number out of range or an unknown choice.
    """

    epochs: int = 100
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    crop: int = 224
    flip: bool = True
    precision: str = "fp32"
    channels_last: bool = True
    device: str = "auto"
    seed: int = 0
    checkpoint_every: int = 1

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for name, least in (
            ("epochs", 1),
            ("batch_size", 2),
            ("crop", 1),
            ("seed", 0),
            ("checkpoint_every", 1),
        ):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        require_choice("optimizer", self.optimizer, OPTIMIZERS)
        require_choice("precision", self.precision, PRECISIONS)
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InputError(f"learning_rate is {self.learning_rate}; it must be a finite number above 0")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise InputError(f"weight_decay is {self.weight_decay}; it must be a finite number, 0 or more")

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON holds them."""
        return asdict(self)
