"""`hueprobe query`: what an image's pixels match."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli.figures import require_figure_name, save_query_figures

if TYPE_CHECKING:
    from hueprobe.observations.accuracy.votes import QueryVotes

_TELLING = 3  # memory images listed for each query


@click.command()
@common.memory_argument
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@common.k_option
@common.searcher_option
@common.index_dir_option
@common.exclude_option
@common.memory_budget_option
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to list.")
@click.option(
    "--figure",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the query beside its most telling matches (.png, .pdf or .svg); of several, numbered files.",
)
@common.matches_option
@common.weights_moved_option
@common.images_root_option
@common.device_option
@common.json_option
def query(
    memory: Path,
    images: tuple[str, ...],
    k: int,
    searcher: str,
    index_dir: Path | None,
    exclude: str,
    memory_budget: int | None,
    top: int,
    figure: Path | None,
    matches_file: Path | None,
    weights: Path | None,
    images_root: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Classify each IMAGE by its pixels' nearest neighbors in MEMORY."""
    from hueprobe import images as image_sources
    from hueprobe.classifier import KernelDensityClassifier
    from hueprobe.errors import ImageError
    from hueprobe.memory import open_memory
    from hueprobe.observations.accuracy.votes import query_votes

    if figure is not None:
        require_figure_name(figure)
    opened = open_memory(memory)
    common.require_k(k, int(opened.valid().sum()))
    table = image_sources.from_paths(images)
    common.announce_index(opened, searcher, index_dir)
    classifier = KernelDensityClassifier(
        opened, k=k, searcher=searcher, exclude=None if exclude == "none" else exclude,
        weights=weights, device=device, memory_budget=memory_budget, index_dir=index_dir,
    )  # fmt: skip
    result = classifier.classify(table)
    typed = dict(zip(table.paths, images, strict=False))
    skipped = tuple((typed[path], reason) for path, reason in result.skipped)
    common.report_skipped(skipped)
    if not result.images:
        raise ImageError(f"none of {len(images)} images could be read; nothing to classify")
    matches = result.matches
    assert matches is not None
    if matches_file is not None:
        matches.save(matches_file)
    if figure is not None:
        save_query_figures(figure, result, images_root=images_root)
    voted = [query_votes(result, i, n_telling=_TELLING) for i in range(len(result.images))]
    queries = [
        {
            "image": images[row],
            "predicted": predicted,
            "tie": bool(result.tie[i]),
            "likelihood": dict(zip(result.classes, result.likelihood[i].tolist(), strict=True)),
            "unnormalized": dict(zip(result.classes, result.unnormalized[i].tolist(), strict=True)),
            "matches": int(result.n_matches[i]),
            "cells": {name: voted[i].leads(c) for c, name in enumerate(result.classes)},
            "telling": _telling(voted[i]),
        }
        for i, (row, predicted) in enumerate(zip(result.rows, result.predicted_class, strict=True))
    ]
    if as_json:
        common.print_json(
            {
                "memory": memory,
                "searcher": classifier.searcher.spec.text,
                "k": k,
                "queries": queries,
                "skipped": [{"path": path, "reason": reason} for path, reason in skipped],
            }
        )
        return
    for found, votes in zip(queries, voted, strict=True):
        ranked = sorted(found["likelihood"].items(), key=lambda item: -item[1])[:top]
        tie = " (tie)" if found["tie"] else ""
        common.say(f"{found['image']}: {found['predicted'] or 'no class'}{tie}")
        rows = [[name, f"{value:.4f}", str(found["cells"][name])] for name, value in ranked]
        common.print_table("", ["class", "likelihood", f"cells led, of {votes.grid.n_cells}"], rows)
        _report_telling(found["telling"])
        common.say(f"{found['matches']} matches", "")


def _telling(votes: "QueryVotes") -> list[dict[str, Any]]:
    """Return the memory images that carry a decision, each with its share of the likelihood."""
    matches = votes.telling
    return [
        {
            "image": matches.image_paths[row],
            "class": matches.classes[c] if c >= 0 else None,
            "share": share,
            "cells": cells,
            "distance": distance,
        }
        for row, c, share, cells, distance in zip(
            matches.image.tolist(), matches.match_class.tolist(), votes.telling_share.tolist(),
            votes.telling_cells.tolist(), matches.distance.tolist(), strict=True,
        )
    ]  # fmt: skip


def _report_telling(telling: list[dict[str, Any]]) -> None:
    if not telling:
        return
    rows = [
        [
            found["image"], found["class"] or "-", common.number(found["share"], ".1%"), str(found["cells"]),
            f"{found['distance']:.3f}",
        ]
        for found in telling
    ]  # fmt: skip
    columns = ["most telling images", "class", "likelihood", "cells", "distance"]
    common.print_table("", columns, rows)
