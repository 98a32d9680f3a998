"""Random weights: reproducible, of ordinary size, and without touching torch's own generator."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torchvision.models import efficientnet_b0, mobilenet_v2, resnet152

from hueprobe import KernelDensityClassifier, build_memory
from hueprobe.activations import Extractor, load_backbone
from hueprobe.activations.random_weights import calibrate_batchnorm, own_randomness, random_images
from hueprobe.activations.weights import weights_sha256
from hueprobe.cli import main
from hueprobe.errors import HueprobeWarning, MemoryFormatError, WeightsError
from hueprobe.images.transform import Transform
from hueprobe.memory import append_images, extraction
from tests.exact_network import draw_pictures

SMALL = Transform(resize=64, crop=64)


def test_the_seed_decides_and_nothing_else():
    first, again, other = (
        load_backbone(NORMED, weights="none", layer="13", seed=seed, transform=transform)
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


NORMED = "tests.activations.test_random_weights:normed"


def normed():
    """Deep enough for sums of single precision to differ with the number of threads."""
    layers = [nn.Conv2d(3, 16, 5, stride=4), nn.BatchNorm2d(16), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*layers), Transform(resize=96, crop=96)


def test_the_weights_are_the_same_for_any_number_of_threads():
    found = set()
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        found.add(load_backbone(NORMED, weights="none", layer="13").weights_sha256)
    torch.set_num_threads(1)
    assert len(found) == 1


HASHES = """
import sys
from hueprobe.activations import load_backbone
for name in sys.argv[1:]:
    print(load_backbone(name, weights="none").weights_sha256)
"""


def hashes(*names, **environment):
    done = subprocess.run(
        [sys.executable, "-c", HASHES, *names], capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.slow
def test_the_weights_of_real_networks_are_the_same_for_any_number_of_threads():
    names = ("resnet18", "mobilenet_v2", "efficientnet_b0", "densenet121", "inception_v3")
    one = hashes(*names, OMP_NUM_THREADS="1")
    assert one == hashes(*names, OMP_NUM_THREADS="2")
    assert len(set(one)) == len(names)


def old_statistics(network, *, seed):
    """Version 0.1: one pass in single precision, momentum None, everything else in eval mode."""
    network.eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
            part.train()
    with torch.no_grad():
        network(random_images(16, (96, 96), seed=seed))
    return network


def test_statistics_are_those_of_the_pass_in_single_precision_but_for_its_noise():
    new, old = (
        load_backbone(NORMED, weights="none", layer="13", seed=3, made_by=by) for by in (None, "0.1.0")
    )
    with own_randomness(3):
        expected, _ = normed()
    assert old.weights_sha256 == weights_sha256(old_statistics(expected, seed=3)) != new.weights_sha256
    for name, tensor in new.module.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], rtol=1e-4, atol=1e-4)


def test_a_mean_that_is_zero_but_for_noise_is_zero():
    """A projection without a nonlinearity behind normalized channels: the noise's digits are nobody's."""
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8))
    calibrate_batchnorm(network, (20, 24), seed=4)
    assert network[2].running_mean.tolist() == [0] * 8
    assert not network[2].running_mean.signbit().any()
    assert (network[2].running_var > 0).all()


class SinglePrecision(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        if images.dtype != torch.float32:
            raise ValueError("single precision only")
        return self.norm(images)


def test_a_network_of_single_precision_only_is_said_to_depend_on_threads():
    with pytest.warns(HueprobeWarning, match=r"\(single precision only\), so .* on the number of threads"):
        calibrate_batchnorm(network := SinglePrecision(), (8, 8), seed=0)
    np.testing.assert_allclose(
        network.norm.running_var, random_images(16, (8, 8), seed=0).var((0, 2, 3)), rtol=1e-4
    )
    assert not network.training and network.norm.momentum == 0.1


@pytest.fixture
def old_memory(tmp_path, monkeypatch):
    """A memory of random weights as 0.1 made them, on this machine and with as many threads."""
    old = load_backbone(NORMED, weights="none", layer="13", made_by="0.1.0")
    pictures = draw_pictures(tmp_path / "pictures", 2)
    with monkeypatch.context() as patched:
        patched.setattr(extraction, "library_versions", lambda: {"hueprobe": "0.1.0", "torch": "2.0"})
        return build_memory(tmp_path / "m", pictures, backbone=old, device="cpu")


def test_a_memory_of_0_1_with_random_weights_goes_on(tmp_path, old_memory):
    pictures = tmp_path / "pictures"
    options = {"backbone": NORMED, "weights": "none", "layer": "13", "device": "cpu"}
    assert build_memory(tmp_path / "m", pictures, **options).n_images == old_memory.n_images
    command = ["index", pictures, "-o", tmp_path / "m", "--weights", "none", "--backbone", NORMED]
    done = CliRunner().invoke(main, [*map(str, command), "--layer", "13", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    with pytest.warns(HueprobeWarning, match="in the memory too"):
        assert (
            len(KernelDensityClassifier(old_memory, k=2).classify(pictures).predicted) == old_memory.n_images
        )
    assert append_images(tmp_path / "m", draw_pictures(tmp_path / "more", 1)).n_images > old_memory.n_images


def test_where_it_cannot_the_error_says_what_random_weights_depend_on(tmp_path, old_memory, monkeypatch):
    truth = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *sizes, **options: truth(*sizes, **options) * 1.001 + 0.001)
    with pytest.raises(
        WeightsError, match=r"torch's version \(2\.0 made them\).*number of threads \(OMP_NUM"
    ):
        KernelDensityClassifier(old_memory, k=2).classify(tmp_path / "pictures")
    with pytest.raises(MemoryFormatError, match=r"torch's version \(2\.0 made them\).*build the memory anew"):
        build_memory(
            tmp_path / "m", tmp_path / "pictures", backbone=NORMED, weights="none", layer="13", device="cpu"
        )
