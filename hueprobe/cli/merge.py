"""`hueprobe merge`: one match table of all parts of a search."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hueprobe.cli import options as common

if TYPE_CHECKING:
    from hueprobe.scale import SearchFacts


@click.command()
@click.argument(
    "parts", nargs=-1, required=True, metavar="PART...", type=click.Path(path_type=Path, dir_okay=False)
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The .parquet, .arrow or .csv file of matches to write.",
)
def merge(parts: tuple[Path, ...], output: Path) -> None:
    """Merge all PARTs of a search, files of `hueprobe search`, into one match table.

    The table is that of one search of the whole memory. `hueprobe evaluate MEMORY --from-matches` and
    `hueprobe observe --matches` take it. PARTs may be larger than RAM.
    """
    from hueprobe.scale import merge_matches

    common.say(merged_text(output, merge_matches(parts, output, progress=True)))


def merged_text(output: Path, facts: "SearchFacts") -> str:
    """Return the report of a merged table."""
    certified = common.number(facts.certified, ".2%", "none")
    return (
        f"{output}: {facts.parts} parts merged, {facts.k} neighbors of each query; {certified} of the "
        "searches of a query in a part certified in the first pass"
    )
