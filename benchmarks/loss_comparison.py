"""The training comparison at a size that a CPU can do, or at full size on a GPU.

    python -m benchmarks.loss_comparison --set flowers17 --size 64 --epochs 20

ResNet-18 from scratch on half of each class of a packed set ($HUEPROBE_SHARED/data/train, default ../shared),
tested on the other half: one-hot and hue:eq5 over --seeds, hue:l2 and smooth over --seeds-rest. Each trained
network is then observed on the test images. The study lies in --folder, run by run, so the command may be
stopped and called again, and called several times at once: with --threads 1, one process a core. Writes
benchmarks/results/loss_comparison-SET.json, and two figures beside it.

The results say at which size, and with how many epochs, they were measured.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import machine
from benchmarks.packs import NAMES, images_of
from hueprobe.memory.settings import library_versions
from hueprobe.plots.trained_networks import measure_figure
from hueprobe.plots.training import loss_figure
from hueprobe.studies import ComparisonSettings, run_comparison
from hueprobe.studies.comparison.loss_comparison import (
    LossSummary,
    compare_curves,
    compare_losses,
    compare_observed,
)
from hueprobe.studies.comparison.loss_run import LossRun
from hueprobe.studies.comparison.trained_networks import MeasureSummary

RESULTS = Path(__file__).parent / "results"
PRIMARY = "hue:eq5"
FIRST, REST = ("onehot", PRIMARY), ("hue:l2", "smooth")


def studies(arguments: argparse.Namespace) -> list[ComparisonSettings]:
    """Return the settings for few seeds with all losses, then for all seeds with the first two."""
    settings = ComparisonSettings(
        backbone=arguments.backbone, losses=(*FIRST, *REST), primary=PRIMARY, seeds=arguments.seeds_rest,
        side=-(-arguments.size * 8 // 7), observe=arguments.observe, robustness=True,
        observe_crop=arguments.observe_size, keep_weights=True,
        training={
            "epochs": arguments.epochs, "batch_size": arguments.batch_size, "crop": arguments.size,
            "precision": arguments.precision, "device": arguments.device, "checkpoint_every": 5,
        },
    )  # fmt: skip
    return [settings, replace(settings, losses=FIRST, seeds=arguments.seeds)]


def document(
    arguments: argparse.Namespace,
    runs: list[LossRun],
    summaries: list[LossSummary],
    measures: list[MeasureSummary],
) -> dict[str, Any]:
    """Return what is written down: the settings, a summary a loss, and every run."""
    return {
        "set": arguments.set,
        "backbone": arguments.backbone,
        "size": arguments.size,
        "observed_size": arguments.observe_size or arguments.size,
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "precision": arguments.precision,
        "primary": PRIMARY,
        "summaries": [asdict(found) for found in summaries],
        "measures": [asdict(found) for found in measures],
        "runs": [run.to_json() for run in runs],
        "machine": machine(),
        "versions": library_versions(),
        "note": arguments.note,
    }


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=sorted(NAMES), default="flowers17")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=64, help="Pixels that the network sees.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=6, help="For one-hot and hue:eq5.")
    parser.add_argument("--seeds-rest", type=int, default=3, help="For hue:l2 and smooth.")
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16; time both on your machine.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--observe", default="test", help="test, train or none.")
    parser.add_argument("--observe-size", type=int, default=0, help="Pixels  [default: those of --size]")
    parser.add_argument("--folder", type=Path, default=Path("out/loss_comparison"))
    parser.add_argument("--output", type=Path, help="Of the results  [default: as said above]")
    parser.add_argument("--note", default="", help="What else ran on the machine.")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    table = images_of(arguments.set, arguments.folder)
    name = f"{arguments.set}-{arguments.backbone}-{arguments.size}px-{arguments.epochs}"
    found: dict[tuple[str, int], LossRun] = {}
    for settings in studies(arguments):
        for run in run_comparison(table, arguments.folder / name, settings, progress=True):
            found[run.loss, run.seed] = run
    runs = list(found.values())
    output: Path = arguments.output or RESULTS / f"loss_comparison-{arguments.set}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    summaries, measures = compare_losses(runs, primary=PRIMARY), compare_observed(runs)
    found_all = json.dumps(document(arguments, runs, summaries, measures))
    plain = json.loads(found_all, parse_constant=lambda _: None)  # no NaN in JSON
    output.write_text(json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n")
    loss_figure(summaries, compare_curves(runs)).savefig(output.with_suffix(".png"))
    if measures:
        measure_figure(measures).savefig(output.with_name(f"{output.stem}-observed.png"))
    for summary in summaries:
        print(f"{summary.loss}: {summary.accuracy.estimate:.3f} over {summary.n_seeds} seeds")


if __name__ == "__main__":
    main()
