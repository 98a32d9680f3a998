"""`hueprobe join`: make one memory of its parts."""

from pathlib import Path

import click

from hueprobe.cli.index_reports import finish
from hueprobe.cli.options import index_dir_option


@click.command()
@click.argument("memories", metavar="MEMORY...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--searcher",
    "searchers",
    metavar="SPEC",
    multiple=True,
    help="Search index to build behind the join, such as annoy:trees=50; may be repeated.  [default: none]",
)
@index_dir_option
def join(memories: tuple[Path, ...], searchers: tuple[str, ...], index_dir: Path | None) -> None:
    """Make one memory of its parts, which `hueprobe index --part I/N` has built.

    MEMORY is the OUTPUT of these commands; with several layers, OUTPUT.LAYER for each. The memory is byte
    for byte that of one undisturbed build. Files are linked or renamed, not copied, and the parts are
    removed. A part that is missing, not complete, or of another memory is named.

    A join that is stopped or killed continues: run the same command again.
    """
    from hueprobe.scale import join as join_parts
    from hueprobe.search import parse_spec

    for spec in searchers:
        parse_spec(spec)
    if index_dir is not None and not searchers:
        raise click.UsageError("--index-dir is the folder of an index; name an index with --searcher")
    for memory in memories:
        finish(join_parts(memory, progress=True), searchers, index_dir)
