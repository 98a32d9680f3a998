"""What an observation leaves behind besides figures: CSV tables, verdicts.json and a short Markdown page."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hueprobe.escapes import escape_markdown
from hueprobe.files import written_whole
from hueprobe.observations.verdicts.rules import Verdict, verdicts_json
from hueprobe.stats.intervals import Interval
from hueprobe.studies.observing.memory_report import MemoryReport


def write_report(reports: Sequence[MemoryReport], folder: Path, *, figures: Sequence[str] = ()) -> list[Path]:
    """Write `verdicts.json`, tables and `report.md` into a folder; return the files.

    Parameters
    ----------
    reports : sequence of MemoryReport
    folder : Path
        Must exist.
    figures : sequence of str
        File names of figures in the folder, to show in the page.
    """
    verdicts = [verdict for report in reports for verdict in report.verdicts]
    texts = {
        "verdicts.json": verdicts_json(verdicts),
        "report.md": _page(reports, verdicts, figures),
        "numbers.csv": _table(("memory", "observation", "number", "value", "low", "high"), _numbers(reports)),
    }
    cells = [{"memory": r.name, **row} for r in reports if r.accuracy for row in r.accuracy.rows()]
    if cells:
        texts["accuracy.csv"] = _table(tuple(cells[0]), [tuple(row.values()) for row in cells])
    positions = list(_positions(reports))
    if positions:
        header = ("memory", "class", "u", "u low", "u high", "v", "v low", "v high", "p (minP)")
        texts["class_positions.csv"] = _table(header, positions)
    maps = list(_maps(reports))
    if maps:
        texts["maps.csv"] = _table(("memory", "map", "y", "x", "value"), maps)
    for name, text in texts.items():
        with written_whole(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in texts]


def _numbers(reports: Iterable[MemoryReport]) -> Iterable[tuple[Any, ...]]:
    for report in reports:
        intervals: dict[tuple[str, str], Interval] = {}
        if report.energy is not None:
            intervals["energy", "rho"] = report.energy.rho
            intervals["energy", "symmetric share"] = report.energy.symmetry
        if report.locations is not None:
            where = report.locations
            intervals["locations", "rho same class"] = where.rho_same
            intervals["locations", "rho other class"] = where.rho_other
            intervals["locations", "share of same-class matches"] = where.same_share
        if report.blocked is not None:
            for name in ("both", "u", "v"):
                part = getattr(report.blocked, name)
                intervals["locations", f"class positions, {name}, cells"] = part.effect
        if report.conditional is not None:
            found = report.conditional
            for name in ("all", "same", "other"):
                given = getattr(found, name)
                intervals["conditional", f"bits, {name}"] = given.information.bits
                intervals["conditional", f"stay-put share, {name}"] = given.stay
            intervals["conditional", "stay-put, same less other, raw"] = found.stay.raw
            intervals["conditional", "stay-put, same less other, adjusted"] = found.stay.adjusted
            intervals["conditional", "RMS displacement, same less other, adjusted"] = found.spread.adjusted
            for row in found.tangential:
                name = f"log(tangential/radial) over {row.base}, {row.form}"
                intervals["conditional", f"{name}, same"] = row.same.excess
                intervals["conditional", f"{name}, same less other"] = row.difference
        if report.hue is not None:
            found_hue = report.hue
            for plane in found_hue.accuracy.planes:
                intervals["hue", f"angle-only accuracy, {plane.name}"] = plane.angle
            intervals["hue", "saturation alone"] = found_hue.accuracy.saturation
            intervals["hue", "full direction"] = found_hue.accuracy.direction
            intervals["hue", "same-class share, far less near the axis"] = (
                found_hue.information.far_minus_near
            )
        for (observation, number), interval in intervals.items():
            yield report.name, observation, number, interval.estimate, interval.low, interval.high


def _positions(reports: Iterable[MemoryReport]) -> Iterable[tuple[Any, ...]]:
    for report in reports:
        if report.locations is None:
            continue
        adjusted = {}
        if report.blocked is not None:
            adjusted = dict(
                zip(report.blocked.classes, report.blocked.class_p_adjusted.tolist(), strict=True)
            )
        found = report.locations.positions
        for name, u, v in zip(found.classes, found.u, found.v, strict=True):
            parts = (u.estimate, u.low, u.high, v.estimate, v.low, v.high)
            yield report.name, name, *parts, adjusted.get(name, "")


def _maps(reports: Iterable[MemoryReport]) -> Iterable[tuple[Any, ...]]:
    for report in reports:
        maps = {}
        if report.energy is not None:
            maps["energy, multiples of the mean"] = report.energy.mean_map
        if report.locations is not None:
            maps["p(x, y) same class"] = report.locations.same
            maps["p(x, y) other class"] = report.locations.other
            maps["share of same class by match cell"] = report.locations.same_share_by_match_cell
            maps["share of same class by query cell"] = report.locations.same_share_by_query_cell
        for name, values in maps.items():
            for y, row in enumerate(values.tolist()):
                for x, value in enumerate(row):
                    yield report.name, name, y, x, value


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if value != value else value for value in row] for row in rows])
    return text.getvalue()


def _page(reports: Sequence[MemoryReport], verdicts: Sequence[Verdict], figures: Sequence[str]) -> str:
    lines = ["# Observations", ""]
    lines += [
        f"- {escape_markdown(r.name)}: {escape_markdown(r.network)}, {r.n_images} images" for r in reports
    ]
    lines += ["", "| claim | memory | effect | 95 % | null | p | n | verdict | survives | fails under |"]
    lines += ["|" + "---|" * 10]
    for v in verdicts:
        survived = ", ".join(name for name, survives in v.survives.items() if survives)
        failed = ", ".join(name for name, survives in v.survives.items() if not survives)
        lines.append(
            f"| {v.id} | {escape_markdown(v.memory)} | {v.effect:.3f} {v.claim.unit} "
            f"| {v.ci95[0]:.3f} to {v.ci95[1]:.3f} "
            f"| {v.claim.null:g} | {v.p:.2g} | {v.n} | **{v.verdict}** | {survived} | {failed} |"
        )
    reasons = [
        f"- {v.id}, {escape_markdown(v.memory)}: {escape_markdown(reason)}"
        for v in verdicts
        for reason in v.reasons
    ]
    reasons += [f"- {escape_markdown(r.name)}: {escape_markdown(note)}" for r in reports for note in r.notes]
    for report in reports:
        if report.content is not None:
            lines += ["", _content(report)]
    lines += ["", *dict.fromkeys(reasons)] if reasons else []
    lines += [""] + [
        f"![{escape_markdown(name)}]({quote(name)})" for name in figures if name.endswith((".png", ".svg"))
    ]
    return "\n".join(lines).rstrip() + "\n"


def _content(report: MemoryReport) -> str:
    found = report.content
    assert found is not None
    parts = {"position": found.position, "content": found.content, "difference": found.content_less_position}
    text = ", ".join(f"{name} {i.estimate:.3f} [{i.low:.3f}, {i.high:.3f}]" for name, i in parts.items())
    return (
        f"{escape_markdown(report.name)}, only the queries mirrored: share of matches that follow {text} "
        f"(n = {found.n} matches off the middle column)."
    )
