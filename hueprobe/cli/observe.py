"""`hueprobe observe`: the paper's observations as numbers, figures and verdicts."""

import shlex
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hueprobe.cli import options as common
from hueprobe.cli.from_matches import search_of
from hueprobe.errors import HueprobeError, InputError
from hueprobe.observations.table import CONTROLS, NAMES

if TYPE_CHECKING:
    from hueprobe.memory.store import Memory
    from hueprobe.studies.observing.settings import ObserveSettings
    from hueprobe.studies.observing.steps import Steps

_SELF_TEST, _REPORT = "self-test", "figures and report"  # steps, and roughly their seconds
_SECONDS_OF_A_DRAW, _SECONDS_OF_FIGURES = 0.3, 15.0
_WORK = "work"  # subfolder of the output for memories of controls and accuracy


@click.command()
@click.argument("observation", type=click.Choice([*NAMES, "all"]))
@click.argument("memories", nargs=-1, metavar="[MEMORY...]", type=click.Path(path_type=Path))
@click.option(
    "--images",
    help="Images to query each MEMORY with: a folder, table or manifest.  [default: its own images]",
)
@click.option("--split", help="Use only this split of --images.  [default: all images]")
@click.option(
    "--leave-one-out", is_flag=True, help="Query each memory with its own images; this is the default."
)
@click.option(
    "--matches",
    "matches_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Measure from this table of `merge`, `evaluate --matches` or `query --matches` instead of "
    "searching; MEMORY is then optional.  [default: search]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the report, figures and tables.",
)
@common.k_option
@common.searcher_option
@common.index_dir_option
@click.option(
    "--exclude",
    type=click.Choice(["image", "group"]),
    default="image",
    show_default=True,
    help="What an image may not match: itself (image), or its group.",
)
@click.option(
    "--weighting",
    type=click.Choice(["count", "kernel"]),
    default="count",
    show_default=True,
    help="Weight of a match: all equal (count), or by the kernel weight (kernel).",
)
@click.option(
    "--plane",
    type=click.Choice(["pca", "lda", "dft", "unlabeled", "rgb"]),
    default="pca",
    show_default=True,
    help="Plane of activation space in which activation hue is measured.",
)
@click.option(
    "--center",
    "--centre",
    metavar="network|Y,X",
    help="Center for distances: the position whose receptive field is centered on the image, measured on "
    "the memory's network (network), or a row and column in cells.  [default: the grid's middle]",
)
@click.option(
    "--control",
    "controls",
    type=click.Choice(tuple(CONTROLS)),
    multiple=True,
    help="Repeat the observations under this control; may be repeated.  [default: no control]",
)
@click.option(
    "--self-test",
    "n_draws",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also run every test on N random assignments of images to pseudo-classes, and report how often it "
    "rejects.  [default: no self-test]",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of permutations, splits and random planes.",
)
@click.option(
    "--format",
    "figure_format",
    type=click.Choice(["png", "pdf", "svg"]),
    default="png",
    show_default=True,
    help="File format of the figures.",
)
@common.weights_moved_option
@common.images_root_option
@common.device_option
@common.workers_option
@common.json_option
def observe(
    observation: str,
    memories: tuple[Path, ...],
    images: str | None,
    split: str | None,
    leave_one_out: bool,
    matches_file: Path | None,
    output: Path,
    k: int,
    searcher: str,
    index_dir: Path | None,
    exclude: str,
    weighting: str,
    plane: str,
    center: str | None,
    controls: tuple[str, ...],
    n_draws: int | None,
    seed: int,
    figure_format: str,
    weights: Path | None,
    images_root: Path | None,
    device: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Measure an OBSERVATION (or all) on each MEMORY and judge the paper's claims.

    Writes figures, tables (CSV), verdicts.json and report.md to the output folder. Controls, --images and the
    observation `accuracy` also keep what they extract there, and resume: run the same command again.
    """
    from hueprobe.matches import read_matches
    from hueprobe.memory import open_memory
    from hueprobe.observations.verdicts.documents import verdicts_json
    from hueprobe.studies.observing.memories import foreseen, network_center, observe_memory
    from hueprobe.studies.observing.planned import planned_steps
    from hueprobe.studies.observing.report import Report
    from hueprobe.studies.observing.settings import ObserveSettings
    from hueprobe.studies.observing.stages import Stages
    from hueprobe.studies.observing.steps import Step, Steps

    started, clock = time.perf_counter(), Stages()
    where = _center(center)
    if images and (leave_one_out or controls):
        raise click.UsageError("--images cannot be used with --leave-one-out or --control")
    if matches_file and (images or leave_one_out or controls or len(memories) > 1):
        raise click.UsageError(
            "--matches is the search result of one memory; give it with one MEMORY or none, and "
            "without --images, --leave-one-out and --control"
        )
    if not memories and not matches_file:
        raise click.UsageError("nothing to observe; give a MEMORY, or --matches FILE")
    if where == "network" and not memories:
        raise click.UsageError("--center network needs a MEMORY for its network; give one, or Y,X")
    if len({memory.name for memory in memories}) < len(memories):
        raise click.UsageError("two memories have the same name; rename one to tell them apart in the report")
    opened: list[Memory | None] = [open_memory(memory) for memory in memories] or [None]
    for memory in opened:
        if memory is not None and matches_file is None:
            common.require_k(k, int(memory.valid().sum()))
    table = common.named_images(images, split) if images else None
    matches = None
    if matches_file is not None:
        k, searcher, exclude = search_of(matches_file, opened[0], k=k, searcher=searcher, exclude=exclude)
        matches = read_matches(matches_file)
    settings = ObserveSettings(
        k=k, searcher=searcher, exclude=exclude, seed=seed, weighting=weighting, plane=plane,
        weights=weights, device=device, workers=workers, index_dir=index_dir,
    )  # fmt: skip
    which = NAMES if observation == "all" else (observation,)
    told = [foreseen(memory, which, settings=settings, images=table, matches=matches) for memory in opened]
    for memory, notes in zip(opened, told, strict=True):
        for note in notes:
            common.say(f"note: {'matches' if memory is None else memory.path.name}: {note}", err=True)
    planned = [
        planned_steps(memory, which, settings=settings, images=table, matches=matches, controls=controls)
        for memory in opened
    ]
    tests = [memory for memory in opened if memory is not None and n_draws]
    draws = [[Step((_SELF_TEST,), _SECONDS_OF_A_DRAW * (n_draws or 0))] for _ in tests]
    steps = Steps(*planned, *draws, [Step((_REPORT,), _SECONDS_OF_FIGURES * len(opened))], enabled=True)
    output.mkdir(parents=True, exist_ok=True)
    if (output / _WORK).is_dir():
        common.say(f"{output}: resuming with what was extracted and classified there before", err=True)
    reports = []
    for memory in opened:
        name = memory.path.name if memory is not None else str(matches_file)
        common.say(f"{name}: {', '.join(which)}", err=True)
        if isinstance(where, tuple):
            settings = replace(settings, center=where)
        elif where == "network" and memory is not None:
            settings = replace(settings, center=network_center(memory, weights=weights))
        reports.append(
            observe_memory(
                memory, which, settings=settings, folder=output / _WORK, images=table, matches=matches,
                controls=controls, images_root=images_root, steps=steps, progress=True,
            )
        )  # fmt: skip
    report = Report(tuple(reports))
    tested = []
    if n_draws:
        with clock.of("self_test"):
            tested = _self_tests(tests, settings, n_draws, output, figure_format, steps)
    with clock.of("figures"), steps.of(_REPORT):
        program = Path(sys.argv[0]).name
        called = program == "hueprobe" or program == "__main__.py"  # not from another program
        command = shlex.join(["hueprobe", *sys.argv[1:]]) if called else ""
        files = report.save(output, figure_format=figure_format, more_figures=tested, command=command)
    already = {f"{one.name}: {note}" for one, notes in zip(reports, told, strict=True) for note in notes}
    for note in report.notes:
        if note not in already:
            common.say(f"note: {note}", err=True)
    if not any(one.results for one in reports):
        raise InputError(f"nothing could be measured for {', '.join(which)}; see the notes for the reasons")
    if as_json:
        seconds = {**report.seconds, **clock.seconds}
        total = time.perf_counter() - started
        seconds |= {"other": total - sum(seconds.values()), "total": total}
        click.echo(verdicts_json(report.verdicts, seconds=seconds), nl=False)  # ASCII only
        return
    rows = []
    for verdict in report.verdicts:
        row = verdict.row()
        rows.append([verdict.id, *row[1:6], *row[7:]])  # the claim by its id alone, and without n
    heads = ["claim", "memory", "effect", "95 %", "null", "p", "verdict"]
    if controls:
        heads.append("controls")
    common.print_table("", heads, [row[: len(heads)] for row in rows])
    common.say(f"written to {output}: {', '.join([*tested, *(file.name for file in files)])}")


def _center(text: str | None) -> str | tuple[float, float] | None:
    """Parse `--center`."""
    if text is None or text == "network":
        return text
    try:
        y, x = map(float, text.split(","))
    except ValueError:
        raise click.UsageError(
            f"--center {text!r} is neither 'network' nor a row and column in cells, such as 3.4,3.4"
        ) from None
    return y, x


def _self_tests(
    memories: "list[Memory]",
    settings: "ObserveSettings",
    n_draws: int,
    output: Path,
    figure_format: str,
    steps: "Steps",
) -> list[str]:
    """Run the tests on pseudo-classes for each memory; draw and save their rejection rates."""
    from hueprobe import plots
    from hueprobe.cli.figures import save_figure
    from hueprobe.files import written_whole
    from hueprobe.json_documents import json_text
    from hueprobe.studies.observing.self_test import run_self_test

    names = []
    for memory in memories:
        try:
            with steps.of(_SELF_TEST):
                rates = run_self_test(memory, settings=settings, n_draws=n_draws, progress=True)
        except HueprobeError as error:
            steps.leave(_SELF_TEST, reason=f"cannot be done for {memory.path.name}")
            common.say(f"note: {memory.path.name}: self-test: {error}", err=True)
            continue
        stem = memory.path.name.removesuffix(".memory")
        names.append(f"{stem}_self_test.{figure_format}")
        save_figure(plots.rejection_rates(rates), output / names[-1])
        with written_whole(output / f"{stem}_self_test.json") as file:
            file.write(
                (json_text([asdict(rate) for rate in rates], indent=1, sort_keys=False) + "\n").encode()
            )
    return names
