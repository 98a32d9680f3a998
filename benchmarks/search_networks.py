"""Exact search by number format against FAISS Flat, on networks whose activations differ.

    python -m benchmarks.search_networks [--folder out/search] [--networks resnet50 ...] [--rounds 5]
                                         [--instructions avx2]

Real weights and real images of $HUEPROBE_SHARED/data (default ../shared): the 800 of Caltech 101, for
SqueezeNet the 400 of DTD, whose grids are 13 x 13. Four networks end in a ReLU; the fifth memory is of
EfficientNet-Lite0's `conv_head`, before its normalization and ReLU, whose activations are of either sign.

Everyone finds the 10 nearest vectors outside the query's own image, as in `benchmarks.search`, for one
image's queries, for 980 and for 16,384 at once (the memory's own vectors). They take turns, so many rounds,
three of 16,384. Of these only the format that hueprobe chose and Flat take part. Otherwise so do the formats
that take at most 4 times as long as the best in a trial (which is kept), and FAISS's Panorama index, which
prunes exactly. Writes benchmarks/results/search_networks-PROCESSOR.json.

With `--instructions avx2`, everyone's libraries (hueprobe, torch, MKL, oneDNN, FAISS, OpenBLAS) are told by
environment variables to use nothing beyond AVX2: a processor with AVX-512 then stands in for one without.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.competitors import PANORAMA, Exact, FaissDirect
from benchmarks.machine import machine, processor_name, restrict_instructions, versions
from benchmarks.search import FLAT, OURS, measured
from benchmarks.search_memories import IMAGES
from hueprobe import Memory, build_memory
from hueprobe.json_documents import json_text
from hueprobe.search.exact.formats import pass_seconds, sample_of, sound_formats
from hueprobe.search.exact.searcher import ExactSearcher

RESULTS = Path(__file__).parent / "results"
WEIGHTS = IMAGES.parent / "weights"
QUERIES = (980, 16_384)
SLOW = 4  # times the best format in a trial: takes no part
NETWORKS: dict[str, dict[str, Any]] = {
    "efficientnet_lite0": {"backbone": "efficientnet_lite0"},
    "resnet50": {
        "backbone": "benchmarks.networks:resnet50_v1",
        "weights": WEIGHTS / "resnet50_v1.fp16.safetensors",
    },
    "mobilenet_v2": {
        "backbone": "benchmarks.networks:mobilenet_v2_tf",
        "weights": WEIGHTS / "mobilenet_v2_tf.fp16.safetensors",
    },
    "squeezenet1_1": {
        "backbone": "benchmarks.networks:squeezenet1_1",
        "weights": WEIGHTS / "squeezenet1_1.fp16.safetensors",
    },
    "efficientnet_lite0, signed": {"backbone": "efficientnet_lite0", "layer": "conv_head"},
}


def memory_of(folder: Path, network: str) -> Memory:
    """Extract a network's activations; taken up again where they are there."""
    images = "dtd_10x40" if network == "squeezenet1_1" else "caltech101_20x40"
    path = folder / f"{re.sub('[^a-z0-9_]+', '-', network)}.memory"
    return build_memory(path, IMAGES / images, progress=True, **NETWORKS[network])


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/search"))
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instructions", choices=("avx2",), help="The most that anyone may use.")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.instructions:
        restrict_instructions()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    output = arguments.output or RESULTS / f"search_networks-{processor_name()}.json"
    results: dict[str, Any] = {"machine": machine(), "versions": versions(), "rounds": arguments.rounds}
    results["rows"] = []
    for network in arguments.networks:
        memory = memory_of(arguments.folder, network)
        everyone, facts = competitors(memory)
        n_cells = memory.grid.n_cells
        facts = {"network": network, "channels": memory.n_channels, "nonzero": nonzero_share(memory), **facts}
        for n_queries in (n_cells, *QUERIES):
            rows = np.linspace(0, memory.n_images, -(-n_queries // n_cells), endpoint=False).astype(int)
            parts = (
                everyone if n_queries < QUERIES[-1] else [one for one in everyone if one.name in (OURS, FLAT)]
            )
            rounds = arguments.rounds if n_queries < QUERIES[-1] else min(3, arguments.rounds)
            found = measured(memory, parts, rows, rounds, n_queries=n_queries)
            results["rows"] += [{**facts, **row} for row in found]
            output.write_text(json_text(results, indent=1) + "\n")


def competitors(memory: Memory) -> tuple[list[Any], dict[str, Any]]:
    """Return everyone who takes part, and milliseconds of the formats in a trial: slow ones stop there."""
    ids = np.flatnonzero(memory.valid().ravel())
    trial = pass_seconds(sample_of(memory, ids), list(sound_formats(torch.device("cpu"))))
    usable = [name for name, seconds in trial.items() if seconds <= SLOW * min(trial.values())]
    everyone: list[Any] = [Exact(OURS, ExactSearcher(memory))]
    everyone += [Exact(f"{OURS}, {name}", ExactSearcher(memory, products=name)) for name in usable]
    everyone.append(FaissDirect(FLAT, memory, "Flat", {}))
    panorama = PANORAMA.format(channels=memory.n_channels)
    everyone.append(FaissDirect(f"FAISS {panorama}", memory, panorama, {}, l2=True))
    return everyone, {"trial_ms": {name: round(1000 * seconds, 2) for name, seconds in trial.items()}}


def nonzero_share(memory: Memory) -> float:
    """Return the share of stored values that are not zero."""
    counts = [(np.count_nonzero(block), block.size) for _, block in memory.blocks()]
    return round(sum(count for count, _ in counts) / sum(size for _, size in counts), 4)


if __name__ == "__main__":
    main()
