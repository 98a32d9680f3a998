"""The options of `hueprobe index`, and how their texts become values."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hueprobe.cli.engine_options import engine_options
from hueprobe.cli.options import Decorator, device_option, index_dir_option, parsed_part, workers_option
from hueprobe.cli.work_plans import trial_option


def _numbers(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise click.BadParameter(
            f"give one number or three with commas, such as 0.485,0.456,0.406; got {text!r}"
        )
    return values * 3 if len(values) == 1 else values


def _sides(ctx: click.Context, param: click.Parameter, text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,8})(?:x([1-9][0-9]{0,8}))?", text.strip())
    if match is None:
        raise click.BadParameter(f"give a number of pixels, or HEIGHTxWIDTH such as 384x512; got {text!r}")
    return int(match[1]) if match[2] is None else (int(match[1]), int(match[2]))


def _ignored(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[int, ...] | None:
    if texts == ("none",):
        return ()
    if wrong := [text for text in texts if not (text.isascii() and text.isdecimal() and int(text) <= 65_535)]:
        raise click.BadParameter(f"give pixel values from 0 to 65535, or none alone; got {wrong[0]!r}")
    return tuple(map(int, texts)) or None


def _range(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    from hueprobe.errors import InputError
    from hueprobe.images.value_range import ValueRange

    try:
        ValueRange.of(text)
    except InputError as error:
        raise click.BadParameter(str(error)) from None
    return text


_OPTIONS: tuple[Decorator, ...] = (
    click.argument("images"),
    click.option(
        "-o",
        "--output",
        "memory",
        type=click.Path(path_type=Path),
        required=True,
        help="Folder of the memory to write.",
    ),
    click.option(
        "--backbone",
        help="Network: a name from `hueprobe backbones`, timm:NAME or package.module:callable; required "
        "unless --append, or IMAGES is a memory.",
    ),
    click.option(
        "--masks",
        metavar="MASKS",
        help="Masks of IMAGES, index PNGs whose labels are stored with each cell: a folder with the same "
        "paths or file names, a table with columns path and mask, or a data manifest's name, which knows "
        "the labels too.  [default: none]",
    ),
    click.option(
        "--label-names",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Names of the labels: a text file with one per line for the values 0, 1, ..., or JSON with a "
        "list or value: name.  [default: the values]",
    ),
    click.option(
        "--ignore",
        metavar="VALUE",
        multiple=True,
        callback=_ignored,
        help="Pixel value of MASKS that is no label, or none; may be repeated.  [default: 255]",
    ),
    click.option(
        "--zero-is-ignore", is_flag=True, help="The value 0 of MASKS is no label; names then begin at 1."
    ),
    click.option("--split", help="Use only this split of IMAGES.  [default: all images]"),
    click.option(
        "--weights",
        default="default",
        show_default=True,
        help="Weights: default (pretrained), a name of torchvision's weights, none (random), or a file.",
    ),
    click.option(
        "--layer",
        "layers",
        metavar="LAYER",
        multiple=True,
        help="Dotted name of the layer to extract; if repeated, one forward pass fills a memory OUTPUT.LAYER "
        "for each.  [default: the bottleneck]",
    ),
    click.option(
        "--descriptor",
        type=click.Choice(["pixel", "gap", "gmp", "gem", "rmac", "flat"]),
        default="pixel",
        show_default=True,
        help="Descriptor of an image: all cells of the grid (pixel), a pooled vector (gap, gmp, gem, rmac), "
        "or the flattened grid (flat).",
    ),
    click.option(
        "--searcher",
        "searchers",
        metavar="SPEC",
        multiple=True,
        help="Search index to build too, such as annoy:trees=50; may be repeated.  [default: none]",
    ),
    index_dir_option,
    device_option,
    click.option(
        "--precision",
        type=click.Choice(["fp32", "bf16", "fp16"]),
        help="Precision of the forward pass.  [default: fp32]",
    ),
    click.option(
        "--batch-size", type=click.IntRange(min=1), help="Number of images per forward pass.  [default: 32]"
    ),
    workers_option,
    click.option(
        "--dtype",
        type=click.Choice(["float16", "float32", "sparse16"]),
        default="float16",
        show_default=True,
        help="Data type of the stored unit vectors; sparse16 is float16 without the zeros: the same results "
        "from 4 to 8 times less disk, for networks that end in a ReLU.",
    ),
    click.option(
        "--resize",
        callback=_sides,
        metavar="N|HxW",
        help="Resize the shorter side to N pixels, or both sides to H x W.  [default: as for the weights]",
    ),
    click.option(
        "--crop",
        callback=_sides,
        metavar="N|HxW",
        help="Side of the square center crop in pixels, or its height and width.  [default: as for the "
        "weights]",
    ),
    click.option(
        "--fit",
        type=click.Choice(["crop", "squash", "pad"]),
        help="How images are fitted to the crop: crop drops what is outside the center, squash changes the "
        "aspect ratio, pad adds a border.  [default: crop]",
    ),
    click.option(
        "--range",
        "value_range",
        callback=_range,
        metavar="BITS|LOW:HIGH|auto|full",
        help="Values of black and white in images of more than 8 bits: 12 means 0:4095; auto uses each "
        "image's own minimum and maximum.  [default: full]",
    ),
    click.option(
        "--mean",
        callback=_numbers,
        help="Channel means for normalization, such as 0.485,0.456,0.406.  [default: as for the weights]",
    ),
    click.option(
        "--std",
        callback=_numbers,
        help="Channel standard deviations for normalization.  [default: as for the weights]",
    ),
    click.option(
        "--interpolation",
        type=click.Choice(["nearest", "bilinear", "bicubic"]),
        help="Interpolation of resizing.  [default: as for the weights]",
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of random weights."
    ),
    click.option(
        "--append", is_flag=True, help="Add the images to a complete memory, with its own settings."
    ),
    click.option(
        "--part",
        callback=parsed_part,
        metavar="I/N",
        help="Build only part I of N, counted from 1, in a folder beside OUTPUT; `hueprobe join OUTPUT` "
        "joins them. In a SLURM array of 16: --part ${SLURM_ARRAY_TASK_ID}/16.  [default: the whole memory]",
    ),
    engine_options,
    click.option(
        "--dry-run",
        is_flag=True,
        help="Print what would be written, and the time, RAM and cost of search that a trial on this machine "
        "predicts, then stop.",
    ),
    trial_option,
    click.option(
        "--overwrite",
        is_flag=True,
        help="Replace an existing memory, whatever its settings and images; with --part, only that part.",
    ),
)


def index_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument and options of `hueprobe index`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
