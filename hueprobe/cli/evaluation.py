"""What `hueprobe evaluate` reports, as text and as JSON."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hueprobe.cli import options as common

if TYPE_CHECKING:
    from hueprobe.classification import Classification
    from hueprobe.neighbor_tables import NeighborTable
    from hueprobe.observations.accuracy.evaluation import Evaluation

_NAMED = 10  # maximum number of classes named in a line


@dataclass(frozen=True, kw_only=True)
class Search:
    """How neighbors were found; `certified` is NaN and `format` None where there is no first pass."""

    k: int
    rule: str = "kde"
    spec: str = "exact"
    recall: float = 1.0
    certified: float = math.nan
    format: str | None = None
    parts: int = 1


def gathered(
    batches: "Iterable[tuple[Classification, ...]]", neighbors: "NeighborTable"
) -> "Iterator[tuple[Classification, ...]]":
    """Yield the batches, and add their neighbors in the first memory to the table."""
    for batch in batches:
        neighbors.add(batch[0])
        yield batch


def document_of(result: "Classification", found: "Evaluation", search: Search) -> dict[str, Any]:
    """Return the JSON document without `calibration` and `outside`."""
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
        "classifier": search.rule,
        "searcher": search.spec,
        "searcher_recall": search.recall,
        "searcher_certified": None if math.isnan(search.certified) else search.certified,
        "searcher_format": search.format,
        "k": search.k,
        "seconds": {**result.seconds, "total": sum(result.seconds.values())},
    }


def report(result: "Classification", found: "Evaluation", search: Search) -> None:
    """Print accuracy, classes and how the neighbors were found."""
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
    of = "queries" if search.parts == 1 else f"queries in each of {search.parts} parts"
    share = search.certified
    proved = "" if math.isnan(share) else f", {share:.2%} of {of} certified in the first pass"
    products = "" if search.format is None else f" ({search.format} products)"
    common.say(f"searcher {search.spec}{products}, recall@10 {common.recall_text(search.recall)}{proved}")


def _mistakes(found: "Evaluation", name: str) -> str:
    wrong = {other: n for other, n in found.confusion[name].items() if other != name}
    most = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:3]
    return ", ".join(f"{other} {n}" for other, n in most)
