"""The tables of the documentation, from the results of the benchmarks.

    python -m benchmarks.tables [search extraction ...]

Prints Markdown for each results file that is there, NAME.json and NAME-*.json.
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.intervention_tables import interventions_tables
from benchmarks.markdown import markdown
from hueprobe.observations.accuracy.grid import CLASSIFIER

RESULTS = Path(__file__).parent / "results"


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


def network_tables(results: dict[str, Any]) -> str:
    """Return exact search by network and number of queries, and by number format for 980 queries."""
    rows = results["rows"]
    ours = [row for row in rows if row["searcher"] == "hueprobe exact"]
    cells = [
        [
            row["network"],
            f"{row['n_vectors']:,} x {row['channels']:,}",
            f"{row['nonzero']:.3f}",
            f"{row['queries']:,}",
            row["format"],
            f"{row['queries_per_second'][0]:,.0f}",
            _spread(row["times_flat"]),
            f"{row['certified']:.2%}",
        ]
        for row in ours
    ]
    header = ("network", "vectors", "nonzero", "queries", "format", "queries/s", "x FAISS Flat", "certified")
    parts = [_where(results), markdown(header, cells)]
    networks = list(dict.fromkeys(row["network"] for row in rows))
    others = [
        row
        for row in rows
        if row["queries"] == 980 and row["searcher"] not in ("hueprobe exact", "FAISS Flat")
    ]
    names = {row["searcher"]: _no_channels(row["searcher"]) for row in others}
    by = {(names[row["searcher"]], row["network"]): _spread(row["times_flat"]) for row in others}
    cells = [
        [name, *(by.get((name, network), "") for network in networks)]
        for name in dict.fromkeys(names.values())
    ]
    told = "980 queries by format, x FAISS Flat; empty where a trial was four times slower than the best:"
    return "\n\n".join([*parts, told, markdown(("searcher", *networks), cells)])


def selection_tables(results: dict[str, Any]) -> str:
    """Return the milliseconds of exact search's parts by network, and the shares of selection and ranking."""
    rows = []
    for row in results["rows"]:
        if "ms" not in row:
            rows.append([row["network"], row["format"], *[""] * 5])
            continue
        milliseconds = [row["ms"][name] for name in ("search", "products", "ranking")]
        shares = [row["selection_share"], row["ranking_share"]]
        rows.append(
            [
                row["network"],
                row["format"],
                *(f"{value:.1f}" for value in milliseconds),
                *(f"{share:.0%}" for share in shares),
            ]
        )
    header = (
        "network",
        "format",
        "search, ms",
        "products alone",
        "ranking",
        "selection's share",
        "ranking's",
    )
    return f"{_where(results)}\n\n{markdown(header, rows)}"


def _no_channels(searcher: str) -> str:
    """Leave out the number of channels in the name of FAISS's Panorama index."""
    return re.sub(r"PCA\d+", "PCA", searcher)


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


def stage_tables(results: dict[str, Any]) -> str:
    """Return the seconds of `hueprobe observe all` by stage, each version in a column."""
    rows = results["rows"]
    names = [name for name in rows[-1]["seconds"] if name not in ("other", "total")]
    names.sort(key=lambda name: -rows[-1]["seconds"][name][0])
    cells = [
        [name, *(_spread(row["seconds"].get(name)) for row in rows)] for name in (*names, "other", "total")
    ]
    told = f"{results['network']}, {results['images']} images, {results['vectors']:,} vectors."
    header = ("stage, s", *(row["version"] for row in rows))
    return f"{told} {_where(results)}\n\n{markdown(header, cells)}"


def accuracy_tables(results: dict[str, Any]) -> str:
    """Return accuracy by network, descriptor and protocol, and by searcher."""
    rows = results["rows"]
    columns = list(dict.fromkeys((row["set"], row["protocol"]) for row in rows))
    found = {
        (row["network"], row["descriptor"], row["set"], row["protocol"]): row
        for row in rows
        if row["searcher"] == "exact"
    }
    cells = [
        [network, descriptor, *(_accuracy(found.get((network, descriptor, *column))) for column in columns)]
        for network, descriptor in dict.fromkeys(key[:2] for key in found)
    ]
    counts = [
        f"{name}, {protocol}: {next(r['n'] for r in rows if (r['set'], r['protocol']) == (name, protocol))}"
        for name, protocol in columns
    ]
    header = ("network", "descriptor", *(f"{SETS.get(name, name)}, {protocol}" for name, protocol in columns))
    parts = [f"Images classified: {'; '.join(counts)}.", markdown(header, cells)]
    by_searcher = [row for row in rows if (row["network"], row["descriptor"]) == SEARCHERS_COMPARED]
    by_searcher = [row for row in by_searcher if row["protocol"] == "held out"]
    cells = [
        [
            f"`{row['searcher']}`",
            SETS.get(row["set"], row["set"]),
            _accuracy(row),
            _share(row["recall_at_10"]),
        ]
        for row in by_searcher
    ]
    told = f"By searcher ({', '.join(SEARCHERS_COMPARED)}, held out):"
    return "\n\n".join([*parts, told, markdown(("searcher", "set", "accuracy", "recall@10"), cells)])


