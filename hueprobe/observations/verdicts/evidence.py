"""Conversion of intervals to findings and verdicts; each result's `claims` selects its intervals."""

import math
from collections.abc import Mapping
from typing import Any

from hueprobe.observations.verdicts.claims import CLAIMS
from hueprobe.observations.verdicts.findings import Finding, finding
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.stats.intervals import Interval

Definitions = Mapping[str, Any]


def own_finding(
    claim: str, interval: Interval, *, name: str | None = None, margin: float | None = None
) -> Finding:
    """Return the finding of an interval that has its own p-value and number of units.

    Parameters
    ----------
    claim : str
        Key of `CLAIMS`, whose null is tested.
    interval : Interval
        Interval of the effect.
    name : str, optional
        What was measured, if not the claim's own effect.
    margin : float, optional
        Margin, if not the claim's own.
    """
    n = int(interval.degrees) + 1 if math.isfinite(interval.degrees) else 0
    return finding(claim, interval, interval.p(CLAIMS[claim].null), n, name=name, margin=margin)


def one_finding(claim: str, interval: Interval, memory: str, definitions: Definitions) -> Verdict:
    """Return the verdict on a claim that needs one finding.

    Parameters
    ----------
    claim : str
        Key of `CLAIMS`.
    interval : Interval
        Interval of the effect.
    memory : str
        Name of the memory.
    definitions : mapping of str to Any
        How the effect was measured, to be recorded with the verdict.
    """
    return Verdict(id=claim, memory=memory, findings=(own_finding(claim, interval),), definitions=definitions)
