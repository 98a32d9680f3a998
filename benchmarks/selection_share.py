"""Share of time of exact search that selection and re-ranking take, by network.

    python -m benchmarks.selection_share [--folder out/search] [--networks resnet50 ...] [--rounds 9]

980 queries of the memory's own vectors look for their 10 nearest outside their image, as in
`benchmarks.search_networks`. Products and selection are one pass; so the pass is measured twice, once with
bounds that no product exceeds. The difference is what selection takes. For comparison, the same with all
products written out and searched by `numpy.argpartition`. Writes
benchmarks/results/selection_share-PROCESSOR.json: medians in milliseconds, and shares of the whole search.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine, processor_name, versions
from benchmarks.search_networks import NETWORKS, RESULTS, memory_of
from hueprobe import Memory
from hueprobe.json_documents import json_text
from hueprobe.search.exact.fixed_point import FixedBlock, FixedCandidates
from hueprobe.search.exact.searcher import ExactSearcher
from hueprobe.search.reranking import rerank

N_QUERIES, K, WIDTH = 980, 10, 18
WRITTEN = 49  # queries whose products are written out at once


def shares(memory: Memory, rounds: int) -> dict[str, Any]:
    """Measure a memory; all parts take turns."""
    n_cells = memory.grid.n_cells
    images = np.linspace(0, memory.n_images, -(-N_QUERIES // n_cells), endpoint=False).astype(int)
    queries = memory.image_vectors(images).reshape(-1, memory.n_channels)[:N_QUERIES]
    own = np.repeat(images, n_cells)[:N_QUERIES, None]
    searcher = ExactSearcher(memory)
    searcher.search(queries, K, exclude_images=own)
    blocks = [block for block in searcher.quantized.blocks() if isinstance(block, FixedBlock)]
    if not blocks:
        return {"format": searcher.format}

    def one_pass(*, selecting: bool) -> FixedCandidates:
        candidates = FixedCandidates(queries, WIDTH, own, n_cells)
        if not selecting:
            candidates._left.fill(np.iinfo(np.int32).max)  # the bound of every query
        for block in blocks:
            candidates.take(block)
        return candidates

    ids, _ = one_pass(selecting=True).result(K)
    written = queries[:WRITTEN] @ memory.vectors(np.flatnonzero(memory.valid())).T
    parts: dict[str, Callable[[], Any]] = {
        "search": partial(searcher.search, queries, K, exclude_images=own),
        "products": partial(one_pass, selecting=False),
        "products and selection": partial(one_pass, selecting=True),
        "ranking": partial(rerank, memory, queries, ids, K),
        f"selection from {WRITTEN} written rows": partial(np.argpartition, written, -WIDTH, axis=1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, part in parts.items():
            started = time.perf_counter()
            part()
            seconds[name].append(time.perf_counter() - started)
    median = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
    selection = statistics.median(
        max(0.0, whole - products)
        for whole, products in zip(seconds["products and selection"], seconds["products"], strict=True)
    )
    row: dict[str, Any] = {
        "format": searcher.format,
        "ms": {name: round(value, 2) for name, value in median.items()},
    }
    row["selection_share"] = round(1000 * selection / median["search"], 3)
    row["ranking_share"] = round(median["ranking"] / median["search"], 3)
    return row


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/search"))
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    output = arguments.output or RESULTS / f"selection_share-{processor_name()}.json"
    results: dict[str, Any] = {"machine": machine(), "versions": versions(), "rounds": arguments.rounds}
    results["rows"] = []
    for network in arguments.networks:
        memory = memory_of(arguments.folder, network)
        row: dict[str, Any] = {
            "network": network,
            "n_vectors": int(memory.valid().sum()),
            "queries": N_QUERIES,
        }
        results["rows"].append(row | shares(memory, arguments.rounds))
        print(json_text(results["rows"][-1]), flush=True)
    output.write_text(json_text(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
