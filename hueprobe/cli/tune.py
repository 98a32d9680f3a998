"""`hueprobe tune`: which searcher is fastest on a memory at a wished recall."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hueprobe.cli import options as common
from hueprobe.cli.figures import save_figure
from hueprobe.files import written_whole
from hueprobe.json_documents import json_text

if TYPE_CHECKING:
    from hueprobe.search.tuning import Tuning


@click.command()
@common.memory_argument
@click.option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.99,
    show_default=True,
    help="The least share of true neighbors that will do.",
)
@common.k_option
@click.option(
    "--searcher",
    "specs",
    metavar="SPEC",
    multiple=True,
    help="Try these, and exact, instead of a choice made from the memory's size; repeatable.",
)
@click.option(
    "--queries",
    "n_queries",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Vectors drawn from MEMORY and asked at once.",
)
@common.index_dir_option
@click.option("--keep", is_flag=True, help="Keep the recommended index, so that it need not be built again.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draw.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False),
    help="Folder for tuning.json and the recall and speed of all, tuning.png and tuning.pdf.",
)  # fmt: skip
@common.json_option
def tune(
    memory: Path,
    recall: float,
    k: int,
    specs: tuple[str, ...],
    n_queries: int,
    index_dir: Path | None,
    keep: bool,
    seed: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Try exact search, Annoy and FAISS on MEMORY's own vectors and recommend the fastest good enough."""
    from hueprobe.errors import StorageError
    from hueprobe.memory import open_memory
    from hueprobe.search.tuning import tune_searcher

    opened = open_memory(memory)
    common.require_k(k, int(opened.valid().sum()))
    asked: dict[str, Any] = {
        "recall": recall,
        "k": k,
        "specs": specs or None,
        "n_queries": n_queries,
        "seed": seed,
    }
    try:
        tuning = tune_searcher(opened, **asked, keep=keep, index_dir=index_dir, progress=True)
    except StorageError as error:
        if output is None or index_dir is not None or keep:
            raise
        common.say(f"indexes are built in {output}, for the time being: {error}", err=True)
        tuning = tune_searcher(opened, **asked, index_dir=output, progress=True)
    if output is not None:
        _save(tuning, output)
    if as_json:
        common.print_json(tuning.document())
    else:
        _report(tuning, memory, keep, index_dir)


def _save(tuning: "Tuning", folder: Path) -> None:
    from hueprobe.plots import recall_speed

    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / "tuning.json") as file:
        file.write((json_text(tuning.document(), indent=2) + "\n").encode())
    drawn = recall_speed(tuning)
    for name in ("tuning.png", "tuning.pdf"):
        save_figure(drawn, folder / name)


def _report(tuning: "Tuning", memory: Path, keep: bool, index_dir: Path | None) -> None:
    best = tuning.recommended
    rows = [
        [
            trial.spec,
            common.number(trial.recall, ".4f"),
            f"{trial.queries_per_second:,.0f}",
            f"{trial.times_exact:.2f} ({trial.times_exact_low:.2f}-{trial.times_exact_high:.2f})",
            f"{trial.build_seconds:.1f}" if trial.n_bytes else "-",
            f"{trial.n_bytes / 1e6:,.1f}" if trial.n_bytes else "-",
            "<-" if trial is best else "",
        ]
        for trial in sorted(tuning.trials, key=lambda trial: -trial.times_exact)
    ]
    common.say(
        f"{tuning.memory}: {tuning.n_vectors:,} vectors, {tuning.n_queries} of them asked at once, own image "
        "excluded"
    )
    columns = [
        "searcher",
        f"recall@{tuning.k}",
        "queries/s",
        "x exact (quartiles)",
        "build s",
        "index MB",
        "",
    ]
    common.print_table("", columns, rows)
    rounds = sorted({trial.rounds for trial in tuning.trials})
    n = f"{rounds[0]}" if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"
    common.say(f"speeds are medians of {n} rounds; x exact: in multiples of exact search in the same round")
    for spec, reason in tuning.failed:
        common.say(f"left out: {spec}: {reason}", err=True)
    common.say("", f"recommended for recall {tuning.wished:g}: {best.spec}")
    if best.spec == "exact":
        common.say(
            "Nothing approximate of that recall was faster. Exact is the default: leave --searcher out."
        )
        return
    if not best.times_exact_low > 1:
        common.say(
            f"It is hardly faster than exact search here: in half of its {best.rounds} rounds "
            f"{best.times_exact_low:.2f} to {best.times_exact_high:.2f} times as fast."
        )
    when = "Its index is kept" if keep else "Its index is built at the first use"
    option = "" if index_dir is None else f" --index-dir {shlex.quote(str(index_dir))}"
    argument = "" if index_dir is None else f", index_dir={str(index_dir)!r}"
    common.say(f"{when}:", f"  hueprobe evaluate {memory} IMAGES --searcher '{best.spec}'{option}")
    common.say(f"  hueprobe.KernelDensityClassifier(memory, searcher={best.spec!r}{argument})")
