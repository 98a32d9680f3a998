"""The right tensor is taken: the network's own head, continued from the grid, gives the network's logits."""

import os

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from hueprobe.activations import Extractor, backbone_names, backbones, load_backbone
from hueprobe.activations.bottlenecks import TABLE

pytestmark = pytest.mark.slow

HUGE = ("regnet_y_128gf",)  # 2.6 GB of weights; tested with HUEPROBE_ALL_BACKBONES=1
EVERY_CNN = [
    name
    for name in backbone_names()
    if not name.startswith("vit_") and (name not in HUGE or os.environ.get("HUEPROBE_ALL_BACKBONES") == "1")
]


def two_images(size):
    """Two images unlike each other: coarse blobs, and fine ones of another contrast."""
    generator = torch.Generator().manual_seed(7)
    coarse, fine = (
        torch.randn(1, 3, 4, 4, generator=generator),
        torch.randn(1, 3, size, size, generator=generator),
    )
    return torch.cat([functional.interpolate(coarse, size=(size, size), mode="bilinear"), 0.5 * fine])


def averaged(network, grid):
    return grid.mean((2, 3))


def pooled(network, grid):
    return torch.flatten(network.avgpool(grid), 1)


# What each network's forward() does behind its bottleneck, copied by hand from torchvision and timm.
HEADS = {
    "AlexNet": lambda net, grid: net.classifier(pooled(net, grid)),
    "ConvNeXt": lambda net, grid: net.classifier(net.avgpool(grid)),
    "DenseNet": lambda net, grid: net.classifier(averaged(net, grid)),
    "EfficientNet": lambda net, grid: net.classifier(averaged(net, grid)),
    "GoogLeNet": lambda net, grid: net.fc(pooled(net, grid)),
    "Inception3": lambda net, grid: net.fc(pooled(net, grid)),
    "MNASNet": lambda net, grid: net.classifier(averaged(net, grid)),
    "MobileNetV2": lambda net, grid: net.classifier(averaged(net, grid)),
    "MobileNetV3": lambda net, grid: net.classifier(pooled(net, grid)),
    "RegNet": lambda net, grid: net.fc(pooled(net, grid)),
    "ResNet": lambda net, grid: net.fc(pooled(net, grid)),
    "ShuffleNetV2": lambda net, grid: net.fc(averaged(net, grid)),
    "SqueezeNet": lambda net, grid: torch.flatten(net.classifier(grid), 1),
    "SwinTransformer": lambda net, grid: net.head(pooled(net, grid)),
    "VGG": lambda net, grid: net.classifier(pooled(net, grid)),
}

# The modules whose input is the tensor before the closing nonlinearity, in the order of their channels;
# inside GoogLeNet and Inception that is what each branch's last BatchNorm gives.
ACTIVATIONS = {
    "AlexNet": lambda net: [net.features[-2]],
    "EfficientNet": lambda net: [net.features[-1][-1] if hasattr(net, "features") else net.bn2.act],
    "MNASNet": lambda net: [net.layers[-1]],
    "MobileNetV2": lambda net: [net.features[-1][-1]],
    "MobileNetV3": lambda net: [net.features[-1][-1]],
    "RegNet": lambda net: [net.trunk_output[-1][-1].activation],
    "ResNet": lambda net: [net.layer4[-1].relu],
    "ShuffleNetV2": lambda net: [net.conv5[-1]],
    "SqueezeNet": lambda net: [net.features[-1].expand1x1_activation, net.features[-1].expand3x3_activation],
    "VGG": lambda net: [net.features[-2]],
}
OUTPUTS = {
    "DenseNet": lambda net: [net.features.norm5],
    "GoogLeNet": lambda net: [
        branch.bn
        for branch in (
            net.inception5b.branch1, net.inception5b.branch2[-1],
            net.inception5b.branch3[-1], net.inception5b.branch4[-1],
        )
    ],
    "Inception3": lambda net: [
        getattr(net.Mixed_7c, branch).bn
        for branch in (
            "branch1x1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool",
        )
    ],
}  # fmt: skip
POOL_BEHIND = {"AlexNet": lambda net: net.features[-1], "VGG": lambda net: net.features[-1]}
NOTHING_CLOSES = {"ConvNeXt", "SwinTransformer"}


def before_closing(network, images):
    """The tensor before the closing nonlinearity, by hooks of the test's own; the last call counts."""
    kind = type(network).__name__
    seen = {}
    handles = []
    for place in ACTIVATIONS.get(kind, lambda _: [])(network):
        handles.append(
            place.register_forward_pre_hook(lambda part, inputs: seen.update({part: inputs[0].clone()}))
        )
    for place in OUTPUTS.get(kind, lambda _: [])(network):
        handles.append(
            place.register_forward_hook(lambda part, _, output: seen.update({part: output.clone()}))
        )
    network(images)
    for handle in handles:
        handle.remove()
    places = [*ACTIVATIONS.get(kind, lambda _: [])(network), *OUTPUTS.get(kind, lambda _: [])(network)]
    return POOL_BEHIND.get(kind, lambda _: nn.Identity())(network)(
        torch.cat([seen[place] for place in places], 1)
    )


@pytest.mark.parametrize("name", EVERY_CNN)
def test_the_head_continued_from_the_grid_gives_the_logits(name, monkeypatch, quick_random_weights, request):
    if name == "efficientnet_lite0":
        request.getfixturevalue("demo_extra")
    monkeypatch.setattr(backbones, "weights_sha256", lambda _, **__: "")  # a second for every gigabyte
    size = 96 if name == "inception_v3" else 64
    backbone = load_backbone(name, weights="none")
    images, network = two_images(size), backbone.module
    grid = torch.from_numpy(Extractor(backbone, device="cpu")(images))
    with torch.inference_mode():
        logits = network(images)
        head = lambda activations: HEADS[type(network).__name__](network, activations)  # noqa: E731
        apart = (logits[0] - logits[1]).abs().max()  # how far two images are from each other

        def error(activations):
            return float((head(activations) - logits).abs().max() / apart)

        assert error(grid) < 1e-4
        assert error(grid.flip(0)) > 0.05
        assert error(torch.zeros_like(grid)) > 0.05
        if type(network).__name__ in NOTHING_CLOSES:
            assert backbone.closing is None
        else:
            before = before_closing(network, images)
            assert error(before) > 0.05
            closed = getattr(functional, backbone.closing)(before)
            torch.testing.assert_close(closed, grid, rtol=1e-4, atol=1e-4 * float(grid.abs().max()))
    assert backbone.signed == (float(grid.min()) < 0)
    assert torch.isfinite(grid).all() and float(grid.std()) > 1e-3


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.network)
def test_a_row_is_found_by_the_class_of_a_network_that_somebody_else_made(row):
    names = [name for name in backbone_names() if name.startswith(row.names)]
    name = min(names, key=lambda name: torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"])
    network = torchvision.models.get_model(name, weights=None, num_classes=2, **row.options)
    backbone = load_backbone(network)
    assert (backbone.layer, backbone.closing, backbone.layout) == (row.layer, row.closing, row.layout)
    assert backbone.table_layer and backbone.apply_closing == row.apply_closing
    assert backbone.name == f"live {row.network}"
