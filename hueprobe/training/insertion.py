"""A module put behind layers of a network by name, and taken away again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from hueprobe.activations.hooks import require_layer
from hueprobe.errors import InputError, LayerError


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
        changed: Tensor = module(output)
        return changed

    handles = [target.register_forward_hook(act) for target in targets]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
