"""Options and reports shared by several commands."""

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
    from hueprobe.scale import Part

_BETWEEN = 2  # spaces between columns of a table
_NARROWEST = 8  # minimum width of a column

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

memory_argument = click.argument("memory", type=click.Path(path_type=Path))
k_option = click.option(
    "--k",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of nearest neighbors of each query pixel.",
)
searcher_option = click.option(
    "--searcher",
    metavar="SPEC",
    default="exact",
    show_default=True,
    help="Search method: exact, annoy[:trees=50,search_k=20000] or faiss:FACTORY[;nprobe=16,rerank=100].",
)
index_dir_option = click.option(
    "--index-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of search indexes, for example if MEMORY is read-only.  [default: inside MEMORY]",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Device of the network: auto, cpu, cuda, cuda:1 or mps.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Number of threads that decode images; 0 decodes in the main thread.  [default: one per core, at "
    "most 16]",
)
weights_moved_option = click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="New location of the memory's weights file, if it was moved; its sha256 is checked.  "
    "[default: as recorded]",
)
images_root_option = click.option(
    "--images-root",
    type=click.Path(path_type=Path),
    help="New folder of the memory's images, if they were moved.  [default: as recorded]",
)


def _bytes(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,12})([KMGT]?)", text.strip().upper())
    if match is None:
        raise click.BadParameter(
            f"{text!r} is not a size; give bytes, or a number with K, M, G or T, such as 512M"
        )
    return int(match[1]) << 10 * " KMGT".index(match[2] or " ")


memory_budget_option = click.option(
    "--memory-budget",
    callback=_bytes,
    metavar="SIZE",
    help="RAM for the vectors in exact search, such as 512M or 4G; a larger memory is read again for "
    "each batch of queries.  [default: 1G]",
)
matches_option = click.option(
    "--matches",
    "matches_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save every match to this .parquet, .arrow or .csv file.  [default: not saved]",
)
exclude_option = click.option(
    "--exclude",
    type=click.Choice(["image", "group", "none"]),
    default="image",
    show_default=True,
    help="What an image may not match: itself (image), its group, or nothing (none).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


def parsed_part(ctx: click.Context, param: click.Parameter, text: str | None) -> "Part | None":
    """Return the part that `--part I/N` names."""
    from hueprobe.errors import InputError
    from hueprobe.scale import Part

    try:
        return None if text is None else Part.parse(text)
    except InputError as error:
        raise click.BadParameter(str(error)) from None


def named_images(images: str, split: str | None = None) -> "ImageTable":
    """Return the images that a user names, or one split; report if they are outside a table's folder."""
    from hueprobe.images.resolve import resolve_images

    table = resolve_images(images)
    if split:
        table = table.where_split(split)
    say_where(table, images)
    return table


def say_where(table: "ImageTable", file: str | Path) -> None:
    """Report on stderr where the images of a table are if not all are below the table's folder."""
    from hueprobe.images.paths import TABLE_ENDINGS
    from hueprobe.images.trust import outside_of

    is_table = Path(file).suffix.lower() in TABLE_ENDINGS and all(table.roots)
    if is_table and (outside := outside_of(table, file)):
        say(f"{file}: its images are in {outside}", err=True)


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document, with sorted keys and null for NaN."""
    click.echo(escape_json(json_text(document, ensure_ascii=False)))


def say(*lines: str, err: bool = False) -> None:
    """Print lines of plain text; control characters in names are escaped."""
    for line in lines:
        click.echo(escape_controls(line), err=err)


def number(value: float | None, form: str, missing: str = "-") -> str:
    """Format a number for a table, or return `missing` if it could not be measured.

    >>> number(0.5, ".2f"), number(math.nan, ".2f"), number(None, ".2f", "not measured")
    ('0.50', '-', 'not measured')
    """
    return missing if value is None or math.isnan(value) else format(value, form)


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table on stdout, with its title on a separate line; columns after the first are right-aligned.

    If the terminal is too narrow, the widest cells are shortened in their middle; no line is wrapped.
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
    console = Console(width=None if sys.stdout.isatty() else whole)  # no limit for a pipe or a file
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
    """Shorten a text to a width by omitting its middle.

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
    """Format a measured recall; it is NaN if no image has a neighbor in another."""
    return "not measurable (no neighbors in other images)" if math.isnan(recall) else f"{recall:.3f}"


def require_k(k: int, n_vectors: int) -> None:
    """Reject a k that exceeds the number of vectors."""
    if k > n_vectors:
        raise click.UsageError(
            f"--k {k} is larger than the memory, which has {n_vectors} vectors; choose a smaller --k"
        )


def report_skipped(skipped: tuple[tuple[str, str], ...]) -> None:
    """List unreadable images on stderr, followed by their number."""
    for path, reason in skipped:
        say(f"unreadable: {path}: {reason}", err=True)
    if skipped:
        say(f"{len(skipped)} images could not be read", err=True)


def announce_index(memory: "Memory", spec: str, index_dir: Path | None) -> None:
    """Report on stderr that an index will be built first, and with -v what exact search lacks."""
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
