"""Which results speak for which claim; the rules are in `hueprobe.observations.verdicts.rules`."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hueprobe.observations.verdicts.claims import CLAIMS
from hueprobe.observations.verdicts.rules import Finding, Verdict, finding
from hueprobe.stats.intervals import Interval
from hueprobe.stats.paired import PairedComparison

if TYPE_CHECKING:
    from hueprobe.observations.conditional.conditional import Conditional
    from hueprobe.observations.conditional.tangential import TangentialRow
    from hueprobe.observations.energy import Energy
    from hueprobe.observations.hue.hue import Hue
    from hueprobe.observations.locations.maps import Locations
    from hueprobe.observations.locations.replicate_test import BlockedTest

Definitions = Mapping[str, Any]

AXIS_MARGIN = 0.02  # of the share of same-class matches, in claim 5


def energy_claims(
    energy: "Energy", *, memory: str, definitions: Definitions | None = None
) -> tuple[Verdict, Verdict]:
    """Return the verdicts on claims 1a and 1b."""
    definitions = {**(definitions or {}), "centre (y, x)": list(energy.center)}
    return (
        _one("1a centre", energy.rho, memory, definitions),
        _one("1b symmetry", energy.symmetry, memory, definitions),
    )


def accuracy_claim(
    comparisons: Sequence[PairedComparison], *, memory: str, definitions: Definitions | None = None
) -> Verdict:
    """Return the verdict on claim 2: `pixel` must beat every descriptor that it was compared with.

    Parameters
    ----------
    comparisons : sequence of PairedComparison
        Of `pixel` with each pooled or flattened descriptor (`AccuracyGrid.comparisons`); at least one.
    memory : str
        Name of the memory.
    definitions : mapping of str to Any, optional
        How it was measured.
    """
    nearest_first = sorted(comparisons, key=lambda comparison: comparison.difference.estimate)
    findings = tuple(
        finding(
            "2 pixel",
            comparison.difference,
            comparison.p,
            comparison.n_units,
            name=f"accuracy less that of {comparison.second}",
        )
        for comparison in nearest_first
    )
    tests = sorted({comparison.test for comparison in comparisons})
    definitions = {**(definitions or {}), "test": ", ".join(tests)}
    return Verdict(id="2 pixel", memory=memory, findings=findings, definitions=definitions)


def location_claims(
    locations: "Locations", *, memory: str, definitions: Definitions | None = None
) -> tuple[Verdict, ...]:
    """Return the verdicts on claims 3a, 3b and 3c; 3b needs the blocked test, with both components."""
    definitions = {**(definitions or {}), "weighting": locations.weighting}
    verdicts = [_one("3a centre", locations.rho_same, memory, definitions)]
    if (blocked := locations.blocked) is not None:
        of_angle = {**definitions, "blocks": blocked.n_blocks, "classes": len(blocked.classes)}
        findings = _components(blocked)
        verdicts.append(Verdict(id="3b angle", memory=memory, findings=findings, definitions=of_angle))
    return (*verdicts, _one("3c border", locations.rho_other, memory, definitions))


def conditional_claims(
    conditional: "Conditional", *, memory: str, definitions: Definitions | None = None
) -> tuple[Verdict, Verdict, Verdict]:
    """Return the verdicts on claims 4a, 4b and 4c; the base rates of 4c other than the first are controls."""
    definitions = {**(definitions or {}), "weighting": conditional.weighting}
    of_stay = {
        **definitions,
        "stay-put share": conditional.all.stay.estimate,
        "bits": conditional.all.information.bits.estimate,
    }
    raw = "RMS displacement, same less other class, all matches"
    of_spread = (
        _own("4b spread", conditional.spread.adjusted),
        _own("4b spread", conditional.spread.raw, name=raw),
    )
    tangential, *others = (
        Verdict(id="4c tangential", memory=memory, findings=_tangential(row), definitions=definitions)
        for row in conditional.tangential
    )
    for row, other in zip(conditional.tangential[1:], others, strict=True):
        tangential = tangential.under(f"{row.base} base rate, {row.form} form", other)
    return (
        _one("4a stay", conditional.all.stay_excess, memory, of_stay),
        Verdict(id="4b spread", memory=memory, findings=of_spread, definitions=definitions),
        tangential,
    )


def hue_claim(hue: "Hue", *, memory: str, definitions: Definitions | None = None) -> Verdict:
    """Return the verdict on claim 5, from the first plane asked for."""
    plane, information = hue.accuracy.planes[0], hue.information
    angle = finding("5 hue", plane.advantage, plane.p, hue.accuracy.n_images)

    def judged(axis: Interval) -> Verdict:
        name = "share of same-class matches, decile farthest from the axis less the nearest"
        parts = (angle, _own("5 hue", axis, name=name, margin=AXIS_MARGIN))
        settings = {**(definitions or {}), "plane": plane.name, "axis": hue.axis, "signed": hue.signed}
        return Verdict(id="5 hue", memory=memory, findings=parts, definitions=settings)

    within_cell = judged(information.far_minus_near_within_cell)
    return judged(information.far_minus_near).under("within each cell", within_cell)


def _own(claim: str, interval: Interval, *, name: str | None = None, margin: float | None = None) -> Finding:
    """Finding of an interval that has its own p-value and counts its own units."""
    n = int(interval.degrees) + 1 if math.isfinite(interval.degrees) else 0
    return finding(claim, interval, interval.p(CLAIMS[claim].null), n, name=name, margin=margin)


def _one(claim: str, interval: Interval, memory: str, definitions: Definitions) -> Verdict:
    """Verdict on a claim that needs one finding."""
    return Verdict(id=claim, memory=memory, findings=(_own(claim, interval),), definitions=definitions)


def _components(blocked: "BlockedTest") -> tuple[Finding, ...]:
    parts = {CLAIMS["3b angle"].effect: blocked.both, "u alone": blocked.u, "v alone": blocked.v}
    return tuple(
        finding("3b angle", part.effect, part.p, blocked.n_images, name=label, undecided=blocked.undecided)
        for label, part in parts.items()
    )


def _tangential(row: "TangentialRow") -> tuple[Finding, ...]:
    base = f"log(tangential / radial) less that of the {row.base} base rate, {row.form} form"
    return (
        _own("4c tangential", row.same.excess, name=f"{base}, same class"),
        _own("4c tangential", row.difference, name=f"{base}, same less other class"),
    )
