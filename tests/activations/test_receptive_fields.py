"""Where cells look: worked by hand for small stacks of convolutions, and known for stock networks."""

import pytest
import torch
from torch import nn

from hueprobe.activations import FieldCenter, describe_backbone, field_center, load_backbone
from hueprobe.activations.field_centers import FIELD_CENTERS
from hueprobe.errors import InputError
from hueprobe.images.transform import Transform


def looking(*layers, size, layer="0"):
    """Convolutions of equal weights: each pixel of a field moves its cell alike."""
    module = nn.Sequential(*layers)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    return load_backbone(module, layer=layer, transform=Transform(resize=size, crop=size))


@pytest.mark.parametrize(
    ("padding", "size", "pixel", "cell"),
    [
        # three cells, the middle one sees pixels 3 to 5 of 9
        (0, 9, 4, 1),
        # four cells look at 0, 3, 6, 9 of 12 pixels, the two in the middle at 4.5; the image's middle
        # is 5.5, a third of a stride further
        (1, 12, 4.5, 1.5 + 1 / 3),
    ],
)
def test_worked_by_hand(padding, size, pixel, cell):
    found = field_center(looking(nn.Conv2d(3, 1, 3, stride=3, padding=padding), size=size))
    assert found.image == (size, size)
    assert found.pixel == pytest.approx((pixel, pixel), abs=1e-6)
    assert found.cell == pytest.approx((cell, cell), abs=1e-6)


def test_padding_on_one_side_moves_one_coordinate():
    padded = nn.Sequential(nn.ZeroPad2d((2, 0, 0, 0)), nn.Conv2d(3, 1, 3, stride=3))
    for part in padded:
        if isinstance(part, nn.Conv2d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    backbone = load_backbone(padded, layer="1", transform=Transform(resize=15, crop=15))
    # rows: five cells look at 1, 4, 7, 10, 13; columns: at -1 (0), 2, 5, 8, 11, the middle one at 5
    assert field_center(backbone) == FieldCenter(
        pixel=pytest.approx((7, 5), abs=1e-6), image=(15, 15), cell=pytest.approx((2, 2 + 2 / 3), abs=1e-6)
    )


@pytest.mark.slow
def test_the_middle_of_a_resnet_looks_up_and_to_the_left_and_a_densenets_straight():
    resnet = field_center(load_backbone("resnet50", weights="none"))
    assert resnet.pixel == pytest.approx((99, 99), abs=2)  # of 223 / 2 = 111.5
    assert resnet.cell == pytest.approx((3.38, 3.38), abs=0.05)
    assert describe_backbone("resnet50").field_center == pytest.approx(resnet.cell, abs=0.01)
    y, x = FIELD_CENTERS["densenet201"]
    assert abs(y - 3) < 0.1 and abs(x - 3) < 0.1


def test_nothing_is_left_behind_and_no_grid_is_refused():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1))
    backbone = load_backbone(module, layer="0", transform=Transform(resize=16, crop=16))
    field_center(backbone)
    assert all(part.grad is None for part in module.parameters()) and not module[0]._forward_hooks
    pooled = load_backbone(module, layer="1", transform=Transform(resize=16, crop=16))
    with pytest.raises(InputError, match="1x1 grid"):
        field_center(pooled)
    nn.init.zeros_(module[0].weight)
    with pytest.raises(InputError, match="no pixel affects"):
        field_center(backbone)
    assert torch.is_grad_enabled()
