"""Do the tests keep their level, and do they see what is there: rejection rates on data of known truth.

    python -m benchmarks.null_calibration                     simulated data, about half an hour on one core
    python -m benchmarks.null_calibration --quick             the same on few data sets
    python -m benchmarks.null_calibration --real MEMORY       classes dealt at random on a real memory

Simulated data sets have crossed effects of query images and memory images (`benchmarks.simulation`), the
memory's 0, .5, 1 and 2 times the queries'. The two obvious tests stand beside the right ones, and fail: the
Rayleigh test takes matches for independent, and permuting labels over query images forgets that the memory
images keep their effects.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

import hueprobe
from benchmarks.simulation import Design, Truth, draw
from hueprobe.matches import Matches
from hueprobe.observations.conditional.conditional import measure as measure_conditional
from hueprobe.observations.energy import measure as measure_energy
from hueprobe.observations.hue.hue import axis_information
from hueprobe.observations.locations.blocks import block_labels, default_blocks, search_blocks
from hueprobe.observations.locations.maps import measure as measure_locations
from hueprobe.observations.locations.positions import image_positions, naive_rayleigh
from hueprobe.observations.verdicts.claims import SYMMETRY_NULL
from hueprobe.observations.verdicts.selftest import (
    NOMINAL,
    RejectionRate,
    Test,
    blocked_p_values,
    blocked_tests,
    contrast_p_values,
    match_tests,
    rejection_rate,
    relabeled,
    self_test,
)
from hueprobe.progress import progress_bar
from hueprobe.stats.paired import compare_paired

RESULT = Path(__file__).parent / "results" / "null_calibration.json"
RATIOS = (0.0, 0.5, 1.0, 2.0)
WRONG = "wrong: "
# (what is planted among the same-class matches, in which share of them, what that comes to)
PLANTED = (
    ("class position", 0.15, "class positions .32 cells apart"),
    ("stay", 0.03, "stay-put share +.027"),
    ("stay", 0.15, "spread -.18 cells"),
    ("centre", 0.06, "rho -.044"),
    ("around", 0.15, "tangential excess +.074"),
)


def near(design: Design, truth: Truth, seed: int) -> dict[str, float]:
    """Tests that compare classes, where matches lie near the query whatever their class."""
    data = draw(design, truth, seed=seed)
    return {
        **contrast_p_values(data.matches, seed=seed),
        **blocked_p_values(data.of_blocks, seed=seed),
        **axis_p_values(data.matches, seed=seed),
        **wrong_p_values(data.matches, seed=seed),
    }


def flat(design: Design, truth: Truth, seed: int) -> dict[str, float]:
    """Tests against a base rate, where matches lie anywhere."""
    matches = draw(design, truth, seed=seed, blocks=False).matches
    where = measure_locations(matches)
    given = measure_conditional(matches, seed=seed, n_permutations=99)
    return {
        "3a centre, rho of same class": where.rho_same.p(1.0),
        "3c border, rho of other class": where.rho_other.p(1.0),
        "4a stay-put share less chance": given.all.stay_excess.p(),
        "4a mutual information": given.all.information.p,
        "4c tangential excess of same class": given.tangential[0].same.excess.p(),
    }


def confounded(design: Design, truth: Truth, seed: int) -> dict[str, float]:
    """Same against other class, where closer matches stay closer and same-class matches are closer.

    Closeness comes in two kinds, which share a bin of quality: the finer the bins, the less is left of it.
    """
    matches = draw(design, truth, seed=seed, blocks=False).matches
    found = {}
    for n_bins in (10, 20):
        given = measure_conditional(matches, seed=seed, n_permutations=1, n_bins=n_bins)
        found[f"4 stay-put share, adjusted in {n_bins} bins"] = given.stay.adjusted.p()
        found[f"4b spread, adjusted in {n_bins} bins"] = given.spread.adjusted.p()
    found[f"{WRONG}4 stay-put share, quality ignored"] = given.stay.raw.p()
    found[f"{WRONG}4b spread, quality ignored"] = given.spread.raw.p()
    return found


def others(_design: Design, _truth: Truth, seed: int) -> dict[str, float]:
    """Tests on maps and on answers: energy, symmetry, paired accuracy."""
    return {**energy_p_values(seed), **paired_p_values(seed)}


def wrong_p_values(matches: Matches, *, seed: int, n_permutations: int = 199) -> dict[str, float]:
    """Return p-values of the two obvious tests of classes having positions of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rayleigh = naive_rayleigh(matches)[0]
    label, position = image_positions(matches)
    generator = np.random.default_rng(seed)
    order = generator.random((n_permutations, len(label))).argsort(1)
    labels = np.concatenate([label[None], label[order]])
    member = labels[:, :, None] == np.arange(len(matches.classes))
    sums = np.einsum("pic,id->pcd", member.astype(float), position - position.mean(0))
    between = ((sums**2).sum(2) / np.maximum(member.sum(1), 1)).sum(1)
    p = (1 + (between[1:] >= between[0] - 1e-12).sum()) / (1 + n_permutations)
    return {f"{WRONG}Rayleigh on one class's matches": rayleigh, f"{WRONG}permuted query labels": float(p)}


