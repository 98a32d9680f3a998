"""Observation 2 on one memory: every descriptor and the rows a sceptic asks for, kept cell by cell."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.activations.descriptors import DESCRIPTORS
from hueprobe.classification import Classification
from hueprobe.classifier import KernelDensityClassifier
from hueprobe.errors import InputError
from hueprobe.files import storing, written_whole
from hueprobe.memory.arrays import derive_memory
from hueprobe.memory.settings import FILE_NAME, read_settings
from hueprobe.memory.store import Memory
from hueprobe.observations.accuracy.baselines import (
    KS,
    kernel_vote,
    logistic_regression,
    majority_vote,
    nearest_centroid,
    tune_k,
)
from hueprobe.observations.accuracy.grid import AccuracyCell, AccuracyGrid, accuracy_cell

TUNED = ("pixel", "gap")  # descriptors whose K is tuned on the memory


def accuracy_grid(
    memory: Memory,
    folder: str | Path,
    *,
    images: Any = None,
    k: int = 10,
    searcher: str = "exact",
    exclude: str = "image",
    seed: int = 0,
    progress: bool = False,
    **network: Any,
) -> AccuracyGrid:
    """Classify with each descriptor and with reference classifiers; finished cells are not run again.

    Pooled memories are derived from the `pixel` memory into `folder`. Held-out images are sent through
    the network once for each descriptor.

    Parameters
    ----------
    memory : Memory
        Of descriptor `pixel`.
    folder : path
        Where pooled memories and cells are kept; cells of other settings are another file.
    images
        Held-out images as `build_memory` takes them; None leaves the memory's own out one at a time.
    k, searcher, exclude
        As in `KernelDensityClassifier`; the searcher is that of `pixel`, pooled memories are small.
    seed : int
        Of the folds of logistic regression.
    progress : bool
    **network
        `backbone`, `transform`, `weights`, `device` and `workers` of `KernelDensityClassifier`.
    """
    folder = Path(folder)
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    held_out = images is not None
    task = "held out" if held_out else "leave one out"
    name = str(memory.settings.backbone)
    settings = {
        "memory": memory.ledger.tip, "images": _images_key(images), "k": k, "searcher": searcher,
        "exclude": exclude, "seed": seed,
    }  # fmt: skip
    classified: dict[str, Classification] = {}

    def classify(descriptor: str, n: int = k) -> Classification:
        if f"{descriptor}{n}" not in classified:
            pooled = memory if descriptor == "pixel" else _pooled(memory, folder, descriptor)
            classifier = KernelDensityClassifier(
                pooled, k=n, searcher=searcher if descriptor == "pixel" else "exact", exclude=exclude,
                progress=progress, **network,
            )  # fmt: skip
            result = classifier.classify(images) if held_out else classifier.leave_one_out()
            classified[f"{descriptor}{n}"] = result
        return classified[f"{descriptor}{n}"]

    def cell(descriptor: str, label: str, predict: Callable[[], np.ndarray | None]) -> AccuracyCell:
        path = folder / f"{_key(settings, descriptor, label)}.cell.json"
        if path.is_file():
            return _read_cell(path)
        predicted = predict()
        result = classify(descriptor)
        groups = [result.matches.query_image_group[row] for row in result.rows] if result.matches else None
        options: dict[str, Any] = {"classifier": label} if label else {}
        if predicted is not None:
            options["predicted"] = predicted[result.rows].tolist()
        made = accuracy_cell(
            result, network=name, descriptor=descriptor, task=task, held_out=held_out, groups=groups,
            **options,
        )  # fmt: skip
        with written_whole(path) as file:
            file.write((json.dumps(made.to_json(), sort_keys=True) + "\n").encode())
        return made

    def tuned(descriptor: str) -> np.ndarray:
        source = memory if descriptor == "pixel" else _pooled(memory, folder, descriptor)
        most = min(max(KS), int(source.valid().sum()) - source.grid.n_cells)
        own = KernelDensityClassifier(source, k=most, exclude=exclude, progress=progress).leave_one_out()
        counts = _counts_without_self(source)
        best = tune_k(_required(own.matches), counts).k
        if not held_out:
            return kernel_vote(_required(own.matches), counts, k=best)
        return kernel_vote(_required(classify(descriptor, best).matches), source.class_counts())

    pooled = _pooled(memory, folder, "gap")
    labels = memory.image_class
    groups = memory.images.groups

    def gap_queries() -> np.ndarray | None:
        return _query_vectors(pooled, images, network) if held_out else None

    cells = [cell(descriptor, "", lambda: None) for descriptor in DESCRIPTORS]
    cells.append(cell("pixel", "majority vote", lambda: majority_vote(_required(classify("pixel").matches))))
    cells += [cell(d, "kernel density, K tuned", lambda d=d: tuned(d)) for d in TUNED]  # type: ignore[misc]
    vectors = pooled.image_vectors(np.arange(pooled.n_images))[:, 0]
    cells.append(
        cell(
            "gap",
            "nearest centroid",
            lambda: nearest_centroid(vectors, labels, query_vectors=gap_queries(), groups=groups),
        )
    )
    cells.append(
        cell(
            "gap",
            "logistic regression",
            lambda: logistic_regression(
                vectors, labels, seed=seed, query_vectors=gap_queries(), groups=groups
            ),
        )
    )
    return AccuracyGrid(tuple(cells))


def _read_cell(path: Path) -> AccuracyCell:
    try:
        return AccuracyCell.from_json(json.loads(path.read_bytes()))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} is no finished cell ({error}); remove it, and it is computed again"
        ) from None


def _pooled(memory: Memory, folder: Path, descriptor: str) -> Memory:
    path = folder / f"{memory.path.name}-{descriptor}.memory"
    stale = (path / FILE_NAME).is_file() and read_settings(path).derived_from != memory.ledger.tip
    return derive_memory(path, memory, descriptor, overwrite=stale)


def _counts_without_self(memory: Memory) -> np.ndarray:
    """Return n_C for each memory image, itself left out, shape (n_images, n_classes)."""
    counts = np.tile(memory.class_counts(), (memory.n_images, 1))
    rows = np.flatnonzero(memory.image_class >= 0)
    counts[rows, memory.image_class[rows]] -= memory.valid_per_image[rows]
    return counts


def _query_vectors(pooled: Memory, images: Any, network: dict[str, Any]) -> np.ndarray:
    """Return the held-out images' pooled vectors, one an image asked, zero where unreadable."""
    return KernelDensityClassifier(pooled, **network).vectors_of(images)[:, 0]


def _required(matches: Any) -> Any:
    assert matches is not None
    return matches


def _images_key(images: Any) -> Any:
    return None if images is None else [list(images.paths), list(images.classes), list(images.sizes)]


def _key(settings: dict[str, Any], descriptor: str, label: str) -> str:
    text = json.dumps([settings, descriptor, label], sort_keys=True)
    return f"{descriptor}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
