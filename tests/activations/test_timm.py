"""Networks of timm: the grid is what their own head reads, in reading order; the transform is timm's own."""

import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from hueprobe.activations import Extractor, describe_backbone, load_backbone, random_weights
from hueprobe.activations.networks import find_blueprint
from hueprobe.activations.timm_networks import TimmTransform
from hueprobe.activations.timm_taps import find_timm_tap, fixed_size_of_patches
from hueprobe.errors import BackboneError, LayerError, MissingDependencyError, ShapeError, WeightsError
from hueprobe.images.transform import Transform

pytestmark = [pytest.mark.usefixtures("timm_extra"), pytest.mark.slow]

# Network: layer, layout, tokens before the grid's, channels, grid; worked out from timm's sources.
KNOWN = {
    "resnet18": ("layer4", "nchw", 0, 512, (7, 7)),
    "convnext_atto": ("stages", "nchw", 0, 320, (7, 7)),
    "mobilenetv3_small_050": ("blocks", "nchw", 0, 288, (7, 7)),  # in front of conv_head, which is pooled
    "swin_tiny_patch4_window7_224": ("norm", "nhwc", 0, 768, (7, 7)),
    "test_mambaout": ("stages", "nhwc", 0, 64, (5, 5)),
    "nest_tiny": ("norm", "nhwc", 0, 384, (14, 14)),  # forward_features swaps the axes back itself
    "vit_tiny_patch16_224": ("norm", "tokens", 1, 192, (14, 14)),
    "deit_tiny_distilled_patch16_224": ("norm", "tokens", 2, 192, (14, 14)),
    "mixer_s32_224": ("norm", "tokens", 0, 512, (7, 7)),
    "xcit_nano_12_p16_224": ("norm", "tokens", 1, 128, (14, 14)),  # its embedding tells no grid
    "vit_tiny_r_s16_p8_224": ("norm", "tokens", 1, 192, (7, 7)),  # patches of a convolutional grid
}
REFUSED = {
    "coat_tiny": "forward_features of timm:coat_tiny gives a list, not one grid; name the layer with",
    "volo_d1_224": r"layer 'norm' .* shape \(2, 197, 384\) .*cannot be identified; choose another with",
    "pit_ti_224": r"layer 'norm' .* shape \(2, 1, 256\) .*cannot be identified; choose another with --layer",
}
# One network of each other family, tested with HUEPROBE_ALL_BACKBONES=1.
FAMILIES = [
    "beit_base_patch16_224", "cait_xxs24_224", "convit_tiny", "convmixer_768_32", "cs3darknet_focus_s",
    "cspnext_tiny", "csatv2", "davit_tiny", "densenet121", "dla46x_c", "dpn48b", "edgenext_xx_small",
    "efficientformerv2_s0", "efficientvit_b0", "efficientvit_m0", "ese_vovnet19b_slim_dw", "fasternet_t0",
    "fastvit_t8", "focalnet_tiny_srf", "gcvit_xxtiny", "ghostnet_050", "gmlp_ti16_224", "halonet_h1",
    "hardcorenas_b", "hgnetv2_b0", "hrnet_w18_small", "inception_next_atto", "inception_resnet_v2",
    "inception_v3", "inception_v4", "legacy_seresnet18", "legacy_xception", "maxvit_pico_rw_256",
    "mnasnet_small", "mobileone_s1", "mobilevit_xxs", "nasnetalarge", "nextvit_small", "pnasnet5large",
    "poolformerv2_s12", "pvt_v2_b0", "rdnet_tiny", "regnetx_002", "repghostnet_050", "repvit_m1",
    "res2next50", "resnest14d", "resnet10t", "resnetv2_18", "rexnet_100", "samvit_base_patch16_224",
    "selecsls42", "sequencer2d_s", "shvit_s1", "skresnet18", "starnet_s050", "swiftformer_xs",
    "swinv2_cr_tiny_224", "swinv2_tiny_window8_256", "test_nfnet", "test_vit_relpos", "tiny_vit_5m_224",
    "tresnet_m", "vgg11", "visformer_tiny", "vit_tiny_patch16_dinov3_qkvb", "vitamin_small_224",
    "xception41p", "xcit_nano_12_p8_224",
]  # fmt: skip


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(random_weights, "N_CALIBRATION_IMAGES", 2)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def as_features(grid, features, backbone):
    """A grid (B, C, H, W) back in the layout of forward_features, whose prefix tokens are kept."""
    if features.ndim == 3:
        prefix = features[:, : features.shape[1] - grid.shape[2] * grid.shape[3]]
        return torch.cat([prefix, grid.flatten(2).transpose(1, 2)], 1)
    return grid if features.shape == grid.shape else grid.permute(0, 2, 3, 1)


