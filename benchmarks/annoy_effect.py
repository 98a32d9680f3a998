"""What Annoy in place of exact search does to observations 3 and 4, by trees and search_k.

    python -m benchmarks.annoy_effect [--folder out/annoy_effect] [--per-block 3]

All 800 images of Caltech 101 (20 classes x 40) are in memory. A few images of each class are queries and
leave themselves out: `--per-block` of each class in each of the four blocks of claim 3b. The blocks are
memories of their own with indexes of their own. (`hueprobe observe --searcher annoy` searches blocks
exactly.) Needs the real images ($HUEPROBE_SHARED, default ../shared). Memories are kept in --folder and taken
up again. Writes benchmarks/results/annoy_effect.json and prints the table.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import SHARED
from benchmarks.machine import machine, versions
from hueprobe import KernelDensityClassifier, Memory, images
from hueprobe.json_documents import json_text
from hueprobe.matches import Matches
from hueprobe.memory import build_memory, memory_from_arrays
from hueprobe.observations.conditional.conditional import measure as measure_conditional
from hueprobe.observations.locations.blocks import block_labels, default_blocks
from hueprobe.observations.locations.maps import measure as measure_locations
from hueprobe.stats.intervals import Interval

RESULTS = Path(__file__).parent / "results" / "annoy_effect.json"
SET, NETWORK = "caltech101_20x40", "efficientnet_lite0"
TREES = (5, 10, 50)
SEARCH_K = (None, 1_000, 10_000)
K = 10


def memories_of(folder: Path) -> tuple[Memory, list[Memory], np.ndarray]:
    """Return the memory of all images, one of each block's, and the block of each image."""
    table = images.from_folder(SHARED / "images" / SET)
    memory = build_memory(folder / f"{SET}-{NETWORK}.memory", table, backbone=NETWORK, progress=True)
    return memory, *blocks_of(memory, folder)


def blocks_of(memory: Memory, folder: Path) -> tuple[list[Memory], np.ndarray]:
    """Return a memory of each block's images, and the block of each image."""
    n_blocks = default_blocks(len(memory.classes))
    keys = [sha or path for sha, path in zip(memory.sha256, memory.images.paths, strict=True)]
    labels = block_labels(keys, memory.image_class, n_blocks=n_blocks)
    blocks = []
    for block in range(n_blocks):
        rows = np.flatnonzero(labels == block)
        vectors = memory.image_vectors(rows).reshape(len(rows), *memory.grid.shape, -1)
        names = [memory.classes[c] for c in memory.image_class[rows]]
        path = folder / f"{SET}-{NETWORK}-block{block}.memory"
        blocks.append(memory_from_arrays(path, vectors.transpose(0, 3, 1, 2), names, overwrite=True))
    return blocks, labels


def first_of_each(image_class: np.ndarray, n: int) -> np.ndarray:
    """Return the rows of the first `n` images of each class, ascending."""
    return np.sort(np.concatenate([np.flatnonzero(image_class == c)[:n] for c in np.unique(image_class)]))


def searched(memory: Memory, rows: np.ndarray, searcher: str) -> Matches:
    """Return the matches of chosen images of a memory, each image left out."""
    found = KernelDensityClassifier(memory, k=K, searcher=searcher).leave_one_out(rows=rows).matches
    assert found is not None  # keep_matches is not False
    return found


def numbers_of(whole: Matches, blocks: list[Matches]) -> dict[str, Interval]:
    """Return the numbers that claims 3 and 4 are decided by."""
    where = measure_locations(whole, blocks=blocks)
    given = measure_conditional(whole, seed=0, n_permutations=1)  # bits, which need them, are not told
    assert where.blocked is not None  # blocks were given
    return {
        "rho same": where.rho_same,
        "rho other": where.rho_other,
        "class positions, cells": where.blocked.both.effect,
        "stay-put excess": given.all.stay_excess,
        "spread, adjusted, cells": given.spread.adjusted,
        "tangential excess, same": given.tangential[0].same.excess,
    }


def recall(found: Matches, truth: Matches) -> float:
    """Return the share of the true matches that were found."""

    def keys(matches: Matches) -> np.ndarray:
        sizes = (len(matches.query_paths), matches.query_grid.n_cells, len(matches.image_paths))
        places = (matches.query_image, matches.query_cell, matches.image, matches.match_cell)
        return np.ravel_multi_index(places, (*sizes, matches.grid.n_cells))

    return float(np.isin(keys(truth), keys(found)).mean())


def row(found: list[Matches], truth: list[Matches]) -> dict[str, Any]:
    """Return recall and numbers of the whole memory's matches (first) and of the blocks'."""
    numbers = numbers_of(found[0], found[1:])
    in_blocks = [recall(*pair) for pair in zip(found[1:], truth[1:], strict=True)]
    return {
        "recall_at_10": recall(found[0], truth[0]),
        "recall_at_10_in_blocks": float(np.mean(in_blocks)),
        "numbers": {
            name: {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
            for name, interval in numbers.items()
        },
    }


def measure(memory: Memory, blocks: list[Memory], labels: np.ndarray, per_block: int) -> list[dict[str, Any]]:
    """Measure exact search, then Annoy with every number of trees and every search_k."""
    of_blocks = [first_of_each(block.image_class, per_block) for block in blocks]
    asked = np.sort(np.concatenate([np.flatnonzero(labels == b)[rows] for b, rows in enumerate(of_blocks)]))
    asked_of = [(memory, asked), *zip(blocks, of_blocks, strict=True)]
    truth = [searched(one, rows, "exact") for one, rows in asked_of]
    rows: list[dict[str, Any]] = [{"searcher": "exact", "queries": len(asked), **row(truth, truth)}]
    for trees in TREES:
        for search_k in SEARCH_K:
            spec = f"annoy:trees={trees}" + (f",search_k={search_k}" if search_k else "")
            found = [searched(one, images, spec) for one, images in asked_of]
            rows.append({"searcher": spec, "trees": trees, "search_k": search_k, **row(found, truth)})
            print(json_text(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure, write and print."""
    from benchmarks.tables import annoy_effect_tables

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/annoy_effect"))
    parser.add_argument("--per-block", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine(), "versions": versions(), "set": SET, "network": NETWORK}
    memory, blocks, labels = memories_of(arguments.folder)
    results["rows"] = measure(memory, blocks, labels, arguments.per_block)
    arguments.output.write_text(json_text(results, indent=1) + "\n")
    print(annoy_effect_tables(results))


if __name__ == "__main__":
    main()
