"""AUROC and false positives against scikit-learn, DeLong by its definition, and hand-worked numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from hueprobe.errors import InputError, ShapeError
from hueprobe.stats import auroc, fpr_at_tpr, roc_curve, share_interval
from hueprobe.stats.intervals import proportion_interval

SCORES = st.lists(st.integers(-3, 3), min_size=2, max_size=15)


def both(positive, negative):
    return np.repeat([1, 0], [len(positive), len(negative)]), np.array([*positive, *negative], float)


@given(SCORES, SCORES)
def test_area_is_that_of_scikit_learn_ties_included(positive, negative):
    found = auroc(np.array(positive), np.array(negative))
    assert found.estimate == pytest.approx(metrics.roc_auc_score(*both(positive, negative)))
    assert found.low <= found.estimate <= found.high


@given(SCORES, SCORES)
def test_standard_error_is_delong_by_its_definition(positive, negative):
    a, b = np.array(positive, float), np.array(negative, float)
    right = (a[:, None] > b) + 0.5 * (a[:, None] == b)
    variance = right.mean(1).var(ddof=1) / len(a) + right.mean(0).var(ddof=1) / len(b)
    assert auroc(a, b).standard_error == pytest.approx(np.sqrt(variance), abs=1e-12)


def test_area_by_hand():
    found = auroc(np.array([3.0, 1.0]), np.array([2.0, 0.0]))
    assert found.estimate == 0.75  # 3 of 4 pairs
    # V10 = 1, .5 and V01 = .5, 1: each side has variance .125, halved by two images
    assert found.standard_error == pytest.approx(np.sqrt(0.125))


def test_copies_of_images_in_a_group_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 30), rng.normal(0, 1, 20)
    alone = auroc(a, b)
    copied = auroc(
        np.repeat(a, 4), np.repeat(b, 4),
        positive_codes=np.repeat(np.arange(30), 4), negative_codes=100 + np.repeat(np.arange(20), 4),
    )  # fmt: skip
    assert copied.standard_error == pytest.approx(alone.standard_error)
    ignored = auroc(np.repeat(a, 4), np.repeat(b, 4))
    assert ignored.standard_error < 0.55 * alone.standard_error


def test_a_group_on_both_sides_counts_once():
    """The same shift of all scores of a group cancels in the pairs of that group; the covariance says so."""
    rng = np.random.default_rng(1)
    shift = np.repeat(rng.normal(0, 3, 40), 5)
    codes = np.repeat(np.arange(40), 5)
    a, b = shift + rng.normal(1, 1, 200), shift + rng.normal(0, 1, 200)
    joint = auroc(a, b, positive_codes=codes, negative_codes=codes)
    apart = auroc(a, b, positive_codes=codes, negative_codes=codes + 1000)
    assert joint.standard_error < 0.5 * apart.standard_error


def test_separated_scores_have_an_honest_bound():
    found = auroc(np.arange(10.0) + 100, np.arange(7.0))
    assert (found.estimate, found.high) == (1, 1)
    assert found.low == pytest.approx(proportion_interval(7, 7, method="exact")[0])
    other = auroc(np.arange(7.0), np.arange(10.0) + 100)
    assert (other.estimate, other.low) == (0, 0)
    assert other.high == pytest.approx(1 - found.low)
    grouped = auroc(np.arange(10.0) + 100, np.arange(7.0), negative_codes=np.array([0, 0, 0, 0, 1, 1, 1]))
    assert grouped.low == pytest.approx(proportion_interval(2, 2, method="exact")[0])


def test_interval_covers_the_true_area():
    """Normal scores one standard deviation apart: the area is Phi(1 / sqrt(2)) = 0.760."""
    rng = np.random.default_rng(2)
    found = [auroc(rng.normal(1, 1, 40), rng.normal(0, 1, 60)) for _ in range(400)]
    covered = sum(one.low <= 0.7602499 <= one.high for one in found)
    assert 0.92 * 400 <= covered <= 0.98 * 400


@given(SCORES, SCORES)
def test_curve_is_that_of_scikit_learn(positive, negative):
    fpr, tpr, thresholds = roc_curve(np.array(positive), np.array(negative))
    expected = metrics.roc_curve(*both(positive, negative), drop_intermediate=False)
    for ours, theirs in zip((fpr, tpr, thresholds), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)


@given(SCORES, SCORES, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_false_positives_are_those_of_the_first_point_of_the_curve(positive, negative, tpr):
    found = fpr_at_tpr(np.array(positive), np.array(negative), tpr=tpr, n_resamples=5)
    curve = metrics.roc_curve(*both(positive, negative), drop_intermediate=False)
    first = int(np.argmax(curve[1] >= tpr - 1e-12))
    assert found.estimate == pytest.approx(curve[0][first])


def test_bootstrap_of_false_positives_draws_whole_groups():
    rng = np.random.default_rng(0)
    a, b = rng.normal(2, 1, 60), rng.normal(0, 1, 40)
    alone = fpr_at_tpr(a, b)
    codes = {
        "positive_codes": np.repeat(np.arange(60), 3),
        "negative_codes": np.repeat(np.arange(40), 3) + 60,
    }
    copied = fpr_at_tpr(np.repeat(a, 3), np.repeat(b, 3), **codes)
    assert copied.estimate == alone.estimate
    assert copied.standard_error == pytest.approx(alone.standard_error, rel=0.15)
    assert fpr_at_tpr(np.repeat(a, 3), np.repeat(b, 3)).standard_error < 0.8 * alone.standard_error


def test_bootstrap_of_false_positives_is_that_of_a_slow_loop():
    rng = np.random.default_rng(0)
    a, b = rng.normal(2, 1, 40), rng.normal(0, 1, 30)
    drawn = []
    for _ in range(2000):
        some, others = rng.choice(a, 40), rng.choice(b, 30)
        limit = np.sort(some)[::-1][37]  # 38 of 40 are 95 %
        drawn.append((others >= limit).mean())
    found = fpr_at_tpr(a, b, seed=3)
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.1)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.05)


def test_no_false_positive_has_an_honest_bound():
    found = fpr_at_tpr(np.arange(10.0) + 100, np.arange(12.0))
    assert (found.estimate, found.low) == (0, 0)
    assert found.high == pytest.approx(proportion_interval(0, 12, method="exact")[1])


@pytest.mark.parametrize("measure", [auroc, fpr_at_tpr, roc_curve])
def test_what_cannot_be_measured_is_refused(measure):
    with pytest.raises(InputError, match="negative scores have shape"):
        measure(np.ones(3), np.array([]))
    with pytest.raises(InputError, match="1 of 2 positive scores are NaN"):
        measure(np.array([1.0, np.nan]), np.ones(3))


def test_wrong_groups_and_rates_are_refused():
    with pytest.raises(ShapeError, match="2 and 3 groups for 3 positive and 3 negative"):
        auroc(np.ones(3), np.ones(3), positive_codes=np.arange(2))
    with pytest.raises(InputError, match="tpr is 0"):
        fpr_at_tpr(np.ones(3), np.ones(3), tpr=0)


def test_one_image_on_a_side_has_no_interval():
    found = auroc(np.array([1.0]), np.array([0.0, 2.0]))
    assert found.estimate == 0.5 and np.isnan(found.low) and np.isnan(found.high)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_share_of_independent_images_is_wilsons(successes):
    found = share_interval(np.array(successes))
    low, high = proportion_interval(sum(successes), len(successes))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_share_of_groups():
    # Two groups of 2, each half right: no variance between groups, so two images' worth of information.
    found = share_interval(np.array([1, 0, 1, 0], bool), np.array([0, 0, 1, 1]))
    assert (found.low, found.high) == pytest.approx(proportion_interval(1, 2))
    # Groups more alike than by chance are worth no more than their images.
    found = share_interval(np.array([1, 0, 1, 0, 1, 0, 1], bool), np.array([0, 0, 1, 1, 2, 2, 2]))
    assert (found.low, found.high) == pytest.approx(proportion_interval(4, 7))
    # Groups of equal images are worth their number.
    rng = np.random.default_rng(0)
    right = rng.random(50) < 0.7
    found = share_interval(np.repeat(right, 6), np.repeat(np.arange(50), 6))
    p = right.mean()
    size = p * (1 - p) / (right.var(ddof=1) / 50)
    assert found.standard_error == pytest.approx(np.sqrt(p * (1 - p) / size))
    assert found.high - found.low == pytest.approx(
        np.diff(proportion_interval(int(right.sum()), 50))[0], rel=0.03
    )
    # One large group of failures and three single successes: 1/4 of images fail by group, not 3/6.
    codes = np.array([0, 0, 0, 1, 2, 3])
    found = share_interval(np.array([0, 0, 0, 1, 1, 1], bool), codes, each_group_once=True)
    assert found.estimate == pytest.approx(0.75)


def test_no_images_have_no_share():
    found = share_interval(np.array([], bool))
    assert np.isnan(found.estimate) and (found.low, found.high) == (0, 1)
    with pytest.raises(ShapeError, match="1 groups for 2 images"):
        share_interval(np.ones(2, bool), np.zeros(1))
