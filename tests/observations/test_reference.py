"""Reference classifiers against loops and scikit-learn."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hueprobe import density
from hueprobe.errors import InputError, ShapeError
from hueprobe.observations.accuracy.baselines import (
    kernel_vote,
    logistic_regression,
    majority_vote,
    nearest_centroid,
    tune_k,
    unit_rows,
)


@pytest.fixture
def matches(simulate_matches):
    rng = np.random.default_rng(0)
    matches = simulate_matches(rng, np.arange(24) % 4, k=3, same=0.4)
    return replace(matches, rank=np.tile([1, 2, 3], len(matches) // 3).astype(np.int32))


@pytest.mark.parametrize("k", [None, 1, 2])
def test_majority_is_that_of_a_counter(matches, k):
    found = majority_vote(matches, k=k)
    for image in range(24):
        rows = (matches.query_image == image) & (matches.rank <= (k or 3))
        votes = Counter(matches.match_class[rows].tolist())
        assert found[image] == min(votes, key=lambda c: (-votes[c], c))


def test_kernel_vote_is_the_likelihoods_decision(matches):
    counts = np.full((24, 4), 6 * 49)
    counts[np.arange(24), np.arange(24) % 4] -= 49
    found = kernel_vote(matches, counts)
    neighbor_class = matches.match_class.reshape(-1, 3)
    likelihood = density.likelihoods(
        matches.weight.reshape(-1, 3), neighbor_class, np.repeat(np.arange(24), 49), counts
    )
    np.testing.assert_array_equal(found, density.decide(likelihood).predicted)
    few = counts.copy()
    few[:, 0] = 1
    assert (kernel_vote(matches, few) == 0).all()  # n_C matters
    np.testing.assert_array_equal(
        kernel_vote(matches, np.full(4, 7)), kernel_vote(matches, np.full((24, 4), 7))
    )
    with pytest.raises(ShapeError, match="class counts"):
        kernel_vote(matches, np.ones((3, 3)))


def test_no_vote_is_no_prediction(matches):
    silent = replace(matches, image_class=np.full(24, -1))
    assert (majority_vote(silent) == -1).all()
    assert (kernel_vote(silent, np.ones(4)) == -1).all()
    assert (majority_vote(matches.select(np.zeros(len(matches), bool))) == -1).all()
    with pytest.raises(InputError, match="k is 0"):
        majority_vote(matches, k=0)


def test_k_is_the_best_and_smallest(matches):
    counts = np.full(4, 294)
    found = tune_k(matches, counts, ks=(3, 2, 1, 50))
    truth = np.arange(24) % 4
    by_hand = [(kernel_vote(matches, counts, k=k) == truth).mean() for k in (1, 2, 3)]
    assert found.ks == (1, 2, 3)
    np.testing.assert_allclose(found.accuracy, by_hand)
    assert found.k == 1 + int(np.argmax(by_hand))
    for bad in (
        lambda: tune_k(matches, counts, ks=(20,)),
        lambda: tune_k(replace(matches, query_image_class=np.full(24, -1)), counts),
    ):
        with pytest.raises(InputError, match="larger k, and with labels"):
            bad()


def clusters(rng, n=60, n_classes=4, channels=12, noise=1.0):
    image_class = np.arange(n) % n_classes
    centers = rng.normal(size=(n_classes, channels))
    return centers[image_class] + noise * rng.normal(size=(n, channels)), image_class


def test_centroid_is_the_slow_loops():
    rng = np.random.default_rng(1)
    vectors, image_class = clusters(rng)
    image_class[5] = -1
    groups = [f"g{i // 2}" if i < 20 else None for i in range(60)]
    found = nearest_centroid(vectors, image_class, groups=groups)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for i in range(60):
        left = [j for j in range(60) if j != i and (groups[i] is None or groups[j] != groups[i])]
        cosines = []
        for c in range(4):
            mean = unit[[j for j in left if image_class[j] == c]].mean(0)
            cosines.append(unit[i] @ mean / np.linalg.norm(mean))
        assert found[i] == int(np.argmax(cosines))
    queries = rng.normal(size=(7, 12))
    means = np.stack([unit[image_class == c].mean(0) for c in range(4)])
    expected = (queries @ unit_rows(means).T).argmax(1)
    np.testing.assert_array_equal(nearest_centroid(vectors, image_class, query_vectors=queries), expected)


def test_centroid_of_a_lone_image_or_a_zero_vector():
    vectors = np.eye(3)
    # class 0 is gone without its only image; the others are at right angles to both classes: the lower id
    assert nearest_centroid(vectors, np.array([0, 1, 1])).tolist() == [1, 0, 0]
    assert nearest_centroid(vectors[:1], np.array([0])).tolist() == [-1]
    zero = nearest_centroid(vectors, np.array([0, 1, 2]), query_vectors=np.zeros((1, 3)))
    assert zero.tolist() == [-1]
    with pytest.raises(ShapeError, match=r"\(2, C\)"):
        nearest_centroid(vectors, np.array([0, 1]))


def test_logistic_is_scikit_learns_on_unit_vectors():
    rng = np.random.default_rng(2)
    vectors, image_class = clusters(rng)
    queries = rng.normal(size=(30, 12))
    model = LogisticRegression(C=10, max_iter=2000).fit(unit_rows(vectors), image_class)
    found = logistic_regression(vectors, image_class, seed=0, query_vectors=queries)
    np.testing.assert_array_equal(found, model.predict(unit_rows(queries)))


def test_cross_validation_never_sees_the_own_group():
    """Labels are noise, but each image has a twin of its group: seeing it would give the answer away."""
    rng = np.random.default_rng(3)
    vectors = np.repeat(rng.normal(size=(60, 50)), 2, axis=0)
    image_class = np.repeat(rng.integers(0, 2, 60), 2)
    groups = [f"g{i // 2}" for i in range(120)]
    seen = (logistic_regression(vectors, image_class, seed=0) == image_class).mean()
    blind = (logistic_regression(vectors, image_class, seed=0, groups=groups) == image_class).mean()
    assert seen > blind + 0.15, f"twins seen {seen:.2f}, hidden {blind:.2f}"
    again = logistic_regression(vectors, image_class, seed=0, groups=groups)
    assert (again == image_class).mean() == blind


@pytest.mark.parametrize("n_classes", [1, 40])
def test_one_class_and_one_image_a_class(n_classes):
    vectors, image_class = clusters(np.random.default_rng(4), n=40, n_classes=n_classes)
    found = logistic_regression(vectors, image_class, seed=0, n_folds=5)
    assert (found == 0).all() if n_classes == 1 else (found != image_class).all()
    unlabeled = np.full(40, -1)
    assert (logistic_regression(vectors, unlabeled, seed=0) == -1).all()
    assert (nearest_centroid(vectors, unlabeled) == -1).all()
    with pytest.raises(InputError, match="n_folds is 1"):
        logistic_regression(vectors, image_class, seed=0, n_folds=1)
