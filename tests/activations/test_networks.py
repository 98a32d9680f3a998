"""Where networks come from: names, a user's callable, a live module; and what is said about them."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from torchvision.transforms._presets import ImageClassification

from hueprobe.activations import Extractor, backbone_names, describe_backbone, load_backbone
from hueprobe.activations.networks import find_blueprint, network_names
from hueprobe.errors import BackboneError, LayerError, MissingDependencyError, WeightsError
from hueprobe.images.transform import Transform


@pytest.fixture
def own_networks(tmp_path, monkeypatch):
    """A user's module in the current folder."""
    (tmp_path / "lab_networks.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "from torchvision.models import squeezenet1_1\n"
        "def plain():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())\n"
        "def with_transform():\n"
        "    return plain(), lambda image: torch.zeros(3, 8, 8)\n"
        "def known():\n"
        "    return squeezenet1_1(num_classes=3)\n"
        "def nothing():\n"
        "    return None\n"
        "def three():\n"
        "    return plain(), None, None\n"
        "a_number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("lab_networks", None)


def test_importing_the_package_loads_nothing_heavy():
    heavy = "('torch', 'torchvision', 'timm')"
    code = f"import sys, hueprobe.activations; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_family_of_the_issue_is_there():
    names = backbone_names()
    assert names == sorted(set(names))
    for name in [
        "alexnet", "convnext_tiny", "densenet121", "densenet201", "efficientnet_b0", "efficientnet_b7",
        "efficientnet_lite0", "efficientnet_v2_l", "googlenet", "inception_v3", "mnasnet1_3", "mobilenet_v2",
        "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_128gf", "resnet18", "resnet152", "resnext50_32x4d",
        "shufflenet_v2_x2_0", "squeezenet1_0", "swin_t", "swin_v2_b", "vgg11", "vgg19_bn", "vit_b_16",
        "vit_h_14", "wide_resnet101_2",
    ]:  # fmt: skip
        assert name in names


# From the papers and torchvision's documentation: channels, grid, image size at the default weights.
KNOWN = {
    "densenet201": (1920, (7, 7), 224, "relu"),
    "resnet50": (2048, (7, 7), 224, "relu"),
    "vgg16": (512, (7, 7), 224, "relu"),
    "inception_v3": (2048, (8, 8), 299, "relu"),
    "googlenet": (1024, (7, 7), 224, "relu"),
    "efficientnet_b0": (1280, (7, 7), 224, "silu"),
    "efficientnet_b7": (2560, (19, 19), 600, "silu"),
    "mobilenet_v2": (1280, (7, 7), 224, "relu6"),
    "mobilenet_v3_large": (960, (7, 7), 224, "hardswish"),
    "squeezenet1_1": (512, (13, 13), 224, "relu"),
    "regnet_y_128gf": (7392, (12, 12), 384, "relu"),
    "convnext_tiny": (768, (7, 7), 224, None),
    "swin_t": (768, (7, 7), 224, None),
    "swin_v2_t": (768, (8, 8), 256, None),
    "vit_b_16": (768, (14, 14), 224, None),
    "vit_h_14": (1280, (37, 37), 518, None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_descriptions_are_right_and_need_no_weights(name):
    channels, grid, size, closing = KNOWN[name]
    info = describe_backbone(name)
    assert (info.channels, info.grid, info.transform.crop, info.closing) == (channels, grid, size, closing)
    assert info.signed == (closing not in ("relu", "relu6"))
    assert info.fixed_size == (size if name.startswith("vit") else None)
    assert info.weights[0] == "default" and info.weights[-1] == "none"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["squeezenet1_1", "mnasnet0_5", "shufflenet_v2_x0_5", "regnet_y_400mf", "vit_b_32"]
)
def test_a_description_is_what_comes_out(name, quick_random_weights):
    info = describe_backbone(name)
    images = torch.zeros(1, 3, info.transform.crop, info.transform.crop)
    activations = Extractor(load_backbone(name, weights="none"), device="cpu")(images)
    assert activations.shape == (1, info.channels, *info.grid)


def test_transforms_are_torchvisions_own():
    for weights, resize in [("IMAGENET1K_V1", 256), ("IMAGENET1K_V2", 232), ("default", 232)]:
        _, transform = find_blueprint("mobilenet_v2", weights).build()
        assert transform == Transform(resize=resize, crop=224)


def test_a_file_downloaded_by_hand_brings_the_transform_of_its_weights(tmp_path):
    for file, resize in [
        ("mobilenet_v2-b0353104.pth", 256),
        ("mobilenet_v2-7ebf99e0.pth", 232),
        ("own.pth", 232),
    ]:
        (tmp_path / file).touch()
        _, transform = find_blueprint("mobilenet_v2", tmp_path / file).build()
        assert transform.resize == resize
    (tmp_path / "vit_b_16_swag-9ac1b537.pth").touch()
    with torch.device("meta"):
        network, transform = find_blueprint("vit_b_16", tmp_path / "vit_b_16_swag-9ac1b537.pth").build()
    assert (network.image_size, transform.crop, transform.interpolation) == (384, 384, "bicubic")


def test_unknown_backbone_names_the_nearest():
    with pytest.raises(BackboneError, match=r"unknown backbone 'densnet201'; nearest names: densenet201"):
        load_backbone("densnet201")
    with pytest.raises(BackboneError, match="unknown backbone 'live ResNet'"):
        describe_backbone("live ResNet")


def test_wrong_layer_names_the_nearest():
    with pytest.raises(LayerError, match=r"no layer 'layer44' in live ResNet; nearest names: 'layer4', "):
        load_backbone(resnet18(), layer="layer44")


def test_a_layer_off_the_table_gets_no_nonlinearity(quick_random_weights):
    network = load_backbone("densenet121", weights="none").module
    on, off = load_backbone(network), load_backbone(network, layer="features.norm5")
    assert (on.table_layer, on.closing, on.apply_closing, on.signed) == (True, "relu", True, False)
    assert (off.table_layer, off.closing, off.apply_closing, off.signed) == (False, None, False, None)
    assert load_backbone(network, layer="features") == on
    images = torch.randn(2, 3, 64, 64)
    raw, rectified = (Extractor(backbone, device="cpu")(images) for backbone in (off, on))
    assert raw.min() < 0
    torch.testing.assert_close(torch.from_numpy(raw).clamp(min=0), torch.from_numpy(rectified))


def test_the_network_itself_may_be_the_layer():
    trunk = nn.Sequential(nn.Conv2d(3, 4, 3))
    backbone = load_backbone(trunk, layer="")
    assert Extractor(backbone, device="cpu")(torch.zeros(2, 3, 8, 8)).shape == (2, 4, 6, 6)


def test_an_unknown_network_without_a_layer_is_asked_for_one(tiny):
    tiny[2] = nn.Sequential(tiny[2])
    with pytest.raises(
        LayerError, match=r"name the layer with layer= \(--layer\); its last convolution is in '2', '2.0'"
    ):
        load_backbone(tiny)
    with pytest.raises(LayerError, match="its last convolution is in none of its modules"):
        load_backbone(nn.Sequential(nn.Flatten()))


def test_a_live_module_is_used_as_it_is(tiny):
    tiny.train()
    backbone = load_backbone(tiny, layer="3")
    assert backbone.module is tiny
    assert tiny.training
    assert backbone.name == "live Sequential"
    assert backbone.transform == Transform(resize=256, crop=224)
    for weights in ("none", "IMAGENET1K_V1", "weights.pth"):
        with pytest.raises(WeightsError, match=f"weights='{weights}' cannot be had"):
            load_backbone(tiny, layer="3", weights=weights)


def test_a_subclass_of_a_known_network_is_not_taken_for_it():
    class Changed(type(resnet18())):
        pass

    network = resnet18()
    network.__class__ = Changed
    with pytest.raises(LayerError, match="live Changed is not in the table"):
        load_backbone(network)


def test_a_callable_in_the_current_folder(own_networks):
    backbone = load_backbone("lab_networks:plain", layer="2")
    assert backbone.weights == "default"
    assert not backbone.module.training
    assert Extractor(backbone, device="cpu")(torch.zeros(1, 3, 8, 8)).shape == (1, 4, 6, 6)
    assert load_backbone("lab_networks:with_transform", layer="2").transform(None).shape == (3, 8, 8)
    assert load_backbone("lab_networks:known").layer == "features"
    assert describe_backbone("lab_networks:known").grid == (13, 13)


def test_the_path_is_as_it_was(own_networks):
    before = list(sys.path)
    load_backbone("lab_networks:plain", layer="2")
    assert sys.path == before


def test_a_given_transform_wins_and_a_preset_becomes_a_transform(own_networks, monkeypatch):
    given = Transform(resize=32, crop=32)
    assert load_backbone("lab_networks:with_transform", layer="2", transform=given).transform is given
    load_backbone("lab_networks:plain", layer="2")
    module = sys.modules["lab_networks"]
    monkeypatch.setattr(
        module, "plain", lambda: (resnet18(), ImageClassification(crop_size=100, resize_size=120))
    )
    assert load_backbone("lab_networks:plain").transform == Transform(resize=120, crop=100)


def test_a_callables_random_weights_follow_the_seed(own_networks):
    first, again, other = (
        load_backbone("lab_networks:known", seed=seed).weights_sha256 for seed in (1, 1, 2)
    )
    assert first == again != other
    calibrated = load_backbone("lab_networks:plain", layer="2", weights="none").module[1]
    assert calibrated.running_mean.abs().max() > 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_module:thing", "cannot import 'no_such_module' for backbone 'no_such_module:thing'"),
        (":thing", "cannot import ''"),
        ("lab_networks:plian", "no callable 'plian' in lab_networks; nearest names: plain"),
        ("lab_networks:a_number", "no callable 'a_number'"),
        (
            "lab_networks:nothing",
            r"must return an nn.Module or \(module, transform\), it returned a NoneType",
        ),
        ("lab_networks:three", r"it returned \(Sequential, NoneType, NoneType\)"),
    ],
)
def test_a_callable_that_is_none(own_networks, spec, message):
    with pytest.raises(BackboneError, match=message):
        load_backbone(spec)


