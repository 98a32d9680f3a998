"""`hueprobe index`: images into a memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hueprobe.cli.options import device_option, report_skipped, say, workers_option


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
@click.option("--searcher", metavar="SPEC", multiple=True, help="Also build this index; may be given again.")
@device_option
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16", "fp16"]), help="Of the forward pass  [default: fp32]"
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Images a forward pass  [default: 32]")
@workers_option
@click.option("--dtype", type=click.Choice(["float16", "float32"]), default="float16", show_default=True)
@click.option("--resize", type=click.IntRange(min=1), help="Short side in pixels.")
@click.option("--crop", type=click.IntRange(min=1), help="Side of the square cut from the center.")
@click.option("--mean", callback=_numbers, help="Channel means, such as 0.485,0.456,0.406.")
@click.option("--std", callback=_numbers, help="Channel standard deviations.")
@click.option("--interpolation", type=click.Choice(["nearest", "bilinear", "bicubic"]))
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of random weights.")
@click.option("--append", is_flag=True, help="Add the images to a complete memory, with its own settings.")
@click.option("--dry-run", is_flag=True, help="Print what would be written, and how large, and stop.")
@click.option("--overwrite", is_flag=True, help="Replace a memory of other settings.")
def index(images: str, memory: Path, **options: Any) -> None:
    """Extract the activations of IMAGES into a memory.

    IMAGES is a folder of class folders, a flat folder, a CSV or Parquet table (path, class, split,
    group), a data manifest's name or file, `demo`, or a memory of pixels to pool with --descriptor
    without running the network again.
    The same command again continues a build that was stopped.
    """
    from hueprobe.images.resolve import resolve_images
    from hueprobe.memory import append_images, derive_memory, open_memory
    from hueprobe.search import parse_spec

    for spec in options["searcher"]:
        parse_spec(spec)
    if (Path(images) / "memory.json").is_file():
        pixels = open_memory(images)
        _finish(
            derive_memory(
                memory, pixels, options["descriptor"], overwrite=options["overwrite"], progress=True
            ),
            options["searcher"],
        )
        return
    table = resolve_images(images)
    if options["split"]:
        table = table.where_split(options["split"])
    geometry = {
        name: options[name]
        for name in ("resize", "crop", "mean", "std", "interpolation")
        if options[name] is not None
    }
    if options["append"]:
        _require_no_settings(geometry, options)
        appended = append_images(
            memory, table, device=options["device"], workers=options["workers"], progress=True,
            weights=None if options["weights"] == "default" else options["weights"],
        )  # fmt: skip
        _finish(appended, options["searcher"])
    else:
        for built in _build(memory, table, geometry, options):
            _finish(built, options["searcher"])


def _build(memory: Path, table: Any, geometry: dict[str, Any], options: dict[str, Any]) -> Iterator[Any]:
    """Say what will be written, and yield the memories that were, one a layer; none in a dry run."""
    from dataclasses import replace

    from hueprobe.activations import load_backbones
    from hueprobe.images.transform import Transform
    from hueprobe.memory import build_memories, build_memory, layer_path, plan_memory

    if not options["backbone"]:
        raise click.UsageError("name the network with --backbone; `hueprobe backbones` lists them")
    backbones = load_backbones(
        options["backbone"],
        layers=options["layers"] or [None],
        weights=options["weights"],
        seed=options["seed"],
    )
    if geometry:
        transform = backbones[0].transform
        if not isinstance(transform, Transform):
            raise click.UsageError(
                f"{options['backbone']} has its own transform; --{next(iter(geometry))} cannot change it"
            )
        backbones = [replace(backbone, transform=replace(transform, **geometry)) for backbone in backbones]
    stored = {
        name: options[name] for name in ("descriptor", "dtype", "precision", "batch_size", "device", "seed")
    }
    several = len(backbones) > 1
    for backbone in backbones:
        path = layer_path(memory, backbone.layer) if several else memory
        _show_plan(plan_memory(path, table, backbone=backbone, **stored), path)
    if options["dry_run"]:
        return
    running = {
        "workers": options["workers"], "overwrite": options["overwrite"], "progress": True, **stored,
    }  # fmt: skip
    if several:
        yield from build_memories(memory, table, backbone=backbones, **running)
    else:
        yield build_memory(memory, table, backbone=backbones[0], **running)


def _finish(built: Any, searchers: tuple[str, ...]) -> None:
    """Build the indexes asked for, list what could not be read, and say what there is now."""
    from hueprobe.search import open_searcher, parse_spec
    from hueprobe.search.index import StoredIndex, recall_of

    for spec in searchers:
        parsed = parse_spec(spec)
        if parsed.needs_index and not StoredIndex(built, parsed).is_current:
            StoredIndex(built, parsed).build(progress=True)
        say(f"{spec}: recall@10 {recall_of(open_searcher(built, parsed)):.3f}")
    unreadable = [int(i) for i in (~built.readable).nonzero()[0]]
    report_skipped(tuple((built.images.paths[i], built.records["reason"][i].as_py()) for i in unreadable))
    say(
        f"{built.path}: {int(built.readable.sum())} images in {len(built.classes)} classes, "
        f"{int(built.valid().sum())} vectors of {built.n_channels} channels"
    )


def _require_no_settings(geometry: dict[str, Any], options: dict[str, Any]) -> None:
    given = [f"--{name}" for name in geometry]
    given += [
        f"--{option}"
        for option, name in (
            ("backbone", "backbone"), ("layer", "layers"), ("precision", "precision"),
            ("batch-size", "batch_size"),
        )
        if options[name]
    ]  # fmt: skip
    if given:
        raise click.UsageError(f"--append takes the memory's own settings; leave out {', '.join(given)}")


def _show_plan(plan: Any, memory: Path) -> None:
    settings = plan.settings
    height, width = settings.grid
    say(
        f"{plan.n_images} images x {height}x{width} cells x {settings.channels} channels "
        f"({settings.backbone}:{settings.layer}, {settings.descriptor}, {settings.dtype}): "
        f"{plan.n_bytes / 1e6:,.1f} MB in {memory}",
        err=True,
    )
