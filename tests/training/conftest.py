"""Small networks and images to train on in seconds."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hueprobe.training import HueHead, HueLoss, Objective, TrainingSettings, hue_labels, images_from_arrays


def small_network(num_classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(6, num_classes),
        )  # fmt: skip


def hue_objective(weight=1.0, num_classes=3, network=None):
    network = network or small_network(num_classes)
    head = HueHead.behind(network, layer="2", image_size=(10, 10), seed=1)
    loss = HueLoss(hue_labels(num_classes, 0), weight=weight)
    return Objective(
        network, terms={"hue": lambda targets: loss(head.points(), targets)}, modules={"head": head},
        watch=head.watch, name="hue",
    )  # fmt: skip


def colored(n, seed, num_classes=3):
    """Noise that is brighter in the class's channel: learnt in a few epochs."""
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % num_classes
    pixels = rng.integers(0, 120, (n, 3, 12, 12), np.uint8)
    pixels[np.arange(n), targets] += 90
    return pixels, targets


@pytest.fixture
def images():
    return images_from_arrays(*colored(40, 0), class_names=["red", "green", "blue"])


@pytest.fixture
def test_images():
    return images_from_arrays(*colored(30, 1), class_names=["red", "green", "blue"])


@pytest.fixture
def settings():
    return TrainingSettings(epochs=4, batch_size=8, crop=10, device="cpu", learning_rate=0.02)


@pytest.fixture
def folder_of_images(tmp_path):
    """Three class folders of files; one file is damaged."""
    pixels, targets = colored(18, 2)
    for number, (image, target) in enumerate(zip(pixels, targets, strict=True)):
        path = tmp_path / "images" / "abc"[target] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    (tmp_path / "images" / "b" / "01.png").write_bytes(b"no image")
    return tmp_path / "images"
