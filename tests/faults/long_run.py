"""Index and query in one process for minutes on end; fail where anything grows.

    python -m tests.faults.long_run [--minutes 15]

A round begins a build that is stopped, continues it, appends to it, pools it, builds indexes and asks
every searcher; one of its images is torn. Open files, threads and RssAnon (what the process itself holds,
without files that it maps) are noted after each round. Rule: open files and threads are no more after the
last round than the most of the first half, when pools of threads (Arrow's) have filled; and the median
RssAnon of the last quarter of the rounds is no more than 4 MiB above that of the second quarter.
"""

import argparse
import gc
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import pyarrow as pa
import torch

from hueprobe import KernelDensityClassifier, build_memory, open_memory
from hueprobe.memory import append_images, derive_memory, verify_memory
from hueprobe.search import build_index
from tests.faults.jobs import draw_images
from tests.tiny_network import tiny

SEARCHERS = ("exact", "annoy:trees=2", "faiss:IVF4,Flat")
MOST_MIB = 4.0


class _Stop(KeyboardInterrupt):
    pass


def one_round(images, folder, network, transform):
    """Do everything once, and leave nothing on disk."""
    settings = {"backbone": network, "transform": transform, "layer": "3", "batch_size": 4, "workers": 2}

    def stop(*_):
        raise _Stop

    hook = network.register_forward_pre_hook(stop)
    try:
        build_memory(folder / "m", images / "first", **settings)
    except _Stop:
        pass
    finally:
        hook.remove()
    build_memory(folder / "m", images / "first", **settings)
    memory = append_images(folder / "m", images / "more", backbone=network, transform=transform, workers=2)
    for spec in SEARCHERS[1:]:
        build_index(memory, spec)
    derive_memory(folder / "g", memory, "gap")
    assert not verify_memory(folder / "m").problems
    asked = sorted((images / "first" / "a").glob("*.png"))[:4]
    for spec in SEARCHERS:
        classifier = KernelDensityClassifier(
            open_memory(folder / "m"), searcher=spec, backbone=network, transform=transform
        )
        assert len(classifier.classify(asked).rows) == len(asked)
        classifier.leave_one_out()
    shutil.rmtree(folder)


def held():
    """Return what the process holds: open files, threads, MiB of RssAnon."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    (anonymous,) = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")]
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "system_threads": len(os.listdir("/proc/self/task")),
        "anonymous_mib": int(anonymous) / 1024,
    }


def grown(noted):
    """Say what grew, one sentence each."""
    found, n = [], len(noted)
    for name in ("files", "threads", "system_threads"):
        most = max(row[name] for row in noted[: (n + 1) // 2])
        if noted[-1][name] > most:
            found.append(f"{name}: {most} at most in the first half, {noted[-1][name]} after the last round")
    early = statistics.median(row["anonymous_mib"] for row in noted[n // 4 : n // 2] or noted[:1])
    late = statistics.median(row["anonymous_mib"] for row in noted[n - max(1, n // 4) :])
    if late > early + MOST_MIB:
        found.append(f"RssAnon: {early:.1f} MiB in the second quarter, {late:.1f} MiB in the last")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    pa.set_cpu_count(1)  # Arrow's pools grow to their size in their own time: none of them leaks
    pa.set_io_thread_count(1)
    network, transform = tiny()
    with tempfile.TemporaryDirectory() as temporary:
        images = draw_images(Path(temporary) / "images")
        end, noted = time.monotonic() + 60 * arguments.minutes, []
        while time.monotonic() < end or len(noted) < 8:
            one_round(images, Path(temporary) / "work", network, transform)
            noted.append(held())
    found = grown(noted)
    summary = {"minutes": arguments.minutes, "rounds": len(noted)}
    every = max(1, len(noted) // 10)
    print(json.dumps({**summary, "noted": noted[::every] + noted[-1:], "grown": found}, indent=1))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