def test_a_callable_without_a_known_bottleneck_needs_a_layer(own_networks):
    with pytest.raises(LayerError, match=r"lab_networks:plain is not in the table.*'0'"):
        load_backbone("lab_networks:plain")


def test_the_demo_extra_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        MissingDependencyError, match=r"needs the package timm: pip install 'hueprobe\[demo\]'"
    ):
        load_backbone("efficientnet_lite0")


@pytest.mark.parametrize(
    ("asked", "family"),
    [
        ("regnet", "regnet_"), ("RegNet", "regnet_"), ("regnt", "regnet_"), ("vit", "vit_"),
        ("swin", "swin_"), ("efficientnet", "efficientnet_"), ("convnxt", "convnext_"),
        ("shufflenet", "shufflenet_"), ("wide_resnet", "wide_resnet"), ("ResNet-50", "res"),
    ],
)  # fmt: skip
def test_an_unknown_network_is_answered_by_its_family(asked, family):
    with pytest.raises(BackboneError, match=f"unknown backbone '{asked}'; nearest names: {family}") as error:
        load_backbone(asked)
    near = str(error.value).partition("nearest names: ")[2].partition(";")[0].split(", ")
    n_family = sum(name.startswith(family) for name in network_names())
    assert sum(name.startswith(family) for name in near) == min(3, n_family)
