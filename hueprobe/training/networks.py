"""Networks to be trained: made from a seed, with a classifier for the given number of classes."""

from pathlib import Path

from torch import nn

from hueprobe.activations.backbones import load_backbone
from hueprobe.activations.bottlenecks import bottleneck_of_module
from hueprobe.activations.hooks import Tap, find_tap
from hueprobe.activations.networks import find_blueprint
from hueprobe.activations.random_weights import own_randomness
from hueprobe.training.classifiers import replace_classifier


def fresh_network(
    backbone: str, num_classes: int, *, seed: int, weights: str | Path = "none", layer: str | None = None
) -> tuple[nn.Module, Tap]:
    """Make a network for training, and return it with the tap at its bottleneck.

    Parameters
    ----------
    backbone : str
        A name from `hueprobe backbones`, `timm:NAME`, or `package.module:callable`.
    num_classes : int
        Number of classes, at least 2; the last layer is replaced accordingly.
    seed : int
        Seed of all weights; torch's global generator is not changed.
    weights : str or Path, default="none"
        `none` starts from the network's own initialization; other values are those of `load_backbone`.
    layer : str, optional
        Dotted name of the layer to tap; the bottleneck by default.

    Returns
    -------
    (nn.Module, Tap)
        The network in training mode, and where to read its activations.

    Raises
    ------
    BackboneError, LayerError, WeightsError
        The network, the layer or the weights are unknown.
    InputError
        There are fewer than two classes.

    See Also
    --------
    hueprobe.load_backbone : Load a pretrained network.
    hueprobe.training.objective_named : What to train the network with.

    Examples
    --------
    >>> net, tap = hp.training.fresh_network("resnet18", 3, seed=0)
    >>> tap.layer, net.fc.out_features
    ('layer4', 3)
    """
    if str(weights) == "none":
        # Without load_backbone's calibration of BatchNorm, which is for networks that remain untrained.
        blueprint = find_blueprint(backbone, weights)
        with own_randomness(seed):
            network, _ = blueprint.build()
        if blueprint.tap is not None:
            tap = blueprint.tap(network, layer)
        else:
            tap = find_tap(
                network, blueprint.bottleneck or bottleneck_of_module(network), layer, name=backbone
            )
    else:
        loaded = load_backbone(backbone, weights=weights, layer=layer, seed=seed)
        network, tap = loaded.module, loaded
    replace_classifier(network, num_classes, seed=seed)
    return network.train(), tap
