"""Memories of dtype `sparse16` against float16: bytes on disk, and the time to build, open, read and search.

    python -m benchmarks.compact_shards [--folder out/compact] [--networks resnet50 ...] [--rounds 5]

Real weights and images of $HUEPROBE_SHARED/data (default ../shared), as in `benchmarks.search_networks`, of
the four networks that end in a ReLU. Each memory is built by its network in both dtypes; all rows, and the
neighbors of 980 queries, are compared bit for bit. Then both take turns in every round:

- `index` of 64 images, and storing the activations of 256 that are in RAM, without a network;
- opening the memory; reading 10,000 rows drawn at random, and all rows in order;
- exact search of one image's queries and of 980: by a new searcher, which reads every row, and again by one
  that has, which reads the rows of its candidates.

"Cold" is after the memory's files were dropped from the page cache. A virtual machine's host may still have
them. Where there is no native code, NumPy unpacks the rows; that is measured too. For comparison, the bytes
that other layouts of the same rows would take are counted: 16-bit indices of the nonzero values, and 8-bit
gaps between them (255 means that a 16-bit gap follows). Writes benchmarks/results/compact_shards.json.
"""

import argparse
import gc
import os
import shutil
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.machine import machine, versions
from benchmarks.search_memories import IMAGES
from benchmarks.search_networks import NETWORKS, nonzero_share
from hueprobe import Memory, build_memory, images, open_memory
from hueprobe.activations import load_backbone
from hueprobe.images.table import unfiled_table
from hueprobe.json_documents import json_text
from hueprobe.memory import sparse_rows
from hueprobe.memory.filling import Filled, fill_memories
from hueprobe.memory.settings import MemorySettings, format_of
from hueprobe.search.exact.searcher import ExactSearcher

RESULTS = Path(__file__).parent / "results" / "compact_shards.json"
DTYPES = ("float16", "sparse16")
CLOSED = [name for name in NETWORKS if "signed" not in name]
N_BUILT, N_STORED, N_ROWS, N_QUERIES, K = 64, 256, 10_000, 980, 10


def built(folder: Path, network: str, dtype: str, n: int | None = None) -> Memory:
    """Extract a network's activations of all images, or of the first n; taken up again where it is there."""
    table = images.from_folder(IMAGES / ("dtd_10x40" if network == "squeezenet1_1" else "caltech101_20x40"))
    chosen = table if n is None else table.select(range(n))
    return build_memory(folder / f"{network}-{dtype}.memory", chosen, dtype=dtype, **loaded(network))


_loaded: dict[str, Any] = {}


def loaded(network: str) -> dict[str, Any]:
    """Return the network, loaded once."""
    if network not in _loaded:
        options = dict(NETWORKS[network])
        _loaded[network] = load_backbone(options.pop("backbone"), **options)
    return {"backbone": _loaded[network]}


def files_of(memory: Path) -> list[Path]:
    """Return the memory's files."""
    return [path for path in memory.rglob("*") if path.is_file()]


def dropped(memory: Path) -> None:
    """Drop a memory's files from the page cache; nobody may have mapped them."""
    gc.collect()
    for path in files_of(memory):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


class Turns:
    """What each dtype took in every round, by name."""

    def __init__(self) -> None:
        self._took: dict[str, dict[str, list[float]]] = {}

    def time(
        self, name: str, dtype: str, work: Callable[..., Any], path: Path | None = None, drop: bool = False
    ) -> None:
        """Time one turn, `work(path)`, after the files at the path were dropped if wanted."""
        if path is not None and drop:
            dropped(path)
        started = time.perf_counter()
        work() if path is None else work(path)
        self._took.setdefault(name, {}).setdefault(dtype, []).append(time.perf_counter() - started)

    def summary(self) -> dict[str, Any]:
        """Return milliseconds and the ratio to float16: median, least, greatest."""
        found: dict[str, Any] = {}
        for name, took in self._took.items():
            ratios = [a / b for a, b in zip(took["sparse16"], took["float16"], strict=True)]
            found[name] = {dtype: three([1000 * value for value in took[dtype]]) for dtype in DTYPES}
            found[name]["ratio"] = three(ratios)
        return found


def three(values: list[float]) -> list[float]:
    """Return median, least and greatest."""
    return [float(f"{f(values):.4g}") for f in (statistics.median, min, max)]


def stored(path: Path, settings: MemorySettings, activations: np.ndarray) -> None:
    """Store activations (n, C, H, W) that are in RAM."""
    record = {"sha256": "", "width": 0, "height": 0, "readable": True, "reason": None}

    def batches(start: int, stop: int) -> Generator[Filled, None, None]:
        for first in range(start, stop, settings.batch_size):
            part = activations[first : min(first + settings.batch_size, stop)]
            yield [part], [dict(record) for _ in part]

    fill_memories([path], [settings], unfiled_table(len(activations)), batches)


def build_turns(turns: Turns, folder: Path, network: str, dense: Memory, rounds: int) -> None:
    """Time `index`, and the storing alone."""
    vectors = dense.image_vectors(np.arange(N_STORED)).reshape(N_STORED, *dense.grid.shape, -1)
    activations = np.ascontiguousarray(vectors.transpose(0, 3, 1, 2))
    path = folder / "turn"
    for number in range(rounds):
        for dtype in in_turn(number):
            shutil.rmtree(path, ignore_errors=True)
            settings = msgspec.structs.replace(dense.settings, dtype=dtype, format=format_of(dtype))
            turns.time("store", dtype, lambda its=settings: stored(path, its, activations))
            shutil.rmtree(path)
            turns.time("index", dtype, lambda its=dtype: built(path, network, its, N_BUILT))
            shutil.rmtree(path)


