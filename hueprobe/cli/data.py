"""`hueprobe data`: lists of pictures."""

from pathlib import Path

import click


@click.group()
def data() -> None:
    """Lists of pictures."""


@data.command()
@click.argument("images")
@click.option(
    "--train", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5, show_default=True
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="FILE.csv"
)
def split(images: str, train: float, seed: int, output: Path) -> None:
    """Split IMAGES into `train` and `test`: by class in the same proportion, a group never on both sides."""
    from collections import Counter

    from hueprobe import images as image_sources

    table = image_sources.split_table(image_sources.resolve(images), train=train, seed=seed)
    image_sources.save_table(table, output)
    counts = Counter(table.splits)
    click.echo(f"{output}: {', '.join(f'{counts[name]} {name}' for name in ('train', 'test'))}")
