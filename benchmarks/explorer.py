"""The explorer's server: live queries beside the classifier alone, and RAM over 1,000 requests.

    python -m benchmarks.explorer [--folder out/explorer] [--networks resnet50_v1] [--rounds 30]

Half of Caltech 101's images ($HUEPROBE_SHARED, default ../shared) are a memory of 400 images; the others are
query images of `hueprobe explore`. After its background pass, the server and a classifier in this process
take turns with the same images; both have loaded the network before, and wait while the other works. Ratios
are taken within a turn; their median, least and greatest are kept.

Writes benchmarks/results/explorer-PROCESSOR.json.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

import hueprobe as hp
from benchmarks.machine import machine, processor_name, versions
from benchmarks.tables import explorer_tables
from hueprobe.allocation import ask_for_huge_pages
from hueprobe.explorer.exploration import Exploration, Explored
from hueprobe.explorer.search_thread import PAUSE_SECONDS
from hueprobe.explorer.server import serve
from hueprobe.explorer.typed_arrays import decoded
from hueprobe.images import ImageTable
from hueprobe.json_documents import json_text
from hueprobe.search.exact.searcher import ExactSearcher

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("HUEPROBE_SHARED", "../shared")) / "data"
IMAGES = DATA / "images" / "caltech101_20x40"
WARM_UP = 300  # requests before RAM is read, until pools and caches are full


def classifier_in(memory: hp.Memory, number_format: str) -> hp.KernelDensityClassifier:
    """Return a classifier whose search has a certain number format, not the fastest in a short trial."""
    classifier = hp.KernelDensityClassifier(memory)
    classifier.searcher = ExactSearcher(memory, products=number_format)
    return classifier


def serve_queries(memory: str, split: str, number_format: str) -> None:
    """Serve query images as `hueprobe explore MEMORY SPLIT --split test` does; print the address."""
    ask_for_huge_pages()
    opened = hp.open_memory(memory)
    explored = Explored(classifier_in(opened, number_format), memory, opened.images)
    queries = hp.images.resolve_images(split).where_split("test")
    exploration = Exploration((explored,), queries, split)
    serve(exploration, port=0, ready=lambda url: print(url, flush=True))


class Server:
    """`serve_queries` in a process of its own, and one connection to it."""

    def __init__(self, *arguments: str) -> None:
        program = "import sys; from benchmarks.explorer import serve_queries; serve_queries(*sys.argv[1:])"
        command = [sys.executable, "-c", program, *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        address = urlsplit(self._process.stdout.readline().strip())
        self._base = address.path
        self._connection = http.client.HTTPConnection(address.netloc, timeout=300)

    def get(self, path: str) -> bytes:
        """Return the body of an answer."""
        self._connection.request("GET", self._base + path)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {body[:200]!r}")
        return body

    def wait_for_background(self) -> float:
        """Wait until every query image was asked; return the seconds."""
        began = time.perf_counter()
        while (state := json.loads(self.get("predictions?memory=0")))["done"] < state["total"]:
            time.sleep(0.2)
        return time.perf_counter() - began

    def state(self) -> tuple[float, int]:
        """Return the resident memory in MB and the number of threads."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields["VmRSS"].split()[0]) * 1024 / 1e6, int(fields["Threads"])

    def end(self) -> None:
        """Interrupt the process."""
        self._connection.close()
        self._process.send_signal(2)
        self._process.communicate(timeout=60)


@contextlib.contextmanager
def served(*arguments: str) -> Iterator[Server]:
    """Yield a server that ends with the block."""
    server = Server(*arguments)
    try:
        yield server
    finally:
        server.end()


def milliseconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the wall-clock milliseconds of a call, and its result."""
    began = time.perf_counter()
    result = work()
    return 1000 * (time.perf_counter() - began), result


def spread(values: list[float]) -> list[float]:
    """Return median, least and greatest."""
    return [round(value, 3) for value in (statistics.median(values), min(values), max(values))]


def live(
    server: Server, classifier: hp.KernelDensityClassifier, queries: ImageTable, n: int
) -> dict[str, Any]:
    """Time live queries and the classifier alone, in turns; check that both say the same."""
    classifier.classify(queries.select([0]))
    server.get("query?memory=0&row=0")
    alone, asked, own_alone, own_asked = [], [], [], []
    for row in np.linspace(0, len(queries) - 1, n, dtype=int).tolist():
        took, result = milliseconds(partial(classifier.classify, queries.select([row])))
        alone.append(took)
        took, body = milliseconds(partial(server.get, f"query?memory=0&row={row}"))
        asked.append(took)
        found = decoded(json.loads(body)["queries"]["likelihood"])
        np.testing.assert_allclose(found, result.likelihood, atol=1e-5)
        own = row % classifier.memory.n_images
        own_alone.append(milliseconds(partial(classifier.leave_one_out, rows=[own]))[0])
        own_asked.append(milliseconds(partial(server.get, f"memory-image?memory=0&row={own}"))[0])
    return {
        "classify_ms": spread(alone),
        "query_ms": spread(asked),
        "query_ratio": spread([a / b for a, b in zip(asked, alone, strict=True)]),
        "leave_one_out_ms": spread(own_alone),
        "memory_image_ms": spread(own_asked),
        "memory_image_ratio": spread([a / b for a, b in zip(own_asked, own_alone, strict=True)]),
    }


def during_background(arguments: tuple[str, ...], n: int) -> dict[str, Any]:
    """Time live queries while the background pass runs, and then wait for its end."""
    with served(*arguments) as server:
        server.get("query?memory=0&row=0")  # loads the network
        took = []
        for i in range(1, n):
            time.sleep(2 * PAUSE_SECONDS)  # a reader's pace, in which the pass goes on
            took.append(milliseconds(partial(server.get, f"query?memory=0&row={i}"))[0])
        unfinished = json.loads(server.get("predictions?memory=0"))
        cold, _ = milliseconds(partial(server.get, "thumbnail?memory=0&kind=memory&row=1"))
        warm, _ = milliseconds(partial(server.get, "thumbnail?memory=0&kind=memory&row=1"))
        return {
            "query_during_background_ms": spread(took),
            "background_done": unfinished["done"] / unfinished["total"],
            "thumbnail_ms": [round(cold, 3), round(warm, 3)],
        }


def many_requests(server: Server, n: int) -> dict[str, Any]:
    """Ask everything in turn, and return RAM and threads before and after the last `n` requests."""
    paths = itertools.cycle(
        ["query?memory=0&row={}", "memory-image?memory=0&row={}", "thumbnail?memory=0&kind=memory&row={}", "",
         "thumbnail?memory=0&kind=query&row={}", "predictions?memory=0", "reverse?memory=0&id={}",
         "hubs?memory=0"]
    )  # fmt: skip
    states = []
    for count in (WARM_UP, n):
        for i in range(count):
            server.get(next(paths).format(i % 400))
        states.append(server.state())
    (before, threads_before), (after, threads_after) = states
    return {
        "requests": n,
        "rss_mb": [round(before, 1), round(after, 1)],
        "threads": [threads_before, threads_after],
    }


def measured(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one network, and return its row."""
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    table = hp.images.split_table(hp.images.from_folder(IMAGES), train=0.5, seed=0)
    split = folder / "split.csv"
    hp.images.save_table(table, split)
    (weights,) = (DATA / "weights").glob(f"{name}.*safetensors")
    memory = hp.build_memory(
        folder / f"{name}.memory", table.where_split("train"), backbone=f"benchmarks.networks:{name}",
        weights=weights, progress=True,
    )  # fmt: skip
    queries = table.where_split("test")
    # Both search in the same number format: a trial in each process might choose another one.
    number_format = ExactSearcher(memory).format
    row: dict[str, Any] = {
        "network": name, "images": memory.n_images, "n_vectors": memory.n_slots, "format": number_format,
    }  # fmt: skip
    asked = (str(memory.path), str(split), number_format)
    row |= during_background(asked, 11)
    with served(*asked) as server:
        row["background_seconds"] = round(server.wait_for_background(), 1)
        row |= live(server, classifier_in(memory, number_format), queries, arguments.rounds)
        row |= many_requests(server, arguments.requests)
    return row


def main() -> None:
    """Measure each network, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/explorer"))
    parser.add_argument("--networks", nargs="+", default=["resnet50_v1"])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--requests", type=int, default=1000)
    arguments = parser.parse_args()
    ask_for_huge_pages()  # as the command does
    facts = machine()
    rows = [measured(name, arguments) for name in arguments.networks]
    results = {"machine": facts, "versions": versions(), "rows": rows}
    (RESULTS / f"explorer-{processor_name()}.json").write_text(json_text(results, indent=1) + "\n")
    print(explorer_tables(results))


if __name__ == "__main__":
    main()
