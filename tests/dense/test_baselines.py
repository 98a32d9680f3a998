"""Baselines and memory sizes against slow versions."""

import numpy as np
import pytest

from hueprobe.dense import logistic_shares, measure_sizes, pooled_shares, position_shares
from hueprobe.errors import InputError, ShapeError


def test_position_shares_are_those_of_all_pixels_there():
    counts = np.random.default_rng(0).integers(0, 9, (5, 2, 3, 4))
    found = position_shares(counts, 3)
    assert found.shape == (3, 2, 3, 4)
    pixels = counts[:, 1, 2].sum(0)
    np.testing.assert_allclose(found[1, 1, 2], pixels / pixels.sum(), rtol=1e-6)
    with pytest.raises(ShapeError, match="need"):
        position_shares(counts[0], 1)


def test_logistic_regression_separates_what_is_separable():
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, 300)
    vectors = np.eye(4)[label] + 0.1 * rng.standard_normal((300, 4))
    counts = 5 * np.eye(5, dtype=int)[label + 1] + rng.integers(0, 3, (300, 5))
    counts[label == 2] = 0  # cells without labels
    found = logistic_shares(vectors, counts, vectors)
    assert not found[:, [0, 3, 4]].any()
    assert (found.argmax(1) == label + 1)[label < 2].all()
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    with pytest.raises(InputError, match="1 labels are"):
        logistic_shares(vectors, np.tile([0, 1], (300, 1)), vectors)


def test_pooled_shares_are_those_of_loops():
    rng = np.random.default_rng(2)
    vectors, queries = rng.random((6, 4, 3)), rng.random((2, 4, 3))
    counts = rng.integers(1, 5, (6, 2, 2, 3))
    found = pooled_shares(vectors, counts, queries, k=3)
    for i, query in enumerate(queries):
        pooled = query.mean(0) / np.linalg.norm(query.mean(0))
        distance = [np.linalg.norm(pooled - v.mean(0) / np.linalg.norm(v.mean(0))) for v in vectors]
        total = 0
        for j in np.argsort(distance)[:3]:
            weight = np.exp(-(distance[j] ** 2) / (min(distance) ** 2 + 1e-6))
            total = total + weight * counts[j] / counts[j].sum(-1, keepdims=True)
        np.testing.assert_allclose(found[i], total / total.sum(-1, keepdims=True), rtol=1e-5)


def test_sizes_are_nested_draws():
    seen = []
    points = measure_sizes(lambda rows: seen.append(rows) or len(rows), 16, n_draws=3, seed=4)
    assert [point.n_images for point in points] == [2, 4, 8, 16]
    assert [len(point.values) for point in points] == [3, 3, 3, 1]
    assert set(seen[0]) < set(seen[3]) < set(seen[6]) and len({tuple(rows) for rows in seen[:3]}) == 3
    assert points[0].spread == 0 and np.isnan(points[3].spread)
    with pytest.raises(InputError, match="share 2"):
        measure_sizes(len, 4, shares=[2])
