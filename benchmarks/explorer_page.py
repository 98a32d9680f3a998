"""How fast the page of `hueprobe explore -o` opens, and answers when a cell is chosen, in headless Chromium.

    python -m benchmarks.explorer_page [--images 400] [--rounds 5] [--folder out/explorer_page]

Takes real images of Caltech-101 ($HUEPROBE_SHARED, default ../shared) with EfficientNet-Lite0: 7 x 7 cells,
K = 10. Opening is the time from the navigation until the wall is painted; answering is the time from
the click until the cell's matches are painted, over all cells of several images. Both end with the second
animation frame after the change, so up to two frames of 17 ms are waiting. Bounds: 1.5 s and 50 ms.
"""

import argparse
import os
import shutil
import statistics
from pathlib import Path
from typing import Any

from benchmarks.machine import machine, versions
from hueprobe.explorer import explore
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memory

RESULTS = Path(__file__).parent / "results" / "explorer_page.json"
IMAGES = Path(os.environ.get("HUEPROBE_SHARED", "../shared")) / "data" / "images" / "caltech101_20x40"
N_CLASSES, N_OPENED = 20, 10

# Notes the time when the page first shows a view, and has painted it.
WATCH = """
const painted = () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
new MutationObserver(async (_, observer) => {
  if (!document.querySelector("main[data-view]")) return;
  observer.disconnect();
  await painted();
  window.openedAt = performance.now();
}).observe(document, {subtree: true, childList: true, attributes: true});
window.answerTimes = async () => {
  const times = [];
  for (const cell of document.querySelectorAll(".query .cell")) {
    await painted();
    const started = performance.now();
    cell.dispatchEvent(new MouseEvent("click", {bubbles: true}));
    const worked = performance.now();
    await painted();
    times.push([worked - started, performance.now() - started]);
  }
  return times;
};
"""


def page_of(folder: Path, n_images: int) -> Path:
    """Make the page of that many images, the same number of each class."""
    for source in sorted(path for path in IMAGES.iterdir() if path.is_dir()):
        target = folder / "images" / source.name
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(source.iterdir())[: n_images // N_CLASSES]:
            if not (target / file.name).is_symlink():
                (target / file.name).symlink_to(file.resolve())
    memory = build_memory(folder / "memory", folder / "images", backbone="efficientnet_lite0")
    path = folder / "page.html"
    explore(memory).save(path)
    return path


def measured(path: Path, rounds: int) -> dict[str, Any]:
    """Open the page in a fresh browser context `rounds` times, and choose all cells of several images."""
    from playwright.sync_api import sync_playwright

    opened: list[float] = []
    worked: list[float] = []
    answered: list[float] = []
    with sync_playwright() as playwright:
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(rounds):
            context = browser.new_context(viewport={"width": 1280, "height": 720})
            context.add_init_script(WATCH)
            page = context.new_page()
            page.goto(path.as_uri())
            page.wait_for_function("window.openedAt")
            opened.append(page.evaluate("window.openedAt"))
            for row in range(0, N_OPENED):
                page.evaluate(f"location.hash = 'q={row * 7}'")
                page.wait_for_selector(".image-view")
                for work, whole in page.evaluate("window.answerTimes()"):
                    worked.append(work)
                    answered.append(whole)
            context.close()
        version = browser.version
        browser.close()
    return {
        "chromium": version,
        "bytes": path.stat().st_size,
        "open_ms": summary(opened),
        "cell_script_ms": summary(worked),
        "cell_painted_ms": summary(answered),
        "cells": len(answered),
        "rounds": rounds,
    }


def summary(times: list[float]) -> dict[str, float]:
    """Return median, 99th percentile and largest of times in milliseconds."""
    centiles = statistics.quantiles(times, n=100, method="inclusive")
    found = {"median": statistics.median(times), "99 %": centiles[98], "largest": max(times)}
    return {name: round(value, 1) for name, value in found.items()}


def main() -> None:
    """Make the page and measure it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("out/explorer_page"))
    arguments = parser.parse_args()
    found = measured(page_of(arguments.folder, arguments.images), arguments.rounds)
    results = {"machine": machine(), "versions": versions(), "images": arguments.images, **found}
    RESULTS.write_text(json_text(results, indent=2) + "\n")
    print(json_text(found, indent=2))


if __name__ == "__main__":
    main()
