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
    device_option,
    workers_option,
)  # fmt: skip


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of training."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def side_of(options: dict[str, Any]) -> int:
    """Return the images' side before the crop: as given, or 8/7 of the crop, as 256 is of 224."""
    side: int = options["side"] or -(-options["crop"] * 8 // 7)
    if side < options["crop"]:
        raise click.UsageError(f"--side {side} is less than --crop {options['crop']}; load images larger")
    return side


def head_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the hue head that are not the defaults, as `objective_named` takes them."""
    given = {
        "head_input": options["head_input"], "head_hidden": list(options["head_hidden"]),
        "project": options["head_project"],
    }  # fmt: skip
    return {name: value for name, value in given.items() if value not in ("pooled", [], False)}


TRAINING_FIELDS = (
    "epochs", "batch_size", "optimizer", "weight_decay", "crop", "flip", "precision", "device",
)  # fmt: skip
