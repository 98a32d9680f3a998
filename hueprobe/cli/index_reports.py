"""What `hueprobe index` and `hueprobe join` report of a memory: before it is built, and when it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hueprobe.cli.options import recall_text, report_skipped, say

if TYPE_CHECKING:
    from hueprobe.memory import Memory
    from hueprobe.scale import Part


def finish(built: "Memory", searchers: tuple[str, ...], index_dir: Path | None) -> None:
    """Build the requested indexes, list unreadable images, and summarize the memory."""
    from hueprobe.search import open_searcher, parse_spec
    from hueprobe.search.index import StoredIndex, recall_of

    for spec in searchers:
        parsed = parse_spec(spec)
        if parsed.needs_index:
            index = StoredIndex(built, parsed, index_dir=index_dir)
            if not index.is_current:
                index.build(progress=True)
        recall = recall_of(open_searcher(built, parsed, index_dir=index_dir))
        say(f"{spec}: recall@10 {recall_text(recall)}")
    unreadable = [int(i) for i in (~built.readable).nonzero()[0]]
    report_skipped(tuple((built.images.paths[i], built.records["reason"][i].as_py()) for i in unreadable))
    say(
        f"{built.path}: {int(built.readable.sum())} images in {len(built.classes)} classes, "
        f"{int(built.valid().sum())} vectors of {built.n_channels} channels"
        + (f", {len(built.label_names)} labels" if built.has_labels else "")
    )


def say_cropped(built: "Memory") -> None:
    """Report how many images lose much of their area to the center crop, and how to keep them whole."""
    from hueprobe.memory.cropping import shares_kept

    kept = shares_kept(built)
    n = 0 if kept is None else int((kept < 2 / 3).sum())
    if n:
        say(
            f"{n} of {built.n_images} images lose more than a third of their area to the center crop; "
            "--fit pad or --fit squash keeps them whole",
            err=True,
        )


def say_what_is_there(memory: Path) -> None:
    """Report how much of a resumed memory is complete."""
    from hueprobe.memory.ledger import read_ledger

    ledger = read_ledger(memory)
    if ledger.complete:
        say(f"{memory}: already complete; its {ledger.n_done} images are compared with IMAGES", err=True)
    elif ledger.lists:
        done = f"{ledger.n_done} of {ledger.n_listed} images are done"
        say(f"{memory}: resuming; {done}", err=True)


def show_plan(plan: Any, memory: Path) -> None:
    settings = plan.settings
    height, width = settings.grid
    say(
        f"{plan.n_images} images x {height}x{width} cells x {settings.channels} channels "
        f"({settings.backbone}:{settings.layer}, {settings.descriptor}, {settings.dtype}): "
        f"{'' if plan.nonzero is None else 'about '}{plan.n_bytes / 1e6:,.1f} MB in {memory}",
        err=True,
    )


def show_part(plan: Any, memory: Path, part: "Part") -> None:
    """Report what a part of a planned memory would hold."""
    from hueprobe.scale import part_path
    from hueprobe.scale.folders import share_of

    rows = share_of(part, plan.n_images, plan.settings, memory)
    say(
        f"part {part}: {len(rows)} images, {plan.n_bytes * len(rows) / plan.n_images / 1e6:,.1f} MB in "
        f"{part_path(memory, part)}",
        err=True,
    )


def say_parts(memory: Path, *, joins: bool = False) -> None:
    """Report how many parts of a memory are complete, and what to do then, unless this command joins them."""
    from hueprobe.scale import parts_of

    states = parts_of(memory)
    n = sum(state.complete for state in states)
    if joins and states:
        done = sum(state.n_done for state in states)
        total = sum(state.n_images for state in states)
        say(f"{memory}: resuming; {n} of {len(states)} parts and {done} of {total} images are done", err=True)
    elif states and n == len(states):
        say(f"{memory}: all {n} parts are complete; run `hueprobe join {memory}`")
    elif states:
        say(f"{memory}: {n} of {len(states)} parts are complete")
