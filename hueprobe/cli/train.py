"""`hueprobe train`: one network, one loss."""

import shlex
from functools import partial
from pathlib import Path

import click

from hueprobe.cli.options import named_images, report_skipped, say
from hueprobe.cli.training_options import TrainingOptions, training_options


@click.command()
@click.argument("images")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--loss", default="hue:eq5", show_default=True, help="A name, or several joined by '+'.")
@click.option("--learning-rate", type=float, default=1e-3, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--from-files", is_flag=True, help="Read images again each epoch instead of holding them in memory."
)
@click.option("--tensorboard", is_flag=True, help="Log to TensorBoard too, which must be installed.")
@training_options
def train(
    images: str,
    output: Path,
    loss: str,
    learning_rate: float,
    seed: int,
    from_files: bool,
    tensorboard: bool,
    training: TrainingOptions,
) -> None:
    """Train a network on IMAGES with one loss.

    IMAGES is a folder of class folders or a table. Its split called train or training is trained on, test or
    testing is measured after each epoch, whatever their case; where none is called train or training, the
    images without a split train. --train-split and --test-split name others. All other splits, such as val,
    are neither trained nor tested on, and no image of a test image's content is trained on.

    Losses: onehot, smooth, hue:eq5, hue:chord, hue:l2, al2, maxdropout, catchup, dropout, auxiliary. The same
    command goes on where a run was stopped. The folder gets checkpoint.pt and log.csv, and in the end
    weights.safetensors, which `index --weights` takes, and config.json, which says what network it is.
    """
    from hueprobe.images.splits import TEST, TRAIN
    from hueprobe.training import (
        TrainingSettings,
        fresh_network,
        load_images,
        objective_named,
        save_trained,
        training_parts,
    )
    from hueprobe.training import train as train_objective
    from hueprobe.training.logs import require_tensorboard
    from hueprobe.training.loop import CHECKPOINT
    from hueprobe.training.objectives import parse_names
    from hueprobe.training.trained import CONFIG, WEIGHTS

    parse_names(loss)
    if tensorboard:
        require_tensorboard()
    settings = TrainingSettings(**training.settings(), learning_rate=learning_rate, seed=seed)
    table = training_parts(named_images(images), **training.parts(), progress=True)
    read = partial(
        load_images, side=training.side_before_crop(), in_memory=not from_files, workers=training.workers,
        progress=True,
    )  # fmt: skip
    loaded = read(table.where_split(TRAIN), label="reading to train")
    test = None
    if TEST in table.splits:
        test = read(table.where_split(TEST), class_names=loaded.class_names, label="reading to test")
    say(f"{len(loaded):,} images to train on, {0 if test is None else len(test):,} to test on", err=True)
    if (output / CHECKPOINT).exists():
        say(f"going on from {output / CHECKPOINT}", err=True)
    n_classes = len(loaded.class_names)
    network, tap = fresh_network(
        training.backbone, n_classes, seed=seed, weights=training.weights, layer=training.layer
    )
    with objective_named(
        loss, network, n_classes, tap=tap, image_size=settings.crop, seed=seed, stages=training.stages,
        **training.head(),
    ) as objective:  # fmt: skip
        run = train_objective(
            objective, loaded, settings, test=test, folder=output, progress=True,
            tensorboard=tensorboard,
            identity={
                "backbone": training.backbone, "weights": training.weights, "stages": str(training.stages),
                "head": str(training.head()), **training.named_layer(),
            },
        )  # fmt: skip
        save_trained(
            objective, run, loaded, settings, test=test, backbone=training.backbone,
            begun_from=training.weights, head=training.head(), stages=training.stages,
            weights=output / WEIGHTS, config=output / CONFIG,
        )  # fmt: skip
    report_skipped(run.skipped)
    last = run.log[-1]
    shown = "" if test is None else f", test accuracy {last['test_accuracy']:.3f}"
    share = "".join(
        f", share of {name.removeprefix('share_')} {value:.3f}"
        for name, value in last.items()
        if name.startswith("share_") and name != "share_class"
    )
    say(f"{output}: {settings.epochs} epochs, loss {last['loss']:.4f}{shown}{share}")
    say(
        f"its activations: hueprobe index IMAGES -o MEMORY --backbone {training.backbone} --weights "
        f"{shlex.quote(str(output / WEIGHTS))} --resize {loaded.side} --crop {settings.crop}",
        err=True,
    )
