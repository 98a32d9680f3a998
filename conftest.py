"""What the Examples of docstrings find: the names told on the API's front page of the documentation."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHAPES = ("circle", "square", "triangle")


def draw(folder: Path, n_each: int, seed: int) -> None:
    """Draw images of 64 x 64 pixels in a folder of class folders."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for number in range(n_each):
            image = Image.new("RGB", (64, 64), tuple(int(value) for value in rng.integers(150, 250, 3)))
            x, y, size = (int(value) for value in rng.integers((18, 18, 8), (46, 46, 16)))
            box, color = (x - size, y - size, x + size, y + size), (60, 60, 160)
            pen = ImageDraw.Draw(image)
            if shape == "circle":
                pen.ellipse(box, fill=color)
            elif shape == "square":
                pen.rectangle(box, fill=color)
            else:
                pen.polygon(((x, y - size), (x - size, y + size), (x + size, y + size)), fill=color)
            image.save(folder / shape / f"{shape}{number}.png")


def untrained_network() -> Any:
    """Return two convolutions with a ReLU after each, and a head; seeded."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=4), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3),
        ).eval()  # fmt: skip


@pytest.fixture(scope="session")
def _example_names(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    import hueprobe as hp

    folder, network = tmp_path_factory.mktemp("examples"), untrained_network()
    draw(folder / "images", n_each=4, seed=0)
    draw(folder / "others", n_each=2, seed=1)
    transform = hp.images.Transform(resize=64, crop=64)
    memory = hp.build_memory(
        folder / "memory", folder / "images", backbone=network, layer="3", transform=transform
    )
    classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    result = classifier.leave_one_out()
    return folder, {
        "np": np, "hp": hp, "network": network, "transform": transform, "memory": memory,
        "result": result, "matches": result.matches,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _examples_of_docstrings(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give an Example its names, and a folder of its own with `images`, `others` and `memory` to work in."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    made, names = request.getfixturevalue("_example_names")
    request.getfixturevalue("doctest_namespace").update(names)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(made, folder, dirs_exist_ok=True)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
