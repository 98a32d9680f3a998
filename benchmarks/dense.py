"""Dense labels on CamVid: mean IoU of label transfer and of what it is compared with.

    python -m benchmarks.dense [--networks efficientnet_lite0 resnet50 vit_tiny] [--folder out/dense]
        [--times]

Needs the real images and weights ($HUEPROBE_SHARED, default ../shared). Memories are kept in --folder and
taken up again. Writes benchmarks/results/dense.json after each layer and protocol; rows of other networks
stay. The train images are the memory, the test images are segmented. Intervals are over images, and over runs
of five neighboring frames of one drive. Rows with 40 cells search a sample of that many cells of each memory
image. With --times only the times are measured, for an idle machine.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from hueprobe import KernelDensityClassifier, Memory, images, open_searcher
from hueprobe.dense import baselines, measure_sizes, parse_kernel, protocol_of, transfer_labels
from hueprobe.dense.cell_labels import CellLabels
from hueprobe.dense.memory_labels import memory_counts, memory_shares, recorded_geometry
from hueprobe.dense.protocols import HUMMINGBIRD_STD
from hueprobe.dense.sampling import sampled_cells
from hueprobe.dense.scores import Scores, scores_of_counts
from hueprobe.dense.upsampling import leading_labels
from hueprobe.images.mask_files import Masks
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memories
from hueprobe.search.index import recall_of
from hueprobe.search.neighbors import Neighbors

RESULTS = Path(__file__).parent / "results" / "dense.json"
SHARED = Path(os.environ.get("HUEPROBE_SHARED", "../shared")) / "data"
DATA = SHARED / "segmentation" / "camvid_120_60"
NAMES = (
    "sky",
    "building",
    "pole",
    "road",
    "sidewalk",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)
NETWORKS: dict[str, dict[str, Any]] = {
    "efficientnet_lite0": {"backbone": "efficientnet_lite0"},
    "resnet50": {
        "backbone": "benchmarks.networks:resnet50_v1",
        "weights": SHARED / "weights" / "resnet50_v1.fp16.safetensors",
        "layers": ("layer4", "layer3"),
    },
    # Untrained: its weights are not at hand. It accepts one size only.
    "vit_tiny": {
        "backbone": "timm:vit_tiny_patch16_224",
        "weights": "none",
        "layers": ("norm", "blocks.5"),
        "side": 224,
    },
}
TRANSFORMS = {
    "strict": images.Transform(resize=None, crop=(352, 480), fit="squash"),
    "hummingbird": images.Transform(resize=None, crop=352, fit="squash", std=HUMMINGBIRD_STD),
}
KERNELS = ("eq3", "softmax:0.02")
APPROXIMATE = ("faiss:IVF128,Flat;nprobe=1", "faiss:IVF128,Flat;nprobe=8", "annoy:trees=10")
MOST_CELLS = 20_000  # of the memory that logistic regression is fitted to
SAMPLED = 40  # cells of each memory image, where they are sampled
ROUNDS = 5  # of the times
FRAMES = 5  # neighboring frames of a drive that count as one unit


class Test:
    """The test images with their masks, as one memory's network sees them.

    Parameters
    ----------
    memory : Memory
        The memory.
    table : ImageTable
        The test images.
    masks : Masks
        Their masks.
    protocol : str
        Name of the protocol.
    """

    def __init__(self, memory: Memory, table: images.ImageTable, masks: Masks, protocol: str) -> None:
        self.memory, self.table, self.masks, self.rules = memory, table, masks, protocol_of(protocol)
        self.vectors = KernelDensityClassifier(memory).vectors_of(table)
        self.sizes = np.array([masks.read(i).shape for i in range(len(masks))], np.int64)
        drives = [Path(path).name.split("_")[0] for path in table.paths]
        self.blocks = tuple(f"{drive}-{i // FRAMES}" for i, drive in enumerate(drives))

    def search(self, k: int, searcher: Any) -> tuple[Neighbors, float]:
        """Search the neighbors of all cells; return them and the seconds."""
        started = time.perf_counter()
        found = searcher.search(self.vectors.reshape(-1, self.vectors.shape[-1]), k)
        return found, time.perf_counter() - started

    def moved(self, found: Neighbors, kernel: str) -> np.ndarray:
        """Return the label shares of all cells by transfer from their neighbors."""
        k = parse_kernel(kernel).default_k
        shares = memory_shares(self.memory, self.rules)
        moved = transfer_labels(found.ids[:, :k], found.distances[:, :k], shares, kernel)
        return moved.reshape(len(self.sizes), *self.memory.grid.shape, -1)

    def scores(self, shares: np.ndarray) -> Scores:
        """Return the scores of label shares, with intervals over images."""
        cells = CellLabels(shares, self.sizes, recorded_geometry(self.memory))
        return cells.compare(self.masks, np.arange(len(self.sizes)), self.rules)

    def row(self, shares: np.ndarray) -> dict[str, Any]:
        """Return the scores of label shares as a row of the results."""
        scores = self.scores(shares)
        blocks = scores_of_counts(
            scores.confusion, scores.boundaries, scores.label_names, assigned=scores.assigned,
            groups=self.blocks, n_resamples=1000, seed=0, absent_as_zero=self.rules.absent_as_zero,
        )  # fmt: skip
        row: dict[str, Any] = {"n": scores.n_images, "blocks": blocks.n_units}
        for name in ("mean_iou", "pixel_accuracy", "mean_boundary_f"):
            one, block = getattr(scores, name), getattr(blocks, name)
            row[name] = {
                "value": one.estimate, "ci95": [one.low, one.high], "ci95_blocks": [block.low, block.high],
            }  # fmt: skip
        row["iou"] = {
            name: [one.estimate, one.low, one.high]
            for name, one in zip(scores.label_names, scores.iou, strict=True)
        }
        row["assigned_as_they_are"] = scores.assigned in ((), tuple(range(len(scores.label_names))))
        return row

    def sample(self, rule: str) -> np.ndarray:
        """Return the ids of a sample of the memory's cells."""
        counts, rows = memory_counts(self.memory, self.rules), np.arange(self.memory.n_images)
        return sampled_cells(counts, rows, self.memory.grid.shape, SAMPLED, rule, seed=0)


