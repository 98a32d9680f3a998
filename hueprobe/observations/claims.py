"""Which results speak for which claim; the rules are in `hueprobe.observations.verdicts`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hueprobe.observations.activation_hue import Hue
from hueprobe.observations.claim_table import CLAIMS
from hueprobe.observations.conditional_matches import Conditional
from hueprobe.observations.energy_maps import Energy
from hueprobe.observations.intervals import Interval
from hueprobe.observations.match_locations import Locations
from hueprobe.observations.paired import PairedComparison
from hueprobe.observations.replicates import BlockedTest
from hueprobe.observations.tangential import TangentialRow
from hueprobe.observations.verdicts import Finding, Verdict, finding, judge

Definitions = Mapping[str, Any]

AXIS_MARGIN = 0.02  # of the share of same-class matches, in claim 5

_NO_MIRROR = "the random-mirror control was not run, and this claim needs it"


def energy_claims(
    energy: Energy, *, memory: str, definitions: Definitions | None = None
) -> tuple[Verdict, Verdict]:
    """Return the verdicts on claims 1a and 1b."""
    definitions = {**(definitions or {}), "centre (y, x)": list(energy.centre)}
    return (
        judge("1a centre", [_own("1a centre", energy.rho)], memory=memory, definitions=definitions),
        judge("1b symmetry", [_own("1b symmetry", energy.symmetry)], memory=memory, definitions=definitions),
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
    findings = [
        finding(
            "2 pixel",
            comparison.difference,
            comparison.p,
            comparison.n_units,
            name=f"accuracy less that of {comparison.second}",
        )
        for comparison in nearest_first
    ]
    tests = sorted({comparison.test for comparison in comparisons})
    definitions = {**(definitions or {}), "test": ", ".join(tests)}
    return judge("2 pixel", findings, memory=memory, definitions=definitions)


def location_claims(
    locations: Locations,
    blocked: BlockedTest,
    *,
    memory: str,
    mirrored: BlockedTest | None = None,
    definitions: Definitions | None = None,
) -> tuple[Verdict, Verdict, Verdict]:
    """Return the verdicts on claims 3a, 3b and 3c.

    Parameters
    ----------
    locations : Locations
        Of all matches.
    blocked : BlockedTest
        The blocked replicate test.
    memory : str
        Name of the memory.
    mirrored : BlockedTest, optional
        The same with every picture mirrored at random. An angle must be there in both components, in this
        test too: else it is an up-down lean. Without it claim 3b cannot hold.
    definitions : mapping of str to Any, optional
        How it was measured.
    """
    definitions = {**(definitions or {}), "weighting": locations.weighting}
    alone = judge("3b angle", _components(blocked), memory=memory)
    of_angle = {**definitions, "blocks": blocked.n_blocks, "classes": len(blocked.classes)}
    if mirrored is None:
        angle = judge(
            "3b angle", _components(blocked), memory=memory, definitions=of_angle, missing=_NO_MIRROR
        )
    else:
        again = judge("3b angle", _components(mirrored), memory=memory)
        both = _components(blocked) + _components(mirrored, ", pictures mirrored at random")
        angle = replace(
            judge("3b angle", both, memory=memory, definitions=of_angle),
            controls=alone.with_controls({"random mirror": again}).controls,
        )
    return (
        judge("3a centre", [_own("3a centre", locations.rho_same)], memory=memory, definitions=definitions),
        angle,
        judge("3c border", [_own("3c border", locations.rho_other)], memory=memory, definitions=definitions),
    )


def conditional_claims(
    conditional: Conditional, *, memory: str, definitions: Definitions | None = None
) -> tuple[Verdict, Verdict, Verdict]:
    """Return the verdicts on claims 4a, 4b and 4c; the base rates of 4c other than the first are controls."""
    definitions = {**(definitions or {}), "weighting": conditional.weighting}
    stay = judge(
        "4a stay",
        [_own("4a stay", conditional.all.stay_excess)],
        memory=memory,
        definitions={
            **definitions,
            "stay-put share": conditional.all.stay.estimate,
            "bits": conditional.all.information.bits.estimate,
        },
    )
    raw = "RMS displacement, same less other class, all matches"
    spread = judge(
        "4b spread",
        [
            _own("4b spread", conditional.spread.adjusted),
            _own("4b spread", conditional.spread.raw, name=raw),
        ],
        memory=memory,
        definitions=definitions,
    )
    first, *others = (
        judge("4c tangential", _tangential(row), memory=memory, definitions=definitions)
        for row in conditional.tangential
    )
    names = [f"{row.base} base rate, {row.form} form" for row in conditional.tangential[1:]]
    return stay, spread, first.with_controls(dict(zip(names, others, strict=True)))


def hue_claim(hue: Hue, *, memory: str, definitions: Definitions | None = None) -> Verdict:
    """Return the verdict on claim 5, from the first plane asked for."""
    plane, information = hue.accuracy.planes[0], hue.information
    angle = finding("5 hue", plane.advantage, plane.p, hue.accuracy.n_images)

    def judged(axis: Interval) -> Verdict:
        name = "share of same-class matches, decile farthest from the axis less the nearest"
        parts = [angle, _own("5 hue", axis, name=name, margin=AXIS_MARGIN)]
        settings = {**(definitions or {}), "plane": plane.name, "axis": hue.axis, "signed": hue.signed}
        return judge("5 hue", parts, memory=memory, definitions=settings)

    within_cell = judged(information.far_minus_near_within_cell)
    return judged(information.far_minus_near).with_controls({"within each cell": within_cell})


def _own(claim: str, interval: Interval, *, name: str | None = None, margin: float | None = None) -> Finding:
    """Finding of an interval that has its own p-value and counts its own units."""
    n = int(interval.degrees) + 1 if math.isfinite(interval.degrees) else 0
    return finding(claim, interval, interval.p(CLAIMS[claim].null), n, name=name, margin=margin)


def _components(blocked: BlockedTest, suffix: str = "") -> list[Finding]:
    name = CLAIMS["3b angle"].effect
    parts = {f"{name}{suffix}": blocked.both, f"u alone{suffix}": blocked.u, f"v alone{suffix}": blocked.v}
    return [
        finding("3b angle", part.effect, part.p, blocked.n_images, name=label, undecided=blocked.undecided)
        for label, part in parts.items()
    ]


def _tangential(row: TangentialRow) -> list[Finding]:
    base = f"log(tangential / radial) less that of the {row.base} base rate, {row.form} form"
    return [
        _own("4c tangential", row.same.excess, name=f"{base}, same class"),
        _own("4c tangential", row.difference, name=f"{base}, same less other class"),
    ]
