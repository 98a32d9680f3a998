"""Conformal p-values against a slow loop, hand-worked numbers, and coverage of exchangeable data."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import hueprobe as hp
from hueprobe.errors import InputError, ShapeError
from hueprobe.trust import conformal_p_values, conformal_predictions, nonconformity
from hueprobe.trust.prediction_sets import expected_coverage
from tests.trust.made import classification

SCORES = st.lists(st.integers(0, 4), min_size=1, max_size=12)


def slow_p(calibration, score, codes):
    """Return the p-value by the sentence of the docstring, one image at a time."""
    groups = Counter(codes)
    counted = sum(1 / groups[code] for a, code in zip(calibration, codes, strict=True) if a >= score)
    return (1 + counted) / (1 + len(groups))


@given(SCORES, SCORES, st.randoms(use_true_random=False))
def test_p_values_are_those_of_a_slow_loop_with_ties_and_groups(calibration, test, random):
    for codes in (range(len(calibration)), [random.randrange(4) for _ in calibration]):
        found = conformal_p_values(np.array(calibration) / 4, np.array(test) / 4, codes=np.array(list(codes)))
        expected = [slow_p(calibration, score, list(codes)) for score in test]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_p_values_by_hand():
    found = conformal_p_values(np.array([0.1, 0.2, 0.2, 0.9]), np.array([0.0, 0.2, 0.3, 1.0]))
    np.testing.assert_allclose(found, [5 / 5, 4 / 5, 2 / 5, 1 / 5])


def test_rounding_makes_no_tie_of_equal_values_smaller():
    """0.1 + 0.2 is above 0.3 by rounding; the two are equal scores."""
    assert conformal_p_values(np.array([0.3]), np.array([0.1 + 0.2])) == [1.0]


def test_nonconformity_with_equal_votes_is_papernots_count():
    """Equal kernel weights and equal classes: the share of neighbors of other classes, summed over layers."""
    labels = np.array([[0, 0, 1, 2], [1, 1, 1, 1]])  # neighbors of one image in two layers, K = 4
    likelihoods = [np.bincount(layer, minlength=3)[None] / 4 for layer in labels]
    counts = [sum(int((layer != c).sum()) for layer in labels) for c in range(3)]
    np.testing.assert_allclose(nonconformity(likelihoods)[0] * 4, counts)


def made_predictions():
    """Calibration scores .1 .2 .3 .4 (1 - likelihood of the true class), and three test images."""
    calibration = classification(
        [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]], [0, 1, 0, 1], names=["a", "b", "c", "d"]
    )
    return conformal_predictions(calibration, classification([[0.95, 0.05], [0.65, 0.35], [0, 0]], [0, 1, 0]))


def test_credibility_confidence_and_sets_by_hand():
    found = made_predictions()
    # Scores .05 and .95; .35 and .65; 1 and 1: the image without any vote fits no class.
    np.testing.assert_allclose(found.p_values, [[1, 0.2], [0.4, 0.2], [0.2, 0.2]])
    np.testing.assert_allclose(found.credibility, [1, 0.4, 0.2])
    np.testing.assert_allclose(found.confidence, [0.8, 0.8, 0.8])
    assert found.predicted.tolist() == [0, 0, -1]
    assert found.sets(0.8).tolist() == [[True, False], [True, False], [False, False]]  # p = 1 - level is out
    assert found.sets(0.81).all()
    coverage = found.coverage(0.8)
    assert coverage.share.estimate == pytest.approx(1 / 3)
    assert (coverage.n, coverage.single, coverage.empty) == (3, pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert coverage.size.estimate == pytest.approx(2 / 3)


def test_a_level_is_compared_up_to_rounding():
    """1 - 0.9 is 0.09999999999999998, which a p-value of 0.1 must not exceed."""
    calibration = classification([[1 - i / 100, i / 100] for i in range(9)], [0] * 9, names="abcdefghi")
    found = conformal_predictions(calibration, classification([[1, 0]], [0]))
    assert found.p_values.tolist() == [[1.0, 0.1]]
    assert found.sets(0.9).tolist() == [[True, False]]


def draws(rng, n, n_classes=5):
    """Return classes, and likelihoods that are right more often than not."""
    true = rng.integers(n_classes, size=n)
    logits = rng.normal(0, 1, (n, n_classes))
    logits[np.arange(n), true] += 1.5
    shares = np.exp(logits)
    return shares / shares.sum(1, keepdims=True), true.tolist()


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_coverage_on_exchangeable_images_is_the_level(level):
    """One test image each in 1,000 independent draws: the number covered is binomial."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        calibration = classification(*draws(rng, 39), names=[f"k{i}" for i in range(39)])
        found = conformal_predictions(calibration, classification(*draws(rng, 1)))
        covered += found.coverage(level).share.estimate
    low, high = stats.binom.interval(0.999, 1000, level)  # 40 divides both levels, so coverage is exact
    assert low <= covered <= high