def read_turns(turns: Turns, paths: dict[str, Path], asked: Sequence[np.ndarray], rounds: int) -> None:
    """Time opening, reading and searching, cold and warm."""
    for number in range(rounds):
        for dtype in in_turn(number):
            for state in ("cold", "warm"):
                drop = state == "cold"
                turns.time(f"open, {state}", dtype, lambda path: open_memory(path), paths[dtype], drop)
                turns.time(f"rows at random, {state}", dtype, read_rows, paths[dtype], drop)
                turns.time(f"all rows, {state}", dtype, read_all, paths[dtype], drop)
                for queries in asked:
                    name = f"{len(queries)} queries, new, {state}"
                    turns.time(name, dtype, partial(search_anew, queries), paths[dtype], drop)
            searcher = ExactSearcher(open_memory(paths[dtype]))
            for queries in asked:
                searcher.search(queries, K)
                turns.time(f"{len(queries)} queries, again", dtype, partial(searcher.search, queries, K))
            del searcher


def numpy_turns(turns: Turns, paths: dict[str, Path], rounds: int) -> None:
    """Time the reading of rows where there is no native code to unpack them."""
    native, sparse_rows._sparse = sparse_rows._sparse, None
    for number in range(rounds):
        for dtype in in_turn(number):
            turns.time("rows at random, warm, by NumPy", dtype, read_rows, paths[dtype])
    sparse_rows._sparse = native


def in_turn(number: int) -> Sequence[str]:
    """Return the dtypes, each the first in every other round."""
    return DTYPES[:: 1 if number % 2 else -1]


def read_rows(path: Path) -> None:
    """Open a memory and read some rows."""
    memory = open_memory(path)
    memory.vectors(np.random.default_rng(0).integers(0, memory.n_slots, N_ROWS))


def read_all(path: Path) -> None:
    """Open a memory and read it from start to end."""
    for _ in open_memory(path).blocks():
        pass


def search_anew(queries: np.ndarray, path: Path) -> None:
    """Open a memory and search it once."""
    ExactSearcher(open_memory(path)).search(queries, K)


def layouts(memory: Memory) -> dict[str, float]:
    """Return the bytes of a row in float16, in `sparse16` and in layouts that were not taken."""
    n_values = n_gaps = 0
    for _, rows in memory.raw_blocks(4_096):
        row, column = np.nonzero(rows)
        gap = np.diff(column, prepend=0)
        begins = np.append(True, np.diff(row) != 0)
        gap[begins] = column[begins]
        n_values += len(column)
        n_gaps += int((gap >= 255).sum())
    n, channels = memory.n_slots, memory.n_channels
    place = 8
    return {
        "float16": 2.0 * channels,
        "bitmap and values": sparse_rows.packed_size(channels, n_values / n / channels),
        "16-bit indices and values": 4 * n_values / n + place,
        "8-bit gaps and values": (3 * n_values + 2 * n_gaps) / n + place,
    }


def measure(folder: Path, network: str, rounds: int) -> dict[str, Any]:
    """Return everything on one network."""
    memories = {dtype: built(folder, network, dtype) for dtype in DTYPES}
    dense, sparse = memories.values()
    rows = np.linspace(0, dense.n_images, -(-N_QUERIES // dense.grid.n_cells), endpoint=False).astype(int)
    asked = dense.image_vectors(rows).reshape(-1, dense.n_channels)[:N_QUERIES]
    same_rows = all(
        np.array_equal(a.view(np.uint16), b.view(np.uint16))
        for (_, a), (_, b) in zip(dense.raw_blocks(4_096), sparse.raw_blocks(4_096), strict=True)
    )
    found = [ExactSearcher(memory).search(asked, K) for memory in memories.values()]
    same_neighbors = np.array_equal(found[0].ids, found[1].ids) and np.array_equal(
        found[0].distances.view(np.int64), found[1].distances.view(np.int64)
    )
    if not (same_rows and same_neighbors):
        raise SystemExit(f"{network}: the two memories differ")
    kept = {dtype: sum(p.stat().st_size for p in files_of(m.path)) for dtype, m in memories.items()}
    vectors = {
        dtype: sum(p.stat().st_size for p in m.path.glob("shards/*.vectors.*"))
        for dtype, m in memories.items()
    }
    paths = {dtype: memory.path for dtype, memory in memories.items()}
    described = {
        "network": network,
        "images": dense.n_images,
        "n_vectors": dense.n_slots,
        "channels": dense.n_channels,
        "n_cells": dense.grid.n_cells,
        "nonzero": nonzero_share(dense),
        "bytes": kept,
        "vector_bytes": vectors,
        "saved": sparse.saved,
        "layouts": {name: round(size, 1) for name, size in layouts(dense).items()},
    }
    turns = Turns()
    build_turns(turns, folder, network, dense, rounds)
    one_image = dense.grid.n_cells
    del memories, dense, sparse
    read_turns(turns, paths, [asked[:one_image], asked], rounds)
    numpy_turns(turns, paths, rounds)
    return {**described, "turns": turns.summary()}


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/compact"))
    parser.add_argument("--networks", nargs="+", choices=CLOSED, default=CLOSED)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "machine": machine(), "versions": versions(), "rounds": arguments.rounds, "images_built": N_BUILT,
        "images_stored": N_STORED, "rows_at_random": N_ROWS, "k": K, "rows": [],
    }  # fmt: skip
    for network in arguments.networks:
        results["rows"].append(measure(arguments.folder, network, arguments.rounds))
        arguments.output.write_text(json_text(results, indent=1) + "\n")
        print(json_text(results["rows"][-1]), flush=True)


if __name__ == "__main__":
    main()
