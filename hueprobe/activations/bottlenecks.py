"""The table of bottlenecks: for each family of networks, the layer that ends its grid of activations.

The *bottleneck* is the last layer that still has an image plane: what the network's own head reads.
Its *closing nonlinearity* is the pointwise function that the grid has been through last (through a
max-pooling after it, in VGG and AlexNet). None means that nothing pointwise comes last: a residual
sum in ConvNeXt, a LayerNorm in Swin and ViT, whose GELUs sit inside the blocks. Activations of a
ReLU or ReLU6 network are never negative; all others are signed.
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
        What the names of the family's networks begin with.
    layer : str
        Dotted name of the bottleneck, as in `named_modules()`.
    closing : str or None
        Closing nonlinearity: relu, relu6, silu, hardswish, or None.
    apply_closing : bool
        The network applies it outside any module, after `layer`: the extractor has to as well.
    layout : str
        What `layer` gives: `nchw`; `nhwc`; `tokens`, (B, tokens, C) in reading order.
    inner_layout : str
        What the layers before it give, convolutions apart (those give nchw).
    prefix_tokens : int
        Tokens before the grid's: the class token.
    fixed_size : bool
        Takes square images of its own size only.
    options : mapping
        Arguments of torchvision's builder. `transform_input` makes googlenet and inception_v3 take
        the ImageNet mean and standard deviation that their torchvision weights come with.
    training_only : tuple of str
        Sub-modules that serve training alone and are not built; their weights in a file are ignored.
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
    """Return the row of a torchvision network's name, or None."""
    return next((row for row in TABLE if name.startswith(row.names)), None)


def bottleneck_of_module(module: nn.Module) -> Bottleneck | None:
    """Return the row of a network made from one of torchvision's own classes, whoever made it, or None.

    A subclass may run another way, so it is not recognized.
    """
    kind = type(module)
    if not kind.__module__.startswith("torchvision.models."):
        return None
    return next((row for row in TABLE if row.network == kind.__name__), None)
