"""The steps of observing a memory, and the work of each, from the sizes of the memory and the queries."""

from collections.abc import Iterator, Sequence

from hueprobe.images.table import ImageTable
from hueprobe.matches import Matches
from hueprobe.memory.store import Memory
from hueprobe.observations.table import OBSERVATIONS, Observation
from hueprobe.studies.observing.accuracy_runs import accuracy_parts
from hueprobe.studies.observing.held_out import HELD_OUT
from hueprobe.studies.observing.measurable import cannot_measure
from hueprobe.studies.observing.settings import ObserveSettings
from hueprobe.studies.observing.steps import Step
from hueprobe.studies.observing.subject import Subject
from hueprobe.studies.observing.work import Work

PARTLY = ("no-near-duplicates", "mirror-queries")  # controls whose queries are not all of a memory's own
IMAGES, MIRRORED_MATCHES = "images", "content or position"  # names of steps under controls
MIRRORED = ("mirror-all", "mirror-queries", "random-mirror")  # controls that share one extraction


def planned_steps(
    memory: Memory | None,
    which: Sequence[str],
    *,
    settings: ObserveSettings,
    images: ImageTable | None = None,
    matches: Matches | None = None,
    controls: Sequence[str] = (),
) -> tuple[Step, ...]:
    """Return the steps of `observe_memory` in order, without observations that certainly cannot be measured.

    Parameters
    ----------
    memory, which, settings, images, matches, controls
        As for `observe_memory`.
    """
    subject = Subject(settings=settings, memory=memory, images=images, given=matches)
    impossible = cannot_measure(subject)
    wanted = [o for o in OBSERVATIONS if o.name in which and o.name not in impossible]
    name = "matches" if memory is None else memory.path.name
    work = Work.on(memory, images, matches, settings.k)
    steps: list[Step] = []

    def add(scope: tuple[str, ...], observations: Sequence[Observation], *, searched: bool) -> None:
        for observation in observations:
            shared = 0.0 if searched or not observation.by_search else work.search
            for key, seconds in _parts(observation, work):
                steps.append(Step((*scope, *key), seconds + shared))
                shared = 0.0
            searched = searched or observation.by_search

    if images is not None and any(o.by_search for o in wanted):
        steps.append(Step((name, HELD_OUT), work.forward(len(images))))
    add((name,), wanted, searched=matches is not None)
    mirrored = False  # images that several controls share
    for control in controls:
        there = control == "no-near-duplicates" or (control in MIRRORED and mirrored)
        steps.append(Step((name, control, IMAGES), 0.1 if there else work.forward()))
        mirrored = mirrored or control in MIRRORED
        add((name, control), [o for o in wanted if fits(o, control)], searched=False)
        if control == "mirror-queries":
            steps.append(Step((name, control, MIRRORED_MATCHES), 0.1))
    return tuple(steps)


def fits(observation: Observation, control: str) -> bool:
    """Return whether an observation is repeated under a control: hue needs every image's own vectors.

    Parameters
    ----------
    observation : Observation
        The observation.
    control : str
        Name of the control.
    """
    return observation.under_controls and not (observation.name == "hue" and control in PARTLY)


def _parts(observation: Observation, work: Work) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield the key and the seconds of each step of an observation."""
    if observation.name == "accuracy":
        yield from accuracy_parts(work)
    else:
        yield (observation.name,), work.observation(observation.name)
