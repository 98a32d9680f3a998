"""Options that `train` and `compare` share."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any

import click

from hueprobe.cli.options import device_option, workers_option

_OPTIONS = (
    click.option("--backbone", required=True, help="See `hueprobe backbones`; or timm:NAME."),
    click.option(
        "--weights", default="none", show_default=True, help="none: from scratch; default, a name, or a file."
    ),
    click.option(
        "--layer", help="Its bottleneck, where `hueprobe backbones` does not list the network: a dotted name."
    ),
    click.option("--epochs", type=click.IntRange(min=1), default=100, show_default=True),
    click.option("--batch-size", type=click.IntRange(min=2), default=64, show_default=True),
    click.option("--optimizer", type=click.Choice(["adam", "sgd"]), default="adam", show_default=True),
    click.option("--weight-decay", type=click.FloatRange(min=0), default=0.0, show_default=True),
    click.option("--crop", type=click.IntRange(min=1), default=224, show_default=True, help="Pixels."),
    click.option(
        "--side", type=click.IntRange(min=1), help="Pixels before the crop  [default: 8/7 of --crop]"
    ),
    click.option("--flip/--no-flip", default=True, show_default=True, help="Mirror half of the images."),
    click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True),
    click.option(
        "--stage", "stages", metavar="LAYER", multiple=True,
        help="A layer for maxdropout and catchup, where there is no layer1 ... layer4; may be given again.",
    ),
    click.option(
        "--head-input", type=click.Choice(["pooled", "flat"]), default="pooled", show_default=True,
        help="What the head of a hue loss reads: the mean over cells, or all cells.",
    ),
    click.option(
        "--head-hidden", type=click.IntRange(min=1), multiple=True, metavar="WIDTH",
        help="A hidden layer of the head; may be given again  [default: none]",
    ),
    click.option(
        "--head-project/--no-head-project", default=False, show_default=True,
        help="Put the head's points on the unit circle.",
    ),
    click.option(
        "--train-split", "train_splits", metavar="NAME", multiple=True,
        help="A split of IMAGES to train on; may be given again  [default: train or training; where none is "
        "called so, the images without a split]",
    ),
    click.option(
        "--test-split", "test_splits", metavar="NAME", multiple=True,
        help="A split of IMAGES to test on; may be given again  [default: test or testing]",
    ),
    click.option(
        "--drop-repeated", is_flag=True,
        help="Leave images of a test image's content out of training instead of refusing them.",
    ),
    device_option,
    workers_option,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What a user gave for the options above, under the options' own names."""

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
        """Return those that are fields of `TrainingSettings`."""
        return {name: getattr(self, name) for name in _TRAINING_FIELDS}

    def parts(self) -> dict[str, Any]:
        """Return what tells which images train and test, as `training_parts` takes it."""
        return {name: getattr(self, name) for name in ("train_splits", "test_splits", "drop_repeated")}

    def named_layer(self) -> dict[str, str]:
        """Return the layer, where one was named, for what tells a run from others."""
        return {} if self.layer is None else {"layer": self.layer}

    def side_before_crop(self) -> int:
        """Return the images' side: as given, or 8/7 of the crop, as 256 is of 224."""
        side = self.side or -(-self.crop * 8 // 7)
        if side < self.crop:
            raise click.UsageError(f"--side {side} is less than --crop {self.crop}; load images larger")
        return side

    def head(self) -> dict[str, Any]:
        """Return the options of the hue head that are not the defaults, as `objective_named` takes them."""
        given = {
            "head_input": self.head_input, "head_hidden": list(self.head_hidden),
            "project": self.head_project,
        }  # fmt: skip
        return {name: value for name, value in given.items() if value not in ("pooled", [], False)}


_TRAINING_FIELDS = (
    "epochs", "batch_size", "optimizer", "weight_decay", "crop", "flip", "precision", "device",
)  # fmt: skip


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of training, which it takes as one parameter, `training`."""

    @wraps(command)
    def collected(**given: Any) -> Any:
        training = TrainingOptions(**{one.name: given.pop(one.name) for one in fields(TrainingOptions)})
        return command(training=training, **given)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected
