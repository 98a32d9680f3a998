"""Splits: disjoint, complete, by class, by group, and the same for rows in any order."""

import contextlib
import math
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.images import ImageTable, split_table


def table_of(classes, groups=None):
    n = len(classes)
    paths = tuple(f"{name}/{i:03d}.png" for i, name in enumerate(classes))
    groups = tuple(groups) if groups is not None else (None,) * n
    return ImageTable(paths, ("/r",) * n, tuple(classes), (None,) * n, groups, (1,) * n)


def sides(table):
    """Return images of each (class, split)."""
    return Counter(zip(table.classes, table.splits, strict=True))


classes_of_two_or_more = st.lists(st.integers(2, 30), min_size=1, max_size=5).map(
    lambda sizes: [name for name, size in zip("abcde", sizes, strict=False) for _ in range(size)]
)
shares = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32)


@given(classes_of_two_or_more, shares, seeds)
def test_each_class_is_divided_within_one_image(classes, train, seed):
    table = table_of(classes)
    split = split_table(table, train=train, seed=seed)
    assert set(split.splits) == {"train", "test"}
    assert (split.paths, split.classes) == (table.paths, table.classes)
    for name, n in Counter(classes).items():
        n_train = sides(split)[name, "train"]
        assert abs(n_train - train * n) <= 1
        assert 1 <= n_train <= n - 1
        if 1 <= math.floor(train * n + 0.5) <= n - 1 and abs(train * n % 1 - 0.5) > 1e-9:
            assert n_train == round(train * n)


@given(st.data(), classes_of_two_or_more, shares, seeds)
def test_the_order_of_rows_plays_no_part(data, classes, train, seed):
    groups = data.draw(
        st.lists(st.none() | st.sampled_from("uvwxyz"), min_size=len(classes), max_size=len(classes))
    )
    order = data.draw(st.permutations(range(len(classes))))
    table = table_of(classes, [group and group + name for group, name in zip(groups, classes, strict=True)])
    with pytest.warns(HueprobeWarning) if _single_group(table) else contextlib.nullcontext():
        split = split_table(table, train=train, seed=seed)
    with warnings.catch_warnings(action="ignore", category=HueprobeWarning):
        shuffled = split_table(table.select(order), train=train, seed=seed)
    assert shuffled == split.select(order)


@given(st.data(), shares, seeds)
def test_groups_within_classes_stay_whole_and_near_the_share(data, train, seed):
    sizes = data.draw(
        st.dictionaries(
            st.sampled_from("abc"), st.lists(st.integers(1, 12), min_size=2, max_size=9), min_size=1
        )
    )
    rows = [(name, f"{name}{g}") for name, of in sizes.items() for g, n in enumerate(of) for _ in range(n)]
    split = split_table(table_of(*zip(*rows, strict=True)), train=train, seed=seed)
    for group in set(split.groups):
        assert len({s for s, g in zip(split.splits, split.groups, strict=True) if g == group}) == 1
    for name, of in sizes.items():
        n_train = sides(split)[name, "train"]
        assert 0 < n_train < sum(of)
        assert abs(n_train - train * sum(of)) <= max(max(of) / 2, min(of)) + 1e-9


@given(st.data(), shares, seeds)
@settings(max_examples=60)
def test_groups_across_classes_stay_whole(data, train, seed):
    n = data.draw(st.integers(1, 40))
    classes = data.draw(st.lists(st.sampled_from([*"abc", None]), min_size=n, max_size=n))
    groups = data.draw(st.lists(st.sampled_from([*"123456", None]), min_size=n, max_size=n))
    table = table_of(classes, groups)
    with warnings.catch_warnings(action="ignore", category=HueprobeWarning):
        split = split_table(table, train=train, seed=seed)
    assert set(split.splits) <= {"train", "test"}
    for group in set(groups) - {None}:
        assert len({s for s, g in zip(split.splits, groups, strict=True) if g == group}) == 1


