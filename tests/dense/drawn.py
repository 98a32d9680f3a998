"""Drawn images with masks, and small networks of known layers, for tests of dense labels."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from hueprobe.images import Transform

SIZE = (40, 56)  # height, width
TRANSFORM = Transform(resize=None, crop=(32, 32), fit="squash", std=(0.229, 0.224, 0.255))


def draw(folder, masks, n, seed):
    """Draw bright rectangles (label 1) on dark ground (label 0), one row of ignored pixels."""
    rng = np.random.default_rng(seed)
    for path in (folder, masks):
        path.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        y, x = rng.integers(0, 20), rng.integers(0, 28)
        mask = np.zeros(SIZE, np.uint8)
        mask[y : y + 20, x : x + 24] = 1
        pixels = rng.integers(0, 60, (*SIZE, 3)) + 160 * mask[..., None]
        mask[-1] = 255
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{seed}{i}.png")
        Image.fromarray(mask).save(masks / f"{seed}{i}.png")


def brightness():
    """A network of 8 x 8 cells: mean and spread of their brightness."""
    network = nn.Sequential(nn.Conv2d(3, 2, 4, stride=4), nn.ReLU())
    with torch.no_grad():
        network[0].weight[0], network[0].bias[0] = 1 / 48, 1.5
        network[0].weight[1], network[0].bias[1] = -1 / 48, 1.5
    return network.eval()


class Deep(nn.Sequential):
    """The same at '1' (8 x 8 cells) and again at '2'; seeded values of 4 x 4 cells at '4'; counts images."""

    n_seen = 0

    def __init__(self):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            super().__init__(*brightness(), nn.Identity(), nn.Conv2d(2, 5, 2, stride=2), nn.ReLU())
        self.eval()

    def forward(self, images):
        self.n_seen += len(images)
        return super().forward(images)
