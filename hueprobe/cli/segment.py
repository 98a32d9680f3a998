"""`hueprobe segment`: label maps of images, and how right they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli.segment_documents import document_of, document_of_layers, report, report_layers
from hueprobe.cli.segment_files import write_comparison, write_segmentation, write_whole_folder

if TYPE_CHECKING:
    from hueprobe.dense import LayerSegmentations
    from hueprobe.images.mask_files import Masks
    from hueprobe.images.table import ImageTable

_FIGURES = 4  # images drawn by default


@click.command()
@click.argument("memories", metavar="MEMORY...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.argument("images")
@click.option(
    "--masks",
    metavar="MASKS",
    help="True labels of IMAGES, to compare with, as in `hueprobe index`: a folder, a table or a data "
    "manifest.  "
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
@click.option(
    "--baseline",
    "baselines",
    type=click.Choice(["position", "logistic", "pooled"]),
    multiple=True,
    help="Compare with the labels at the same position in the memory's images (position), with logistic "
    "regression on its cells (logistic), or with its images of the nearest pooled vectors (pooled); may be "
    "repeated.  [default: none]",
)
@click.option(
    "--reference",
    metavar="LAYER",
    help="Layer that differences are to: the name of one, last, or best, the one with the largest mean IoU.  "
    "[default: last]",
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
    memories: tuple[Path, ...],
    images: str,
    masks: str | None,
    split: str | None,
    folder: Path,
    kernel: str,
    k: int | None,
    protocol: str,
    cells_per_image: int | None,
    sampling: str | None,
    baselines: tuple[str, ...],
    reference: str | None,
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

    Several MEMORY are layers of one network, as `hueprobe index --layer A --layer B` builds: each image goes
    through the network once, and each layer has its folder in the output. With --masks, the layers are
    compared, by differences that are paired by image.
    """
    from hueprobe.dense.transfer import parse_kernel
    from hueprobe.images.mask_pairing import pair_masks
    from hueprobe.memory import open_memory

    if sampling is not None and cells_per_image is None:
        raise click.UsageError("--sampling needs --cells-per-image N")
    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"folder {folder} is not empty; choose another with -o")
    if (Path(images) / "memory.json").is_file():
        raise click.UsageError(f"{images} is a memory; name the images after the memories")
    compares = len(memories) > 1 or bool(baselines)
    _require_use(masks, baselines, reference, compares=compares)
    opened = [open_memory(memory) for memory in memories]
    for one in opened:
        common.require_k(k or parse_kernel(kernel).default_k, int(one.valid().sum()))
    table = common.named_images(images, split)
    for one in opened:
        common.announce_index(one, searcher, index_dir)
    paired = None
    if masks is not None:
        labels = opened[0].label_set
        paired = pair_masks(table, masks, labels=labels, workers=workers, progress=True)
    options: dict[str, Any] = {
        "masks": paired, "kernel": kernel, "k": k, "protocol": protocol, "searcher": searcher,
        "exclude": None if exclude == "none" else exclude, "cells_per_image": cells_per_image,
        "sampling": sampling, "seed": seed, "weights": weights, "device": device, "workers": workers,
        "memory_budget": memory_budget, "index_dir": index_dir, "progress": True,
    }  # fmt: skip
    if not compares:
        from hueprobe.dense.segmenting import segment as segment_images

        found = segment_images(opened[0], table, **options)
        common.report_skipped(found.skipped)
        document = document_of(found, memories[0])
        files = write_whole_folder(
            folder, lambda partial: write_segmentation(partial, found, document, table, paired, n_figures)
        )
    else:
        from hueprobe.dense.layers import segment_layers

        layers = segment_layers(opened, table, baselines=baselines, reference=reference or "last", **options)
        common.report_skipped(layers.segmentations[0].skipped)
        document, files = _write_layers(folder, layers, memories, table, paired, n_figures)
    if as_json:
        common.print_json({**document, "folder": folder, "figures": files})
    elif compares:
        report_layers(layers, folder)
    else:
        report(found, folder)


def _require_use(
    masks: str | None, baselines: tuple[str, ...], reference: str | None, *, compares: bool
) -> None:
    """Refuse options that compare where nothing is compared."""
    for option, given in (("--baseline", baselines), ("--reference", reference)):
        if given and masks is None:
            raise click.UsageError(f"{option} compares with true labels; give them with --masks")
    if reference is not None and not compares:
        raise click.UsageError("--reference is about several layers; give several memories, or --baseline")


def _write_layers(
    folder: Path,
    layers: "LayerSegmentations",
    memories: tuple[Path, ...],
    table: "ImageTable",
    masks: "Masks | None",
    n: int,
) -> tuple[dict[str, Any], list[str]]:
    """Write a folder for each layer, and the comparison; return the document and the figures."""
    from hueprobe.memory.build import layer_folder

    folders = {layer: layer_folder(layer) for layer in layers.layers}
    document = document_of_layers(layers, memories, folders)

    def fill(partial: Path) -> list[str]:
        figures = write_comparison(partial, layers, document)
        for layer, memory, found in zip(layers.layers, memories, layers.segmentations, strict=True):
            its = write_segmentation(
                partial / folders[layer], found, document_of(found, memory), table, masks, n
            )
            figures += [f"{folders[layer]}/{file}" for file in its]
        return figures

    return document, write_whole_folder(folder, fill)
