"""One thread, so that timings and sums do not depend on the machine; and small networks of the tests' own."""

import pytest
import torch
from torch import nn

from hueprobe.activations import backbones, random_weights


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def quick_random_weights(monkeypatch):
    """BatchNorm takes its statistics from 4 images of the smallest size that Inception takes."""
    calibrate = random_weights.calibrate_batchnorm
    monkeypatch.setattr(random_weights, "N_CALIBRATION_IMAGES", 4)
    monkeypatch.setattr(
        backbones, "calibrate_batchnorm", lambda module, _, **options: calibrate(module, (75, 75), **options)
    )


@pytest.fixture
def tiny():
    """Two convolutions, each rewritten by an in-place ReLU, and a head; 16 x 16 images give 8 x 8 cells."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 5),
        )


@pytest.fixture
def images():
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(5))
