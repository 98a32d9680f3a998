"""What one network of a training comparison came to."""

from dataclasses import asdict, dataclass, field
from typing import Any

from hueprobe.studies.comparison.trained_networks import TrainedObservation


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

    def to_json(self) -> dict[str, Any]:
        """Return all numbers, as JSON holds them."""
        return {**asdict(self), "observed": self.observed and self.observed.to_json()}
