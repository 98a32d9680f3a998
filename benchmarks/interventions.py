"""Class positions split into content and network on real images: runs, plants, level and power.

    python -m benchmarks.interventions run --network efficientnet_lite0 --set caltech101_20x40
    python -m benchmarks.interventions plant --network efficientnet_lite0 --set caltech101_20x40
    python -m benchmarks.interventions level --network efficientnet_lite0 --set caltech101_20x40
    python -m benchmarks.interventions power
    python -m benchmarks.interventions show

`run` separates content from network under the flips e, h, r, v, measures the slope of the estimators by
moving images by one cell, and fits position decoders. `plant` moves images by a quarter, half and a whole
cell under the flips e, h, r. `level` assigns the images of a run (with --keep) to pseudo-classes, again and
again, each time with deals of their own. `power` simulates designs.

Needs the real images and weights ($HUEPROBE_SHARED, default ../shared). Everything is kept in --folder and
taken up again. Each command enters its record into benchmarks/results/interventions.json, in place of an
older one of the same network, set and variant, and prints the tables.
"""

import argparse
import json
import shutil
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import NETWORKS, SHARED
from benchmarks.intervention_tables import interventions_tables
from benchmarks.tables import RESULTS
from hueprobe import Memory, images, open_memory
from hueprobe.activations.backbones import Backbone, load_backbone
from hueprobe.images.table import ImageTable
from hueprobe.images.transform import Transform
from hueprobe.json_documents import json_text
from hueprobe.memory import build_memory
from hueprobe.memory.settings import library_versions
from hueprobe.observations.interventions import (
    ImagePositions,
    Interventions,
    content_followed,
    fit_position_decoders,
    simulate,
)
from hueprobe.observations.interventions.doses import class_displacements
from hueprobe.observations.interventions.image_positions import ESTIMATORS
from hueprobe.observations.interventions.own_block import matched_positions, nearest_in_block
from hueprobe.observations.interventions.records import interval_record
from hueprobe.observations.interventions.separation import Separation, separate
from hueprobe.observations.locations.blocks import block_labels, default_blocks
from hueprobe.observations.verdicts.selftest import NOMINAL, pseudo_classes, rejection_rate
from hueprobe.progress import progress_bar
from hueprobe.stats.intervals import Interval, unit_codes
from hueprobe.studies import InterveneSettings, intervene
from hueprobe.studies.intervening.near import near_batches
from hueprobe.studies.intervening.study import deal_sides, energy_shares
from hueprobe.studies.locks import locked
from hueprobe.studies.observing.controls import Changed, padded

RESULT = RESULTS / "interventions.json"
FOLDER = Path("out/interventions")
# Set -> (tar below data/train, images of a class: at least, at most); sets of data/images have none.
TARS = {
    "caltech101_40": ("caltech101_112.tar", 40, 40),
    "dtd_10x120": ("dtd10_160.tar", 120, 120),
}
SETS = ("caltech101_20x40", "dtd_10x40", "utkface_sex_2x300", *TARS)
VARIANTS = {
    "": "as the network was made",
    "crop-225": "images of one more pixel a side, so that strides divide them with remainder 1",
    "reflect-padding": "images with a border of an eighth by reflection, before they are resized",
}
SHIFT = 32
N_DRAWS = 120
EMPTY: dict[str, Any] = {"runs": [], "plants": [], "level": [], "power": None}
DESIGNS = {
    "20 classes x 40": (20, 40), "10 classes x 40": (10, 40), "10 classes x 120": (10, 120),
    "47 classes x 120": (47, 120), "2 classes x 300": (2, 300),
}  # fmt: skip


