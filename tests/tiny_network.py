"""A seeded network that runs in milliseconds: `--backbone tests.tiny_network:tiny --layer 2`."""

import torch
from torch import nn

from hueprobe.images import Transform

TRANSFORM = Transform(resize=24, crop=24, mean=(0.5,) * 3, std=(0.25,) * 3, interpolation="bilinear")


def tiny():
    """Images of 24 x 24 become 6 x 6 cells of 12 channels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=4, padding=2), nn.ReLU(), nn.Conv2d(16, 12, 3, padding=1), nn.ReLU()
        )
    return network, TRANSFORM


def broken():
    """The same, with NaN weights."""
    network, transform = tiny()
    with torch.no_grad():
        network[2].weight.fill_(float("nan"))
    return network, transform
