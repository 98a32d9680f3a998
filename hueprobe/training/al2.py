"""AL2: a penalty on the activations before the classifier that grows over the epochs."""

import math

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hueprobe.activations.hooks import require_layer
from hueprobe.errors import InputError, LayerError
from hueprobe.training.classifiers import find_classifier


class AL2(nn.Module):
    """Penalize the mean square of the features before the classifier, with a growing weight [1]_.

    The term is w_e * mean(a^2), averaged over all elements of the batch's features a. The authors' schedule
    is::

        w_0 = 0.01,   w_e = 1.1 w_{e-1} while w_{e-1} < 5, then 1.01 w_{e-1}

    so w_66 is the first weight of at least 5, w_99 = 7.49 and w_249 = 33.3.

    Parameters
    ----------
    initial : float, default=0.01
        Weight w_0 of the first epoch.
    growth : float, default=1.1
        Factor per epoch while the weight is below `knee`.
    knee : float, default=5.0
        Weight at which the factor changes.
    late_growth : float, default=1.01
        Factor per epoch from then on.

    Raises
    ------
    InputError
        A number is not finite, or negative.

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
        """Return an AL2 hooked to the input of a network's classifier; `penalty` returns the term.

        ::

            al2 = AL2.before(network)                                      # once
            loss = cross_entropy(network(images), targets) + al2.penalty()
            al2.start_epoch(epoch + 1)                                     # after each epoch

        Parameters
        ----------
        network : nn.Module
            Network to regularize; it is not changed apart from the hook.
        layer : str, optional
            Dotted name of the layer whose input is penalized; the classifier by default.
        **schedule : float
            Parameters of the class.

        Returns
        -------
        AL2
            With the weight of epoch 0.

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
        """Return the weight w_e of an epoch.

        Parameters
        ----------
        epoch : int
            Epoch, counted from 0.

        Returns
        -------
        float
            The weight.
        """
        weight = self.initial
        for _ in range(epoch):
            weight *= self.growth if weight < self.knee else self.late_growth
        return weight

    def start_epoch(self, epoch: int) -> None:
        """Set the weight for an epoch.

        Parameters
        ----------
        epoch : int
            Epoch, counted from 0.

        Raises
        ------
        InputError
            The epoch is negative.
        """
        if epoch < 0:
            raise InputError(f"epoch is {epoch}; it must be 0 or more")
        self.weight = self.weight_at(epoch)

    def forward(self, features: Tensor) -> Tensor:
        """Return the term for a batch of features.

        Parameters
        ----------
        features : Tensor
            Features of any shape; half precision is converted to float32.

        Returns
        -------
        Tensor of shape ()
            Mean square times the weight.
        """
        values = features if features.dtype.itemsize >= 4 else features.float()
        return self.weight * values.square().mean()

    def penalty(self) -> Tensor:
        """Return the term for the network's last forward pass.

        Returns
        -------
        Tensor of shape ()
            Mean square of the classifier's input times the weight.

        Raises
        ------
        LayerError
            The instance was not made by `before`, or the network has not run.
        """
        if self._features is None:
            raise LayerError(
                "AL2 has seen no features; make it with AL2.before(network) and call the network"
            )
        term: Tensor = self(self._features)
        return term

    def remove(self) -> None:
        """Remove the hook from the network."""
        if self._handle is not None:
            self._handle.remove()

    def _keep(self, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0]
