"""Tables of `benchmarks.interventions`."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown import markdown

SETS = {
    "caltech101_20x40": "Caltech 101, 20 x 40",
    "caltech101_40": "Caltech 101, classes with 40",
    "dtd_10x40": "DTD, 10 x 40",
    "dtd_10x120": "DTD, 10 x 120",
    "utkface_sex_2x300": "UTKFace by sex, 2 x 300",
}


def interventions_tables(results: Mapping[str, Any]) -> str:
    """Return what runs, plants, levels and powers came to, as far as they were measured."""
    parts = []
    if results["runs"]:
        parts += _runs(results["runs"])
    if results["plants"]:
        parts += _plants(results["plants"])
    if results["level"]:
        parts += _levels(results["level"])
    if results["power"]:
        parts += _power(results["power"], results["runs"])
    return "\n\n".join(parts) or "This has not been measured yet."


def _runs(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    parts = [
        "Distance between classes in cells [95 %], matches weighted by energy; o is locked to the content, n "
        "to the network. The share is that of n in the squared distance."
    ]
    rows = []
    for run in runs:
        found = run["estimators"]["energy"]
        axes = found["axes"]
        rows.append(
            [
                _name(run), _distance(found["as_is"]["effect"]), _distance(found["content"]["effect"]),
                _distance(found["content"]["u"], p=True), _distance(found["content"]["v"], p=True),
                "" if axes is None else f"{axes['major']['estimate']:.2f}, {axes['minor']['estimate']:.2f}",
                _distance(found["network"]["effect"]), _number(found["network_share"]["estimate"]),
                run["verdict"],
            ]
        )  # fmt: skip
    header: tuple[str, ...] = (
        "network, set", "as is", "o", "o: u", "o: v", "axes of o", "n", "n's share", "verdict"
    )  # fmt: skip
    parts.append(markdown(header, rows))
    parts += ["In words:", "\n".join(f"- {_name(run)}: **{run['verdict']}.** {run['text']}" for run in runs)]
    rows = [
        [
            _name(run), *(_distance(found[part]["effect"]) for part in ("as_is", *_PARTS)),
            _slopes(run, "plain"),
            _interval(found["response"]["content_in_cells_of_content"]),
        ]
        for run in runs
        for found in [run["estimators"]["plain"]]
    ]  # fmt: skip
    header = ("network, set", "as is", "o", "n", "slope u, v", "o in cells of content")
    parts += ["The same with all matches weighted equally:", markdown(header, rows)]
    rows = [
        [
            _name(run), _slopes(run, "energy"),
            _interval(run["estimators"]["energy"]["response"]["content_in_cells_of_content"]),
            *(_interval(run["mirror_alone"]["energy"][part]) for part in _PARTS),
            *(_number(run["estimators"]["energy"][part]["detectable"], 3) for part in _PARTS),
        ]
        for run in runs
    ]  # fmt: skip
    header = (
        "network, set", "slope u, v", "o in cells of content", "mirror alone: o, u", "mirror alone: n, u",
        "o found in 80 %", "n found in 80 %",
    )  # fmt: skip
    parts.append(
        "*Slope*: cells that a class position moves for each cell that the content moves. The mirror alone "
        "is natural for objects, and separates u only. The last columns are the distances found in 80 % of "
        "cases."
    )
    parts.append(markdown(header, rows))
    rows = [
        [
            _name(run),
            *(_interval(one) for one in run["decoders"]["r2"]),
            *(_interval(one) for zone in run["decoders"]["content_followed"].values() for one in zone),
        ]
        for run in runs
    ]
    zones = [f"{axis}, {zone}" for zone in ("inner cells", "border") for axis in "uv"]
    parts.append(
        "Position decoders: R² of u and v from one vector on images held out, and the share of a motion of "
        "the content that the decoded position follows (1: it reads the content; 0: the position)."
    )
    parts.append(markdown(("network, set", "R², u", "R², v", *zones), rows))
    return parts


_PARTS = ("content", "network")


def _plants(plants: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for run in plants:
        response = run["estimators"]["energy"]["response"]
        for dose in response["doses"]:
            rows.append(
                [
                    _name(run), f"{dose['pixels']:g}", f"{dose['cells']:.2f}", _interval(dose["moved"]),
                    *(_interval(dose[part]) for part in ("as_is", "content", "network")),
                ]
            )  # fmt: skip
    header = ("network, set", "pixels", "cells", "class positions moved by", "as is", "o", "n")
    told = "Every image of a class moved by the same distance, each class at its own angle:"
    rows_of_slopes = [
        [_name(run), _slopes(run, "energy"), _slopes(run, "energy", "network_slope"), _slopes(run, "plain")]
        for run in plants
    ]
    slopes = ("network, set", "slope of o: u, v", "slope of n: u, v", "slope of o, all matches equal")
    return [told, markdown(header, rows), markdown(slopes, rows_of_slopes)]


def _levels(levels: Sequence[Mapping[str, Any]]) -> list[str]:
    tests = list(dict.fromkeys(rate["test"] for one in levels for rate in one["rates"]))
    by_case = [{rate["test"]: rate for rate in one["rates"]} for one in levels]
    rows = [[test, *(_rate(rates.get(test)) for rates in by_case)] for test in tests]
    told = (
        "Real matches, classes assigned to images at random, every time with deals of its own: share of "
        f"rejections at 5 % [95 %], {levels[0]['draws']} assignments of {levels[0]['deals']} deals."
    )
    return [told, markdown(("test", *map(_name, levels)), rows)]


def _power(power: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> list[str]:
    plain = [run for run in runs if not run["variant"]]
    sds = {_name(run): run["estimators"]["energy"]["content"]["image_sd"] for run in plain}
    rows = [
        [
            row["design"], *(_number(row[key]) for key in ("at_80", "formula", "both_axes_at_80")),
            *(_number(None if row["at_80"] is None else row["at_80"] * sd) for sd in sds.values()),
        ]
        for row in power["rows"]
    ]  # fmt: skip
    header = (
        "design", "found in 80 %", "by the formula", "both axes found in 80 %",
        *(f"{name}: cells" for name in sds),
    )  # fmt: skip
    told = (
        "Smallest distance between classes at equal angles that is found in 80 % of cases, in standard "
        f"deviations of one image's position ({power['draws']} simulated sets each), and in cells by the "
        "noise of each run."
    )
    return [told, markdown(header, rows)]


def _name(run: Mapping[str, Any]) -> str:
    return ", ".join(
        part for part in (run["network"], SETS.get(run["set"], run["set"]), run["variant"]) if part
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _interval(found: Mapping[str, Any]) -> str:
    if found["estimate"] is None:
        return ""
    low, high = found["ci95"]
    return f"{found['estimate']:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")


def _distance(found: Mapping[str, Any], *, p: bool = False) -> str:
    """Return a distance, or its upper end where none is found, with p."""
    if found["estimate"] is None:
        return ""
    chance = "" if found.get("p") is None else f"p {found['p']:.4f}"
    if found.get("p") is not None and found["p"] >= 0.05:
        return f"none, at most {max(found['ci95'][1], 0):.3f}, {chance}"
    return f"{found['estimate']:.3f}, {chance}" if p else f"{_interval(found)}, {chance}"


def _slopes(run: Mapping[str, Any], estimator: str, which: str = "slope") -> str:
    response = run["estimators"][estimator]["response"]
    return "" if response is None else "; ".join(_interval(one) for one in response[which])


def _rate(found: Mapping[str, Any] | None) -> str:
    if found is None or found["rate"] is None:
        return ""
    return f"{found['rate']:.3f} [{found['ci95'][0]:.3f}, {found['ci95'][1]:.3f}]"
