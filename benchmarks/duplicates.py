"""Exact search where many of a memory's vectors are equal, or nearly so, against one where none are.

    python -m benchmarks.duplicates [--images 96] [--rounds 3] [--formats float32]

A memory of 7x7 cells of 1,280 sparse random channels (15 % are not 0), stored in float16. In each form a
share of the vectors is replaced by copies: of one vector, of 20, or of one with every entry changed by
2e-4 of it, about what float16 rounds away. Every vector is searched for its 10 nearest outside its own
image, in one call, by a searcher that is made anew; so the time that finding the groups takes is in it. The
forms take turns; times are medians of the rounds, and `times_none` the median, least and greatest ratio to
the memory without copies in the same round. Writes benchmarks/results/duplicates.json.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine, versions
from benchmarks.search import spread
from hueprobe import Memory, memory_from_arrays
from hueprobe.json_documents import json_text
from hueprobe.search.exact.searcher import ExactSearcher

RESULTS = Path(__file__).parent / "results" / "duplicates.json"
K, GRID, CHANNELS, FILLED = 10, (7, 7), 1_280, 0.15
# Name, share of copies, originals, and how far copies differ.
FORMS = (
    ("none", 0.0, 1, 0.0),
    ("one vector, a tenth", 0.1, 1, 0.0),
    ("one vector, half", 0.5, 1, 0.0),
    ("20 vectors, half", 0.5, 20, 0.0),
    ("one vector, nine tenths", 0.9, 1, 0.0),
    ("all equal", 1.0, 1, 0.0),
    ("one vector, half, nearly", 0.5, 1, 2e-4),
)


def memory_with(
    folder: Path, n_images: int, share: float, n_originals: int, spread: float, *, channels: int = CHANNELS
) -> Memory:
    """Make a memory of so many images, a share of whose vectors are copies."""
    rng = np.random.default_rng(0)
    n = n_images * GRID[0] * GRID[1]
    rows = rng.random((n, channels), np.float32) * (rng.random((n, channels)) < FILLED)
    copies = rng.permutation(n)[: round(share * n)]
    rows[copies] = rows[copies[rng.integers(0, n_originals, len(copies))]]
    rows[copies] *= 1 + spread * rng.standard_normal((len(copies), channels), np.float32)
    grids = rows.reshape(n_images, *GRID, channels).transpose(0, 3, 1, 2)
    return memory_from_arrays(folder, grids)


def measured(memories: dict[str, Memory], number_format: str, rounds: int) -> list[dict[str, Any]]:
    """Search each memory for all of its vectors, in turn, so many rounds; return a row each."""
    seconds: dict[str, list[float]] = {name: [] for name in memories}
    certified = {}
    for number in range(rounds + 1):
        for name, memory in memories.items():
            vectors = memory.vectors(np.arange(memory.n_slots))
            own = np.arange(memory.n_slots)[:, None] // memory.grid.n_cells
            searcher = ExactSearcher(memory, products=number_format)
            started = time.perf_counter()
            searcher.search(vectors, K, exclude_images=own)
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
            certified[name] = searcher.certified
    return [
        {
            "format": number_format, "form": name, "n_vectors": int(memory.valid().sum()),
            "n_distinct": len(np.unique(memory.vectors(np.arange(memory.n_slots)), axis=0)),
            "certified": round(certified[name], 4), "seconds": spread(seconds[name]),
            "times_none": spread(np.divide(seconds[name], seconds["none"]).tolist()),
        }
        for name, memory in memories.items()
    ]  # fmt: skip


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96, help="Of 49 vectors each.")
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", nargs="+", default=["float32"])
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results: dict[str, Any] = {"machine": machine(), "versions": versions(), "rounds": arguments.rounds}
    results["rows"] = []
    with tempfile.TemporaryDirectory(prefix="hueprobe-") as folder:
        memories = {
            name: memory_with(
                Path(folder, str(number)), arguments.images, share, n, spread, channels=arguments.channels
            )
            for number, (name, share, n, spread) in enumerate(FORMS)
        }
        for number_format in arguments.formats:
            for row in measured(memories, number_format, arguments.rounds):
                results["rows"].append(row)
                print(json_text(row), flush=True)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json_text(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
