"""Block assignment, and class positions against slow loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueprobe.errors import InputError, ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.locations.blocks import (
    arrangements,
    block_labels,
    block_positions,
    default_blocks,
    search_blocks,
)


def keys(n, salt=""):
    return [f"{salt}image{i}.jpg" for i in range(n)]


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=80), st.integers(2, 6))
def test_each_class_is_spread_evenly(labels, n_blocks):
    labels = np.array(labels)
    blocks = block_labels(keys(len(labels)), labels, n_blocks=n_blocks)
    assert (blocks[labels < 0] == -1).all() and (blocks[labels >= 0] >= 0).all()
    for c in range(4):
        counts = np.bincount(blocks[labels == c], minlength=n_blocks)
        assert counts.max() - counts.min() <= 1


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=60))
def test_groups_stay_whole(rows):
    labels = np.array([c for c, _ in rows])
    groups = [f"family {g}" for _, g in rows]  # families across classes
    blocks = block_labels(keys(len(rows)), labels, n_blocks=3, groups=groups)
    for group in set(groups):
        assert len({b for b, g in zip(blocks, groups, strict=True) if g == group}) == 1


def test_groups_are_spread_evenly_too():
    labels = np.repeat([0, 1], 24)
    groups = [f"g{i // 3}" for i in range(48)]
    blocks = block_labels(keys(48), labels, n_blocks=4, groups=groups)
    for c in (0, 1):
        assert np.bincount(blocks[labels == c]).tolist() == [6, 6, 6, 6]


def test_blocks_follow_the_images_not_their_order():
    labels = np.repeat([0, 1], 20)
    names = keys(40)
    blocks = block_labels(names, labels, n_blocks=4)
    order = np.random.default_rng(0).permutation(40)
    again = block_labels([names[i] for i in order], labels[order], n_blocks=4)
    assert (again == blocks[order]).all()
    assert (block_labels(keys(40, "other "), labels, n_blocks=4) != blocks).any()


def test_bad_blocks():
    with pytest.raises(InputError, match="n_blocks is 1; at least 2"):
        block_labels(keys(4), np.zeros(4, int), n_blocks=1)
    with pytest.raises(ShapeError, match="3 keys for 4 images"):
        block_labels(keys(3), np.zeros(4, int), n_blocks=2)
    assert block_labels([], np.zeros(0, int), n_blocks=2).shape == (0,)


def test_default_number_of_blocks_gives_a_thousand_arrangements():
    for n_classes in range(2, 8):
        n_blocks = default_blocks(n_classes)
        assert arrangements(n_classes, n_blocks) >= 1000
        assert n_blocks == 4 or arrangements(n_classes, n_blocks - 1) < 1000
    assert default_blocks(2) == 11
    assert arrangements(1000, 4) > 1e300  # and no overflow


def test_every_block_is_searched_against_itself(simulate_matches):
    labels = np.repeat([0, 1], 10)
    blocks = block_labels(keys(20), labels, n_blocks=2)
    asked = []

    def search(rows):
        asked.append(rows)
        return simulate_matches(np.random.default_rng(0), labels, rows, grid=Grid(3, 3))

    found = search_blocks(blocks, search)
    assert [rows.tolist() for rows in asked] == [np.flatnonzero(blocks == b).tolist() for b in (0, 1)]
    assert set(found[0].image) <= set(asked[0]) and set(found[1].query_image) <= set(asked[1])


@pytest.mark.parametrize("weighting", ["count", "kernel"])
def test_positions_are_means_of_image_means(simulate_matches, weighting):
    labels = np.repeat([0, 1, 2], 8)
    blocks = block_labels(keys(24), labels, n_blocks=2)
    rng = np.random.default_rng(1)
    found = search_blocks(blocks, lambda rows: simulate_matches(rng, labels, rows, grid=Grid(4, 5)))
    positions = block_positions(found, weighting=weighting)
    spread = {c: [] for c in range(3)}
    for b, matches in enumerate(found):
        for c in range(3):
            means = []
            for image in np.flatnonzero((blocks == b) & (labels == c)):
                total, sums = 0.0, np.zeros(2)
                for row in range(len(matches)):
                    if matches.query_image[row] == image and labels[matches.image[row]] == c:
                        w = matches.weight[row] if weighting == "kernel" else 1.0
                        total += w
                        sums += w * np.array([matches.x[row] - 2.0, 1.5 - matches.y[row]])
                means.append(sums / total)
            np.testing.assert_allclose(positions.position[b, c], np.mean(means, axis=0))
            assert positions.n_images[b, c] == len(means)
            spread[c].append(np.var(means, axis=0, ddof=1).mean())
    np.testing.assert_allclose(positions.variance, [np.mean(spread[c]) for c in range(3)])
    assert positions.degrees.tolist() == [12, 12, 12]  # 2 blocks x (4 - 1) images x 2 components


def test_blocks_must_belong_together(simulate_matches):
    rng = np.random.default_rng(2)
    two = simulate_matches(rng, np.repeat([0, 1], 3), grid=Grid(3, 3))
    three = simulate_matches(rng, np.repeat([0, 1, 2], 3), grid=Grid(3, 3))
    with pytest.raises(InputError, match="different classes"):
        block_positions([two, three])
    with pytest.raises(InputError, match="no blocks to test"):
        block_positions([])
    with pytest.raises(InputError, match="unknown weighting 'votes'; choose one of: count, kernel"):
        block_positions([two], weighting="votes")
    one_cell = simulate_matches(rng, np.repeat([0, 1], 3), grid=Grid(1, 1))
    with pytest.raises(InputError, match="locations observation needs a grid"):
        block_positions([one_cell, one_cell])
