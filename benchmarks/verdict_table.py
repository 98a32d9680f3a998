"""Tables of verdicts, from the records of `hueprobe observe all` and `hueprobe intervene`.

    python -m benchmarks.verdict_table
    python -m benchmarks.verdict_table --again MEMORIES [--network NAME ...]

Records are the verdicts.json of each memory, kept as `benchmarks/results/observations-<set>-<network>.json`.
Their findings are judged by the rules as they stand. Claim 3b is that of `benchmarks/results/
interventions.json` where it was measured. `--again` measures claims 4 and 5 anew on the memories
<set>-<network>.memory below MEMORIES, and enters them into the records; controls of claim 4 stay as they
were.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.markdown import markdown
from hueprobe.json_documents import json_text
from hueprobe.observations.verdicts.claims import CLAIMS
from hueprobe.observations.verdicts.documents import verdicts_from_json
from hueprobe.observations.verdicts.findings import HOLDS, SIGNIFICANCE, TOO_LITTLE
from hueprobe.observations.verdicts.rules import NOT_IDENTIFIED, VERDICTS, Verdict
from hueprobe.stats.intervals import Interval
from hueprobe.stats.meta_analysis import random_effects
from hueprobe.stats.multiplicity import benjamini_hochberg, holm

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


@cache
def verdicts_of(folder: str, network: str) -> dict[str, Verdict]:
    """Return the verdicts on a set and network by claim; empty if there is no record."""
    file = RESULTS / f"observations-{folder}-{network}.json"
    if not file.is_file():
        return {}
    found = {verdict.id: verdict for verdict in verdicts_from_json(file.read_text("utf-8"))}
    interventions = RESULTS / "interventions.json"
    runs = json.loads(interventions.read_text("utf-8"))["runs"] if interventions.is_file() else []
    for run in runs:
        if (run["set"], run["network"], run["variant"]) == (folder, network, ""):
            (flipped,) = verdicts_from_json(json_text({"verdicts": run["verdicts"]}))
            found["3b angle"] = flipped
    return {claim: found[claim] for claim in CLAIMS if claim in found}


def shown(verdict: Verdict) -> str:
    """Return effect, interval and verdict in one line, with what else belongs to the verdict.

    Parameters
    ----------
    verdict : Verdict
        The verdict.
    """
    low, high = verdict.ci95
    text = "" if math.isnan(verdict.effect) else f"{verdict.effect:.2f} "
    text += "" if math.isnan(low) else f"[{low:.2f}, {high:.2f}] "
    text += verdict.verdict
    lost = [name for name, survives in verdict.survives.items() if not survives and "base rate" not in name]
    if verdict.verdict == HOLDS and lost:
        text += f" (not under {', '.join(lost)})"
    if verdict.verdict == NOT_IDENTIFIED and verdict.over_choices:
        least, most = verdict.over_choices
        text += f" ({least:.2f} to {most:.2f} over base rates)"
    if verdict.verdict == TOO_LITTLE and verdict.needed:
        text += f" (needs about {verdict.needed:,})"
    return text.replace("-0.00", "0.00")


def table(folder: str) -> str:
    """Return a set's verdicts as a Markdown table, a column for each network."""
    columns = {name: verdicts_of(folder, network) for network, name in NETWORKS.items()}
    columns = {name: found for name, found in columns.items() if found}
    rows = [
        [claim, f"{rule.null:g}", *(shown(of[claim]) if claim in of else "-" for of in columns.values())]
        for claim, rule in CLAIMS.items()
    ]
    return markdown((SETS[folder], "null", *columns), rows).replace("---:", "---")


def every() -> Iterator[Verdict]:
    """Yield all verdicts of the tables."""
    for folder in SETS:
        for network in NETWORKS:
            yield from verdicts_of(folder, network).values()


def counts() -> str:
    """Return how many verdicts there are of each kind, and what corrections for so many tests leave."""
    verdicts = list(every())
    kinds = Counter(verdict.verdict for verdict in verdicts)
    told = ", ".join(f"{kinds[kind]} {kind}" for kind in VERDICTS if kinds[kind])
    p = np.array([verdict.p for verdict in verdicts])
    holds = np.array([verdict.verdict == HOLDS for verdict in verdicts])
    kept = {
        name: int((holds & (corrected(p) < SIGNIFICANCE)).sum())
        for name, corrected in (("Holm", holm), ("Benjamini and Hochberg", benjamini_hochberg))
    }
    left = " and ".join(f"{n} by {name}'s" for name, n in kept.items())
    return (
        f"Of {len(verdicts)} verdicts: {told}. Corrected for testing all of them, of the {holds.sum()} that "
        f"hold {left} procedure do."
    )