def table_of(name: str, folder: Path, most: int | None) -> ImageTable:
    """Return the images of a set; of a tar, those of the classes with enough images.

    Parameters
    ----------
    name : str
        One of `SETS`.
    folder : Path
        Where tars are unpacked.
    most : int, optional
        Use only so many images of each class, the first by name.
    """
    if name not in TARS:
        table = images.from_folder(SHARED / "images" / name)
    else:
        tar, least, at_most = TARS[name]
        place = folder / "unpacked" / Path(tar).stem
        if not place.is_dir():
            partial = place.with_name(f"{place.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            with tarfile.open(SHARED / "train" / tar) as archive:
                archive.extractall(partial, filter="data")
            partial.rename(place)
        table = images.from_folder(place)
        sizes = Counter(table.classes)
        table = table.select([i for i, one in enumerate(table.classes) if sizes[one] >= least])
        most = min(at_most, most or at_most)
    if most is None:
        return table
    seen: Counter[str | None] = Counter()
    rows = []
    for row, one in enumerate(table.classes):
        seen[one] += 1
        if seen[one] <= most:
            rows.append(row)
    return table.select(rows)


def network_of(name: str, variant: str) -> tuple[Backbone, Any]:
    """Return a network with its weights, and the custom transform of a variant (None for others)."""
    options = dict(NETWORKS[name])
    if "weights" in options:
        options["weights"] = SHARED / "weights" / f"{options['weights']}.fp16.safetensors"
    loaded = load_backbone(options.pop("backbone"), **options)
    transform = loaded.transform
    if variant == "crop-225":
        if not isinstance(transform, Transform) or not isinstance(transform.resize, int):
            raise SystemExit(f"{name} has no plain transform to crop by one more pixel")
        return replace(loaded, transform=replace(transform, resize=transform.resize + 1, crop=225)), None
    if variant == "reflect-padding":
        changed = Changed(transform, variant, padded)
        return replace(loaded, transform=changed), changed
    return loaded, None


class Case:
    """One network on one set, in one variant: its memory and the folder of its passes."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.network, self.set, self.variant = arguments.network, arguments.set, arguments.variant
        self.name = "-".join(part for part in (self.set, self.network, self.variant) if part)
        if arguments.per_class:
            self.name += f"-{arguments.per_class}"
        self.folder: Path = arguments.folder / self.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.table = table_of(self.set, arguments.folder, arguments.per_class)
        self.backbone, self.transform = network_of(self.network, self.variant)
        self.memory: Memory = build_memory(
            self.folder / f"{self.name}.memory", self.table, backbone=self.backbone, progress=True
        )
        self.record: dict[str, Any] = {
            "network": self.network, "set": self.set, "variant": self.variant, "images": self.memory.n_images,
            "versions": library_versions(),
        }  # fmt: skip

    def intervened(self, passes: str, **settings: Any) -> Interventions:
        """Return the interventions, from a folder of passes."""
        options = NETWORKS[self.network]
        weights = (
            SHARED / "weights" / f"{options['weights']}.fp16.safetensors" if "weights" in options else None
        )
        return intervene(
            self.memory, self.folder / passes, settings=InterveneSettings(weights=weights, **settings),
            transform=self.transform, progress=True,
        )  # fmt: skip


@contextmanager
def timed(record: dict[str, Any]) -> Iterator[None]:
    """Enter the seconds of a `with` block, of the clock and of the processor, into a record."""
    started, worked = time.perf_counter(), time.process_time()
    yield
    record["seconds"] = round(time.perf_counter() - started, 1)
    record["cpu_seconds"] = round(time.process_time() - worked, 1)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Separate content from network, measure the slope, and fit decoders."""
    record: dict[str, Any] = {}
    with timed(record):
        case = Case(arguments)
        found = case.intervened("run", flips="e,h,r,v", shift=SHIFT, keep=True, n_deals=arguments.deals)
        found.save(case.folder / "interventions.npz")
        record |= {**found.to_json(), **claim_of(found), **case.record, "decoders": decoded(case, found)}
        record["mirror_alone"] = mirror_alone(found.positions)
    if not arguments.keep:
        for path in (case.folder / "run" / "work").glob("*.memory"):
            shutil.rmtree(path)
    return record


def claim_of(found: Interventions) -> dict[str, Any]:
    """Return the verdict on claim 3b as an entry of a record."""
    return {"verdicts": [verdict.to_json() for verdict in found.claims()]}


def mirror_alone(positions: ImagePositions) -> dict[str, Any]:
    """Return what the left-right mirror alone, natural for objects, says of u, by estimator."""
    some = positions.select(("e", "h"))
    return {
        name: {
            part: interval_record(getattr(separate(some, name), part).u) for part in ("content", "network")
        }
        for name in some.estimators
    }


def decoded(case: Case, found: Interventions) -> dict[str, Any]:
    """Return how well a vector tells its position, and whether that follows content that was moved."""
    memory, file = case.memory, case.folder / "decoders.json"
    if file.is_file():  # the memories of a finished run are gone
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    decoders = fit_position_decoders(
        memory.blocks, memory.grid, n_images=memory.n_images, groups=memory.images.groups
    )
    height, width = found.positions.cell
    away = class_displacements(len(memory.classes), SHIFT) / (width, height)
    displacement = np.where(memory.image_class[:, None] >= 0, away[memory.image_class], 0.0)
    moved = open_memory(case.folder / "run" / "work" / f"e-{SHIFT}px.memory")
    y, x = memory.grid.rows_and_columns()
    rows, columns = memory.grid.shape
    inner = (y > 0) & (y < rows - 1) & (x > 0) & (x < columns - 1)
    record = {
        "penalty": list(decoders.penalty),
        "r2": [interval_record(one) for one in decoders.r2],
        "content_followed": {
            zone: [
                interval_record(one)
                for one in content_followed(decoders, memory.blocks, moved.blocks, displacement, cells=cells)
            ]
            for zone, cells in (("inner", inner), ("border", ~inner))
        },
    }
    file.write_text(json_text(record) + "\n")
    return record


def plant(arguments: argparse.Namespace) -> dict[str, Any]:
    """Move images by known distances, under the flips."""
    record: dict[str, Any] = {}
    with timed(record):
        case = Case(arguments)
        found = case.intervened("plant", flips="e,h,r", shift=SHIFT, plant=True, n_deals=arguments.deals)
        found.save(case.folder / "planted.npz")
        record |= {**found.to_json(), **case.record}
    return record


def level(arguments: argparse.Namespace) -> dict[str, Any]:
    """Assign images to pseudo-classes, deal them into blocks, and count how often each test rejects."""
    record: dict[str, Any] = {}
    with timed(record):
        case = Case(arguments)
        memories = [case.memory] + [
            open_memory(case.folder / "run" / "work" / f"{flip}.memory") for flip in "hr"
        ]
        lists = [Lists.of(memory, arguments) for memory in memories]
        p_values: dict[str, list[float]] = {}
        shallow = []
        with progress_bar(arguments.draws, label="pseudo-classes", unit="draws", enabled=True) as advance:
            for draw in range(arguments.draws):
                positions, missing = pseudo_positions(case.memory, lists, arguments, seed=draw)
                shallow.append(missing)
                for name in ESTIMATORS:
                    found = separate(positions, name, seed=draw, n_permutations=2_000)
                    for test, p in _p_values(found).items():
                        p_values.setdefault(f"{name}, {test}", []).append(p)
                advance(1)
        record |= {**case.record, "draws": arguments.draws, "deals": arguments.deals}
        record["shallow"] = float(np.mean(shallow))
        record["rates"] = [_rate(test, values) for test, values in p_values.items()]
    return record


def _rate(test: str, values: Sequence[float]) -> dict[str, Any]:
    found = rejection_rate(test, values)
    return {"test": test, "rate": found.rate, "n": found.n, "ci95": list(found.ci95)}


def _p_values(found: Separation) -> dict[str, float]:
    values = {}
    for name in ("content", "network"):
        part = getattr(found, name)
        for axis, one in (("", part.effect), (", u", part.u), (", v", part.v)):
            values[f"{name}{axis}"] = float("nan") if one.p_value is None else one.p_value
        if found.undecided is None:
            values[f"{name}, any class"] = float(np.min(part.class_p))
    if found.minor is not None and found.minor.p_value is not None:
        values["content, minor axis"] = found.minor.p_value
    return values


class Lists:
    """The nearest vectors of every query vector of a memory, in lists of several depths."""

    def __init__(self, memory: Memory, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self.memory, self.parts = memory, parts
        self.images = [ids // memory.grid.n_cells for _, ids in parts]
        self.weights = {"energy": energy_shares(memory), "plain": None}

    @classmethod
    def of(cls, memory: Memory, arguments: argparse.Namespace) -> "Lists":
        """Search a memory once, as deep as its own deals need."""
        sides = deal_sides(memory, memory, n_deals=arguments.deals, seed=0)
        parts = []
        for batch in near_batches(sides, k=10, exclude="image", device="auto", progress=True):
            vector = (batch.rows[:, None] * memory.grid.n_cells + np.arange(memory.grid.n_cells)).ravel()
            parts += [(vector[among], ids) for among, ids in batch.lists]
        return cls(memory, parts)

    def positions(self, block: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, float]:
        """Return positions (n_estimators, n, 2) by other classes and blocks, and the share of short lists."""
        n_cells, n = self.memory.grid.n_cells, self.memory.n_images
        found = np.full((n * n_cells, 10), -1, np.int64)
        missing = 0
        for (vector, ids), of_image in zip(self.parts, self.images, strict=True):
            found[vector], deep = nearest_in_block(ids, of_image, block, block[vector // n_cells], 10)
            missing += int((~deep).sum())
        image = np.arange(n * n_cells) // n_cells
        positions = [
            matched_positions(found, image, label, label, self.memory.grid, self.weights[name])
            for name in ESTIMATORS
        ]
        return np.array(positions), missing / len(found)


def pseudo_positions(
    memory: Memory, lists: Sequence[Lists], arguments: argparse.Namespace, *, seed: int
) -> tuple[ImagePositions, float]:
    """Return positions of pseudo-classes with deals of their own, and the share of lists that were short."""
    groups = memory.images.groups
    label = pseudo_classes(memory.image_class, seed=seed, groups=groups)
    n_blocks = default_blocks(len(memory.classes))
    blocks = np.array(
        [
            block_labels(
                [f"{seed} {deal} {key}" for key in memory.sha256], label, n_blocks=n_blocks, groups=groups
            )
            for deal in range(arguments.deals)
        ]
    )
    found = [[one.positions(block, label) for one in lists] for block in blocks]
    position = np.array([[part for part, _ in by_flip] for by_flip in found], np.float32)
    missing = float(np.mean([share for by_flip in found for _, share in by_flip]))
    units = unit_codes(groups, memory.n_images)
    return (
        ImagePositions(memory.classes, ("e", "h", "r"), tuple(ESTIMATORS), label, units, blocks, position),
        missing,
    )


def power(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the distances that designs find in 80 % of cases, in standard deviations of an image."""
    record: dict[str, Any] = {"draws": arguments.draws, "rows": []}
    with timed(record):
        for design, (n_classes, n_images) in DESIGNS.items():
            record["rows"].append({"design": design, **simulated_power(n_classes, n_images, arguments.draws)})
            print(json_text(record["rows"][-1]), flush=True)
    return record


def simulated_power(n_classes: int, n_images: int, draws: int) -> dict[str, Any]:
    """Return how often classes at equal angles are found, and both of their axes, by distance.

    Images have noise of standard deviation 1 in the content and in the network. The distances are those that
    the formula says are found in 80 % of cases, times 0.6 to 2.
    """
    angles = 2 * np.pi * np.arange(n_classes) / n_classes + 0.3
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ring = (ring - ring.mean(0)) / np.sqrt((ring**2).sum() / (n_classes - 1))

    def at(distance: float, draw: int) -> Separation:
        positions = simulate(
            distance * ring, 0 * ring, n_images=n_images, seed=draw, flips="e,h,r,v", image_sd=1, memory_sd=0,
            deal_sd=0,
        )  # fmt: skip
        return separate(positions, "energy", seed=draw, n_permutations=1_000)

    formula = float(np.mean([at(0.0, draw).detectable["content"] for draw in range(10)]))
    distances = formula * np.array([0.6, 0.8, 1.0, 1.2, 1.5, 2.0])
    found, both = [], []
    for distance in distances.tolist():
        results = [at(distance, draw) for draw in range(draws)]
        found.append(float(np.mean([_below(one.content.effect) for one in results])))
        both.append(float(np.mean([one.minor is not None and _below(one.minor) for one in results])))
    return {
        "classes": n_classes, "per_class": n_images, "formula": formula, "distances": distances.tolist(),
        "found": found, "both_axes": both, "at_80": _crossing(distances, found),
        "both_axes_at_80": _crossing(distances, both),
    }  # fmt: skip


def _below(found: Interval) -> bool:
    return found.p_value is not None and found.p_value <= NOMINAL


def _crossing(distances: np.ndarray, shares: Sequence[float], share: float = 0.8) -> float | None:
    """Return the distance at which a share is first reached, between two that were simulated; None if not."""
    for i in range(1, len(shares)):
        if shares[i - 1] < share <= shares[i]:
            part = (share - shares[i - 1]) / (shares[i] - shares[i - 1])
            return float(distances[i - 1] + part * (distances[i] - distances[i - 1]))
    return None


def results() -> dict[str, Any]:
    """Return what was measured so far."""
    if RESULT.is_file():
        found: dict[str, Any] = json.loads(RESULT.read_text())
        return found
    return dict(EMPTY)


def enter(kind: str, record: dict[str, Any]) -> None:
    """Enter a record into the results file, in place of an older one of the same case."""
    with locked(RESULT.with_suffix(".lock"), wait=True):
        document = results()
        if kind == "power":
            document[kind] = record
        else:
            others = [one for one in document[kind] if _case(one) != _case(record)]
            document[kind] = sorted([*others, record], key=_case)
        partial = RESULT.with_suffix(".partial")
        partial.write_text(json_text(document, indent=1) + "\n")
        partial.replace(RESULT)


def _case(record: Mapping[str, Any]) -> tuple[int, str, str]:
    return SETS.index(record["set"]), record["network"], record["variant"]


COMMANDS: dict[str, tuple[str, Callable[[argparse.Namespace], dict[str, Any]]]] = {
    "run": ("runs", run), "plant": ("plants", plant), "level": ("level", level), "power": ("power", power),
}  # fmt: skip


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=[*COMMANDS, "show"])
    parser.add_argument("--network", choices=NETWORKS, default="efficientnet_lite0")
    parser.add_argument("--set", choices=SETS, default="caltech101_20x40")
    parser.add_argument("--variant", choices=VARIANTS, default="")
    parser.add_argument("--deals", type=int, default=20)
    parser.add_argument("--draws", type=int, default=N_DRAWS, help="of `level` and `power`")
    parser.add_argument(
        "--per-class", type=int, metavar="N", help="few images, to try it out; writes no record"
    )
    parser.add_argument("--keep", action="store_true", help="keep the memories of `run`, which `level` needs")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    if arguments.command != "show":
        kind, command = COMMANDS[arguments.command]
        record = command(arguments)
        if arguments.per_class:
            shown = {**EMPTY, kind: record if kind == "power" else [record]}
            print(interventions_tables(json.loads(json_text(shown))))
            return
        enter(kind, record)
    print(interventions_tables(results()))


if __name__ == "__main__":
    main()
