"""A finding: one measured number, and what it says of a claim by the one rule there is.

The rule takes the number's 95 % interval and its p-value, in this order:

- *not measurable*: a number is missing;
- *too small to speak of*: the interval lies within the claim's margin around the null. This is the test of
  equivalence by two one-sided tests [1]_, each at 2.5 %, and comes first: what lies within the margin does
  not hold, however small its p-value;
- *holds*: the estimate lies on the claimed side of the null, and p < 0.05. The p-value is the interval's own,
  or of a test that is exact where the interval is approximate (McNemar, permutations);
- *does not hold*: the interval lies on the other side of the null;
- *too little data*: anything else. `Finding.needed` says how much data would do.

References
----------
.. [1] D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for
   assessing the equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics
   15, 1987.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hueprobe.errors import require_choice
from hueprobe.observations.verdicts.claims import CLAIMS
from hueprobe.stats.intervals import Interval

SIGNIFICANCE = 0.05
HOLDS, TOO_SMALL, DOES_NOT_HOLD = "holds", "too small to speak of", "does not hold"
TOO_LITTLE, NOT_MEASURABLE = "too little data", "not measurable"


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
        p-value of the null; NaN where there is none.
    n : int
        Number of independent units (groups, otherwise images).
    null, side, margin
        Null, claimed side and margin as in `Claim`.
    undecided : str, optional
        Reason why the number could not be measured; None if it could.

    Examples
    --------
    >>> found = hp.stats.Interval(0.8, 0.7, 0.9, standard_error=0.05, degrees=50)
    >>> finding = hp.observations.verdicts.Finding(
    ...     "rho", found, p=found.p(1.0), n=51, null=1.0, side=-1, margin=0.05
    ... )
    >>> finding.verdict
    'holds'
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
        """`holds`, `too small to speak of`, `does not hold`, `too little data` or `not measurable`."""
        ends = (self.interval.estimate, self.interval.low, self.interval.high)
        if self.undecided or any(map(math.isnan, ends)):
            return NOT_MEASURABLE
        low, high = sorted((end - self.null) * self.side for end in ends[1:])
        if -self.margin <= low and high <= self.margin:
            return TOO_SMALL
        clear = low > 0 if math.isnan(self.p) else self.p < SIGNIFICANCE
        if clear and self.on_claimed_side:
            return HOLDS
        return DOES_NOT_HOLD if high < 0 else TOO_LITTLE

    @property
    def reaches_margin(self) -> bool:
        """Whether the interval is narrow enough to lie within the margin, wherever it lies."""
        return (self.interval.high - self.interval.low) / 2 <= self.margin

    @property
    def needed(self) -> int | None:
        """Number of units whose interval would be as narrow as the margin, to two digits; None if unknown.

        The width of an interval is taken to shrink with the root of the number of units. Without a margin,
        the interval would be clear of the null, if the estimate stays.
        """
        half = (self.interval.high - self.interval.low) / 2
        reach = self.margin or abs(self._ahead)
        if self.undecided or not (0 < half < math.inf and reach > 0 and self.n > 0):
            return None
        return _two_digits(self.n * (half / reach) ** 2)

    @property
    def on_claimed_side(self) -> bool:
        """Whether the estimate lies on the claimed side of the null."""
        return self._ahead > 0

    @property
    def _ahead(self) -> float:
        """How far the estimate lies from the null, positive on the claimed side."""
        return (self.interval.estimate - self.null) * self.side

    def text(self, unit: str) -> str:
        """Return estimate, interval, null, p, n and the verdict in one line.

        Examples
        --------
        >>> found = hp.stats.Interval(0.8, 0.7, 0.9, standard_error=0.05, degrees=50)
        >>> finding = hp.observations.verdicts.Finding(
        ...     "rho", found, p=0.0002, n=51, null=1.0, side=-1, margin=0.05
        ... )
        >>> finding.text("ratio")
        '0.800 ratio [0.700, 0.900], null 1, p 0.0002, n 51: holds'
        """
        found = self.interval
        if math.isnan(found.estimate):
            return f"{effect_text(found.estimate, unit, self.n)}: {self.verdict}"
        ends = range_text(found.low, found.high, ", ")
        needed = f", about {self.needed:,} needed" if self.verdict == TOO_LITTLE and self.needed else ""
        return (
            f"{effect_text(found.estimate, unit, self.n)} {f'[{ends}]' if ends else 'without an interval'}, "
            f"null {self.null:g}, p {p_text(self.p)}, n {self.n}: {self.verdict}{needed}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers and the verdict as a JSON record.

        Returns
        -------
        dict
            Effect, interval, null, claimed side, margin, p, n, the n needed, and verdict.

        Examples
        --------
        >>> verdict = hp.observations.locations.measure(matches).claims()[0]
        >>> record = verdict.findings[0].to_json()
        >>> record["null"], record["claimed side"]
        (1.0, 'below')
        """
        return {
            "effect": self.interval.estimate,
            "ci95": [self.interval.low, self.interval.high],
            "null": self.null,
            "claimed side": "above" if self.side > 0 else "below",
            "margin": self.margin,
            "p": self.p,
            "n": self.n,
            "needed": self.needed,
            "verdict": self.verdict,
            **({"undecided": self.undecided} if self.undecided else {}),
        }

    @classmethod
    def from_json(cls, name: str, record: Mapping[str, Any]) -> "Finding":
        """Return the finding recorded by `to_json`; the interval has what is recorded.

        Parameters
        ----------
        name : str
            What was measured.
        record : mapping of str to Any
            Record from `to_json`.

        Returns
        -------
        Finding
            The finding.

        Examples
        --------
        >>> finding = hp.observations.locations.measure(matches).claims()[0].findings[0]
        >>> again = hp.observations.verdicts.Finding.from_json(finding.name, finding.to_json())
        >>> again.verdict == finding.verdict
        True
        """
        low, high = (_number(end) for end in record["ci95"])
        interval = Interval(_number(record["effect"]), low, high, math.nan, record["n"] - 1)
        side = 1 if record["claimed side"] == "above" else -1
        return cls(
            name, interval, _number(record["p"]), record["n"], record["null"], side, record["margin"],
            record.get("undecided"),
        )  # fmt: skip


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
    """Return the finding of an interval, with the claim's own null, side and (unless given) margin."""
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
    """Return an effect with its unit; if there is none, the number of units that it could not be measured on.

    >>> effect_text(0.25, "cells", 40), effect_text(math.nan, "cells", 1)
    ('0.250 cells', 'not measurable (n = 1)')
    """
    return f"not measurable (n = {n})" if math.isnan(effect) else f"{effect:.3f} {unit}"


def range_text(low: float, high: float, between: str = " to ") -> str:
    """Return the bounds of an interval; empty if it has none.

    >>> range_text(0.1, 0.4), range_text(math.nan, math.nan)
    ('0.100 to 0.400', '')
    """
    return "" if math.isnan(low) or math.isnan(high) else f"{low:.3f}{between}{high:.3f}"


def p_text(p: float) -> str:
    """Return a p-value as text: "< 0.0001" for smaller values, and "-" for a missing one.

    >>> p_text(3e-226), p_text(0.0312), p_text(math.nan)
    ('< 0.0001', '0.031', '-')
    """
    if math.isnan(p):
        return "-"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _two_digits(value: float) -> int:
    """Return a number rounded up to two digits.

    >>> _two_digits(1234.5), _two_digits(98.2)
    (1300, 99)
    """
    unit: int = 10 ** max(len(str(math.ceil(value))) - 2, 0)
    return math.ceil(value / unit) * unit


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
