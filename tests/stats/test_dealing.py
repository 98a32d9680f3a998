"""Dealing images to parts: against a slow reading of the rule, and as it was recorded before."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueprobe.errors import InputError, ShapeError
from hueprobe.images import draw_folds, draw_shots, split_table
from hueprobe.images.table import ImageTable
from hueprobe.observations.locations import block_labels
from hueprobe.stats.dealing import Unit, deal, deal_units, units_of

HANDS = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1), min_size=1, max_size=12
)


def units_with(hands):
    return [Unit([i] * sum(hand.values()), Counter(hand)) for i, hand in enumerate(hands)]


def squared_error(held, wanted, weights):
    return sum((Fraction(held[c]) - Fraction(wanted[c])) ** 2 / weights[c] for c in "abc")


@given(HANDS, st.integers(2, 4))
def test_each_unit_goes_where_the_squared_error_grows_least(hands, n_parts):
    units = units_with(hands)
    weights = {c: 1 + sum(hand.get(c, 0) for hand in hands) for c in "abc"}
    wanted = Counter({c: Fraction(weights[c] - 1, n_parts) for c in "abc"})
    parts = deal_units(units, range(len(units)), wanted=[{}] * n_parts, weights=weights)
    held = [Counter() for _ in range(n_parts)]
    for unit, part in zip(units, parts, strict=True):
        growth = [
            squared_error(own + unit.counts, wanted, weights) - squared_error(own, wanted, weights)
            for own in held
        ]
        assert float(growth[part]) <= float(min(growth)) + 1e-9
        held[part].update(unit.counts)


@given(HANDS, st.floats(0.05, 0.95))
def test_a_share_is_taken_while_that_brings_it_nearer(hands, share):
    units = units_with(hands)
    sizes = Counter()
    for unit in units:
        sizes.update(unit.counts)
    wanted = {c: share * n for c, n in sizes.items()}
    parts = deal_units(units, range(len(units)), wanted=[wanted, None])
    held = Counter()
    for unit, part in zip(units, parts, strict=True):
        before = sum((held[c] - wanted[c]) ** 2 for c in sizes)
        after = sum((held[c] + unit.counts[c] - wanted[c]) ** 2 for c in sizes)
        assert (after <= before + 1e-9) if part == 0 else (after >= before - 1e-9)
        if part == 0:
            held.update(unit.counts)


def test_ties_by_hand():
    """Four units of one image: to the emptier part, of equals to the first; a share wins over the rest."""
    units = units_with([{"a": 1}, {"b": 1}, {"a": 1}, {"b": 1}])
    # a: both parts are empty; b: part 1 holds fewer images; then each class goes where the other one is not.
    assert deal_units(units, range(4), wanted=[{}, {}]) == [0, 1, 1, 0]
    # Half of one image: 1/2 too few and 1/2 too many are equally far.
    assert deal_units(units[:1], [0], wanted=[{"a": 0.5}, None]) == [0]
    assert deal_units(units[:1], [0], wanted=[{"a": 0.4}, None]) == [1]
    assert deal_units(units[:1], [0], wanted=[{"a": 0.4}, None], first={0}) == [0]


def test_units():
    units = units_of("abab", ["x", None, "x", None], [3, 2, 1, 0])
    assert units == [Unit([3], Counter("b")), Unit([2, 0], Counter("aa")), Unit([1], Counter("b"))]
    assert [unit.rows for unit in units_of("ab", None, [1, 0])] == [[1], [0]]


def test_what_cannot_be_dealt():
    with pytest.raises(InputError, match="n_parts is 1; it must be at least 2"):
        deal(np.arange(2), np.zeros(2, int), n_parts=1)
    with pytest.raises(ShapeError, match="3 classes for 2 images"):
        deal(np.arange(2), np.zeros(3, int), n_parts=2)
    with pytest.raises(ShapeError, match="1 groups for 2 images"):
        deal(np.arange(2), np.zeros(2, int), n_parts=2, groups=["a"])


# --- Splits, folds and blocks recorded in results are the same for ever -----------------------------------

TABLE = ImageTable(
    paths=tuple(f"{i:02d}.png" for i in range(24)),
    roots=("/r",) * 24,
    classes=(*"aaaaaaaaaabbbbbbbbcccc", None, None),
    splits=(None,) * 24,
    groups=tuple("x" if i % 7 == 0 else f"g{i // 3}" if i % 2 else None for i in range(24)),
    sizes=(1,) * 24,
)

# By the code of 0.1: seed, split in half and by a third ("n" for train, "t" for test), folds, two shots.
RECORDED = (
    (
        0,
        "ntnntntntntntnntntnttnnt",
        "ttnntnttttttnnttntntttnt",
        "134232411323121434234124",
        "ttntntttttnnttttttnttntt",
    ),
    (
        1,
        "tntnnntttntntntnnntnntnt",
        "tntntntttntntttnnnttntnt",
        "121424314313431242243123",
        "tntttttnttttttttnnttnntt",
    ),
    (
        2,
        "ntnttttnnntntnnntnttnnnt",
        "ttntttttnntnnnttttttntnt",
        "132414313222141343423124",
        "ttttttnnttttttntnttnnttt",
    ),
    (
        3,
        "tnnntnttntnttntnnnntnttn",
        "tttntnttntnttnttntttnttn",
        "143212413444211323342123",
        "nttnttttttttnnttttntnttt",
    ),
)
BLOCKS = [0, 2, 2, 1, 3, 1, 3, 0, 1, 2, 0, 2, 2, 1, 0, 3, 1, 3, 1, 2, 3, 0, -1, -1]


def said(table):
    return "".join("." if split is None else split[-1] for split in table.splits)


@pytest.mark.parametrize(("seed", "half", "third", "folds", "shots"), RECORDED)
def test_as_hueprobe_0_1_dealt(seed, half, third, folds, shots):
    assert said(split_table(TABLE, train=0.5, seed=seed)) == half
    assert said(split_table(TABLE, train=1 / 3, seed=seed)) == third
    assert said(draw_folds(TABLE, folds=4, seed=seed)) == folds
    alone = replace(TABLE, groups=(None,) * 24)
    assert said(draw_shots(alone, shots=2, seed=seed)) == shots


def test_blocks_as_hueprobe_0_1_dealt():
    labels = np.array([-1 if name is None else "abc".index(name) for name in TABLE.classes])
    assert block_labels(TABLE.paths, labels, n_blocks=4, groups=TABLE.groups).tolist() == BLOCKS
