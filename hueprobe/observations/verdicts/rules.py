"""The rules of the verdict; they stand here and nowhere else.

A *finding* is one measured number with its interval, its p-value and what the claim expects of it:

- *holds*: the interval is clear of the null on the claimed side, and p < .05;
- *does not hold*: the interval is clear of the null on the other side, or lies inside the claim's margin
  around the null;
- *undecided*: anything else, and wherever a number is missing.

A claim may need several findings: it holds if all hold, does not hold if one does not, and is undecided else.
Its p-value is then the largest. A claim may also need a control (`Claim.needs`): the same findings must then
hold under that control, too, and without it the claim cannot hold.

A claim *survives* a control if its findings, taken alone, come to the same under the control as they do
without it. What else the claim needs does not enter: a control is never asked for a control of its own.
`hueprobe.observations.verdicts.claims` states the claims, their nulls and their margins;
`hueprobe.observations.verdicts.evidence` says which results speak for which claim.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hueprobe.errors import InputError, require_choice
from hueprobe.html_tables import html_table
from hueprobe.json_documents import plain
from hueprobe.observations.verdicts.claims import CLAIMS, Claim
from hueprobe.stats.intervals import Interval

SIGNIFICANCE = 0.05
COLUMNS = ("claim", "memory", "effect", "95 %", "null", "p", "n", "verdict", "not under")
HOLDS, DOES_NOT_HOLD, UNDECIDED = "holds", "does not hold", "undecided"


@dataclass(frozen=True)
class Finding:
    """One measured number and what a claim expects of it.

    Attributes
    ----------
    name : str
        What was measured.
    interval : Interval
        Estimate and 95 % interval; NaN where there is none.
    p : float
        Of the null; NaN where there is none.
    n : int
        Independent units (groups, else images) behind it.
    null, side, margin
        As in `Claim`.
    undecided : str or None
        Why it cannot be decided, if it cannot.
    """

    name: str
    interval: Interval
    p: float
    n: int
    null: float
    side: int
    margin: float
    undecided: str | None = None

    @property
    def verdict(self) -> str:
        """`holds`, `does not hold` or `undecided`."""
        ends = (self.interval.estimate, self.interval.low, self.interval.high)
        if self.undecided or any(map(math.isnan, ends)):
            return UNDECIDED
        low, high = sorted((end - self.null) * self.side for end in ends[1:])
        if low > 0 and self.p < SIGNIFICANCE:
            return HOLDS
        if high < 0 or (-self.margin <= low and high <= self.margin):
            return DOES_NOT_HOLD
        return UNDECIDED

    def text(self, unit: str) -> str:
        """Return estimate, interval, null, p, n and the verdict, in a line."""
        found = self.interval
        if math.isnan(found.estimate):
            return f"{effect_text(found.estimate, unit, self.n)}: {self.verdict}"
        ends = range_text(found.low, found.high, ", ")
        return (
            f"{effect_text(found.estimate, unit, self.n)} {f'[{ends}]' if ends else 'without an interval'}, "
            f"null {self.null:g}, p {p_text(self.p)}, n {self.n}: {self.verdict}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers and the verdict."""
        return {
            "effect": self.interval.estimate,
            "ci95": [self.interval.low, self.interval.high],
            "null": self.null,
            "claimed side": "above" if self.side > 0 else "below",
            "margin": self.margin,
            "p": self.p,
            "n": self.n,
            "verdict": self.verdict,
            **({"undecided": self.undecided} if self.undecided else {}),
        }

    @classmethod
    def from_json(cls, name: str, record: Mapping[str, Any]) -> "Finding":
        """Return the finding that `to_json` gave; of the interval, what is recorded."""
        low, high = (_number(end) for end in record["ci95"])
        interval = Interval(_number(record["effect"]), low, high, math.nan, record["n"] - 1)
        side = 1 if record["claimed side"] == "above" else -1
        return cls(
            name, interval, _number(record["p"]), record["n"], record["null"], side, record["margin"],
            record.get("undecided"),
        )  # fmt: skip


