"""`hueprobe index`: images into a memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli.options import (
    device_option,
    index_dir_option,
    named_images,
    recall_text,
    report_skipped,
    say,
    workers_option,
)

if TYPE_CHECKING:
    from hueprobe.activations import Backbone
    from hueprobe.memory import Memory


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


def _range(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    from hueprobe.errors import InputError
    from hueprobe.images.value_range import ValueRange

    try:
        ValueRange.of(text)
    except InputError as error:
        raise click.BadParameter(str(error)) from None
    return text


@click.command()
@click.argument("images")
@click.option(
    "-o", "--output", "memory", type=click.Path(path_type=Path), required=True, help="The memory's folder."
)
@click.option("--backbone", help="See `hueprobe backbones`; or timm:NAME, or package.module:callable.")
@click.option("--split", help="Take only this split of IMAGES.")
@click.option(
    "--weights", default="default", show_default=True, help="default, an enum name, none, or a file."
)
@click.option(
    "--layer",
    "layers",
    metavar="LAYER",
    multiple=True,
    help="Dotted module name instead of the bottleneck; given several times, one forward pass fills "
    "MEMORY.LAYER for each.",
)
@click.option(
    "--descriptor",
    type=click.Choice(["pixel", "gap", "gmp", "gem", "rmac", "flat"]),
    default="pixel",
    show_default=True,
    help="What each image is reduced to.",
)
@click.option(
    "--searcher",
    "searchers",
    metavar="SPEC",
    multiple=True,
    help="Also build this index; may be given again.",
)
@index_dir_option
@device_option
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16", "fp16"]), help="Of the forward pass  [default: fp32]"
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images a forward pass  [default: 32]")
@workers_option
@click.option("--dtype", type=click.Choice(["float16", "float32"]), default="float16", show_default=True)
@click.option("--resize", type=click.IntRange(min=1), help="Short side in pixels.")
@click.option("--crop", type=click.IntRange(min=1), help="Side of the square cut from the center.")
@click.option(
    "--fit",
    type=click.Choice(["crop", "squash", "pad"]),
    help="How images of another shape come to that size: crop loses what lies beyond the square in the "
    "center; squash distorts and pad puts a border round, both keep all  [default: crop]",
)
@click.option(
    "--range",
    "value_range",
    callback=_range,
    metavar="BITS|LOW:HIGH|auto|full",
    help="Black and white of images of more than 8 bits: 12 is 0:4095; auto is each image's own least and "
    "greatest value  [default: full]",
)
@click.option("--mean", callback=_numbers, help="Channel means, such as 0.485,0.456,0.406.")
@click.option("--std", callback=_numbers, help="Channel standard deviations.")
@click.option("--interpolation", type=click.Choice(["nearest", "bilinear", "bicubic"]))
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of random weights.")
@click.option("--append", is_flag=True, help="Add the images to a complete memory, with its own settings.")
@click.option("--dry-run", is_flag=True, help="Print what would be written, and how large, and stop.")
@click.option(
    "--overwrite", is_flag=True, help="Replace a memory that is there, of whatever settings and images."
)
def index(
    images: str,
    memory: Path,
    backbone: str | None,
    split: str | None,
    weights: str,
    layers: tuple[str, ...],
    descriptor: str,
    searchers: tuple[str, ...],
    index_dir: Path | None,
    device: str,
    precision: str | None,
    batch_size: int | None,
    workers: int | None,
    dtype: str,
    resize: int | None,
    crop: int | None,
    fit: str | None,
    value_range: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    interpolation: str | None,
    seed: int,
    append: bool,
    dry_run: bool,
    overwrite: bool,
) -> None:
    """Extract the activations of IMAGES into a memory.

    IMAGES is a folder of class folders, a flat folder, a CSV or Parquet table (path, class, split,
    group), a data manifest's name or file, `demo`, or a memory of pixels to pool with --descriptor
    without running the network again. Folders named train, test and the like are splits; where their
    names do not tell, say splits:FOLDER or classes:FOLDER.
    The same command again continues a build that was stopped.
    """
    from hueprobe.activations import load_backbones
    from hueprobe.memory import (
        append_images,
        build_memories,
        build_memory,
        derive_memory,
        layer_path,
        open_memory,
        plan_memory,
    )
    from hueprobe.memory.recorded import maker_of
    from hueprobe.search import parse_spec

    for spec in searchers:
        parse_spec(spec)
    if index_dir is not None and not searchers:
        raise click.UsageError("--index-dir says where an index is kept; name one with --searcher")
    if (Path(images) / "memory.json").is_file():
        pixels = open_memory(images)
        pooled = derive_memory(memory, pixels, descriptor, overwrite=overwrite, progress=True)
        _finish(pooled, searchers, index_dir)
        return
    table = named_images(images, split)
    geometry = {
        "resize": resize, "crop": crop, "mean": mean, "std": std, "interpolation": interpolation, "fit": fit
    }  # fmt: skip
    if append:
        own = {
            "backbone": backbone, "layer": layers, "precision": precision, "batch-size": batch_size,
            "range": value_range,
        }  # fmt: skip
        _refuse_settings({**geometry, **own})
        _say_what_is_there(memory)
        appended = append_images(
            memory, table, device=device, workers=workers, progress=True,
            weights=None if weights == "default" else weights,
        )  # fmt: skip
        _finish(appended, searchers, index_dir)
        _say_cropped(appended)
        return
    if not backbone:
        raise click.UsageError("name the network with --backbone; `hueprobe backbones` lists them")
    begun = layer_path(memory, layers[0]) if len(layers) > 1 else Path(memory)
    backbones = load_backbones(
        backbone, layers=layers or [None], weights=weights, seed=seed,
        made_by=None if overwrite else maker_of(begun),
    )  # fmt: skip
    given = {name: x for name, x in geometry.items() if x is not None}
    backbones = _with_geometry(backbones, given)
    _say_whose_transform(backbones[0], weights, given)
    stored: dict[str, Any] = {
        "descriptor": descriptor, "dtype": dtype, "precision": precision, "batch_size": batch_size,
        "device": device, "seed": seed,
    }  # fmt: skip
    several = len(backbones) > 1
    for one in backbones:
        path = layer_path(memory, one.layer) if several else memory
        _show_plan(plan_memory(path, table, backbone=one, **stored), path)
        if not overwrite:
            _say_what_is_there(path)
    if dry_run:
        return
    running: dict[str, Any] = {
        "workers": workers, "overwrite": overwrite, "progress": True, "value_range": value_range, **stored
    }  # fmt: skip
    if several:
        built = build_memories(memory, table, backbone=backbones, **running)
    else:
        built = [build_memory(memory, table, backbone=backbones[0], **running)]
    for each in built:
        _finish(each, searchers, index_dir)
    _say_cropped(built[0])


def _with_geometry(backbones: list["Backbone"], geometry: dict[str, Any]) -> list["Backbone"]:
    """Return the networks, their images brought to other sizes or normalized otherwise, as far as given."""
    from dataclasses import replace

    from hueprobe.images.transform import Transform

    if not geometry:
        return backbones
    changed = []
    for backbone in backbones:
        if type(backbone.transform) is not Transform:
            raise click.UsageError(
                f"{backbone.name} has its own transform; --{next(iter(geometry))} cannot change it"
            )
        changed.append(replace(backbone, transform=replace(backbone.transform, **geometry)))
    return changed


def _say_whose_transform(backbone: "Backbone", weights: str, given: dict[str, Any]) -> None:
    """Say which transform goes with a weights file, and why."""
    from hueprobe.memory.transforms import describe_transform, transform_words

    if backbone.transform_of is not None:
        options = ", ".join(f"--{name}" for name in given)
        others = "--resize, --crop, --mean, --std and --interpolation change it"
        say(
            f"transform for {weights}: {transform_words(describe_transform(backbone.transform))}; "
            f"that of {backbone.transform_of}; " + (f"but for {options}" if given else others),
            err=True,
        )


def _finish(built: "Memory", searchers: tuple[str, ...], index_dir: Path | None) -> None:
    """Build the indexes asked for, list what could not be read, and say what there is now."""
    from hueprobe.search import open_searcher, parse_spec
    from hueprobe.search.index import StoredIndex, recall_of

    for spec in searchers:
        parsed = parse_spec(spec)
        if parsed.needs_index:
            index = StoredIndex(built, parsed, index_dir=index_dir)
            if not index.is_current:
                index.build(progress=True)
        recall = recall_of(open_searcher(built, parsed, index_dir=index_dir))
        say(f"{spec}: recall@10 {recall_text(recall)}")
    unreadable = [int(i) for i in (~built.readable).nonzero()[0]]
    report_skipped(tuple((built.images.paths[i], built.records["reason"][i].as_py()) for i in unreadable))
    say(
        f"{built.path}: {int(built.readable.sum())} images in {len(built.classes)} classes, "
        f"{int(built.valid().sum())} vectors of {built.n_channels} channels"
    )


def _say_cropped(built: "Memory") -> None:
    """Say how many images lost much to the crop in the center, and what keeps them whole."""
    from hueprobe.memory.cropping import shares_kept

    kept = shares_kept(built)
    n = 0 if kept is None else int((kept < 2 / 3).sum())
    if n:
        say(
            f"{n} of {built.n_images} images lose more than a third of their area to the center crop; "
            "--fit pad or --fit squash keeps them whole",
            err=True,
        )


def _refuse_settings(settings: dict[str, Any]) -> None:
    given = [f"--{name}" for name, value in settings.items() if value]
    if given:
        raise click.UsageError(f"--append takes the memory's own settings; leave out {', '.join(given)}")


def _say_what_is_there(memory: Path) -> None:
    """Say how far a memory got that is continued."""
    from hueprobe.memory.ledger import read_ledger

    ledger = read_ledger(memory)
    if ledger.complete:
        say(f"{memory}: complete already; its {ledger.n_done} images are compared with IMAGES", err=True)
    elif ledger.lists:
        done = f"{ledger.n_done} of {ledger.n_listed} images are in"
        say(f"{memory}: goes on with what was stopped: {done}", err=True)


def _show_plan(plan: Any, memory: Path) -> None:
    settings = plan.settings
    height, width = settings.grid
    say(
        f"{plan.n_images} images x {height}x{width} cells x {settings.channels} channels "
        f"({settings.backbone}:{settings.layer}, {settings.descriptor}, {settings.dtype}): "
        f"{plan.n_bytes / 1e6:,.1f} MB in {memory}",
        err=True,
    )
