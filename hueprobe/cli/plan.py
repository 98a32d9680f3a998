"""`hueprobe plan`: measure what a build in parts, and search afterwards, will take."""

import click

from hueprobe.cli.asked_networks import asked_backbones
from hueprobe.cli.index import index
from hueprobe.cli.options import json_option, named_images, print_json
from hueprobe.cli.work_plans import print_work_plan, trial_option

# Options of `hueprobe index` on which sizes and speed depend.
_OF_INDEX = (
    "backbone", "split", "weights", "layers", "descriptor", "device", "precision", "batch_size", "workers",
    "dtype", "resize", "crop", "fit", "value_range", "mean", "std", "interpolation", "seed",
)  # fmt: skip


@click.command(params=[param for param in index.params if param.name in ("images", *_OF_INDEX)])
@click.option(
    "--parts", "n_parts", type=click.IntRange(min=1), default=1, show_default=True, help="Number of parts."
)
@click.option(
    "--searcher",
    "specs",
    metavar="SPEC",
    multiple=True,
    help="Searcher to time besides exact; may be repeated.  [default: annoy, and FAISS with inverted lists]",
)
@trial_option
@json_option
def plan(
    images: str,
    backbone: str | None,
    split: str | None,
    weights: str,
    layers: tuple[str, ...],
    descriptor: str,
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
    n_parts: int,
    specs: tuple[str, ...],
    seconds: float | None,
    as_json: bool,
) -> None:
    """Measure on this machine what a memory of IMAGES will take, before it is built.

    Reports the bytes on disk, the RAM of a process, and the hours of each of N parts, from a trial of 20
    seconds with images from all over the list. Then searchers are timed on two small samples of the trial's
    vectors, and their times and sizes extrapolated linearly. Nothing is kept; a temporary folder needs up to
    2 GB.

    The other options are those of `hueprobe index`.
    """
    from hueprobe.scale import plan_work
    from hueprobe.scale.work_plan import TRIAL_SECONDS

    table = named_images(images, split)
    geometry = {
        "resize": resize, "crop": crop, "mean": mean, "std": std, "interpolation": interpolation, "fit": fit
    }  # fmt: skip
    backbones = asked_backbones(backbone, layers, weights, seed, geometry)
    found = plan_work(
        table, n_parts, backbone=backbones, specs=specs or None, seconds=seconds or TRIAL_SECONDS,
        progress=True, descriptor=descriptor, device=device, precision=precision, batch_size=batch_size,
        workers=workers, dtype=dtype, value_range=value_range, seed=seed,
    )  # fmt: skip
    if as_json:
        print_json(found.document())
    else:
        print_work_plan(found)
