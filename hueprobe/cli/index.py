"""`hueprobe index`: extract images into a memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli.asked_networks import asked_backbones
from hueprobe.cli.engine_options import asked_engine
from hueprobe.cli.index_options import index_options
from hueprobe.cli.index_reports import finish, say_cropped, say_parts, say_what_is_there, show_part, show_plan
from hueprobe.cli.options import named_images, say
from hueprobe.cli.work_plans import print_work_plan

if TYPE_CHECKING:
    from hueprobe.memory import Memory
    from hueprobe.scale import Part


@click.command()
@index_options
def index(
    images: str,
    memory: Path,
    backbone: str | None,
    masks: str | None,
    label_names: Path | None,
    ignore: tuple[int, ...] | None,
    zero_is_ignore: bool,
    split: str | None,
    weights: str,
    layers: tuple[str, ...],
    descriptor: str,
    searchers: tuple[str, ...],
    index_dir: Path | None,
    device: str,
    precision: str | None,
    batch_size: int | None,
    workers: int | None,
    dtype: str,
    resize: int | tuple[int, int] | None,
    crop: int | tuple[int, int] | None,
    fit: str | None,
    value_range: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    interpolation: str | None,
    seed: int,
    append: bool,
    part: "Part | None",
    engine: str | None,
    n_parts: int | None,
    engine_settings: dict[str, Any],
    restarts: int | None,
    dry_run: bool,
    seconds: float | None,
    overwrite: bool,
) -> None:
    """Extract the activations of IMAGES into a memory.

    IMAGES is a folder of class folders, a flat folder, a CSV or Parquet table (path, class, split,
    group), a data manifest's name or file, or `demo`. It may also be a pixel memory, which is pooled
    with --descriptor without running the network again. Folders named train, test and the like are
    splits; use splits:FOLDER or classes:FOLDER if the names do not show what the folders are.

    With --masks, each cell also gets the number of pixels of each label. To keep the whole of images that
    are not square, use --fit squash with --crop HxW.

    With --part, several processes or machines build one memory: each runs the same command with another
    part, in a folder that all of them see. The memory is then the same, byte for byte. With --engine, this
    command starts the processes or jobs itself, starts again what dies, and joins the parts.

    Builds resume: run the same command again.
    """
    from hueprobe.images.label_names import IGNORE
    from hueprobe.images.mask_pairing import pair_masks
    from hueprobe.memory import (
        append_images,
        build_memories,
        build_memory,
        derive_memory,
        layer_path,
        open_memory,
        plan_memory,
    )
    from hueprobe.memory.in_parts import is_in_parts
    from hueprobe.memory.recorded import maker_of
    from hueprobe.scale import (
        build_in_parts,
        build_layer_parts,
        build_layers_in_parts,
        build_part,
        part_path,
        plan_work,
    )
    from hueprobe.scale.folders import whole_folder
    from hueprobe.scale.work_plan import TRIAL_SECONDS
    from hueprobe.search import parse_spec

    for spec in searchers:
        parse_spec(spec)
    if seconds is not None and not dry_run:
        raise click.UsageError("--trial is the time that --dry-run measures; add --dry-run")
    if index_dir is not None and not searchers:
        raise click.UsageError("--index-dir is the folder of an index; name an index with --searcher")
    if part is not None and ((searchers and not dry_run) or append):
        what = "an index is of the whole memory: give --searcher to `hueprobe join`"
        raise click.UsageError("--append is not done in parts; leave out --part" if append else what)
    in_parts = asked_engine(engine, n_parts, engine_settings, restarts)
    if in_parts is not None:
        _refuse_with_engine({"--part": part, "--append": append, "--overwrite": overwrite})
    if (Path(images) / "memory.json").is_file():
        if masks is not None:
            raise click.UsageError("a pooled memory has no cells to label; leave out --masks")
        if part is not None or in_parts is not None:
            option = "--part" if in_parts is None else "--engine"
            raise click.UsageError(f"a memory is pooled in one piece; leave out {option}")
        pixels = open_memory(images)
        pooled = derive_memory(memory, pixels, descriptor, overwrite=overwrite, progress=True)
        finish(pooled, searchers, index_dir)
        return
    naming = {
        "label-names": label_names, "ignore": ignore is not None, "zero-is-ignore": zero_is_ignore
    }  # fmt: skip
    if masks is None and any(naming.values()):
        named = next(name for name, value in naming.items() if value)
        raise click.UsageError(f"--{named} is about masks; give these with --masks")
    table = named_images(images, split)
    geometry = {
        "resize": resize, "crop": crop, "mean": mean, "std": std, "interpolation": interpolation, "fit": fit
    }  # fmt: skip
    if append:
        own = {
            "backbone": backbone, "layer": layers, "precision": precision, "batch-size": batch_size,
            "range": value_range, **naming,
        }  # fmt: skip
        _refuse_settings({**geometry, **own})
        say_what_is_there(memory)
        appended = append_images(
            memory, table, masks=masks, device=device, workers=workers, progress=True,
            weights=None if weights == "default" else weights,
        )  # fmt: skip
        finish(appended, searchers, index_dir)
        say_cropped(appended)
        return

    def there(path: Path) -> Path:
        """Return the folder whose settings are the defaults."""
        goes_on = part is not None or (in_parts is not None and is_in_parts(path))
        return whole_folder(path) if goes_on else path

    begun = layer_path(memory, layers[0]) if len(layers) > 1 else Path(memory)
    backbones = asked_backbones(
        backbone, layers, weights, seed, geometry, made_by=None if overwrite else maker_of(there(begun))
    )
    paired = None
    if masks is not None:
        paired = pair_masks(
            table, masks, names=label_names, ignore=IGNORE if ignore is None else ignore,
            zero_is_ignore=zero_is_ignore, workers=workers, progress=True,
        )  # fmt: skip
        say(f"{masks}: {paired.labels.in_words}", err=True)
    stored: dict[str, Any] = {
        "descriptor": descriptor, "dtype": dtype, "precision": precision, "batch_size": batch_size,
        "device": device, "seed": seed,
    }  # fmt: skip
    several = len(backbones) > 1
    plans = []
    for one in backbones:
        path = layer_path(memory, one.layer) if several else memory
        labels = None if paired is None else paired.labels
        plan = plan_memory(there(path), table, backbone=one, labels=labels, **stored)
        plans.append(plan)
        show_plan(plan, path)
        if part is not None:
            show_part(plan, path, part)
        if in_parts is not None:
            say_parts(path, joins=True)
        if not overwrite:
            say_what_is_there(path if part is None else part_path(path, part))
    if dry_run:
        as_begun = {"batch_size": plans[0].settings.batch_size, "precision": plans[0].settings.precision}
        print_work_plan(
            plan_work(
                table, part.n if part is not None else n_parts or 1, backbone=backbones,
                specs=searchers or None, seconds=seconds or TRIAL_SECONDS, progress=True, workers=workers,
                value_range=value_range,
                masks=paired, **{**stored, **as_begun},
            )
        )  # fmt: skip
        return
    running: dict[str, Any] = {
        "workers": workers, "overwrite": overwrite, "progress": True, "value_range": value_range,
        "masks": paired, **stored,
    }  # fmt: skip
    if in_parts is not None:
        # By its name, so that every worker makes the network itself.
        by_name: dict[str, Any] = {
            "backbone": backbone, "weights": weights,
            "transform": backbones[0].transform if any(x is not None for x in geometry.values()) else None,
        }  # fmt: skip
        del running["overwrite"]
        say(f"workers' output: {memory}.logs, until the memory is complete", err=True)
        if several:
            made = build_layers_in_parts(memory, table, layers=layers, **by_name, **in_parts, **running)
        else:
            layer = layers[0] if layers else None
            made = [build_in_parts(memory, table, layer=layer, **by_name, **in_parts, **running)]
        _finish_all(made, searchers, index_dir)
        return
    if part is not None:
        if several:
            parts = build_layer_parts(memory, table, part, backbone=backbones, **running)
        else:
            parts = [build_part(memory, table, part, backbone=backbones[0], **running)]
        for each, one in zip(parts, backbones, strict=True):
            finish(each, (), None)
            say_parts(layer_path(memory, one.layer) if several else memory)
        say_cropped(parts[0])
        return
    if several:
        built = build_memories(memory, table, backbone=backbones, **running)
    else:
        built = [build_memory(memory, table, backbone=backbones[0], **running)]
    _finish_all(built, searchers, index_dir)


def _finish_all(built: "list[Memory]", searchers: tuple[str, ...], index_dir: Path | None) -> None:
    for each in built:
        finish(each, searchers, index_dir)
    say_cropped(built[0])


def _refuse_settings(settings: dict[str, Any]) -> None:
    given = [f"--{name}" for name, value in settings.items() if value]
    if given:
        raise click.UsageError(f"--append uses the memory's own settings; leave out {', '.join(given)}")


def _refuse_with_engine(options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value:
            why = {
                "--part": "an engine does all parts; leave out --part, or --engine",
                "--append": "--append is not done in parts; leave out --engine",
                "--overwrite": "an engine goes on with what is there; leave out --overwrite, and remove the "
                "memory and its .parts folder to begin anew",
            }
            raise click.UsageError(why[name])