def test_measured_coverages_lie_where_they_are_expected():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        calibration = classification(*draws(rng, 50), names=[f"k{i}" for i in range(50)])
        found = conformal_predictions(calibration, classification(*draws(rng, 60))).coverage(0.9)
        inside += found.expected[0] <= found.share.estimate <= found.expected[1]
    assert inside >= stats.binom.ppf(0.001, 300, 0.95)
    # The binomial band, which ignores that calibration images are few, would be too narrow.
    assert expected_coverage(0.9, 50, 60)[0] < stats.binom.ppf(0.025, 60, 0.9) / 60


def test_too_few_calibration_images_rule_nothing_out():
    found = conformal_predictions(
        classification([[1, 0]] * 8, [0] * 8, names="abcdefgh"), classification([[0, 1]], [0])
    )
    assert found.sets(0.9).all() and found.coverage(0.9).expected == (1.0, 1.0)


def grouped(rng, n_groups, prefix):
    """Return images in groups of 1 to 20 that share their difficulty; large groups are easy."""
    shares, true, groups = [], [], []
    for g in range(n_groups):
        size = int(rng.choice([1, 20]))
        hard = 3.0 if size == 1 else 0.0
        logits = rng.normal(0, 0.3, (size, 4)) + rng.normal(0, hard, 4)
        truth = rng.integers(4)
        logits[:, truth] += 2
        shares += (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).tolist()
        true += [int(truth)] * size
        groups += [f"{prefix}{g}"] * size
    names = [f"{prefix}{i}" for i in range(len(true))]
    return classification(shares, true, groups=groups, names=names)


def test_coverage_of_new_groups_needs_groups():
    """Groups counted once keep the level; images taken for independent do not."""
    rng = np.random.default_rng(2)
    right, wrong = [], []
    for _ in range(150):
        calibration, test = grouped(rng, 39, "k"), grouped(rng, 10, "t")
        found = conformal_predictions(calibration, test).coverage(0.9)
        right.append(found.share.estimate)
        assert found.expected is None and found.n_units == 10
        alone = classification(
            calibration.likelihood, [int(c[1:]) for c in calibration.true_class], names=calibration.images
        )
        wrong.append(conformal_predictions(alone, test).coverage(0.9).share.estimate)
    assert np.mean(right) == pytest.approx(0.9, abs=4 * np.std(right) / np.sqrt(150))
    assert np.mean(wrong) < 0.9 - 4 * np.std(wrong) / np.sqrt(150)


def test_several_memories_add_their_nonconformity():
    rng = np.random.default_rng(3)
    (first, true), (second, _) = draws(rng, 20), draws(rng, 20)
    (third, truth), (fourth, _) = draws(rng, 10), draws(rng, 10)
    names = [f"k{i}" for i in range(20)]
    found = conformal_predictions(
        [classification(first, true, names=names), classification(second, true, names=names)],
        [classification(third, truth), classification(fourth, truth)],
    )
    scores = [2 - first[i, t] - second[i, t] for i, t in enumerate(true)]
    for i in range(10):
        expected = [slow_p(scores, 2 - third[i, c] - fourth[i, c], range(20)) for c in range(5)]
        np.testing.assert_allclose(found.p_values[i], expected)
    assert found.n_memories == 2 and "2 memories" in repr(found)


def test_images_that_cannot_be_right_are_left_out():
    calibration = classification(
        [[0.9, 0.1]] * 4, [0, None, 0, 7], names="abcd", lone=[False, False, True, False]
    )
    found = conformal_predictions(calibration, classification([[0.5, 0.5]] * 2, [None, 1]))
    assert (found.n_calibration, found.n_left_out) == (1, 3)
    assert found.judged.tolist() == [1] and found.coverage().n == 1


