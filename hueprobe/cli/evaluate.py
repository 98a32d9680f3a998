"""`hueprobe evaluate`: accuracy on labeled images."""

import contextlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli import trust

if TYPE_CHECKING:
    from hueprobe.classification import Classification
    from hueprobe.neighbor_tables import NeighborTable
    from hueprobe.observations.accuracy.evaluation import Evaluation


_NAMED = 10  # maximum number of classes named in a line


@click.command()
@common.memory_argument
@click.argument("images", required=False)
@click.option("--split", help="Use only this split of IMAGES.  [default: all images]")
@click.option(
    "--leave-one-out", is_flag=True, help="Classify each of the memory's own images by the other images."
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
    rule: str,
    k: int,
    searcher: str,
    index_dir: Path | None,
    exclude: str,
    memory_budget: int | None,
    matches_file: Path | None,
    neighbors_file: Path | None,
    calibration: str | None,
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
    images are classified instead.

    --calibration adds conformal prediction sets at 90 and 95 %, and whether likelihoods are probabilities.
    --outside adds how well scores tell other images from IMAGES.
    """
    from hueprobe.classifier import KernelDensityClassifier, warn_of_duplicates
    from hueprobe.match_files import MatchWriter
    from hueprobe.memory import open_memory
    from hueprobe.neighbor_tables import NeighborTable
    from hueprobe.observations.accuracy.evaluation import evaluate as compare
    from hueprobe.pooled_classifier import PooledClassifier
    from hueprobe.search.index import recall_of

    if (images is None) == (not leave_one_out):
        raise click.UsageError("give either IMAGES to classify, or --leave-one-out")
    if leave_one_out and split:
        raise click.UsageError("--split selects from IMAGES; it cannot be used with --leave-one-out")
    if leave_one_out and exclude == "none":
        raise click.UsageError("--leave-one-out needs --exclude image or group")
    trust.require_options(
        calibration=calibration, outside=outside, figure=figure, leave_one_out=leave_one_out,
        pooled=rule != "kde",
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
    if neighbors_file is not None:
        if neighbors_file.suffix.lower() != ".parquet":
            raise click.UsageError(
                f"cannot save neighbors as {neighbors_file.name!r}; end the name in .parquet"
            )
        if not neighbors_file.parent.is_dir():
            raise click.UsageError(f"folder {neighbors_file.parent} does not exist; create it first")
    shared: dict[str, Any] = {
        "k": k, "weights": weights, "device": device, "workers": workers,
        "exclude": None if exclude == "none" else exclude, "progress": True,
    }  # fmt: skip
    classifier: KernelDensityClassifier | PooledClassifier
    spec, recall, certified, number_format = "exact", 1.0, math.nan, None
    if pooled:
        classifier = PooledClassifier(opened, rule=rule, **shared)
    else:
        common.announce_index(opened, searcher, index_dir)
        classifier = KernelDensityClassifier(
            opened, searcher=searcher, memory_budget=memory_budget, index_dir=index_dir, **shared
        )
        spec, recall = classifier.searcher.spec.text, recall_of(classifier.searcher)
    batches = classifier.leave_one_out_batches() if table is None else classifier.classify_batches(table)
    neighbors = NeighborTable()
    if neighbors_file is not None:
        batches = _gathered(batches, neighbors)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(MatchWriter(matches_file)) if matches_file else None
        result, patches = trust.classify(batches, writer, with_patches=others is not None)
    if neighbors_file is not None:
        neighbors.save(neighbors_file)
    warn_of_duplicates(result.duplicates, classifier.exclude)
    common.report_skipped(result.skipped)
    found = compare(result)
    trusted = trust.measure(classifier, result, patches, calibration=known, outside=others)
    if isinstance(classifier, KernelDensityClassifier):
        certified = getattr(classifier.searcher, "certified", math.nan)  # only for exact search
        number_format = getattr(classifier.searcher, "format", None)
    if as_json:
        document = _document(result, found, spec, recall, k)
        share = None if math.isnan(certified) else certified
        document |= {"classifier": rule, "searcher_certified": share, "searcher_format": number_format}
        document |= trust.document(trusted)
        common.print_json(document)
    else:
        _report(result, found, spec, recall, certified, number_format)
        trust.report(trusted)
    if figure is not None:
        for file in trust.draw(trusted, figure):
            common.say(f"figure: {file}", err=True)


def _gathered(batches: "Iterable[Classification]", neighbors: "NeighborTable") -> "Iterator[Classification]":
    """Yield the batches, and add their neighbors to the table."""
    for batch in batches:
        neighbors.add(batch)
        yield batch


def _document(
    result: "Classification", found: "Evaluation", searcher: str, recall: float, k: int
) -> dict[str, Any]:
    from hueprobe.observations.accuracy.evaluation import predictions

    return {
        "images": found.overall.n,
        "accuracy": found.overall.accuracy,
        "ci95": list(found.overall.ci95),
        "per_class": {
            name: {"n": c.n, "correct": c.correct, "accuracy": c.accuracy, "ci95": list(c.ci95)}
            for name, c in found.per_class.items()
        },
        "confusion": found.confusion,
        "predictions": predictions(result),
        "unknown_classes": found.unknown_classes,
        "unlabeled": found.n_unlabeled,
        "alone_in_their_class": found.lone,
        "chance": found.chance,
        "skipped": [{"path": path, "reason": reason} for path, reason in result.skipped],
        "searcher": searcher,
        "searcher_recall": recall,
        "k": k,
        "seconds": {**result.seconds, "total": sum(result.seconds.values())},
    }


def _report(
    result: "Classification",
    found: "Evaluation",
    searcher: str,
    recall: float,
    certified: float,
    number_format: str | None,
) -> None:
    overall = found.overall
    low, high = overall.ci95
    common.say(
        f"accuracy {overall.accuracy:.3f} (95 % interval {low:.3f} to {high:.3f}; "
        f"{overall.correct} of {overall.n}; chance {found.chance:.3f})"
        if overall.n
        else "accuracy not measurable (n = 0 images of classes in the memory)"
    )
    rows = [
        [name, str(c.n), f"{c.accuracy:.3f}", f"{c.ci95[0]:.3f}-{c.ci95[1]:.3f}", _mistakes(found, name)]
        for name, c in found.per_class.items()
    ]
    common.print_table("", ["class", "images", "accuracy", "95 %", "mistaken for"], rows)
    if result.tie.any():
        common.say(f"ties: {int(result.tie.sum())} (the lower class id wins)")
    if found.unknown_classes:
        names = ", ".join(f"{name} ({n})" for name, n in found.unknown_classes.items())
        common.say(f"classes not in the memory, excluded from the accuracy: {names}")
    if found.n_unlabeled:
        common.say(f"images without a class, excluded from the accuracy: {found.n_unlabeled}")
    if found.lone:
        some = [f"{name} ({n})" for name, n in list(found.lone.items())[:_NAMED]]
        more = f" and {len(found.lone) - _NAMED} more classes" if len(found.lone) > _NAMED else ""
        common.say(
            f"alone in their class, so never classified correctly, excluded from the accuracy: "
            f"{sum(found.lone.values())} images: {', '.join(some)}{more}"
        )
    seconds = {**result.seconds, "total": sum(result.seconds.values())}
    common.say("seconds: " + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items()))
    proved = "" if math.isnan(certified) else f", {certified:.2%} of queries certified in the first pass"
    products = "" if number_format is None else f" ({number_format} products)"
    common.say(f"searcher {searcher}{products}, recall@10 {common.recall_text(recall)}{proved}")


def _mistakes(found: "Evaluation", name: str) -> str:
    wrong = {other: n for other, n in found.confusion[name].items() if other != name}
    most = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:3]
    return ", ".join(f"{other} {n}" for other, n in most)
