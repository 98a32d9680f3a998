"""Recall and false alarms of `hueprobe audit` on real images with planted copies, patches and wrong labels.

    python -m benchmarks.audit [--folder out/audit] [--n-copies 100] [--seeds 10] [--parts copies rates ...]

Memories hold all images of Caltech 101's 20 classes, of ten classes of DTD and of UTKFace.

- *copies*: some images are changed in each of several ways, and audited against the memory as IMAGES; recall
  is the share of changed images that are found with their original. Squares of images are pasted into images
  of other classes.
- *bursts* of 20 frames of an image are added to a memory.
- *rates*: limits are set by half of the classes, and false alarms are counted among the others.
- *labels* are changed at random, and every image is judged by all others.
- *large*: all 8,677 images of Caltech 101, where a rate of 0.001 can be counted.

Needs the real images and weights ($HUEPROBE_SHARED, default ../shared). Memories are kept in --folder and
taken up again. Writes benchmarks/results/audit.json, where what is not asked for stays as it was,
and prints its tables.
"""

import argparse
import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.accuracy import NETWORKS, SHARED
from benchmarks.planted import CHANGES, frame, with_patch
from benchmarks.tables import RESULTS, audit_tables
from benchmarks.trust import of_interval
from hueprobe import Classification, KernelDensityClassifier, Memory, density, images, trust
from hueprobe.images.reading import show_image
from hueprobe.images.table import ImageTable
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memory
from hueprobe.memory.settings import library_versions
from hueprobe.query_source import QuerySource
from hueprobe.stats import auroc, limit_of_minima, share_interval
from hueprobe.trust.compared_images import ComparedImages, Gathered, gathered, pooled_descriptors
from hueprobe.trust.image_audit import FALSE_ALARMS
from hueprobe.trust.near_images import PooledImages

SETS = ("caltech101_20x40", "dtd_10x40", "utkface_sex_2x300")
COMPARED = ("efficientnet_lite0", "resnet50")
EARLIER = ("efficientnet_lite0", "blocks.4")  # 14 x 14 cells, which see less of what is around them
RATES = (0.05, 0.01, 0.001)
SIDES = (64, 96, 128, 160)  # of a patch, in pixels of an input of 224
BURSTS, FRAMES = 5, 20
WRONG = (0.02, 0.05, 0.1, 0.2)


def memory_of(folder: Path, network: str, table: ImageTable, name: str, **options: Any) -> Memory:
    """Return the memory of a set, built if it is not there."""
    options = {**NETWORKS[network], **options}
    if "weights" in options:
        options["weights"] = SHARED / "weights" / f"{options['weights']}.fp16.safetensors"
    named = "-".join([name, network, *([options["layer"]] if "layer" in options else [])])
    return build_memory(folder / f"{named}.memory", table, progress=True, **options)


def gather(memory: Memory, table: ImageTable | None = None) -> Gathered:
    """Return what an audit keeps of the memory's own images, or of further ones."""
    classifier = KernelDensityClassifier(memory)
    options: dict[str, Any] = dict.fromkeys(("images", "backbone", "transform", "weights", "workers"))
    source = QuerySource(memory, exclude="image", device="cpu", progress=True, **options)
    if table is None:
        return gathered(classifier, source.of_memory(), offset=0)
    return gathered(classifier, source.of_images(table), offset=memory.n_images)