def axis_p_values(matches: Matches, *, seed: int) -> dict[str, float]:
    """Return the p-value of the axis being as informative near as far, distances drawn by image."""
    generator = np.random.default_rng(seed)
    shape = (len(matches.query_paths), *matches.query_grid.shape)
    distance = generator.normal(size=(shape[0], 1, 1)) + generator.normal(size=shape)
    return {"5 axis, far less near": axis_information(matches, distance).far_minus_near.p()}


def energy_p_values(seed: int, *, n_images: int = 60) -> dict[str, float]:
    """Return p-values at the true rho and the true symmetric share of simulated energy maps."""
    generator = np.random.default_rng(seed)
    grid = Design().grid
    y, x = grid.rows_and_columns()
    u, _ = grid.centered(y, x)
    ring = grid.radius(y, x) ** 2
    even, odd = ring - ring.mean(), u / np.linalg.norm(u)
    even = even / np.linalg.norm(even)
    pattern = 3 * (np.sqrt(SYMMETRY_NULL) * even + np.sqrt(1 - SYMMETRY_NULL) * odd)

    def maps(mean: np.ndarray) -> np.ndarray:
        rolled = generator.lognormal(0, 0.5, (n_images, *grid.shape))
        spots = np.exp(-ring / 3)
        for noise in rolled:  # each image has a bright spot anywhere, wrapping around the edges
            noise += 3 * np.roll(spots, generator.integers(0, grid.shape), (0, 1))
        rolled /= rolled.mean((1, 2), keepdims=True)
        return np.maximum(rolled + mean, 0)

    flat_maps, patterned = maps(np.zeros(grid.shape)), maps(pattern + 3)
    return {
        "1a centre, rho": measure_energy(flat_maps, grid).rho.p(1.0),
        "1b symmetry, share": measure_energy(patterned, grid).symmetry.p(SYMMETRY_NULL),
    }


def paired_p_values(seed: int, *, n_groups: int = 20, per_group: int = 20) -> dict[str, float]:
    """Return p-values of two equally good classifiers whose mistakes come by the group."""
    generator = np.random.default_rng(seed)
    n = n_groups * per_group
    better = 1 / (1 + np.exp(-np.repeat(generator.normal(0, 1.5, n_groups), per_group)))
    differ, agreed, wins = generator.random(n) < 0.3, generator.random(n) < 0.6, generator.random(n) < better
    first, second = np.where(differ, wins, agreed), np.where(differ, ~wins, agreed)
    groups = [f"group {i // per_group}" for i in range(n)]
    grouped = compare_paired(first, second, groups=groups)
    return {
        "2 pixel, sign-flip on groups": grouped.p,
        "2 pixel, interval over groups": grouped.difference.p(),
        f"{WRONG}McNemar, groups ignored": compare_paired(first, second).p,
    }


Run = Callable[[Design, Truth, int], dict[str, float]]


def settings() -> list[tuple[str, str, Run, Truth]]:
    """Return (kind, name, tests, truth) of every setting, `level` first and then `power`."""
    level: list[tuple[str, str, Run, Truth]] = []
    for pull, run, ratios in (("near", near, RATIOS), ("flat", flat, (0.0, 1.0, 2.0))):
        level += [("level", f"{pull}, memory/query {r:g}", run, Truth(ratio=r, pull=pull)) for r in ratios]
    level.append(("level", "confounded, memory/query 1", confounded, Truth(pull="confounded")))
    level.append(("level", "maps and answers", others, Truth()))
    power = [
        ("power", effect, near, Truth(planted=planted, share=share)) for planted, share, effect in PLANTED
    ]
    return level + power


