"""README's tables from the results of the benchmarks.

    python -m benchmarks.tables [search extraction ...]

Prints Markdown for each results file that is there, NAME.json and NAME-*.json.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, columns after the first aligned right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def search_tables(results: dict[str, Any]) -> str:
    """Return search by size and batch, peak memory, and the share of density and match table."""
    parts = [_where(results)]
    for size, queries in dict.fromkeys((row["n_vectors"], row["queries"]) for row in results["rows"]):
        rows = [r for r in results["rows"] if (r["n_vectors"], r["queries"]) == (size, queries)]
        header = (f"{size:,} vectors, {queries} queries", "queries/s", "x FAISS Flat", "x hueprobe exact")
        cells = [
            [
                _searcher(row),
                f"{row['queries_per_second'][0]:,.0f}",
                _spread(row.get("times_flat")),
                _spread(row.get("times_ours")),
                _share(row.get("recall_at_10")),
                f"{row['build_seconds']:.0f}" if "build_seconds" in row else "",
            ]
            for row in rows
        ]
        parts.append(markdown([*header, "recall@10", "build s"], cells))
    cells = [
        [f"{row['n_vectors']:,}", f"{row['before_mb']:,.0f}", f"{row['over_start_mb']:,.0f}"]
        for row in results["memory"]
    ]
    parts.append(markdown(("vectors", "anonymous MB at start", "at most over it"), cells))
    cells = [
        [
            str(row["images"]),
            *(f"{1000 * row[name]:.1f}" for name in ("search", "density")),
            f"{row['share']:.2%}",
        ]
        for row in results["density"]
    ]
    parts.append(
        markdown(("images at once", "search ms", "density and match table ms", "share of search"), cells)
    )
    return "\n\n".join(parts)


def extraction_tables(results: dict[str, Any]) -> str:
    """Return `hueprobe index` against its two bounds, each network and precision."""
    rows = [
        [
            f"{row['network']}, {row['precision']}",
            *(f"{row[name][0]:.1f}" for name in ("plain_forward", "forward", "decode", "index")),
            _spread(row["share_of_bound"]),
            _spread(row["share_of_tight_bound"]),
        ]
        for row in results["rows"]
    ]
    header = (
        "network", "forward, plain, ms", "forward, ours, ms", "decode ms", "index ms",
        "share of the bound", "of the tighter bound",
    )  # fmt: skip
    return f"{_where(results)}\n\n{markdown(header, rows)}"


def loss_tables(results: dict[str, Any]) -> str:
    """Return accuracy by loss beside the paper's Table 1, and observations 3 to 5 with the networks."""
    told = (
        f"{results['backbone']} from scratch on {results['set']}, {results['size']} px, "
        f"{results['epochs']} epochs: mean over seeds with its 95 % interval; differences to one-hot are "
        "paired by seed, p by exact sign-flip; s/step by the clock, so other work on the machine is in it."
    )
    rows = []
    for found in results["summaries"]:
        ratios = [found["seconds_ratio"], found["memory_ratio"]]
        rows.append(
            [
                found["loss"] + (" (primary)" if found["primary"] else ""),
                str(found["n_seeds"]),
                _interval(found["accuracy"]),
                _interval(found["difference"], sign="+"),
                *("" if found[name] is None else f"{found[name]:.2g}" for name in ("p", "p_holm")),
                *("" if ratio is None else f"{ratio:.3f}" for ratio in ratios),
            ]
        )
    header = ("loss", "seeds", "accuracy", "less one-hot", "p", "p (Holm)", "s/step", "memory")
    parts = [told, markdown(header, rows)]
    paper = [
        [name, *(f"{value:.3f}" for value in (plain, hue)), f"{hue - plain:+.3f}"]
        for name, (plain, hue) in PAPER_TABLE_1.get(results["backbone"], {}).items()
    ]
    if paper:
        parts += [
            f"The paper's Table 1, {results['backbone']} (as printed, without intervals):",
            markdown(("set", "one-hot", "one-hot + hue", "gain"), paper),
        ]
    if results["measures"]:
        size, seen = results["observed_size"], results["runs"][0]["observed"]
        parts.append(
            f"Observations 3 to 5 with these networks, {seen['n_images']} {seen['pictures']} images at "
            f"{size} px, grid {seen['grid'][0]} x {seen['grid'][1]} (p not corrected for many measures):"
        )
        cells = [
            [
                f"{found['measure']}, {found['loss']}",
                str(found["n_seeds"]),
                _interval(found["mean"]),
                _interval(found["difference"], sign="+"),
                "" if found["p"] is None else f"{found['p']:.2g}",
            ]
            for found in results["measures"]
        ]
        parts.append(markdown(("measure, loss", "seeds", "mean", "less one-hot", "p"), cells))
    return "\n\n".join(parts)


