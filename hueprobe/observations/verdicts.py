"""The rules of the verdict; they stand here and nowhere else.

A *finding* is one measured number with its interval, its p-value and what the claim expects of it:

- *holds*: the interval is clear of the null on the claimed side, and p < .05;
- *does not hold*: the interval is clear of the null on the other side, or lies inside the claim's margin
  around the null;
- *undecided*: anything else, and wherever a number is missing.

A claim may need several findings: it holds if all hold, does not hold if one does not, and is undecided else.
Its p-value is then the largest. A claim *survives* a control if its verdict is the same under it.
`hueprobe.observations.claim_table` states the claims, their nulls and their margins;
`hueprobe.observations.claims` says which results speak for which claim.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hueprobe.errors import InputError, require_choice
from hueprobe.observations.claim_table import CLAIMS
from hueprobe.observations.intervals import Interval

LEVEL = 0.05
HOLDS, DOES_NOT_HOLD, UNDECIDED = "holds", "does not hold", "undecided"


@dataclass(frozen=True)
class Finding:
    """One measured number and what a claim expects of it.

    Attributes
    ----------
    name : str
        What was measured.
    effect, low, high : float
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
    effect: float
    low: float
    high: float
    p: float
    n: int
    null: float
    side: int
    margin: float
    undecided: str | None = None

    @property
    def verdict(self) -> str:
        """`holds`, `does not hold` or `undecided`."""
        if self.undecided or any(math.isnan(value) for value in (self.effect, self.low, self.high)):
            return UNDECIDED
        low, high = sorted(((self.low - self.null) * self.side, (self.high - self.null) * self.side))
        if low > 0 and self.p < LEVEL:
            return HOLDS
        if high < 0 or (-self.margin <= low and high <= self.margin):
            return DOES_NOT_HOLD
        return UNDECIDED

    def record(self) -> dict[str, Any]:
        """Return the numbers and the verdict."""
        return {
            "effect": self.effect,
            "ci95": [self.low, self.high],
            "null": self.null,
            "claimed side": "above" if self.side > 0 else "below",
            "margin": self.margin,
            "p": self.p,
            "n": self.n,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Verdict:
    """What one memory says of one claim.

    Attributes
    ----------
    id, claim, memory : str
        Key of `CLAIMS`; its text; name of the memory.
    effect : float
        Of the claim's first finding; NaN where there is none.
    unit : str
        Of the effect.
    ci95 : (float, float)
        Its 95 % interval.
    null : float
        What it is compared with.
    p : float
        The largest p-value of all findings.
    n : int
        Independent units (groups, else images) behind the effect.
    definitions : dict of str to Any
        What was measured and how, every finding, and why the claim is undecided where a reason is known.
    controls : dict of str to bool
        Whether the verdict survives each control that was run.
    verdict : str
        `holds`, `does not hold` or `undecided`.
    """

    id: str
    claim: str
    memory: str
    effect: float
    unit: str
    ci95: tuple[float, float]
    null: float
    p: float
    n: int
    definitions: dict[str, Any]
    controls: dict[str, bool]
    verdict: str

    def with_controls(self, controls: Mapping[str, "Verdict"]) -> "Verdict":
        """Return the verdict with whether it survives further controls.

        Parameters
        ----------
        controls : mapping of str to Verdict
            The same claim's verdict under each control.
        """
        for name, other in controls.items():
            if other.id != self.id:
                raise InputError(f"control {name!r} is of claim {other.id!r}, not of {self.id!r}")
        survived = {name: other.verdict == self.verdict for name, other in controls.items()}
        return replace(self, controls={**self.controls, **survived})

    def to_json(self) -> dict[str, Any]:
        """Return the record of `verdicts.json`: numbers, text, and None for what is not known."""
        record: dict[str, Any] = _without_nan(asdict(self))
        if None in record["ci95"]:
            record["ci95"] = None
        return record


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
        effect=interval.estimate,
        low=interval.low,
        high=interval.high,
        p=p,
        n=n,
        null=rule.null,
        side=rule.side,
        margin=rule.margin if margin is None else margin,
        undecided=undecided,
    )


def judge(
    claim: str,
    findings: Sequence[Finding],
    *,
    memory: str,
    definitions: Mapping[str, Any] | None = None,
    missing: str | None = None,
) -> Verdict:
    """Apply the rules to a claim.

    Parameters
    ----------
    claim : str
        A key of `CLAIMS`.
    findings : sequence of Finding
        All that the claim needs; the first is reported as its effect.
    memory : str
        Name of the memory.
    definitions : mapping of str to Any, optional
        How it was measured: K, searcher, exclusion, weighting.
    missing : str, optional
        What the claim needs and was not measured; then it cannot hold.
    """
    require_choice("claim", claim, CLAIMS)
    if not findings:
        raise InputError(f"no finding for claim {claim!r}; give at least one")
    rule, first = CLAIMS[claim], findings[0]
    verdicts = [part.verdict for part in findings]
    if DOES_NOT_HOLD in verdicts:
        verdict = DOES_NOT_HOLD
    else:
        verdict = HOLDS if set(verdicts) == {HOLDS} and not missing else UNDECIDED
    p = [part.p for part in findings]
    parts = {part.name: part.record() for part in findings}
    reasons = [part.undecided for part in findings if part.undecided] + ([missing] if missing else [])
    return Verdict(
        id=claim,
        claim=rule.text,
        memory=memory,
        effect=first.effect,
        unit=rule.unit,
        ci95=(first.low, first.high),
        null=rule.null,
        p=math.nan if any(map(math.isnan, p)) else max(p),
        n=first.n,
        definitions={
            **(definitions or {}),
            "effect": first.name,
            "findings": parts,
            **({"reasons": reasons} if reasons else {}),
        },
        controls={},
        verdict=verdict,
    )


def verdicts_json(verdicts: Iterable[Verdict]) -> str:
    """Return the text of `verdicts.json`: sorted keys, null and never NaN."""
    document = {"verdicts": [verdict.to_json() for verdict in verdicts]}
    return json.dumps(document, sort_keys=True, allow_nan=False, indent=2) + "\n"


def _without_nan(value: Any) -> Any:
    """Plain Python values, None for NaN and infinities."""
    if isinstance(value, Mapping):
        return {str(key): _without_nan(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(part) for part in value]
    if hasattr(value, "tolist"):
        return _without_nan(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
