"""`hueprobe data`: named data sets, and splits of lists of images."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hueprobe.cli import data_sets
from hueprobe.cli.options import named_images, say, say_where

if TYPE_CHECKING:
    from hueprobe.images.table import ImageTable


@click.group()
def data() -> None:
    """Data sets by name (list, show, fetch, verify, init), and splits of any images."""


data.add_command(data_sets.list_sets, "list")
data.add_command(data_sets.show)
data.add_command(data_sets.fetch)
data.add_command(data_sets.verify)
data.add_command(data_sets.init)


@data.command()
@click.argument("images")
@click.option(
    "--train",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of each class that goes to train  [default: 0.5]",
)
@click.option("--shots", type=click.IntRange(min=1), help="So many images of each class in train.")
@click.option(
    "--folds", type=click.IntRange(min=2), help="So many files, FILE-fold1.csv and on, each with one test."
)
@click.option("--official", is_flag=True, help="The split that IMAGES bring with them.")
@click.option("--split", "only", help="Divide only this split of IMAGES.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@data_sets.root_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="FILE.csv or FILE.parquet; for a data set's name one is made from it.",
)
def split(
    images: str,
    train: float | None,
    shots: int | None,
    folds: int | None,
    official: bool,
    only: str | None,
    seed: int,
    root: Path | None,
    output: Path | None,
) -> None:
    """Split IMAGES into `train` and `test` by class, a group never on both sides, and save that as a table.

    A table of a data set names its manifest, so it works wherever the set lies.
    """
    from hueprobe import images as image_sources
    from hueprobe.datasets import from_manifest, load_manifest
    from hueprobe.images.resolve import manifest_of

    given = [train is not None, shots is not None, folds is not None, official]
    if sum(given) > 1:
        raise click.UsageError("--train, --shots, --folds and --official are four ways to split; give one")
    manifest = manifest_of(images)
    if manifest is None and root is not None:
        here = (
            f"a path here, which comes first; manifest:{images} is the set"
            if Path(images).exists()
            else "none"
        )
        raise click.UsageError(f"--root goes with a data set's name; {images!r} is {here}")
    if manifest is None and output is None:
        raise click.UsageError("say where to with -o FILE.csv")
    table = from_manifest(manifest, root=root) if manifest else named_images(images)
    if only is not None:
        table = table.where_split(only)
    name = load_manifest(manifest).name.replace(":", "-") if manifest else ""
    if official:
        parts = {"official": _official(table, images)}
    elif shots is not None:
        parts = {f"{shots}shot-seed{seed}": image_sources.draw_shots(table, shots=shots, seed=seed)}
    elif folds is not None:
        dealt = image_sources.draw_folds(table, folds=folds, seed=seed)
        parts = {f"fold{i}": image_sources.hold_out(dealt, f"fold{i}") for i in range(1, folds + 1)}
    else:
        share = 0.5 if train is None else train
        parts = {f"train{share:g}-seed{seed}": image_sources.split_table(table, train=share, seed=seed)}
    for what, part in parts.items():
        file = _file(output, what, folds) if output else Path(f"{name}-{_middle(folds, seed)}{what}.csv")
        image_sources.save_table(part, file, manifest=manifest)
        say(f"{file}: {_counts(part)}")
        if manifest is None:
            say_where(part, file)


def _middle(folds: int | None, seed: int) -> str:
    return f"{folds}folds-seed{seed}-" if folds else ""


def _file(output: Path, what: str, folds: int | None) -> Path:
    return output.with_name(f"{output.stem}-{what}{output.suffix}") if folds else output


def _official(table: "ImageTable", images: str) -> "ImageTable":
    if not any(table.splits):
        raise click.UsageError(f"{images} has no official split; make one with --train, --shots or --folds")
    return table


def _counts(table: "ImageTable") -> str:
    from collections import Counter

    counts = Counter(table.splits)
    shown = [f"{n} {name}" for name, n in sorted(counts.items(), key=lambda item: str(item[0])) if name]
    return ", ".join(sorted(shown, key=lambda text: not text.endswith("train"))) + (
        f", {counts[None]} in neither" if counts[None] else ""
    )