def memories(
    folder: Path, network: str, protocol: str, table: images.ImageTable, masks: Masks
) -> dict[str, Memory]:
    """Return the memory of each layer of a network."""
    options = dict(NETWORKS[network])
    layers, side = options.pop("layers", ()), options.pop("side", None)
    transform = TRANSFORMS[protocol] if side is None else replace(TRANSFORMS[protocol], crop=side)
    if not layers:
        from hueprobe.activations import load_backbone

        layers = (load_backbone(options["backbone"]).layer,)
    made = build_memories(
        folder / f"{network}-{protocol}", table, layers=layers, transform=transform, masks=masks,
        progress=True, **options,
    )  # fmt: skip
    return dict(zip(layers, made, strict=True))


def compared(test: Test) -> dict[str, Callable[[], np.ndarray]]:
    """Return the label shares of each baseline."""
    memory, n = test.memory, len(test.sizes)
    counts = memory.label_counts()
    flat = counts.reshape(memory.n_slots, -1)
    chosen = np.sort(np.random.default_rng(0).permutation(memory.n_slots)[:MOST_CELLS])
    every = test.vectors.reshape(-1, test.vectors.shape[-1])
    return {
        "position alone": lambda: baselines.position_shares(counts, n),
        "logistic regression": lambda: baselines.logistic_shares(
            memory.vectors(chosen), flat[chosen], every, max_iterations=100
        ).reshape(n, *memory.grid.shape, -1),
        "pooled descriptor": lambda: baselines.pooled_shares(
            memory.image_vectors(np.arange(memory.n_images)), counts, test.vectors
        ),
    }


def sizes(test: Test) -> list[dict[str, Any]]:
    """Return mean IoU by size of the memory, kernel of Eq. (3)."""

    def score(rows: np.ndarray) -> float:
        found, _ = test.search(10, open_searcher(test.memory, images=rows))
        return test.scores(test.moved(found, "eq3")).mean_iou.estimate

    points = measure_sizes(score, test.memory.n_images)
    return [{"images": p.n_images, "mean": p.mean, "spread": p.spread, "values": p.values} for p in points]


def approximate(test: Test) -> list[dict[str, Any]]:
    """Return mean IoU by searcher, kernel of Eq. (3)."""
    rows = []
    for spec in ("exact", *APPROXIMATE):
        searcher = open_searcher(test.memory, spec)
        found, seconds = test.search(10, searcher)
        scores = test.scores(test.moved(found, "eq3"))
        rows.append(
            {
                "searcher": spec,
                "recall_at_10": recall_of(searcher),
                "seconds": seconds,
                "mean_iou": scores.mean_iou.estimate,
            }
        )
    return rows