def conclusion(findings: Sequence[Finding]) -> str:
    """Return what findings come to together: all must hold, and one that does not is enough against."""
    verdicts = {part.verdict for part in findings}
    if DOES_NOT_HOLD in verdicts:
        return DOES_NOT_HOLD
    return HOLDS if verdicts == {HOLDS} else UNDECIDED


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one memory says of one claim: the claim, its findings, and the same findings under controls.

    Attributes
    ----------
    id : str
        Key of `CLAIMS`.
    memory : str
        Name of the memory.
    findings : tuple of Finding
        All that the claim needs of the memory itself; the first is reported as its effect.
    controls : mapping of str to tuple of Finding
        The same findings under each control that was run.
    definitions : mapping of str to Any
        How it was measured: K, searcher, exclusion, weighting.
    """

    id: str
    memory: str
    findings: tuple[Finding, ...]
    controls: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    definitions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("claim", self.id, CLAIMS)
        if not self.findings:
            raise InputError(f"no finding for claim {self.id!r}; give at least one")

    @property
    def claim(self) -> Claim:
        """What is claimed: text, null, side, margin, and the controls that it needs."""
        return CLAIMS[self.id]

    @property
    def verdict(self) -> str:
        """`holds`, `does not hold` or `undecided`."""
        found = conclusion(self._needed)
        return UNDECIDED if found == HOLDS and self._missing else found

    @property
    def survives(self) -> dict[str, bool]:
        """Whether the findings come to the same under each control."""
        own = conclusion(self.findings)
        return {name: conclusion(parts) == own for name, parts in self.controls.items()}

    @property
    def effect(self) -> float:
        """Estimate of the first finding; NaN where there is none."""
        return self.findings[0].interval.estimate

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % interval of the first finding."""
        return self.findings[0].interval.low, self.findings[0].interval.high

    @property
    def n(self) -> int:
        """Independent units (groups, else images) behind the first finding."""
        return self.findings[0].n

    @property
    def p(self) -> float:
        """The largest p-value of all findings that the claim needs; NaN where one has none."""
        p = [part.p for part in self._needed]
        return math.nan if any(map(math.isnan, p)) else max(p)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the claim is undecided, where a reason is known."""
        reasons = [part.undecided for part in self._needed if part.undecided]
        reasons += [f"the {name} control was not run, and this claim needs it" for name in self._missing]
        return tuple(dict.fromkeys(reasons))

    def under(self, control: str, other: "Verdict") -> "Verdict":
        """Return the verdict with the same claim's findings under a control.

        Parameters
        ----------
        control : str
            Its name.
        other : Verdict
            On the same claim, measured under the control.
        """
        if other.id != self.id:
            raise InputError(f"control {control!r} is of claim {other.id!r}, not of {self.id!r}")
        return replace(self, controls={**self.controls, control: other.findings})

    def to_json(self) -> dict[str, Any]:
        """Return the record of `verdicts.json`: numbers, text, and None for what is not known."""
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
                    "effect": self.findings[0].name,
                    "findings": _by_name(self.findings),
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
        """Return the verdict that `to_json` gave."""
        definitions = dict(record["definitions"])
        first, findings = definitions.pop("effect"), definitions.pop("findings")
        controls = definitions.pop("findings under controls", {})
        definitions.pop("reasons", None)  # the findings say them again

        def in_order(named: Mapping[str, Any]) -> tuple[Finding, ...]:
            names = sorted(named, key=lambda name: (name != first, name))
            return tuple(Finding.from_json(name, named[name]) for name in names)

        return cls(
            id=record["id"],
            memory=record["memory"],
            findings=in_order(findings),
            controls={name: in_order(named) for name, named in controls.items()},
            definitions=definitions,
        )

    @property
    def _missing(self) -> list[str]:
        """Controls that the claim needs and that were not run."""
        return [name for name in self.claim.needs if name not in self.controls]

    @property
    def _needed(self) -> tuple[Finding, ...]:
        """All findings that must hold, those under needed controls included."""
        under = (self.controls.get(name, ()) for name in self.claim.needs)
        return (*self.findings, *(part for parts in under for part in parts))

    def __str__(self) -> str:
        """Return the verdict with every finding, and what it comes to under controls."""
        lines = [f"{self.id} ({self.memory}): {self.verdict}. {self.claim.text}"]
        lines += [f"    {part.name}: {part.text(self.claim.unit)}" for part in self.findings]
        for name, survives in self.survives.items():
            lines.append(f"    under {name}: {'the same' if survives else conclusion(self.controls[name])}")
        return "\n".join([*lines, *(f"    {reason}" for reason in self.reasons)])

    def row(self) -> tuple[str, ...]:
        """Return the cells of a table, under `COLUMNS`."""
        low, high = self.ci95
        lost = ", ".join(name for name, survives in self.survives.items() if not survives)
        return (
            f"{self.id}: {self.claim.text}", self.memory,
            effect_text(self.effect, self.claim.unit, self.n), range_text(low, high),
            f"{self.claim.null:g}", p_text(self.p), str(self.n), self.verdict,
            lost,
        )  # fmt: skip

    def _repr_html_(self) -> str:
        return html_table(COLUMNS, [self.row()], caption="; ".join(self.reasons))


def finding(
    claim: str,
    interval: Interval,
    p: float,
    n: int,
    *,
    name: str | None = None,
    margin: float | None = None,
    undecided: str | None = None,
) -> Finding:
    """Return a finding of an interval, with the claim's own null, side and (unless given) margin."""
    require_choice("claim", claim, CLAIMS)
    rule = CLAIMS[claim]
    return Finding(
        name=name or rule.effect,
        interval=interval,
        p=p,
        n=n,
        null=rule.null,
        side=rule.side,
        margin=rule.margin if margin is None else margin,
        undecided=undecided,
    )


def effect_text(effect: float, unit: str, n: int) -> str:
    """Return an effect with its unit; where there is none, what it could not be measured on.

    >>> effect_text(0.25, "cells", 40), effect_text(math.nan, "cells", 1)
    ('0.250 cells', 'not measurable (n = 1)')
    """
    return f"not measurable (n = {n})" if math.isnan(effect) else f"{effect:.3f} {unit}"


def range_text(low: float, high: float, between: str = " to ") -> str:
    """Return the ends of an interval; nothing where it has none.

    >>> range_text(0.1, 0.4), range_text(math.nan, math.nan)
    ('0.100 to 0.400', '')
    """
    return "" if math.isnan(low) or math.isnan(high) else f"{low:.3f}{between}{high:.3f}"


def p_text(p: float) -> str:
    """Return a p-value as text; what is below .0001 says no more than that, and a missing one is "-".

    >>> p_text(3e-226), p_text(0.0312), p_text(math.nan)
    ('< .0001', '0.031', '-')
    """
    if math.isnan(p):
        return "-"
    return "< .0001" if p < 1e-4 else f"{p:.2g}"


def _by_name(findings: Iterable[Finding]) -> dict[str, Any]:
    return {part.name: part.to_json() for part in findings}


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
