"""Options that `train` and `compare` share."""

from collections.abc import Callable
from typing import Any

import click

from hueprobe.cli.options import device_option, workers_option

_OPTIONS = (
    click.option("--backbone", required=True, help="See `hueprobe backbones`; or timm:NAME."),
    click.option(
        "--weights", default="none", show_default=True, help="none: from scratch; default, a name, or a file."
    ),
    click.option("--epochs", type=click.IntRange(min=1), default=100, show_default=True),
    click.option("--batch-size", type=click.IntRange(min=2), default=64, show_default=True),
    click.option("--optimizer", type=click.Choice(["adam", "sgd"]), default="adam", show_default=True),
    click.option("--weight-decay", type=click.FloatRange(min=0), default=0.0, show_default=True),
    click.option("--crop", type=click.IntRange(min=1), default=224, show_default=True, help="Pixels."),
    click.option(
        "--side", type=click.IntRange(min=1), help="Pixels before the crop  [default: 8/7 of --crop]"
    ),
    click.option("--flip/--no-flip", default=True, show_default=True, help="Mirror half of the pictures."),
    click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True),
    click.option(
        "--stage", "stages", metavar="LAYER", multiple=True,
        help="A layer for maxdropout and catchup, where there is no layer1 ... layer4; may be given again.",
    ),
    device_option,
    workers_option,
)  # fmt: skip


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of training."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def side_of(options: dict[str, Any]) -> int:
    """Return the pictures' side before the crop: as given, or 8/7 of the crop, as 256 is of 224."""
    side: int = options["side"] or -(-options["crop"] * 8 // 7)
    if side < options["crop"]:
        raise click.UsageError(f"--side {side} is less than --crop {options['crop']}; load pictures larger")
    return side


TRAINING_FIELDS = (
    "epochs", "batch_size", "optimizer", "weight_decay", "crop", "flip", "precision", "device",
)  # fmt: skip
