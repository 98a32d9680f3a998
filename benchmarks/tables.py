"""README's tables from the results of the benchmarks.

    python -m benchmarks.tables [search extraction ...]

Prints Markdown for each results file that is there.
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
            str(row["pictures"]),
            *(f"{1000 * row[name]:.1f}" for name in ("search", "density")),
            f"{row['share']:.2%}",
        ]
        for row in results["density"]
    ]
    parts.append(
        markdown(("pictures at once", "search ms", "density and match table ms", "share of search"), cells)
    )
    return "\n\n".join(parts)


def extraction_tables(results: dict[str, Any]) -> str:
    """Return `hueprobe index` against its bound, each network in each precision."""
    rows = [
        [
            f"{row['network']}, {row['precision']}",
            *(f"{row[name][0]:.1f}" for name in ("forward", "decode", "index")),
            _spread(row["share_of_bound"]),
            _spread(row["gain_by_workers"]),
        ]
        for row in results["rows"]
    ]
    header = ("network", "forward ms", "decode ms", "index ms", "share of bound", "gain by workers")
    return f"{_where(results)}\n\n{markdown(header, rows)}"


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


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "search": search_tables,
    "extraction": extraction_tables,
}


def main() -> None:
    """Print the tables that are asked for, or all that there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"Of {', '.join(TABLES)}.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="Folder of the results files.")
    arguments = parser.parse_args()
    for name in arguments.names or TABLES:
        path = arguments.results / f"{name}.json"
        if path.is_file():
            print(f"## {name}\n\n{TABLES[name](json.loads(path.read_text()))}\n")


if __name__ == "__main__":
    main()
