"""Networks to be trained: made under a seed, with a classifier for the classes at hand."""

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
    """Make a network to be trained, and say where its bottleneck is.

    Parameters
    ----------
    backbone : str
        A name from `hueprobe backbones`, `timm:NAME`, or `package.module:callable`.
    num_classes : int
        At least 2; the last layer is made anew for them.
    seed : int
        Of all weights; torch's own generator is left as it was.
    weights : str or Path
        `none` starts from the network's own initialization; else as in `load_backbone`.
    layer : str, optional
        Dotted name instead of the bottleneck.

    Returns
    -------
    (nn.Module, Tap)
        The network in training mode.

    Raises
    ------
    BackboneError, LayerError, WeightsError, InputError
        An unknown network, layer or weights; fewer than two classes.
    """
    if str(weights) == "none":
        # Without load_backbone's calibration of BatchNorm, which is for networks that stay untrained.
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
