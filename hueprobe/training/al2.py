"""AL2: a penalty on the activations before the classifier that grows from epoch to epoch."""

import math

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hueprobe.activations.hooks import require_layer
from hueprobe.errors import InputError, LayerError
from hueprobe.training.classifiers import find_classifier


class AL2(nn.Module):
    """Penalise the mean square of the last features, more and more (El Helou et al., ICASSP 2020).

    The term is w_e * mean(a^2), over all elements of the batch's features a. With the authors' numbers::

        w_0 = .01,   w_e = 1.1 w_{e-1} while w_{e-1} < 5, then 1.01 w_{e-1}

    so w_66 is the first of at least 5, w_99 = 7.49 and w_249 = 33.3.

    Parameters
    ----------
    initial, growth, knee, late_growth : float
        w_0, the factor an epoch up to the knee, the weight where it changes, and the factor from there on.

    Raises
    ------
    InputError
        A number that is not finite, or out of range.

    Examples
    --------
    >>> al2 = AL2()
    >>> al2.start_epoch(99)
    >>> round(al2.weight, 2)
    7.49
    """

    def __init__(
        self, *, initial: float = 0.01, growth: float = 1.1, knee: float = 5.0, late_growth: float = 1.01
    ) -> None:
        super().__init__()
        given = {"initial": initial, "growth": growth, "knee": knee, "late_growth": late_growth}
        for name, value in given.items():
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} of AL2 is {value}; it must be a finite number, 0 or more")
        self.initial, self.growth, self.knee, self.late_growth = initial, growth, knee, late_growth
        self.weight = initial
        self._features: Tensor | None = None
        self._handle: RemovableHandle | None = None

    @classmethod
    def before(cls, network: nn.Module, *, layer: str | None = None, **schedule: float) -> "AL2":
        """Return an AL2 that reads what goes into a network's classifier; `penalty` gives the term.

        ::

            al2 = AL2.before(network)                                      # once
            loss = cross_entropy(network(images), targets) + al2.penalty()
            al2.start_epoch(epoch + 1)                                     # after each epoch

        Parameters
        ----------
        network : nn.Module
        layer : str, optional
            Dotted name of the layer whose input is penalised; the classifier by default.
        **schedule : float
            As for the class.

        Raises
        ------
        LayerError
            There is no such layer.
        """
        al2 = cls(**schedule)
        name = find_classifier(network) if layer is None else layer
        target = require_layer(network, name, name=f"network {type(network).__name__}")
        al2._handle = target.register_forward_pre_hook(al2._keep)
        return al2

    def weight_at(self, epoch: int) -> float:
        """Return w_e, epochs counted from 0."""
        weight = self.initial
        for _ in range(epoch):
            weight *= self.growth if weight < self.knee else self.late_growth
        return weight

    def start_epoch(self, epoch: int) -> None:
        """Set the weight for an epoch, counted from 0."""
        if epoch < 0:
            raise InputError(f"epoch is {epoch}; it must be 0 or more")
        self.weight = self.weight_at(epoch)

    def forward(self, features: Tensor) -> Tensor:
        """Return the term for features of any shape; in float32 at least."""
        values = features if features.dtype.itemsize >= 4 else features.float()
        return self.weight * values.square().mean()

    def penalty(self) -> Tensor:
        """Return the term for the network's last forward pass.

        Raises
        ------
        LayerError
            It stands before no network, or the network has not run.
        """
        if self._features is None:
            raise LayerError(
                "AL2 has seen no features; make it with AL2.before(network) and call the network"
            )
        term: Tensor = self(self._features)
        return term

    def remove(self) -> None:
        """Take the hook off the network."""
        if self._handle is not None:
            self._handle.remove()

    def _keep(self, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0]
