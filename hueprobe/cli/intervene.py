"""`hueprobe intervene`: whether class positions follow the content of images or stay with the network."""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hueprobe.cli import options as common

if TYPE_CHECKING:
    from hueprobe.observations.interventions.result import Interventions


@click.command()
@common.memory_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the report, figures and tables, and of finished passes.",
)
@click.option(
    "--images",
    help="Images to query MEMORY with: a folder, table or manifest, with classes.  [default: its own images]",
)
@click.option("--split", help="Use only this split of --images.  [default: all images]")
@click.option(
    "--flips",
    default="e,h,r,v",
    show_default=True,
    help="Flips of all images: e (as they are), h (left-right mirror), r (half turn), v (up-down mirror).",
)
@click.option(
    "--shift",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="PIXELS",
    help="Also move the images of each class by so many pixels that the network sees, each class at its own "
    "angle, to measure how much of a motion is reported; 0 for no motion.",
)
@click.option(
    "--plant",
    is_flag=True,
    help="Also move images by a quarter and half of --shift, and flip them at every dose.",
)
@click.option(
    "--deals",
    "n_deals",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Number of deals of images into blocks.",
)
@click.option(
    "--k",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of nearest neighbors of each query pixel, within a block.",
)
@click.option(
    "--exclude",
    type=click.Choice(["image", "group"]),
    default="image",
    show_default=True,
    help="What an image may not match: itself (image), or its group.",
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True),
    default=0.1,
    show_default=True,
    help="Distance between classes that is too small to matter, in cells.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of deals and permutations."
)
@click.option(
    "--keep",
    is_flag=True,
    help="Keep the memories of flipped and moved images, which take as much space as MEMORY each.",
)
@click.option(
    "--format",
    "figure_format",
    type=click.Choice(["png", "pdf", "svg"]),
    default="png",
    show_default=True,
    help="File format of the figures.",
)
@common.weights_moved_option
@common.images_root_option
@common.device_option
@common.workers_option
@common.json_option
def intervene(
    memory: Path,
    output: Path,
    images: str | None,
    split: str | None,
    flips: str,
    shift: int,
    plant: bool,
    n_deals: int,
    k: int,
    exclude: str,
    margin: float,
    seed: int,
    keep: bool,
    figure_format: str,
    weights: Path | None,
    images_root: Path | None,
    device: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Flip all images of MEMORY alike, and split class positions into content and network.

    What flips with the images is locked to their content; what stays is locked to the network. Each flip is
    extracted and searched once. Stopped by Ctrl-C, the same command resumes.
    """
    from hueprobe.memory import open_memory
    from hueprobe.studies.intervening.report import save_interventions
    from hueprobe.studies.intervening.settings import InterveneSettings
    from hueprobe.studies.intervening.study import intervene as run

    if split and images is None:
        raise click.UsageError("--split selects from --images; give --images")
    if plant and not shift:
        raise click.UsageError("--plant moves images by up to --shift PIXELS; give it, such as --shift 32")
    settings = InterveneSettings(
        flips=flips, shift=shift, plant=plant, n_deals=n_deals, k=k, exclude=exclude, margin=margin,
        seed=seed, keep=keep, weights=weights, device=device, workers=workers,
    )  # fmt: skip
    opened = open_memory(memory)
    common.require_k(k, int(opened.valid().sum()))
    table = common.named_images(images, split) if images else None
    found = run(opened, output, images=table, settings=settings, images_root=images_root, progress=True)
    files = save_interventions(found, output, figure_format=figure_format)
    if as_json:
        common.print_json(found.to_json())
        return
    _report(found)
    common.say(f"written to {output}: {', '.join(file.name for file in files)}")


def _report(found: "Interventions") -> None:
    from hueprobe.observations.verdicts.findings import p_text, range_text

    rows = [
        [
            name, f"{one.estimate:.3f}", range_text(one.low, one.high),
            "" if one.p_value is None else p_text(one.p_value),
        ]
        for name, one in found.numbers().items()
        if not isnan(one.estimate)
    ]  # fmt: skip
    common.print_table("distances between classes in cells", ["number", "value", "95 %", "p"], rows)
    conclusion = found.conclusion
    common.say(f"{conclusion.verdict}: {conclusion.text}")
