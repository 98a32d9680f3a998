"""Exact search on one device, a GPU above all, at sizes that real images do not reach.

    python -m benchmarks.device_search [--device cuda] [--sizes 1000000 10000000] [--channels 1920]

The memory holds seeded random vectors, as sparse as activations behind a ReLU (9 in 10 entries are 0), on a
7 x 7 grid; it takes 2 bytes an entry on disk (38 GB at 10 million). 980 queries, the vectors of 20 images
with noise, ask for the 10 nearest. In every round, in turn: hueprobe's search; the bare half-precision
product of the same size, in blocks; and product and top-k by torch, which is neither exact nor knows it.
Shares of the device's peak are of the rate at which a square product of 8,192 runs here.
`python -m benchmarks.extraction --device cuda` is the other half: `hueprobe index` beside the bare network.
Writes benchmarks/results/device_search-DEVICE.json.
"""

import argparse
import statistics
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.extraction import seconds
from benchmarks.machine import machine, versions
from hueprobe import Memory
from hueprobe.activations.devices import choose_device
from hueprobe.images.table import unfiled_table
from hueprobe.json_documents import json_text
from hueprobe.memory.filling import Filled, fill_memories
from hueprobe.memory.settings import (
    CLASS_ORDER,
    MemorySettings,
    format_of,
    images_per_shard,
    library_versions,
)
from hueprobe.search.exact.blocks import BLOCK
from hueprobe.search.exact.searcher import ExactSearcher

RESULTS = Path(__file__).parent / "results"
GRID, K, IMAGES_ASKED, BATCH = (7, 7), 10, 20, 256
_SHARE_ZERO, _PEAK_SIZE = 0.9, 8192


def synthetic_memory(folder: Path, n_vectors: int, channels: int, device: torch.device) -> Memory:
    """Fill a memory with about so many sparse random unit vectors, drawn on the device; taken up again."""
    n = round(n_vectors / (GRID[0] * GRID[1]))
    settings = MemorySettings(
        format=format_of("float16"), class_order=CLASS_ORDER, versions=library_versions(),
        backbone="synthetic", layer="",
        closing="relu", table_layer=False, weights="none", weights_sha256="", transform={}, grid=GRID,
        channels=channels, descriptor="pixel", dtype="float16", batch_size=BATCH,
        shard_images=images_per_shard(GRID, channels, "float16", BATCH), device=device.type,
        precision="fp32", seed=0,
    )  # fmt: skip

    def batches(start: int, stop: int) -> Generator[Filled, None, None]:
        for first in range(start, stop, BATCH):
            size = min(BATCH, stop - first)
            generator = torch.Generator(device).manual_seed(first)
            values = torch.rand((size, channels, *GRID), generator=generator, device=device)
            record = {"sha256": "", "width": 0, "height": 0, "readable": True, "reason": None}
            yield [(values - _SHARE_ZERO).clamp_(min=0).cpu().numpy()], [dict(record) for _ in range(size)]

    path = folder / f"{n_vectors}x{channels}.memory"
    (memory,) = fill_memories([path], [settings], unfiled_table(n), batches, progress=True)
    return memory


def noisy_queries(memory: Memory) -> np.ndarray:
    """Return the vectors of 20 images, each entry but the zeros changed by a tenth: unit, (980, C)."""
    rows = np.linspace(0, memory.n_images, IMAGES_ASKED, endpoint=False).astype(int)
    vectors = memory.image_vectors(rows).reshape(-1, memory.n_channels)
    vectors = vectors * np.exp(0.1 * np.random.default_rng(0).standard_normal(vectors.shape, np.float32))
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)  # zeros stay


class Bare:
    """Half-precision products of the queries with as many vectors, block by block, kept on the device."""

    def __init__(self, searcher: ExactSearcher, queries: np.ndarray) -> None:
        self.dtype = torch.float16 if searcher.device.type == "cuda" else torch.bfloat16
        self.queries = torch.from_numpy(queries).to(searcher.device, self.dtype)
        self.block = torch.rand(BLOCK, queries.shape[1], device=searcher.device).to(self.dtype)
        self.n_blocks = -(-searcher.memory.n_slots // BLOCK)

    def product(self) -> None:
        """Multiply."""
        for _ in range(self.n_blocks):
            self.queries @ self.block.T

    def top(self) -> None:
        """Multiply and keep the k highest, as one would write it in torch."""
        best = torch.empty(len(self.queries), 0, device=self.block.device, dtype=self.dtype)
        for _ in range(self.n_blocks):
            best = torch.cat([best, self.queries @ self.block.T], 1).topk(K).values


def peak_rate(device: torch.device) -> float:
    """Return the operations a second of a large square product in bfloat16."""
    size = _PEAK_SIZE if device.type == "cuda" else 1024
    a = torch.rand(size, size, device=device).bfloat16()
    a @ a
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 2 * size**3 / min(seconds(lambda: a @ a, device) for _ in range(10))


def measured(memory: Memory, device: torch.device, rounds: int, peak: float) -> dict[str, Any]:
    """Search, multiply, and multiply with top-k, in turn, so many rounds."""
    queries = noisy_queries(memory)
    searcher = ExactSearcher(memory, device=str(device))
    bare = Bare(searcher, queries)
    first = seconds(lambda: searcher.search(queries, K), device)
    took: dict[str, list[float]] = {"search": [], "product": [], "torch_topk": []}
    for _ in range(rounds):
        took["search"].append(seconds(lambda: searcher.search(queries, K), device))
        took["product"].append(seconds(bare.product, device))
        took["torch_topk"].append(seconds(bare.top, device))
    work = 2 * len(queries) * memory.n_slots * memory.n_channels
    row: dict[str, Any] = {
        "n_vectors": memory.n_slots, "channels": memory.n_channels, "queries": len(queries),
        "format": searcher.format, "certified": searcher.certified, "first_search_seconds": round(first, 3),
    }  # fmt: skip
    for name, values in took.items():
        row[f"{name}_seconds"] = [float(f"{f(values):.4g}") for f in (statistics.median, min, max)]
    ratios = [a / b for a, b in zip(took["torch_topk"], took["search"], strict=True)]
    row["times_torch_topk"] = [float(f"{f(ratios):.4g}") for f in (statistics.median, min, max)]
    row["share_of_peak"] = float(f"{work / statistics.median(took['search']) / peak:.4g}")
    if device.type == "cuda":
        row["peak_device_mb"] = round(torch.cuda.max_memory_allocated(device) / 1e6)
    return row


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/device_search"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--channels", type=int, default=1920)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    results: dict[str, Any] = {"machine": {**machine(), "device": name}, "versions": versions(), "rows": []}
    results["peak_flops"] = peak = peak_rate(device)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    output = arguments.output or RESULTS / f"device_search-{name.replace(' ', '_')}.json"
    for size in arguments.sizes:
        memory = synthetic_memory(arguments.folder, size, arguments.channels, device)
        results["rows"].append(measured(memory, device, arguments.rounds, peak))
        print(json_text(results["rows"][-1]), flush=True)
        output.write_text(json_text(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
