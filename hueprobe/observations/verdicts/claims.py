"""The paper's claims: text, effect, null, claimed side, and margin of negligible effects."""

from dataclasses import dataclass

SYMMETRY_NULL = 0.9  # "symmetric" in claim 1b: at most a tenth of the pattern breaks the symmetry


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and the number that tests it.

    Attributes
    ----------
    text : str
        The claim in words.
    effect : str
        What its first finding measures.
    unit : str
        Unit of the effect.
    null : float
        Value of the effect under the null hypothesis.
    side : int
        +1 if the effect is claimed to lie above the null, -1 if below.
    margin : float
        Distance from the null within which the effect is negligible.
    choice : str, default=""
        Arbitrary choice that the sign of an effect must not depend on: controls with this in their name are
        its other forms.
    decided_by : str, default=""
        What decides the claim if its findings hold; empty if the findings do.

    Examples
    --------
    >>> claim = hp.observations.verdicts.CLAIMS["3a centre"]
    >>> claim.text, claim.null, claim.side
    ('Same-class matches gather near the center.', 1.0, -1)
    """

    text: str
    effect: str
    unit: str
    null: float
    side: int
    margin: float
    choice: str = ""
    decided_by: str = ""


CLAIMS = {
    "1a centre": Claim(
        "Energy is concentrated about the image center.",
        "E_energy[r^2] / E_uniform[r^2] of the mean normalized energy map", "ratio", 1.0, -1, 0.05,
    ),
    "1b symmetry": Claim(
        "Energy is symmetric about the image center.",
        "share of the mean map's variation that all mirror images and quarter turns have in common",
        "share", SYMMETRY_NULL, +1, 0.0,
    ),
    "2 pixel": Claim(
        "Pixel vectors classify better than every pooled or flattened descriptor.",
        "accuracy less that of the descriptor that comes nearest", "accuracy", 0.0, +1, 0.01,
    ),
    "3a centre": Claim(
        "Same-class matches gather near the center.",
        "E_same[r^2] / E_base[r^2] of match locations", "ratio", 1.0, -1, 0.05,
    ),
    "3b angle": Claim(
        "Same-class matches lean to one angle for each class.",
        "distance between class positions in the blocked replicate test", "cells", 0.0, +1, 0.05,
        # positions that differ may be the network's, or lie along one axis; flipping all images tells
        decided_by="`hueprobe intervene`",
    ),
    "3c border": Claim(
        "Matches to other classes scatter about the border.",
        "E_other[r^2] / E_base[r^2] of match locations", "ratio", 1.0, +1, 0.05,
    ),
    "4a stay": Claim(
        "A match lands near its query pixel.",
        "share of matches in the query's own cell less that of independent cells", "share", 0.0, +1, 0.005,
    ),
    "4b spread": Claim(
        "Same-class matches spread less around the query pixel than other-class ones.",
        "RMS displacement, same less other class, at equal query cell and match quality",
        "cells", 0.0, -1, 0.05,
    ),
    "4c tangential": Claim(
        "Same-class matches spread more tangentially than radially.",
        "log(tangential / radial) spread of same-class matches less that of the gravity model, polar form",
        "log ratio", 0.0, +1, 0.02, choice="base rate",
    ),
    "5 hue": Claim(
        "The angle across the uniform axis of activation space tells the class, and the axis does not.",
        "accuracy from the angle in the plane less that which 5 % of random planes of the class means exceed",
        "accuracy", 0.0, +1, 0.01,
    ),
}  # fmt: skip
