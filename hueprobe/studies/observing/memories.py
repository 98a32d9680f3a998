"""Observations 1-5 of memories: measured and judged, and repeated under controls."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hueprobe.errors import InputError, require_choice
from hueprobe.images.resolve import resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.matches import Matches
from hueprobe.memory.recorded import load_recorded_backbone
from hueprobe.memory.store import Memory
from hueprobe.observations.table import NAMES, OBSERVATIONS
from hueprobe.studies.observing.controls import require_control
from hueprobe.studies.observing.measurable import cannot_measure, measured_in_part
from hueprobe.studies.observing.measuring import measured, measured_under
from hueprobe.studies.observing.memory_report import MemoryReport
from hueprobe.studies.observing.planned import planned_steps
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
        report = measured(subject, name, which, folder)
        for control in controls:
            with steps.under(control):
                report = measured_under(report, control, subject, which, folder, images_root)
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
