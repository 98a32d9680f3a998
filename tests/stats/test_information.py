"""Mutual information against scikit-learn and against cases known by hand."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from hueprobe.errors import InputError, ShapeError
from hueprobe.stats.information import (
    mutual_information,
    permuted_information,
    pointwise_information,
)


def test_plug_in_is_scikit_learns_in_bits():
    table = np.random.default_rng(0).integers(0, 5, (6, 9))
    expected = mutual_info_score(None, None, contingency=table) / np.log(2)
    assert float(mutual_information(table)) == pytest.approx(expected)
    mean = (table * pointwise_information(table)).sum() / table.sum()
    assert mean == pytest.approx(expected)
    np.testing.assert_allclose(mutual_information(np.stack([table, 3.7 * table])), expected)


def test_independent_cells_have_none_and_an_empty_table_has_no_value():
    assert float(mutual_information(np.outer([1, 2, 3], [4, 5]))) == pytest.approx(0, abs=1e-12)
    assert np.isnan(mutual_information(np.zeros((3, 3))))


def permuted(image, query, match, part=None, n_cells=4, **options):
    part = np.zeros(len(image), int) if part is None else part
    options = {"seed": 0, "n_permutations": 50, **options}
    return permuted_information(image, query, match, part, shape=(2, n_cells, n_cells), **options)


def test_one_vector_an_image_cannot_be_permuted():
    rng = np.random.default_rng(1)
    image, query, match = np.arange(60), rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    table = np.zeros((4, 4))
    np.add.at(table, (query, match), 1)
    np.testing.assert_allclose(permuted(image, query, match)[:, 0], mutual_information(table))


def test_permutations_are_all_arrangements_within_the_image():
    """Two vectors of one image, matches of a vector stay together: two arrangements, both drawn."""
    image = np.array([0, 0, 0, 1])
    query, match = np.array([0, 0, 1, 2]), np.array([3, 3, 1, 0])
    found = permuted(image, query, match, weight=np.array([1.0, 1.0, 1.0, 2.0]), n_permutations=200)
    tables = []
    for first, second in ((0, 1), (1, 0)):
        table = np.zeros((4, 4))
        table[first, 3], table[second, 1], table[2, 0] = 2, 1, 2
        tables.append(table)
    assert set(np.round(found[:, 0], 9)) == set(np.round(mutual_information(np.stack(tables)), 9))


def test_matches_of_images_are_never_mixed():
    """Query cells 0 and 1 belong to image 0, and 2 and 3 to image 1, as do the match cells: 1 bit stays."""
    image = np.repeat([0, 1], 2 * 500)
    query = np.concatenate([np.tile([0, 1], 500), np.tile([2, 3], 500)])
    match = query
    assert permuted(image, query, match)[:, 0].min() > 0.999


def test_parts_and_their_sum():
    rng = np.random.default_rng(2)
    image, query, match = (rng.integers(0, n, 400) for n in (20, 4, 4))
    part = rng.integers(0, 2, 400)
    both = permuted(image, query, match, part)
    assert both.shape == (50, 3)
    # the same permutations, since they depend on which vectors ask and on the seed alone
    np.testing.assert_allclose(both[:, 2], permuted(image, query, match)[:, 0])
    np.testing.assert_array_equal(both, permuted(image, query, match, part))
    assert not np.array_equal(both, permuted(image, query, match, part, seed=1))


def test_correction_is_right_where_matches_come_by_the_image():
    """Every image prefers one match cell; query cells tell nothing, and plug-in says they do."""
    rng = np.random.default_rng(3)
    plug_in, corrected = [], []
    for seed in range(20):
        image = np.repeat(np.arange(100), 16)
        query = np.tile(np.repeat(np.arange(16), 1), 100)
        favorite = rng.integers(0, 16, 100)
        match = np.where(rng.random(1600) < 0.5, favorite[image], rng.integers(0, 16, 1600))
        table = np.zeros((16, 16))
        np.add.at(table, (query, match), 1)
        plug_in.append(float(mutual_information(table)))
        null = permuted(image, query, match, n_cells=16, seed=seed, n_permutations=20)
        corrected.append(plug_in[-1] - null[:, 0].mean())
    assert np.mean(plug_in) > 0.07
    assert abs(np.mean(corrected)) < 0.006


def test_bad_arguments():
    with pytest.raises(InputError, match="n_permutations is 0"):
        permuted(*np.zeros((3, 4), int), n_permutations=0)
    with pytest.raises(ShapeError, match="differ in length"):
        permuted(np.zeros(4, int), np.zeros(3, int), np.zeros(4, int))
