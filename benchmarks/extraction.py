"""`hueprobe index` against the bare network: how much of the time goes to anything else.

    python -m benchmarks.extraction [--images 800] [--alone 128] [--rounds 3] [--networks resnet50 ...]

Reads real images ($HUEPROBE_SHARED, default ../shared); weights are seeded and random. In every round,
for each network and precision in turn: `build_memory` over all images, and before and after it, over
fewer, the bare forward pass on ready batches, and decoding and transforming on one core; of the two times
of each the mean is taken, since a machine's speed drifts. A network on the CPU shares its cores with the
decoders, so the bound is 1 / (forward + decode / cores); on a GPU it is the slower of both.

The bare forward pass is a user's own: in eval and inference mode, channels_last, in a process of its own
that hueprobe changes nothing in. A second, tighter bound takes it with hueprobe's way of allocating memory
(hueprobe/allocation.py). Ratios are taken within a round; their median, least and greatest are kept.
Writes benchmarks/results/extraction.json and prints a Markdown table.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine, versions
from benchmarks.tables import extraction_tables
from hueprobe.activations import Extractor, load_backbone
from hueprobe.activations.backbones import Backbone
from hueprobe.activations.devices import PRECISIONS
from hueprobe.allocation import ask_for_huge_pages, freed_memory_kept
from hueprobe.images import ImageTable, Transform, from_folder, load_batches
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memory
from hueprobe.memory.settings import DEFAULT_BATCH_SIZE
from hueprobe.threads import default_workers

RESULTS = Path(__file__).parent / "results" / "extraction.json"
SHARED = Path(os.environ.get("HUEPROBE_SHARED", "../shared")) / "data"
NETWORKS = ("resnet50", "densenet201", "mobilenet_v2", "efficientnet_b0")


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Return the wall-clock seconds of one call, what it leaves on the GPU included."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def bare_forward(backbone: Backbone, extractor: Extractor, batches: list[torch.Tensor]) -> None:
    """Run the network alone, as the extractor sets it up, on batches that lie on its device."""
    dtype, kind = PRECISIONS[extractor.precision], extractor.device.type
    backbone.module.eval()
    with torch.inference_mode():
        for images in batches:
            with (
                torch.autocast(kind, dtype, enabled=dtype != torch.float32),
                torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
            ):
                backbone.module(images)


def _answer_times(pipe: Connection, n_images: int, device: str) -> None:
    """Time forward passes of the (network, precision) that come through the pipe, till None comes."""
    loaded: dict[tuple[str, str], tuple[Backbone, Extractor, list[torch.Tensor]]] = {}
    while (case := pipe.recv()) is not None:
        if case not in loaded:
            backbone = load_backbone(case[0], weights="none")
            extractor = Extractor(backbone, device=device, precision=case[1])
            sizes = [len(part) for part in torch.arange(n_images).split(DEFAULT_BATCH_SIZE)]
            transform = backbone.transform
            assert isinstance(transform, Transform) and transform.shape is not None
            drawn = torch.randn(max(sizes), *transform.shape).to(
                extractor.device, memory_format=torch.channels_last
            )
            loaded[case] = backbone, extractor, [drawn[:size] for size in sizes]
            bare_forward(backbone, extractor, loaded[case][2][:1])
        pipe.send(seconds(partial(bare_forward, *loaded[case]), loaded[case][1].device))


@contextlib.contextmanager
def plain_forward(n_images: int, device: str) -> Iterator[Callable[[str, str], float]]:
    """Yield a function that times a network's forward pass in a process that hueprobe changes nothing in."""
    ours, theirs = Pipe()
    before, os.environ["THP_MEM_ALLOC_ENABLE"] = os.environ["THP_MEM_ALLOC_ENABLE"], "0"
    child = get_context("spawn").Process(target=_answer_times, args=(theirs, n_images, device), daemon=True)
    child.start()
    os.environ["THP_MEM_ALLOC_ENABLE"] = before

    def timed(name: str, precision: str) -> float:
        ours.send((name, precision))
        return float(ours.recv())

    yield timed
    ours.send(None)
    child.join()


