"""`hueprobe audit`: duplicates, and labels that are likely wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli.figures import save_figure

if TYPE_CHECKING:
    from hueprobe.stats.intervals import Interval
    from hueprobe.trust import Audit

_SHOWN = 10  # rows of a printed table
_BOTH = ["image", "other image", "set", "other set", "class", "other class"]


@click.command()
@common.memory_argument
@click.argument("images", required=False)
@click.option("--split", help="Use only this split of IMAGES.  [default: all images]")
@click.option(
    "--false-alarms",
    metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.001,
    show_default=True,
    help="Share of images that each limit may pair with an image of another class by chance; the limits "
    "follow from it.",
)
@click.option(
    "--relative-distance",
    metavar="LIMIT",
    type=click.FloatRange(0, 1000),
    help="Images at a smaller relative distance are near-duplicates. It is the distance of their pooled "
    "descriptors, divided by those to their 10th nearest images.  [default: by --false-alarms]",
)
@click.option(
    "--cells",
    metavar="N",
    type=click.IntRange(min=2),
    help="Images that share so many cells share a patch. Shared are cells whose nearest cells lie in the "
    "other image, all at one displacement.  [default: by --false-alarms]",
)
@common.k_option
@common.searcher_option
@common.index_dir_option
@click.option(
    "--exclude",
    type=click.Choice(["image", "group"]),
    default="image",
    show_default=True,
    help="What an image's cells may not match: the image itself (image), or its group.",
)
@common.memory_budget_option
@common.weights_moved_option
@common.images_root_option
@common.device_option
@common.workers_option
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write exact, near, patches and labels .parquet, and a figure, into this folder.  "
    "[default: print only]",
)
@common.json_option
def audit(
    memory: Path,
    images: str | None,
    split: str | None,
    false_alarms: float,
    relative_distance: float | None,
    cells: int | None,
    k: int,
    searcher: str,
    index_dir: Path | None,
    exclude: str,
    memory_budget: int | None,
    weights: Path | None,
    images_root: Path | None,
    device: str,
    workers: int | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Find duplicates and suspicious labels in MEMORY, and duplicates between MEMORY and IMAGES.

    Prints how many images of each split have a copy in each: with equal file content, or nearly equal. Then
    near-duplicates, pairs of images that share a patch, how often the limits pair images of different
    classes, and the images whose own class is least likely.
    """
    from hueprobe import trust
    from hueprobe.memory import open_memory

    if split and images is None:
        raise click.UsageError("--split selects from IMAGES; give IMAGES")
    if images_root is not None and folder is None:
        raise click.UsageError("--images-root is for the figure; give -o FOLDER")
    opened = open_memory(memory)
    common.require_k(k, int(opened.valid().sum()))
    table = None if images is None else common.named_images(images, split)
    common.announce_index(opened, searcher, index_dir)
    found = trust.audit(
        opened, table, false_alarms=false_alarms, relative_distance=relative_distance, cells=cells, k=k,
        searcher=searcher, exclude=exclude, weights=weights, device=device, workers=workers,
        memory_budget=memory_budget, index_dir=index_dir, progress=True,
    )  # fmt: skip
    common.report_skipped(found.skipped)
    files = [] if folder is None else _saved(found, folder, images_root)
    if as_json:
        common.print_json({"memory": memory, "k": k, "searcher": searcher, **_document(found)})
    else:
        _report(found)
    for file in files:
        common.say(f"written: {file}", err=True)


def _saved(found: "Audit", folder: Path, images_root: Path | None) -> list[Path]:
    from hueprobe import plots

    folder.mkdir(parents=True, exist_ok=True)
    files = found.save(folder)
    if found.exact or len(found.near) or len(found.patches) or found.labels.n_candidates:
        files.append(folder / "audit.png")
        save_figure(plots.audit_figure(found, images_root=images_root), files[-1])
    return files