def simulate(n_level: int, n_power: int, *, seed: int = 0) -> list[dict]:
    """Run every setting and return a record for each rejection rate."""
    design, records = Design(), []
    for number, (kind, name, run, truth) in enumerate(settings()):
        n = n_level if kind == "level" else n_power
        found: dict[str, list[float]] = {}
        with progress_bar(n, label=name, unit="data sets", enabled=True) as advance:
            for data_set in range(n):
                p_values = run(design, truth, seed + 1_000_000 * number + data_set)
                for test, p in p_values.items():
                    found.setdefault(test, []).append(p)
                advance(1)
        rates = [rejection_rate(test, values) for test, values in found.items()]
        records += [_record(kind, name, rate) for rate in rates]
    return records


def on_real_matches(path: Path, n_draws: int, *, k: int, seed: int = 0) -> list[dict]:
    """Run the pseudo-class null on a memory's own images, leave-one-out and block by block."""
    memory = hueprobe.open_memory(path)
    image_class, groups = memory.image_class, memory.images.groups
    blocks = block_labels(
        memory.sha256, image_class, n_blocks=default_blocks(len(memory.classes)), groups=groups
    )

    def among(rows: np.ndarray | None) -> Matches:
        return (
            hueprobe.KernelDensityClassifier(memory, k=k, exclude="group", images=rows)
            .leave_one_out()
            .matches
        )

    whole = among(None)

    def wrong(dealt: np.ndarray, draw_seed: int) -> dict[str, float]:
        return wrong_p_values(relabeled(whole, dealt), seed=draw_seed)

    runs: tuple[tuple[Test, np.ndarray | None], ...] = (
        (match_tests(whole), None),
        (wrong, None),
        (blocked_tests(search_blocks(blocks, among)), blocks),
    )
    records = []
    for test, strata in runs:
        rates = self_test(
            image_class, test, n_draws=n_draws, seed=seed, strata=strata, groups=groups, progress=True
        )
        records += [_record("pseudo-classes", path.name, rate) for rate in rates]
    return records


def _record(kind: str, setting: str, rate: RejectionRate) -> dict:
    known = rate.rate if rate.n else None
    return {"kind": kind, "setting": setting, **asdict(rate), "rate": known, "ci95": list(rate.ci95)}


def markdown(records: list[dict]) -> str:
    """Return a table of rates for each kind: tests down, settings across."""
    lines = []
    for kind in dict.fromkeys(record["kind"] for record in records):
        rows = [record for record in records if record["kind"] == kind]
        columns = list(dict.fromkeys(record["setting"] for record in rows))
        cells = {(record["test"], record["setting"]): _cell(record) for record in rows}
        lines += [f"### {kind}", "", f"| test | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for test in sorted({test for test, _ in cells}, key=lambda test: (test.startswith(WRONG), test)):
            lines.append(f"| {test} | {' | '.join(cells.get((test, c), '') for c in columns)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(record: dict) -> str:
    if record["rate"] is None:
        return "undecided"
    low, high = record["ci95"]
    return f"{record['rate']:.3f} ({low:.3f}-{high:.3f}, n {record['n']})"


def main() -> None:
    """Run what the command line asks for, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-sets", type=int, default=1000, help="of each null setting")
    parser.add_argument("--power-data-sets", type=int, default=300, help="of each planted effect")
    parser.add_argument("--quick", action="store_true", help="20 and 10 data sets; writes nothing")
    parser.add_argument("--real", type=Path, metavar="MEMORY", help="deal classes at random on this memory")
    parser.add_argument("--draws", type=int, default=200, help="deals of classes with --real")
    parser.add_argument("--k", type=int, default=10, help="neighbors with --real")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, help="JSON file (default: benchmarks/results/...)")
    arguments = parser.parse_args()
    started = time.perf_counter()
    if arguments.real:
        records = on_real_matches(arguments.real, arguments.draws, k=arguments.k, seed=arguments.seed)
    elif arguments.quick:
        records = simulate(20, 10, seed=arguments.seed)
    else:
        records = simulate(arguments.data_sets, arguments.power_data_sets, seed=arguments.seed)
    print(markdown(records))
    output = arguments.output or (None if arguments.quick or arguments.real else RESULT)
    if output:
        document = {"level": NOMINAL, "seconds": round(time.perf_counter() - started), "rates": records}
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(document, sort_keys=True, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
