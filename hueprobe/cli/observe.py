"""`hueprobe observe`: the paper's observations as numbers, figures and verdicts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli.figures import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hueprobe.studies.observing.memory_report import MemoryReport

_OBSERVATIONS = ("energy", "accuracy", "locations", "conditional", "hue")
_CONTROLS = (
    "random-weights", "mirror-all", "mirror-queries", "random-mirror", "shifted-crop", "reflect-padding",
    "no-near-duplicates",
)  # fmt: skip


@click.command()
@click.argument("observation", type=click.Choice([*_OBSERVATIONS, "all"]))
@click.argument("memories", nargs=-1, required=True, metavar="MEMORY...", type=click.Path(path_type=Path))
@click.option("--images", help="Images to ask of each MEMORY; its own by default.")
@click.option("--split", help="Take only this split of --images.")
@click.option("--leave-one-out", is_flag=True, help="Ask each memory's own images (the default).")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder."
)
@common.k_option
@common.searcher_option
@click.option("--exclude", type=click.Choice(["image", "group"]), default="image", show_default=True)
@click.option("--weighting", type=click.Choice(["count", "kernel"]), default="count", show_default=True)
@click.option("--plane", type=click.Choice(["pca", "lda", "dft", "rgb"]), default="pca", show_default=True)
@click.option(
    "--centre",
    metavar="network|Y,X",
    help="What distances are taken from, instead of the grid's middle: the place that looks at the "
    "image's middle, measured on the memory's network, or a row and column in cells.",
)
@click.option(
    "--control", "controls", type=click.Choice(_CONTROLS), multiple=True, help="May be given again."
)
@click.option(
    "--self-test",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also run every test on N deals of pseudo-classes.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--format", "suffix", type=click.Choice(["png", "pdf", "svg"]), default="png", show_default=True
)
@common.weights_moved_option
@common.images_root_option
@common.device_option
@common.workers_option
@common.json_option
def observe(observation: str, memories: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Measure an OBSERVATION (or all) on each MEMORY and judge the paper's claims.

    Writes figures, tables (CSV), verdicts.json and report.md into the output folder. Controls and
    accuracy keep what they extracted there, and are taken up again by the same command.
    """
    from hueprobe.images.resolve import resolve_images
    from hueprobe.memory import open_memory
    from hueprobe.observations.verdicts.rules import verdicts_json
    from hueprobe.studies import (
        ObserveSettings,
        network_center,
        observe_memory,
        run_self_test,
        write_report,
    )  # fmt: skip

    center = _center(options["centre"])

    if options["images"] and (options["leave_one_out"] or options["controls"]):
        raise click.UsageError("--images goes without --leave-one-out and --control")
    if len({memory.name for memory in memories}) < len(memories):
        raise click.UsageError("two memories have the same name; rename one, the report would confuse them")
    opened = [open_memory(memory) for memory in memories]
    for memory in opened:
        common.require_k(options["k"], int(memory.valid().sum()))
    table = resolve_images(options["images"]) if options["images"] else None
    if table is not None and options["split"]:
        table = table.where_split(options["split"])
    output.mkdir(parents=True, exist_ok=True)
    settings = ObserveSettings(
        k=options["k"], searcher=options["searcher"], exclude=options["exclude"], seed=options["seed"],
        weighting=options["weighting"], plane=options["plane"],
        network={name: options[name] for name in ("weights", "device", "workers")},
    )  # fmt: skip
    which = _OBSERVATIONS if observation == "all" else (observation,)
    reports = []
    for memory in opened:
        common.say(f"{memory.path.name}: {', '.join(which)}", err=True)
        of_network = network_center(memory, weights=options["weights"]) if center == "network" else center
        reports.append(
            observe_memory(
                memory,
                which,
                settings=replace(settings, center=of_network),
                folder=output / "work",
                images=table,
                controls=options["controls"],
                images_root=options["images_root"],
                progress=True,
            )
        )
    names = []
    for name, figure in _figures(reports):
        names.append(f"{name}.{options['suffix']}")
        save_figure(figure, output / names[-1])
    if options["self_test"]:
        names += _self_tests(opened, settings, options["self_test"], output, options["suffix"], run_self_test)
    files = write_report(reports, output, figures=names)
    verdicts = [verdict for report in reports for verdict in report.verdicts]
    for report in reports:
        for note in report.notes:
            common.say(f"note: {report.name}: {note}", err=True)
    if options["as_json"]:
        click.echo(verdicts_json(verdicts), nl=False)  # ASCII alone
        return
    rows = [
        [
            v.id,
            v.memory,
            f"{v.effect:.3f}",
            f"{v.ci95[0]:.3f}-{v.ci95[1]:.3f}",
            f"{v.claim.null:g}",
            f"{v.p:.2g}",
            v.verdict,
        ]
        for v in verdicts
    ]
    common.print_table("", ["claim", "memory", "effect", "95 %", "null", "p", "verdict"], rows)
    common.say(f"written to {output}: {', '.join([*names, *(file.name for file in files)])}")