def _document(found: "Audit") -> dict[str, Any]:
    from hueprobe.trust.audit_result import CRITERIA, KINDS

    return {
        "images": len(found),
        "rate": found.rate,
        "limits": found.limits,
        "exact": [
            [{"image": found.images[i], "set": found.sets[i], "class": found.classes[i]} for i in images]
            for images in found.exact
        ],
        "conflicts": len(found.conflicts),
        "near": found.to_arrow("near").to_pylist(),
        "patches": found.to_arrow("patches").to_pylist(),
        "copies": [
            {
                "set": name,
                "other_set": other,
                "images": one.n,
                "exact": one.exact,
                "near": one.near,
                "either": one.either,
                "patches": one.patches,
            }
            for (name, other), one in found.copies().items()
        ],
        "pairs_by_sets": [
            {"set": first, "other_set": second, "kind": kind, "pairs": n}
            for kind in KINDS
            for (first, second), n in found.by_sets(kind).items()
        ],
        "false_alarms": {name: _share(found.false_alarms(name)) for name in CRITERIA},
        "candidates": found.labels.n_candidates,
        "labels": found.to_arrow("labels").to_pylist(),
        "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
    }


def _share(found: "Interval") -> dict[str, Any]:
    return {"estimate": found.estimate, "ci95": [found.low, found.high]}


def _report(found: "Audit") -> None:
    common.say(f"{len(found)} images")
    common.say(f"exact duplicates: {len(found.exact)} sets, {len(found.conflicts)} with different classes")
    common.say(f"near-duplicates: {len(found.near)} pairs; shared patches: {len(found.patches)} pairs")
    rows = [
        [
            name, other, str(one.n), str(one.exact), str(one.near),
            f"{one.either} ({one.either / one.n:.1%})" if one.n else "0", str(one.patches),
        ]
        for (name, other), one in found.copies().items()
    ]  # fmt: skip
    head = ["images of", "with a copy in", "images", "exact", "near", "exact or near", "shared patch"]
    common.print_table("copies within and between sets", head, rows)
    near = found.to_arrow("near").slice(0, _SHOWN).to_pylist()
    rows = [
        [*_both(row), f"{row['distance']:.3f}", f"{row['relative_distance']:.2f}", str(row["cells"])]
        for row in near
    ]
    if rows:
        head = [*_BOTH, "distance", "relative", "cells"]
        common.print_table(f"near-duplicates, the first {len(rows)} of {len(found.near)}", head, rows)
    rows = [
        [*_both(row), str(row["cells"]), _box(row, ""), _box(row, "other_"), f"{row['distance']:.3f}"]
        for row in found.to_arrow("patches").slice(0, _SHOWN).to_pylist()
    ]
    if rows:
        head = [*_BOTH, "cells", "rows, columns", "other rows, columns", "mean distance"]
        title = f"shared patches, the first {len(rows)} of {len(found.patches)}, on {found.grid.height} x "
        common.print_table(f"{title}{found.grid.width} cells", head, rows)
    for name, limit in (
        ("relative_distance", f"relative distance < {found.limits['relative_distance']:.3f}"),
        ("cells", f"{found.limits['cells']} or more shared cells"),
    ):
        alarms = found.false_alarms(name)
        told = (
            f"{common.number(alarms.estimate, '.4f')} (95 % interval {alarms.low:.4f} to {alarms.high:.4f})"
        )
        common.say(f"images paired with another class by {limit}: {told}")
    labels = found.labels
    common.say(f"label-noise candidates: {labels.n_candidates} of {len(labels)} labeled images")
    rows = [
        [
            labels.images[i], labels.given[i], f"{labels.likelihood[i]:.3f}", str(labels.rank[i]),
            f"{labels.margin[i]:+.3f}", labels.predicted[i],
        ]
        for i in labels.candidates[:_SHOWN]
    ]  # fmt: skip
    if rows:
        head = ["image", "class", "likelihood", "rank", "margin", "likeliest class"]
        common.print_table("least likely labels", head, rows)


def _both(row: dict[str, Any]) -> list[str]:
    """Return the cells of a table that name both images of a pair."""
    return [row[name] or "-" for name in ("image", "other_image", "set", "other_set", "class", "other_class")]


def _box(row: dict[str, Any], side: str) -> str:
    """Return a patch's rows and columns, such as `0-2, 4-5`."""
    spans = ((row[f"{side}y"], row["height"]), (row[f"{side}x"], row["width"]))
    return ", ".join(f"{start}-{start + size - 1}" for start, size in spans)
