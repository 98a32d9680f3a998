"""A network's classifier: its last layer, found and replaced."""

import torch
from torch import nn

from hueprobe.activations.random_weights import own_randomness
from hueprobe.errors import BackboneError, InputError


def find_classifier(network: nn.Module) -> str:
    """Return the dotted name of the layer that gives the logits: the last Linear.

    In a network without Linear layers (SqueezeNet) it is the last convolution.

    Raises
    ------
    BackboneError
        The network has neither.

    Examples
    --------
    >>> from torch import nn
    >>> find_classifier(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 10)))
    '2'
    """
    for kind in (nn.Linear, nn.Conv2d):
        names: list[str] = [name for name, part in network.named_modules() if isinstance(part, kind)]
        if names:
            last: str = names[-1]
            return last
    raise BackboneError(
        f"network {type(network).__name__} has neither a Linear nor a convolution, so it has no classifier"
    )


def replace_classifier(network: nn.Module, num_classes: int, *, seed: int) -> None:
    """Replace a network's classifier by a new one for `num_classes` classes, in place.

    The new layer has PyTorch's default initialization.

    Parameters
    ----------
    network : nn.Module
        The network.
    num_classes : int
        Number of classes, at least 2. New weights are drawn even if the number does not change.
    seed : int
        Seed of the weights; torch's global generator is not changed.

    Raises
    ------
    BackboneError
        The network has no classifier, or consists of a single layer.
    InputError
        There are fewer than two classes.
    """
    if num_classes < 2:
        raise InputError(f"num_classes is {num_classes}; training needs at least 2")
    name = find_classifier(network)
    old = network.get_submodule(name)
    fresh: nn.Module
    with own_randomness(seed):
        if isinstance(old, nn.Linear):
            fresh = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
        else:
            assert isinstance(old, nn.Conv2d)
            fresh = nn.Conv2d(old.in_channels, num_classes, old.kernel_size)  # type: ignore[arg-type]
    if name == "":
        raise BackboneError("the network is a single layer; put it into an nn.Sequential to train it")
    parent, _, child = name.rpartition(".")
    weight = next(old.parameters())
    setattr(network.get_submodule(parent), child, fresh.to(weight.device, torch.float32))
