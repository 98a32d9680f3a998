"""A memory and a table of a million images: seconds and peak RSS from opening to the first answer.

    python -m benchmarks.million_images [--images 1000000] [--folder out/million] [--rounds 3]
    python -m benchmarks.million_images --source ../before --code before

Images have one cell of 16 channels, random, so that the list of images is what costs; a thousand classes, and
groups of ten. The memory is written with `memory_from_arrays`, and is made once. Each line of work runs in a
new process, in which the steps follow each other; the peak is that of the process so far, pages of libraries
included. The import, mostly of torch, is a step of its own. Files are in the page cache.

- classify: open the memory, make a `KernelDensityClassifier`, classify one image's activations, then another.
- search: open the memory and a searcher, and search one vector.
- list: open the memory, then its images, their hashes and the class of each.
- folder: list a folder of as many (empty) files, split it, save it as Parquet and list that.

`--source` takes hueprobe from another checkout, under the name in `--code`; its rows replace earlier ones of
that name. Writes benchmarks/results/million_images.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "million_images.json"
LINES = ("classify", "search", "list", "folder")
N_CHANNELS, N_CLASSES, IN_GROUP = 16, 1_000, 10


class Steps:
    """What each step of this process took."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """Do one step and return its result."""
        seconds, cpu = time.perf_counter(), time.process_time()
        result = work()
        row = {"seconds": time.perf_counter() - seconds, "cpu_seconds": time.process_time() - cpu}
        self.rows.append({"step": name, **row, "peak_mb": peak_mb()})
        return result


def peak_mb() -> float:
    """Return the peak RSS of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def imported() -> None:
    """Import what the other steps need."""
    import hueprobe.classifier
    import hueprobe.search.exact.searcher
    import hueprobe.search.index  # noqa: F401


def line_of_work(line: str, folder: Path) -> list[dict[str, Any]]:
    """Do the steps of one line of work in this process."""
    step = Steps()
    step("import", imported)
    import hueprobe as hp

    rng = np.random.default_rng(1)
    if line == "folder":
        table = step("from_folder", lambda: hp.images.from_folder(folder / "images"))
        split = step("split_table", lambda: hp.images.split_table(table, train=0.5, seed=0))
        step("where_split", lambda: split.where_split("train"))
        step("save_table", lambda: hp.images.save_table(split, folder / "images.parquet"))
        step("from_table", lambda: hp.images.from_table(folder / "images.parquet"))
        return step.rows
    memory = step("open_memory", lambda: hp.open_memory(folder / "million.memory"))
    if line == "classify":
        classifier = step("KernelDensityClassifier", lambda: hp.KernelDensityClassifier(memory))
        for name in ("first query", "second query"):
            activations = rng.random((1, memory.n_channels, 1, 1), np.float32)
            step(name, partial(classifier.classify_activations, activations))
    elif line == "search":
        searcher = step("open_searcher", lambda: hp.open_searcher(memory))
        vectors = memory.vectors([0])
        step("first search", lambda: searcher.search(vectors, 10))
    else:
        step("memory.images", lambda: memory.images)
        step("memory.sha256", lambda: memory.sha256)
        step("memory.image_class", lambda: memory.image_class)
    return step.rows


def make(folder: Path, n: int) -> None:
    """Write the memory and the folder of files, unless they are there."""
    from hueprobe import memory_from_arrays

    classes = [f"class {row % N_CLASSES:04d}" for row in range(n)]
    names = [f"{name}/{row:07d}.jpg" for row, name in enumerate(classes)]
    if not (folder / "million.memory").exists():
        activations = np.random.default_rng(0).random((n, N_CHANNELS, 1, 1), np.float32)
        groups = [f"group {row // IN_GROUP:06d}" for row in range(n)]
        memory_from_arrays(folder / "million.memory", activations, classes, groups=groups, names=names)
    if (folder / "images" / names[-1]).exists():
        return
    for name in set(classes):
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)
    for name in names:
        os.close(os.open(folder / "images" / name, os.O_CREAT))


def measured(line: str, folder: Path, source: Path) -> list[dict[str, Any]]:
    """Return the steps of one line of work in a new process."""
    command = [sys.executable, __file__, "--folder", str(folder.absolute()), "--line", line]
    environment = {**os.environ, "PYTHONPATH": str(source.absolute())}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    steps: list[dict[str, Any]] = json.loads(done.stdout)
    return steps


def summary(code: str, line: str, rounds: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row for each step: median, least and greatest seconds, and the largest peak."""
    rows = []
    for of_step in zip(*rounds, strict=True):
        row: dict[str, Any] = {"code": code, "line": line, "step": of_step[0]["step"]}
        for name in ("seconds", "cpu_seconds"):
            took = [one[name] for one in of_step]
            row[name] = [round(float(f(took)), 3) for f in (np.median, min, max)]
        rows.append({**row, "peak_mb": round(max(one["peak_mb"] for one in of_step)), "rounds": len(rounds)})
    return rows


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/million"))
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lines", nargs="+", choices=LINES, default=LINES)
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--code", default="now")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--line", choices=LINES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.line is not None:
        steps = line_of_work(arguments.line, arguments.folder)
        from hueprobe.json_documents import json_text  # after what was measured

        print(json_text(steps))
        return
    from benchmarks.machine import machine, versions
    from hueprobe.json_documents import json_text

    make(arguments.folder, arguments.images)
    known = json.loads(arguments.output.read_text())["rows"] if arguments.output.exists() else []
    asked = {(arguments.code, line) for line in arguments.lines}
    kept = [row for row in known if (row["code"], row["line"]) not in asked]
    rows = []
    for line in arguments.lines:
        rounds = [measured(line, arguments.folder, arguments.source) for _ in range(arguments.rounds)]
        rows += summary(arguments.code, line, rounds)
        print("\n".join(json_text(row) for row in rows if row["line"] == line), flush=True)
    results = {
        "machine": machine(), "versions": versions(), "images": arguments.images, "channels": N_CHANNELS,
        "classes": N_CLASSES, "rows": [*kept, *rows],
    }  # fmt: skip
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json_text(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
