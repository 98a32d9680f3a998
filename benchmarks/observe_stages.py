"""Where the time of `hueprobe observe all` goes, by stage.

    python -m benchmarks.observe_stages [--folder out/search] [--rounds 3] [--earlier FOLDER --label TEXT]

Real weights and images: the 800 of Caltech 101 in $HUEPROBE_SHARED/data/images (default ../shared) by
EfficientNet-Lite0. Their memory is made first, or taken up again. Every run is a process of its own that
writes a report anew; seconds are those of `observe --json`. With `--earlier`, a checkout of another version
takes turns with this one. Writes benchmarks/results/observe_stages-PROCESSOR.json.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine, processor_name, versions
from benchmarks.search_networks import RESULTS, memory_of
from hueprobe import __version__
from hueprobe.json_documents import json_text

NETWORK = "efficientnet_lite0"
HERE = Path(__file__).parent.parent


def observed(source: Path, memory: Path) -> tuple[dict[str, float], str]:
    """Return the seconds of a run of a version's source, and the sha256 of its verdicts.json."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hueprobe", "observe", "all", str(memory), "-o", folder, "--json"]
        done = subprocess.run(
            command, cwd=source, env={**os.environ, "PYTHONPATH": str(source)}, check=True,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        verdicts = (Path(folder) / "verdicts.json").read_bytes()
    return json.loads(done.stdout)["seconds"], hashlib.sha256(verdicts).hexdigest()


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/search"), help="Folder of the memory.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--earlier", type=Path, help="Checkout of another version that has these seconds.")
    parser.add_argument("--label", default="earlier", help="What that version is called.")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    memory = memory_of(arguments.folder, NETWORK)
    sources = {f"hueprobe {__version__}": HERE}
    if arguments.earlier:
        sources = {arguments.label: arguments.earlier.resolve(), **sources}
    results: dict[str, Any] = {
        "machine": machine(), "versions": versions(), "network": NETWORK, "images": memory.n_images,
        "vectors": int(memory.valid().sum()), "rounds": arguments.rounds,
    }  # fmt: skip
    runs = [
        {name: observed(source, memory.path.resolve()) for name, source in sources.items()}
        for _ in range(arguments.rounds)
    ]
    results["rows"] = [
        {
            "version": name,
            "seconds": by_stage([run[name][0] for run in runs]),
            "verdicts_sha256": sorted({run[name][1] for run in runs}),
        }
        for name in sources
    ]
    output = arguments.output or RESULTS / f"observe_stages-{processor_name()}.json"
    output.write_text(json_text(results, indent=1) + "\n")


def by_stage(runs: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return the median, the least and the greatest seconds of each stage."""
    return {
        name: [round(float(of(seconds)), 2) for of in (np.median, np.min, np.max)]
        for name in runs[0]
        for seconds in [[run[name] for run in runs]]
    }


if __name__ == "__main__":
    main()
