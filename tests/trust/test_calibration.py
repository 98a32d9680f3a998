"""Calibration error by a slow loop and by hand; temperature against a grid and on known probabilities."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from hueprobe.errors import HueprobeWarning, InputError, ShapeError
from hueprobe.trust import calibration_check, fit_temperature, measure_reliability
from hueprobe.trust.temperature import log_likelihoods
from tests.trust.made import classification

ANSWERS = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=40)


def slow_error(confidence, correct, edges):
    """Return the error by its definition, one bin at a time."""
    error, n = 0.0, len(confidence)
    for i, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        inside = [j for j, c in enumerate(confidence) if low < c <= high or (i == 0 and c == low)]
        if inside:
            gap = np.mean([correct[j] for j in inside]) - np.mean([confidence[j] for j in inside])
            error += len(inside) / n * abs(gap)
    return error


@given(ANSWERS, st.sampled_from(["mass", "width"]))
def test_error_is_that_of_a_slow_loop(answers, binning):
    confidence, correct = np.array([c / 8 for c, _ in answers]), np.array([right for _, right in answers])
    found = measure_reliability(confidence, correct, binning=binning, n_bins=4, n_resamples=3)
    assert found.error.estimate == pytest.approx(slow_error(confidence, correct, found.edges))
    assert found.n.sum() == len(answers)
    if binning == "width":
        np.testing.assert_allclose(found.edges, [0, 0.25, 0.5, 0.75, 1])


def test_bins_by_hand():
    found = measure_reliability(
        np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, True, False, True]), binning="width", n_bins=2
    )
    assert found.n.tolist() == [3, 1]
    np.testing.assert_allclose(found.confidence, [1.1 / 3, 0.9])
    np.testing.assert_allclose(found.accuracy, [1 / 3, 1])
    assert found.error.estimate == pytest.approx(3 / 4 * (1.1 / 3 - 1 / 3) + 1 / 4 * 0.1)


def test_bins_of_equal_mass_hold_equally_many():
    confidence = np.random.default_rng(0).beta(5, 1, 200)
    found = measure_reliability(confidence, np.ones(200, bool), n_bins=10, n_resamples=3)
    assert found.n.tolist() == [20] * 10
    ties = measure_reliability(np.repeat([0.5, 0.9], [150, 50]), np.ones(200, bool), n_resamples=3)
    assert ties.n.tolist() == [150, 50]


def test_only_miscalibration_is_above_the_limit():
    """Of 60 samples each: calibrated ones rarely exceed the limit, overconfident ones mostly do."""
    rng = np.random.default_rng(0)
    above = {0.0: 0, 0.15: 0}
    covered = 0
    for seed in range(60):
        for gap in above:
            confidence = rng.beta(4, 2, 200)
            correct = rng.random(200) < confidence - gap
            found = measure_reliability(confidence, correct, n_resamples=200, seed=seed)
            above[gap] += found.error.estimate > found.error_if_calibrated[1]
            covered += gap == 0 and found.error.low == 0
    assert above[0.0] <= 9 and above[0.15] >= 54  # nominal 3; the binomial 99.9 % quantile is 9
    assert covered == 60 - above[0.0]


def test_groups_widen_the_interval():
    rng = np.random.default_rng(0)
    confidence, correct = rng.beta(4, 2, 50), rng.random(50) < 0.3
    alone = measure_reliability(confidence, correct)
    copied = measure_reliability(
        np.repeat(confidence, 4), np.repeat(correct, 4), codes=np.repeat(np.arange(50), 4)
    )
    assert copied.error.estimate == pytest.approx(alone.error.estimate)
    assert copied.error.standard_error == pytest.approx(alone.error.standard_error, rel=0.1)


def sharp(n, power, seed=0):
    """Return likelihoods that are probabilities to a power, and classes drawn by these probabilities."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(4), n)
    true = [int(rng.choice(4, p=row)) for row in shares]
    raised = shares**power
    return raised / raised.sum(1, keepdims=True), true


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_temperature_undoes_a_power(power):
    """Likelihoods are probabilities to a power, so the temperature is that power."""
    found = fit_temperature(classification(*sharp(4000, power), n_matches=10**9))
    assert found.value.low <= power <= found.value.high
    assert found.value.estimate == pytest.approx(power, rel=0.1)
    assert found.loss_after <= found.loss_before + 1e-12


