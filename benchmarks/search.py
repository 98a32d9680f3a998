"""Search against FAISS and Annoy on real activations, all in one process, round by round.

    python -m benchmarks.search [--folder out/search] [--sizes 10000 88200 1000000] [--rounds 5]

Real activations: EfficientNet-Lite0, all images of the three sets in $HUEPROBE_SHARED/data/images
(default ../shared): 1,800 images, 88,200 vectors of 1,280 channels ("88k"). 10k is every eighth
image; 1M is all of them and then copies whose entries are multiplied by seeded noise, as far from their
origin as a real tenth neighbor; it is larger than hueprobe's budget of 1 GiB and is searched from disk.

Everyone does the same: the 10 nearest vectors outside the query's own image, for 980 queries (20
images) at once, and for one image's 49. FAISS and Annoy are called directly, without hueprobe's exact
distances: they are asked for 59 and their own image's are dropped. 16,384 queries at once, the memory's own
vectors, are asked of hueprobe and FAISS Flat alone, in three rounds, where there are up to 100,000 vectors.
"FAISS Flat, bare" does less: the 10 nearest with the own image among them. All may use all threads (Annoy's
queries run in a thread pool). Speeds are medians of the rounds; ratios to FAISS Flat and to hueprobe are
taken within a round, and their median, least and greatest are kept. Writes
benchmarks/results/search-PROCESSOR.json; `python -m benchmarks.tables` makes tables of it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.competitors import PANORAMA, AnnoyDirect, Competitor, Exact, FaissDirect, FlatBare
from benchmarks.machine import machine, processor_name, versions
from benchmarks.search_memories import real_memory, sized_memory
from hueprobe import KernelDensityClassifier, Memory, open_memory, open_searcher
from hueprobe.json_documents import json_text
from hueprobe.search.exact.formats import sound_formats
from hueprobe.search.exact.searcher import ExactSearcher
from hueprobe.search.recall import share_found

RESULTS = Path(__file__).parent / "results"
K, IMAGES_ASKED, MANY = 10, 20, 16_384
CPU = torch.device("cpu")
FLAT, OURS = "FAISS Flat", "hueprobe exact"


def competitors(memory: Memory, *, approximate: bool, flat: bool) -> list[Competitor]:
    """Build everyone who takes part at this size."""
    taking_part: list[Any] = [Exact(OURS, ExactSearcher(memory))]
    if approximate:  # a memory that fits: every format of the first pass too
        taking_part += [
            Exact(f"{OURS}, {name}", ExactSearcher(memory, products=name)) for name in sound_formats(CPU)
        ]
    if flat:
        flat_index = FaissDirect(FLAT, memory, "Flat", {})
        taking_part += [flat_index, FlatBare("FAISS Flat, bare", flat_index)]
    if approximate:
        panorama = PANORAMA.format(channels=memory.n_channels)
        taking_part.append(FaissDirect(f"FAISS {panorama}", memory, panorama, {}, l2=True))
        taking_part += FaissDirect.several(memory, "HNSW32", "efSearch", (64, 128, 256))
        lists = 2 ** min(10, int(np.log2(memory.n_slots / 39)))
        taking_part += FaissDirect.several(memory, f"IVF{lists},Flat", "nprobe", (4, 16, 64))
        taking_part += AnnoyDirect.several(memory, 10, (-1, 5_000, 20_000))
        taking_part += AnnoyDirect.several(memory, 50, (-1, 20_000))
        taking_part.append(taking_part[-1].in_one_thread())
    return taking_part


def measured(
    memory: Memory, everyone: list[Competitor], rows: np.ndarray, rounds: int, *, n_queries: int | None = None
) -> list[dict[str, Any]]:
    """Query everyone with the vectors of some images (the first so many), round by round; one row each."""
    n_cells = memory.grid.n_cells
    vectors = memory.image_vectors(rows).reshape(len(rows) * n_cells, -1)[:n_queries]
    own = np.repeat(rows, n_cells)[:n_queries]
    seconds: dict[str, list[float]] = {part.name: [] for part in everyone}
    calls = max(1, 980 // len(vectors) // 4)  # of a short batch, a round takes the median of several
    for part in everyone:
        part.ask(vectors, own, K)  # warm
    for _ in range(rounds):
        for part in everyone:
            took = [_seconds(partial(part.ask, vectors, own, K)) for _ in range(calls)]
            seconds[part.name].append(statistics.median(took))
    truth = everyone[0].neighbors(memory, vectors, own, K)
    found = []
    for part in everyone:
        row: dict[str, Any] = {"n_vectors": int(memory.valid().sum()), "queries": len(vectors)}
        row |= {"searcher": part.name, **part.facts}
        row["queries_per_second"] = spread([len(vectors) / value for value in seconds[part.name]])
        for name, other in (("times_flat", FLAT), ("times_ours", OURS)):
            if other in seconds:
                pairs = zip(seconds[other], seconds[part.name], strict=True)
                row[name] = spread([base / value for base, value in pairs])
        if part.excludes:
            row["recall_at_10"] = round(share_found(part.neighbors(memory, vectors, own, K), truth), 5)
        if isinstance(part, Exact):
            row |= {"format": part.searcher.format, "certified": part.searcher.certified}
        found.append(row)
        print(json_text(row), flush=True)
    return found


def density_shares(memory: Memory, rounds: int) -> list[dict[str, float]]:
    """Return seconds of search and of density and match table, and the median of their ratios.

    One row each for 1, 20 and 334 images at once, the last being a batch of leave-one-out.
    """
    classifier = KernelDensityClassifier(memory, k=K)
    rows = []
    for n in (1, IMAGES_ASKED, 334):
        vectors = memory.image_vectors(np.linspace(0, memory.n_images, n, endpoint=False).astype(int))
        grids = vectors.reshape(len(vectors), *memory.grid.shape, -1).transpose(0, 3, 1, 2)
        parts = [classifier.classify_activations(grids).seconds for _ in range(rounds + 1)][1:]
        row: dict[str, float] = {"n_vectors": int(memory.valid().sum()), "images": n}
        for name in ("search", "density"):
            row[name] = statistics.median(part[name] for part in parts)
        row["share"] = statistics.median(part["density"] / part["search"] for part in parts)
        rows.append(row)
        print(json_text(row), flush=True)
    return rows


def peak_memory(path: Path) -> dict[str, float]:
    """Search in a process of its own; return its anonymous MB before, at most, and the difference."""
    command = [sys.executable, "-m", "benchmarks.search", "--anonymous", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _anonymous(path: Path) -> None:
    """Print what `peak_memory` returns; RssAnon is read every 5 ms, since it keeps no record of its peak."""
    memory = open_memory(path)
    rows = np.arange(min(IMAGES_ASKED, memory.n_images))
    vectors = memory.image_vectors(rows).reshape(-1, memory.n_channels)
    own = np.repeat(rows, memory.grid.n_cells)[:, None]
    before, peaks, done = _rss_anon(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peaks.append(_rss_anon())

    watcher = threading.Thread(target=watch)
    watcher.start()
    open_searcher(memory).search(vectors, K, exclude_images=own)
    done.set()
    watcher.join()
    print(json_text({"before_mb": before, "peak_mb": max(peaks), "over_start_mb": max(peaks) - before}))


def _rss_anon() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("RssAnon"))


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(values: list[float]) -> list[float]:
    """Return median, least and greatest, to four digits."""
    return [float(f"{function(values):.4g}") for function in (statistics.median, min, max)]


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/search"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 88_200, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--approximate-up-to", type=int, default=100_000, help="Vectors; builds take hours.")
    parser.add_argument("--flat-up-to", type=int, default=1_100_000, help="Vectors; float32 in RAM.")
    parser.add_argument("--output", type=Path, default=RESULTS / f"search-{processor_name()}.json")
    parser.add_argument("--anonymous", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.anonymous:
        _anonymous(arguments.anonymous)
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": machine(), "versions": versions(), "rounds": arguments.rounds}
    results |= {"rows": [], "density": [], "memory": []}
    real = real_memory(arguments.folder)
    for size in arguments.sizes:
        memory = sized_memory(arguments.folder, real, size)
        everyone = competitors(
            memory, approximate=size <= arguments.approximate_up_to, flat=size <= arguments.flat_up_to
        )
        n_asked = min(real.n_images, memory.n_images)
        asked = np.linspace(0, n_asked, IMAGES_ASKED, endpoint=False).astype(int)
        for rows in (asked, asked[:1]):
            results["rows"] += measured(memory, everyone, rows, arguments.rounds)
        if size <= arguments.approximate_up_to:
            exact = [one for one in everyone if one.name in (OURS, FLAT)]
            rows = np.linspace(0, memory.n_images, -(-MANY // memory.grid.n_cells), endpoint=False).astype(
                int
            )
            rounds = min(3, arguments.rounds)
            results["rows"] += measured(memory, exact, rows, rounds, n_queries=MANY)
        del everyone
        n_vectors = int(memory.valid().sum())
        results["memory"].append({"n_vectors": n_vectors, **peak_memory(memory.path)})
        print(json_text(results["memory"][-1]), flush=True)
        if memory.path == real.path:
            results["density"] += density_shares(memory, arguments.rounds)
        arguments.output.parent.mkdir(exist_ok=True)
        arguments.output.write_text(json_text(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
