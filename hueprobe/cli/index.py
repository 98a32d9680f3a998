"""`hueprobe index`: extract images into a memory."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli.options import (
    device_option,
    index_dir_option,
    named_images,
    parsed_part,
    recall_text,
    report_skipped,
    say,
    workers_option,
)
from hueprobe.cli.work_plans import print_work_plan, trial_option

if TYPE_CHECKING:
    from hueprobe.activations import Backbone
    from hueprobe.memory import Memory
    from hueprobe.scale import Part


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


@click.command()
@click.argument("images")
@click.option(
    "-o",
    "--output",
    "memory",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the memory to write.",
)
@click.option(
    "--backbone",
    help="Network: a name from `hueprobe backbones`, timm:NAME or package.module:callable; required "
    "unless --append, or IMAGES is a memory.",
)
@click.option(
    "--masks",
    metavar="MASKS",
    help="Masks of IMAGES, index PNGs whose labels are stored with each cell: a folder with the same paths "
    "or file names, a table with columns path and mask, or a data manifest's name, which knows the labels "
    "too.  [default: none]",
)
@click.option(
    "--label-names",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Names of the labels: a text file with one per line for the values 0, 1, ..., or JSON with a list "
    "or value: name.  [default: the values]",
)
@click.option(
    "--ignore",
    metavar="VALUE",
    multiple=True,
    callback=_ignored,
    help="Pixel value of MASKS that is no label, or none; may be repeated.  [default: 255]",
)
@click.option(
    "--zero-is-ignore", is_flag=True, help="The value 0 of MASKS is no label; names then begin at 1."
)
@click.option("--split", help="Use only this split of IMAGES.  [default: all images]")
@click.option(
    "--weights",
    default="default",
    show_default=True,
    help="Weights: default (pretrained), a name of torchvision's weights, none (random), or a file.",
)
@click.option(
    "--layer",
    "layers",
    metavar="LAYER",
    multiple=True,
    help="Dotted name of the layer to extract; if repeated, one forward pass fills a memory OUTPUT.LAYER "
    "for each.  [default: the bottleneck]",
)
@click.option(
    "--descriptor",
    type=click.Choice(["pixel", "gap", "gmp", "gem", "rmac", "flat"]),
    default="pixel",
    show_default=True,
    help="Descriptor of an image: all cells of the grid (pixel), a pooled vector (gap, gmp, gem, rmac), or "
    "the flattened grid (flat).",
)
@click.option(
    "--searcher",
    "searchers",
    metavar="SPEC",
    multiple=True,
    help="Search index to build too, such as annoy:trees=50; may be repeated.  [default: none]",
)
@index_dir_option
@device_option
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    help="Precision of the forward pass.  [default: fp32]",
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Number of images per forward pass.  [default: 32]"
)
@workers_option
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32", "sparse16"]),
    default="float16",
    show_default=True,
    help="Data type of the stored unit vectors; sparse16 is float16 without the zeros: the same results from "
    "4 to 8 times less disk, for networks that end in a ReLU.",
)
@click.option(
    "--resize",
    callback=_sides,
    metavar="N|HxW",
    help="Resize the shorter side to N pixels, or both sides to H x W.  [default: as for the weights]",
)
@click.option(
    "--crop",
    callback=_sides,
    metavar="N|HxW",
    help="Side of the square center crop in pixels, or its height and width.  [default: as for the weights]",
)
@click.option(
    "--fit",
    type=click.Choice(["crop", "squash", "pad"]),
    help="How images are fitted to the crop: crop drops what is outside the center, squash changes the "
    "aspect ratio, pad adds a border.  [default: crop]",
)
@click.option(
    "--range",
    "value_range",
    callback=_range,
    metavar="BITS|LOW:HIGH|auto|full",
    help="Values of black and white in images of more than 8 bits: 12 means 0:4095; auto uses each image's "
    "own minimum and maximum.  [default: full]",
)
@click.option(
    "--mean",
    callback=_numbers,
    help="Channel means for normalization, such as 0.485,0.456,0.406.  [default: as for the weights]",
)
@click.option(
    "--std",
    callback=_numbers,
    help="Channel standard deviations for normalization.  [default: as for the weights]",
)
@click.option(
    "--interpolation",
    type=click.Choice(["nearest", "bilinear", "bicubic"]),
    help="Interpolation of resizing.  [default: as for the weights]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of random weights."
)
@click.option("--append", is_flag=True, help="Add the images to a complete memory, with its own settings.")
@click.option(
    "--part",
    callback=parsed_part,
    metavar="I/N",
    help="Build only part I of N, counted from 1, in a folder beside OUTPUT; `hueprobe join OUTPUT` joins "
    "them. In a SLURM array of 16: --part ${SLURM_ARRAY_TASK_ID}/16.  [default: the whole memory]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print what would be written, and the time, RAM and cost of search that a trial on this machine "
    "predicts, then stop.",
)
@trial_option
@click.option(
    "--overwrite",
    is_flag=True,
    help="Replace an existing memory, whatever its settings and images; with --part, only that part.",
)
def index(
    images: str,
    memory: Path,
    backbone: str | None,
    masks: str | None,
    label_names: Path | None,
    ignore: tuple[int, ...] | None,
    zero_is_ignore: bool,
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
    resize: int | tuple[int, int] | None,
    crop: int | tuple[int, int] | None,
    fit: str | None,
    value_range: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    interpolation: str | None,
    seed: int,
    append: bool,
    part: "Part | None",
    dry_run: bool,
    seconds: float | None,
    overwrite: bool,
) -> None:
    """Extract the activations of IMAGES into a memory.

    IMAGES is a folder of class folders, a flat folder, a CSV or Parquet table (path, class, split,
    group), a data manifest's name or file, or `demo`. It may also be a pixel memory, which is pooled
    with --descriptor without running the network again. Folders named train, test and the like are
    splits; use splits:FOLDER or classes:FOLDER if the names do not show what the folders are.

    With --masks, each cell also gets the number of pixels of each label. To keep the whole of images that
    are not square, use --fit squash with --crop HxW.

    With --part, several processes or machines build one memory: each runs the same command with another
    part, in a folder that all of them see. The memory is then the same, byte for byte.

    Builds resume: run the same command again.
    """
    from hueprobe.images.label_names import IGNORE
    from hueprobe.images.mask_pairing import pair_masks
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
    from hueprobe.scale import build_layer_parts, build_part, part_path, plan_work
    from hueprobe.scale.folders import whole_folder
    from hueprobe.scale.work_plan import TRIAL_SECONDS
    from hueprobe.search import parse_spec

    for spec in searchers:
        parse_spec(spec)
    if seconds is not None and not dry_run:
        raise click.UsageError("--trial is the time that --dry-run measures; add --dry-run")
    if index_dir is not None and not searchers:
        raise click.UsageError("--index-dir is the folder of an index; name an index with --searcher")
    if part is not None and ((searchers and not dry_run) or append):
        what = "an index is of the whole memory: give --searcher to `hueprobe join`"
        raise click.UsageError("--append is not done in parts; leave out --part" if append else what)
    if (Path(images) / "memory.json").is_file():
        if masks is not None:
            raise click.UsageError("a pooled memory has no cells to label; leave out --masks")
        if part is not None:
            raise click.UsageError("a memory is pooled in one piece; leave out --part")
        pixels = open_memory(images)
        pooled = derive_memory(memory, pixels, descriptor, overwrite=overwrite, progress=True)
        finish(pooled, searchers, index_dir)
        return
    naming = {
        "label-names": label_names, "ignore": ignore is not None, "zero-is-ignore": zero_is_ignore
    }  # fmt: skip
    if masks is None and any(naming.values()):
        named = next(name for name, value in naming.items() if value)
        raise click.UsageError(f"--{named} is about masks; give these with --masks")
    table = named_images(images, split)
    geometry = {
        "resize": resize, "crop": crop, "mean": mean, "std": std, "interpolation": interpolation, "fit": fit
    }  # fmt: skip
    if append:
        own = {
            "backbone": backbone, "layer": layers, "precision": precision, "batch-size": batch_size,
            "range": value_range, **naming,
        }  # fmt: skip
        _refuse_settings({**geometry, **own})
        _say_what_is_there(memory)
        appended = append_images(
            memory, table, masks=masks, device=device, workers=workers, progress=True,
            weights=None if weights == "default" else weights,
        )  # fmt: skip
        finish(appended, searchers, index_dir)
        _say_cropped(appended)
        return
    begun = layer_path(memory, layers[0]) if len(layers) > 1 else Path(memory)
    begun = begun if part is None else whole_folder(begun)
    backbones = asked_backbones(
        backbone, layers, weights, seed, geometry, made_by=None if overwrite else maker_of(begun)
    )
    paired = None
    if masks is not None:
        paired = pair_masks(
            table, masks, names=label_names, ignore=IGNORE if ignore is None else ignore,
            zero_is_ignore=zero_is_ignore, workers=workers, progress=True,
        )  # fmt: skip
        say(f"{masks}: {paired.labels.in_words}", err=True)
    stored: dict[str, Any] = {
        "descriptor": descriptor, "dtype": dtype, "precision": precision, "batch_size": batch_size,
        "device": device, "seed": seed,
    }  # fmt: skip
    several = len(backbones) > 1
    plans = []
    for one in backbones:
        path = layer_path(memory, one.layer) if several else memory
        labels = None if paired is None else paired.labels
        there = path if part is None else whole_folder(path)
        plan = plan_memory(there, table, backbone=one, labels=labels, **stored)
        plans.append(plan)
        _show_plan(plan, path)
        if part is not None:
            _show_part(plan, path, part)
        if not overwrite:
            _say_what_is_there(path if part is None else part_path(path, part))
    if dry_run:
        as_begun = {"batch_size": plans[0].settings.batch_size, "precision": plans[0].settings.precision}
        print_work_plan(
            plan_work(
                table, 1 if part is None else part.n, backbone=backbones, specs=searchers or None,
                seconds=seconds or TRIAL_SECONDS, progress=True, workers=workers, value_range=value_range,
                masks=paired, **{**stored, **as_begun},
            )
        )  # fmt: skip
        return
    running: dict[str, Any] = {
        "workers": workers, "overwrite": overwrite, "progress": True, "value_range": value_range,
        "masks": paired, **stored,
    }  # fmt: skip
    if part is not None:
        if several:
            parts = build_layer_parts(memory, table, part, backbone=backbones, **running)
        else:
            parts = [build_part(memory, table, part, backbone=backbones[0], **running)]
        for each, one in zip(parts, backbones, strict=True):
            finish(each, (), None)
            _say_parts(layer_path(memory, one.layer) if several else memory)
        _say_cropped(parts[0])
        return
    if several:
        built = build_memories(memory, table, backbone=backbones, **running)
    else:
        built = [build_memory(memory, table, backbone=backbones[0], **running)]
    for each in built:
        finish(each, searchers, index_dir)
    _say_cropped(built[0])


def asked_backbones(
    backbone: str | None,
    layers: tuple[str, ...],
    weights: str,
    seed: int,
    geometry: dict[str, Any],
    *,
    made_by: str | None = None,
) -> list["Backbone"]:
    """Return the network that options ask for, at each layer; report whose transform it has."""
    from hueprobe.activations import load_backbones

    if not backbone:
        raise click.UsageError("name the network with --backbone; `hueprobe backbones` lists them")
    backbones = load_backbones(backbone, layers=layers or [None], weights=weights, seed=seed, made_by=made_by)
    given = {name: x for name, x in geometry.items() if x is not None}
    backbones = _with_geometry(backbones, given)
    _say_whose_transform(backbones[0], weights, given)
    return backbones


def _with_geometry(backbones: list["Backbone"], geometry: dict[str, Any]) -> list["Backbone"]:
    """Return the networks with their transforms changed to the given sizes and normalization."""
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
    """Report which transform is used with a weights file, and why."""
    from hueprobe.memory.transforms import describe_transform, transform_words

    if backbone.transform_of is not None:
        options = ", ".join(f"--{name}" for name in given)
        others = "--resize, --crop, --mean, --std and --interpolation change it"
        say(
            f"transform for {weights}: {transform_words(describe_transform(backbone.transform))}; "
            f"that of {backbone.transform_of}; " + (f"except for {options}" if given else others),
            err=True,
        )


def finish(built: "Memory", searchers: tuple[str, ...], index_dir: Path | None) -> None:
    """Build the requested indexes, list unreadable images, and summarize the memory."""
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
        + (f", {len(built.label_names)} labels" if built.has_labels else "")
    )


def _say_cropped(built: "Memory") -> None:
    """Report how many images lose much of their area to the center crop, and how to keep them whole."""
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
        raise click.UsageError(f"--append uses the memory's own settings; leave out {', '.join(given)}")


def _say_what_is_there(memory: Path) -> None:
    """Report how much of a resumed memory is complete."""
    from hueprobe.memory.ledger import read_ledger

    ledger = read_ledger(memory)
    if ledger.complete:
        say(f"{memory}: already complete; its {ledger.n_done} images are compared with IMAGES", err=True)
    elif ledger.lists:
        done = f"{ledger.n_done} of {ledger.n_listed} images are done"
        say(f"{memory}: resuming; {done}", err=True)


def _show_plan(plan: Any, memory: Path) -> None:
    settings = plan.settings
    height, width = settings.grid
    say(
        f"{plan.n_images} images x {height}x{width} cells x {settings.channels} channels "
        f"({settings.backbone}:{settings.layer}, {settings.descriptor}, {settings.dtype}): "
        f"{'' if plan.nonzero is None else 'about '}{plan.n_bytes / 1e6:,.1f} MB in {memory}",
        err=True,
    )


def _show_part(plan: Any, memory: Path, part: "Part") -> None:
    """Report what a part of a planned memory would hold."""
    from hueprobe.scale import part_path
    from hueprobe.scale.folders import share_of

    rows = share_of(part, plan.n_images, plan.settings, memory)
    say(
        f"part {part}: {len(rows)} images, {plan.n_bytes * len(rows) / plan.n_images / 1e6:,.1f} MB in "
        f"{part_path(memory, part)}",
        err=True,
    )


def _say_parts(memory: Path) -> None:
    """Report how many parts of a memory are complete, and what to do then."""
    from hueprobe.scale import parts_of

    states = parts_of(memory)
    n = sum(state.complete for state in states)
    if states and n == len(states):
        say(f"{memory}: all {n} parts are complete; run `hueprobe join {memory}`")
    elif states:
        say(f"{memory}: {n} of {len(states)} parts are complete")
