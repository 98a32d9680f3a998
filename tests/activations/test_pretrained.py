"""Real ImageNet weights: the network recognizes what a photograph shows, so weights and transform fit."""

import importlib.resources
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hueprobe.activations import Extractor, describe, load_backbone
from hueprobe.activations.networks import find_blueprint

# ImageNet's classes for what scikit-image's photographs show.
CATS = range(281, 286)  # tabby, tiger cat, Persian, Siamese, Egyptian cat
COFFEE = (504, 967, 968)  # coffee mug, espresso, cup


def photograph(name):
    return Image.open(str(importlib.resources.files("skimage") / "data" / name)).convert("RGB")


def top_class(backbone, name):
    with torch.inference_mode():
        logits = backbone.module(backbone.transform(photograph(name))[None])
    return int(logits.argmax())


@pytest.fixture(scope="module")
def lite0():
    return load_backbone("efficientnet_lite0")


@pytest.mark.demo
def test_lite0_takes_all_296_tensors_and_sees_the_cat_and_the_coffee(lite0):
    assert len(find_blueprint("efficientnet_lite0", "default").state(lite0.module)) == 296
    assert (lite0.layer, lite0.closing, lite0.signed, lite0.weights) == ("bn2", "relu6", False, "default")
    assert top_class(lite0, "chelsea.png") in CATS
    assert top_class(lite0, "coffee.png") in COFFEE


@pytest.mark.demo
def test_lite0_grid_is_what_its_head_reads(lite0):
    images = torch.stack([lite0.transform(photograph(name)) for name in ("chelsea.png", "coffee.png")])
    activations = Extractor(lite0, device="cpu")(images)
    assert activations.shape == (2, 1280, 7, 7)
    assert activations.min() == 0 and activations.max() <= 6
    with torch.inference_mode():
        logits = lite0.module.classifier(torch.from_numpy(describe(activations, "gap")[:, :, 0, 0]))
        torch.testing.assert_close(logits, lite0.module(images), rtol=1e-3, atol=1e-3)


@pytest.mark.realdata
@pytest.mark.demo
@pytest.mark.parametrize(
    ("network", "channels", "side", "highest"),
    [("resnet50_v1", 2048, 7, np.inf), ("mobilenet_v2_tf", 1280, 7, 6), ("squeezenet1_1", 512, 13, np.inf)],
)
def test_weights_at_hand_load_through_a_callable(shared, monkeypatch, network, channels, side, highest):
    monkeypatch.chdir(Path(__file__).parents[2])  # where `benchmarks` is
    weights = shared / "data" / "weights" / f"{network}.fp16.safetensors"
    backbone = load_backbone(f"benchmarks.networks:{network}", weights=weights)
    assert backbone.table_layer and not backbone.signed
    assert backbone.weights == str(weights)
    assert next(backbone.module.parameters()).dtype == torch.float32
    assert top_class(backbone, "chelsea.png") in CATS
    assert top_class(backbone, "coffee.png") in COFFEE
    activations = Extractor(backbone, device="cpu")(backbone.transform(photograph("chelsea.png"))[None])
    assert activations.shape == (1, channels, side, side)
    assert activations.min() == 0
    assert 1 < activations.max() <= highest
