"""Observations 1-5 on memories, each measured and judged, under controls where asked."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.errors import HueprobeError, InputError, require_choice
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.matches import Matches
from hueprobe.memory.recorded import load_recorded_backbone
from hueprobe.memory.store import Memory
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
from hueprobe.observations.table import NAMES, OBSERVATIONS, Observation, Result
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.observations.verdicts.selftest import RejectionRate, blocked_tests, match_tests, self_test
from hueprobe.progress import named_pass
from hueprobe.studies.observing.accuracy_runs import accuracy_grid
from hueprobe.studies.observing.controls import controlled, require_control
from hueprobe.studies.observing.measurable import cannot_measure, measured_in_part
from hueprobe.studies.observing.report import MemoryReport, Report
from hueprobe.studies.observing.settings import ObserveSettings
from hueprobe.studies.observing.subject import Subject


def observe(
    memories: Memory | Sequence[Memory] | None = None,
    which: str | Sequence[str] = "all",
    *,
    images: Any = None,
    matches: Matches | None = None,
    controls: Sequence[str] = (),
    settings: ObserveSettings | None = None,
    folder: str | Path | None = None,
    images_root: str | Path | None = None,
    progress: bool = False,
) -> Report:
    """Measure the paper's observations on one memory or several, and judge its claims.

    Parameters
    ----------
    memories : Memory or sequence of Memory, optional
        May be left out where `matches` are given.
    which : str or sequence of str
        Of `energy`, `accuracy`, `locations`, `conditional`, `hue`; or `all`.
    images : optional
        Images to be asked of each memory, as `build_memory` takes them; by default the memory's own, each
        left out in turn.
    matches : Matches, optional
        A table to measure from, in place of a search; of the one memory given, or of none. Without a memory
        only what matches tell can be measured.
    controls : sequence of str
        Of `hueprobe.observations.CONTROLS`; verdicts then say which they survive.
    settings : ObserveSettings, optional
        K, searcher, exclusion, weighting, seed, plane.
    folder : path, optional
        Where pooled memories, accuracy runs and the controls' memories are kept and taken up again; without,
        they are made in a temporary folder.
    images_root : path, optional
        Where the memories' images lie now, for controls that need them.
    progress : bool

    Returns
    -------
    Report
        Shows itself in a notebook, and saves itself.

    Raises
    ------
    InputError
        An unknown observation or control; controls together with `images` or `matches`; matches of another
        memory; neither a memory nor matches.

    Notes
    -----
    As in a script::

        hp.observe(memory, "locations", controls=["random-mirror"]).save("report/")
    """
    settings = settings or ObserveSettings()
    names = NAMES if which == "all" else (which,) if isinstance(which, str) else tuple(which)
    for name in names:
        require_choice("observation", name, NAMES)
    chosen: list[Memory | None] = [memories] if isinstance(memories, Memory) else list(memories or [])
    if matches is not None and (images is not None or len(chosen) > 1):
        raise InputError("matches are of one memory and of images asked already; give one memory at most")
    if matches is None and not chosen:
        raise InputError("there is nothing to observe; give a memory or matches")
    with _kept_in(folder) as place:
        return Report(
            tuple(
                observe_memory(
                    memory, names, settings=settings, folder=place, matches=matches, controls=controls,
                    images=None if images is None else resolve_images(images),
                    images_root=None if images_root is None else Path(images_root), progress=progress,
                )
                for memory in chosen or [None]
            )
        )  # fmt: skip


def observe_memory(
    memory: Memory | None,
    which: Sequence[str],
    *,
    settings: ObserveSettings,
    folder: Path,
    images: ImageTable | None = None,
    matches: Matches | None = None,
    controls: Sequence[str] = (),
    images_root: Path | None = None,
    progress: bool = False,
) -> MemoryReport:
    """Measure observations on one memory, or on matches alone, and judge the paper's claims; see `observe`.

    Parameters
    ----------
    memory : Memory or None
        None where only `matches` are at hand.
    which : sequence of str
        Names of `OBSERVATIONS`.
    settings : ObserveSettings
    folder : Path
        Where pooled memories, accuracy runs and the controls' memories are kept.
    images : ImageTable, optional
    matches : Matches, optional
    controls : sequence of str
    images_root : Path, optional
    progress : bool
        As for `observe`.
    """
    if controls and (images is not None or matches is not None):
        raise InputError("controls are run in leave-one-out; leave out images and matches, or the controls")
    for control in controls:
        require_control(control, memory, images_root)
    if memory is not None and matches is not None:
        _require_matches_of(memory, matches)
    subject = Subject(settings=settings, memory=memory, images=images, given=matches, progress=progress)
    name = "matches" if memory is None else memory.path.name
    with named_pass(name):
        report = _measured(subject, name, which, folder)
        for control in controls:
            with named_pass(control):
                report = _under(report, control, subject, which, folder, images_root)
    return report


def foreseen(
    memory: Memory | None,
    which: Sequence[str],
    *,
    settings: ObserveSettings,
    images: ImageTable | None = None,
    matches: Matches | None = None,
) -> tuple[str, ...]:
    """Return what `observe_memory` will note for certain, before it begins: what cannot be measured, and why.

    Parameters
    ----------
    memory, which, settings, images, matches
        As for `observe_memory`.
    """
    subject = Subject(settings=settings, memory=memory, images=images, given=matches)
    reasons = {**measured_in_part(subject), **cannot_measure(subject)}
    return tuple(
        f"{o.name}: {reasons[o.name]}" for o in OBSERVATIONS if o.name in which and o.name in reasons
    )


def run_self_test(
    memory: Memory, *, settings: ObserveSettings | None = None, n_draws: int, progress: bool = False
) -> tuple[RejectionRate, ...]:
    """Deal the memory's images into pseudo-classes at random and count how often each test rejects.

    Parameters
    ----------
    memory : Memory
    settings : ObserveSettings, optional
    n_draws : int
        Deals.
    progress : bool
    """
    settings = settings or ObserveSettings()
    subject = Subject(settings=settings, memory=memory, progress=progress)
    labels, groups = memory.image_class, memory.images.groups
    with named_pass(memory.path.name):
        tests = match_tests(subject.matches, weighting=settings.weighting)
        with named_pass("matches"):
            rates = self_test(
                labels, tests, n_draws=n_draws, seed=settings.seed, groups=groups, progress=progress
            )
        tests = blocked_tests(subject.matches_of_blocks, weighting=settings.weighting)
        with named_pass("class positions"):
            return rates + self_test(
                labels, tests, n_draws=n_draws, seed=settings.seed, strata=subject.block_of_image,
                groups=groups, progress=progress,
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


@contextmanager
def _kept_in(folder: str | Path | None) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="hueprobe-") as temporary:
        yield Path(temporary)


def _require_matches_of(memory: Memory, matches: Matches) -> None:
    if matches.grid != memory.grid or matches.image_paths != memory.images.paths:
        raise InputError(
            f"the matches are not of {memory.path}: they name {len(matches.image_paths)} images on a "
            f"{matches.grid.height}x{matches.grid.width} grid, it holds {memory.n_images} on "
            f"{memory.grid.height}x{memory.grid.width}; give the memory that they were found in"
        )


def _measured(subject: Subject, name: str, which: Sequence[str], folder: Path) -> MemoryReport:
    """Measure and judge; what cannot be measured becomes a note that says why."""
    memory, settings = subject.memory, subject.settings
    if memory is None:
        n_images = len(np.unique(subject.matches.image))
    else:
        n_images = int(memory.readable.sum()) if subject.rows is None else len(subject.rows)
    impossible, in_part = cannot_measure(subject), measured_in_part(subject)
    found: dict[str, Any] = {}
    verdicts: list[Verdict] = []
    notes: list[str] = []
    for observation in OBSERVATIONS:
        if observation.name not in which:
            continue
        if observation.name in impossible:
            notes.append(f"{observation.name}: {impossible[observation.name]}")
            continue
        try:
            result = _MEASURE[observation.name](subject, folder)
        except HueprobeError as error:
            notes.append(f"{observation.name}: {error}")
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
        seed=settings.seed,
        verdicts=tuple(verdicts),
        notes=tuple(notes),
        **found,
    )


def _under(
    report: MemoryReport,
    control: str,
    subject: Subject,
    which: Sequence[str],
    folder: Path,
    images_root: Path | None,
) -> MemoryReport:
    """Measure again under a control, and enter in each verdict what it comes to there."""
    varied = controlled(control, subject, folder, images_root=images_root)
    again = [o.name for o in OBSERVATIONS if o.name in which and o.under_controls and _fits(o, varied)]
    other = _measured(varied, report.name, again, folder)
    others = {verdict.id: verdict for verdict in other.verdicts}
    verdicts = tuple(v.under(control, others[v.id]) if v.id in others else v for v in report.verdicts)
    notes = tuple(f"{control}, {note}" for note in other.notes if note not in report.notes)
    report = replace(report, verdicts=verdicts, notes=(*report.notes, *notes))
    if control == "mirror-queries":
        report = replace(report, content=content_or_position(varied.matches))
    return report


def _fits(observation: Observation, subject: Subject) -> bool:
    """Whether an observation can be made of a varied subject: hue needs every image with its own vectors."""
    return observation.name != "hue" or subject.is_whole


def _energy(subject: Subject, folder: Path) -> Energy:
    memory = subject.known_memory
    rows = np.arange(memory.n_images) if subject.rows is None else subject.rows
    groups = memory.images.groups
    return measure_energy(
        memory.energy()[rows], memory.grid, image_class=memory.image_class[rows], classes=memory.classes,
        groups=[groups[i] for i in rows], center=subject.settings.center,
    )  # fmt: skip


def _accuracy(subject: Subject, folder: Path) -> AccuracyGrid:
    memory, settings = subject.known_memory, subject.settings
    return accuracy_grid(
        memory, folder / f"{memory.path.name}-accuracy", images=subject.images, k=settings.k,
        searcher=settings.searcher, exclude=settings.exclude, seed=settings.seed, progress=subject.progress,
        weights=settings.weights, device=settings.device, workers=settings.workers,
        index_dir=settings.index_dir,
    )  # fmt: skip


def _locations(subject: Subject, folder: Path) -> Locations:
    memory, settings = subject.memory, subject.settings
    return maps.measure(
        subject.matches, weighting=settings.weighting, center=settings.center, seed=settings.seed,
        valid=None if memory is None else memory.valid(),
        blocks=subject.matches_of_blocks if memory is not None and subject.has_blocks else None,
    )  # fmt: skip


def _conditional(subject: Subject, folder: Path) -> Conditional:
    settings = subject.settings
    return conditional.measure(
        subject.matches, seed=settings.seed, weighting=settings.weighting, center=settings.center
    )


def _hue(subject: Subject, folder: Path) -> Hue:
    memory, settings = subject.known_memory, subject.settings
    if not subject.is_whole:
        raise InputError("measured on the memory's own images, each left out in turn, and on all of them")
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
