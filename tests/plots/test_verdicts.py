import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from hueprobe import plots
from hueprobe.errors import InputError
from hueprobe.observations.verdicts.claims import CLAIMS
from hueprobe.observations.verdicts.findings import DOES_NOT_HOLD, HOLDS, TOO_LITTLE, finding
from hueprobe.observations.verdicts.rules import Verdict
from hueprobe.observations.verdicts.selftest import rejection_rate
from hueprobe.stats.intervals import Interval


def verdict(claim, effect, half=0.05, memory="lite0.memory", p=0.001):
    interval = Interval(effect, effect - half, effect + half, half / 2, 20)
    return Verdict(id=claim, memory=memory, findings=(finding(claim, interval, p, 50),))


def marks(ax):
    """Effect -> (row, marker, face)."""
    return {
        float(line.get_xdata()[0]): (
            int(line.get_ydata()[0]), line.get_marker(), to_hex(line.get_markerfacecolor())
        )
        for line in ax.lines
        if line.get_marker() not in ("", "None")
    }  # fmt: skip


def test_effects_stand_against_the_null_and_verdicts_look_different(ax):
    verdicts = [
        verdict("1a centre", 0.7, memory="a"),
        verdict("1a centre", 1.3, memory="b"),
        verdict("1a centre", 0.97, memory="c", p=0.2),
    ]
    assert [v.verdict for v in verdicts] == [HOLDS, DOES_NOT_HOLD, TOO_LITTLE]
    plots.verdict_forest(verdicts, ax=ax)
    drawn = marks(ax)
    assert [drawn[effect][0] for effect in (0.7, 1.3, 0.97)] == [0, 1, 2]
    assert len({drawn[effect][1:] for effect in drawn}) == 3
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert [1.0, 1.0] in [list(line.get_xdata()) for line in ax.lines]
    assert ax.get_xlabel() == "effect (ratio)" and ax.get_title() == "1a centre"


@pytest.mark.parametrize("claim", ["1a centre", "4a stay"])
def test_the_claimed_side_is_shaded(claim, ax):
    rule = CLAIMS[claim]
    plots.verdict_forest([verdict(claim, rule.null + 0.1)], ax=ax)
    shaded = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    ends = sorted([shaded.x0, shaded.x1])
    low, high = ax.get_xlim()
    np.testing.assert_allclose(ends, [rule.null, high] if rule.side > 0 else [low, rule.null])


def test_a_number_that_is_missing_is_said_to_be(ax):
    plots.verdict_forest([verdict("3b angle", math.nan)], ax=ax)
    assert [text.get_text() for text in ax.texts] == ["not measurable (n = 50)"] and not marks(ax)
    unsure = Interval(0.2, math.nan, math.nan, math.nan, 0)
    lone = Verdict(id="3b angle", memory="m", findings=(finding("3b angle", unsure, math.nan, 3),))
    plots.verdict_forest([lone], ax=ax)  # an effect without an interval
    assert 0.2 in marks(ax)


def test_figure_has_a_panel_for_each_claim_and_the_same_rows_in_all():
    verdicts = [
        verdict("1a centre", 0.7, memory="a"),
        verdict("2 pixel", 0.1, memory="b"),
        verdict("5 hue", 0.2, memory="a"),
    ]
    figure = plots.verdict_figure(verdicts)
    panels = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title() for ax in panels] == ["1a centre", "2 pixel", "5 hue"]
    assert {ax.get_ylim() for ax in panels} == {(1.6, -0.6)}
    assert marks(panels[1])[0.1][0] == 1  # memory b has the second row
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [HOLDS]  # those drawn


def test_one_panel_is_for_one_claim():
    with pytest.raises(InputError, match="2 claims"):
        plots.verdict_forest([verdict("1a centre", 0.7), verdict("5 hue", 0.2)])
    with pytest.raises(InputError, match="at least one"):
        plots.verdict_figure([])


def test_rejection_rates_stand_against_the_nominal_level(ax):
    rates = [
        rejection_rate("blocked", [0.5] * 19 + [0.01]),
        rejection_rate("Rayleigh", [0.01] * 8 + [0.5] * 2),
    ]
    plots.rejection_rates(rates, ax=ax)
    assert {effect: mark[0] for effect, mark in marks(ax).items()} == {0.05: 0, 0.8: 1}
    assert tuple(ax.lines[1].get_xdata()) == rates[0].ci95
    assert list(ax.lines[0].get_xdata()) == [0.05, 0.05]
