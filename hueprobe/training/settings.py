"""Settings of a training run, checked, and recorded beside its results."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from hueprobe.errors import InputError, require_choice

OPTIMIZERS = ("adam", "sgd")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of a training run.

    The defaults are the paper's settings [1]_ as far as it gives any: 100 epochs with Adam [2]_ and cosine
    annealing [3]_ at their default settings in PyTorch.

    Attributes
    ----------
    epochs : int, default=100
        Number of epochs, also the T_max of the cosine schedule, which the paper does not give.
    batch_size : int, default=64
        Images per step; not given in the paper. A last batch of one image is left out, since BatchNorm
        cannot process it.
    optimizer : str, default="adam"
        `adam`, or `sgd` with momentum 0.9.
    learning_rate : float, default=1e-3
        Initial learning rate, Adam's default; 0.1 is usual for SGD.
    weight_decay : float, default=0.0
        Weight decay, Adam's default; 5e-4 is usual for SGD.
    crop : int, default=224
        Side of the network's input in pixels: a random crop in training, the center crop in evaluation.
    flip : bool, default=True
        Flip training images horizontally with probability 0.5.
    precision : str, default="fp32"
        `fp32`, or `bf16` with autocast.
    channels_last : bool, default=True
        Use the channels-last memory layout for network and images, which is faster on most devices.
    device : str, default="auto"
        `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
    seed : int, default=0
        Seed of batch order, crops, flips and dropout in each epoch.
    checkpoint_every : int, default=1
        Number of epochs between checkpoints.

    Raises
    ------
    InputError
        A number is out of range, or a choice is unknown.

    See Also
    --------
    hueprobe.training.train : Train with these settings.

    References
    ----------
    .. [1] L.-F. Bouchard, M. Ben Lazreg and M. Toews, "Coloring Deep CNN Layers with Activation Hue
       Loss".
    .. [2] D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", ICLR, 2014.
    .. [3] I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Restarts",
       arXiv:1608.03983, 2016.

    Examples
    --------
    >>> settings = hp.training.TrainingSettings(epochs=30, optimizer="sgd", learning_rate=0.1)
    >>> settings.batch_size, settings.precision
    (64, 'fp32')
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
        """Check all values."""
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
        """Return the settings as a dictionary for JSON.

        Examples
        --------
        >>> hp.training.TrainingSettings(crop=32).to_json()["crop"]
        32
        """
        return asdict(self)
