"""What the Examples of docstrings find: the names told on the API's front page of the documentation."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHAPES = ("circle", "square", "triangle")


def draw(folder: Path, n_each: int, seed: int, masks: Path | None = None) -> None:
    """Draw images of 64 x 64 pixels in a folder of class folders; in their masks the shapes are 1."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    for shape in SHAPES:
        for where in (folder, masks):
            if where is not None:
                (where / shape).mkdir(parents=True)
        for number in range(n_each):
            image = Image.new("RGB", (64, 64), tuple(int(value) for value in rng.integers(150, 250, 3)))
            x, y, size = (int(value) for value in rng.integers((18, 18, 8), (46, 46, 16)))
            box, color = (x - size, y - size, x + size, y + size), (60, 60, 160)
            mask = Image.new("L", image.size, 0)
            for pen, fill in ((ImageDraw.Draw(image), color), (ImageDraw.Draw(mask), 1)):
                if shape == "circle":
                    pen.ellipse(box, fill=fill)
                elif shape == "square":
                    pen.rectangle(box, fill=fill)
                else:
                    pen.polygon(((x, y - size), (x - size, y + size), (x + size, y + size)), fill=fill)
            image.save(folder / shape / f"{shape}{number}.png")
            if masks is not None:
                mask.save(masks / shape / f"{shape}{number}.png")


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


def training_runs() -> list[Any]:
    """Return made-up runs of a training comparison: two losses, three seeds, two epochs each."""
    from hueprobe.studies.comparison.loss_run import LossRun
    from hueprobe.studies.comparison.trained_networks import Measured, TrainedObservation

    perturbed = [f"{kind} {severity}" for kind in ("noise", "blur", "contrast") for severity in (1, 2, 3)]
    runs = []
    for loss, gain in (("onehot", 0), ("hue:eq5", 4)):
        for seed in range(3):
            n_right = 60 + gain + 2 * seed
            measured = ["angle, pca plane", "full direction", *(["angle, head's plane"] if gain else [])]
            numbers = {name: Measured(estimate=n_right / 100, low=0.5, high=0.8) for name in measured}
            runs.append(
                LossRun(
                    loss=loss, seed=seed, fold="", learning_rate=1e-3, n_right=n_right, n_test=100,
                    curve=(n_right / 200, n_right / 100), train_loss=(1.0, 0.8),
                    shares=(0.4, 0.3 + 0.01 * seed) if gain else (), seconds_per_step=0.1,
                    saved_bytes=1000 + gain, n_parameters=100, n_extra=gain,
                    robustness={name: n_right - 5 * int(name[-1]) for name in perturbed},
                    observed=TrainedObservation(part="test", n_images=100, grid=(7, 7), numbers=numbers),
                )
            )  # fmt: skip
    return runs


@pytest.fixture(scope="session")
def example_names(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Make the folder that examples work in, and the names that they find."""
    import hueprobe as hp

    folder, network = tmp_path_factory.mktemp("examples"), untrained_network()
    draw(folder / "images", n_each=4, seed=0, masks=folder / "masks")
    draw(folder / "others", n_each=2, seed=1, masks=folder / "other_masks")
    transform = hp.images.Transform(resize=64, crop=64)
    memory = hp.build_memory(
        folder / "memory", folder / "images", backbone=network, layer="3", transform=transform
    )
    classifier = hp.KernelDensityClassifier(memory, k=5, backbone=network, transform=transform)
    result = classifier.leave_one_out()
    return folder, {
        "np": np, "hp": hp, "network": network, "transform": transform, "memory": memory,
        "result": result, "matches": result.matches, "runs": training_runs(),
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _examples_of_docstrings(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give an Example its names, and its folder with `images`, `others`, their masks and `memory`."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    made, names = request.getfixturevalue("example_names")
    request.getfixturevalue("doctest_namespace").update(names)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(made, folder, dirs_exist_ok=True)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            if pyplot := sys.modules.get("matplotlib.pyplot"):  # loaded by a test before
                pyplot.close("all")
