"""Tables of the claims and of the controls, from the code that judges by them."""

from pathlib import Path

from benchmarks.markdown import markdown
from generators.pages import write_page
from hueprobe.observations import CONTROLS
from hueprobe.observations.verdicts.claims import CLAIMS


def write(folder: Path) -> None:
    """Write the two tables that pages include."""
    rows = [
        [
            f"`{name}`",
            claim.text,
            f"{claim.effect} ({claim.unit})",
            f"{'above' if claim.side > 0 else 'below'} {claim.null:g}",
            f"{claim.margin:g}",
        ]
        for name, claim in CLAIMS.items()
    ]
    table = markdown(("id", "claim", "measured as", "claimed side of the null", "margin"), rows)
    write_page(folder / "claims-table.inc", table.replace("---:", "---"))
    rows = [[f"`{name}`", text] for name, text in CONTROLS.items()]
    write_page(
        folder / "controls-table.inc", markdown(("control", "what is measured"), rows).replace("---:", "---")
    )
