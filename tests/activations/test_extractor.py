"""The extractor: hooks that come and go, layouts, sizes, devices and precision."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torchvision.models import VisionTransformer, resnet18, swin_t

from hueprobe.activations import Extractor, describe, load_backbone
from hueprobe.activations.devices import choose_device
from hueprobe.activations.hooks import captured_output
from hueprobe.errors import BackboneError, HueprobeWarning, InputError, LayerError, ShapeError


def n_hooks(module):
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def extract(module, images, **options):
    return Extractor(load_backbone(module, **options), device="cpu")(images)


class Raises(nn.Module):
    def forward(self, _):
        raise ZeroDivisionError("in the head")


class Gives(nn.Module):
    """Hands on whatever `made` makes of its input."""

    def __init__(self, made):
        super().__init__()
        self.inner = nn.Identity()
        self.made = made

    def forward(self, images):
        self.inner(images)
        return self.made(images)


def test_activations_are_float32_and_the_layers_own(tiny, images):
    activations = extract(tiny, images, layer="3")
    assert activations.shape == (3, 12, 8, 8)
    assert activations.dtype == np.float32
    np.testing.assert_allclose(activations, tiny[:4](images).detach(), atol=1e-5)


def test_an_in_place_relu_behind_the_layer_does_not_rewrite_it(tiny, images):
    expected = functional.conv2d(images, tiny[0].weight, tiny[0].bias, stride=2, padding=1).detach()
    assert (expected < 0).any()
    np.testing.assert_allclose(extract(tiny, images, layer="0"), expected, atol=1e-5)


def test_hooks_are_gone_after_a_call_and_after_an_exception_in_the_network(tiny, images):
    extract(tiny, images, layer="1")
    assert n_hooks(tiny) == 0
    tiny.append(Raises())
    with pytest.raises(BackboneError, match="ZeroDivisionError: in the head"):
        extract(tiny, images, layer="1")
    assert n_hooks(tiny) == 0


def test_extractors_share_a_network_and_hooks_nest_on_one_layer(tiny, images):
    first, second = (Extractor(load_backbone(tiny, layer=layer), device="cpu") for layer in ("1", "3"))
    expected = first(images), second(images)
    inside = []

    def run_the_second(*_):
        handle.remove()
        inside.append(second(images * 1))

    handle = tiny[5].register_forward_hook(run_the_second)  # in the middle of the first one's pass
    np.testing.assert_array_equal(first(images), expected[0])
    np.testing.assert_array_equal(inside[0], expected[1])

    with captured_output(tiny[1]) as outputs:
        with captured_output(tiny[1]) as nested:
            tiny(images)
        tiny(images * 2)
    assert not torch.equal(outputs[0], nested[0])
    assert n_hooks(tiny) == 0


def test_a_module_that_runs_twice_gives_its_last_output(images):
    network = nn.Sequential(nn.Conv2d(3, 3, 1))
    network.append(network[0])
    np.testing.assert_allclose(extract(network, images, layer="0"), network(images).detach(), atol=1e-5)


def test_training_flags_are_as_they_were(tiny, images):
    tiny.train()
    tiny[2].eval()
    before = [part.training for part in tiny.modules()]
    dropped = nn.Sequential(nn.Dropout(0.9), tiny[0]).train()
    np.testing.assert_allclose(extract(dropped, images, layer="1"), tiny[0](images).detach(), atol=1e-5)
    extract(tiny, images, layer="3")
    assert [part.training for part in tiny.modules()] == before
    assert dropped.training


def test_gap_of_the_grid_is_what_resnet_pools(quick_random_weights):
    backbone = load_backbone("resnet18", weights="none")
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with captured_output(backbone.module.avgpool) as pooled, torch.inference_mode():
        backbone.module(images)
    activations = Extractor(backbone, device="cpu")(images)
    assert activations.shape == (2, 512, 2, 3)  # 64 x 96 pixels at stride 32
    np.testing.assert_allclose(describe(activations, "gap"), pooled[0], rtol=1e-4, atol=1e-5)


def test_bf16_and_fp16_are_near_fp32(quick_random_weights):
    backbone = load_backbone("resnet18", weights="none")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    exact = Extractor(backbone, device="cpu")(images).ravel()
    for precision, least in (("bf16", 0.999), ("fp16", 0.99999)):
        extractor = Extractor(backbone, device="cpu", precision=precision)
        assert extractor.precision == precision
        rounded = extractor(images).ravel()
        assert rounded.dtype == np.float32
        assert not np.array_equal(rounded, exact)
        cosine = rounded @ exact / np.linalg.norm(rounded) / np.linalg.norm(exact)
        assert cosine > least, f"{precision}: cosine {cosine}"


def test_a_precision_that_the_device_cannot_falls_back_aloud(tiny, images, monkeypatch):
    def refuse(*_):
        raise RuntimeError("no such thing here")

    monkeypatch.setattr(torch, "autocast", refuse)
    with pytest.warns(HueprobeWarning, match="'bf16' does not work on cpu: falling back to fp32"):
        extractor = Extractor(load_backbone(tiny, layer="3"), device="cpu", precision="bf16")
    assert extractor.precision == "fp32"
    assert extractor(images).shape == (3, 12, 8, 8)


def test_unknown_precision_and_devices_list_the_choices(tiny):
    backbone = load_backbone(tiny, layer="3")
    with pytest.raises(InputError, match="unknown precision 'half'; choose one of: fp32, bf16, fp16"):
        Extractor(backbone, device="cpu", precision="half")
    for device in ("gpu", "cuda:x", "cpu:0", "mps:1", "cuda:", ""):
        with pytest.raises(InputError, match=f"unknown device '{device}'; choose one of: auto, cpu, cuda"):
            Extractor(backbone, device=device)


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    for device in ("cuda", "cuda:0"):
        with pytest.raises(InputError, match=f"'{device}' is not available, CUDA finds 0 here"):
            choose_device(device)
    with pytest.raises(InputError, match="'mps' is not available"):
        choose_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("mps") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:1")
    assert choose_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(InputError, match="'cuda:2' is not available, CUDA finds 2 here"):
        choose_device("cuda:2")


@pytest.mark.parametrize(
    ("made", "gives"),
    [
        (lambda images: (images, images), "gives a tuple, not a tensor"),
        (lambda images: [images], "gives a list, not a tensor"),
        (
            lambda images: images.mean((2, 3)),
            r"gives a tensor of shape \(3, 3\) for 3 images, not \(B, C, H, W\)",
        ),
        (lambda images: images[:1], r"gives a tensor of shape \(1, 3, 16, 16\) for 3 images"),
    ],
)
def test_a_layer_that_gives_no_grid_says_what_it_gives(made, gives, images):
    network = nn.Sequential(Gives(made))
    with pytest.raises(LayerError, match=f"layer '0' of live Sequential {gives}"):
        extract(network, images, layer="0")
    assert n_hooks(network) == 0


def test_a_layer_that_does_not_run_says_so(tiny, images):
    tiny[5].spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(LayerError, match=r"layer '5.spare' of live Sequential does not run"):
        extract(tiny, images, layer="5.spare")


def test_images_that_do_not_fit():
    extractor = Extractor(load_backbone(resnet18()), device="cpu")
    with pytest.raises(
        ShapeError, match=r"must be \(B, channels, h, w\) with B at least 1, got shape \(3, 64, 64\)"
    ):
        extractor(torch.zeros(3, 64, 64))
    with pytest.raises(ShapeError, match="B at least 1"):
        extractor(torch.zeros(0, 3, 64, 64))
    with pytest.raises(
        BackboneError, match=r"live ResNet fails on images of shape \(1, 4, 64, 64\): .*channels"
    ):
        extractor(torch.zeros(1, 4, 64, 64))
    extractor = Extractor(load_backbone("alexnet", weights="none"), device="cpu")
    with pytest.raises(BackboneError, match=r"alexnet fails on images of shape \(1, 3, 20, 20\)"):
        extractor(torch.zeros(1, 3, 20, 20))


def test_too_little_memory_asks_for_smaller_batches(images):
    def fills_memory(_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(
        BackboneError, match="cpu has too little memory for 3 images at a time; use a smaller batch"
    ):
        extract(nn.Sequential(Gives(fills_memory)), images, layer="0")


@pytest.fixture
def small_vit():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = VisionTransformer(
            image_size=40, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=4
        )
        nn.init.normal_(network.heads.head.weight)
        nn.init.normal_(network.class_token)
        return network.eval()


def test_vit_drops_its_class_token_and_keeps_reading_order(small_vit):
    images = torch.randn(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    backbone = load_backbone(small_vit)
    assert (backbone.layout, backbone.prefix_tokens, backbone.fixed_size) == ("tokens", 1, 40)
    with captured_output(small_vit.encoder) as tokens, torch.inference_mode():
        logits = small_vit(images)
        torch.testing.assert_close(small_vit.heads(tokens[0][:, 0]), logits)  # what the class token is for
    activations = Extractor(backbone, device="cpu")(images)
    assert activations.shape == (2, 16, 5, 5)
    for y in range(5):
        for x in range(5):
            np.testing.assert_allclose(activations[:, :, y, x], tokens[0][:, 1 + 5 * y + x], atol=1e-5)

    # Before attention mixes them, a patch of the image is one cell, at the same place.
    changed = images.clone()
    changed[:, :, 8 * 3 : 8 * 4, 8 * 1 : 8 * 2] += 1
    before_mixing = Extractor(load_backbone(small_vit, layer="encoder.dropout"), device="cpu")
    moved = np.abs(before_mixing(changed) - before_mixing(images)).max(axis=(0, 1))
    assert [tuple(cell) for cell in np.argwhere(moved > 0)] == [(3, 1)]


def test_vit_takes_its_own_size_only(small_vit):
    with pytest.raises(ShapeError, match="takes images of 40 x 40 only, got 40 x 48; set the crop to 40"):
        extract(small_vit, torch.zeros(1, 3, 40, 48))


def test_layers_inside_vit_and_swin_are_read_in_their_own_layout(small_vit):
    images = torch.zeros(1, 3, 40, 40)
    assert extract(small_vit, images, layer="encoder.layers.encoder_layer_0").shape == (1, 16, 5, 5)
    assert extract(small_vit, images, layer="conv_proj").shape == (1, 16, 5, 5)
    network = swin_t()
    images = torch.randn(1, 3, 64, 96)
    assert extract(network, images, layer="features.0.0").shape == (1, 96, 16, 24)
    assert extract(network, images, layer="avgpool").shape == (1, 768, 1, 1)
    normed = extract(network, images, layer="norm")
    assert normed.shape == (1, 768, 2, 3)
    np.testing.assert_allclose(normed, extract(network, images), atol=1e-5)


def test_no_warning_is_given_in_ordinary_use(tiny, images):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extract(tiny, images, layer="3")
