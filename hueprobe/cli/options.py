"""Options and reports that several commands share, each defined once."""

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.escapes import escape_controls, escape_json
from hueprobe.json_documents import json_text

if TYPE_CHECKING:
    from hueprobe.images.table import ImageTable
    from hueprobe.memory.store import Memory

_BETWEEN = 2  # letters from one column of a table to the next
_NARROWEST = 8  # letters that a column keeps on the narrowest terminal

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

memory_argument = click.argument("memory", type=click.Path(path_type=Path))
k_option = click.option(
    "--k", type=click.IntRange(min=1), default=10, show_default=True, help="Neighbors of each query pixel."
)
searcher_option = click.option(
    "--searcher",
    metavar="SPEC",
    default="exact",
    show_default=True,
    help="exact, annoy[:trees=50,search_k=20000] or faiss:FACTORY[;nprobe=16].",
)
index_dir_option = click.option(
    "--index-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where indexes are kept, such as those of a MEMORY that is read-only  [default: in MEMORY]",
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps."
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Threads that decode images; 0 for none  [default: one a core]",
)
weights_moved_option = click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Where the memory's weights file lies now; its sha256 is checked.",
)
images_root_option = click.option(
    "--images-root", type=click.Path(path_type=Path), help="Where the memory's images lie now."
)


def _bytes(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)", text.strip().upper())
    if match is None:
        raise click.BadParameter(
            f"{text!r} is no size; give bytes, or a number with K, M, G or T, such as 512M"
        )
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")


memory_budget_option = click.option(
    "--memory-budget",
    callback=_bytes,
    metavar="SIZE",
    help="Vectors that exact search may keep in RAM, such as 512M or 4G (1G by default); "
    "a larger memory is read anew for each batch of queries.",
)
matches_option = click.option(
    "--matches",
    "matches_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save every match as .parquet, .arrow or .csv.",
)
exclude_option = click.option(
    "--exclude",
    type=click.Choice(["image", "group", "none"]),
    default="image",
    show_default=True,
    help="What an image may not match: itself, its group, or nothing.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def named_images(images: str, split: str | None = None) -> "ImageTable":
    """Return the table of the images that a user names, or one split of it; say where a table's lie."""
    from hueprobe.images.resolve import resolve_images

    table = resolve_images(images)
    if split:
        table = table.where_split(split)
    say_where(table, images)
    return table


def say_where(table: "ImageTable", file: str | Path) -> None:
    """Say on stderr where the images of a table lie that is in a file elsewhere."""
    from hueprobe.images.paths import TABLE_ENDINGS
    from hueprobe.images.trust import outside_of

    is_table = Path(file).suffix.lower() in TABLE_ENDINGS and all(table.roots)
    if is_table and (outside := outside_of(table, file)):
        say(f"{file}: its images lie in {outside}", err=True)


def print_json(document: dict[str, Any]) -> None:
    """Print one document: sorted keys, null and never NaN."""
    click.echo(escape_json(json_text(document, ensure_ascii=False)))


def say(*lines: str, err: bool = False) -> None:
    """Print lines of plain text, of which no name in them can make more, or anything else."""
    for line in lines:
        click.echo(escape_controls(line), err=err)


def number(value: float | None, form: str, missing: str = "-") -> str:
    """Return a number as a table shows it, and `missing` for what cannot be measured.

    >>> number(0.5, ".2f"), number(math.nan, ".2f"), number(None, ".2f", "not measured")
    ('0.50', '-', 'not measured')
    """
    return missing if value is None or math.isnan(value) else format(value, form)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table on stdout, its title on a line of its own; columns after the first are aligned right.

    Where a terminal is too narrow, the widest cells lose their middle; nothing is broken within a word.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if title:
        say(title)
    cells = [[escape_controls(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    whole = sum(widths) + _BETWEEN * len(widths)
    console = Console(width=None if sys.stdout.isatty() else whole)  # a pipe or a file takes all
    while sum(widths) + _BETWEEN * len(widths) > console.width and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    table = Table(box=None, pad_edge=False)
    for i, (column, width) in enumerate(zip(columns, widths, strict=True)):
        heading = _elided(column, width)
        table.add_column(heading, justify="right" if i else "left", no_wrap=True, overflow="ellipsis")
    for row in cells:
        table.add_row(*[Text(_elided(cell, width)) for cell, width in zip(row, widths, strict=True)])
    with console.capture() as drawn:
        console.print(table)
    click.echo(drawn.get(), nl=False)


def _elided(text: str, width: int) -> str:
    """Return a text of at most so many letters, its middle left out where it is longer.

    >>> _elided("caltech/brain/image_0006.jpg", 15)
    'caltech…006.jpg'
    """
    from rich.cells import cell_len

    if cell_len(text) <= width:
        return text
    head = (width - 1) // 2
    tail = width - 1 - head
    while cell_len(text[:head]) + cell_len(text[len(text) - tail :]) + 1 > width and head + tail > 1:
        head, tail = (head - 1, tail) if head > tail else (head, tail - 1)
    return f"{text[:head]}…{text[len(text) - tail :]}"


def recall_text(recall: float) -> str:
    """Return a measured recall in words; it is NaN where no image has a neighbor in another."""
    return "not measurable (no neighbors in other images)" if math.isnan(recall) else f"{recall:.3f}"


def require_k(k: int, n_vectors: int) -> None:
    """Refuse a k that the memory cannot fill."""
    if k > n_vectors:
        raise click.UsageError(
            f"--k {k} is larger than the memory, which holds {n_vectors} vectors; ask for fewer"
        )


def report_skipped(skipped: tuple[tuple[str, str], ...]) -> None:
    """List unreadable images on stderr, with their number at the end."""
    for path, reason in skipped:
        say(f"unreadable: {path}: {reason}", err=True)
    if skipped:
        say(f"{len(skipped)} images could not be read", err=True)


def announce_index(memory: "Memory", spec: str, index_dir: Path | None) -> None:
    """Say on stderr that an index is absent and will be built first; with -v, what exact search lacks."""
    from hueprobe.search.exact.native import instructions, native_text
    from hueprobe.search.index import StoredIndex
    from hueprobe.search.spec import parse_spec

    parsed = parse_spec(spec)
    if parsed.needs_index and not (index := StoredIndex(memory, parsed, index_dir=index_dir)).exists:
        where = "" if index_dir is None else f" in {index.folder.indexes}"
        say(f"{memory.path} has no index for {spec!r}{where} yet; building it", err=True)
    verbose = click.get_current_context().find_root().params.get("verbose", 0)
    if verbose and not parsed.needs_index and instructions() is None:
        say(f"exact search: products {native_text()}", err=True)
