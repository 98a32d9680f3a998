"""Tables of verdicts, from the records of `hueprobe observe all`.

    python -m benchmarks.verdict_table

Records are the verdicts.json of each memory, kept as `benchmarks/results/observations-<set>-<network>.json`.
"""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
SETS = {
    "caltech101_20x40": "Caltech 101, 20 classes x 40",
    "dtd_10x40": "DTD, 10 classes x 40",
    "utkface_sex_2x300": "UTKFace by sex, 2 x 300",
}
NETWORKS = {
    "efficientnet_lite0": "EfficientNet-Lite0",
    "resnet50": "ResNet-50",
    "mobilenet_v2": "MobileNetV2",
    "squeezenet1_1": "SqueezeNet",
}
CLAIMS = (
    "1a centre", "1b symmetry", "2 pixel", "3a centre", "3b angle", "3c border", "4a stay", "4b spread",
    "4c tangential", "5 hue",
)  # fmt: skip


def cell(verdict: dict) -> str:
    """Return effect, interval, verdict, the controls that it does not survive, how many base rates agree."""
    low, high = verdict["ci95"]
    text = f"{verdict['effect']:.2f} [{low:.2f}, {high:.2f}] {verdict['verdict']}"
    base_rates = {name: survives for name, survives in verdict["controls"].items() if "base rate" in name}
    lost = [name for name in verdict["controls"] if not verdict["controls"][name] and name not in base_rates]
    if verdict["verdict"] == "holds" and lost:
        text += f" (not under {', '.join(lost)})"
    if base_rates:
        text += f" (so by {sum(base_rates.values())} of {len(base_rates)} other base rates)"
    return text


def table(folder: str) -> str:
    """Return a set's verdicts as a Markdown table, a column for each network."""
    columns = {}
    for network, name in NETWORKS.items():
        file = RESULTS / f"observations-{folder}-{network}.json"
        if file.is_file():
            verdicts = json.loads(file.read_text())["verdicts"]
            columns[name] = {verdict["id"]: verdict for verdict in verdicts}
    lines = [f"| {SETS[folder]} | null | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 2)}"]
    for claim in CLAIMS:
        null = next(of[claim]["null"] for of in columns.values() if claim in of)
        cells = [cell(of[claim]) if claim in of else "-" for of in columns.values()]
        lines.append(f"| {claim} | {null:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print one table a set."""
    for folder in SETS:
        print(table(folder), end="\n\n")


if __name__ == "__main__":
    main()
