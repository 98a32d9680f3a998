"""`hueprobe evaluate`: accuracy on labeled images."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli import trust
from hueprobe.cli.evaluation import Search, document_of, gathered, report
from hueprobe.cli.from_matches import evaluate_matches

if TYPE_CHECKING:
    from hueprobe.classification import Classification
    from hueprobe.images.table import ImageTable


@click.command()
@common.memory_argument
@click.argument("images", required=False)
@click.option("--split", help="Use only this split of IMAGES.  [default: all images]")
@click.option(
    "--leave-one-out", is_flag=True, help="Classify each of the memory's own images by the other images."
)
@click.option(
    "--from-matches",
    "from_matches",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Classify the images of this .parquet or .arrow table of `hueprobe merge` by its matches, instead "
    "of searching MEMORY; K and exclusion are those of the table.",
)
@click.option(
    "--classifier",
    "rule",
    type=click.Choice(["kde", "hull", "centroid", "knn"]),
    default="kde",
    show_default=True,
    help="Classifier: kde is Eq. (1)-(3). The others are for pooled memories: the class whose k nearest "
    "vectors have the nearest convex hull (hull) or mean (centroid), or a vote of k neighbors (knn).",
)
@common.k_option
@common.searcher_option
@common.index_dir_option
@common.exclude_option
@common.memory_budget_option
@common.matches_option
@click.option(
    "--neighbors",
    "neighbors_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Save the nearest memory images of each image, its class and its prediction to this .parquet file, "
    "for Embedding Atlas or FiftyOne.  [default: not saved]",
)
@trust.calibration_option
@trust.layers_option
@trust.outside_option
@trust.figure_option
@common.weights_moved_option
@common.device_option
@common.workers_option
@common.json_option
def evaluate(
    memory: Path,
    images: str | None,
    split: str | None,
    leave_one_out: bool,
    from_matches: Path | None,
    rule: str,
    k: int,
    searcher: str,
    index_dir: Path | None,
    exclude: str,
    memory_budget: int | None,
    matches_file: Path | None,
    neighbors_file: Path | None,
    calibration: str | None,
    layers: tuple[Path, ...],
    outside: str | None,
    figure: Path | None,
    weights: Path | None,
    device: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Classify labeled IMAGES by MEMORY, and compare the predictions with their classes.

    IMAGES is a folder, a table or a data manifest, as in `hueprobe index`. Prints the accuracy with its 95 %
    interval, the accuracy per class and the most frequent mistakes. With --leave-one-out, MEMORY's own
    images are classified instead, and with --from-matches the images of a search in parts.

    --calibration adds conformal prediction sets at 90 and 95 %, and whether likelihoods are probabilities;
    with --layers, their p-values are those of several layers. --outside adds how well scores tell other
    images from IMAGES.
    """
    from hueprobe.classifier import KernelDensityClassifier, warn_of_duplicates
    from hueprobe.layered_classifier import LayeredClassifier
    from hueprobe.match_files import MatchWriter
    from hueprobe.memory import open_memory
    from hueprobe.neighbor_tables import NeighborTable
    from hueprobe.observations.accuracy.evaluation import evaluate as compare
    from hueprobe.pooled_classifier import PooledClassifier
    from hueprobe.search.index import recall_of

    if sum((images is not None, leave_one_out, from_matches is not None)) != 1:
        raise click.UsageError("give either IMAGES to classify, or --leave-one-out, or --from-matches FILE")
    if neighbors_file is not None:
        _require_neighbors_file(neighbors_file)
    if from_matches is not None:
        evaluate_matches(memory, from_matches, neighbors_file=neighbors_file, as_json=as_json)
        return
    if leave_one_out and split:
        raise click.UsageError("--split selects from IMAGES; it cannot be used with --leave-one-out")
    if leave_one_out and exclude == "none":
        raise click.UsageError("--leave-one-out needs --exclude image or group")
    trust.require_options(
        calibration=calibration, outside=outside, figure=figure, leave_one_out=leave_one_out,
        pooled=rule != "kde", layers=layers,
    )  # fmt: skip
    opened = open_memory(memory)
    common.require_k(k, int(opened.valid().sum()))
    if len(opened.classes) < 2:
        raise click.UsageError(f"{memory} has {len(opened.classes)} classes; evaluate needs at least 2")
    table = None
    if images is not None:
        table = common.named_images(images, split)
        if not table.class_names:
            raise click.UsageError(
                f"{images} has no class labels; evaluate needs them, `hueprobe query` does not"
            )
    known = None if calibration is None or images is None else trust.calibration_images(calibration, images)
    others = None if outside is None else common.named_images(outside)
    pooled = rule != "kde"
    kde_only = matches_file or neighbors_file or memory_budget is not None or index_dir
    if pooled and (searcher != "exact" or kde_only):
        raise click.UsageError(
            f"--classifier {rule} searches exactly with all vectors in RAM and records no matches; "
            "leave out --searcher, --index-dir, --memory-budget, --matches and --neighbors"
        )
    shared: dict[str, Any] = {
        "k": k, "weights": weights, "device": device, "workers": workers,
        "exclude": None if exclude == "none" else exclude, "progress": True,
    }  # fmt: skip
    classifier: KernelDensityClassifier | PooledClassifier
    layered: LayeredClassifier | None = None
    search = Search(k=k, rule=rule)
    if pooled:
        classifier = PooledClassifier(opened, rule=rule, **shared)
    else:
        memories = [opened, *map(open_memory, layers)]
        for one in memories:
            common.announce_index(one, searcher, index_dir)
        layered = LayeredClassifier(
            memories, searcher=searcher, memory_budget=memory_budget, index_dir=index_dir, **shared
        )
        classifier = layered.classifiers[0]
        search = replace(search, spec=classifier.searcher.spec.text, recall=recall_of(classifier.searcher))

    def batches_of(images: "ImageTable") -> "Iterator[tuple[Classification, ...]]":
        if layered is None:
            return ((part,) for part in classifier.classify_batches(images))
        return layered.classify_batches(images)

    if table is None:
        batches: Iterable[tuple[Classification, ...]] = (
            (part,) for part in classifier.leave_one_out_batches()
        )
    else:
        batches = batches_of(table)
    neighbors = NeighborTable()
    if neighbors_file is not None:
        batches = gathered(batches, neighbors)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(MatchWriter(matches_file)) if matches_file else None
        results, patches = trust.classify(batches, writer, with_patches=others is not None)
    result = results[0]
    if neighbors_file is not None:
        neighbors.save(neighbors_file)
    warn_of_duplicates(result.duplicates, classifier.exclude)
    common.report_skipped(result.skipped)
    found = compare(result)
    trusted = trust.measure(
        batches_of, classifier.exclude, results, patches, calibration=known, outside=others
    )
    if isinstance(classifier, KernelDensityClassifier):
        search = replace(
            search,
            certified=getattr(classifier.searcher, "certified", math.nan),  # only for exact search
            format=getattr(classifier.searcher, "format", None),
        )
    if as_json:
        common.print_json({**document_of(result, found, search), **trust.document(trusted)})
    else:
        report(result, found, search)
        trust.report(trusted)
    if figure is not None:
        for file in trust.draw(trusted, figure):
            common.say(f"figure: {file}", err=True)


def _require_neighbors_file(path: Path) -> None:
    if path.suffix.lower() != ".parquet":
        raise click.UsageError(f"cannot save neighbors as {path.name!r}; end the name in .parquet")
    if not path.parent.is_dir():
        raise click.UsageError(f"folder {path.parent} does not exist; create it first")
