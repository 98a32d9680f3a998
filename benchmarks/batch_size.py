"""What the batch size changes: the vectors, and which neighbors they find.

    python -m benchmarks.batch_size [--per-class 3] [--networks efficientnet_lite0 resnet50]

Batch size is a setting of a memory, since a network may sum in another order for another number of
images. Real images and weights ($HUEPROBE_SHARED, default ../shared): the first images of each class
of the Caltech slice, in batches of 32 and of other sizes. For every cell the largest difference between
both stored vectors and their cosine; for cells drawn at random the share of the 10 nearest neighbors (own
image excluded) that differ, and of nearest ones. Writes benchmarks/results/batch_size.json and prints a
Markdown table.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import NETWORKS, SHARED
from benchmarks.machine import machine
from benchmarks.precision import K, first_of_each_class, neighbors
from hueprobe import Memory, images
from hueprobe.activations.devices import choose_device
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memory
from hueprobe.memory.settings import library_versions

RESULTS = Path(__file__).parent / "results" / "batch_size.json"
USUAL = 32


def compared(usual: Memory, other: Memory, n_queries: int) -> dict[str, Any]:
    """Compare two memories of the same images in batches of other sizes."""
    ids = np.flatnonzero(usual.valid() & other.valid())
    one, two = usual.vectors(ids), other.vectors(ids)
    drawn = np.sort(np.random.default_rng(0).choice(ids, min(n_queries, len(ids)), replace=False))
    found = neighbors(usual, drawn), neighbors(other, drawn)
    shared = [len(np.intersect1d(a, b)) / K for a, b in zip(*found, strict=True)]
    return {
        "vectors": len(ids),
        "identical": float((one == two).all(axis=1).mean()),
        "largest_difference": float(np.abs(one - two).max()),
        "cosine_least": float(np.einsum("nc,nc->n", one, two, dtype=np.float64).min()),
        "queries": len(drawn),
        "top10_that_differ": float(1 - np.mean(shared)),
        "nearest_that_differ": float((found[0][:, 0] != found[1][:, 0]).mean()),
    }


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/batch_size"))
    parser.add_argument("--networks", nargs="+", default=["efficientnet_lite0", "resnet50", "squeezenet1_1"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--per-class", type=int, default=3)
    parser.add_argument("--queries", type=int, default=1000)
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
        for precision in arguments.precisions:
            usual, *others = [
                build_memory(
                    arguments.folder / f"{network}-{precision}-{size}.memory", table, precision=precision,
                    batch_size=size, device=arguments.device, **options,
                )
                for size in (USUAL, *arguments.sizes)
            ]  # fmt: skip
            for size, other in zip(arguments.sizes, others, strict=True):
                found = compared(usual, other, arguments.queries)
                rows.append(
                    {
                        "network": network,
                        "precision": precision,
                        "images": len(table),
                        "size": size,
                        **found,
                    }
                )
                print(json_text(rows[-1]), flush=True)
    document = {
        "machine": machine(), "device": choose_device(arguments.device).type, "versions": library_versions(),
        "set": "caltech101_20x40", "compared_with": USUAL, "dtype": "float16", "rows": rows,
    }  # fmt: skip
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json_text(document, indent=1) + "\n")
    print(
        "\n| network | precision | batches of | identical vectors | cosine, least | other top-10 neighbors |"
    )
    print("|" + "---|" * 6)
    for r in rows:
        print(
            f"| {r['network']} | {r['precision']} | {r['size']} | {r['identical']:.1%} "
            f"| {r['cosine_least']:.7f} | {r['top10_that_differ']:.2%} |"
        )


if __name__ == "__main__":
    main()