def test_half_of_large_classes_with_groups_is_half():
    rng = np.random.default_rng(0)
    subjects = rng.integers(0, 60, 2000)
    classes = rng.choice(list("abc"), 2000)
    split = split_table(table_of(classes.tolist(), [str(s) for s in subjects]), train=0.5, seed=1)
    for name in "abc":
        n_train = sides(split)[name, "train"]
        assert n_train / (classes == name).sum() == pytest.approx(0.5, abs=0.02)


def test_the_seed_decides():
    table = table_of(["a"] * 30)
    assert split_table(table, train=0.5, seed=1) == split_table(table, train=0.5, seed=1)
    assert len({split_table(table, train=0.5, seed=seed).splits for seed in range(5)}) == 5
    # and with groups of differing size, too: the largest is not always on the same side
    grouped = table_of(["a"] * 30, ["big"] * 10 + [str(i) for i in range(20)])
    assert {split_table(grouped, train=0.5, seed=seed).splits[0] for seed in range(20)} == {"train", "test"}


def test_every_image_is_drawn_as_often():
    counts = np.zeros(6)
    for seed in range(600):
        split = split_table(table_of(["a"] * 6), train=1 / 3, seed=seed)
        counts += [name == "train" for name in split.splits]
    assert counts.sum() == 1200
    assert (np.abs(counts - 200) < 5 * np.sqrt(200 * 2 / 3)).all()  # binomial(600, 1/3)


def test_a_class_of_one_goes_to_train():
    with pytest.warns(HueprobeWarning, match=r"both sides of the split: 'b' \(in train\)$") as caught:
        split = split_table(table_of(["a", "a", "b"]), train=0.1, seed=0)
    assert sides(split) == {("a", "train"): 1, ("a", "test"): 1, ("b", "train"): 1}
    assert caught[0].filename == __file__
    with pytest.warns(HueprobeWarning, match=r"without class \(in train\), 'a' \(in train\)$"):
        split_table(table_of(["a", "a", None], ["g", "g", None]), train=0.5, seed=0)


def test_what_must_go_to_train_counts_towards_the_share():
    """Group g holds the only "b" and half of the "a": with it in train, no other "a" is needed there."""
    table = table_of(["a"] * 20 + ["b"], ["g"] * 10 + [None] * 10 + ["g"])
    for seed in range(10):
        with pytest.warns(HueprobeWarning, match=r"'b' \(in train\)$"):
            split = split_table(table, train=0.5, seed=seed)
        assert sides(split) == {("a", "train"): 10, ("a", "test"): 10, ("b", "train"): 1}


def test_groups_that_leave_no_way_are_told():
    # Three classes, three groups, each class in two of the groups: one class must miss a side.
    table = table_of(["a", "a", "b", "b", "c", "c"], ["1", "2", "2", "3", "3", "1"])
    with pytest.warns(HueprobeWarning, match="too few images or groups"):
        split = split_table(table, train=0.5, seed=0)
    assert len(set(split.splits)) == 2


def test_old_splits_are_replaced():
    old = split_table(table_of(["a"] * 9), train=0.5, seed=0)
    assert split_table(old, train=0.5, seed=3) == split_table(table_of(["a"] * 9), train=0.5, seed=3)


@pytest.mark.parametrize("train", [0, 1, -0.1, 1.5, math.nan])
def test_shares_out_of_range(train):
    with pytest.raises(InputError, match=r"train is .*; it must lie between 0 and 1"):
        split_table(table_of(["a", "a"]), train=train, seed=0)


def test_other_bad_input():
    with pytest.raises(InputError, match="seed is -1"):
        split_table(table_of(["a", "a"]), train=0.5, seed=-1)
    with pytest.raises(InputError, match="no images to split"):
        split_table(table_of([]), train=0.5, seed=0)


def _single_group(table):
    """Whether some class has but one unit, by counting distinct groups and single images."""
    units = {}
    for i, (name, group) in enumerate(zip(table.classes, table.groups, strict=True)):
        units.setdefault(name, set()).add(group if group is not None else i)
    return any(len(of) == 1 for of in units.values())
