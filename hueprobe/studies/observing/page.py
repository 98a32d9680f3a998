"""The page of a report: each claim in words, what it was measured on, and every figure with its caption."""

import math
from collections.abc import Sequence

from hueprobe.memory.settings import library_versions
from hueprobe.observations.conditional.mirrored import ContentOrPosition
from hueprobe.observations.verdicts.findings import (
    DOES_NOT_HOLD,
    HOLDS,
    NOT_MEASURABLE,
    TOO_LITTLE,
    TOO_SMALL,
    Finding,
    effect_text,
    p_text,
    range_text,
)
from hueprobe.observations.verdicts.rules import COLUMNS, DISAGREE, NOT_IDENTIFIED, NOT_RUN, Verdict
from hueprobe.plots.captions import caption
from hueprobe.studies.observing.memory_report import MemoryReport
from hueprobe.studies.pages import Heading, Items, Paragraph, Part, Picture, Table

_MEANING = {
    HOLDS: "These images support the claim.",
    TOO_SMALL: "If there is an effect, it is within the margin, and too small to matter.",
    DOES_NOT_HOLD: "These images contradict the claim.",
    NOT_IDENTIFIED: "These images do not decide the claim, whatever their number.",
    DISAGREE: "One part of the claim is found, and another leans the other way; it is not decided.",
    TOO_LITTLE: "These images do not decide the claim.",
    NOT_MEASURABLE: "The claim could not be tested on these images.",
    NOT_RUN: "What is needed first is found; what decides the claim was not run.",
}


def report_parts(
    memories: Sequence[MemoryReport], figures: Sequence[str], *, command: str = ""
) -> list[Part]:
    """Return the page of a report.

    Parameters
    ----------
    memories : sequence of MemoryReport
        Results for each memory.
    figures : sequence of str
        File names of the figures.
    command : str, default=""
        The command that made the report, if it was one.
    """
    parts: list[Part] = [Heading("Observations", 1)]
    versions = library_versions()
    parts.append(
        Paragraph(f"hueprobe {versions['hueprobe']}, torch {versions.get('torch', 'not installed')}.")
    )
    if command:
        parts.append(Paragraph(command, "Command:"))
    for one in memories:
        parts += _memory_parts(one)
    parts += [
        Heading("All verdicts"),
        Table(
            COLUMNS,
            tuple(_row(verdict) for one in memories for verdict in one.verdicts),
        ),
    ]
    notes = [f"{one.name}: {note}" for one in memories for note in one.notes]
    if notes:
        parts += [Heading("Notes"), Items(tuple(dict.fromkeys(notes)))]
    if figures:
        parts.append(Heading("Figures"))
        parts += [Picture(file, caption(file)) for file in figures]
    return parts


def _memory_parts(one: MemoryReport) -> list[Part]:
    parts: list[Part] = [Heading(one.name)]
    facts = tuple((name, text) for name, text in one.provenance.items())
    parts.append(Table(("", ""), (*facts, ("images", f"{one.n_images:,}"))))
    for verdict in one.verdicts:
        parts += _claim_parts(verdict)
    if one.content is not None:
        parts.append(Paragraph(_content(one.content), "Only the queries mirrored:"))
    return parts


def _claim_parts(verdict: Verdict) -> list[Part]:
    """Return a claim in words: what it says, what was found, what that means, and what else was seen."""
    parts: list[Part] = [
        Heading(f"{verdict.id}: {verdict.verdict}", 3),
        Paragraph(f"{verdict.claim.text} {_MEANING[verdict.verdict]}"),
    ]
    items = [_sentence(part, verdict) for part in verdict.findings]
    others = verdict.definitions.get("other classifiers", {})
    items += [
        f"For comparison, {_sentence(Finding.from_json(name, record), verdict, judged=False)}"
        for name, record in others.items()
    ]
    items += [reason[:1].upper() + reason[1:] + "." for reason in verdict.reasons]
    if verdict.controls:
        items.append(f"Controls: {verdict.controls_text()}.")
    parts.append(Items(tuple(items)))
    return parts


def _sentence(part: Finding, verdict: Verdict, *, judged: bool = True) -> str:
    unit = verdict.claim.unit
    if math.isnan(part.interval.estimate):
        return f"{part.name}: {effect_text(part.interval.estimate, unit, part.n)}."
    ends = range_text(part.interval.low, part.interval.high)
    text = f"{part.name}: {effect_text(part.interval.estimate, unit, part.n)}"
    text += f", 95 % interval {ends}" if ends else ""
    text += f"; {part.null:g} is expected under the null (p {p_text(part.p)}, n = {part.n:,})"
    if not judged:
        return f"{text}."
    decides = " and decides" if len(verdict.findings) > 1 and part is verdict.deciding else ""
    needed = ""
    if part.needed and not part.reaches_margin:
        what = f"as narrow as the margin of {part.margin:g}" if part.margin else "clear of the null"
        needed = f" An interval {what} takes about {part.needed:,} images (groups) like these."
    return f"{text}: {part.verdict}{decides}.{needed}"


def _row(verdict: Verdict) -> tuple[str, ...]:
    row = verdict.row()
    return (verdict.id, *row[1:6], f"{verdict.n:,}", *row[7:])


def _content(found: ContentOrPosition) -> str:
    parts = {"position": found.position, "content": found.content, "difference": found.content_less_position}
    text = ", ".join(
        f"{part} {effect_text(i.estimate, '', found.n).strip()}"
        + (f" [{range_text(i.low, i.high, ', ')}]" if range_text(i.low, i.high) else "")
        for part, i in parts.items()
    )
    return f"share of matches that follow {text} (n = {found.n:,} matches off the middle column)."
