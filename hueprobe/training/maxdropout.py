"""What zeroes activations in training: MaxDropout, and any dropout put behind layers by name."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from hueprobe.activations.hooks import require_layer
from hueprobe.errors import InputError, LayerError, require_choice

MODES = ("standard", "original")


class MaxDropout(nn.Module):
    """Zero the activations near the largest (Santos et al., ICPR 2020).

    What is above the threshold goes, min and max being over the whole tensor, all images of the batch::

        x -> 0   where (x - min x) / (max x - min x) > 1 - rate

    The rate is a threshold on the range, not a share of units; the rest is not rescaled, and a constant
    tensor is left alone. In the paper it stands behind each of ResNet-18's layer1 ... layer4.

    Parameters
    ----------
    rate : float
        Between 0 and 1; .3 is the authors'. 0 drops nothing.
    mode : str
        `standard` drops in training only. `original` does what the authors' code does, which makes a fresh
        module (in training mode) at every call, and so drops in evaluation too.

    Raises
    ------
    InputError
        A rate out of range, or an unknown mode.

    Examples
    --------
    >>> import torch
    >>> MaxDropout(0.3)(torch.tensor([0.0, 5.0, 7.0, 8.0, 10.0]))
    tensor([0., 5., 7., 0., 0.])
    """

    def __init__(self, rate: float = 0.3, *, mode: str = "standard") -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise InputError(f"rate of MaxDropout is {rate}; it must be between 0 and 1")
        require_choice("mode of MaxDropout", mode, MODES)
        self.rate, self.mode = float(rate), mode

    def forward(self, activations: Tensor) -> Tensor:
        """Return the activations with those near the largest zeroed; any shape."""
        if self.rate == 0 or not (self.training or self.mode == "original"):
            return activations
        values = activations.detach()
        low, high = values.min(), values.max()
        # Multiplied out: nothing is above the threshold where all are equal, and no division by 0.
        dropped = (values - low > (1 - self.rate) * (high - low)) & (high > low)
        return activations.masked_fill(dropped, 0)

    def extra_repr(self) -> str:
        """Say how it drops."""
        return f"rate={self.rate:g}, mode={self.mode!r}"


@contextmanager
def apply_behind(network: nn.Module, layers: Sequence[str], module: nn.Module) -> Iterator[None]:
    """Let `module` act on what some layers give, for as long as the block runs.

    The network is not changed. The module is in training mode where the layer is, so `network.eval()`
    reaches a dropout that is put behind a layer this way.

    Parameters
    ----------
    network : nn.Module
    layers : sequence of str
        Dotted names, at least one.
    module : nn.Module
        Tensor to tensor of one shape, such as `MaxDropout()` or `nn.Dropout(0.5)`.

    Raises
    ------
    LayerError
        A layer that the network does not have, or that gives no tensor.
    InputError
        No layer is named.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    >>> with apply_behind(network, ["0"], nn.Dropout(0.5)):
    ...     _ = network(torch.ones(3, 4))
    """
    name = f"network {type(network).__name__}"
    if isinstance(layers, str) or not layers:
        raise InputError(f"layers is {layers!r}; give a list with at least one layer's name")
    targets = [require_layer(network, layer, name=name) for layer in layers]

    def act(layer: nn.Module, _inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise LayerError(
                f"{type(module).__name__} stands behind a layer of {name} that gives a "
                f"{type(output).__name__}; name one that gives a tensor"
            )
        module.train(layer.training)
        dropped: Tensor = module(output)
        return dropped

    handles = [target.register_forward_hook(act) for target in targets]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
