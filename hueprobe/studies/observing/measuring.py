"""Observations of one subject, as it is or under a control: measured, judged, and noted where that fails."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.errors import HueprobeError, InputError
from hueprobe.observations.accuracy.grid import AccuracyGrid
from hueprobe.observations.conditional import conditional
from hueprobe.observations.conditional.conditional import Conditional
from hueprobe.observations.conditional.mirrored import content_or_position
from hueprobe.observations.energy import Energy
from hueprobe.observations.energy import measure as measure_energy
from hueprobe.observations.hue import hue
from hueprobe.observations.hue.hue import Hue
from hueprobe.observations.locations import maps
from hueprobe.observations.locations.maps import Locations
from hueprobe.observations.table import OBSERVATIONS, Result
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.studies.observing.accuracy_runs import AccuracySetup, grid_of
from hueprobe.studies.observing.controls import controlled
from hueprobe.studies.observing.held_out import HELD_OUT
from hueprobe.studies.observing.measurable import cannot_measure, measured_in_part
from hueprobe.studies.observing.memory_report import MemoryReport
from hueprobe.studies.observing.planned import IMAGES, MIRRORED_MATCHES, fits
from hueprobe.studies.observing.subject import Subject


def measured(subject: Subject, name: str, which: Sequence[str], folder: Path) -> MemoryReport:
    """Measure and judge; what cannot be measured becomes a note with the reason.

    Parameters
    ----------
    subject : Subject
        What is measured.
    name : str
        Name of the memory, for the report and the verdicts.
    which : sequence of str
        Names of observations.
    folder : Path
        Folder in which pooled memories and accuracy runs are kept.
    """
    memory, settings = subject.memory, subject.settings
    if memory is None:
        n_images = len(np.unique(subject.matches.image))
    else:
        n_images = int(memory.readable.sum()) if subject.rows is None else len(subject.rows)
    impossible, in_part = cannot_measure(subject), measured_in_part(subject)
    lacking = _lacking(subject, which, impossible)
    found: dict[str, Any] = {}
    verdicts: list[Verdict] = []
    notes: list[str] = []
    for observation in OBSERVATIONS:
        if observation.name not in which:
            continue
        reason = impossible.get(observation.name) or (lacking if observation.by_search else "")
        if not reason:
            try:
                result = _measured_step(observation.name, subject, folder)
            except HueprobeError as error:
                reason = str(error)
        if reason:
            notes.append(f"{observation.name}: {reason}")
            subject.steps.leave(observation.name, reason=f"cannot be measured: {reason}")
            continue
        if observation.name in in_part:
            notes.append(f"{observation.name}: {in_part[observation.name]}")
        found[observation.name] = result
        definitions = settings.definitions if observation.by_search else {}
        verdicts += result.claims(memory=name, definitions=definitions)
    return MemoryReport(
        name=name,
        network="" if memory is None else str(memory.settings.backbone),
        n_images=n_images,
        provenance=settings.words(memory),
        seed=settings.seed,
        verdicts=tuple(verdicts),
        notes=tuple(notes),
        **found,
    )


def _measured_step(name: str, subject: Subject, folder: Path) -> Result:
    # Each run of accuracy is a step.
    step = contextlib.nullcontext() if name == "accuracy" else subject.steps.of(name)
    with subject.stages.of(name), step:
        return _MEASURE[name](subject, folder)


def _lacking(subject: Subject, which: Sequence[str], impossible: Mapping[str, str]) -> str:
    """Send held-out images through the network, if anything needs that; return why it failed, or ""."""
    if subject.held_out is None:
        return ""
    if not any(o.by_search and o.name in which and o.name not in impossible for o in OBSERVATIONS):
        return ""
    try:
        subject.held_out.require()
    except HueprobeError as error:
        subject.steps.leave(HELD_OUT, reason=str(error))
        return str(error)
    return ""


def measured_under(
    report: MemoryReport,
    control: str,
    subject: Subject,
    which: Sequence[str],
    folder: Path,
    images_root: Path | None,
) -> MemoryReport:
    """Return a report with the measurements repeated under a control, and added to each verdict.

    Parameters
    ----------
    report : MemoryReport
        Report without the control.
    control : str
        Name of the control.
    subject, which, folder
        As for `measured`, without the control.
    images_root : Path, optional
        Present location of the memory's images.
    """
    with subject.steps.of(IMAGES):
        varied = controlled(control, subject, folder, images_root=images_root)
    again = [o.name for o in OBSERVATIONS if o.name in which and fits(o, control)]
    other = measured(varied, report.name, again, folder)
    others = {verdict.id: verdict for verdict in other.verdicts}
    verdicts = tuple(v.under(control, others[v.id]) if v.id in others else v for v in report.verdicts)
    notes = tuple(f"{control}, {note}" for note in other.notes if note not in report.notes)
    report = replace(report, verdicts=verdicts, notes=(*report.notes, *notes))
    if control == "mirror-queries":
        with subject.stages.of("conditional"), subject.steps.of(MIRRORED_MATCHES):
            matches = varied.matches
            report = replace(report, content=content_or_position(matches))
    return report


def _energy(subject: Subject, folder: Path) -> Energy:
    memory = subject.known_memory
    rows = np.arange(memory.n_images) if subject.rows is None else subject.rows
    groups = memory.images.groups
    return measure_energy(
        memory.energy()[rows], memory.grid, image_class=memory.image_class[rows], classes=memory.classes,
        groups=[groups[i] for i in rows.tolist()], center=subject.settings.center,
    )  # fmt: skip


def _accuracy(subject: Subject, folder: Path) -> AccuracyGrid:
    memory, settings = subject.known_memory, subject.settings
    network = {name: getattr(settings, name) for name in ("weights", "device", "workers", "index_dir")}
    return grid_of(
        AccuracySetup(
            memory=memory, folder=folder / f"{memory.path.name}-accuracy", held_out=subject.held_out,
            k=settings.k, searcher=settings.searcher, exclude=settings.exclude, seed=settings.seed,
            progress=subject.progress, network=network, stages=subject.stages, steps=subject.steps,
            pixel=subject.classified,
        )
    )  # fmt: skip


def _locations(subject: Subject, folder: Path) -> Locations:
    memory, settings = subject.memory, subject.settings
    return maps.measure(
        subject.matches, weighting=settings.weighting, center=settings.center, seed=settings.seed,
        valid=None if memory is None else memory.valid(),
        blocks=subject.matches_of_blocks if memory is not None and subject.has_blocks else None,
    )  # fmt: skip


def _conditional(subject: Subject, folder: Path) -> Conditional:
    memory, settings = subject.memory, subject.settings
    return conditional.measure(
        subject.matches, seed=settings.seed, weighting=settings.weighting, center=settings.center,
        valid=None if memory is None else memory.valid(),
    )  # fmt: skip


def _hue(subject: Subject, folder: Path) -> Hue:
    memory, settings = subject.known_memory, subject.settings
    if not subject.is_whole:
        raise InputError("measured only on all of the memory's own images, in leave-one-out")
    return hue.measure(
        subject.matches, memory.blocks, memory.energy(), seed=settings.seed, plane=settings.plane,
        controls=settings.planes,
    )  # fmt: skip


_MEASURE: dict[str, Callable[[Subject, Path], Result]] = {
    "energy": _energy,
    "accuracy": _accuracy,
    "locations": _locations,
    "conditional": _conditional,
    "hue": _hue,
}
