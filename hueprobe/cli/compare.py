"""`hueprobe compare`: training losses over paired seeds."""

from pathlib import Path
from typing import Any

import click

from hueprobe.cli.options import json_option, named_images, print_json, print_table, say
from hueprobe.cli.training_options import TrainingOptions, training_options


def _rates(ctx: click.Context, param: click.Parameter, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"give numbers with commas, such as 3e-4,1e-3; got {text!r}") from error


@click.command()
@click.argument("images")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the study.")
@click.option(
    "--losses", default="onehot,hue:eq5,hue:chord,hue:l2,smooth,al2,maxdropout,catchup", show_default=True
)
@click.option(
    "--primary", help="The one contrast to one-hot declared beforehand  [default: hue:eq5 where it is]"
)
@click.option("--seeds", type=click.IntRange(min=1), default=6, show_default=True)
@click.option("--folds", type=click.IntRange(min=2), help="Cross-validate instead of the images' own parts.")
@click.option("--learning-rates", callback=_rates, default="1e-3", show_default=True)
@click.option("--robustness/--no-robustness", default=True, show_default=True, help="Noise, blur, contrast.")
@click.option(
    "--observe",
    type=click.Choice(["test", "train", "none"]),
    default="test",
    show_default=True,
    help="Images on which observations 3 to 5 are made with each trained network.",
)
@click.option(
    "--observe-crop",
    type=click.IntRange(min=1),
    help="Pixels of the images observed; more than --crop gives a finer grid  [default: --crop]",
)
@click.option(
    "--keep-weights",
    is_flag=True,
    help="Keep each trained network, as weights/RUN.safetensors and RUN.json: `index --weights` takes it.",
)
@training_options
@json_option
def compare(
    images: str,
    output: Path,
    losses: str,
    primary: str | None,
    seeds: int,
    folds: int | None,
    learning_rates: tuple[float, ...],
    robustness: bool,
    observe: str,
    observe_crop: int | None,
    keep_weights: bool,
    training: TrainingOptions,
    as_json: bool,
) -> None:
    """Train on IMAGES with each of several losses, from the same weights and on the same batches.

    The split of IMAGES called train or training is trained on, test or testing is tested on, whatever their
    case; where none is called train or training, the images without a split train. --train-split and
    --test-split name others. All other splits, such as val, are neither trained nor tested on, and no image
    of a test image's content is trained on.

    Prints mean accuracies, differences to one-hot with interval and exact p, and cost; writes tables, curves
    and figures. With each trained network observations 3 to 5 are made again: does the loss give classes an
    angle? The same command goes on where a study was stopped; more losses, seeds or learning rates may be
    added to one, and several processes may work on it at once. Controls: hue:eq5:detached, :shuffled, :3d,
    :8d, :weight0, and auxiliary.
    """
    from hueprobe.cli.figures import save_figure
    from hueprobe.plots.trained_networks import measure_figure
    from hueprobe.plots.training import loss_figure
    from hueprobe.studies.comparison.loss_comparison import compare_curves, compare_losses, compare_observed
    from hueprobe.studies.comparison.report import write_comparison
    from hueprobe.studies.comparison.settings import ComparisonSettings
    from hueprobe.studies.comparison.study import run_comparison
    from hueprobe.studies.comparison.study_files import StudyFolder

    names = tuple(name.strip() for name in losses.split(","))
    primary = primary or ("hue:eq5" if "hue:eq5" in names else None)
    settings = ComparisonSettings(
        layer=training.layer,
        backbone=training.backbone, weights=training.weights, losses=names, primary=primary, seeds=seeds,
        folds=folds or 0, learning_rates=learning_rates, side=training.side_before_crop(),
        stages=training.stages, robustness=robustness, training=training.settings(), observe=observe,
        observe_crop=observe_crop or 0, keep_weights=keep_weights, head=training.head(), **training.parts(),
    )  # fmt: skip
    table = named_images(images)
    if finished := sum(1 for _ in StudyFolder(output, settings).runs.folder.glob("*.json")):
        say(
            f"{output}: goes on with the study that is there, of which {finished} runs are finished", err=True
        )
    runs = run_comparison(table, output, settings, workers=training.workers, progress=True)
    summaries = compare_losses(runs, primary=primary)
    curves, measures = compare_curves(runs), compare_observed(runs)
    figures = []
    for rate in settings.learning_rates:
        name = f"losses_lr{rate:g}.png"
        drawn = loss_figure(
            [found for found in summaries if found.learning_rate == rate],
            [found for found in curves if found.learning_rate == rate],
        )
        save_figure(drawn, output / name)
        figures.append(name)
        if of_rate := [found for found in measures if found.learning_rate == rate]:
            name = f"observed_lr{rate:g}.png"
            save_figure(measure_figure(of_rate), output / name)
            figures.append(name)
    write_comparison(runs, summaries, output, figures=figures)
    notes = sorted({note for run in runs if run.observed for note in run.observed.notes})
    if as_json:
        print_json(
            {
                "losses": [_document(found) for found in summaries],
                "observed": [_document(found) for found in measures],
                "notes": notes,
                "runs": len(runs),
            }
        )
    else:
        _report(summaries, output)
        _report_observed(measures, notes)


def _document(found: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found)


def _report_observed(measures: list[Any], notes: list[str]) -> None:
    from hueprobe.stats.over_seeds import interval_text, p_text

    rows = [
        [
            found.measure, found.loss, f"{found.learning_rate:g}", str(found.n_seeds),
            _number(found.mean), interval_text(found.mean), _number(found.difference, sign="+"),
            p_text(found.p, found.difference),
        ]
        for found in measures
    ]  # fmt: skip
    if rows:
        header = ["trained networks", "loss", "rate", "seeds", "mean", "95 %", "less one-hot", "p"]
        print_table("", header, rows)
    for note in notes:
        say(f"left out: {note}")


def _number(found: Any, sign: str = "") -> str:
    return "" if found is None or found.estimate != found.estimate else f"{found.estimate:{sign}.3f}"


def _report(summaries: list[Any], output: Path) -> None:
    from hueprobe.stats.over_seeds import NOT_MEASURABLE, interval_text, p_text

    def short(text: str) -> str:
        return text.partition(" (")[0]

    rows: list[list[str]] = []
    for found in summaries:
        accuracy, difference = found.accuracy, found.difference
        rows.append(
            [
                found.loss + (" (primary)" if found.primary else ""), f"{found.learning_rate:g}",
                str(found.n_seeds), _number(accuracy), short(interval_text(accuracy)),
                _number(difference, sign="+"),
                "" if difference is None else short(interval_text(difference, sign="+")),
                short(p_text(found.p, difference)), short(p_text(found.p_holm, difference)),
                *("" if r != r else f"{r:.3f}" for r in (found.seconds_ratio, found.memory_ratio)),
                str(found.n_extra),
            ]
        )  # fmt: skip
    header = [
        "loss", "rate", "seeds", "accuracy", "95 %", "less one-hot", "95 %", "p", "p (Holm)", "s/step",
        "memory", "extra",
    ]  # fmt: skip
    print_table("", header, rows)
    if any(NOT_MEASURABLE in cell for row in rows for cell in row):
        say(
            "not measurable: an interval needs two seeds that differ, a p-value two of which one is unlike "
            "one-hot"
        )
    if any(found.n_seeds < 6 for found in summaries):
        say("with fewer than 6 seeds no exact p-value can be below .05")
    say(f"tables, curves and figures: {output}")
