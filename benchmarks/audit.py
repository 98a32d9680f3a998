"""Recall and false alarms of `hueprobe audit` on real images with planted copies and wrong labels.

    python -m benchmarks.audit [--folder out/audit] [--n-copies 200] [--seeds 10]

The memory holds all images of Caltech 101's 20 classes. Some of them are changed in each of several ways, and
audited against the memory as IMAGES; recall is the share of changed images that are paired with their
original. Then labels are changed at random, and every image is judged by all others. Needs the real images
($HUEPROBE_SHARED, default ../shared). Writes benchmarks/results/audit.json and prints its tables.
"""

import argparse
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchmarks.accuracy import SHARED
from benchmarks.tables import RESULTS, audit_tables
from benchmarks.trust import of_interval
from hueprobe import Classification, KernelDensityClassifier, Memory, density, images, trust
from hueprobe.images.reading import show_image
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memory
from hueprobe.memory.settings import library_versions
from hueprobe.stats import auroc, share_interval
from hueprobe.trust.image_audit import DISTANCE, SHARE
from hueprobe.trust.near_pairs import NEAR

NETWORK, SET = "efficientnet_lite0", "caltech101_20x40"
DISTANCES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SHARES = (0.25, 0.5, 0.75)
RATES = (0.02, 0.05, 0.1, 0.2)


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return an image as JPEG of this quality gives it back."""
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=quality)
        return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def cropped(image: Image.Image, side: float) -> Image.Image:
    """Return the middle of an image, with sides this much as long."""
    width, height = image.size
    left, top = round(width * (1 - side) / 2), round(height * (1 - side) / 2)
    return image.crop((left, top, width - left, height - top))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 50": lambda image: as_jpeg(image, 50),
    "JPEG, quality 10": lambda image: as_jpeg(image, 10),
    "half as wide and high": lambda image: image.resize((image.width // 2, image.height // 2)),
    "cropped to 95 %": lambda image: cropped(image, 0.95),
    "cropped to 80 %": lambda image: cropped(image, 0.8),
    "mirrored": ImageOps.mirror,
    "gray": lambda image: ImageOps.grayscale(image).convert("RGB"),
}


def recall_rows(memory: Memory, folder: Path, n: int) -> dict[str, Any]:
    """Return recall by kind of change, limit and criterion, and the false alarms of the limits."""
    chosen = np.sort(np.random.default_rng(0).permutation(memory.n_images)[:n])
    lines = ["path,class"]
    for number, change in enumerate(CHANGES.values()):
        for row in chosen:
            copy = folder / f"{number}-{row}.png"
            change(show_image(memory.images, int(row))).save(copy)
            lines.append(f"{copy.name},{memory.images.classes[row]}")
    (folder / "copies.csv").write_text("\n".join(lines) + "\n")
    found = trust.audit(memory, images.resolve_images(folder / "copies.csv"), distance=2, share=0)
    rows = {path: i for i, path in enumerate(found.images)}
    values = {
        (first, second): (distance, share)
        for first, second, distance, share in zip(
            found.near.first.tolist(), found.near.second.tolist(), found.near.distance.tolist(),
            found.near.share.tolist(), strict=True,
        )
    }  # fmt: skip
    recall = []
    for number, kind in enumerate(CHANGES):
        pairs = [(int(row), rows[f"{number}-{row}.png"]) for row in chosen]
        distance, share = np.array([values[pair] for pair in pairs]).T
        both = (distance < DISTANCE) | (share > SHARE)
        recall.append(
            {
                "kind": kind, "n": n, "median_distance": float(np.median(distance)),
                "median_share": float(np.median(share)), "either": of_interval(share_interval(both)),
                "distance": {str(top): of_interval(share_interval(distance < top)) for top in DISTANCES},
                "share": {str(least): of_interval(share_interval(share > least)) for least in SHARES},
            }
        )  # fmt: skip
    return {"recall": recall, **alarm_rows(memory)}


def alarm_rows(memory: Memory) -> dict[str, Any]:
    """Return how often the limits pair images of other classes, and of the same class, without copies."""
    found = trust.audit(memory, distance=2, share=0)
    classes = np.array(found.classes)
    same = classes[found.near.first] == classes[found.near.second]
    values = {"distance": found.near.distance, "share": found.near.share}
    alarms: dict[str, dict[str, Any]] = {}
    for name, limits in (("distance", DISTANCES), ("share", SHARES)):
        alarms[name] = {}
        for limit in limits:
            flagged = values[name] < limit if name == "distance" else values[name] > limit
            alarms[name][str(limit)] = {
                "images": of_interval(found.false_alarms(name, limit)),
                "pairs_of_other_classes": int((flagged & ~same).sum()), "n_other": int((~same).sum()),
                "pairs_of_one_class": int((flagged & same).sum()), "n_same": int(same.sum()),
            }  # fmt: skip
    kept = np.flatnonzero((values["distance"] < DISTANCE) | (values["share"] > SHARE))
    return {"false_alarms": alarms, "default_pairs": found.to_arrow("near").take(kept).to_pylist()}


def relabeled(result: Classification, classes: np.ndarray) -> Classification:
    """Return a leave-one-out classification with other labels, on which matches do not depend."""
    if result.matches is None or result.sources is None:
        raise AssertionError("the classification has matches and sources")
    matches, n_classes = result.matches, len(result.classes)
    sizes = result.sources.memory.valid_per_image
    counts = np.tile(np.bincount(classes, sizes, n_classes), (len(classes), 1))
    counts[np.arange(len(classes)), classes] -= sizes
    unnormalized = density.likelihoods(
        matches.weight[:, None], classes[matches.image][:, None], matches.query_image, counts
    )
    decision = density.decide(unnormalized)
    return replace(
        result, unnormalized=unnormalized, likelihood=decision.normalized, predicted=decision.predicted,
        tie=decision.tie, true_class=tuple(result.classes[c] for c in classes),
    )  # fmt: skip


def label_row(result: Classification, truth: np.ndarray, rate: float, seed: int) -> dict[str, Any]:
    """Return how well wrong labels are found if this share of all is wrong."""
    rng = np.random.default_rng(seed)
    wrong = np.sort(rng.permutation(len(truth))[: round(rate * len(truth))])
    classes = truth.copy()
    classes[wrong] = (truth[wrong] + rng.integers(1, len(result.classes), len(wrong))) % len(result.classes)
    found = trust.label_candidates(relabeled(result, classes))
    flipped = np.isin(found.rows, wrong)
    flagged = found.rank > 1
    return {
        "rate": rate, "seed": seed, "n": len(truth), "n_wrong": len(wrong),
        "auroc": {
            "likelihood": of_interval(auroc(-found.likelihood[flipped], -found.likelihood[~flipped])),
            "margin": of_interval(auroc(-found.margin[flipped], -found.margin[~flipped])),
        },
        "recall": of_interval(share_interval(flagged[flipped])),
        "false_alarms": of_interval(share_interval(flagged[~flipped])),
        "precision": of_interval(share_interval(flipped[flagged])),
        "recall_in_first": of_interval(share_interval(np.flatnonzero(flipped) < len(wrong))),
    }  # fmt: skip


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("out/audit"))
    parser.add_argument("--n-copies", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    copies = arguments.folder / "copies"
    copies.mkdir(parents=True, exist_ok=True)
    memory = build_memory(
        arguments.folder / f"{SET}.memory", images.from_folder(SHARED / "images" / SET), backbone=NETWORK,
        progress=True,
    )  # fmt: skip
    document: dict[str, Any] = {"network": NETWORK, "set": SET, "k": 10, "versions": library_versions()}
    document["limits"] = {"distance": DISTANCE, "share": SHARE, "near": NEAR}
    document |= recall_rows(memory, copies, arguments.n_copies)
    result = KernelDensityClassifier(memory).leave_one_out()
    document["labels"] = [
        label_row(result, memory.image_class, rate, seed) for rate in RATES for seed in range(arguments.seeds)
    ]
    (RESULTS / "audit.json").write_text(json_text(document, indent=1) + "\n")
    print(audit_tables(json.loads((RESULTS / "audit.json").read_text())))


if __name__ == "__main__":
    main()