def test_unlabeled_test_images_have_p_values_and_no_coverage():
    found = conformal_predictions(classification([[0.9, 0.1]], [0], names="a"), classification([[0.5, 0.5]]))
    assert found.p_values.shape == (1, 2)
    assert np.isnan(found.coverage().share.estimate) and found.coverage().expected is None
    assert "calibrated on 1 images" in found._repr_html_()


def test_sets_must_be_apart():
    images = classification([[0.9, 0.1]] * 2, [0, 0], names=["x", "y"], root="pictures")
    other = classification([[0.9, 0.1]] * 2, [0, 0], names=["y", "z"], root="pictures")
    with pytest.raises(InputError, match="1 images are in the calibration and in the test set, such as 'y'"):
        conformal_predictions(images, other)
    elsewhere = classification([[0.9, 0.1]] * 2, [0, 0], names=["y", "z"], root="others")
    assert len(conformal_predictions(images, elsewhere)) == 2
    ann = classification([[0.9, 0.1]] * 2, [0, 0], groups=["ann", None], names=["x", "y"])
    with pytest.raises(InputError, match=r"1 groups are in the calibration and in the test .* 'ann'"):
        conformal_predictions(ann, classification([[0.9, 0.1]], [0], groups=["ann"]))


def test_what_does_not_fit_is_refused():
    one, two = classification([[0.9, 0.1]], [0], names="a"), classification([[0.9, 0.1, 0]], [0])
    with pytest.raises(InputError, match="different classes"):
        conformal_predictions(one, two)
    with pytest.raises(InputError, match="1 calibration and 2 test classifications"):
        conformal_predictions(one, [one, one])
    with pytest.raises(InputError, match="hold different images"):
        conformal_predictions([one, classification([[0.9, 0.1]], [0], names="b")], [one, one])
    with pytest.raises(InputError, match="none of 1 calibration images"):
        conformal_predictions(classification([[0.9, 0.1]], names="a"), classification([[1, 0]], [0]))
    with pytest.raises(InputError, match="test is not a Classification"):
        conformal_predictions(one, "images")
    with pytest.raises(InputError, match="level 90 is not between 0 and 1"):
        made_predictions().sets(90)
    with pytest.raises(InputError, match="1 NaN"):
        conformal_p_values(np.array([0.1]), np.array([np.nan]))
    with pytest.raises(ShapeError, match="2 groups for 1 calibration"):
        conformal_p_values(np.array([0.1]), np.array([0.2]), codes=np.arange(2))
    with pytest.raises(ShapeError, match="likelihoods have shapes"):
        nonconformity([np.ones((2, 3)), np.ones((2, 2))])


def test_tables_and_numbers():
    pytest.importorskip("pandas")
    found = made_predictions()
    frame = found.to_pandas()
    assert frame["p: c0"].tolist() == pytest.approx([1, 0.4, 0.2])
    assert frame["predicted"].tolist()[:2] == ["c0", "c0"] and frame["predicted"].isna().tolist()[2]
    numbers = found.numbers()
    assert numbers["accuracy"].estimate == pytest.approx(1 / 3)
    assert numbers["credibility"].estimate == pytest.approx((1 + 0.4 + 0.2) / 3)
    assert numbers["coverage at 90 %"].estimate == found.coverage(0.9).share.estimate


def test_on_a_real_classification(small_memory):
    memory = small_memory(n=24, classes=["a", "b", "c"])
    rows = np.arange(24)
    classifier = hp.KernelDensityClassifier(memory, k=3, images=rows < 12)
    height, width = memory.grid.shape

    def classified(some):
        vectors = memory.image_vectors(some).reshape(len(some), height, width, -1).transpose(0, 3, 1, 2)
        names = [f"image{row}" for row in some]
        return classifier.classify_activations(
            vectors, names=names, classes=[memory.images.classes[row] for row in some]
        )

    found = conformal_predictions(classified(rows[12:18]), classified(rows[18:]))
    assert found.p_values.shape == (6, len(memory.classes))
    np.testing.assert_allclose(np.round(found.p_values * 7), found.p_values * 7)
    assert np.array_equal(found.predicted, classified(rows[18:]).predicted)