def save_images(folder: Path, made: dict[str, Any], classes: dict[str, str | None]) -> ImageTable:
    """Write images that are not there yet, and their classes; return them as a table."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in made.items():
        if not (folder / name).exists():
            make().save(folder / name)
    lines = [f"{name},{classes[name]}" for name in made]
    (folder / "images.csv").write_text("\n".join(["path,class", *lines]) + "\n")
    return images.resolve_images(folder / "images.csv")


def found_by(compared: ComparedImages, pairs: np.ndarray, limits: dict[str, float]) -> dict[str, np.ndarray]:
    """Return whether pairs of images are near-duplicates, and whether they share enough cells."""
    first, second = pairs.T
    relative = compared.pooled.relative(first, second, compared.pooled.distances(first, second))
    cells = compared.cells_of(first * len(compared.classes) + second)
    near = relative < limits["relative_distance"]
    return {"near": near, "cells": cells >= limits["cells"], "relative": relative, "counts": cells}


def alarm_row(alone: ComparedImages, rate: float) -> dict[str, Any]:
    """Return limits by a rate, and which pairs of unchanged images they find."""
    classes = np.array(alone.classes)
    limits = alone.limits(rate)
    near = alone.pooled.pairs(limits["relative_distance"])
    cells = alone.cells.select(alone.cells.cells >= limits["cells"])
    row: dict[str, Any] = {"rate": rate, "limits": limits}
    for name, found in (("relative_distance", near), ("cells", cells)):
        same = classes[found.first] == classes[found.second]
        value = alone.other_value[name]
        paired = value < limits[name] if name == "relative_distance" else value >= limits[name]
        row[name] = {
            "images": of_interval(share_interval(paired)),
            "pairs_of_other_classes": int((~same).sum()), "pairs_of_one_class": int(same.sum()),
        }  # fmt: skip
    n_same = sum(
        int((classes == name).sum()) * (int((classes == name).sum()) - 1) // 2 for name in set(classes)
    )
    return row | {"n_same": n_same, "n_other": len(classes) * (len(classes) - 1) // 2 - n_same}


def copies_row(memory: Memory, own: Gathered, folder: Path, n: int) -> dict[str, Any]:
    """Return recall by kind of change and rate, and the false alarms of the limits."""
    alone = ComparedImages.of([memory.images], [own])
    chosen = np.sort(np.random.default_rng(0).permutation(memory.n_images)[:n])
    made, classes = {}, {}
    for number, change in enumerate(CHANGES.values()):
        for row in chosen:
            name = f"{number}-{row}.png"
            made[name] = lambda change=change, row=row: change(show_image(memory.images, int(row)))
            classes[name] = memory.images.classes[row]
    table = save_images(folder, made, classes)
    compared = ComparedImages.of([memory.images, table], [own, gather(memory, table)])
    rows, recall = {path: memory.n_images + i for i, path in enumerate(table.paths)}, []
    for number, kind in enumerate(CHANGES):
        pairs = np.array([(row, rows[f"{number}-{row}.png"]) for row in chosen])
        one: dict[str, Any] = {"kind": kind, "n": n, "by_rate": {}}
        for rate in RATES:
            found = found_by(compared, pairs, alone.limits(rate))
            one["by_rate"][str(rate)] = {
                "near": of_interval(share_interval(found["near"])),
                "either": of_interval(share_interval(found["near"] | found["cells"])),
            }
        one["median_relative_distance"] = float(np.median(found["relative"]))
        one["distance_below_0.4"] = float((compared.pooled.distances(*pairs.T) < 0.4).mean())
        recall.append(one)
    return {"alarms": [alarm_row(alone, rate) for rate in RATES], "recall": recall}


def patches_row(memory: Memory, own: Gathered, folder: Path, n: int) -> dict[str, Any]:
    """Return how often a pasted square is found, by its side and rate, and whether it is found as near."""
    alone = ComparedImages.of([memory.images], [own])
    rng = np.random.default_rng(1)
    transform, pairs = dict(memory.settings.transform), {}
    made, classes = {}, {}
    for side in SIDES:
        for i in range(n):
            source, target = (int(row) for row in rng.choice(memory.n_images, 2, replace=False))
            while memory.image_class[source] == memory.image_class[target]:
                target = int(rng.integers(memory.n_images))
            name, seed = f"{side}-{i}.png", int(rng.integers(2**31))
            pairs[name] = source
            classes[name] = memory.images.classes[target]
            made[name] = lambda source=source, target=target, side=side, seed=seed: with_patch(
                show_image(memory.images, source), show_image(memory.images, target), side, transform,
                np.random.default_rng(seed),
            )  # fmt: skip
    table = save_images(folder, made, classes)
    compared = ComparedImages.of([memory.images, table], [own, gather(memory, table)])
    rows = {path: memory.n_images + i for i, path in enumerate(table.paths)}
    recall = []
    for side in SIDES:
        several = np.array([(pairs[f"{side}-{i}.png"], rows[f"{side}-{i}.png"]) for i in range(n)])
        one: dict[str, Any] = {"side": side, "n": n, "by_rate": {}}
        for rate in RATES:
            found = found_by(compared, several, alone.limits(rate))
            one["by_rate"][str(rate)] = {
                "cells": of_interval(share_interval(found["cells"])),
                "near": of_interval(share_interval(found["near"])),
            }
        one["median_cells"] = float(np.median(found["counts"]))
        recall.append(one)
    grid = list(memory.grid.shape)
    return {"layer": memory.settings.layer, "grid": grid, "recall": recall,
            "alarms": [alarm_row(alone, rate) for rate in RATES]}  # fmt: skip


def pooled_of(memory: Memory, table: ImageTable) -> np.ndarray:
    """Return the pooled descriptors of images, unit vectors, as an audit computes them."""
    options: dict[str, Any] = dict.fromkeys(("images", "backbone", "transform", "weights", "workers"))
    source = QuerySource(memory, exclude="image", device="cpu", progress=True, **options)
    return np.concatenate([pooled_descriptors(queries, memory.grid) for queries in source.of_images(table)])


def bursts_row(memory: Memory, own: Gathered, folder: Path) -> dict[str, Any]:
    """Return how many frames, and pairs of frames, are found if bursts of an image are in memory."""
    rng = np.random.default_rng(2)
    alone = ComparedImages.of([memory.images], [own])
    made, classes = {}, {}
    for row in rng.choice(memory.n_images, BURSTS, replace=False):
        for i in range(FRAMES):
            name, seed = f"{row}-{i}.png", int(rng.integers(2**31))
            classes[name] = memory.images.classes[row]
            made[name] = lambda row=row, seed=seed: frame(
                show_image(memory.images, int(row)), np.random.default_rng(seed)
            )
    table = save_images(folder, made, classes)
    descriptors = np.concatenate([*own.descriptors, pooled_of(memory, table)])
    n = len(descriptors)
    pooled = PooledImages.of(descriptors, np.arange(n), n)  # all of them as images of the memory
    burst = np.repeat(np.arange(BURSTS), FRAMES)
    pairs = np.argwhere((burst[:, None] == burst) & np.triu(np.ones((len(burst),) * 2, bool), 1))
    first, second = pairs.T + n - len(burst)
    relative = pooled.relative(first, second, pooled.distances(first, second))
    by_rate = {}
    for rate in RATES:
        near = relative < alone.limits(rate)["relative_distance"]
        links = coo_array((np.ones(int(near.sum())), pairs[near].T), shape=(len(burst),) * 2)
        _, part = connected_components(links, directed=False)
        largest = [int(np.bincount(part[burst == one]).max()) for one in range(BURSTS)]
        by_rate[str(rate)] = {
            "pairs": float(near.mean()),
            "frames": float(np.isin(np.arange(len(burst)), pairs[near]).mean()),
            "largest_set": float(np.mean(largest)) / FRAMES,
        }
    return {"bursts": BURSTS, "frames": FRAMES, "pairs": len(pairs), "by_rate": by_rate}


def rates_row(name: str, own: Gathered, classes: np.ndarray, seeds: int) -> dict[str, Any]:
    """Return false alarms in half of the classes by limits of the others; of two classes, of the images."""
    descriptors = np.concatenate(own.descriptors)
    shares: dict[str, list[float]] = {str(rate): [] for rate in RATES}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        present = rng.permutation(np.unique(classes))
        if len(present) > 3:
            chosen = np.isin(classes, present[: len(present) // 2])
        else:
            chosen = rng.permutation(len(classes)) < len(classes) // 2
        halves = []
        for half in (chosen, ~chosen):
            pooled = PooledImages.of(descriptors[half], np.arange(half.sum()), int(half.sum()))
            halves.append(pooled.most_alike_of_other_classes(classes[half])[1])
        for rate in RATES:
            for here, there in (halves, halves[::-1]):
                shares[str(rate)].append(float((there < limit_of_minima(here, rate)).mean()))
    return {"name": name, "halves": 2 * seeds, "shares": shares}


def large_row(folder: Path) -> dict[str, Any]:
    """Return false alarms among all images of Caltech 101, whose short sides have 112 pixels."""
    if not (folder / "caltech101_112").is_dir():
        with tarfile.open(SHARED / "train" / "caltech101_112.tar") as archive:
            archive.extractall(folder / "caltech101_112", filter="data")
    (root,) = {path.parents[1] for path in (folder / "caltech101_112").rglob("*/*.jpg")}
    memory = memory_of(folder, "efficientnet_lite0", images.from_folder(root), "large", descriptor="gap")
    vectors, classes = memory.image_vectors(np.arange(memory.n_images))[:, 0], memory.image_class
    pooled = PooledImages.of(vectors, np.arange(len(vectors)), len(vectors))
    # Faces and Faces_easy are the same photographs, with and without what is around the face.
    twins = [memory.classes.index(name) for name in ("Faces", "Faces_easy")]
    numbers = {(classes[i], Path(path).name): i for i, path in enumerate(memory.images.paths)}
    pairs = np.array([(i, numbers[twins[1], name]) for (c, name), i in numbers.items() if c == twins[0]])
    first, second = pairs.T
    relative = pooled.relative(first, second, pooled.distances(first, second))
    merged = np.where(classes == twins[0], twins[1], classes)
    minima = {
        "all": pooled.most_alike_of_other_classes(classes)[1],
        "without twins": pooled.most_alike_of_other_classes(merged)[1],
    }
    rows = []
    for rate in (*RATES, 0.0001):
        for limit_by, values in minima.items():
            limit = limit_of_minima(values, rate)
            near = pooled.pairs(limit)
            same = merged[near.first] == merged[near.second]
            rows.append(
                {
                    "rate": rate, "limit_by": limit_by, "limit": limit,
                    "images": of_interval(share_interval(minima["without twins"] < limit)),
                    "pairs_of_other_classes": int((~same).sum()), "pairs_of_one_class": int(same.sum()),
                    "twins_found": of_interval(share_interval(relative < limit)), "n_twins": len(pairs),
                }
            )  # fmt: skip
    return {"n": memory.n_images, "classes": len(memory.classes), "rows": rows}


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
    parser.add_argument("--n-copies", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--networks", nargs="+", choices=COMPARED, default=COMPARED)
    parts = ("copies", "bursts", "rates", "labels", "large")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    arguments = parser.parse_args()
    folder, n = arguments.folder, arguments.n_copies
    folder.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "audit.json"
    document: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    document |= {"k": 10, "default_rate": FALSE_ALARMS, "versions": library_versions()}
    tables = {name: images.from_folder(SHARED / "images" / name) for name in SETS}
    if "labels" in arguments.parts:
        memory = memory_of(folder, COMPARED[0], tables[SETS[0]], SETS[0])
        result = KernelDensityClassifier(memory).leave_one_out()
        document["labels"] = [
            label_row(result, memory.image_class, rate, seed)
            for rate in WRONG for seed in range(arguments.seeds)
        ]  # fmt: skip
    for network in arguments.networks if {"copies", "bursts", "rates"} & set(arguments.parts) else ():
        for name in SETS:
            memory = memory_of(folder, network, tables[name], name)
            own, key = gather(memory), f"{name}, {network}"
            if "rates" in arguments.parts:
                document.setdefault("rates", {})[key] = rates_row(
                    key, own, memory.image_class, arguments.seeds
                )
            if "copies" in arguments.parts:
                found = copies_row(memory, own, folder / "copies" / name, n)
                found["patches"] = patches_row(memory, own, folder / f"pasted-{network}" / name, n)
                document.setdefault("copies", {})[key] = found
            if "bursts" in arguments.parts:
                document.setdefault("bursts", {})[key] = bursts_row(memory, own, folder / "bursts" / name)
            print(key, flush=True)
            path.write_text(json_text(document, indent=1) + "\n")
    if "copies" in arguments.parts and EARLIER[0] in arguments.networks:
        network, layer = EARLIER
        memory = memory_of(folder, network, tables[SETS[0]], SETS[0], layer=layer)
        document["earlier"] = patches_row(memory, gather(memory), folder / f"pasted-{network}" / SETS[0], n)
    if "large" in arguments.parts:
        document["large"] = large_row(folder)
    path.write_text(json_text(document, indent=1) + "\n")
    print(audit_tables(document))


if __name__ == "__main__":
    main()
