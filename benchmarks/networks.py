"""Three ImageNet networks whose weights are at hand, built as the weights want them.

For `--backbone benchmarks.networks:resnet50_v1 --weights FILE`, from the repository's root. All three
take RGB images resized to 256 and cropped to 224, with ImageNet's mean and standard deviation,
which is hueprobe's default for a callable.
"""

import torchvision
from torch import Tensor, nn


def resnet50_v1() -> nn.Module:
    """ResNet-50 as first published: the stride of a stage in its first 1x1 convolution, not in the 3x3."""
    network = torchvision.models.resnet50(weights=None)
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].conv1.stride = (2, 2)
        stage[0].conv2.stride = (1, 1)
    return network


def mobilenet_v2_tf() -> nn.Module:
    """MobileNetV2 as TensorFlow pads it: convolutions of stride 2 see a zero border right and below only."""
    network = torchvision.models.mobilenet_v2(weights=None)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            layer.padding = (0, 0)
            layer.register_forward_pre_hook(_pad_right_and_below)
    return network


def squeezenet1_1() -> nn.Module:
    """SqueezeNet 1.1 as torchvision has it."""
    return torchvision.models.squeezenet1_1(weights=None)


def _pad_right_and_below(_layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    return nn.functional.pad(inputs[0], (0, 1, 0, 1))
