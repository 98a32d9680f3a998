"""What half precision changes: the vectors, their neighbors, and the accuracy.

    python -m benchmarks.precision [--per-class 10] [--networks efficientnet_lite0 resnet50] [--device auto]

Real images and weights ($HUEPROBE_SHARED, default ../shared): the first images of each class of the
Caltech slice, once in fp32 and once in each other precision that the device has. For every cell of
every image the cosine between both vectors; for cells drawn at random the share of the 10 nearest
neighbors (own image excluded) that both memories name; and the accuracy, each image left out once.
Writes benchmarks/results/precision.json and prints a Markdown table.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import NETWORKS, SHARED, row
from benchmarks.machine import machine
from hueprobe import Memory, images
from hueprobe.activations.devices import choose_device, choose_precision
from hueprobe.errors import HueprobeWarning
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memory
from hueprobe.memory.settings import library_versions
from hueprobe.search import open_searcher

RESULTS = Path(__file__).parent / "results" / "precision.json"
K = 10


def first_of_each_class(table: images.ImageTable, n: int) -> images.ImageTable:
    """Return the first n images of each class."""
    classes = np.array(table.classes)
    return table.select(
        np.sort(np.concatenate([np.flatnonzero(classes == c)[:n] for c in table.class_names]))
    )


def neighbors(memory: Memory, ids: np.ndarray) -> np.ndarray:
    """Return the ids (n, K) of the nearest vectors in other images."""
    own = (ids // memory.grid.n_cells)[:, None]
    return open_searcher(memory, "exact").search(memory.vectors(ids), K, exclude_images=own).ids


def compared(exact: Memory, rounded: Memory, n_queries: int) -> dict[str, Any]:
    """Compare two memories of the same images."""
    ids = np.flatnonzero(exact.valid() & rounded.valid())
    cosines = np.einsum("nc,nc->n", exact.vectors(ids), rounded.vectors(ids), dtype=np.float64)
    drawn = np.sort(np.random.default_rng(0).choice(ids, min(n_queries, len(ids)), replace=False))
    both = zip(neighbors(exact, drawn), neighbors(rounded, drawn), strict=True)
    shared = [len(np.intersect1d(a, b)) / K for a, b in both]
    accuracies = [row(memory, None)["accuracy"] for memory in (exact, rounded)]
    return {
        "vectors": len(ids),
        "cosine_mean": float(cosines.mean()),
        "cosine_least": float(cosines.min()),
        "queries": len(drawn),
        "top10_agreement": float(np.mean(shared)),
        "accuracy_fp32": accuracies[0],
        "accuracy": accuracies[1],
        "accuracy_change": accuracies[1] - accuracies[0],
    }


def precisions_of(device: str) -> list[str]:
    """Return the half precisions in which the device computes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HueprobeWarning)
        return [p for p in ("bf16", "fp16") if choose_precision(p, choose_device(device)) == p]


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/precision"))
    parser.add_argument("--networks", nargs="+", default=["efficientnet_lite0", "resnet50"])
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    every = images.from_folder(SHARED / "images" / "caltech101_20x40")
    table = first_of_each_class(every, arguments.per_class)
    rows: list[dict[str, Any]] = []
    for network in arguments.networks:
        options = dict(NETWORKS[network])
        if "weights" in options:
            options["weights"] = SHARED / "weights" / f"{options['weights']}.fp16.safetensors"
        memories = {
            precision: build_memory(
                arguments.folder / f"{network}-{precision}.memory", table, precision=precision,
                device=arguments.device, progress=True, **options,
            )
            for precision in ("fp32", *precisions_of(arguments.device))
        }  # fmt: skip
        exact = memories.pop("fp32")
        for precision, rounded in memories.items():
            found = compared(exact, rounded, arguments.queries)
            rows.append({"network": network, "precision": precision, "images": len(table), **found})
            print(json_text(rows[-1]), flush=True)
    document = {
        "machine": machine(), "device": choose_device(arguments.device).type, "versions": library_versions(),
        "set": "caltech101_20x40", "rows": rows,
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json_text(document, indent=1) + "\n")
    print("\n| network | precision | cosine, mean | least | top-10 agreement | accuracy, fp32 | accuracy |")
    print("|" + "---|" * 7)
    for r in rows:
        print(
            f"| {r['network']} | {r['precision']} | {r['cosine_mean']:.6f} | {r['cosine_least']:.4f} "
            f"| {r['top10_agreement']:.3f} | {r['accuracy_fp32']:.3f} | {r['accuracy']:.3f} |"
        )


if __name__ == "__main__":
    main()
