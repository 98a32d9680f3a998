"""Observations 1-5 of memories: measured and judged, and repeated under controls."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from hueprobe.observations.table import NAMES, OBSERVATIONS, Result
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.observations.verdicts.selftest import RejectionRate, blocked_tests, match_tests, self_test
from hueprobe.progress import named_pass
from hueprobe.studies.observing.accuracy_runs import AccuracySetup, grid_of
from hueprobe.studies.observing.controls import controlled, require_control
from hueprobe.studies.observing.held_out import HELD_OUT
from hueprobe.studies.observing.measurable import cannot_measure, measured_in_part
from hueprobe.studies.observing.memory_report import MemoryReport
from hueprobe.studies.observing.planned import IMAGES, MIRRORED_MATCHES, fits, planned_steps
from hueprobe.studies.observing.report import Report
from hueprobe.studies.observing.settings import ObserveSettings
from hueprobe.studies.observing.steps import Steps
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
        Memories to observe; optional if `matches` are given.
    which : str or sequence of str, default="all"
        Observations: any of `energy`, `accuracy`, `locations`, `conditional`, `hue`; or `all`.
    images : optional
        Query images in any form that `build_memory` accepts. By default the memory's own images are queries,
        in leave-one-out.
    matches : Matches, optional
        Table of matches to measure, instead of a search; it belongs to the one memory given, if any. Without
        a memory, only observations of matches can be measured.
    controls : sequence of str, default=()
        Names of `hueprobe.observations.CONTROLS`; verdicts then record which controls they survive.
    settings : ObserveSettings, optional
        K, searcher, exclusion, weighting, seed, plane; `ObserveSettings()` by default.
    folder : path, optional
        Folder in which pooled memories, accuracy runs and the controls' memories are kept and reused; by
        default a temporary folder.
    images_root : path, optional
        Present location of the memories' images, for controls that need them.
    progress : bool, default=False
        Whether to say which step is at work, with a total ETA, and to show progress bars.

    Returns
    -------
    Report
        Results, verdicts and figures; it displays itself in a notebook.

    Raises
    ------
    InputError
        An unknown observation or control; controls together with `images` or `matches`; matches of another
        memory; neither a memory nor matches.

    See Also
    --------
    hueprobe.studies.ObserveSettings : How observations are measured.
    hueprobe.studies.Report.save : Write the report to a folder.
    hueprobe.observations : Functions that measure single observations.

    Examples
    --------
    >>> report = hp.observe(memory, ["energy", "locations"])
    >>> [verdict.id for verdict in report.verdicts]
    ['1a centre', '1b symmetry', '3a centre', '3b angle', '3c border']

    Claim 3a again with near-duplicates of images left out:

    >>> report = hp.observe(memory, "locations", controls=["no-near-duplicates"])
    >>> list(report.verdicts[0].controls)
    ['no-near-duplicates']

    In a script, with all observations::

        hp.observe(memory).save("report/")
    """
    settings = settings or ObserveSettings()
    names = NAMES if which == "all" else (which,) if isinstance(which, str) else tuple(which)
    for name in names:
        require_choice("observation", name, NAMES)
    chosen: list[Memory | None] = [memories] if isinstance(memories, Memory) else list(memories or [])
    if matches is not None and (images is not None or len(chosen) > 1):
        raise InputError(
            "matches belong to one memory and to given queries; leave out images, and give one memory at most"
        )
    if matches is None and not chosen:
        raise InputError("there is nothing to observe; give a memory or matches")
    table = None if images is None else resolve_images(images)
    planned = [
        planned_steps(memory, names, settings=settings, images=table, matches=matches, controls=controls)
        for memory in chosen or [None]
    ]
    steps = Steps(*planned, enabled=progress)
    with _kept_in(folder) as place:
        return Report(
            tuple(
                observe_memory(
                    memory, names, settings=settings, folder=place, matches=matches, controls=controls,
                    images=table, images_root=None if images_root is None else Path(images_root),
                    steps=steps, progress=progress,
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
    steps: Steps | None = None,
    progress: bool = False,
) -> MemoryReport:
    """Measure observations on one memory, or on matches alone, and judge the paper's claims; see `observe`.

    Parameters
    ----------
    memory : Memory or None
        Memory to observe; None if only `matches` are available.
    which : sequence of str
        Names of observations.
    settings : ObserveSettings
        K, searcher, exclusion, weighting, seed, plane.
    folder : Path
        Folder in which pooled memories, accuracy runs and the controls' memories are kept.
    images : ImageTable, optional
        Query images; by default the memory's own, in leave-one-out.
    matches : Matches, optional
        Table of matches to measure, instead of a search.
    controls : sequence of str, default=()
        Names of `hueprobe.observations.CONTROLS`.
    images_root : Path, optional
        Present location of the memory's images, for controls that need them.
    steps : Steps, optional
        Steps of a longer run, among them the `planned_steps` of this memory. By default those alone.
    progress : bool, default=False
        Whether to say which step is at work, and to show progress bars.

    Returns
    -------
    MemoryReport
        Results, verdicts and notes.

    Raises
    ------
    InputError
        An unknown control; controls together with `images` or `matches`; matches of another memory.

    See Also
    --------
    hueprobe.studies.observe : The same for one memory or several, with defaults.

    Examples
    --------
    >>> from pathlib import Path
    >>> report = hp.studies.observe_memory(
    ...     memory, ["energy"], settings=hp.studies.ObserveSettings(), folder=Path("kept")
    ... )
    >>> report.name, report.n_images, list(report.results)
    ('memory', 12, ['energy'])
    """
    if controls and (images is not None or matches is not None):
        raise InputError("controls run in leave-one-out; leave out images and matches, or the controls")
    for control in controls:
        require_control(control, memory, images_root)
    if memory is not None and matches is not None:
        _require_matches_of(memory, matches)
    if steps is None:
        planned = planned_steps(
            memory, which, settings=settings, images=images, matches=matches, controls=controls
        )
        steps = Steps(planned, enabled=progress)
    subject = Subject(
        settings=settings, memory=memory, images=images, folder=folder, given=matches, progress=progress,
        steps=steps,
    )  # fmt: skip
    name = "matches" if memory is None else memory.path.name
    with steps.under(name):
        report = _measured(subject, name, which, folder)
        for control in controls:
            with steps.under(control):
                report = _under(report, control, subject, which, folder, images_root)
    return replace(report, seconds=dict(subject.stages.seconds))


def foreseen(
    memory: Memory | None,
    which: Sequence[str],
    *,
    settings: ObserveSettings,
    images: ImageTable | None = None,
    matches: Matches | None = None,
) -> tuple[str, ...]:
    """Return the certain notes of `observe_memory` before it runs: what cannot be measured, and why.

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
    """Assign the memory's images to random pseudo-classes and count how often each test rejects.

    Rates near the nominal 5 % show that the tests of observations 3 and 4 keep their level on this memory.

    Parameters
    ----------
    memory : Memory
        Memory to test on.
    settings : ObserveSettings, optional
        K, searcher, exclusion, weighting and seed; `ObserveSettings()` by default.
    n_draws : int
        Number of random assignments.
    progress : bool, default=False
        Whether to show progress bars.

    Returns
    -------
    tuple of RejectionRate
        One per test.

    See Also
    --------
    hueprobe.observations.verdicts.self_test : The same for other tests.

    Examples
    --------
    >>> rates = hp.studies.run_self_test(memory, n_draws=2)
    >>> rates[0].test, rates[0].n
    ('3 rho, same less other', 2)
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
    """Measure where on a memory's grid receptive fields are centered on the image, (y, x) in cells.

    Strides may shift it from the middle of the grid.

    Parameters
    ----------
    memory : Memory
        Memory made by a network that can be loaded again.
    weights : Path, optional
        Present location of the recorded weights file; by default the recorded one.

    Returns
    -------
    (float, float)
        Row and column in cells.

    See Also
    --------
    hueprobe.observations.energy.measure : Takes this center.
    hueprobe.studies.ObserveSettings : Takes this center for all observations.

    Examples
    --------
    >>> small = hp.build_memory(
    ...     "small", "images", backbone="squeezenet1_1", weights="none", transform=transform
    ... )
    >>> y, x = hp.studies.network_center(small)
    >>> 0 < y < small.grid.height, 0 < x < small.grid.width
    (True, True)
    """
    from hueprobe.activations.receptive_fields import field_center

    return field_center(load_recorded_backbone(memory.settings, weights=weights)).cell


@contextlib.contextmanager
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
    """Measure and judge; what cannot be measured becomes a note with the reason."""
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


def _under(
    report: MemoryReport,
    control: str,
    subject: Subject,
    which: Sequence[str],
    folder: Path,
    images_root: Path | None,
) -> MemoryReport:
    """Repeat the measurements under a control, and add them to each verdict."""
    with subject.steps.of(IMAGES):
        varied = controlled(control, subject, folder, images_root=images_root)
    again = [o.name for o in OBSERVATIONS if o.name in which and fits(o, control)]
    other = _measured(varied, report.name, again, folder)
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