class Case:
    """One network in one precision, and what each round took."""

    def __init__(
        self, name: str, precision: str, table: ImageTable, few: ImageTable, device: str, folder: Path
    ) -> None:
        self.name, self.table, self.few = name, table, few
        self.folder = folder / f"{name}-{precision}.memory"
        self.backbone = load_backbone(name, weights="none")
        self.extractor = Extractor(self.backbone, device=device, precision=precision)
        self.batches = [
            batch.images.to(self.extractor.device, memory_format=torch.channels_last)
            for batch in load_batches(few, self.backbone.transform, batch_size=DEFAULT_BATCH_SIZE)
        ]
        self.rounds: list[dict[str, float]] = []
        bare_forward(self.backbone, self.extractor, self.batches[:1])  # warm

    def run(self, plain: Callable[[str, str], float]) -> None:
        """Take one round; milliseconds an image."""
        alone = [self._alone(plain)]
        shutil.rmtree(self.folder, ignore_errors=True)
        index = self._timed(self._index, len(self.table))
        alone.append(self._alone(plain))
        took = {name: statistics.mean(each[name] for each in alone) for name in alone[0]} | {"index": index}
        both = sum if self.extractor.device_kind == "cpu" else max
        decode = took["decode"] / default_workers()
        took["share_of_bound"] = both((took["plain_forward"], decode)) / index
        took["share_of_tight_bound"] = both((took["forward"], decode)) / index
        self.rounds.append(took)

    def row(self) -> dict[str, Any]:
        """Return median, least and greatest of everything measured, and each round's share of the bound."""
        kept: dict[str, Any] = {"network": self.name, "precision": self.extractor.precision}
        for name in self.rounds[0]:
            values = [took[name] for took in self.rounds]
            kept[name] = [round(f(values), 4) for f in (statistics.median, min, max)]
        kept["shares_by_round"] = [round(took["share_of_bound"], 4) for took in self.rounds]
        return kept

    def _alone(self, plain: Callable[[str, str], float]) -> dict[str, float]:
        n = len(self.few)
        return {
            "plain_forward": 1000 / n * plain(self.name, self.extractor.precision),
            "forward": self._timed(self._forward, n),
            "decode": self._timed(self._decode, n),
        }

    def _timed(self, work: Callable[[], Any], n_images: int) -> float:
        return 1000 / n_images * seconds(work, self.extractor.device)

    def _forward(self) -> None:
        with freed_memory_kept(self.extractor.device_kind == "cpu"):
            bare_forward(self.backbone, self.extractor, self.batches)

    def _decode(self) -> None:
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        for _ in load_batches(self.few, self.backbone.transform, batch_size=DEFAULT_BATCH_SIZE):
            pass
        torch.set_num_threads(n_threads)

    def _index(self) -> None:
        build_memory(
            self.folder, self.table, backbone=self.backbone, precision=self.extractor.precision,
            device=str(self.extractor.device),
        )  # fmt: skip


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/extraction"))
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--alone", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    ask_for_huge_pages()  # as `hueprobe index` does
    table = from_folder(SHARED / "images" / "caltech101_20x40")
    table, few = _spread_over(table, arguments.images), _spread_over(table, arguments.alone)
    cases = [
        Case(name, precision, table, few, arguments.device, arguments.folder)
        for name in arguments.networks
        for precision in arguments.precisions
    ]
    device = cases[0].extractor.device
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    described = {**machine(), "device": named}
    with plain_forward(len(few), arguments.device) as plain:
        for number in range(1, arguments.rounds + 1):
            for case in cases:
                case.run(plain)
                print(number, json_text(case.row()), flush=True)
            document = {
                "machine": described, "versions": versions(), "images": len(table),
                "images_alone": len(few), "rounds": number,
                "unit": "ms an image: median, least, greatest", "rows": [case.row() for case in cases],
            }  # fmt: skip
            arguments.output.write_text(json_text(document, indent=1) + "\n")
    print(extraction_tables(document))


def _spread_over(table: ImageTable, n: int) -> ImageTable:
    step = max(1, len(table) // n)
    return table.select(range(0, step * min(n, len(table)), step))


if __name__ == "__main__":
    main()
