"""Accuracy of every descriptor and network on real images, half of each class in memory.

    python -m benchmarks.accuracy [--folder out/accuracy] [--sets caltech101_20x40 dtd_10x40]

Needs the real images and weights ($HUEPROBE_SHARED, default ../shared). Memories are kept in --folder
and taken up again. Writes benchmarks/results/accuracy.json and prints a Markdown table.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from hueprobe import KernelDensityClassifier, Memory, images
from hueprobe.activations import DESCRIPTORS
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memory, derive_memory
from hueprobe.memory.settings import library_versions
from hueprobe.observations.accuracy.evaluation import evaluate
from hueprobe.search.index import recall_of

RESULTS = Path(__file__).parent / "results" / "accuracy.json"
SHARED = Path(os.environ.get("HUEPROBE_SHARED", "../shared")) / "data"
NETWORKS: dict[str, dict[str, Any]] = {
    "efficientnet_lite0": {"backbone": "efficientnet_lite0"},
    "resnet50": {"backbone": "benchmarks.networks:resnet50_v1", "weights": "resnet50_v1"},
    "mobilenet_v2": {"backbone": "benchmarks.networks:mobilenet_v2_tf", "weights": "mobilenet_v2_tf"},
    "squeezenet1_1": {"backbone": "benchmarks.networks:squeezenet1_1", "weights": "squeezenet1_1"},
}
SEARCHERS = ("exact", "annoy:trees=10", "faiss:Flat", "faiss:IVF64,Flat;nprobe=8")


def memory_of(folder: Path, network: str, name: str) -> tuple[Memory, images.ImageTable]:
    """Return the pixel memory of half of each class, and the other half."""
    table = images.split_table(images.from_folder(SHARED / "images" / name), train=0.5, seed=0)
    options = dict(NETWORKS[network])
    if "weights" in options:
        options["weights"] = SHARED / "weights" / f"{options['weights']}.fp16.safetensors"
    path = folder / f"{name}-{network}-pixel.memory"
    return build_memory(path, table.where_split("train"), progress=True, **options), table.where_split("test")


def row(memory: Memory, asked: images.ImageTable | None, searcher: str = "exact") -> dict[str, Any]:
    """Evaluate `asked`, or the memory's own images left out one at a time."""
    classifier = KernelDensityClassifier(memory, searcher=searcher)
    if asked is None:
        result = classifier.leave_one_out(keep_matches=False)
    else:
        result = classifier.classify(asked, keep_matches=False)
    found = evaluate(result).overall
    return {
        "accuracy": found.accuracy,
        "ci95": found.ci95,
        "n": found.n,
        "recall_at_10": recall_of(classifier.searcher),
        "search_seconds": round(result.seconds["search"], 2),
    }


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/accuracy"))
    parser.add_argument("--sets", nargs="+", default=["caltech101_20x40", "dtd_10x40"])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for name in arguments.sets:
        for network in NETWORKS:
            pixels, asked = memory_of(arguments.folder, network, name)
            descriptors = DESCRIPTORS if network == "efficientnet_lite0" else ("pixel", "gap")
            for descriptor in descriptors:
                memory = pixels
                if descriptor != "pixel":
                    path = arguments.folder / f"{name}-{network}-{descriptor}.memory"
                    memory = derive_memory(path, pixels, descriptor)
                cell = {"set": name, "network": network, "descriptor": descriptor}
                rows.append({**cell, "protocol": "held out", "searcher": "exact", **row(memory, asked)})
                rows.append({**cell, "protocol": "leave one out", "searcher": "exact", **row(memory, None)})
                print(json_text(rows[-2]), json_text(rows[-1]), sep="\n", flush=True)
            if network == "efficientnet_lite0":
                cell = {"set": name, "network": network, "descriptor": "pixel", "protocol": "held out"}
                for searcher in SEARCHERS[1:]:
                    rows.append({**cell, "searcher": searcher, **row(pixels, asked, searcher)})
                    print(json_text(rows[-1]), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json_text({"versions": library_versions(), "rows": rows}, indent=1) + "\n")
    print(
        "\n| set | network | descriptor | protocol | searcher | accuracy | 95 % | recall@10 |\n|" + "---|" * 8
    )
    for r in rows:
        print(
            f"| {r['set']} | {r['network']} | {r['descriptor']} | {r['protocol']} | {r['searcher']} "
            f"| {r['accuracy']:.3f} | {r['ci95'][0]:.3f}-{r['ci95'][1]:.3f} | {r['recall_at_10']:.3f} |"
        )


if __name__ == "__main__":
    main()
