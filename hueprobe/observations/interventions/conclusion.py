"""What a separation comes to: a verdict with the numbers that decide it, in one sentence."""

from dataclasses import dataclass
from math import ceil, degrees, isfinite, isnan, nan

from hueprobe.observations.interventions.averaged import UNKNOWN
from hueprobe.observations.interventions.separation import Separation
from hueprobe.observations.verdicts.findings import SIGNIFICANCE, Finding, finding, p_text
from hueprobe.stats.intervals import Interval

ANGLE = "content-locked angle"
VECTOR = "content-locked, two classes on one line"
LEANS = {
    "up-down": "content-locked lean up-down",
    "left-right": "content-locked lean left-right",
    "oblique": "content-locked lean oblique",
}
NETWORK = "network only"
NOTHING = "nothing above the margin"
TOO_LITTLE = "too little data"
VERDICTS = (ANGLE, *LEANS.values(), VECTOR, NETWORK, NOTHING, TOO_LITTLE)


@dataclass(frozen=True)
class Conclusion:
    """Verdict on whether classes have positions of their own, and what these are locked to.

    Attributes
    ----------
    verdict : str
        One of `VERDICTS`:

        - *content-locked angle*: content-locked positions differ between classes along two axes.
        - *content-locked lean*: they differ, and no difference is found across the major axis.
        - *content-locked, two classes on one line*: they differ between two classes, which have one
          direction.
        - *network only*: content-locked positions differ by no more than the margin, network-locked ones do
          differ.
        - *nothing above the margin*: neither differs by more than the margin.
        - *too little data*: none is found, and larger differences than the margin are possible.
    text : str
        The verdict in one sentence, with its numbers.
    margin : float
        Distance between classes that is too small to matter, in cells.
    above : float
        Upper end of the 95 % interval of the content-locked distance, in cells; NaN where nothing can be
        tested.
    needed : int or None
        With too little data: images per class that would find a distance of `margin` in 80 % of cases, and
        bring the upper end down to it if there is none. None where that is unknown, and with other verdicts.

    Examples
    --------
    >>> up = [(0, 0.5), (0, -0.5), (0, 0)]
    >>> positions = hp.observations.interventions.simulate(up, [(0, 0)] * 3, n_images=40, seed=0)
    >>> hp.observations.interventions.measure(positions).conclusion.verdict
    'content-locked lean up-down'
    """

    verdict: str
    text: str
    margin: float
    above: float
    needed: int | None = None


def conclude(found: Separation, *, margin: float) -> Conclusion:
    """Return the verdict of a separation.

    Parameters
    ----------
    found : Separation
        Result of one estimator.
    margin : float
        Distance between classes that is too small to matter, in cells.
    """
    content, network = found.content.effect, found.network.effect
    if found.undecided is not None or isnan(content.estimate):
        reason = found.undecided or "The content-locked part could not be measured"
        return Conclusion(TOO_LITTLE, f"{reason}.", margin, float("nan"))
    found_content, found_network = (_found(one.p_value) for one in (content, network))
    beside = (
        f"the network adds {_distance(network)}"
        if found_network
        else f"no network-locked part is found (at most {_at_most(network.high)} cells)"
    )
    if found_content:
        verdict, across = _shape(found)
        text = f"Class positions follow the content: {_distance(content)} apart{across}; {beside}."
        return Conclusion(verdict, text, margin, content.high)
    nothing = f"No content-locked positions are found (at most {_at_most(content.high)} cells)"
    if content.high <= margin and found_network:
        return Conclusion(NETWORK, f"{nothing}; {beside}.", margin, content.high)
    if content.high <= margin and network.high <= margin:
        return Conclusion(NOTHING, f"{nothing}; {beside}.", margin, content.high)
    part, high = ("content", content.high) if content.high > margin else ("network", network.high)
    needed = max(found.needed(part, margin), found.n_per_class * (high / margin) ** 2)
    n = ceil(needed) if isfinite(needed) else None
    images = "" if n is None else f"; to decide on {margin:g} cells takes about {n:,} images per class"
    return Conclusion(TOO_LITTLE, f"{nothing}; {beside}{images}.", margin, content.high, n)


def angle_findings(found: Separation, *, margin: float, n: int) -> tuple[Finding, ...]:
    """Return what claim 3b needs: content-locked positions that differ, and of more than two classes, in 2-D.

    Parameters
    ----------
    found : Separation
        Result of one estimator.
    margin : float
        Distance between classes that is too small to matter, in cells.
    n : int
        Number of images.
    """

    def of(name: str, interval: Interval, undecided: str | None = None) -> Finding:
        p = nan if interval.p_value is None else interval.p_value
        return finding(
            "3b angle", interval, p, n, name=name, margin=margin, undecided=found.undecided or undecided
        )

    apart = of("content-locked distance between classes", found.content.effect)
    if len(found.classes) == 2:  # two classes lie on one line
        return (apart,)
    name = "content-locked distance across the major axis"
    if found.minor is None:
        return apart, of(name, UNKNOWN, "the flips separate one coordinate alone")
    return apart, of(name, found.minor)


def _found(p: float | None) -> bool:
    return p is not None and p < SIGNIFICANCE


def _at_most(high: float) -> str:
    return f"{max(high, 0.0):.3f}"


def _distance(found: Interval) -> str:
    p = p_text(found.p_value if found.p_value is not None else float("nan"))
    return f"{found.estimate:.3f} cells [{found.low:.3f}, {found.high:.3f}], p {p}"


def _shape(found: Separation) -> tuple[str, str]:
    """Return the verdict on positions that follow the content, and what their axes come to."""
    if len(found.classes) == 2:
        return VECTOR, ""
    if found.major is None or found.minor is None:
        kind, axis = ("up-down", "v") if isnan(found.content.u.estimate) else ("left-right", "u")
        return LEANS[kind], f" ({axis} alone: the flips separate no other coordinate)"
    angle = degrees(found.major_angle)
    lengths = f" ({found.major.estimate:.3f} along {angle:+.0f} degrees"
    if _found(found.minor.p_value):
        p = p_text(found.minor.p_value or 0.0)
        return ANGLE, f"{lengths}, {found.minor.estimate:.3f} across, p {p})"
    kind = "up-down" if abs(angle) > 67.5 else "left-right" if abs(angle) < 22.5 else "oblique"
    return LEANS[kind], f"{lengths}, at most {_at_most(found.minor.high)} across)"