def test_temperature_is_the_best_of_a_grid_and_its_error_that_of_samples():
    likelihood, true = sharp(300, 2.0)
    made = classification(likelihood, true, n_matches=10**9)
    found = fit_temperature(made)
    grid = np.exp(np.linspace(-3, 3, 6001))
    logs = np.log(likelihood)
    losses = [-log_softmax(logs / t, axis=1)[np.arange(300), true].mean() for t in grid]
    assert found.value.estimate == pytest.approx(grid[int(np.argmin(losses))], rel=2e-3)
    assert found.loss_after == pytest.approx(min(losses))
    others = [
        fit_temperature(classification(*sharp(300, 2.0, seed), n_matches=10**9)).value.estimate
        for seed in range(60)
    ]
    assert np.std(np.log(others)) == pytest.approx(
        found.value.standard_error / found.value.estimate, rel=0.35
    )


def test_scaled_likelihoods_by_hand():
    made = classification([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7]], [0, 0, 1])
    found = fit_temperature(made)
    expected = softmax(np.log(made.likelihood) / found.value.estimate, axis=1)
    np.testing.assert_allclose(found.probabilities(made), expected)


def test_a_class_without_votes_is_not_impossible():
    """The class of a calibration image got no vote: half an average vote of 10 keeps the loss finite."""
    likelihood = [[1, 0], [0.6, 0.4], [0, 0], *[[0.8, 0.2]] * 7]
    made = classification(likelihood, [1, *[0] * 9], n_matches=10)
    floored = [[1, 0.05], [0.6, 0.4], [0.05, 0.05], *[[0.8, 0.2]] * 7]
    np.testing.assert_allclose(np.exp(log_likelihoods(made)), floored)
    assert np.isfinite(fit_temperature(made).loss_before)
    np.testing.assert_allclose(fit_temperature(made).probabilities(made)[2], [0.5, 0.5])


@given(st.integers(2, 40), st.integers(0, 50))
def test_the_floor_never_changes_the_prediction(n_classes, n_matches):
    shares = np.random.default_rng(n_classes).dirichlet(np.ones(n_classes), 5)
    made = classification(shares, n_matches=n_matches)
    assert log_likelihoods(made).argmax(1).tolist() == shares.argmax(1).tolist()


def test_all_right_is_told():
    with pytest.warns(HueprobeWarning, match="3 calibration images is at its limit, 0.01: all are right"):
        found = fit_temperature(classification([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [0, 0, 1]))
    assert found.value.estimate == pytest.approx(0.01) and np.isnan(found.value.low)
    with pytest.warns(HueprobeWarning, match="likelihoods say nothing"):
        fit_temperature(classification([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [1, 1, 0]))


def test_temperature_is_fitted_on_calibration_images_alone_and_helps():
    calibration = classification(*sharp(400, 3.0), names=[f"k{i}" for i in range(400)], n_matches=10**9)
    test = classification(*sharp(400, 3.0, seed=1), n_matches=10**9)
    found = calibration_check(calibration, test)
    assert found.temperature == fit_temperature(calibration)
    for binning in ("mass", "width"):
        assert found.after[binning].error.estimate < 0.5 * found.before[binning].error.estimate
        assert found.before[binning].error.low > found.before[binning].error_if_calibrated[1] / 2
    numbers = found.numbers()
    assert numbers["expected calibration error before, equal mass"] == found.before["mass"].error
    assert (found.n, found.n_units) == (400, 400)
    accuracy = np.mean([p == t for p, t in zip(test.predicted_class, test.true_class, strict=True)])
    for stage in (found.before, found.after):
        assert stage["mass"].mean_accuracy.estimate == pytest.approx(accuracy)
    assert "400 test images" in found._repr_html_()
    assert "up to" in found.before["mass"]._repr_html_()


def test_what_does_not_fit_is_refused():
    one = classification([[0.9, 0.1], [0.4, 0.6]], [0, 0], names="ab")
    with pytest.raises(InputError, match="none of 1 test images"):
        calibration_check(one, classification([[0.5, 0.5]]))
    with pytest.raises(InputError, match="memories of other classes"):
        calibration_check(one, classification([[0.5, 0.5, 0]], [0]))
    with pytest.raises(InputError, match="test is a str"):
        calibration_check(one, "images")
    with pytest.raises(InputError, match="0 of 1 calibration images"):
        fit_temperature(classification([[0.5, 0.5]]))
    with pytest.raises(InputError, match="got none"):
        measure_reliability(np.array([]), np.array([], bool))
    with pytest.raises(InputError, match=r"got 0\.5 to 1\.5"):
        measure_reliability(np.array([0.5, 1.5]), np.ones(2, bool))
    with pytest.raises(InputError, match="unknown binning 'log'"):
        measure_reliability(np.ones(2), np.ones(2, bool), binning="log")
    with pytest.raises(ShapeError, match="differ"):
        measure_reliability(np.ones(2), np.ones(3, bool))


def test_nothing_is_warned_of_where_nothing_is_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_temperature(classification(*sharp(50, 1.0)))
