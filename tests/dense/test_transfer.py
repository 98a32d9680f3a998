"""Label transfer against slow loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hueprobe.dense import parse_kernel, shares_of, transfer_labels
from hueprobe.dense import transfer as module
from hueprobe.errors import InputError, ShapeError


def slow_transfer(ids, distances, shares, weight):
    result = np.zeros((len(ids), shares.shape[1]))
    for i in range(len(ids)):
        for j in range(ids.shape[1]):
            if ids[i, j] >= 0:
                result[i] += weight(distances[i], j) * shares[ids[i, j]]
        if result[i].sum() > 0:
            result[i] /= result[i].sum()
    return result


def eq3(distances, j):
    return np.exp(-(distances[j] ** 2) / (distances[0] ** 2 + 1e-6))


def softmax(temperature):
    return lambda distances, j: np.exp((1 - distances[j] ** 2 / 2) / temperature)


@pytest.mark.parametrize(
    "text, weight", [("eq3", eq3), ("softmax:0.02", softmax(0.02)), ("softmax:0.5", softmax(0.5))]
)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_transfer_is_that_of_loops(text, weight, seed):
    rng = np.random.default_rng(seed)
    shares = shares_of(rng.integers(0, 4, (30, 3)) * rng.integers(0, 2, (30, 1)))
    ids = rng.integers(0, 30, (12, 5))
    distances = np.sort(rng.uniform(0, 1.4, (12, 5)), axis=1)
    ids[3, 2:], distances[3, 2:] = -1, np.inf
    ids[4], distances[4] = -1, np.inf
    found = transfer_labels(ids, distances, shares, text)
    np.testing.assert_allclose(found, slow_transfer(ids, distances, shares, weight), atol=2e-6)
    assert not found[4].any()


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    shares, ids = rng.random((9, 2)), rng.integers(0, 9, (50, 3))
    distances = np.sort(rng.random((50, 3)), axis=1)
    whole = transfer_labels(ids, distances, shares)
    monkeypatch.setattr(module, "_AT_ONCE", 24)
    np.testing.assert_array_equal(transfer_labels(ids, distances, shares.__getitem__), whole)


def test_softmax_is_safe_for_small_temperatures():
    weights = parse_kernel("softmax:1e-5").weights(np.array([[0.1, 1.9], [1.9, np.inf], [np.inf, np.inf]]))
    np.testing.assert_array_equal(weights, [[1, 0], [1, 0], [0, 0]])


def test_kernels_have_their_k_and_text():
    assert [parse_kernel(text).default_k for text in ("eq3", "softmax")] == [10, 30]
    for text in ("eq3", "softmax:0.02", "softmax:0.5"):
        assert parse_kernel(text).text == text


@pytest.mark.parametrize(
    "text", ["", "eq4", "eq3:1", "softmax:0", "softmax:x", "softmax:-1", "softmax:nan", 3]
)
def test_other_kernels_are_refused(text):
    with pytest.raises(InputError, match="kernel"):
        parse_kernel(text)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ShapeError, match=r"ids have shape \(1, 2\)"):
        transfer_labels(np.zeros((1, 2), int), np.zeros((1, 3)), np.ones((1, 1)))
    assert transfer_labels(np.zeros((0, 2), int), np.zeros((0, 2)), np.ones((1, 4))).shape == (0, 4)
