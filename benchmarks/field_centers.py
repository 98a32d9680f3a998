"""Where the grids of the table's networks look: measures every field center and writes the table anew.

    python -m benchmarks.field_centers [NAME...] [--write]

With random weights (seed 0), since pretrained weights shift the center but little and not every network's
are at hand; EfficientNet-Lite0 with its own. `hueprobe observe --centre network` measures the very
network of a memory instead. What the table has already is kept, unless named; networks of more than 30
million parameters are left out.
"""

import argparse
from pathlib import Path

from hueprobe.activations import backbone_names, load_backbone
from hueprobe.activations.field_centers import FIELD_CENTERS
from hueprobe.activations.receptive_fields import field_center

TABLE = Path(__file__).parents[1] / "hueprobe" / "activations" / "field_centers.py"
MOST_PARAMETERS = 30_000_000
HEAD = '''"""The place on each network's grid that looks at the image's middle, (y, x) in cells.

Measured with random weights (seed 0; EfficientNet-Lite0 with its own weights) by `python -m
benchmarks.field_centers --write`. Networks with more than 30 million parameters are omitted.
"""

FIELD_CENTERS: dict[str, tuple[float, float]] = {
'''


def main() -> None:
    """Measure and print, or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", action="store_true", help=f"Replace {TABLE.name}.")
    arguments = parser.parse_args()
    rows = dict(FIELD_CENTERS)
    for name in arguments.names or [name for name in backbone_names() if name not in rows]:
        backbone = load_backbone(name, weights="default" if name == "efficientnet_lite0" else "none")
        if sum(part.numel() for part in backbone.module.parameters()) > MOST_PARAMETERS:
            print(f"{name}: left out for its size", flush=True)
            continue
        found = field_center(backbone)
        rows[name] = (round(found.cell[0], 2), round(found.cell[1], 2))
        print(f"{name}: {found}", flush=True)
        if arguments.write:
            lines = [f'    "{name}": {cell},\n' for name, cell in sorted(rows.items())]
            TABLE.write_text(HEAD + "".join(lines) + "}\n")


if __name__ == "__main__":
    main()
