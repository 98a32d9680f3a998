"""A rehearsal of many machines on this one: engines, kills, and millions of real vectors in bounded RAM.

    python -m benchmarks.scale [--folder out/scale] [--parts engines kills large] [--kills 50]

- *engines*: 800 images of Caltech 101 by EfficientNet-Lite0, built in one process, by 1, 2 and 4 local
  workers and by a Ray cluster of two nodes on this machine; bytes are compared, and the matches of a search
  in parts.
- *kills*: builds by two local workers, one of which is killed (SIGKILL) again and again, until there were so
  many kills; the memories must be byte for byte that of one undisturbed process.
- *large*: four million vectors of SqueezeNet (all images of Caltech 101 as they are, mirrored, and cropped),
  searched exactly and by an inverted file of product codes, each in a process of its own with bounded RAM.

Needs the real images and weights ($HUEPROBE_SHARED, default ../shared), and Ray. Memories are kept in
--folder and taken up again. Writes benchmarks/results/scale.json, where what is not asked for stays as it
was.
"""

import argparse
import contextlib
import filecmp
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.accuracy import NETWORKS, SHARED
from benchmarks.machine import machine, versions
from benchmarks.tables import RESULTS, scale_tables
from hueprobe import Memory, build_memory, images, open_searcher, read_matches, scale
from hueprobe.images.table import ImageTable
from hueprobe.images.transform import Transform
from hueprobe.json_documents import json_text

RESULT = RESULTS / "scale.json"
SMALL = SHARED / "images" / "caltech101_20x40"
SHARD = 64  # images of a shard, so that there are enough to share
LOCAL = (1, 2, 4)
VARIANTS = ("as it is", "mirrored", "cropped")
APPROXIMATE = "faiss:OPQ32_128,IVF2048,PQ32np;train=131072,nprobe=64,rerank=100"
QUERIES = 1_000
BUDGET = 1 << 30
_SEARCH = """
import json, sys, time
import numpy as np
from hueprobe import open_memory, open_searcher
path, spec, queries, budget = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
memory = open_memory(path)
asked = np.load(queries)
started = time.perf_counter()
options = {"memory_budget": budget} if spec == "exact" else {}
searcher = open_searcher(memory, spec, **options)
searcher.search(asked["vectors"][:1], 10, exclude_images=asked["images"][:1, None])
opened = time.perf_counter()
found = searcher.search(asked["vectors"], 10, exclude_images=asked["images"][:, None])
seconds = time.perf_counter() - opened
status = open("/proc/self/status").read()
lines = [line.split() for line in status.splitlines() if line.startswith(("VmHWM", "RssAnon"))]
kib = {line[0]: int(line[1]) for line in lines}
np.save(sys.argv[5], found.ids)
print(json.dumps({"open_seconds": opened - started, "seconds": seconds, "peak_bytes": kib["VmHWM:"] * 1024,
                  "anonymous_bytes": kib["RssAnon:"] * 1024}))
"""


def differences(one: Path, other: Path) -> list[str]:
    """Name the files that differ between two folders."""
    names = {
        path.relative_to(base).as_posix()
        for base in (one, other)
        for path in base.rglob("*")
        if path.is_file()
    }
    return sorted(name for name in names if not _same(one / name, other / name))


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def undisturbed(folder: Path) -> tuple[Memory, float]:
    """Return the memory that one process builds, and its seconds; built anew."""
    path = folder / "one.memory"
    shutil.rmtree(path, ignore_errors=True)
    started = time.perf_counter()
    memory = build_memory(path, SMALL, backbone="efficientnet_lite0", shard_images=SHARD, batch_size=32)
    return memory, time.perf_counter() - started


@contextlib.contextmanager
def two_nodes() -> Iterator[str]:
    """Start a Ray cluster of two nodes of one core each; yield its address."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        yield str(cluster.address)
    finally:
        cluster.shutdown()


def engines(folder: Path) -> dict[str, Any]:
    """Build and search with each engine; compare with one process."""
    one, seconds = undisturbed(folder)
    started = time.perf_counter()
    scale.search_in_parts(folder / "one.parquet", one, k=10, engine="local:1", n_parts=1)
    searched = time.perf_counter() - started
    rows = [{"engine": "one process", "seconds": seconds, "search_seconds": searched}]

    def measure(name: str, engine: str) -> None:
        path = folder / f"{name.replace(' ', '-')}.memory"
        for old in path.parent.glob(f"{path.name}*"):
            shutil.rmtree(old)
        started = time.perf_counter()
        memory = scale.build_in_parts(
            path, SMALL, backbone="efficientnet_lite0", shard_images=SHARD, batch_size=32, engine=engine
        )
        built = time.perf_counter() - started
        table = folder / f"{name.replace(' ', '-')}.parquet"
        table.unlink(missing_ok=True)
        started = time.perf_counter()
        scale.search_in_parts(table, memory, k=10, engine=engine)
        rows.append(
            {
                "engine": name, "seconds": built, "search_seconds": time.perf_counter() - started,
                "files_that_differ": differences(one.path, path),
                "matches_that_differ": different_matches(folder / "one.parquet", table),
            }
        )  # fmt: skip
        print(rows[-1], flush=True)
        shutil.rmtree(path)

    for n in LOCAL:
        measure(f"local {n}", f"local:{n}")
    with two_nodes() as address:
        measure("ray, two nodes", f"ray:{address}")
    return {"images": one.n_images, "shard_images": SHARD, "rows": rows}


def different_matches(one: Path, other: Path) -> int:
    """Return how many matches of two tables differ in place, neighbor, distance or weight."""
    first, second = read_matches(one), read_matches(other)
    if len(first) != len(second):
        return max(len(first), len(second))
    columns = ("query_image", "query_y", "query_x", "rank", "image", "y", "x", "distance", "weight")
    differ = np.zeros(len(first), bool)
    for name in columns:
        differ |= np.asarray(getattr(first, name)) != np.asarray(getattr(second, name))
    return int(differ.sum())


def kills(folder: Path, n_kills: int) -> dict[str, Any]:
    """Kill workers at random while they build, until there were enough kills; compare the bytes."""
    one, _ = undisturbed(folder)
    rng, killed = random.Random(0), 0
    builds: list[dict[str, Any]] = []
    while killed < n_kills:
        path = folder / f"killed-{len(builds)}.memory"
        for old in path.parent.glob(f"{path.name}*"):
            shutil.rmtree(old)
        ended, here = threading.Event(), 0

        def build(path: Path = path, ended: threading.Event = ended) -> None:
            try:
                scale.build_in_parts(
                    path, SMALL, backbone="efficientnet_lite0", shard_images=SHARD, batch_size=32,
                    engine="local:2", restarts=10_000,
                )  # fmt: skip
            finally:
                ended.set()

        thread = threading.Thread(target=build)
        thread.start()
        while not ended.wait(rng.uniform(0.5, 6.0)):
            workers = descendants(os.getpid())
            if workers and killed + here < n_kills:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    here += 1
        thread.join()
        killed += here
        builds.append({"kills": here, "files_that_differ": differences(one.path, path)})
        print(builds[-1], flush=True)
        shutil.rmtree(path)
    return {"images": one.n_images, "kills": killed, "builds": builds}


def descendants(pid: int) -> list[int]:
    """Return the running Python processes that a process started, by /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (folder / "cmdline").read_bytes()
            if int(parent) == pid and state != "Z" and b"python" in command and b"_tracker" not in command:
                found.append(int(folder.name))
    return found