def by_set(claim: str) -> str:
    """Return on how many networks a claim has which verdict, set by set.

    Parameters
    ----------
    claim : str
        Key of `CLAIMS`.
    """
    parts = []
    for folder, title in SETS.items():
        found = Counter(
            of[claim].verdict for network in NETWORKS if claim in (of := verdicts_of(folder, network))
        )
        kinds = [f"{kind} with {found[kind]}" for kind in VERDICTS if found[kind]]
        parts.append(f"{title.partition(',')[0].partition(' by')[0]}: {', '.join(kinds) or 'not measured'}")
    return "; ".join(parts)


def claims_in_words() -> str:
    """Return a list of the claims, each with its verdicts set by set, of as many networks as there are."""
    return "\n".join(f"- **{claim}.** {rule.text} *{by_set(claim)}.*" for claim, rule in CLAIMS.items())


def summary() -> str:
    """Return one mean effect per claim over the sets, by random effects, as a Markdown table.

    Networks on one set see the same images. So a set's effect is the mean over networks of the claim's main
    finding, with the mean of their standard errors, as if networks added no information.
    """
    rows = []
    for claim, rule in CLAIMS.items():
        effects, errors = [], []
        for folder in SETS:
            parts = [verdicts_of(folder, network).get(claim) for network in NETWORKS]
            found = [part.findings[0].interval for part in parts if part is not None]
            found = [one for one in found if math.isfinite(one.high - one.low)]
            if found:
                effects.append(float(np.mean([one.estimate for one in found])))
                errors.append(float(np.mean([(one.high - one.low) / 2 / 1.96 for one in found])))
        mean = random_effects(effects, errors)
        rows.append(
            [
                claim, rule.effect, f"{rule.null:g}", *_cells(mean, effects), str(len(effects)),
            ]
        )  # fmt: skip
    header = ("claim", "main finding", "null", "mean over sets [95 %]", "least and greatest set", "sets")
    return markdown(header, rows).replace("---:", "---")


def _cells(mean: Interval, effects: list[float]) -> tuple[str, str]:
    if not effects:
        return "", ""
    ends = f"{min(effects):.3f}, {max(effects):.3f}"
    if math.isnan(mean.estimate):
        return "", ends
    return f"{mean.estimate:.3f} [{mean.low:.3f}, {mean.high:.3f}]", ends


def measure_again(memories: Path, networks: Sequence[str]) -> None:
    """Measure claims 4 and 5 on each memory and enter them into its record."""
    from benchmarks.accuracy import NETWORKS as OPTIONS
    from benchmarks.accuracy import SHARED
    from hueprobe import observe, open_memory
    from hueprobe.studies import ObserveSettings

    for folder in SETS:
        for network in networks:
            file = RESULTS / f"observations-{folder}-{network}.json"
            (path,) = memories.glob(f"**/{folder}-{network}.memory")
            weights = None
            if "weights" in OPTIONS[network]:
                weights = SHARED / "weights" / f"{OPTIONS[network]['weights']}.fp16.safetensors"
            settings = ObserveSettings(weights=weights)
            report = observe(open_memory(path), ["conditional", "hue"], settings=settings)
            document = json.loads(file.read_text("utf-8"))
            before = {one.id: one for one in verdicts_from_json(json_text(document))}
            after = {}
            for verdict in report.verdicts:
                known = before[verdict.id].controls if verdict.id != "5 hue" else {}
                controls = {**known, **verdict.controls}
                name = before[verdict.id].memory
                after[verdict.id] = replace(verdict, memory=name, controls=controls).to_json()
            document["verdicts"] = [after.get(one["id"], one) for one in document["verdicts"]]
            document["hue"] = {
                name: [one.estimate, one.low, one.high]
                for observation, name, one in report.memories[0].numbers()
                if observation == "hue"
            }
            file.write_text(json_text(document, indent=2) + "\n", "utf-8")
            print(folder, network, *(shown(verdict) for verdict in report.verdicts), sep="; ", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--again", type=Path, metavar="MEMORIES")
    parser.add_argument("--network", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    arguments = parser.parse_args()
    if arguments.again is not None:
        measure_again(arguments.again, arguments.network)
        verdicts_of.cache_clear()
    for folder in SETS:
        print(table(folder), end="\n\n")
    print(counts(), summary(), sep="\n\n")


if __name__ == "__main__":
    main()
