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

    See Also
    --------
    hueprobe.training.objective_named : Train with AL2 by name.
    hueprobe.training.MaxDropout : A regularizer of large activations.

    References
    ----------
    .. [1] M. El Helou, F. Dümbgen and S. Süsstrunk, "AL2: Progressive Activation Loss for Learning
       General Representations in Classification Neural Networks", ICASSP, 2020.

    Examples
    --------
    >>> al2 = hp.training.AL2()
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

        Examples
        --------
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> al2 = hp.training.AL2.before(net)
        >>> logits = net(torch.ones(2, 3, 2, 2))
        >>> al2.penalty().shape
        torch.Size([])
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

        Examples
        --------
        >>> round(hp.training.AL2().weight_at(66), 2)  # the first of at least 5
        5.39
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

        Examples
        --------
        >>> al2 = hp.training.AL2()
        >>> al2.start_epoch(2)
        >>> round(al2.weight, 4)
        0.0121
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

        Examples
        --------
        >>> import torch
        >>> al2 = hp.training.AL2(initial=0.5)
        >>> al2(torch.tensor([[1.0, 2.0], [3.0, 0.0]]))  # 0.5 * (1 + 4 + 9 + 0) / 4
        tensor(1.7500)
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

        Examples
        --------
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> al2 = hp.training.AL2.before(net, initial=0.5)
        >>> logits = net(torch.ones(2, 3, 2, 2))
        >>> torch.equal(al2.penalty(), 0.5 * net[:3](torch.ones(2, 3, 2, 2)).square().mean())
        True
        """
        if self._features is None:
            raise LayerError(
                "AL2 has seen no features; make it with AL2.before(network) and call the network"
            )
        term: Tensor = self(self._features)
        return term

    def remove(self) -> None:
        """Remove the hook from the network.

        Examples
        --------
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> al2 = hp.training.AL2.before(net)
        >>> al2.remove()
        >>> len(net[3]._forward_pre_hooks)
        0
        """
        if self._handle is not None:
            self._handle.remove()

    def _keep(self, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0]
