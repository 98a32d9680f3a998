"""A FAISS index built by pieces: seconds, peak memory, recall by the number of re-ranked candidates.

    python -m benchmarks.approximate_scale [--folder out/approximate_scale] [--vectors 500000]

The vectors are made: max(0, W z + e) with 16 normal z and 128 channels, 49 of an image around its own z. Each
build is a process of its own, whose RssAnon is read every 20 ms (pages of mapped files are not counted).
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine, versions
from benchmarks.memory_use import peak_anonymous
from hueprobe import Memory, memory_from_arrays, open_memory, open_searcher
from hueprobe.json_documents import json_text
from hueprobe.search.approximate import n_threads
from hueprobe.search.index import StoredIndex
from hueprobe.search.recall import sample_queries, share_found

RESULTS = Path(__file__).parent / "results" / "approximate_scale.json"
CHANNELS, CELLS, N_QUERIES, K = 128, 49, 500, 10
INDEX, NPROBE = "faiss:IVF1024,PQ16np;train=65536", 64
PIECES = (65_536, 1 << 20)  # vectors of a piece; the second is what hueprobe uses
_BUILD = """
import sys
from pathlib import Path
from hueprobe import open_memory
from hueprobe.search import faiss_build
from hueprobe.search.index import StoredIndex
memory, spec, folder, piece = open_memory(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
if piece:
    faiss_build._PIECE_VECTORS = piece
    StoredIndex(memory, spec).write(folder)
"""


def made_memory(folder: Path, n_vectors: int) -> Memory:
    """Return a memory of made vectors, in float16."""
    path = folder / f"{n_vectors}.memory"
    if path.is_dir():
        return open_memory(path)
    rng, n = np.random.default_rng(0), n_vectors // CELLS
    weights = rng.standard_normal((16, CHANNELS)).astype(np.float32)
    values = np.empty((n, CHANNELS, 7, 7), np.float32)
    for image in values:
        z = rng.standard_normal((1, 16)) + 0.7 * rng.standard_normal((CELLS, 16))
        cells = z.astype(np.float32) @ weights + rng.standard_normal((CELLS, CHANNELS), np.float32)
        image[:] = np.maximum(cells, 0).T.reshape(CHANNELS, 7, 7)
    return memory_from_arrays(path, values)


def builds(memory: Memory, spec: str, folder: Path) -> list[dict[str, Any]]:
    """Build an index in processes of their own, in small pieces and in large ones."""
    rows = []
    for piece in (0, *PIECES):  # the first opens the memory alone
        site = folder / f"build-{piece}"
        site.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", _BUILD, str(memory.path), spec, str(site), str(piece)]
        peak, seconds = peak_anonymous(command)
        size = sum(file.stat().st_size for file in site.glob("index.faiss"))
        rows.append(
            {
                "spec": spec, "piece": piece, "peak_rss_anon_mb": round(peak / 1e6, 1),
                "seconds": round(seconds, 1), "index_mb": round(size / 1e6, 1),
            }
        )  # fmt: skip
        print(json_text(rows[-1]), flush=True)
        for file in site.iterdir():
            file.unlink()
    return rows


def searches(memory: Memory) -> list[dict[str, Any]]:
    """Time exact search and the index with more and more candidates, on the memory's own vectors."""
    vectors, excluded = sample_queries(memory, N_QUERIES, seed=1)
    exact = open_searcher(memory)
    truth = exact.search(vectors, K, exclude_images=excluded)
    rows = []
    settings = ["", ",rerank=100", ",rerank=1000", ",ondisk=1,rerank=100"]
    for spec in ["exact", *(f"{INDEX},nprobe={NPROBE}{setting}" for setting in settings)]:
        searcher, seconds = open_searcher(memory, spec), []
        for _ in range(3):
            started = time.perf_counter()
            found = searcher.search(vectors, K, exclude_images=excluded)
            seconds.append(time.perf_counter() - started)
        rows.append(
            {
                "searcher": searcher.spec.text,
                "recall_at_10": round(share_found(found, truth), 4),
                "ms_per_query": round(1000 * sorted(seconds)[1] / len(vectors), 3),
            }
        )
        print(json_text(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Build and search once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/approximate_scale"))
    parser.add_argument("--vectors", type=int, default=500_000)
    arguments = parser.parse_args()
    memory = made_memory(arguments.folder, arguments.vectors)
    flat = INDEX.replace("PQ16np", "Flat")
    rows = [*builds(memory, INDEX, arguments.folder), *builds(memory, flat, arguments.folder)]
    StoredIndex(memory, INDEX).build()
    results = {
        "machine": machine(), "versions": versions(), "threads": n_threads(),
        "n_vectors": int(memory.valid().sum()), "channels": CHANNELS, "queries": N_QUERIES,
        "builds": rows, "searches": searches(memory),
    }  # fmt: skip
    RESULTS.write_text(json_text(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
