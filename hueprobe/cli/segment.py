"""`hueprobe segment`: label maps of images, and how right they are."""

import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli.figures import save_figure
from hueprobe.files import PARTIAL, storing

if TYPE_CHECKING:
    from hueprobe.dense import Segmentation
    from hueprobe.images.mask_files import Masks
    from hueprobe.images.table import ImageTable
    from hueprobe.stats.intervals import Interval

_FIGURES = 4  # images drawn by default


@click.command()
@common.memory_argument
@click.argument("images")
@click.option(
    "--masks",
    metavar="MASKS",
    help="True labels of IMAGES, to compare with: a folder or a table, as in `hueprobe index`.  "
    "[default: nothing is compared]",
)
@click.option("--split", help="Use only this split of IMAGES.  [default: all images]")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write; it must not exist yet or be empty.",
)
@click.option(
    "--kernel",
    default="eq3",
    show_default=True,
    help="Weights of neighbors: eq3, the kernel of Eq. (3), or softmax:T with a temperature T, such as "
    "softmax:0.02.",
)
@click.option(
    "--k",
    type=click.IntRange(min=1),
    help="Number of nearest neighbors of each cell.  [default: 10 with eq3, 30 with softmax]",
)
@click.option(
    "--protocol",
    type=click.Choice(["strict", "hummingbird"]),
    default="strict",
    show_default=True,
    help="How predictions are compared with MASKS: strict, or as open-hummingbird-eval does.",
)
@click.option(
    "--cells-per-image",
    type=click.IntRange(min=1),
    help="Search only so many cells of each image of MEMORY, chosen at random.  [default: all]",
)
@click.option(
    "--sampling",
    type=click.Choice(["uniform", "rare"]),
    help="How these cells are chosen: uniform, or rare, which favors cells of labels that fill few cells.  "
    "[default: uniform with strict, rare with hummingbird]",
)
@common.searcher_option
@common.index_dir_option
@common.exclude_option
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Seed of the bootstrap of the intervals and of --cells-per-image.",
)
@click.option(
    "--figures",
    "n_figures",
    type=click.IntRange(min=0),
    default=_FIGURES,
    show_default=True,
    help="Number of images to draw, evenly spaced over IMAGES.",
)
@common.memory_budget_option
@common.weights_moved_option
@common.device_option
@common.workers_option
@common.json_option
def segment(
    memory: Path,
    images: str,
    masks: str | None,
    split: str | None,
    folder: Path,
    kernel: str,
    k: int | None,
    protocol: str,
    cells_per_image: int | None,
    sampling: str | None,
    searcher: str,
    index_dir: Path | None,
    exclude: str,
    seed: int,
    n_figures: int,
    memory_budget: int | None,
    weights: Path | None,
    device: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Label the pixels of IMAGES by the nearest cells of MEMORY, which was built with masks.

    Writes a label map for each image (a PNG with the pixel values of the memory's labels), all label shares,
    and figures. With --masks, prints the IoU of each label and their mean, with 95 % intervals over images,
    or over groups where images have one.
    """
    from hueprobe.dense.segmenting import segment as run
    from hueprobe.dense.transfer import parse_kernel
    from hueprobe.images.mask_pairing import pair_masks
    from hueprobe.memory import open_memory

    if sampling is not None and cells_per_image is None:
        raise click.UsageError("--sampling needs --cells-per-image N")
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"folder {folder} is not empty; choose another with -o")
    opened = open_memory(memory)
    common.require_k(k or parse_kernel(kernel).default_k, int(opened.valid().sum()))
    table = common.named_images(images, split)
    common.announce_index(opened, searcher, index_dir)
    paired = None
    if masks is not None:
        paired = pair_masks(table, masks, labels=opened.label_set, workers=workers, progress=True)
    found = run(
        opened, table, masks=paired, kernel=kernel, k=k, protocol=protocol, searcher=searcher,
        exclude=None if exclude == "none" else exclude, cells_per_image=cells_per_image, sampling=sampling,
        seed=seed, weights=weights, device=device,
        workers=workers, memory_budget=memory_budget, index_dir=index_dir, progress=True,
    )  # fmt: skip
    common.report_skipped(found.skipped)
    document = _document(found, memory)
    files = _write(folder, found, document, table, paired, n_figures)
    if as_json:
        common.print_json({**document, "folder": folder, "figures": files})
    else:
        _report(found, folder)


def _write(
    folder: Path,
    found: "Segmentation",
    document: dict[str, Any],
    table: "ImageTable",
    masks: "Masks | None",
    n: int,
) -> list[str]:
    """Write all files into a folder that then takes the place of the wanted one; return the figures."""
    from hueprobe import plots
    from hueprobe.dense.label_files import label_file_names, write_label_map
    from hueprobe.json_documents import json_text

    partial = folder.with_name(folder.name + PARTIAL)
    with storing(folder):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            (partial / "labels").mkdir(parents=True)
            names = label_file_names(found.images)
            for i, name in enumerate(names):
                file = partial / "labels" / PurePosixPath(name)
                file.parent.mkdir(parents=True, exist_ok=True)
                write_label_map(file, found.label_map(i), found.labels)
            found.save(partial / "segmentation.npz")
            (partial / "scores.json").write_text(json_text(document, indent=1) + "\n")
            figures = []
            for i in _spaced(len(found), n):
                (partial / "figures").mkdir(exist_ok=True)
                row = int(found.rows[i])
                drawn = plots.segmentation_figure(
                    found, i, images=table, true=None if masks is None else masks.read(row)
                )
                figures.append(f"figures/{i:04d}.png")
                save_figure(drawn, partial / figures[-1])
            if folder.exists():
                folder.rmdir()
            partial.replace(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return figures


def _spaced(n: int, wanted: int) -> list[int]:
    """Return numbers of images, evenly spaced.

    >>> _spaced(10, 3), _spaced(2, 4)
    ([0, 4, 9], [0, 1])
    """
    wanted = min(n, wanted)
    return [round(j * (n - 1) / max(wanted - 1, 1)) for j in range(wanted)]


def _document(found: "Segmentation", memory: Path) -> dict[str, Any]:
    settings, scores = found.settings, found.scores
    document: dict[str, Any] = {
        "memory": memory,
        "images": len(found),
        "labels": list(found.labels.names),
        "kernel": settings.kernel,
        "k": settings.k,
        "protocol": settings.protocol,
        "searcher": settings.searcher,
        "searcher_recall": settings.searcher_recall,
        "exclude": settings.exclude,
        "cells_per_image": settings.cells_per_image,
        "sampling": settings.sampling,
        "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
        "seconds": {**found.seconds, "total": sum(found.seconds.values())},
        "scores": None,
    }
    if scores is not None:
        document["scores"] = {
            "images": scores.n_images,
            "units": scores.n_units,
            "pixels": scores.n_pixels,
            "mean_iou": _numbers(scores.mean_iou),
            "pixel_accuracy": _numbers(scores.pixel_accuracy),
            "mean_boundary_f": _numbers(scores.mean_boundary_f),
            "assigned": list(scores.assigned),
            "confusion": scores.confusion.sum(axis=0),
            "per_label": {
                name: {"iou": _numbers(iou), "boundary_f": _numbers(f)}
                for name, iou, f in zip(scores.label_names, scores.iou, scores.boundary_f, strict=True)
            },
        }
    return document


def _numbers(interval: "Interval") -> dict[str, Any]:
    return {"value": interval.estimate, "ci95": [interval.low, interval.high]}


def _report(found: "Segmentation", folder: Path) -> None:
    scores = found.scores
    if scores is not None:
        rows = [
            [
                str(row["label"]),
                *(common.number(row[name], ".3f") for name in ("iou", "iou_low", "iou_high", "boundary_f")),
                str(row["true_pixels"]),
            ]
            for row in scores.to_arrow().to_pylist()
        ]
        common.print_table("", ["label", "IoU", "low", "high", "boundary F", "pixels"], rows)
        over = "images" if scores.n_units == scores.n_images else f"{scores.n_units} groups"
        for name, one in (
            ("mean IoU", scores.mean_iou),
            ("pixel accuracy", scores.pixel_accuracy),
            ("boundary F", scores.mean_boundary_f),
        ):
            low, high = common.number(one.low, ".3f"), common.number(one.high, ".3f")
            common.say(f"{name} {common.number(one.estimate, '.3f')} (95 % interval {low} to {high})")
        common.say(f"{scores.n_images} images, intervals over {over}, protocol {found.settings.protocol}")
    seconds = {**found.seconds, "total": sum(found.seconds.values())}
    common.say("seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items()))
    common.say(f"{len(found)} label maps in {folder / 'labels'}")
