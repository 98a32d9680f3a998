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


@click.command()
@common.memory_argument
@click.argument("images", required=False)
@click.option("--split", help="Use only this split of IMAGES.  [default: all images]")
@click.option(
    "--distance",
    type=click.FloatRange(0, 2),
    default=0.4,
    show_default=True,
    help="Images whose pooled descriptors of unit length are nearer are near-duplicates.",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="So are images if more than this share of the cells of one nearly equals cells of the other.",
)
@click.option(
    "--near",
    type=click.FloatRange(0, 2),
    default=0.25,
    show_default=True,
    help="Cells at a smaller distance are nearly equal.",
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
    distance: float,
    share: float,
    near: float,
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

    Prints sets of images with equal file content, near-duplicates by pooled descriptor and by cells, how
    often the limits pair images of different classes, and the images whose own class is least likely.
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
        opened, table, distance=distance, share=share, near=near, k=k, searcher=searcher, exclude=exclude,
        weights=weights, device=device, workers=workers, memory_budget=memory_budget, index_dir=index_dir,
        progress=True,
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
    if found.exact or len(found.near) or found.labels.n_candidates:
        files.append(folder / "audit.png")
        save_figure(plots.audit_figure(found, images_root=images_root), files[-1])
    return files


def _document(found: "Audit") -> dict[str, Any]:
    return {
        "images": len(found),
        "limits": found.limits,
        "exact": [
            [{"image": found.images[i], "set": found.sets[i], "class": found.classes[i]} for i in images]
            for images in found.exact
        ],
        "conflicts": len(found.conflicts),
        "near": found.to_arrow("near").to_pylist(),
        "patches": len(found.patches),
        "pairs_by_sets": [
            {"set": first, "other_set": second, "kind": kind, "pairs": n}
            for kind in ("exact", "near")
            for (first, second), n in found.by_sets(kind).items()
        ],
        "false_alarms": {name: _share(found.false_alarms(name)) for name in ("distance", "share")},
        "candidates": found.labels.n_candidates,
        "labels": found.to_arrow("labels").to_pylist(),
        "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
    }


def _share(found: "Interval") -> dict[str, Any]:
    return {"estimate": found.estimate, "ci95": [found.low, found.high]}


def _report(found: "Audit") -> None:
    common.say(f"{len(found)} images")
    common.say(f"exact duplicates: {len(found.exact)} sets, {len(found.conflicts)} with different classes")
    common.say(f"near-duplicates: {len(found.near)} pairs; nearly equal cells: {len(found.patches)}")
    counts = [(*sets, kind, n) for kind in ("exact", "near") for sets, n in found.by_sets(kind).items()]
    if counts:
        rows = [[first, second, kind, str(n)] for first, second, kind, n in counts]
        common.print_table("pairs by set", ["set", "other set", "kind", "pairs"], rows)
    near = found.to_arrow("near").slice(0, _SHOWN).to_pylist()
    if near:
        rows = [
            [
                row["image"], row["other_image"], row["class"] or "-", row["other_class"] or "-",
                f"{row['distance']:.3f}", f"{row['share']:.2f}",
            ]
            for row in near
        ]  # fmt: skip
        head = ["image", "other image", "class", "other class", "distance", "share of cells"]
        common.print_table(f"near-duplicates, the first {len(rows)} of {len(found.near)}", head, rows)
    for name, sign in (("distance", "<"), ("share", ">")):
        alarms = found.false_alarms(name)
        told = (
            f"{common.number(alarms.estimate, '.4f')} (95 % interval {alarms.low:.4f} to {alarms.high:.4f})"
        )
        common.say(f"images paired with another class by {name} {sign} {found.limits[name]}: {told}")
    labels = found.labels
    common.say(f"label-noise candidates: {labels.n_candidates} of {len(labels)} labeled images")
    rows = [
        [
            labels.images[i], labels.given[i], f"{labels.likelihood[i]:.3f}", str(labels.rank[i]),
            f"{labels.margin[i]:+.3f}", labels.predicted[i],
        ]
        for i in range(min(_SHOWN, labels.n_candidates))
    ]  # fmt: skip
    if rows:
        head = ["image", "class", "likelihood", "rank", "margin", "likeliest class"]
        common.print_table("least likely labels", head, rows)
