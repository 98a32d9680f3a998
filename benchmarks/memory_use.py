"""Peak anonymous memory of `hueprobe index` at 400 and at 4,000 images: it should be the same.

    python -m benchmarks.memory_use [--folder out/memory_use] [--copies 1 10]

Takes 400 of the real images ($HUEPROBE_SHARED, default ../shared), repeated by links, and reads
RssAnon of the child process every 20 ms (pages of memory-mapped files are not counted).
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from hueprobe.json_documents import json_text

RESULTS = Path(__file__).parent / "results" / "memory_use.json"
IMAGES = Path(os.environ.get("HUEPROBE_SHARED", "../shared")) / "data" / "images" / "dtd_10x40"


def linked(folder: Path, copies: int) -> Path:
    """Return a folder of class folders with every image `copies` times."""
    for file in sorted(IMAGES.glob("*/*.jpg")):
        for copy in range(copies):
            link = folder / file.parent.name / f"{file.stem}_{copy}.jpg"
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(file.resolve())
    return folder


def peak_anonymous(command: list[str]) -> tuple[int, float]:
    """Run a command; return its largest RssAnon in bytes and its seconds."""
    started, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        while child.poll() is None:
            try:
                status = Path(f"/proc/{child.pid}/status").read_text()
            except OSError:
                break
            anonymous = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")]
            peak = max([peak, *(int(kib) * 1024 for kib in anonymous)])
            time.sleep(0.02)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {child.returncode}")
    return peak, time.perf_counter() - started


def main() -> None:
    """Measure each number of copies once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/memory_use"))
    parser.add_argument("--backbone", default="squeezenet1_1")
    parser.add_argument("--weights", default="none")
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 10])
    arguments = parser.parse_args()
    rows = []
    for copies in arguments.copies:
        images = linked(arguments.folder / f"images-{copies}", copies)
        command = [sys.executable, "-m", "hueprobe", "index", str(images), "--overwrite"]
        command += ["-o", str(arguments.folder / f"{copies}.memory"), "--backbone", arguments.backbone]
        command += ["--weights", arguments.weights]
        peak, seconds = peak_anonymous(command)
        rows.append(
            {"images": 400 * copies, "peak_rss_anon_mb": round(peak / 1e6, 1), "seconds": round(seconds)}
        )
        print(json_text(rows[-1]), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        json_text({"network": arguments.backbone, "weights": arguments.weights, "rows": rows}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    main()
