"""Options that `train` and `compare` share."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any

import click

from hueprobe.cli.options import device_option, workers_option

_OPTIONS = (
    click.option(
        "--backbone", required=True,
        help="Network to train: a name from `hueprobe backbones`, timm:NAME or package.module:callable.",
    ),
    click.option(
        "--weights", default="none", show_default=True,
        help="Initial weights: none (random), default (pretrained), a name of pretrained weights, or a file.",
    ),
    click.option(
        "--layer",
        help="Dotted name of the bottleneck layer, for a network that `hueprobe backbones` does not list.  "
        "[default: the network's bottleneck]",
    ),
    click.option(
        "--epochs", type=click.IntRange(min=1), default=100, show_default=True, help="Number of epochs.",
    ),
    click.option(
        "--batch-size", type=click.IntRange(min=2), default=64, show_default=True,
        help="Number of images per training step.",
    ),
    click.option(
        "--optimizer", type=click.Choice(["adam", "sgd"]), default="adam", show_default=True,
        help="Optimizer: Adam, or SGD with momentum 0.9.",
    ),
    click.option(
        "--weight-decay", type=click.FloatRange(min=0), default=0.0, show_default=True,
        help="Weight decay of the optimizer.",
    ),
    click.option(
        "--crop", type=click.IntRange(min=1), default=224, show_default=True,
        help="Side of the square crop in pixels: at random in training, centered in testing.",
    ),
    click.option(
        "--side", type=click.IntRange(min=1),
        help="Side of the images in pixels before the crop.  [default: 8/7 of --crop]",
    ),
    click.option(
        "--flip/--no-flip", default=True, show_default=True, help="Mirror half of the training images.",
    ),
    click.option(
        "--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True,
        help="Precision of training; bf16 uses autocast.",
    ),
    click.option(
        "--stage", "stages", metavar="LAYER", multiple=True,
        help="Layer for maxdropout and catchup; may be repeated.  [default: layer1 to layer4]",
    ),
    click.option(
        "--head-input", type=click.Choice(["pooled", "flat"]), default="pooled", show_default=True,
        help="Input of the head of a hue loss: the mean over cells (pooled), or all cells (flat).",
    ),
    click.option(
        "--head-hidden", type=click.IntRange(min=1), multiple=True, metavar="WIDTH",
        help="Width of a hidden layer of the head; may be repeated.  [default: no hidden layer]",
    ),
    click.option(
        "--head-project/--no-head-project", default=False, show_default=True,
        help="Project the head's points onto the unit circle.",
    ),
    click.option(
        "--train-split", "train_splits", metavar="NAME", multiple=True,
        help="Split of IMAGES to train on; may be repeated.  [default: train or training, otherwise the "
        "images without a split]",
    ),
    click.option(
        "--test-split", "test_splits", metavar="NAME", multiple=True,
        help="Split of IMAGES to test on; may be repeated.  [default: test or testing]",
    ),
    click.option(
        "--drop-repeated", is_flag=True,
        help="Drop training images that have the same content as a test image, instead of stopping.",
    ),
    device_option,
    workers_option,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Values of the options above, under the options' own names."""

    backbone: str
    weights: str
    layer: str | None
    epochs: int
    batch_size: int
    optimizer: str
    weight_decay: float
    crop: int
    side: int | None
    flip: bool
    precision: str
    stages: tuple[str, ...]
    head_input: str
    head_hidden: tuple[int, ...]
    head_project: bool
    train_splits: tuple[str, ...]
    test_splits: tuple[str, ...]
    drop_repeated: bool
    device: str
    workers: int | None

    def settings(self) -> dict[str, Any]:
        """Return the values that are fields of `TrainingSettings`."""
        return {name: getattr(self, name) for name in _TRAINING_FIELDS}

    def parts(self) -> dict[str, Any]:
        """Return the choice of training and test images, for `training_parts`."""
        return {name: getattr(self, name) for name in ("train_splits", "test_splits", "drop_repeated")}

    def named_layer(self) -> dict[str, str]:
        """Return the layer, if one was named, for the identity of a run."""
        return {} if self.layer is None else {"layer": self.layer}

    def side_before_crop(self) -> int:
        """Return the side of the images before the crop: as given, or 8/7 of the crop (256 for 224)."""
        side = self.side or -(-self.crop * 8 // 7)
        if side < self.crop:
            raise click.UsageError(f"--side {side} is less than --crop {self.crop}; load images larger")
        return side

    def head(self) -> dict[str, Any]:
        """Return the options of the hue head that are not defaults, for `objective_named`."""
        given = {
            "head_input": self.head_input, "head_hidden": list(self.head_hidden),
            "project": self.head_project,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value not in ("pooled", [], False)}


_TRAINING_FIELDS = (
    "epochs", "batch_size", "optimizer", "weight_decay", "crop", "flip", "precision", "device",
)  # fmt: skip


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the training options to a command, which receives them as one parameter, `training`."""

    @wraps(command)
    def collected(**given: Any) -> Any:
        training = TrainingOptions(**{one.name: given.pop(one.name) for one in fields(TrainingOptions)})
        return command(training=training, **given)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected
