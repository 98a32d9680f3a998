"""The tables of README.md, from the results files.

python -m benchmarks.readme            writes them between their marks
python -m benchmarks.readme --check    says whether they are current, exit code 1 if not
"""

import argparse
import json
import re
import sys
from pathlib import Path

from benchmarks.markdown import markdown
from benchmarks.tables import RESULTS
from benchmarks.verdict_table import NETWORKS, shown, verdicts_of

README = Path(__file__).parents[1] / "README.md"
SET = "caltech101_20x40"
SHOWN = ("efficientnet_lite0", "resnet50")  # two networks fit the width of the page
SPEED = ("search_networks-amd-epyc-avx2.json", "search_networks-amd-epyc-avx512-vnni.json")  # two cores each
_WORDS = {
    "1a centre": "energy gathers at the center",
    "1b symmetry": "energy is symmetric about it",
    "2 pixel": "pixels classify better than pooled vectors",
    "3a centre": "same-class matches gather at the center",
    "3b angle": "each class has an angle of its own",
    "3c border": "other-class matches scatter at the border",
    "4a stay": "a match lands near its query pixel",
    "4b spread": "same-class matches spread less",
    "4c tangential": "and more tangentially than radially",
    "5 hue": "the angle across the axis tells the class",
}


def verdicts() -> str:
    """Return one row per claim, one column per network."""
    columns = {NETWORKS[network]: verdicts_of(SET, network) for network in SHOWN}
    rows = [
        [
            f"{claim.split()[0]}: {words}",
            *(shown(found[claim]).partition(" (")[0] for found in columns.values()),
        ]
        for claim, words in _WORDS.items()
    ]
    return markdown(("claim", *columns), rows).replace("---:", "---")


def speed() -> str:
    """Return exact search by network, against FAISS Flat, on each processor."""
    header, shown = ["exact search, x FAISS Flat"], {network: [""] for network in NETWORKS}
    for file in SPEED:
        results = json.loads((RESULTS / file).read_text("utf-8"))
        machine = results["machine"]
        widest = "AVX-512" if any("avx512" in flag for flag in machine["flags"]) else "AVX2"
        header += [f"{widest}, one image", f"{widest}, 980 queries"]
        for row in results["rows"]:
            if row["searcher"] == "hueprobe exact" and row["queries"] <= 980 and row["network"] in shown:
                vectors = f"{row['n_vectors']:,} vectors of {row['channels']:,}"
                shown[row["network"]][0] = f"{NETWORKS[row['network']]}, {vectors}"
                middle, least, greatest = row["times_flat"]
                shown[row["network"]].append(f"{middle:.1f} [{least:.1f}, {greatest:.1f}]")
    return markdown(tuple(header), list(shown.values()))


TABLES = {"verdicts": verdicts, "speed": speed}


def updated(text: str) -> str:
    """Return README's text with its tables made anew."""
    for name, table in TABLES.items():
        mark = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- end -->)", re.DOTALL)
        if len(mark.findall(text)) != 1:
            raise SystemExit(f"README.md has no marks for the table {name!r}")
        made = table()
        text = mark.sub(lambda found, made=made: f"{found[1]}\n{made}\n\n{found[2]}", text)  # type: ignore[misc]
    return text


def main() -> None:
    """Write the tables, or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    before = README.read_text("utf-8")
    after = updated(before)
    if check:
        sys.exit(0 if after == before else "README.md's tables are not those of benchmarks/results")
    README.write_text(after, "utf-8")


if __name__ == "__main__":
    main()
