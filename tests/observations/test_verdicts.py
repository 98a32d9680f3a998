"""The rules of the verdict, case by case, and the claims on results with known effects."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from hueprobe.observations.verdicts.findings import Finding, finding
from hueprobe.observations.verdicts.rules import UNDECIDED, Verdict
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
        (found(0.2, 0.4, p=0.05), "too little data"),  # p < .05, not <=
        (found(-0.01, 0.4), "holds"),  # an exact test decides where the interval is approximate
        (found(-0.01, 0.4, p=0.06), "too little data"),
        (found(-0.4, -0.2), "does not hold"),
        (found(-0.4, -0.2, side=-1), "holds"),
        (found(0.2, 0.4, side=-1), "does not hold"),
        (found(0.02, 0.1), "too small to speak of"),  # clear of the null, and within the margin
        (found(-0.1, -0.02), "too small to speak of"),
        (found(-0.05, 0.1), "too small to speak of"),
        (found(-0.05, 0.11, p=0.4), "too little data"),
        (found(-0.05, 0.1, margin=0.0, p=0.4), "too little data"),
        (found(1.2, 1.4, null=1.0), "holds"),
        (found(0.97, 1.05, null=1.0), "too small to speak of"),
        (found(0.6, 0.9, null=1.0, side=-1), "holds"),
        (found(0.2, 0.4, undecided="too few"), "not measurable"),
        (found(NAN, NAN), "not measurable"),
        (found(0.2, 0.4, p=NAN), "holds"),  # no test of its own: the interval decides
        (found(-0.2, 0.4, p=NAN), "too little data"),
    ],
)
def test_rule(part, verdict):
    assert part.verdict == verdict


@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(0, 0.5), st.sampled_from([-1, 1]), st.floats(0, 1))
def test_the_rule_is_the_same_on_both_sides_and_equivalence_comes_first(middle, half, margin, side, p):
    part = found(middle - half, middle + half, margin=margin, side=side, p=p)
    turned = found(-middle - half, -middle + half, margin=margin, side=-side, p=p)
    assert part.verdict == turned.verdict
    inside = -margin <= part.interval.low and part.interval.high <= margin
    assert (part.verdict == "too small to speak of") == inside
    if part.verdict == "holds":
        assert part.on_claimed_side and part.p < 0.05 and not inside
    assert not inside or part.reaches_margin


def test_the_number_needed_is_that_of_an_interval_as_narrow_as_the_margin():
    """By hand: half-width .04 at 100 units, margin .01: 16 times as many."""
    assert found(-0.03, 0.05, n=100, margin=0.01, p=0.6).needed == 1_600
    assert found(-0.03, 0.05, n=101, margin=0.01, p=0.6).needed == 1_700  # two digits, rounded up
    assert found(-0.03, 0.05, n=100, margin=0.0, p=0.6).needed == 1_600  # the estimate is .01 off the null
    assert found(NAN, NAN, n=100).needed is None and found(-1, 1, n=0).needed is None
    # of samples of that size, the interval is as narrow as the margin
    rng = np.random.default_rng(0)
    few = rng.normal(size=50)
    half = 1.96 * few.std(ddof=1) / np.sqrt(50)
    needed = found(-half, half, n=50, margin=0.1).needed
    widths = [1.96 * rng.normal(size=needed).std(ddof=1) / np.sqrt(needed) for _ in range(200)]
    assert np.mean(widths) == pytest.approx(0.1, rel=0.2)


def test_claims_of_several_findings_need_them_all_and_show_the_one_that_decides():
    good, weaker = found(0.2, 0.4, name="good", p=1e-5), found(0.1, 0.5, name="weaker", p=0.01)
    bad, small = found(-0.4, -0.2, name="bad"), found(-0.01, 0.05, name="small")
    open_, behind = found(-0.2, 0.5, p=0.4, name="open"), found(-0.5, 0.2, p=0.9, name="behind")
    gone = found(NAN, NAN, name="gone", p=NAN)
    for parts, verdict, decides in (
        ([good, weaker], "holds", "weaker"),  # the weakest link
        ([good, replace(weaker, p=1e-9)], "holds", "good"),
        ([good, open_], "too little data", "open"),
        ([open_, behind], "too little data", "open"),
        ([good, behind], "parts disagree", "behind"),
        ([good, gone, behind], "not measurable", "gone"),
        ([good, small, gone], "too small to speak of", "small"),
        ([good, open_, small, bad], "does not hold", "bad"),
    ):
        result = judge("4a stay", parts)
        assert (result.verdict, result.deciding.name) == (verdict, decides)
        shown = result.deciding
        np.testing.assert_equal(
            [result.effect, *result.ci95, result.p, result.n],
            [shown.interval.estimate, shown.interval.low, shown.interval.high, shown.p, shown.n],
        )
        record = result.to_json()
        assert record["definitions"]["effect"] == decides and record["definitions"]["main"] == parts[0].name
        records = record["definitions"]["findings"]
        assert [one["verdict"] for one in records.values()] == [part.verdict for part in parts]
        assert (result.needed is not None) == (verdict == "too little data")
    with pytest.raises(InputError, match="no finding"):
        judge("4a stay", [])
    with pytest.raises(InputError, match="4a stay, 4b spread"):
        judge("4 stay", [good])


def test_controls_are_survived_where_the_findings_come_to_the_same():
    holds, open_ = judge("4a stay", [found(0.2, 0.4)]), judge("4a stay", [found(-0.5, 0.5, p=0.9)])
    both = holds.under("a", open_).under("b", holds)
    assert both.survives == {"a": False, "b": True}
    assert both.controls_text() == "survives 1 of 2; not under a" and holds.controls_text() == ""
    assert open_.under("a", open_).survives == {"a": True}
    assert holds.under("a", open_).verdict == "holds"
    with pytest.raises(InputError, match="'4b spread'"):
        holds.under("a", judge("4b spread", [found(0, 1)]))


def test_an_angle_is_not_run_before_the_flips_and_nothing_else_is_undecided_for_them():
    good, gone = found(0.2, 0.4), found(-0.02, 0.03, p=0.4)
    holds, without = judge("3b angle", [good]), judge("3b angle", [gone])
    assert holds.verdict == "not run" and holds.verdict in UNDECIDED
    assert holds.reasons == ("`hueprobe intervene` decides this claim, and was not run",)
    assert without.verdict == "too small to speak of" and without.reasons == ()
    assert judge("3b angle", [good], decided=True).verdict == "holds"
    # under a control, the findings alone are compared
    assert holds.under("mirror-queries", holds).survives == {"mirror-queries": True}
    assert holds.under("mirror-queries", without).survives == {"mirror-queries": False}


def test_a_sign_that_depends_on_the_base_rate_is_not_identified():
    same, less = found(0.1, 0.3, name="same"), found(0.02, 0.2, name="less")
    turned = found(-0.4, -0.3, name="less, by another")
    holds = judge("4c tangential", [same, less])
    assert holds.verdict == "holds" and holds.over_choices is None
    agreed = holds.under("uniform base rate", judge("4c tangential", [found(0.3, 0.5), found(0.3, 0.5)]))
    assert agreed.verdict == "holds" and agreed.over_choices == pytest.approx((0.2, 0.4))
    split = agreed.under("isotropic base rate", judge("4c tangential", [same, turned]))
    assert split.verdict == "not identified" and split.deciding is less
    assert split.over_choices == pytest.approx((-0.35, 0.4))
    assert split.reasons == ("the sign depends on the base rate: -0.350 to 0.400 log ratio over all of them",)
    # no sign is clear on the other side, and a control of another kind is no choice
    unclear = judge("4c tangential", [same, found(-0.4, 0.1, p=0.4)])
    assert holds.under("isotropic base rate", unclear).verdict == "holds"
    assert holds.under("random-mirror", judge("4c tangential", [same, turned])).verdict == "holds"
    assert verdicts_from_json(verdicts_json([split]))[0].verdict == "not identified"


def test_a_verdict_says_itself():
    holds = judge("4a stay", [found(0.2, 0.4, p=1e-9)])
    open_ = judge("4a stay", [found(-0.5, 0.6, p=0.6)])
    assert str(holds.under("random-mirror", open_)).splitlines() == [
        "4a stay (m): holds. A match lands near its query pixel.",
        "    x: 0.300 share [0.200, 0.400], null 0, p < 0.0001, n 9: holds",
        "    under random-mirror: too little data",
    ]
    assert str(open_).splitlines()[1:] == [
        "    x: 0.050 share [-0.500, 0.600], null 0, p 0.6, n 9: too little data, about 280 needed",
    ]


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
    assert first["definitions"]["k"] == 10 and first["null"] == 1.0 and first["verdict"] == "not measurable"
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
    assert (again[0].effect, again[0].verdict) == (verdicts[0].effect, "not measurable")
    assert [part.name for part in again[0].findings] == ["z", "a"]  # the main one first
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


def test_class_positions_that_differ_call_for_the_flips(simulate_matches):
    where = measure_locations(simulate_matches(np.random.default_rng(0), np.arange(20) % 2))
    there, gone = (0.1, 0.3, 0.01), (-0.02, 0.03, 0.4)

    def angle(test):
        return replace(where, blocked=test).claims(memory="m", definitions={"k": 3})[1]

    lean = angle(blocked(gone, there))  # one idle component says nothing against positions in the plane
    assert lean.verdict == "not run" and lean.n == 80 and len(lean.findings) == 1
    record = lean.to_json()["definitions"]
    assert record["k"] == 3 and record["blocks"] == 4
    assert record["components"]["u"]["verdict"] == "too small to speak of"
    assert record["components"]["v"]["verdict"] == "holds"
    few = angle(blocked(there, there, undecided="2 classes need 11 blocks"))
    assert few.verdict == "not measurable" and few.reasons[0] == "2 classes need 11 blocks"


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
    assert verdict.verdict == "too small to speak of" and verdict.effect == 0  # equal within .01


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
    assert [verdict.verdict for verdict in verdicts] == ["holds", "not measurable", "not measurable"]
    assert math.isnan(verdicts[1].effect)


def hue_result(advantage, far_minus_near, within_cell, within=(0.3,)):
    one = interval(0.5, 0.4, 0.6)
    plane = PlaneAccuracy("pca", one, one, interval(0.3, 0.2, 0.4), 0.005, advantage, 0.2, advantage)
    accuracy = HueAccuracy(50, 10, 0.1, (plane,), np.array([0.2]), np.array(within), one, one, one)
    information = AxisInformation(np.arange(2.0), (one, one), far_minus_near, within_cell)
    names = {f: None for f in Hue.__dataclass_fields__}
    return Hue(
        **{**names, "axis": "uniform", "signed": False, "accuracy": accuracy, "information": information}
    )


def test_hue_needs_a_telling_angle_and_a_silent_axis():
    up, down = interval(0.2, 0.1, 0.3), interval(-0.2, -0.3, -0.1)
    good = hue_result(up, up, up).claims()[0]
    assert good.verdict == "holds" and good.n == 50 and good.definitions["plane"] == "pca"
    assert good.survives == {"within each cell": True}
    unclear = interval(0.02, -0.1, 0.14)
    assert hue_result(unclear, up, up).claims()[0].verdict == "too little data"
    assert hue_result(down, up, up).claims()[0].verdict == "does not hold"
    three = hue_result(up, up, up, within=()).claims()[0]
    assert three.verdict == "not measurable" and "fewer than four classes" in three.reasons[0]
    opposite = hue_result(up, down, up).claims()[0]
    assert opposite.verdict == "does not hold" and opposite.effect == pytest.approx(-0.2)  # what decides
    assert opposite.survives == {"within each cell": False}
