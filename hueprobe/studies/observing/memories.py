"""Observations 1-5 on one memory, each measured and judged, under controls where asked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.classifier import KernelDensityClassifier
from hueprobe.errors import HueprobeError, InputError
from hueprobe.matches import Matches
from hueprobe.memory.recipe import load_recorded_backbone
from hueprobe.memory.store import Memory
from hueprobe.observations.conditional.conditional import measure as measure_conditional
from hueprobe.observations.conditional.mirrored import content_or_position
from hueprobe.observations.energy import measure as measure_energy
from hueprobe.observations.hue.hue import measure as measure_hue
from hueprobe.observations.hue.relations import energy_position
from hueprobe.observations.locations.blocks import block_labels, default_blocks, search_blocks
from hueprobe.observations.locations.maps import measure as measure_locations
from hueprobe.observations.locations.replicate_test import blocked_replicate_test
from hueprobe.observations.verdicts.evidence import (
    accuracy_claim,
    conditional_claims,
    energy_claims,
    hue_claim,
    location_claims,
)
from hueprobe.observations.verdicts.selftest import RejectionRate, blocked_tests, match_tests, self_test
from hueprobe.studies.observing.accuracy_runs import accuracy_grid
from hueprobe.studies.observing.controls import Variant, control_variant
from hueprobe.studies.observing.memory_report import MemoryReport, ObserveSettings


def observe_memory(
    memory: Memory,
    which: Sequence[str],
    *,
    settings: ObserveSettings,
    folder: Path,
    images: Any = None,
    controls: Sequence[str] = (),
    images_root: Path | None = None,
    progress: bool = False,
) -> MemoryReport:
    """Measure observations on one memory and judge the paper's claims.

    Parameters
    ----------
    memory : Memory
    which : sequence of str
        Of `OBSERVATIONS`.
    settings : ObserveSettings
    folder : Path
        Where pooled memories, accuracy runs and the controls' memories are kept.
    images : ImageTable, optional
        Images to ask; by default the memory's own, left out one at a time.
    controls : sequence of str
        Of `CONTROLS`; verdicts then name those that they survive.
    images_root : Path, optional
        Where the memory's images lie now, for controls that need them.
    progress : bool
    """
    if images is not None and controls:
        raise InputError("controls are run in leave-one-out; leave out the images to ask, or the controls")
    report, matches = _measure(Variant(memory), which, settings, images=images, progress=progress)
    if "accuracy" in which:
        report = _with_accuracy(report, memory, settings, folder, images, progress)
    if not controls:
        return report
    if matches is None:
        matches = _left_out(Variant(memory), settings, progress=progress)
    for name in controls:
        variant = control_variant(
            name, memory, matches, folder, images_root=images_root, progress=progress,
            **settings.network,
        )  # fmt: skip
        parts = [part for part in which if part != "accuracy"]
        other, asked = _measure(variant, parts, settings, progress=progress)
        report = _under(report, name, other)
        if name == "mirror-queries":
            if asked is None:
                asked = _left_out(variant, settings, progress=progress)
            report = replace(report, content=content_or_position(asked))
    return report


def run_self_test(
    memory: Memory, *, settings: ObserveSettings, n_draws: int, progress: bool = False
) -> tuple[RejectionRate, ...]:
    """Deal the memory's images into pseudo-classes at random and count how often each test rejects."""
    variant = Variant(memory)
    matches = _left_out(variant, settings, progress=progress)
    labels, groups = memory.image_class, memory.images.groups
    rates = self_test(
        labels, match_tests(matches, weighting=settings.weighting), n_draws=n_draws, seed=settings.seed,
        groups=groups, progress=progress,
    )  # fmt: skip
    blocks, of_blocks = _blocks(variant, settings)
    return rates + self_test(
        labels, blocked_tests(of_blocks, weighting=settings.weighting), n_draws=n_draws, seed=settings.seed,
        strata=blocks, groups=groups, progress=progress,
    )  # fmt: skip


def network_center(memory: Memory, *, weights: Path | None = None) -> tuple[float, float]:
    """Measure which place (y, x) on a memory's grid looks at the image's middle, in cells.

    Parameters
    ----------
    memory : Memory
        Made by a network that can be loaded again.
    weights : Path, optional
        Where the recorded weights file lies now.
    """
    from hueprobe.activations.receptive_fields import field_center

    return field_center(load_recorded_backbone(memory.settings, weights=weights)).cell


def _classifier(variant: Variant, settings: ObserveSettings, **options: Any) -> KernelDensityClassifier:
    return KernelDensityClassifier(
        variant.memory, k=settings.k, exclude=settings.exclude, images=variant.rows,
        searcher=settings.searcher if variant.rows is None else "exact", **{**settings.network, **options},
    )  # fmt: skip


def _left_out(variant: Variant, settings: ObserveSettings, *, progress: bool = False) -> Matches:
    """Return the matches of a variant's images, each asked of the others."""
    matches = _classifier(variant, settings, progress=progress).leave_one_out(ask=variant.ask).matches
    assert matches is not None
    return matches


