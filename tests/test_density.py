import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hueprobe.density import decide, kernel_weights, likelihoods
from hueprobe.errors import InputError, ShapeError

distances = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(0, 2)
).map(lambda a: np.sort(a, axis=1))


@given(distances)
def test_weights_fall_with_distance_and_start_near_exp_minus_one(d):
    weights = kernel_weights(d)
    assert ((weights >= 0) & (weights <= 1)).all()
    assert (np.diff(weights, axis=1) <= 1e-15).all()
    expected = np.exp(-(d[:, 0] ** 2) / (d[:, 0] ** 2 + 1e-6))
    np.testing.assert_allclose(weights[:, 0], expected)


def test_weights_by_hand():
    # alpha = 0.5: exp(-0.25 / 0.25) and exp(-1 / 0.25), eps = 0
    np.testing.assert_allclose(kernel_weights(np.array([[0.5, 1.0]]), eps=0), [[np.exp(-1), np.exp(-4)]])


def test_a_duplicate_weighs_one_and_its_rivals_next_to_nothing():
    weights = kernel_weights(np.array([[0.0, 0.5]]))
    assert weights[0, 0] == 1.0
    assert weights[0, 1] < 1e-100
    np.testing.assert_array_equal(kernel_weights(np.array([[0.0, 0.0, 0.5]]), eps=0), [[1, 1, 0]])


def test_missing_neighbors_weigh_nothing():
    np.testing.assert_array_equal(kernel_weights(np.full((2, 3), np.inf)), np.zeros((2, 3)))
    assert kernel_weights(np.empty((0, 3))).shape == (0, 3)


def test_all_equal_distances_weigh_alike():
    weights = kernel_weights(np.full((1, 4), 0.7))
    assert np.ptp(weights) == 0
    assert weights[0, 0] == pytest.approx(np.exp(-0.49 / (0.49 + 1e-6)))


def test_negative_eps_is_refused():
    with pytest.raises(InputError, match=r"-1"):
        kernel_weights(np.ones((1, 1)), eps=-1)


@given(st.integers(0, 2**32 - 1))
def test_likelihoods_equal_a_loop_and_do_not_depend_on_the_order_of_pixels(seed):
    rng = np.random.default_rng(seed)
    n, k, n_images, n_classes = 12, 4, 3, 5
    weights = rng.random((n, k))
    classes = rng.integers(-1, n_classes, (n, k))
    image = rng.integers(0, n_images, n)
    counts = rng.integers(0, 9, (n_images, n_classes))
    expected = np.zeros((n_images, n_classes))
    for i in range(n):
        for j in range(k):
            if classes[i, j] >= 0:
                expected[image[i], classes[i, j]] += weights[i, j]
    expected = np.where(counts > 0, expected / np.maximum(counts, 1), 0)
    np.testing.assert_allclose(likelihoods(weights, classes, image, counts), expected)
    order = rng.permutation(n)
    np.testing.assert_allclose(likelihoods(weights[order], classes[order], image[order], counts), expected)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        likelihoods(np.ones((2, 3)), np.ones((2, 2), int), np.zeros(2, int), np.ones((1, 2)))


def test_decisions():
    decision = decide(np.array([[0.0, 2.0, 2.0], [3.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert decision.predicted.tolist() == [1, 0, -1]
    assert decision.tie.tolist() == [True, False, False]
    np.testing.assert_allclose(decision.normalized.sum(axis=1), [1, 1, 0])


def test_sums_that_differ_by_rounding_alone_are_a_tie():
    a, b = 0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1
    assert a != b
    decision = decide(np.array([[b, a]]))
    assert decision.tie.all() and decision.predicted[0] == 0


def test_a_memory_without_classes_decides_nothing():
    assert decide(np.zeros((2, 0))).predicted.tolist() == [-1, -1]
