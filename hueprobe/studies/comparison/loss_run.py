"""Results of one network of a training comparison."""

from dataclasses import asdict, dataclass, field
from typing import Any

from hueprobe.studies.comparison.trained_networks import TrainedObservation


@dataclass(frozen=True, kw_only=True)
class LossRun:
    """Results of one trained network: a loss, a seed, a fold, a learning rate.

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
    n_right, n_test : int
        Number of test images classified correctly after the last epoch, and of all test images.
    curve : tuple of float
        Test accuracy after each epoch.
    train_loss : tuple of float
        Mean class term over each epoch.
    shares : tuple of float
        Share of the other terms in the gradient norm at the bottleneck, per epoch; empty if there are none.
    seconds_per_step : float
        Median over epochs of the seconds per training step.
    saved_bytes : int
        Bytes that one training step keeps for its backward pass.
    n_parameters, n_extra : int
        Number of parameters of the network, and of those trained beside it.
    robustness : dict of str to int, default={}
        Number of correct answers on perturbed test images, "noise 1" to "contrast 3".
    observed : TrainedObservation, optional
        Observations 3 to 5 of the trained network; None if not observed.

    See Also
    --------
    hueprobe.studies.run_comparison : Make the runs of a comparison.
    hueprobe.studies.compare_losses : Summarize runs over seeds.

    Examples
    --------
    >>> run = hp.studies.LossRun(
    ...     loss="onehot", seed=0, fold="", learning_rate=0.001, n_right=70, n_test=100, curve=(0.5, 0.7),
    ...     train_loss=(1.2, 0.6), shares=(), seconds_per_step=0.1, saved_bytes=1000, n_parameters=500,
    ...     n_extra=0,
    ... )
    >>> run.n_right / run.n_test == run.curve[-1]
    True
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
        """Return all numbers as JSON values.

        Returns
        -------
        dict
            JSON values.

        Examples
        --------
        >>> run = hp.studies.LossRun(
        ...     loss="onehot", seed=0, fold="", learning_rate=0.001, n_right=70, n_test=100, curve=(0.5, 0.7),
        ...     train_loss=(1.2, 0.6), shares=(), seconds_per_step=0.1, saved_bytes=1000, n_parameters=500,
        ...     n_extra=0,
        ... )
        >>> run.to_json()["curve"]
        (0.5, 0.7)
        """
        return {**asdict(self), "observed": self.observed and self.observed.to_json()}