def _measure(
    variant: Variant,
    which: Sequence[str],
    settings: ObserveSettings,
    *,
    images: Any = None,
    progress: bool = False,
) -> tuple[MemoryReport, Matches | None]:
    """Measure all but accuracy; what a memory cannot have becomes a note. Also return the matches, if any."""
    memory = variant.memory
    report = MemoryReport(
        name=memory.path.name,
        network=str(memory.settings["backbone"]),
        n_images=int(memory.readable.sum()) if variant.rows is None else len(variant.rows),
    )
    rows = np.arange(memory.n_images) if variant.rows is None else variant.rows
    steps: list[tuple[str, Any]] = []
    matches = None
    if "energy" in which:
        steps.append(("energy", lambda r: _with_energy(r, memory, rows, settings)))
    if {"locations", "conditional", "hue"} & set(which):
        if images is None:
            matches = _left_out(variant, settings, progress=progress)
        else:
            matches = _classifier(variant, settings, progress=progress).classify(images).matches
            assert matches is not None
        if "locations" in which:
            steps.append(("locations", lambda r: _with_locations(r, variant, matches, settings)))
        if "conditional" in which:
            steps.append(("conditional", lambda r: _with_conditional(r, matches, settings)))
        if "hue" in which and images is None and variant.rows is None and variant.ask is None:
            steps.append(("hue", lambda r: _with_hue(r, memory, matches, settings)))
        elif "hue" in which:
            note = "hue: measured on the memory's own images, each left out in turn, and on all of them"
            report = replace(report, notes=(*report.notes, note))
    for name, step in steps:
        try:
            report = step(report)
        except HueprobeError as error:
            report = replace(report, notes=(*report.notes, f"{name}: {error}"))
    return report, matches


def _definitions(settings: ObserveSettings) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        "k": settings.k,
        "searcher": settings.searcher,
        "exclude": settings.exclude,
    }
    if settings.center is not None:
        definitions["centre (y, x)"] = [round(float(value), 3) for value in settings.center]
    return definitions


def _with_energy(
    report: MemoryReport, memory: Memory, rows: np.ndarray, settings: ObserveSettings
) -> MemoryReport:
    groups = memory.images.groups
    found = measure_energy(
        memory.energy()[rows], memory.grid, image_class=memory.image_class[rows], classes=memory.classes,
        groups=[groups[i] for i in rows], center=settings.center,
    )  # fmt: skip
    return replace(
        report, energy=found, verdicts=(*report.verdicts, *energy_claims(found, memory=report.name))
    )


def _blocks(variant: Variant, settings: ObserveSettings) -> tuple[np.ndarray, tuple[Matches, ...]]:
    """Deal the images into blocks and search each against itself alone."""
    memory = variant.memory
    labels = memory.image_class.copy()
    if variant.rows is not None:
        labels[np.setdiff1d(np.arange(memory.n_images), variant.rows)] = -1
    keys = [sha or path for sha, path in zip(memory.sha256, memory.images.paths, strict=True)]
    blocks = block_labels(
        keys,
        labels,
        n_blocks=default_blocks(len(np.unique(labels[labels >= 0]))),
        groups=memory.images.groups,
    )

    def search(rows: np.ndarray) -> Matches:
        classifier = KernelDensityClassifier(memory, k=settings.k, exclude=settings.exclude, images=rows)
        found = classifier.leave_one_out(ask=variant.ask).matches
        assert found is not None
        return found

    return blocks, search_blocks(blocks, search)


def _with_locations(
    report: MemoryReport, variant: Variant, matches: Matches, settings: ObserveSettings
) -> MemoryReport:
    where = measure_locations(
        matches, weighting=settings.weighting, valid=variant.memory.valid(), center=settings.center
    )
    _, of_blocks = _blocks(variant, settings)
    blocked = blocked_replicate_test(of_blocks, seed=settings.seed, weighting=settings.weighting)
    relation = None
    if report.energy is not None:
        relation = energy_position(report.energy.centroids, where.positions.points(), seed=settings.seed)
    claims = location_claims(where, blocked, memory=report.name, definitions=_definitions(settings))
    return replace(
        report, locations=where, blocked=blocked, relation=relation, verdicts=(*report.verdicts, *claims)
    )


def _with_conditional(report: MemoryReport, matches: Matches, settings: ObserveSettings) -> MemoryReport:
    found = measure_conditional(
        matches, seed=settings.seed, weighting=settings.weighting, center=settings.center
    )
    claims = conditional_claims(found, memory=report.name, definitions=_definitions(settings))
    return replace(report, conditional=found, verdicts=(*report.verdicts, *claims))


def _with_hue(
    report: MemoryReport, memory: Memory, matches: Matches, settings: ObserveSettings
) -> MemoryReport:
    found = measure_hue(
        matches, memory.blocks, memory.energy(), seed=settings.seed, plane=settings.plane,
        controls=settings.planes,
    )  # fmt: skip
    claim = hue_claim(found, memory=report.name, definitions=_definitions(settings))
    return replace(report, hue=found, verdicts=(*report.verdicts, claim))


def _with_accuracy(
    report: MemoryReport, memory: Memory, settings: ObserveSettings, folder: Path, images: Any, progress: bool
) -> MemoryReport:
    try:
        grid = accuracy_grid(
            memory, folder / f"{memory.path.name}-accuracy", images=images, k=settings.k,
            searcher=settings.searcher, exclude=settings.exclude, seed=settings.seed, progress=progress,
            **settings.network,
        )  # fmt: skip
    except HueprobeError as error:
        return replace(report, notes=(*report.notes, f"accuracy: {error}"))
    first = grid.runs[0]
    others = [c for c in grid.comparisons(first.network, first.task) if "," not in c.second]
    claim = accuracy_claim(others, memory=report.name, definitions=_definitions(settings))
    return replace(report, accuracy=grid, verdicts=(*report.verdicts, claim))


def _under(report: MemoryReport, control: str, other: MemoryReport) -> MemoryReport:
    """Enter in each verdict what it comes to under a control."""
    others = {verdict.id: verdict for verdict in other.verdicts}
    verdicts = [v.under(control, others[v.id]) if v.id in others else v for v in report.verdicts]
    notes = tuple(f"{control}, {note}" for note in other.notes if note not in report.notes)
    return replace(report, verdicts=tuple(verdicts), notes=(*report.notes, *notes))
