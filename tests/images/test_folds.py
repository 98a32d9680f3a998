"""Shots and folds: disjoint, by class, by group, and the same for rows in any order."""

import contextlib
import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.images import ImageTable, draw_folds, draw_shots, hold_out


def table_of(classes, groups=None):
    n = len(classes)
    paths = tuple(f"{name}/{i:03d}.png" for i, name in enumerate(classes))
    groups = tuple(groups) if groups is not None else (None,) * n
    return ImageTable(paths, ("/r",) * n, tuple(classes), (None,) * n, groups, (1,) * n)


@contextlib.contextmanager
def quiet():
    with warnings.catch_warnings(action="ignore", category=HueprobeWarning):
        yield


tables = st.integers(1, 40).flatmap(
    lambda n: st.builds(
        table_of,
        st.lists(st.sampled_from([*"abc", None]), min_size=n, max_size=n),
        st.lists(st.sampled_from([*"123456789", None, None]), min_size=n, max_size=n),
    )
)
seeds = st.integers(0, 2**32)


@given(tables, st.integers(1, 4), seeds, st.randoms())
def test_shots_are_exact_apart_by_group_and_blind_to_order(table, shots, seed, random):
    sizes = Counter(name for name in table.classes if name)
    if not sizes or min(sizes.values()) < shots:
        with pytest.raises(InputError):
            draw_shots(table, shots=shots, seed=seed)
        return
    with quiet():
        drawn = draw_shots(table, shots=shots, seed=seed)
        order = list(range(len(table)))
        random.shuffle(order)
        assert draw_shots(table.select(order), shots=shots, seed=seed) == drawn.select(order)
    assert Counter(zip(drawn.classes, drawn.splits, strict=True)) >= Counter(
        {(name, "train"): shots for name in sizes}
    )
    assert drawn.splits.count("train") == shots * len(sizes)
    trained = {group for group, split in zip(drawn.groups, drawn.splits, strict=True) if split == "train"} - {
        None
    }
    for group, split in zip(drawn.groups, drawn.splits, strict=True):
        assert not (split == "test" and group in trained)
        assert not (split is None and group not in trained)  # nothing is left out for another reason


def test_every_image_is_drawn_as_often():
    counts = np.zeros(6)
    for seed in range(600):
        drawn = draw_shots(table_of(["a"] * 6), shots=2, seed=seed)
        counts += [split == "train" for split in drawn.splits]
    assert (np.abs(counts - 200) < 5 * np.sqrt(200 * 2 / 3)).all()


def test_a_class_with_nothing_left_to_test_is_told():
    with pytest.warns(HueprobeWarning, match="no image is left to test class 'b'") as caught:
        draw_shots(table_of(["a"] * 3 + ["b"] * 2), shots=2, seed=0)
    assert caught[0].filename == __file__


def test_bad_shots():
    with pytest.raises(InputError, match="class 'b' has 1 images, fewer than 2 shots; choose fewer shots"):
        draw_shots(table_of(["a", "a", "b"]), shots=2, seed=0)
    with pytest.raises(InputError, match="shots is 0"):
        draw_shots(table_of(["a"]), shots=0, seed=0)
    with pytest.raises(InputError, match="seed is -1"):
        draw_shots(table_of(["a"]), shots=1, seed=-1)
    with pytest.raises(InputError, match="have no classes"):
        draw_shots(table_of([None, None]), shots=1, seed=0)
    with pytest.raises(InputError, match="no images to split"):
        draw_shots(table_of([]), shots=1, seed=0)


@given(st.lists(st.sampled_from([*"abc", None]), min_size=2, max_size=60), st.integers(2, 6), seeds)
def test_folds_without_groups_differ_by_one_image_of_a_class(classes, folds, seed):
    if folds > len(classes):
        return
    with quiet():
        dealt = draw_folds(table_of(classes), folds=folds, seed=seed)
    assert set(dealt.splits) <= {f"fold{i}" for i in range(1, folds + 1)}
    counts = Counter(zip(dealt.classes, dealt.splits, strict=True))
    for name in set(classes):
        sizes = [counts[name, f"fold{i}"] for i in range(1, folds + 1)]
        assert max(sizes) - min(sizes) <= 1


@given(tables, st.integers(2, 5), seeds, st.randoms())
def test_folds_keep_groups_whole_and_are_blind_to_order(table, folds, seed, random):
    n_units = len({group for group in table.groups if group}) + table.groups.count(None)
    if folds > n_units:
        with pytest.raises(
            InputError, match=f"folds is {folds}; it must be at least 2 and at most {n_units}"
        ):
            draw_folds(table, folds=folds, seed=seed)
        return
    with quiet():
        dealt = draw_folds(table, folds=folds, seed=seed)
        order = list(range(len(table)))
        random.shuffle(order)
        assert draw_folds(table.select(order), folds=folds, seed=seed) == dealt.select(order)
    for group in set(table.groups) - {None}:
        assert len({s for s, g in zip(dealt.splits, dealt.groups, strict=True) if g == group}) == 1
    for fold in set(dealt.splits):
        held = hold_out(dealt, fold)
        assert {"train", "test"} >= set(held.splits)
        assert [s == "test" for s in held.splits] == [s == fold for s in dealt.splits]


def test_groups_of_many_sizes_are_dealt_evenly():
    rng = np.random.default_rng(0)
    rows = [("ab"[g % 2], f"g{g}") for g in range(60) for _ in range(rng.integers(1, 12))]
    dealt = draw_folds(table_of(*zip(*rows, strict=True)), folds=5, seed=1)
    counts = Counter(zip(dealt.classes, dealt.splits, strict=True))
    for name in "ab":
        sizes = [counts[name, f"fold{i}"] for i in range(1, 6)]
        assert max(sizes) - min(sizes) <= 2


def test_the_seed_decides():
    table = table_of(["a"] * 30)
    assert len({draw_folds(table, folds=3, seed=seed).splits for seed in range(5)}) == 5
    assert len({draw_shots(table, shots=3, seed=seed).splits for seed in range(5)}) == 5


def test_a_class_that_misses_a_fold_is_told():
    with pytest.warns(HueprobeWarning, match="too few images or groups to be in each of 3 folds: 'b'"):
        draw_folds(table_of(["a"] * 6 + ["b"] * 2), folds=3, seed=0)


def test_no_such_fold():
    dealt = draw_folds(table_of(["a"] * 4), folds=2, seed=0)
    with pytest.raises(InputError, match="unknown fold 'fold3'; choose one of: fold1, fold2"):
        hold_out(dealt, "fold3")
