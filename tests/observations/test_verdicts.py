"""The rules of the verdict, case by case, and the claims on results with known effects."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from hueprobe.errors import InputError
from hueprobe.grid import Grid
from hueprobe.observations.accuracy.grid import accuracy_claim
from hueprobe.observations.conditional.conditional import measure as measure_conditional
from hueprobe.observations.energy import measure as measure_energy
from hueprobe.observations.hue.accuracy import HueAccuracy, PlaneAccuracy
from hueprobe.observations.hue.hue import AxisInformation, Hue
from hueprobe.observations.locations.maps import measure as measure_locations
from hueprobe.observations.locations.replicate_test import BlockedTest, ComponentTest
from hueprobe.observations.verdicts.claims import CLAIMS
from hueprobe.observations.verdicts.documents import verdicts_from_json, verdicts_json
from hueprobe.observations.verdicts.rules import Finding, Verdict, finding
from hueprobe.stats.intervals import Interval
from hueprobe.stats.paired import compare_paired

NAN = float("nan")


def interval(estimate, low, high, degrees=30):
    return Interval(estimate, low, high, (high - low) / 4, degrees)


def found(low, high, *, p=0.001, side=1, null=0.0, margin=0.1, **changes):
    fields = {"name": "x", "n": 9, "undecided": None, **changes}
    middle = interval((low + high) / 2, low, high)
    return Finding(interval=middle, p=p, null=null, side=side, margin=margin, **fields)


def judge(claim, findings, **options):
    return Verdict(id=claim, memory="m", findings=tuple(findings), **options)


@pytest.mark.parametrize(
    ("part", "verdict"),
    [
        (found(0.2, 0.4), "holds"),
        (found(0.2, 0.4, p=0.05), "undecided"),  # p < .05, not <=
        (found(0.0, 0.4), "undecided"),  # touches the null
        (found(-0.4, -0.2), "does not hold"),
        (found(-0.4, -0.2, side=-1), "holds"),
        (found(0.2, 0.4, side=-1), "does not hold"),
        (found(-0.05, 0.1), "does not hold"),  # inside the margin
        (found(-0.05, 0.11), "undecided"),
        (found(-0.05, 0.1, margin=0.0), "undecided"),
        (found(1.2, 1.4, null=1.0), "holds"),
        (found(0.97, 1.05, null=1.0), "does not hold"),
        (found(0.6, 0.9, null=1.0, side=-1), "holds"),
        (found(0.2, 0.4, undecided="too few"), "undecided"),
        (found(NAN, NAN), "undecided"),
        (found(0.2, 0.4, p=NAN), "undecided"),
    ],
)
def test_rule(part, verdict):
    assert part.verdict == verdict


def test_claims_of_several_findings_need_them_all():
    good, bad, open_ = found(0.2, 0.4), found(-0.4, -0.2), found(-0.5, 0.5, p=0.6)
    for parts, verdict in (
        ([good, good], "holds"),
        ([good, open_], "undecided"),
        ([good, open_, bad], "does not hold"),
    ):
        named = [replace(part, name=str(i)) for i, part in enumerate(parts)]
        result = judge("4a stay", named)
        assert result.verdict == verdict
        assert result.p == max(part.p for part in parts)
        assert (result.effect, result.ci95) == (pytest.approx(0.3), (0.2, 0.4))
        records = result.to_json()["definitions"]["findings"]
        assert [part["verdict"] for part in records.values()] == [part.verdict for part in parts]
    with pytest.raises(InputError, match="no finding"):
        judge("4a stay", [])
    with pytest.raises(InputError, match="4a stay, 4b spread"):
        judge("4 stay", [good])


def test_controls_are_survived_where_the_findings_come_to_the_same():
    holds, open_ = judge("4a stay", [found(0.2, 0.4)]), judge("4a stay", [found(-0.5, 0.5)])
    assert holds.under("a", open_).under("b", holds).survives == {"a": False, "b": True}
    assert open_.under("a", open_).survives == {"a": True}
    assert holds.under("a", open_).verdict == "holds"  # not a control that this claim needs
    with pytest.raises(InputError, match="'4b spread'"):
        holds.under("a", judge("4b spread", [found(0, 1)]))


def test_a_needed_control_decides_and_survival_is_of_the_findings_alone():
    good, gone, open_ = found(0.2, 0.4), found(-0.02, 0.03, p=0.4), found(-0.5, 0.5, p=0.6)
    holds, without, undecided = (judge("3b angle", [part]) for part in (good, gone, open_))
    assert holds.verdict == "undecided" and holds.reasons == (
        "the random-mirror control was not run, and this claim needs it",
    )
    assert without.verdict == "does not hold" and holds.p == good.p
    # a control has no random mirror of its own: its findings alone are compared, whatever else is missing
    assert holds.under("mirror-queries", holds).survives == {"mirror-queries": True}
    assert holds.under("mirror-queries", without).survives == {"mirror-queries": False}
    both = holds.under("random-mirror", holds)
    assert both.verdict == "holds" and both.reasons == ()
    leaning = holds.under("random-mirror", without)
    assert leaning.verdict == "does not hold" and leaning.survives == {"random-mirror": False}
    assert leaning.p == 0.4
    assert holds.under("random-mirror", undecided).verdict == "undecided"
    # the order in which controls are run changes nothing
    orders = [("random-mirror", "mirror-queries"), ("mirror-queries", "random-mirror")]
    under = {"random-mirror": undecided, "mirror-queries": holds}
    records = []
    for order in orders:
        verdict = holds
        for name in order:
            verdict = verdict.under(name, under[name])
        records.append(verdict.to_json())
    assert records[0] == records[1]


def test_a_verdict_says_itself():
    holds = judge("3b angle", [found(0.2, 0.4, p=1e-9)])
    assert str(holds.under("random-mirror", judge("3b angle", [found(-0.5, 0.5, p=0.6)]))).splitlines() == [
        "3b angle (m): undecided. Same-class matches lean to one angle for each class.",
        "    x: 0.300 cells [0.200, 0.400], null 0, p < 0.0001, n 9: holds",
        "    under random-mirror: undecided",
    ]
    assert "    the random-mirror control was not run" in str(holds)


def test_ids_are_those_of_the_design():
    assert list(CLAIMS) == [
        "1a centre", "1b symmetry", "2 pixel", "3a centre", "3b angle", "3c border", "4a stay", "4b spread",
        "4c tangential", "5 hue",
    ]  # fmt: skip
    assert all(claim.side in (-1, 1) and claim.margin >= 0 for claim in CLAIMS.values())


def test_json_has_no_nan_and_sorted_keys():
    unknown = finding("3a centre", Interval(NAN, NAN, NAN, NAN, 0), NAN, 0)
    verdict = judge("3a centre", [unknown], definitions={"k": np.int64(10), "x": np.inf})
    text = verdicts_json([verdict, judge("4a stay", [found(0.2, 0.4)])])

    def refuse(constant):
        raise AssertionError(constant)

    document = json.loads(text, parse_constant=refuse)
    assert text == json.dumps(document, sort_keys=True, indent=2) + "\n"
    first, second = document["verdicts"]
    assert set(first) == {
        "id", "claim", "memory", "effect", "unit", "ci95", "null", "p", "n", "definitions", "controls",
        "verdict",
    }  # fmt: skip
    assert first["effect"] is first["ci95"] is first["p"] is first["definitions"]["x"] is None
    assert first["definitions"]["k"] == 10 and first["null"] == 1.0 and first["verdict"] == "undecided"
    assert second["ci95"] == [0.2, 0.4] and second["verdict"] == "holds"


def test_verdicts_come_back_from_json():
    first, second = found(0.2, 0.4, name="z"), found(-0.5, 0.5, p=0.6, name="a", undecided="too few")
    unknown = finding("3a centre", Interval(NAN, NAN, NAN, NAN, 0), NAN, 0)
    verdicts = [
        judge("3b angle", [first, second], definitions={"k": 10}).under("x", judge("3b angle", [second])),
        judge("3a centre", [unknown]),
    ]
    text = verdicts_json(verdicts)
    again = verdicts_from_json(text)
    assert verdicts_json(again) == text
    assert (again[0].effect, again[0].verdict) == (verdicts[0].effect, "undecided")
    assert str(again[0]) == str(verdicts[0]) and math.isnan(again[1].effect)
    with pytest.raises(InputError, match=r"not a verdicts\.json"):
        verdicts_from_json('{"verdicts": [{}]}')


def blocked(u, v, undecided=None):
    def test(low, high, p):
        return ComponentTest(interval((low + high) / 2, low, high), p)

    return BlockedTest(
        classes=("a", "b"), left_out=(), n_blocks=4, n_images=80, n_permutations=99, arrangements=1e4,
        position=np.zeros((2, 2)), both=test(0.1, 0.3, 0.01), u=test(*u), v=test(*v),
        class_p=np.zeros(2), class_p_adjusted=np.zeros(2), undecided=undecided,
    )  # fmt: skip


def test_an_angle_needs_both_components_and_the_random_mirror(simulate_matches):
    where = measure_locations(simulate_matches(np.random.default_rng(0), np.arange(20) % 2))
    there, gone, open_ = (0.1, 0.3, 0.01), (-0.02, 0.03, 0.4), (-0.2, 0.2, 0.4)

    def angle(test, mirrored=None):
        verdict = replace(where, blocked=test).claims(memory="m", definitions={"k": 3})[1]
        if mirrored is None:
            return verdict
        return verdict.under("random-mirror", replace(where, blocked=mirrored).claims(memory="other")[1])

    alone = angle(blocked(there, there))
    assert alone.verdict == "undecided" and "not run" in alone.reasons[0]
    both = angle(blocked(there, there), blocked(there, there))
    assert both.verdict == "holds" and both.survives == {"random-mirror": True} and both.n == 80
    assert both.definitions["k"] == 3 and both.to_json()["definitions"]["blocks"] == 4
    leaning = angle(blocked(there, there), blocked(gone, there))
    assert leaning.verdict == "does not hold" and leaning.survives == {"random-mirror": False}
    assert angle(blocked(there, there), blocked(open_, there)).verdict == "undecided"
    assert angle(blocked(gone, there), blocked(gone, there)).survives == {"random-mirror": True}
    few = angle(blocked(there, there, undecided="2 classes need 11 blocks"), blocked(there, there))
    assert few.verdict == "undecided" and few.reasons[0] == "2 classes need 11 blocks"


def test_center_and_border_follow_rho(simulate_matches):
    rng = np.random.default_rng(1)
    matches = simulate_matches(rng, np.arange(24) % 2, k=3)
    near, far = matches.match_cell % 7 == 3, (matches.x == 0) | (matches.x == 6)
    rows = np.where(matches.same_class, near, far)
    where = measure_locations(matches.select(rows))
    center, border = where.claims(definitions={"k": 3})  # without blocks nothing is said of 3b
    assert center.verdict == border.verdict == "holds"
    assert center.effect == where.rho_same.estimate < 1 < border.effect
    assert center.p == where.rho_same.p(1.0) and center.claim.null == 1.0
    assert center.definitions["k"] == 3 and center.definitions["weighting"] == "count"


def test_energy_claims():
    grid = Grid(7, 7)
    y, x = grid.rows_and_columns()
    maps = np.exp(-(grid.radius(y, x) ** 2) / 4) * np.random.default_rng(2).uniform(0.8, 1.2, (30, 7, 7))
    center, symmetry = measure_energy(maps, grid).claims()
    assert (center.verdict, symmetry.verdict) == ("holds", "holds") and center.n == 30
    center, symmetry = measure_energy(maps + 40 * (x == 0), grid).claims()
    assert (center.verdict, symmetry.verdict) == ("does not hold", "does not hold")


def test_pixel_must_beat_every_rival():
    right = np.arange(200) % 10 < 9
    worse = [np.arange(200) % 10 < n for n in (5, 7)]
    parts = [compare_paired(right, w, names=("pixel", f"d{i}")) for i, w in enumerate(worse)]
    verdict = accuracy_claim(parts, memory="m")
    assert verdict.verdict == "holds" and verdict.effect == pytest.approx(0.2)
    assert verdict.findings[0].name == "accuracy less that of d1"
    assert verdict.definitions["test"] == "mcnemar" and verdict.p == max(part.p for part in parts)
    tied = compare_paired(np.tile(right, 50), np.tile(right, 50), names=("pixel", "gmp"))
    verdict = accuracy_claim([*parts, tied], memory="m")
    assert verdict.verdict == "does not hold" and verdict.effect == 0  # equal within .01


def test_conditional_claims(simulate_matches):
    rng = np.random.default_rng(3)
    matches = simulate_matches(rng, np.arange(110) % 4, k=2, same=0.5, query_sd=0.1, memory_sd=0.1)
    matches = replace(matches, distance=rng.uniform(0.2, 0.8, len(matches)))
    scattered = ~matches.same_class & (rng.random(len(matches)) < 0.4)
    matches = replace(
        matches, x=np.where(scattered, rng.integers(0, 7, len(matches)), matches.x).astype(np.int32)
    )
    stay, spread, tangential = measure_conditional(matches, seed=0, n_permutations=5).claims()
    assert stay.verdict == spread.verdict == "holds" and spread.effect < 0
    assert len(spread.findings) == 2 and stay.definitions["bits"] > 0
    assert len(tangential.findings) == 2 and len(tangential.controls) == 5
    assert next(iter(tangential.controls)) == "gravity base rate, projected form"
    # without labels, the first claim alone can be judged
    bare = replace(matches, image_class=np.full(110, -1), query_image_class=np.full(110, -1), classes=())
    verdicts = measure_conditional(bare, seed=0, n_permutations=5).claims()
    assert [verdict.verdict for verdict in verdicts] == ["holds", "undecided", "undecided"]
    assert math.isnan(verdicts[1].effect)


def hue_result(advantage, p, far_minus_near, within_cell):
    one = interval(0.5, 0.4, 0.6)
    plane = PlaneAccuracy("pca", one, one, advantage, p)
    accuracy = HueAccuracy(50, 10, 0.1, (plane,), np.array([0.2]), one, one)
    information = AxisInformation(np.arange(2.0), (one, one), far_minus_near, within_cell)
    names = {f: None for f in Hue.__dataclass_fields__}
    return Hue(
        **{**names, "axis": "uniform", "signed": False, "accuracy": accuracy, "information": information}
    )


def test_hue_needs_a_telling_angle_and_a_silent_axis():
    up, down = interval(0.2, 0.1, 0.3), interval(-0.2, -0.3, -0.1)
    good = hue_result(up, 0.005, up, up).claims()[0]
    assert good.verdict == "holds" and good.n == 50 and good.definitions["plane"] == "pca"
    assert good.survives == {"within each cell": True}
    assert hue_result(up, 0.2, up, up).claims()[0].verdict == "undecided"
    opposite = hue_result(up, 0.005, down, up).claims()[0]
    assert opposite.verdict == "does not hold" and opposite.survives == {"within each cell": False}