def noisy_label_tables(results: dict[str, Any]) -> str:
    """Return test accuracy on digits with wrong training labels, without and with AL2."""
    told = (
        f"Digits, {results['wrong']:.0%} of {results['n_train']} training labels wrong, {results['epochs']} "
        f"epochs, {results['seeds']} paired seeds: test accuracy after the last epoch, and in the best one."
    )
    rows = [
        [
            kind,
            *(_interval(found[name]) for name in ("without", "with")),
            _interval(found["difference"], sign="+"),
            f"{found['p']:.2g}",
            " / ".join(f"{found['best_epoch_on_test'][loss]:.3f}" for loss in ("onehot", "al2")),
        ]
        for kind, found in results["networks"].items()
    ]
    header = ("network", "without AL2", "with", "difference", "p", "best epoch, without / with")
    return f"{told}\n\n{markdown(header, rows)}"


def _interval(found: dict[str, Any] | None, *, sign: str = "") -> str:
    if found is None:
        return ""
    estimate = f"{found['estimate']:{sign}.3f}"
    if found["low"] is None:
        return estimate
    return f"{estimate} [{found['low']:{sign}.3f}, {found['high']:{sign}.3f}]"


def _where(results: dict[str, Any]) -> str:
    machine, versions = results.get("machine", {}), results.get("versions", {})
    told = [str(machine.get("processor", "")), f"{machine.get('cores', '?')} cores"]
    told += [flag for flag in machine.get("flags", []) if "vnni" in flag or "amx" in flag or "bf16" in flag]
    names = ("hueprobe", "torch", "faiss-cpu", "annoy", "numpy")
    told += [f"{name} {versions[name]}" for name in names if name in versions]
    return f"Median [least, greatest] of the rounds. {', '.join(part for part in told if part)}."


def _searcher(row: dict[str, Any]) -> str:
    if "certified" not in row:
        return row["searcher"]
    name = (
        row["searcher"] if row["format"] in row["searcher"] else f"{row['searcher']} (chose {row['format']})"
    )
    return f"{name}, {row['certified']:.1%} certified at first pass"


def _spread(values: Sequence[float] | None) -> str:
    return f"{values[0]:.2f} [{values[1]:.2f}, {values[2]:.2f}]" if values else ""


def _share(value: float | None) -> str:
    """Return a share to as many digits as tell it from 1.

    >>> _share(1.0), _share(0.998), _share(None)
    ('1', '0.998', '')
    """
    return "" if value is None else f"{value:.4g}"


# Accuracy with one-hot and with one-hot + hue, as the paper prints it.
PAPER_TABLE_1 = {
    "resnet18": {
        "DTD": (0.4153, 0.5230), "Birds": (0.3875, 0.5313), "Dogs": (0.4015, 0.5754),
        "Flowers-102": (0.4863, 0.6487), "Pets": (0.4090, 0.5919), "Indoor67": (0.4866, 0.6224),
        "Aircraft": (0.8703, 0.8920), "Cars": (0.3575, 0.8011), "ImageNet": (0.6350, 0.6621),
    },
    "efficientnet_b0": {
        "DTD": (0.5310, 0.5368), "Birds": (0.4907, 0.5569), "Dogs": (0.5655, 0.5764),
        "Flowers-102": (0.7252, 0.7438), "Pets": (0.6689, 0.6797), "Indoor67": (0.5458, 0.5477),
        "Aircraft": (0.8685, 0.8768), "Cars": (0.7882, 0.8079), "ImageNet": (0.7144, 0.7171),
    },
}  # fmt: skip

TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "search": search_tables,
    "extraction": extraction_tables,
    "loss_comparison": loss_tables,
    "al2_noisy_labels": noisy_label_tables,
}


def main() -> None:
    """Print the tables that are asked for, or all that there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"Of {', '.join(TABLES)}.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="Folder of the results files.")
    arguments = parser.parse_args()
    for name in arguments.names or TABLES:
        alone = [path for path in [arguments.results / f"{name}.json"] if path.is_file()]
        for path in [*alone, *sorted(arguments.results.glob(f"{name}-*.json"))]:
            print(f"## {path.stem}\n\n{TABLES[name](json.loads(path.read_text()))}\n")


if __name__ == "__main__":
    main()
