"""`hueprobe query`: what an image's pixels match."""

from pathlib import Path

import click

from hueprobe.cli import options as common
from hueprobe.cli.figures import require_figure_name, save_query_figures


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
    help="Draw the query beside its best matches (.png, .pdf or .svg); of several, numbered files.",
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
    queries = [
        {
            "image": images[row],
            "predicted": predicted,
            "tie": bool(result.tie[i]),
            "likelihood": dict(zip(result.classes, result.likelihood[i].tolist(), strict=True)),
            "unnormalized": dict(zip(result.classes, result.unnormalized[i].tolist(), strict=True)),
            "matches": int(result.n_matches[i]),
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
    for found in queries:
        ranked = sorted(found["likelihood"].items(), key=lambda item: -item[1])[:top]
        title = f"{found['image']}: {found['predicted'] or 'no class'}{' (tie)' if found['tie'] else ''}"
        rows = [[name, f"{value:.4f}"] for name, value in ranked]
        common.print_table(title, ["class", "likelihood"], rows)
        common.say(f"{found['matches']} matches", "")