def times(test: Test) -> dict[str, Any]:
    """Return the seconds of segmenting the test images, by step: search, transfer, label maps."""
    searcher, geometry = open_searcher(test.memory), recorded_geometry(test.memory)
    rounds = []
    for _ in range(ROUNDS):
        found, search = test.search(10, searcher)
        started = time.perf_counter()
        shares = test.moved(found, "eq3")
        transfer = time.perf_counter() - started
        cells = CellLabels(shares, test.sizes, geometry)
        started = time.perf_counter()
        for shares_of_one, size, box in zip(shares, test.sizes.tolist(), cells.boxes.tolist(), strict=True):
            leading_labels(shares_of_one, (size[0], size[1]), (box[0], box[1], box[2], box[3]))
        rounds.append({"search": search, "transfer": transfer, "maps": time.perf_counter() - started})
    ratio = [sum(one.values()) / one["search"] for one in rounds]
    started = time.perf_counter()
    KernelDensityClassifier(test.memory).vectors_of(test.table)
    return {
        "vectors": test.memory.n_slots,
        "queries": len(test.sizes) * test.memory.grid.n_cells,
        "seconds": {name: float(np.median([one[name] for one in rounds])) for name in rounds[0]},
        "extract_seconds": time.perf_counter() - started,
        "ratio_to_search": {"median": float(np.median(ratio)), "least": min(ratio), "most": max(ratio)},
    }


def kept(networks: list[str], protocols: list[str], *, rows: bool) -> dict[str, Any]:
    """Return the results on file, without those that are measured again."""
    results: dict[str, Any] = {"rows": [], "sizes": [], "approximate": [], "times": []}
    if RESULTS.exists():
        results.update(json.loads(RESULTS.read_text("utf-8")))
    results["machine"] = machine()
    if rows:
        results["rows"] = [
            row
            for row in results["rows"]
            if row["network"] not in networks or row["protocol"] not in protocols
        ]
    if "strict" in protocols:
        results["times"] = [row for row in results["times"] if row["network"] not in networks]
    return results


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/dense"))
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--protocols", nargs="+", default=list(TRANSFORMS), choices=list(TRANSFORMS))
    parser.add_argument("--times", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    train, asked = (images.resolve_images(DATA / "images" / part) for part in ("train", "test"))
    labeled = [
        images.pair_masks(table, DATA / "masks" / part, names=NAMES)
        for table, part in ((train, "train"), (asked, "test"))
    ]
    results = kept(arguments.networks, arguments.protocols, rows=not arguments.times)
    for network in arguments.networks:
        for protocol in arguments.protocols:
            for layer, memory in memories(arguments.folder, network, protocol, train, labeled[0]).items():
                test = Test(memory, asked, labeled[1], protocol)
                if protocol == "strict":
                    results["times"].append({"network": network, "layer": layer, **times(test)})
                if arguments.times:
                    RESULTS.write_text(json_text(results, indent=1) + "\n")
                    continue
                found, seconds = test.search(30, open_searcher(memory))
                cell = {"network": network, "layer": layer, "protocol": protocol, "grid": memory.grid.shape}
                for kernel in KERNELS:
                    started = time.perf_counter()
                    shares = test.moved(found, kernel)
                    transfer = time.perf_counter() - started
                    row = {**cell, "method": kernel, "k": parse_kernel(kernel).default_k, **test.row(shares)}
                    results["rows"].append({**row, "search_seconds": seconds, "transfer_seconds": transfer})
                for rule in ("uniform", "rare"):
                    searcher = open_searcher(memory, vectors=test.sample(rule))
                    shares = test.moved(test.search(10, searcher)[0], "eq3")
                    method = {"method": f"eq3, {SAMPLED} cells {rule}", "k": 10}
                    results["rows"].append({**cell, **method, **test.row(shares)})
                if protocol == "strict":
                    for name, shares_of in compared(test).items():
                        results["rows"].append({**cell, "method": name, **test.row(shares_of())})
                RESULTS.write_text(json_text(results, indent=1) + "\n")
                print(network, layer, protocol, flush=True)
                if network == "efficientnet_lite0" and protocol == "strict":
                    results["approximate"] = approximate(test)
                    results["sizes"] = sizes(test)
    RESULTS.write_text(json_text(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
