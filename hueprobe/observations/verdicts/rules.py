"""The verdict on a claim, from its findings.

Each finding has a verdict of its own (`hueprobe.observations.verdicts.findings`). A claim may need several.
One of them decides, in this order:

- *does not hold*, *too small to speak of*: the first finding that says so;
- *holds*: all hold, and the one with the largest p-value decides;
- *not measurable*: the first finding that is;
- *parts disagree*: some hold, and the estimate of an undecided one is not on the claimed side;
- *too little data*: the first undecided finding.

Two further verdicts concern a claim as a whole. *Not identified*: the sign of a finding depends on an
arbitrary choice that was measured in all its forms (`Claim.choice`), such as the base rate of claim 4c. *Not
run*: the findings hold, and what decides the claim is another measurement (`Claim.decided_by`), such as the
flips of claim 3b. What is not decided (`UNDECIDED`) is no evidence against a claim.

A claim *survives* a control if its findings come to the same conclusion under the control as without it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hueprobe.errors import InputError, require_choice
from hueprobe.html_tables import html_table
from hueprobe.json_documents import plain
from hueprobe.observations.verdicts.claims import CLAIMS, Claim
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

DISAGREE, NOT_IDENTIFIED, NOT_RUN = "parts disagree", "not identified", "not run"
VERDICTS = (
    HOLDS, TOO_SMALL, DOES_NOT_HOLD, NOT_IDENTIFIED, DISAGREE, TOO_LITTLE, NOT_MEASURABLE, NOT_RUN,
)  # fmt: skip
UNDECIDED = VERDICTS[3:]
COLUMNS = ("claim", "memory", "effect", "95 %", "null", "p", "n", "verdict", "controls")
_PRINTED = 1e-4  # smaller p-values are printed alike


def conclude(findings: Sequence[Finding]) -> tuple[str, Finding]:
    """Return the joint verdict of findings, and the finding that decides it."""
    for verdict in (DOES_NOT_HOLD, TOO_SMALL):
        for part in findings:
            if part.verdict == verdict:
                return verdict, part
    open_ = [part for part in findings if part.verdict != HOLDS]
    if not open_:
        return HOLDS, max(findings, key=lambda part: 0.0 if math.isnan(part.p) else max(part.p, _PRINTED))
    for part in open_:
        if part.verdict == NOT_MEASURABLE:
            return NOT_MEASURABLE, part
    if len(open_) < len(findings):
        for part in open_:
            if not part.on_claimed_side:
                return DISAGREE, part
    return TOO_LITTLE, open_[0]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Verdict on one claim for one memory: the claim, its findings, and the same findings under controls.

    Attributes
    ----------
    id : str
        Key of `CLAIMS`.
    memory : str
        Name of the memory.
    findings : tuple of Finding
        All findings that the claim needs, the main one first.
    controls : mapping of str to tuple of Finding, default={}
        The same findings under each control that was run.
    decided : bool, default=False
        Whether the findings are of the measurement that decides the claim (`Claim.decided_by`).
    definitions : mapping of str to Any, default={}
        How the findings were measured: K, searcher, exclusion, weighting.

    See Also
    --------
    hueprobe.observations.verdicts.verdicts_json : Write verdicts to JSON.

    Examples
    --------
    >>> verdict = hp.observations.locations.measure(matches).claims(memory="shapes")[0]
    >>> verdict.id, verdict.memory, verdict.verdict
    ('3a centre', 'shapes', 'too little data')
    >>> verdict.claim.text, len(verdict.findings)
    ('Same-class matches gather near the center.', 1)
    """

    id: str
    memory: str
    findings: tuple[Finding, ...]
    controls: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    decided: bool = False
    definitions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("claim", self.id, CLAIMS)
        if not self.findings:
            raise InputError(f"no finding for claim {self.id!r}; give at least one")

    @property
    def claim(self) -> Claim:
        """The claim: text, null, side, margin, and what decides it."""
        return CLAIMS[self.id]

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`: `holds`, `does not hold`, `too little data`, ..."""
        found = conclude(self.findings)[0]
        if self.turning:
            return NOT_IDENTIFIED
        return NOT_RUN if found == HOLDS and self.claim.decided_by and not self.decided else found

    @property
    def deciding(self) -> Finding:
        """The finding that decides the verdict, whose numbers are those of the verdict."""
        return self.turning or conclude(self.findings)[1]

    @property
    def turning(self) -> Finding | None:
        """The first finding that holds by one choice and turns around by another (`Claim.choice`)."""
        for part, others in zip(self.findings, self._by_choice(), strict=True):
            if {HOLDS, DOES_NOT_HOLD} <= {part.verdict, *(other.verdict for other in others)}:
                return part
        return None

    @property
    def over_choices(self) -> tuple[float, float] | None:
        """Least and greatest estimate of the deciding finding over all choices; None without a choice."""
        deciding, by_choice = self.deciding, self._by_choice()
        others = next(of for part, of in zip(self.findings, by_choice, strict=True) if part is deciding)
        if not others:
            return None
        known = [part.interval.estimate for part in (deciding, *others)]
        known = [value for value in known if not math.isnan(value)]
        return (min(known), max(known)) if known else None

    @property
    def survives(self) -> dict[str, bool]:
        """Whether the findings come to the same conclusion under each control."""
        own = conclude(self.findings)[0]
        return {name: conclude(parts)[0] == own for name, parts in self.controls.items()}

    @property
    def effect(self) -> float:
        """Estimate of the deciding finding; NaN where there is none."""
        return self.deciding.interval.estimate

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % interval of the deciding finding."""
        return self.deciding.interval.low, self.deciding.interval.high

    @property
    def n(self) -> int:
        """Number of independent units (groups, otherwise images) of the deciding finding."""
        return self.deciding.n

    @property
    def p(self) -> float:
        """p-value of the deciding finding; NaN if it has none."""
        return self.deciding.p

    @property
    def needed(self) -> int | None:
        """With too little data: about how many units would decide; None otherwise, or if unknown."""
        return self.deciding.needed if self.verdict == TOO_LITTLE else None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the claim is not decided, where known; what data would decide it is told by the findings."""
        reasons = [part.undecided for part in self.findings if part.undecided]
        verdict, unit = self.verdict, self.claim.unit
        if verdict == NOT_RUN:
            reasons.append(f"{self.claim.decided_by} decides this claim, and was not run")
        if verdict == NOT_IDENTIFIED and self.over_choices is not None:
            ends = range_text(*self.over_choices)
            reasons.append(f"the sign depends on the {self.claim.choice}: {ends} {unit} over all of them")
        return tuple(dict.fromkeys(reasons))

    def _by_choice(self) -> list[list[Finding]]:
        """Return each finding's like by the other choices (`Claim.choice`)."""
        named = self.claim.choice
        others = [parts for name, parts in self.controls.items() if named and named in name]
        return [[parts[i] for parts in others if i < len(parts)] for i in range(len(self.findings))]

    def under(self, control: str, other: "Verdict") -> "Verdict":
        """Return the verdict with the same claim's findings under a control added.

        Parameters
        ----------
        control : str
            Name of the control.
        other : Verdict
            Verdict on the same claim, measured under the control.

        Returns
        -------
        Verdict
            The verdict with the control's findings.

        Raises
        ------
        InputError
            The other verdict is on another claim.

        Examples
        --------
        >>> verdict = hp.observations.locations.measure(matches).claims()[0]
        >>> other = hp.observations.locations.measure(matches, weighting="kernel").claims()[0]
        >>> list(verdict.under("kernel weights", other).survives)
        ['kernel weights']
        """
        if other.id != self.id:
            raise InputError(f"control {control!r} is for claim {other.id!r}, not for {self.id!r}")
        return replace(self, controls={**self.controls, control: other.findings})

    def to_json(self) -> dict[str, Any]:
        """Return the record of `verdicts.json`: numbers, text, and None for unknown values.

        Returns
        -------
        dict
            Record with the keys of `verdicts.json`.

        Examples
        --------
        >>> record = hp.observations.locations.measure(matches).claims(memory="shapes")[0].to_json()
        >>> record["id"], record["memory"], record["null"]
        ('3a centre', 'shapes', 1.0)
        """
        controls = {name: _by_name(parts) for name, parts in self.controls.items()}
        record: dict[str, Any] = plain(
            {
                "id": self.id,
                "claim": self.claim.text,
                "memory": self.memory,
                "effect": self.effect,
                "unit": self.claim.unit,
                "ci95": self.ci95,
                "null": self.claim.null,
                "p": self.p,
                "n": self.n,
                "definitions": {
                    **self.definitions,
                    "effect": self.deciding.name,
                    "main": self.findings[0].name,
                    "findings": _by_name(self.findings),
                    **({"decided": True} if self.decided else {}),
                    **({"range": self.over_choices} if self.over_choices else {}),
                    **({"findings under controls": controls} if controls else {}),
                    **({"reasons": self.reasons} if self.reasons else {}),
                },
                "controls": self.survives,
                "verdict": self.verdict,
            }
        )
        if None in record["ci95"]:
            record["ci95"] = None
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Verdict":
        """Return the verdict recorded by `to_json`.

        Parameters
        ----------
        record : mapping of str to Any
            Record from `to_json`.

        Returns
        -------
        Verdict
            The verdict.

        Examples
        --------
        >>> verdict = hp.observations.locations.measure(matches).claims(memory="shapes")[0]
        >>> hp.observations.verdicts.Verdict.from_json(verdict.to_json()).verdict == verdict.verdict
        True
        """
        definitions = dict(record["definitions"])
        effect, findings = definitions.pop("effect"), definitions.pop("findings")
        first = definitions.pop("main", effect)  # until 0.2 the effect was that of the main finding
        controls = definitions.pop("findings under controls", {})
        decided = definitions.pop("decided", False)
        for derived in ("reasons", "range"):
            definitions.pop(derived, None)

        def in_order(named: Mapping[str, Any]) -> tuple[Finding, ...]:
            names = sorted(named, key=lambda name: (name != first, name))
            return tuple(Finding.from_json(name, named[name]) for name in names)

        return cls(
            id=record["id"],
            memory=record["memory"],
            findings=in_order(findings),
            controls={name: in_order(named) for name, named in controls.items()},
            decided=decided,
            definitions=definitions,
        )

    def __str__(self) -> str:
        """Return the verdict with every finding, and its conclusions under controls."""
        lines = [f"{self.id} ({self.memory}): {self.verdict}. {self.claim.text}"]
        lines += [f"    {part.name}: {part.text(self.claim.unit)}" for part in self.findings]
        for name, survives in self.survives.items():
            lines.append(f"    under {name}: {'the same' if survives else conclude(self.controls[name])[0]}")
        return "\n".join([*lines, *(f"    {reason}" for reason in self.reasons)])

    def row(self) -> tuple[str, ...]:
        """Return the cells of a table row with the columns `COLUMNS`.

        Returns
        -------
        tuple of str
            Claim, memory, effect, interval, null, p, n, verdict, and what controls came to.

        Examples
        --------
        >>> hp.observations.locations.measure(matches).claims(memory="shapes")[0].row()[:2]
        ('3a centre: Same-class matches gather near the center.', 'shapes')
        """
        low, high = self.ci95
        return (
            f"{self.id}: {self.claim.text}", self.memory,
            effect_text(self.effect, self.claim.unit, self.n), range_text(low, high),
            f"{self.deciding.null:g}", p_text(self.p), str(self.n), self.verdict, self.controls_text(),
        )  # fmt: skip

    def controls_text(self) -> str:
        """Return how many controls the verdict survives, and the names of the others; empty without any.

        Examples
        --------
        >>> verdict = hp.observations.locations.measure(matches).claims()[0]
        >>> verdict.under("kernel weights", verdict).controls_text()
        'survives 1 of 1'
        """
        if not self.controls:
            return ""
        lost = [name for name, survives in self.survives.items() if not survives]
        text = f"survives {len(self.controls) - len(lost)} of {len(self.controls)}"
        return f"{text}; not under {', '.join(lost)}" if lost else text

    def _repr_html_(self) -> str:
        return html_table(COLUMNS, [self.row()], caption="; ".join(self.reasons))


def _by_name(findings: Iterable[Finding]) -> dict[str, Any]:
    return {part.name: part.to_json() for part in findings}