def _center(text: str | None) -> Any:
    """Read `--centre`."""
    if text is None or text == "network":
        return text
    try:
        y, x = map(float, text.split(","))
    except ValueError:
        raise click.UsageError(
            f"--centre {text!r} is neither 'network' nor a row and column in cells, such as 3.4,3.4"
        ) from None
    return y, x


def _figures(reports: Sequence["MemoryReport"]) -> Iterator[tuple[str, "Figure"]]:
    """Yield a name and a figure for everything that was measured."""
    from hueprobe import plots

    energies = {report.name: report.energy for report in reports if report.energy is not None}
    if energies:
        yield "energy_maps", plots.energy_maps(energies)
        yield "energy_profile", _figure(plots.energy_profile(energies))
    for report in reports:
        stem = report.name.removesuffix(".memory")
        if report.energy is not None and len(report.energy.classes) > 1:
            yield f"{stem}_energy_by_class", plots.class_energy_maps(report.energy)
        if report.locations is not None:
            yield f"{stem}_locations", plots.match_locations(report.locations)
            yield f"{stem}_locations_profile", _figure(plots.match_profile(report.locations))
            yield f"{stem}_same_class_shares", plots.same_class_shares(report.locations)
            yield f"{stem}_locations_by_class", plots.class_locations(report.locations)
            yield f"{stem}_class_positions", _figure(plots.class_directions(report.locations.positions))
            if report.energy is not None and report.relation is not None:
                figure = plots.energy_and_matches(report.energy, report.locations, relation=report.relation)
                yield f"{stem}_energy_and_matches", figure
        if report.conditional is not None:
            yield f"{stem}_conditional", plots.conditional_maps(report.conditional)
            yield f"{stem}_conditional_summary", plots.conditional_summary(report.conditional)
        if report.hue is not None:
            yield f"{stem}_angle_accuracy", _figure(plots.angle_accuracy(report.hue.accuracy))
            yield f"{stem}_axis_information", _figure(plots.axis_information(report.hue.information))
            yield f"{stem}_class_hues", _figure(plots.class_hues(report.hue))
        if report.accuracy is not None:
            yield f"{stem}_accuracy", plots.accuracy_figure(report.accuracy)
    verdicts = [verdict for report in reports for verdict in report.verdicts]
    if verdicts:
        yield "verdicts", plots.verdict_figure(verdicts)


def _figure(ax: Any) -> "Figure":
    figure: Figure = ax.figure
    return figure


def _self_tests(
    memories: Sequence[Any], settings: Any, n_draws: int, output: Path, suffix: str, run: Any
) -> list[str]:
    """Run the pseudo-class null on each memory; print, draw and save how often each test rejects."""
    import json
    from dataclasses import asdict

    from hueprobe import plots
    from hueprobe.files import written_whole

    names = []
    for memory in memories:
        rates = run(memory, settings=settings, n_draws=n_draws, progress=True)
        stem = memory.path.name.removesuffix(".memory")
        save_figure(_figure(plots.rejection_rates(rates)), output / f"{stem}_self_test.{suffix}")
        with written_whole(output / f"{stem}_self_test.json") as file:
            file.write((json.dumps([asdict(rate) for rate in rates], indent=1) + "\n").encode())
        names.append(f"{stem}_self_test.{suffix}")
    return names
