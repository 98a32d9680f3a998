"""`hueprobe search`: search one part of a memory, or all of them with an engine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli.engine_options import asked_engine, engine_options
from hueprobe.cli.merge import merged_text

if TYPE_CHECKING:
    from hueprobe.scale import Part


@click.command()
@common.memory_argument
@click.argument("images", required=False)
@click.option("--split", help="Use only this split of IMAGES.  [default: all images]")
@click.option(
    "--leave-one-out", is_flag=True, help="Search for each of the memory's own images among the others."
)
@click.option(
    "--part",
    metavar="I/N",
    callback=common.parsed_part,
    help="Part of MEMORY to search, such as 3/16, counted from 1; fit for an array job: --part "
    "${SLURM_ARRAY_TASK_ID}/16. Parts are whole shards, so N is at most the number of shards. Required "
    "without --engine.",
)
@engine_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The .arrow file to write; with --engine, the .parquet, .arrow or .csv file of matches.",
)
@common.k_option
@common.exclude_option
@common.memory_budget_option
@click.option("--overwrite", is_flag=True, help="Replace the file of another search.")
@common.weights_moved_option
@common.device_option
@common.workers_option
def search(
    memory: Path,
    images: str | None,
    split: str | None,
    leave_one_out: bool,
    part: "Part | None",
    engine: str | None,
    n_parts: int | None,
    engine_settings: dict[str, Any],
    restarts: int | None,
    output: Path,
    k: int,
    exclude: str,
    memory_budget: int | None,
    overwrite: bool,
    weights: Path | None,
    device: str,
    workers: int | None,
) -> None:
    """Find the nearest vectors of all cells of IMAGES in one part of MEMORY, or in all, by exact search.

    Each part may be searched by another process or machine that sees MEMORY and IMAGES. `hueprobe merge`
    makes one match table of all parts. With --engine, this command starts the processes or jobs of all
    parts, starts again what dies, and writes the merged table. A search that is stopped goes on when the
    same command is run again.
    """
    from hueprobe.memory import open_memory
    from hueprobe.scale import search_in_parts, search_part

    in_parts = asked_engine(engine, n_parts, engine_settings, restarts)
    if (part is None) == (in_parts is None):
        raise click.UsageError(
            "give either --part, such as 3/16, to search one part, or --engine, such as local:4, to search "
            "all"
        )
    if (images is None) == (not leave_one_out):
        raise click.UsageError("give either IMAGES to search for, or --leave-one-out")
    if leave_one_out and split:
        raise click.UsageError("--split selects from IMAGES; it cannot be used with --leave-one-out")
    if leave_one_out and exclude == "none":
        raise click.UsageError("--leave-one-out needs --exclude image or group")
    opened = open_memory(memory)
    common.require_k(k, int(opened.valid().sum()))
    table = None if images is None else common.named_images(images, split)
    there = output.exists() and not overwrite
    asked: dict[str, Any] = {
        "k": k, "exclude": None if exclude == "none" else exclude, "weights": weights, "device": device,
        "workers": workers, "memory_budget": memory_budget, "overwrite": overwrite, "progress": True,
    }  # fmt: skip
    if part is None:
        common.say(f"workers' output: {output}.logs, until the table is written", err=True)
        common.say(merged_text(output, search_in_parts(output, opened, table, **(in_parts or {}), **asked)))
        return
    found = search_part(output, opened, table, part=part, **asked)
    if there:
        common.say(f"{output}: part {found.part} was finished before; nothing to do", err=True)
    common.report_skipped(found.skipped)
    certified = common.number(found.certified, ".2%", "none")
    common.say(
        f"{output}: part {found.part} of {memory}, images {found.images.start} to {found.images.stop - 1}; "
        f"{found.k} neighbors of {found.n_searched} vectors of {found.n_query_images} images, {certified} of "
        "them certified in the first pass",
    )