def require_that_the_head_reads_the_grid(backbone):
    network, size = backbone.module, backbone.transform.shape[1:]
    images = random_weights.random_images(2, size, seed=5)
    grid = torch.from_numpy(Extractor(backbone, device="cpu")(images))
    with torch.inference_mode():
        features = network.forward_features(images)
        torch.testing.assert_close(as_features(grid, features, backbone), features, rtol=1e-3, atol=1e-4)
        pooled_elsewhere = backbone.prefix_tokens > 0  # the class token is what the head reads
        # Random heads may be all zeros: other numbers are put in.
        for part in network.modules():
            if isinstance(part, nn.Linear) and not part.weight.any():
                nn.init.normal_(part.weight)
        logits = network(images)
        apart = (logits[0] - logits[1]).abs().max()

        def error(activations):
            given = as_features(activations, features, backbone).clone()
            return float((network.forward_head(given) - logits).abs().max() / apart)

        assert error(grid) < 1e-3
        assert pooled_elsewhere or error(grid.flip(0)) > 0.05
    assert torch.isfinite(grid).all() and float(grid.std()) > 1e-3
    return grid


TESTED = [*KNOWN, *(FAMILIES if os.environ.get("HUEPROBE_ALL_BACKBONES") == "1" else ())]


@pytest.mark.parametrize("name", TESTED)
def test_the_grid_is_what_the_networks_own_head_reads(name):
    backbone = load_backbone(f"timm:{name}", weights="none", seed=1)
    assert (backbone.closing, backbone.table_layer, backbone.signed) == (None, False, None)
    grid = require_that_the_head_reads_the_grid(backbone)
    found = (backbone.layer, backbone.layout, backbone.prefix_tokens, grid.shape[1], tuple(grid.shape[2:]))
    assert found == KNOWN.get(name, found)
    info = describe_backbone(f"timm:{name}")
    assert (info.layer, info.channels, *info.grid) == (backbone.layer, *grid.shape[1:])
    assert info.transform == backbone.transform and info.fixed_size == backbone.fixed_size


