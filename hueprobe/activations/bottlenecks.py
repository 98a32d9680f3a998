"""The table of bottlenecks: for each family of networks, the layer that outputs the last grid.

The *bottleneck* is the last layer that still has an image plane, and the input of the network's head.
Its *closing nonlinearity* is the last pointwise function applied to the grid (VGG and AlexNet have a
max-pooling after it). None means that nothing pointwise comes last: a residual sum in ConvNeXt, a
LayerNorm in Swin and ViT, whose GELUs are inside the blocks. Activations of a ReLU or ReLU6 network
are never negative; all others are signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

NONNEGATIVE = ("relu", "relu6")  # closing nonlinearities after which no activation is below zero

NO_AUXILIARY_HEADS: Mapping[str, Any] = {"aux_logits": False, "init_weights": True, "transform_input": True}


@dataclass(frozen=True)
class Bottleneck:
    """One row of the table.

    Parameters
    ----------
    network : str
        Class of the networks, in torchvision or timm.
    names : tuple of str
        Prefixes of the names of the family's networks.
    layer : str
        Dotted name of the bottleneck, as in `named_modules()`.
    closing : str or None
        Closing nonlinearity: relu, relu6, silu, hardswish, or None.
    apply_closing : bool, default=False
        Whether the network applies `closing` outside any module, after `layer`, so that the extractor
        must apply it too.
    layout : str, default='nchw'
        Layout of the output of `layer`: `nchw`; `nhwc`; `tokens`, (B, tokens, C) row by row.
    inner_layout : str, default='nchw'
        Layout of the layers before it, except convolutions (which are nchw).
    prefix_tokens : int, default=0
        Number of tokens before those of the grid: the class token.
    fixed_size : bool, default=False
        Whether the network accepts square images of its own size only.
    options : mapping, default={}
        Arguments of torchvision's builder. `transform_input` makes googlenet and inception_v3 accept
        images normalized with the ImageNet mean and standard deviation of their torchvision weights.
    training_only : tuple of str, default=()
        Sub-modules that are used in training only and not built; their weights in a file are ignored.
    """

    network: str
    names: tuple[str, ...]
    layer: str
    closing: str | None
    apply_closing: bool = False
    layout: str = "nchw"
    inner_layout: str = "nchw"
    prefix_tokens: int = 0
    fixed_size: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    training_only: tuple[str, ...] = ()


# fmt: off
TABLE = (
    Bottleneck("AlexNet", ("alexnet",), "features", "relu"),
    Bottleneck("ConvNeXt", ("convnext_",), "features", None),
    Bottleneck("DenseNet", ("densenet",), "features", "relu", apply_closing=True),
    Bottleneck("EfficientNet", ("efficientnet_b", "efficientnet_v2_"), "features", "silu"),
    Bottleneck("GoogLeNet", ("googlenet",), "inception5b", "relu",
               options=NO_AUXILIARY_HEADS, training_only=("aux1", "aux2")),
    Bottleneck("Inception3", ("inception_v3",), "Mixed_7c", "relu",
               options=NO_AUXILIARY_HEADS, training_only=("AuxLogits",)),
    Bottleneck("MNASNet", ("mnasnet",), "layers", "relu"),
    Bottleneck("MobileNetV2", ("mobilenet_v2",), "features", "relu6"),
    Bottleneck("MobileNetV3", ("mobilenet_v3_",), "features", "hardswish"),
    Bottleneck("RegNet", ("regnet_",), "trunk_output", "relu"),
    Bottleneck("ResNet", ("resnet", "resnext", "wide_resnet"), "layer4", "relu"),
    Bottleneck("ShuffleNetV2", ("shufflenet_v2_",), "conv5", "relu"),
    Bottleneck("SqueezeNet", ("squeezenet",), "features", "relu"),
    Bottleneck("SwinTransformer", ("swin_",), "permute", None, inner_layout="nhwc"),
    Bottleneck("VGG", ("vgg",), "features", "relu"),
    Bottleneck("VisionTransformer", ("vit_",), "encoder", None,
               layout="tokens", inner_layout="tokens", prefix_tokens=1, fixed_size=True),
)
# fmt: on

# The embedded network: timm's tf_efficientnet_lite0, whose bn2 holds BatchNorm and ReLU6 after conv_head.
EFFICIENTNET_LITE0 = Bottleneck("EfficientNet", ("efficientnet_lite0",), "bn2", "relu6")


def bottleneck_of_name(name: str) -> Bottleneck | None:
    """Return the table's row for a torchvision network's name, or None."""
    return next((row for row in TABLE if name.startswith(row.names)), None)


def bottleneck_of_module(module: nn.Module) -> Bottleneck | None:
    """Return the table's row for a network of one of torchvision's own classes, or None.

    Subclasses may have another forward pass, so they are not recognized.
    """
    kind = type(module)
    if not kind.__module__.startswith("torchvision.models."):
        return None
    return next((row for row in TABLE if row.network == kind.__name__), None)