def accuracy_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the accuracies by exact search as rows for `hueprobe.plots.accuracy_grid_figure`."""
    return [
        {
            "network": row["network"], "descriptor": row["descriptor"], "classifier": CLASSIFIER,
            "task": f"{SETS.get(row['set'], row['set'])}, {row['protocol']}", "n": row["n"],
            "accuracy": row["accuracy"], "low": row["ci95"][0], "high": row["ci95"][1],
        }
        for row in results["rows"]
        if row["searcher"] == "exact"
    ]  # fmt: skip


def annoy_effect_tables(results: dict[str, Any]) -> str:
    """Return recall by Annoy, and what it changes in observations 3 and 4 against exact search."""
    exact, *rows = results["rows"]
    names = list(exact["numbers"])
    half = {name: (found["high"] - found["low"]) / 2 for name, found in exact["numbers"].items()}

    def moved(row: dict[str, Any], name: str) -> str:
        difference = row["numbers"][name]["estimate"] - exact["numbers"][name]["estimate"]
        return f"{difference:+.3f} ({abs(difference) / half[name]:.2f})"

    cells = [
        [
            str(row["trees"]),
            str(row["search_k"] or "default"),
            *(f"{row[name]:.3f}" for name in ("recall_at_10", "recall_at_10_in_blocks")),
            *(moved(row, name) for name in names),
        ]
        for row in rows
    ]
    told = f"{SETS[results['set']]}, {results['network']}, {exact['queries']} query images. Exact search:"
    parts = [told, markdown(("number", "estimate and 95 % interval"), [
        [name, _interval(exact["numbers"][name])] for name in names
    ])]  # fmt: skip
    parts.append(
        "Annoy less exact search; in parentheses the size of the difference, in half-widths of the interval "
        "by exact search:"
    )
    header = ("trees", "search_k", "recall@10", "in blocks", *names)
    return "\n\n".join([*parts, markdown(header, cells)])


def dense_tables(results: dict[str, Any]) -> str:
    """Return mean IoU by network, layer, protocol and method, by size of the memory, and by searcher."""
    machine = results["machine"]
    parts = [f"{machine['processor']}, {machine['cores']} cores."]
    for network, layer in dict.fromkeys((row["network"], row["layer"]) for row in results["rows"]):
        rows = [row for row in results["rows"] if (row["network"], row["layer"]) == (network, layer)]
        header = (f"{network}, {layer}", "protocol", "mean IoU", "by frames", "pixel accuracy", "boundary F")
        cells = [
            [
                f"{row['method']}, K = {row['k']}" if "k" in row else row["method"],
                row["protocol"],
                _accuracy_of(row["mean_iou"], "ci95"),
                _accuracy_of(row["mean_iou"], "ci95_blocks", alone=True),
                _accuracy_of(row["pixel_accuracy"], "ci95"),
                _accuracy_of(row["mean_boundary_f"], "ci95"),
            ]
            for row in rows
        ]
        parts.append(markdown(header, cells))
    labels = [row for row in results["rows"] if row["protocol"] == "strict" and row["method"] == "eq3"]
    parts.append(
        markdown(
            ("IoU, strict, Eq. (3)", *(f"{row['network']}, {row['layer']}" for row in labels)),
            [
                [name, *(f"{row['iou'][name][0]:.3f} [{row['iou'][name][1]:.3f}, {row['iou'][name][2]:.3f}]"
                         for row in labels)]
                for name in labels[0]["iou"]
            ],
        )
    )  # fmt: skip
    if results["times"]:
        cells = [
            [
                f"{row['network']}, {row['layer']}",
                f"{row['vectors']:,}",
                f"{row['queries']:,}",
                *(f"{row['seconds'][name]:.2f}" for name in ("search", "transfer", "maps")),
                "{median:.2f} [{least:.2f}, {most:.2f}]".format(**row["ratio_to_search"]),
                f"{row['extract_seconds']:.1f}",
            ]
            for row in results["times"]
        ]
        steps = ("search, s", "transfer, s", "label maps, s", "x search alone", "network, s")
        parts.append(markdown(("60 images", "memory", "queries", *steps), cells))
    if results["sizes"]:
        cells = [
            [str(point["images"]), f"{point['mean']:.3f}", _share(point["spread"]), str(len(point["values"]))]
            for point in results["sizes"]
        ]
        parts.append(markdown(("images in memory", "mean IoU", "standard deviation", "draws"), cells))
    if results["approximate"]:
        cells = [
            [row["searcher"], f"{row['recall_at_10']:.3f}", f"{row['mean_iou']:.4f}", f"{row['seconds']:.2f}"]
            for row in results["approximate"]
        ]
        parts.append(markdown(("searcher", "recall@10", "mean IoU", "seconds of search"), cells))
    return "\n\n".join(parts)


def _accuracy_of(found: dict[str, Any], bounds: str, *, alone: bool = False) -> str:
    low, high = found[bounds]
    interval = f"[{low:.3f}, {high:.3f}]"
    return interval if alone else f"{found['value']:.3f} {interval}"


def precision_tables(results: dict[str, Any]) -> str:
    """Return what half precision of the forward pass changes."""
    rows = [
        [
            f"{row['network']}, {row['precision']}",
            *(f"{row[name]:.5f}" for name in ("cosine_mean", "cosine_least")),
            f"{row['top10_agreement']:.3f}",
            f"{row['accuracy_fp32']:.3f} to {row['accuracy']:.3f}",
        ]
        for row in results["rows"]
    ]
    header = (
        "network",
        "mean cosine with fp32",
        "least",
        "top-10 neighbors in common",
        "accuracy, fp32 to half",
    )
    n = results["rows"][0]["images"]
    told = f"{n} images of {SETS.get(results['set'], results['set'])}, leave-one-out."
    return f"{told} {_where(results)}\n\n{markdown(header, rows)}"


def batch_size_tables(results: dict[str, Any]) -> str:
    """Return what another batch size changes."""
    rows = [
        [
            f"{row['network']}, {row['precision']}",
            str(row["size"]),
            f"{row['identical']:.1%}",
            f"{row['largest_difference']:.2g}",
            f"{row['top10_that_differ']:.2g}",
        ]
        for row in results["rows"]
    ]
    header = (
        "network",
        "batch size",
        "vectors identical",
        "largest difference",
        "top-10 neighbors that differ",
    )
    told = f"Compared with batches of {results['compared_with']}, vectors kept in {results['dtype']}."
    return f"{told} {_where(results)}\n\n{markdown(header, rows)}"


def memory_use_tables(results: dict[str, Any]) -> str:
    """Return the anonymous memory of `hueprobe index` by number of images."""
    rows = [[f"{r['images']:,}", f"{r['peak_rss_anon_mb']:,.0f}", str(r["seconds"])] for r in results["rows"]]
    return markdown((f"images ({results['network']})", "peak anonymous MB", "seconds"), rows)


def million_images_tables(results: dict[str, Any]) -> str:
    """Return what each step takes with a million images, for each version of the code."""
    codes = list(dict.fromkeys(row["code"] for row in results["rows"]))
    found = {(row["line"], row["step"], row["code"]): row for row in results["rows"]}
    steps = list(dict.fromkeys(key[:2] for key in found))
    cells = [
        [
            line,
            step,
            *(f"{found[line, step, code]['cpu_seconds'][0]:.2f}" for code in codes),
            *(f"{found[line, step, code]['peak_mb']:,}" for code in codes),
        ]
        for line, step in steps
    ]
    measures = ("CPU seconds", "peak RSS, MB")
    header = ("process", "step", *(f"{name}, {code}" for name in measures for code in codes))
    ran_on = results["machine"]
    told = f"{results['images']:,} images, one cell of {results['channels']} channels each"
    where = f"{ran_on['processor']}, {ran_on['cores']} cores"
    return f"{told}. {where}; {ran_on['threads']} of them used.\n\n{markdown(header, cells)}"


def approximate_scale_tables(results: dict[str, Any]) -> str:
    """Return builds of FAISS indexes by the size of a piece, and recall and time by search settings."""
    size = f"{results['n_vectors']:,} x {results['channels']}"
    builds = [
        [
            f"`{row['spec']}`",
            f"{row['piece']:,}",
            f"{row['index_mb']:,.0f}",
            f"{row['peak_rss_anon_mb']:,.0f}",
            f"{row['seconds']:.0f}",
        ]
        for row in results["builds"]
        if row["piece"]
    ]
    header = (f"{size} vectors", "vectors of a piece", "index, MB", "peak anonymous MB", "seconds")
    opened = min(row["peak_rss_anon_mb"] for row in results["builds"] if not row["piece"])
    searches = [
        [f"`{row['searcher']}`", f"{row['recall_at_10']:.3f}", f"{row['ms_per_query']:.2f}"]
        for row in results["searches"]
    ]
    told = f"Opening the memory alone takes {opened:,.0f} MB. Threads: {results['threads']}."
    return "\n\n".join(
        [
            f"{told} {_where(results)}",
            markdown(header, builds),
            markdown((f"{results['queries']} queries at once", "recall@10", "ms per query"), searches),
        ]
    )


def compact_tables(results: dict[str, Any]) -> str:
    """Return size, layouts and times of `sparse16` beside float16."""
    rows = results["rows"]
    sizes = [
        [
            row["network"],
            f"{row['n_vectors']:,} x {row['channels']:,}",
            f"{row['nonzero']:.3f}",
            *(f"{row['bytes'][dtype] / 1e6:.1f}" for dtype in ("float16", "sparse16")),
            f"{row['vector_bytes']['float16'] / row['vector_bytes']['sparse16']:.1f}",
        ]
        for row in rows
    ]
    header: tuple[str, ...] = (
        "network",
        "vectors",
        "nonzero",
        "float16, MB",
        "sparse16, MB",
        "vectors, x smaller",
    )
    parts = [_where(results), markdown(header, sizes)]
    names = list(rows[0]["layouts"])
    cells = [[row["network"], *(f"{row['layouts'][name]:,.0f}" for name in names)] for row in rows]
    parts += ["Bytes of a vector by layout; `sparse16` has the bitmap:", markdown(("network", *names), cells)]
    cells = []
    for name in dict.fromkeys(_of_one_image(turn) for row in rows for turn in row["turns"]):
        found = [next(turn for at, turn in row["turns"].items() if _of_one_image(at) == name) for row in rows]
        cells.append([name, *(f"{turn['float16'][0]:,.4g}; {_spread(turn['ratio'])}" for turn in found)])
    parts.append("Milliseconds in float16, and the time of `sparse16` as a multiple of it:")
    return "\n\n".join([*parts, markdown(("", *(row["network"] for row in rows)), cells)])


def _of_one_image(turn: str) -> str:
    """Name the queries of one image alike for all grids.

    >>> _of_one_image("169 queries, new, warm"), _of_one_image("980 queries, again")
    ('one image, new, warm', '980 queries, again')
    """
    return re.sub(r"^(?!980 )\d+ queries", "one image", turn)


def explorer_tables(results: dict[str, Any]) -> str:
    """Return live queries beside the classifier alone, and RAM over many requests."""
    rows, live = results["rows"], []
    for row in rows:
        for name, alone, asked in (
            ("image from outside", "classify_ms", "query_ms"),
            ("memory image", "leave_one_out_ms", "memory_image_ms"),
        ):
            times = [_spread(row[key]) for key in (alone, asked, asked.replace("_ms", "_ratio"))]
            live.append([f"{row['network']}, {row['n_vectors']:,} vectors, {row['format']}, {name}", *times])
    header: tuple[str, ...] = (
        "live query of one",
        "classifier alone, ms",
        "server, ms",
        "server / classifier",
    )
    parts = [_where(results), markdown(header, live)]
    behind = [
        [
            f"{row['network']}, {row['images']} queries",
            f"{row['background_seconds']:.0f}",
            _spread(row["query_during_background_ms"]),
            " and ".join(f"{value:.1f}" for value in row["thumbnail_ms"]),
            " -> ".join(f"{value:,.0f}" for value in row["rss_mb"]),
            " -> ".join(map(str, row["threads"])),
        ]
        for row in rows
    ]
    header = (
        "background pass", "seconds", "live query meanwhile, ms", "thumbnail new and kept, ms",
        f"RSS over {rows[0]['requests']:,} requests, MB", "threads",
    )  # fmt: skip
    parts.append(markdown(header, behind))
    return "\n\n".join(parts)


def explorer_page_tables(results: dict[str, Any]) -> str:
    """Return how fast the page opens and answers in a browser."""
    kinds = {
        "opens": "open_ms",
        "a cell answers, painted": "cell_painted_ms",
        "its script alone": "cell_script_ms",
    }
    rows = [
        [name, *(f"{results[key][at]:.0f}" for at in ("median", "99 %", "largest"))]
        for name, key in kinds.items()
    ]
    told = f"{results['images']} images, {results['bytes'] / 1e6:.1f} MB, {results['cells']:,} cells chosen"
    ran_on = results["machine"]
    where = f"Chromium {results['chromium']}, {ran_on['processor']}, {ran_on['cores']} cores"
    header = ("page in one file", "median ms", "99 % within, ms", "largest ms")
    return f"{told}. {where}.\n\n{markdown(header, rows)}"


def calibration_tables(results: dict[str, Any]) -> str:
    """Return how often each test rejects on data without an effect, and with a planted one."""
    parts = []
    for kind, title in CALIBRATION.items():
        rates = [rate for rate in results["rates"] if rate["kind"] == kind]
        if rates:
            n = max(rate["n"] for rate in rates)
            parts.append(f"{title} Nominal level {results['level']}; {n:,} data sets for each rate.")
        # One table a design, so that no column is mostly empty.
        designs = {rate["setting"]: rate["setting"].partition(",")[0] for rate in rates}
        for design in dict.fromkeys(designs.values()) if kind == "level" else ["all"] if rates else []:
            settings = [name for name, of in designs.items() if kind != "level" or of == design]
            found = {(rate["test"], rate["setting"]): f"{rate['rate']:.3f}" for rate in rates}
            tests = dict.fromkeys(test for test, setting in found if setting in settings)
            cells = [[test, *(found.get((test, setting), "") for setting in settings)] for test in tests]
            parts.append(markdown(("test", *settings), cells))
    return "\n\n".join(parts)


def overhead_tables(results: dict[str, Any]) -> str:
    """Return the rate of `train` against bare PyTorch loops, and the cost of the hue term."""
    loop = results["loop"]
    rows = [
        [
            "the same process, steps taken in turns, both keep freed memory",
            _spread(results["loop_beside_bare"]["ratio"]),
        ],
        ["rounds by themselves, the bare loop keeps freed memory", _spread(loop["ratio"])],
        ["rounds by themselves, the bare loop hands memory back", _spread(loop["ratio_to_plain"])],
    ]
    told = (
        f"ResNet-18 at {results['size']} px, batches of {results['batch_size']}, {results['threads']} "
        f"threads, torch {results['torch']}. The hue term takes {results['hue_term']['ratio']:.2%} of a step."
    )
    return (
        f"{told}\n\n{markdown(('rate of `train`, x a bare PyTorch loop', 'median [least, greatest]'), rows)}"
    )


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


def trust_tables(results: dict[str, Any]) -> str:
    """Return coverage of prediction sets, calibration, and detection of outside images, over seeds."""
    told = (
        f"{results['network']}, K = {results['k']}. Cells with a range give the mean over seeds [least, "
        "greatest]; splits of the same images overlap, so the range is no interval of the mean."
    )
    sets, errors = [], []
    for name, rows in results["coverage"].items():
        n = rows[0]["n"]
        sizes = f"{n['memory']} / {n['calibration']} / {n['test']}"
        for level in rows[0]["levels"]:
            found = [row["levels"][level] for row in rows]
            expected = found[0]["expected"]
            sets.append(
                [
                    _set_name(name),
                    f"{sizes}, {len(rows)}",
                    f"{float(level):.0%}",
                    _range([one["coverage"]["estimate"] for one in found]),
                    f"{expected[0]:.3f} to {expected[1]:.3f}",
                    f"{sum(_within(one['coverage']['estimate'], expected) for one in found)} of {len(found)}",
                    _range([one["size"]["estimate"] for one in found], 2),
                    _range([one["empty"] for one in found]),
                ]
            )
        cells = [_range([row["accuracy"]["estimate"] for row in rows])]
        cells.append(_range([row["temperature"]["estimate"] for row in rows], 2))
        for binning in ("mass", "width"):
            for stage in ("before", "after"):
                cells.append(_range([row["calibration_error"][stage][binning]["estimate"] for row in rows]))
        limit = [row["calibration_error"]["after"]["mass"]["if_calibrated"] for row in rows]
        errors.append([_set_name(name), *cells, _range(limit)])
    header = (
        "set", "memory / calibration / test, seeds", "level", "coverage", "95 % of measured shares lie in",
        "inside", "classes in a set", "empty sets",
    )  # fmt: skip
    parts = [told, markdown(header, sets)]
    header = (
        "set", "accuracy", "temperature", "equal mass, before", "after", "equal width, before", "after",
        "limit if calibrated (after, mass)",
    )  # fmt: skip
    parts += ["Expected calibration error, ten bins:", markdown(header, errors)]
    for measure, title in (("auroc", "AUROC"), ("fpr95", "FPR at 95 % TPR")):
        names = list(results["outside"][0]["rows"][0]["scores"])
        rows = []
        for pair in results["outside"]:
            first = pair["rows"][0]
            rows.append(
                [
                    f"{_set_name(pair['inside'])}; {_set_name(pair['outside'])}",
                    f"{first['n_inside']} / {first['n_outside']}",
                    *(_interval(first["scores"][name][measure]) for name in names),
                ]
            )
            spread = [[row["scores"][name][measure]["estimate"] for row in pair["rows"]] for name in names]
            rows.append([f"mean over {len(pair['rows'])} seeds [range]", "", *map(_range, spread)])
        parts += [
            f"{title}, first seed with its 95 % interval over images, and the spread over seeds:",
            markdown(("inside; outside", "images", *names), rows),
        ]
    return "\n\n".join(parts)


def audit_tables(results: dict[str, Any]) -> str:
    """Return recall of changed copies and patches, false alarms, and how well wrong labels are found."""
    default = str(results["default_rate"])
    parts: list[str] = []
    if "copies" in results:
        parts += _copies_tables(results["copies"], default)
        several = {name: found["patches"] for name, found in results["copies"].items()}
        if "earlier" in results:
            first = next(iter(several))
            several[f"{first}, {results['earlier']['layer']}"] = results["earlier"]
        parts += _patches_tables(several, default)
    if "bursts" in results:
        parts += _bursts_tables(results["bursts"])
    if "rates" in results:
        rows = [
            [_set_name(name), str(found["halves"]), *map(_range, found["shares"].values())]
            for name, found in results["rates"].items()
        ]
        rates = [f"rate {rate}" for rate in next(iter(results["rates"].values()))["shares"]]
        parts += [
            "Limits by half of the classes (of the images, for two classes): share of the images of the "
            "other half that they pair with another class, mean over halves [least, greatest]:",
            markdown(("set, network", "halves", *rates), rows),
        ]
    if "large" in results:
        parts += _large_tables(results["large"])
    return "\n\n".join([*parts, *_label_tables(results)])


def _copies_tables(copies: dict[str, Any], default: str) -> list[str]:
    """Return limits with their false alarms, and recall by kind of change."""
    n = next(iter(copies.values()))["recall"][0]["n"]
    rows = [
        [
            _set_name(name), f"{row['rate']:g}", f"{row['limits']['relative_distance']:.3f}",
            _interval(row["relative_distance"]["images"]),
            f"{row['relative_distance']['pairs_of_other_classes']:,} of {row['n_other']:,}",
            f"{row['relative_distance']['pairs_of_one_class']:,} of {row['n_same']:,}",
        ]
        for name, found in copies.items() for row in found["alarms"]
    ]  # fmt: skip
    head: tuple[str, ...] = (
        "set, network", "rate", "limit", "images paired with another class", "pairs of other classes",
        "pairs of one class",
    )  # fmt: skip
    parts = ["Limits of the relative distance, and what they find among the unchanged images:"]
    parts.append(markdown(head, rows))
    told = (
        f"Recall of {n} changed images of each kind, by the relative distance or by shared cells at a rate "
        f"of {default}; in brackets 95 % intervals over images, below them the recall at the other rates:"
    )
    names = list(copies)
    rows = []
    for i, one in enumerate(copies[names[0]]["recall"]):
        found = [copies[name]["recall"][i] for name in names]
        rows.append([one["kind"], *(_interval(each["by_rate"][default]["either"]) for each in found)])
        for rate in one["by_rate"]:
            if rate != default:
                cells = [f"{each['by_rate'][rate]['either']['estimate']:.2f}" for each in found]
                rows.append([f"at a rate of {rate}", *cells])
        cells = [f"{each['distance_below_0.4']:.2f}" for each in found]
        rows.append(["distance < 0.4, whatever the images", *cells])
    parts += [told, markdown(("change", *map(_set_name, names)), rows)]
    return parts


def _bursts_tables(bursts: dict[str, Any]) -> list[str]:
    """Return how much of the bursts in a memory is found."""
    one = next(iter(bursts.values()))
    measures = ("frames", "largest_set", "pairs")
    rows = [
        [
            _set_name(name),
            *(" / ".join(f"{share[part]:.2f}" for part in measures) for share in found["by_rate"].values()),
        ]
        for name, found in bursts.items()
    ]
    told = (
        f"{one['bursts']} bursts of {one['frames']} frames in the memory: share of the frames that are near "
        "another frame of theirs / that near pairs link to one set / of the pairs of frames that are near:"
    )
    return [told, markdown(("set, network", *(f"rate {rate}" for rate in one["by_rate"])), rows)]


def _patches_tables(several: dict[str, Any], default: str) -> list[str]:
    """Return recall of pasted squares, and false alarms of the numbers of cells."""
    first = next(iter(several.values()))["recall"]
    rows = [
        [
            f"{_set_name(name)} ({found['grid'][0]} x {found['grid'][1]} cells)",
            *(
                " / ".join(f"{one['by_rate'][default][kind]['estimate']:.2f}" for kind in ("cells", "near"))
                for one in found["recall"]
            ),
        ]
        for name, found in several.items()
    ]
    told = (
        f"Share of {first[0]['n']} images with a square of an image of another class, of so many pixels of "
        f"an input of 224, that are found by shared cells / as near-duplicates at a rate of {default}:"
    )
    parts = [told, markdown(("set, network", *(f"{one['side']} px" for one in first)), rows)]
    rows = [
        [
            _set_name(name), f"{row['rate']:g}", str(row["limits"]["cells"]),
            _interval(row["cells"]["images"]),
            f"{row['cells']['pairs_of_other_classes']:,} of {row['n_other']:,}",
            f"{row['cells']['pairs_of_one_class']:,} of {row['n_same']:,}",
        ]
        for name, found in several.items() for row in found["alarms"]
    ]  # fmt: skip
    head = (
        "set, network", "rate", "least cells", "images paired with another class", "pairs of other classes",
        "pairs of one class",
    )  # fmt: skip
    return [
        *parts,
        "Limits of shared cells, and what they find among the unchanged images:",
        markdown(head, rows),
    ]


def _large_tables(large: dict[str, Any]) -> list[str]:
    """Return false alarms among all images of Caltech 101."""
    rows = [
        [
            f"{row['rate']:g}", row["limit_by"], f"{row['limit']:.3f}", _interval(row["images"], digits=5),
            f"{row['pairs_of_other_classes']:,}", f"{row['pairs_of_one_class']:,}",
            _interval(row["twins_found"]),
        ]
        for row in large["rows"]
    ]  # fmt: skip
    head = (
        "rate", "limit by", "limit", "images paired with another class", "pairs of other classes",
        "pairs of one class", "twins found",
    )  # fmt: skip
    told = (
        f"All {large['n']:,} images of Caltech 101 ({large['classes']} classes, short side 112 px), "
        f"efficientnet_lite0. The classes Faces and Faces_easy hold the same {large['rows'][0]['n_twins']} "
        "photographs, with and without what is around the face: *twins*, which count as one class here. "
        "Limits are set by all classes, twins and all, or with the twins as one class:"
    )
    return [told, markdown(head, rows)]


def _label_tables(results: dict[str, Any]) -> list[str]:
    """Return how well labels changed at random are found."""
    rows = []
    for rate in dict.fromkeys(row["rate"] for row in results.get("labels", ())):
        found = [row for row in results["labels"] if row["rate"] == rate]
        measures = ("recall", "false_alarms", "precision", "recall_in_first")
        rows.append(
            [
                f"{rate:.0%}",
                f"{found[0]['n_wrong']} of {found[0]['n']}",
                *(
                    _range([row["auroc"][name]["estimate"] for row in found])
                    for name in ("likelihood", "margin")
                ),
                *(_range([row[name]["estimate"] for row in found]) for name in measures),
            ]
        )
    header = (
        "wrong labels", "images", "AUROC, likelihood", "AUROC, margin", "recall of candidates",
        "false alarms of candidates", "precision of candidates", "recall among as many first",
    )  # fmt: skip
    told = "Labels of Caltech 101 (efficientnet_lite0) changed at random, mean over seeds [least, greatest]:"
    return [told, markdown(header, rows)]


def _set_name(name: str) -> str:
    known, *rest = name.split(", ")
    return ", ".join([SETS.get(known, known), *rest])


def _range(values: Sequence[float], digits: int = 3) -> str:
    mean = sum(values) / len(values)
    return f"{mean:.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def _within(value: float, bounds: Sequence[float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def scale_tables(results: dict[str, Any]) -> str:
    """Return what engines take, whether bytes stay the same, and the search of millions of vectors."""
    parts = []
    if "engines" in results:
        found = results["engines"]
        first = found["rows"][0]
        rows = [
            [
                row["engine"], f"{row['seconds']:.1f}", f"{first['seconds'] / row['seconds']:.2f}",
                f"{row['search_seconds']:.1f}",
                str(len(row["files_that_differ"])) if "files_that_differ" in row else "",
                f"{row['matches_that_differ']:,}" if "matches_that_differ" in row else "",
            ]
            for row in found["rows"]
        ]  # fmt: skip
        header = (
            "engine", "build, s", "x one process", "search, s", "files that differ", "matches that differ",
        )  # fmt: skip
        parts += [
            f"{found['images']} images in shards of {found['shard_images']} on {_cores(found)}:",
            markdown(header, rows),
        ]
    if "kills" in results:
        found = results["kills"]
        differ = sum(len(build["files_that_differ"]) for build in found["builds"])
        parts.append(
            f"Workers of {len(found['builds'])} builds of {found['images']} images were killed (SIGKILL) "
            f"{found['kills']} times. Files that differ from those of one undisturbed process: {differ}."
        )
    if "large" in results:
        found = results["large"]
        rows = [
            [
                f"`{row['searcher']}`", f"{row['open_seconds']:.1f}",
                f"{1000 * row['seconds'] / found['queries']:.1f}", f"{row['recall_at_10']:.3f}",
                f"{row['peak_bytes'] / 1e9:.2f}", f"{row['anonymous_bytes'] / 1e9:.2f}",
            ]
            for row in found["rows"]
        ]  # fmt: skip
        header = (
            "searcher", "first query, s", "ms a query", "recall@10", "peak RSS, GB", "without file pages, GB",
        )  # fmt: skip
        parts += [
            f"{found['vectors']:,} real vectors of {found['channels']} channels ({found['images']:,} "
            f"images, {found['stored_bytes'] / 1e9:.2f} GB on disk as sparse16), {found['queries']:,} "
            f"queries at once, on {_cores(found)}; exact search may keep "
            f"{found['memory_budget'] / 1e9:.2f} GB of vectors. "
            f"The index took {found['index_seconds']:.0f} s and {found['index_bytes'] / 1e9:.2f} GB:",
            markdown(header, rows),
            _imagenet(found),
        ]
    return "\n\n".join(parts) or "This has not been measured yet."


def _imagenet(found: dict[str, Any]) -> str:
    """Return what the numbers come to for a memory of ImageNet, by arithmetic."""
    vectors, channels = 1_281_167 * 49, 1_920  # DenseNet-201
    times = vectors / found["vectors"]
    exact, near = found["rows"][0], found["rows"][1]
    dense = vectors * channels * 2
    sparse = found["stored_bytes"] / (found["vectors"] * found["channels"] * 2)
    return (
        f"*Arithmetic, not measured.* ImageNet's training images through DenseNet-201 are {vectors:,} "
        "vectors of "
        f"{channels:,} channels: {dense / 1e9:.0f} GB as float16, and about {sparse * dense / 1e9:.0f} GB as "
        "sparse16 if as many values are zero as here. By a straight line from the numbers above, for "
        f"{channels:,} instead of {found['channels']} channels, exact search takes "
        f"{times * channels / found['channels'] * exact['seconds'] / found['queries']:.1f} s a query on one "
        "such machine, and a sixteenth of it on sixteen. The approximate index has "
        f"{times * found['index_bytes'] / 1e9:.0f} GB; with as many lists for each vector, a query takes "
        f"about as long as here ({1000 * near['seconds'] / found['queries']:.0f} ms), and finds fewer of the "
        "nearest."
    )


def _cores(found: dict[str, Any]) -> str:
    return f"{found['machine']['processor']}, {found['machine']['cores']} cores"


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


def _accuracy(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{row['accuracy']:.3f} [{row['ci95'][0]:.3f}, {row['ci95'][1]:.3f}]"


def _interval(found: dict[str, Any] | None, *, sign: str = "", digits: int = 3) -> str:
    if found is None:
        return ""
    estimate, form = f"{found['estimate']:{sign}.{digits}f}", f"{sign}.{digits}f"
    if found["low"] is None:
        return estimate
    return f"{estimate} [{found['low']:{form}}, {found['high']:{form}}]"


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

SETS = {
    "caltech101_20x40": "Caltech 101 (20 classes)",
    "dtd_10x40": "DTD (10 classes)",
    "utkface_sex_2x300": "UTKFace (2 classes)",
}
SEARCHERS_COMPARED = ("efficientnet_lite0", "pixel")
CALIBRATION = {
    "level": "Without an effect: the rate is the level that a test keeps.",
    "power": "With a planted effect: the rate is the power where the test looks for that effect.",
    "pseudo-classes": "Real matches, classes assigned at random.",
}

TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "accuracy": accuracy_tables,
    "annoy_effect": annoy_effect_tables,
    "dense": dense_tables,
    "search": search_tables,
    "search_networks": network_tables,
    "selection_share": selection_tables,
    "observe_stages": stage_tables,
    "memory_use": memory_use_tables,
    "million_images": million_images_tables,
    "compact_shards": compact_tables,
    "approximate_scale": approximate_scale_tables,
    "explorer": explorer_tables,
    "explorer_page": explorer_page_tables,
    "precision": precision_tables,
    "batch_size": batch_size_tables,
    "null_calibration": calibration_tables,
    "training_overhead": overhead_tables,
    "extraction": extraction_tables,
    "loss_comparison": loss_tables,
    "scale": scale_tables,
    "al2_noisy_labels": noisy_label_tables,
    "trust": trust_tables,
    "audit": audit_tables,
    "interventions": interventions_tables,
}


def main() -> None:
    """Print the tables that are asked for, or all that there are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"Of {', '.join(TABLES)}.")
    parser.add_argument("--results", type=Path, default=RESULTS, help="Folder of the results files.")
    arguments = parser.parse_args()
    for name in arguments.names or TABLES:
        for path in result_files(name, arguments.results):
            print(f"## {path.stem}\n\n{TABLES[name](json.loads(path.read_text()))}\n")


def result_files(name: str, folder: Path = RESULTS) -> list[Path]:
    """Return NAME.json and NAME-*.json, as far as they are there."""
    alone = [path for path in [folder / f"{name}.json"] if path.is_file()]
    return [*alone, *sorted(folder.glob(f"{name}-*.json"))]


if __name__ == "__main__":
    main()