@pytest.mark.parametrize("name", REFUSED)
def test_where_no_image_plane_can_be_told_a_layer_is_asked_for(name):
    with pytest.raises(LayerError, match=REFUSED[name]):
        load_backbone(f"timm:{name}", weights="none")
    with pytest.raises(LayerError, match=REFUSED[name]):
        describe_backbone(f"timm:{name}")


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"])
def test_cells_are_in_reading_order(name):
    backbone = load_backbone(f"timm:{name}", weights="none", seed=1)
    extractor = Extractor(backbone, device="cpu")
    height, width = backbone.transform.shape[1:]
    image = random_weights.random_images(1, (height, width), seed=5)
    changed = image.clone()
    top, left = height * 5 // 7, width // 7  # low, and to the left
    changed[:, :, top : top + height // 7, left : left + width // 7] *= -3
    moved = np.linalg.norm(extractor(changed) - extractor(image), axis=1)[0]
    y, x = np.unravel_index(moved.argmax(), moved.shape)
    cells = moved.shape[0] / 7
    assert 4 * cells <= y < 7 * cells and 0 <= x < 3 * cells


@pytest.mark.parametrize(
    "name", ["resnet18", "swin_tiny_patch4_window7_224", "vit_tiny_patch16_224", "nest_tiny"]
)
def test_the_recorded_layer_gives_the_same_grid(name):
    backbone = load_backbone(f"timm:{name}", weights="none")
    again = load_backbone(f"timm:{name}", weights="none", layer=backbone.layer)
    assert {**vars(again), "module": None} == {**vars(backbone), "module": None}


def test_layers_inside_are_read_in_their_own_layout():
    def shape(name, layer):
        backbone = load_backbone(f"timm:{name}", weights="none", layer=layer)
        return Extractor(backbone, device="cpu")(torch.zeros(1, 3, *backbone.transform.shape[1:])).shape

    swin = "swin_tiny_patch4_window7_224"
    assert shape(swin, "layers.1") == (1, 192, 28, 28)
    assert shape(swin, "patch_embed.proj") == (1, 96, 56, 56)
    assert shape("vit_tiny_patch16_224", "patch_embed") == (1, 192, 14, 14)  # before the class token joins
    assert shape("vit_tiny_patch16_224", "blocks.3") == (1, 192, 14, 14)
    assert shape("resnet18", "layer2.0") == (1, 128, 28, 28)
    assert shape("test_resnet", "layer1") == (1, 32, 40, 40)
    with pytest.raises(LayerError, match=r"layer 'fc' of timm:resnet18 gives a tensor of shape \(1, 1000\)"):
        shape("resnet18", "fc")
    with pytest.raises(LayerError, match=r"no layer 'layer44' in timm:resnet18; nearest names: 'layer4', "):
        shape("resnet18", "layer44")


class Made(nn.Module):
    """A network of the tests' own with timm's face; `steps` are its modules, `end` what comes behind them."""

    def __init__(self, *steps, num_features, end=lambda features: features, **attributes):
        super().__init__()
        self.steps = nn.Sequential(*steps)
        self.num_features, self.end = num_features, end
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward_features(self, images):
        return self.end(self.steps(images))

    def forward(self, images):
        return self.forward_features(images)


class Patches(nn.Conv2d):
    """Tokens of patches, behind some zeros; knows its patches' size."""

    def __init__(self, channels, patch, prefix_tokens=0, **knows):
        super().__init__(3, channels, patch, stride=patch)
        self.patch_size, self.prefix_tokens = patch, prefix_tokens
        for name, value in knows.items():
            setattr(self, name, value)

    def forward(self, images):
        tokens = super().forward(images).flatten(2).transpose(1, 2)
        return nn.functional.pad(tokens, (0, 0, self.prefix_tokens, 0))


def tap_of(network, size=(32, 32), layer=None):
    return find_timm_tap(network.eval(), layer, name="made", image_size=size)


def test_channels_are_told_by_num_features():
    assert tap_of(Made(nn.Conv2d(3, 5, 4, stride=4), num_features=5)).layout == "nchw"
    last = Made(
        nn.Conv2d(3, 5, 4, stride=4), num_features=5, end=lambda features: features.permute(0, 2, 3, 1)
    )
    assert (tap_of(last).layer, tap_of(last).layout) == ("steps", "nchw")  # the module, in front of the swap
    last.steps.append(nn.Flatten(2)).append(nn.Unflatten(2, (8, 8)))
    assert tap_of(last).layout == "nchw"
    for network in (
        Made(nn.Conv2d(3, 8, 4, stride=4), num_features=8),  # 8 x 8 cells of 8 channels
        Made(nn.Conv2d(3, 5, 4, stride=4), num_features=6),
    ):
        with pytest.raises(
            LayerError, match=r"layer 'steps' of made .*32 x 32, whose image plane cannot be identified"
        ):
            tap_of(network)


def test_tokens_must_be_the_patches():
    def network(patch=(8, 4), prefix_tokens=0, says=0, **knows):
        embedding = Patches(6, patch, prefix_tokens, **knows)
        return Made(embedding, num_features=6, patch_embed=embedding, num_prefix_tokens=says)

    tap = tap_of(network(prefix_tokens=2, says=2), size=(32, 24))
    assert (tap.layout, tap.prefix_tokens, tap.patch) == ("tokens", 2, (8, 4))
    assert tap_of(network(grid_size=(4, 6)), size=(32, 24)).patch == (8, 4)
    for wrong in (network(prefix_tokens=1), network(prefix_tokens=1, says=2), network(grid_size=(6, 6))):
        with pytest.raises(LayerError, match="cannot be identified; choose another with --layer"):
            tap_of(wrong, size=(32, 24))
    with pytest.raises(LayerError, match="cannot be identified"):
        tap_of(Made(Patches(6, (8, 4)), num_features=6), size=(32, 24))


def test_a_grid_of_tokens_may_be_wider_than_high():
    embedding = Patches(6, (8, 4), 1)
    network = Made(embedding, num_features=6, patch_embed=embedding, num_prefix_tokens=1).eval()
    images = torch.randn(2, 3, 16, 24)
    tap = tap_of(network, size=(16, 24))
    backbone = load_backbone(network, layer=tap.layer)
    (grid,) = Extractor(backbone, device="cpu").at([tap], images)
    with torch.no_grad():
        np.testing.assert_allclose(grid, nn.Conv2d.forward(embedding, images), atol=1e-5)
    with pytest.raises(
        LayerError, match="gives 12 tokens after 1 prefix tokens, which do not fill a square grid"
    ):
        Extractor(backbone, device="cpu").at([replace(tap, patch=None)], images)


def test_what_the_network_does_behind_the_module_is_not_overlooked():
    convolution = nn.Conv2d(3, 5, 4, stride=4)
    for end in (lambda features: features + 1, lambda features: features.relu_(), lambda x: x[:, :, 1:]):
        with pytest.raises(
            LayerError, match="no single module of made has the output of its forward_features"
        ):
            tap_of(Made(convolution, num_features=5, end=end))
    inside = Made(convolution, nn.ReLU(inplace=True), num_features=5)
    assert tap_of(inside).layer == "steps"
    with pytest.raises(LayerError, match="has no forward_features"):
        tap_of(nn.Sequential(convolution))


def test_a_size_that_the_patches_insist_on_is_told():
    backbone = load_backbone("timm:vit_tiny_patch16_224", weights="none")
    with pytest.raises(ShapeError, match="accepts images of 224 x 224 only, got 96 x 96"):
        Extractor(backbone, device="cpu")(torch.zeros(1, 3, 96, 96))
    anywhere = replace(backbone, fixed_size=None)
    with pytest.raises(BackboneError, match=r"fails on images of shape \(1, 3, 96, 96\): Input height"):
        Extractor(anywhere, device="cpu")(torch.zeros(1, 3, 96, 96))
    assert fixed_size_of_patches(load_backbone("timm:test_resnet", weights="none").module) is None


TRANSFORMS = {
    "resnet18": Transform(resize=235, crop=224, interpolation="bicubic"),  # 224 / 0.95
    "vit_tiny_patch16_224": Transform(
        resize=248, crop=224, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic"
    ),
    "convnext_atto": Transform(resize=256, crop=224, interpolation="bicubic"),
    "dla46x_c": Transform(resize=256, crop=224, interpolation="bilinear"),
    "convnext_nano.in12k_ft_in1k": Transform(resize=235, crop=224, interpolation="bicubic"),
    "convnext_tiny.fb_in22k_ft_in1k_384": Transform(resize=(384, 384), crop=384, interpolation="bicubic"),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("size", [(320, 270), (200, 501)])
def test_the_transform_is_timms_own(name, size):
    import timm

    with torch.device("meta"):
        network, transform = find_blueprint(f"timm:{name}", "none").build()
    assert transform == TRANSFORMS[name]
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    own = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    torch.testing.assert_close(transform(image), own(image), rtol=0, atol=1e-6)


def test_a_transform_that_no_transform_does_is_timms_itself():
    from hueprobe.activations.timm_networks import _eval_transform

    config = {
        "input_size": (3, 64, 64), "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.5,) * 3,
        "crop_pct": 1.0, "crop_mode": "border",
    }  # fmt: skip
    transform = _eval_transform(config)
    assert isinstance(transform, TimmTransform) and transform.shape == (3, 64, 64)
    made = transform(Image.new("RGB", (200, 100), (255, 0, 0)))
    assert made.shape == (3, 64, 64)
    assert (made[0, 24:40] == 1).all() and (made[:, :12].abs() < 0.01).all()  # bordered by the mean
    assert eval(repr(transform), {"TimmTransform": TimmTransform}) == transform
    wide = _eval_transform({**config, "input_size": (3, 32, 64), "crop_mode": "squash", "crop_pct": 0.5})
    assert wide == Transform(
        resize=(64, 128), crop=(32, 64), mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic"
    )
    assert isinstance(
        _eval_transform({**config, "input_size": (3, 32, 64), "crop_mode": "center"}), TimmTransform
    )


def test_weights_of_a_file_and_of_timm(tmp_path, monkeypatch):
    import timm

    own = load_backbone("timm:test_resnet", weights="none", seed=3)
    file = tmp_path / "w.safetensors"
    safetensors.torch.save_file(own.module.state_dict(), file)
    loaded = load_backbone("timm:test_resnet", weights=file)
    assert loaded.weights == str(file) and loaded.weights_sha256 == own.weights_sha256
    with pytest.raises(WeightsError, match=r"for timm:test_vit do not fit"):
        load_backbone("timm:test_vit", weights=file)

    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, *, pretrained: own.module if pretrained else create(name)
    )
    default = load_backbone("timm:test_resnet")
    assert default.weights == "default" and default.weights_sha256 == own.weights_sha256
    assert default.module is not own.module


def test_weights_that_cannot_be_downloaded(monkeypatch):
    import timm

    create = timm.create_model

    def offline(name, *, pretrained):
        if pretrained:
            raise ConnectionError("no route\nto the hub")
        return create(name)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(
        WeightsError,
        match=r"cannot get timm's weights of test_resnet \(no route to the hub\); .*--weights FILE, or "
        "--weights none",
    ):
        load_backbone("timm:test_resnet")
    assert describe_backbone("timm:test_resnet").weights == ("default", "none")  # asks for none


def test_random_weights_follow_the_seed():
    first, again, other = (
        load_backbone("timm:test_resnet", weights="none", seed=seed).weights_sha256 for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnt18", "timm has no network 'resnt18'; nearest names: timm:resnet18, "),
        ("timm:", "timm has no network ''"),
        (
            "timm:resnet18.nonsense",
            r"timm has no weights 'resnet18.nonsense'; its weights of resnet18: .*a1_in1k",
        ),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(BackboneError, match=message):
        load_backbone(name)


def test_weights_that_are_neither_a_choice_nor_a_file():
    with pytest.raises(
        WeightsError, match=r"'IMAGENET1K_V1' for timm:resnet18 are neither .*: default, none"
    ):
        load_backbone("timm:resnet18", weights="IMAGENET1K_V1")


def test_the_timm_extra_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        MissingDependencyError, match=r"timm:resnet18 needs the package timm: pip install 'hueprobe\[timm\]'"
    ):
        load_backbone("timm:resnet18")