def large_images(folder: Path) -> ImageTable:
    """Return all images of Caltech 101 in each variant, written once."""
    place = folder / "images"
    if not place.is_dir():
        partial = folder / "images.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(SHARED / "train" / "caltech101_112.tar") as archive:
            archive.extractall(partial / "whole", filter="data")
        for file in sorted((partial / "whole").rglob("*.jpg")):
            with Image.open(file) as opened:
                image = opened.convert("RGB")
            width, height = image.size
            box = (width // 10, height // 10, width - width // 10, height - height // 10)
            made = (image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), image.crop(box))
            target = partial / "images" / file.parent.name
            target.mkdir(parents=True, exist_ok=True)
            for i, one in enumerate(made):
                one.save(target / f"{file.stem}-{i}.jpg", quality=90)
        (partial / "images").rename(place)
        shutil.rmtree(partial)
    return images.from_folder(place)


def large(folder: Path) -> dict[str, Any]:
    """Build four million vectors with two workers, and search them exactly and approximately."""
    options = dict(NETWORKS["squeezenet1_1"])
    weights = SHARED / "weights" / f"{options.pop('weights')}.fp16.safetensors"
    path = folder / "large.memory"
    started = time.perf_counter()
    built_before = path.is_dir()
    memory = scale.build_in_parts(
        path, large_images(folder), weights=weights, engine="local:2", dtype="sparse16",
        transform=Transform(resize=224, crop=224), progress=True, **options,
    )  # fmt: skip
    seconds = None if built_before else time.perf_counter() - started
    rng = np.random.default_rng(0)
    ids = np.sort(rng.choice(np.flatnonzero(memory.valid().ravel()), QUERIES, replace=False))
    asked = folder / "queries.npz"
    np.savez(asked, vectors=memory.vectors(ids), images=ids // memory.grid.n_cells)
    started = time.perf_counter()
    index = folder / "indexed.txt"
    if not index.exists():
        open_searcher(memory, APPROXIMATE, progress=True)
        index.write_text(str(time.perf_counter() - started))
    rows, found = [], {}
    for spec in ("exact", APPROXIMATE, APPROXIMATE.replace("rerank=100", "rerank=1000")):
        out = folder / "found.npy"
        done = subprocess.run(
            [sys.executable, "-c", _SEARCH, str(path), spec, str(asked), str(BUDGET), str(out)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        found[spec] = np.load(out)
        shared = (found[spec][:, :, None] == found["exact"][:, None, :]).any(1).mean()
        rows.append({"searcher": spec, **json.loads(done.stdout), "recall_at_10": float(shared)})
        print(rows[-1], flush=True)
    stored = sum(file.stat().st_size for file in (path / "shards").iterdir())
    return {
        "images": memory.n_images, "vectors": int(memory.valid().sum()), "channels": memory.n_channels,
        "cells": memory.grid.n_cells, "stored_bytes": stored, "build_seconds": seconds,
        "index_seconds": float(index.read_text()), "queries": QUERIES, "memory_budget": BUDGET,
        "index_bytes": sum(f.stat().st_size for f in (path / "indexes").rglob("*") if f.is_file()),
        "rows": rows,
    }  # fmt: skip


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("out/scale"))
    parser.add_argument("--parts", nargs="+", default=["engines", "kills", "large"])
    parser.add_argument("--kills", type=int, default=50)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = json.loads(RESULT.read_text("utf-8")) if RESULT.is_file() else {}
    measures = {"engines": engines, "large": large}
    for name in arguments.parts:
        found = (
            kills(arguments.folder, arguments.kills) if name == "kills" else measures[name](arguments.folder)
        )
        results[name] = {**found, "machine": machine(), "versions": versions()}
        RESULT.write_text(json_text(results, indent=1) + "\n", "utf-8")
    print(scale_tables(results))


if __name__ == "__main__":
    main()
