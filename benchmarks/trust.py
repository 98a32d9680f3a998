"""Coverage of conformal prediction sets, calibration, and detection of outside images, on real images.

    python -m benchmarks.trust [--folder out/trust] [--seeds 10]

For each seed half of each class is the memory, a quarter the calibration and a quarter the test set. Outside
images are those of another set, or of the classes that are kept out of memory. Needs the real images
($HUEPROBE_SHARED, default ../shared). Memories are kept in --folder and taken up again. Writes
benchmarks/results/trust.json and prints its tables.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import SHARED
from benchmarks.tables import RESULTS, trust_tables
from hueprobe import Classification, KernelDensityClassifier, Memory, images, trust
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memory
from hueprobe.memory.settings import library_versions
from hueprobe.stats.intervals import Interval
from hueprobe.trust.prediction_sets import LEVELS

NETWORK = "efficientnet_lite0"
SETS = ("caltech101_20x40", "dtd_10x40", "utkface_sex_2x300")


def parts_of(classes: np.ndarray, seed: int, among: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return rows of the memory, calibration and test: a half and two quarters of each class.

    Parameters
    ----------
    classes : ndarray of int64, shape (n,)
        Class id of each image.
    seed : int
        Seed of the draw.
    among : ndarray of int64, optional
        Classes to draw from; all by default.
    """
    rng = np.random.default_rng(seed)
    parts: dict[str, list[int]] = {"memory": [], "calibration": [], "test": []}
    for c in np.unique(classes) if among is None else among:
        rows = rng.permutation(np.flatnonzero(classes == c))
        half, quarter = len(rows) // 2, len(rows) // 4
        for name, some in zip(parts, np.split(rows, [half, half + quarter]), strict=True):
            parts[name].extend(some.tolist())
    return {name: np.sort(np.array(rows, np.int64)) for name, rows in parts.items()}


def classify(classifier: KernelDensityClassifier, source: Memory, rows: np.ndarray) -> Classification:
    """Classify images whose vectors are in a memory of the same network."""
    height, width = source.grid.shape
    vectors = source.image_vectors(rows).reshape(len(rows), height, width, -1)
    return classifier.classify_activations(
        np.ascontiguousarray(vectors.transpose(0, 3, 1, 2)),
        names=[f"{source.path.stem}/{source.images.paths[row]}" for row in rows],
        classes=[source.images.classes[row] for row in rows],
    )


def of_interval(found: Interval) -> dict[str, float]:
    """Return an interval as a record."""
    return {"estimate": found.estimate, "low": found.low, "high": found.high}


def coverage_row(memory: Memory, seed: int) -> dict[str, Any]:
    """Return coverage, sizes of sets and calibration of one split of a set."""
    rows = parts_of(memory.image_class, seed)
    classifier = KernelDensityClassifier(memory, images=rows["memory"])
    calibration, test = (classify(classifier, memory, rows[part]) for part in ("calibration", "test"))
    conformal = trust.conformal_predictions(calibration, test)
    check = trust.calibration_check(calibration, test, seed=seed)
    levels = {}
    for level in LEVELS:
        found = conformal.coverage(level)
        levels[str(level)] = {
            "coverage": of_interval(found.share), "expected": found.expected,
            "size": of_interval(found.size), "single": found.single, "empty": found.empty,
        }  # fmt: skip
    return {
        "seed": seed, "n": {part: len(some) for part, some in rows.items()}, "levels": levels,
        "accuracy": of_interval(conformal.numbers()["accuracy"]),
        "temperature": of_interval(check.temperature.value),
        "loss": {"before": check.temperature.loss_before, "after": check.temperature.loss_after},
        "calibration_error": {
            stage: {
                binning: {**of_interval(one.error), "if_calibrated": one.error_if_calibrated[1]}
                for binning, one in getattr(check, stage).items()
            }
            for stage in ("before", "after")
        },
    }  # fmt: skip


def outside_row(memory: Memory, outside: Memory, seed: int, n_kept: int | None = None) -> dict[str, Any]:
    """Return how well each score tells the images of another set, or of kept-out classes, from test images.

    Parameters
    ----------
    memory, outside : Memory
        Memory of the inside set, and of the outside set.
    seed : int
        Seed of the split.
    n_kept : int, optional
        Number of classes in memory; the images of the others are the outside ones. All by default.
    """
    classes = np.random.default_rng(seed).permutation(len(memory.classes))
    among = classes if n_kept is None else classes[:n_kept]
    rows = parts_of(memory.image_class, seed, np.sort(among))
    strangers = np.arange(outside.n_images)
    if n_kept is not None:
        strangers = np.flatnonzero(~np.isin(memory.image_class, among))
    classifier = KernelDensityClassifier(memory, images=rows["memory"])
    calibration = classify(classifier, memory, rows["calibration"])
    scores = []
    for source, some in ((memory, rows["test"]), (outside, strangers)):
        result = classify(classifier, source, some)
        scores.append(trust.image_scores(result, conformal=trust.conformal_predictions(calibration, result)))
    found = trust.detect_outside(*scores, seed=seed)
    return {
        "seed": seed, "n_inside": len(rows["test"]), "n_outside": len(strangers),
        "scores": {
            name: {"auroc": of_interval(one.auroc), "fpr95": of_interval(one.fpr95)}
            for name, one in found.by_score.items()
        },
    }  # fmt: skip


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/trust"))
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    memories = {
        name: build_memory(
            arguments.folder / f"{name}.memory", images.from_folder(SHARED / "images" / name),
            backbone=NETWORK, progress=True,
        )
        for name in SETS
    }  # fmt: skip
    seeds = range(arguments.seeds)
    document: dict[str, Any] = {"network": NETWORK, "k": 10, "versions": library_versions()}
    document["coverage"] = {
        name: [_said(name, coverage_row(memory, seed)) for seed in seeds] for name, memory in memories.items()
    }
    document["outside"] = [
        {"inside": inside, "outside": outside,
         "rows": [_said(outside, outside_row(memories[inside], memories[outside], seed)) for seed in seeds]}
        for inside in SETS for outside in SETS if inside != outside
    ]  # fmt: skip
    for name in SETS[:2]:
        memory = memories[name]
        kept = len(memory.classes) // 2
        rows = [_said(name, outside_row(memory, memory, seed, kept)) for seed in seeds]
        document["outside"].append(
            {"inside": f"{name}, half of the classes", "outside": "the others", "rows": rows}
        )
    (RESULTS / "trust.json").write_text(json_text(document, indent=1) + "\n")
    print(trust_tables(json.loads((RESULTS / "trust.json").read_text())))


def _said(name: str, row: dict[str, Any]) -> dict[str, Any]:
    print(name, json_text(row), flush=True)
    return row


if __name__ == "__main__":
    main()
