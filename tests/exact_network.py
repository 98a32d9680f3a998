"""A network and pictures that are the same, bit for bit, on every processor and under every torch.

Pictures have pixels of 0 and 255 and come from a hash; weights are whole numbers. So all that `exact`
computes is small whole numbers, whose float32 sums are not rounded: in whatever order a processor adds, it
finds the same.
"""

import csv
import hashlib

import torch
from torch import nn
from torchvision.models import DenseNet

from hueprobe.images import Transform

TRANSFORM = Transform(resize=8, crop=8, mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bilinear")


def exact():
    """Pictures of 8 x 8 become 4 x 4 cells of 6 channels at layer 1, 2 x 2 cells of 8 channels at layer 3."""
    network = nn.Sequential(
        nn.Conv2d(3, 6, 2, stride=2, bias=False),
        nn.ReLU(),
        nn.Conv2d(6, 8, 2, stride=2, bias=False),
        nn.ReLU(),
    )
    with torch.no_grad():
        for number in (0, 2):
            weight = network[number].weight
            values = [byte % 5 - 2 for byte in drawn(f"weights {number}", weight.numel())]
            weight.copy_(torch.tensor(values, dtype=torch.float32).reshape(weight.shape))
    return network, TRANSFORM


def classifier():
    """A small network of a torchvision class, to be trained; its numbers are rounded as any other's are."""
    return DenseNet(growth_rate=4, block_config=(1,), num_init_features=4, bn_size=1, num_classes=3)


def drawn(name, n):
    """Return n bytes that depend on a name alone."""
    return hashlib.shake_256(name.encode()).digest(n)


def draw_pictures(folder, n, *, classes="abc", side=8):
    """Write n pictures a class into class folders; each class favors a color of its own."""
    for color, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            path = f"{name}/{i:03}.ppm"
            values = drawn(f"{folder.name}/{path}", 3 * side * side)
            pixels = bytes(
                255 * (value < (160 if at % 3 == color % 3 else 90)) for at, value in enumerate(values)
            )
            (folder / path).write_bytes(b"P6 %d %d 255\n" % (side, side) + pixels)
    return folder


def draw_table(folder):
    """Write 36 pictures to train and test on, and a table that says which are which; return the table."""
    draw_pictures(folder, 12, side=24)
    with (folder / "table.csv").open("w", newline="") as file:
        rows = [
            (f"{name}/{i:03}.ppm", name, "train" if i < 6 else "test") for name in "abc" for i in range(12)
        ]
        csv.writer(file, lineterminator="\n").writerows([("path", "class", "split"), *rows])
    return folder / "table.csv"


def activations(n):
    """Return whole numbers (n, 5, 2, 3) as a network's activations would be."""
    values = [max(0, byte % 9 - 3) for byte in drawn("activations", n * 5 * 2 * 3)]
    return torch.tensor(values, dtype=torch.float32).reshape(n, 5, 2, 3).numpy()
