"""A module applied to the output of named layers of a network, and removed again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from hueprobe.activations.hooks import require_layer
from hueprobe.errors import InputError, LayerError


@contextmanager
def apply_behind(network: nn.Module, layers: Sequence[str], module: nn.Module) -> Iterator[None]:
    """Apply a module to the output of some layers within a `with` block.

    The network itself is not changed. The module follows the training mode of the layer, so
    `network.eval()` also affects a dropout that is applied this way.

    Parameters
    ----------
    network : nn.Module
        The network.
    layers : sequence of str
        Dotted names of the layers, at least one.
    module : nn.Module
        Maps a tensor to a tensor of the same shape, for example `MaxDropout()` or `nn.Dropout(0.5)`.

    Yields
    ------
    None
        The module is applied until the block ends.

    Raises
    ------
    LayerError
        The network does not have one of the layers, or its output is not a tensor.
    InputError
        No layer is named.

    See Also
    --------
    hueprobe.training.MaxDropout : A module to apply.
    hueprobe.training.LayerWatch : Read the output of a layer instead of changing it.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    >>> with hp.training.apply_behind(net, ["0"], nn.Dropout(0.5)):
    ...     logits = net(torch.ones(3, 4))
    """
    name = f"network {type(network).__name__}"
    if isinstance(layers, str) or not layers:
        raise InputError(f"layers is {layers!r}; give a list with at least one layer's name")
    targets = [require_layer(network, layer, name=name) for layer in layers]

    def act(layer: nn.Module, _inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise LayerError(
                f"{type(module).__name__} is applied to a layer of {name} that returns a "
                f"{type(output).__name__}; name a layer that returns a tensor"
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
