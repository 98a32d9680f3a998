"""Random weights: reproducible, of ordinary size, and without touching torch's own generator."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import efficientnet_b0, mobilenet_v2, resnet152

from hueprobe.activations import Extractor, load_backbone
from hueprobe.activations.random_weights import calibrate_batchnorm, own_randomness, random_images
from hueprobe.images.transform import Transform

SMALL = Transform(resize=64, crop=64)


def test_the_seed_decides_and_nothing_else():
    first, again, other = (
        load_backbone("mnasnet0_5", weights="none", seed=seed, transform=transform)
        for seed, transform in ((1, None), (1, SMALL), (2, None))
    )
    assert first.weights_sha256 == again.weights_sha256 != other.weights_sha256
    assert first.weights == "none"


def test_torchs_generator_is_left_as_it_was(tiny, quick_random_weights):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    load_backbone("mobilenet_v2", weights="none")
    load_backbone(tiny, layer="1")
    with contextlib.suppress(ZeroDivisionError), own_randomness(3):
        torch.rand(1)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_are_the_networks_own_initialization_under_the_seed(quick_random_weights):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = mobilenet_v2()
    backbone = load_backbone("mobilenet_v2", weights="none", seed=5)
    for name, parameter in expected.named_parameters():
        assert torch.equal(parameter, backbone.module.get_parameter(name))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["densenet121", "resnet18", "efficientnet_b0", "mobilenet_v2", "regnet_y_400mf"]
)
def test_activations_neither_vanish_nor_explode(name):
    images = random_images(2, (224, 224), seed=123)
    activations = Extractor(load_backbone(name, weights="none"), device="cpu")(images)
    assert 0.1 < activations.std() < 50
    assert (activations.std(axis=(0, 2, 3)) > 0).mean() > 0.5, "most channels are dead"


def test_without_calibration_they_do_both():
    """Why it is there: with fresh BatchNorm any comparison of activations would be blind."""
    images = random_images(2, (64, 64), seed=123)
    with own_randomness(0):
        vanishing, exploding = efficientnet_b0(), resnet152()
    assert Extractor(load_backbone(vanishing), device="cpu")(images).std() < 1e-6
    assert Extractor(load_backbone(exploding), device="cpu")(images).std() > 1e4


def test_batchnorm_takes_the_statistics_of_the_one_batch():
    network = nn.Sequential(nn.Dropout(0.9), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3))
    network[2].running_mean += 7  # of an earlier life
    calibrate_batchnorm(network, (20, 24), seed=4)
    batch = random_images(16, (20, 24), seed=4)
    convolved = network[1](batch).detach()
    np.testing.assert_allclose(network[2].running_mean, convolved.mean((0, 2, 3)), atol=1e-5)
    np.testing.assert_allclose(network[2].running_var, convolved.var((0, 2, 3)), rtol=1e-4)
    assert network[2].momentum == 0.3
    assert not any(part.training for part in network.modules())
    out = network(batch).detach()
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(out.std((0, 2, 3)), 1, atol=1e-3)


def test_calibration_takes_the_size_of_the_transform():
    seen = []

    class Looks(nn.BatchNorm2d):
        def forward(self, images):
            seen.append(tuple(images.shape))
            return super().forward(images)

    network = nn.Sequential(Looks(3))
    calibrate_batchnorm(network, (30, 40), seed=0)
    assert seen == [(16, 3, 30, 40)]


def test_random_images_have_unit_scale_and_a_falling_spectrum():
    images = random_images(4, (64, 96), seed=1)
    assert images.shape == (4, 3, 64, 96)
    assert torch.equal(images, random_images(4, (64, 96), seed=1))
    assert abs(float(images.mean())) < 1e-5
    assert abs(float(images.std()) - 1) < 1e-5
    neighbors = torch.corrcoef(torch.stack([images[..., 1:].flatten(), images[..., :-1].flatten()]))[0, 1]
    assert neighbors > 0.7  # white noise has 0
