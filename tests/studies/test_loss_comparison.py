"""Losses compared over seeds: numbers worked by hand."""

import math
from dataclasses import replace

import pytest
from scipy import stats

from hueprobe.errors import InputError
from hueprobe.studies import LossRun, compare_losses
from hueprobe.studies.comparison.loss_comparison import compare_curves, epochs_to


def run(loss, seed, n_right, *, fold="", rate=1e-3, seconds=1.0, saved=100, extra=0):
    return LossRun(
        loss=loss, seed=seed, fold=fold, learning_rate=rate, n_right=n_right, n_test=50,
        curve=(0.1, n_right / 50), train_loss=(2.0, 1.0), shares=(), seconds_per_step=seconds,
        saved_bytes=saved, n_parameters=1000, n_extra=extra, robustness={"noise 1": n_right - 5},
    )  # fmt: skip


def by_logit(values, least, most):
    """Student's interval of the logit of the mean's place, by a slope taken numerically."""

    def logit(value):
        return math.log((value - least) / (most - value))

    mean, step = sum(values) / len(values), 1e-6
    error = stats.sem(values) * (logit(mean + step) - logit(mean - step)) / (2 * step)
    ends = stats.t.interval(0.95, len(values) - 1, loc=logit(mean), scale=error)
    return [least + (most - least) / (1 + math.exp(-end)) for end in ends]


def test_means_differences_and_exact_p_by_hand():
    base, better = [30, 32, 31, 33, 30, 31], [33, 34, 33, 36, 31, 35]
    runs = [run("onehot", seed, n) for seed, n in enumerate(base)]
    runs += [run("hue:eq5", seed, n, seconds=1.5, saved=110, extra=7) for seed, n in enumerate(better)]
    onehot, hue = compare_losses(runs, primary="hue:eq5")
    assert onehot.difference is None and math.isnan(onehot.p) and onehot.seconds_ratio == 1
    gains = [(b - a) / 50 for a, b in zip(base, better, strict=True)]
    assert hue.difference.estimate == pytest.approx(sum(gains) / 6)
    assert (hue.difference.low, hue.difference.high) == pytest.approx(by_logit(gains, -1, 1))
    student = stats.t.interval(0.95, 5, loc=sum(gains) / 6, scale=stats.sem(gains))
    assert (hue.difference.low, hue.difference.high) == pytest.approx(student, abs=3e-4)
    assert hue.p == pytest.approx(2 / 64) == hue.p_holm and hue.primary  # all six positive
    assert (hue.seconds_ratio, hue.memory_ratio, hue.n_extra) == pytest.approx((1.5, 1.1, 7))
    assert hue.robustness["noise 1"].estimate == pytest.approx((sum(better) / 6 - 5) / 50)
    assert hue.epochs_to_95 == 2


def test_five_seeds_cannot_reach_five_percent_and_one_has_no_interval():
    runs = [run(loss, seed, n) for loss, n in (("onehot", 10), ("smooth", 40)) for seed in range(5)]
    assert compare_losses(runs)[1].p == pytest.approx(2 / 32)
    alone = compare_losses(runs[:1])[0]
    assert alone.accuracy.estimate == 0.2 and math.isnan(alone.accuracy.low)


def test_no_interval_reaches_beyond_what_an_accuracy_can_be():
    runs = [
        run(loss, seed, n)
        for loss, seeds in (("onehot", (1, 40)), ("smooth", (46, 50)))
        for seed, n in enumerate(seeds)
    ]
    onehot, smooth = compare_losses(runs)
    for values, limits, found in (
        ([1 / 50, 40 / 50], (0, 1), onehot.accuracy),
        ([46 / 50, 50 / 50], (0, 1), smooth.accuracy),
        ([45 / 50, 10 / 50], (-1, 1), smooth.difference),
    ):
        below, above = stats.t.interval(0.95, 1, loc=found.estimate, scale=stats.sem(values))
        assert below < limits[0] or above > limits[1]  # Student's own reaches beyond
        assert limits[0] <= found.low < found.estimate < found.high <= limits[1]
        assert (found.low, found.high) == pytest.approx(by_logit(values, *limits), abs=1e-6)


def test_equal_seeds_and_no_difference_have_neither_interval_nor_p():
    right = {"onehot": (20, 20), "same": (20, 20), "al2": (24, 24), "hue:eq5": (21, 25)}
    runs = [run(loss, seed, n) for loss, counts in right.items() for seed, n in enumerate(counts)]
    onehot, same, al2, hue = compare_losses(runs, primary="hue:eq5")
    for found in (onehot.accuracy, same.accuracy, same.difference, al2.difference):
        assert math.isnan(found.low) and math.isnan(found.high) and math.isnan(found.standard_error)
    assert onehot.accuracy.estimate == 0.4 and al2.difference.estimate == pytest.approx(0.08)
    assert math.isnan(same.p) and math.isnan(same.p_holm)  # no seed differs
    # both differ upwards: 2 of 4 signs; of two rivals, `same` among them though it tells nothing
    assert al2.p == pytest.approx(0.5) == hue.p and al2.p_holm == 1
    assert math.isnan(compare_losses(runs[::2])[2].p)  # one seed
    assert math.isnan(compare_curves(runs)[0].accuracy[1].low)


def test_holm_leaves_the_primary_alone():
    runs = []
    for loss, gains in {"onehot": [0] * 6, "a": [1] * 6, "b": [1, 1, 1, 1, 1, -1], "main": [2] * 6}.items():
        runs += [run(loss, seed, 20 + gain) for seed, gain in enumerate(gains)]
    found = {summary.loss: summary for summary in compare_losses(runs, primary="main")}
    assert found["a"].p == found["main"].p == pytest.approx(2 / 64)
    assert found["a"].p_holm == pytest.approx(2 * 2 / 64) and found["main"].p_holm == found["main"].p
    assert found["b"].p_holm == found["b"].p == pytest.approx(14 / 64)  # 7 of 64 sums are at least 4


def test_folds_are_summed_within_a_seed_and_half_done_seeds_wait():
    runs = [
        run(loss, s, n, fold=f) for loss, n in (("onehot", 20), ("al2", 25)) for s in (0, 1) for f in "ab"
    ]
    runs.append(run("al2", 2, 50, fold="a"))
    onehot, al2 = compare_losses(runs)
    assert (onehot.n_seeds, al2.n_seeds) == (2, 2)
    assert al2.accuracy.estimate == 0.5 and al2.p == pytest.approx(2 / 4)


def test_curves_are_means_over_seeds_whose_folds_are_averaged():
    runs = [run("hue:eq5", s, n, fold=f) for s, n in ((0, 5), (1, 45)) for f in "ab"]
    runs = [replace(one, shares=(0.25, 0.5)) for one in runs]
    runs += [run("onehot", s, n, fold=f) for s, n in ((0, 20), (1, 30)) for f in "ab"]
    runs[-1] = replace(runs[-1], curve=(0.3, 0.4))
    runs.append(run("onehot", 2, 50, fold="a"))  # without its other fold
    hue, plain = compare_curves(runs)
    assert (hue.loss, plain.loss, hue.learning_rate) == ("hue:eq5", "onehot", 1e-3)
    assert [at.estimate for at in hue.accuracy] == pytest.approx([0.1, 0.5])
    assert 0 <= hue.accuracy[1].low < 0.01 and 0.99 < hue.accuracy[1].high <= 1
    assert [at.estimate for at in hue.shares] == [0.25, 0.5] and plain.shares == ()
    # seed 0: .1, .4; seed 1: the mean of .1 and .3, of .6 and .4
    assert [at.estimate for at in plain.accuracy] == pytest.approx([0.15, 0.45])
    expected = by_logit([0.1, 0.2], 0, 1)
    assert (plain.accuracy[0].low, plain.accuracy[0].high) == pytest.approx(expected, rel=1e-5)


def test_rates_stand_apart_and_doubles_are_refused():
    runs = [run("onehot", 0, 20), run("onehot", 0, 30, rate=1e-2), run("smooth", 0, 30)]
    assert [(s.loss, s.learning_rate) for s in compare_losses(runs)] == [
        ("onehot", 1e-3), ("smooth", 1e-3), ("onehot", 1e-2),
    ]  # fmt: skip
    with pytest.raises(InputError, match="there twice"):
        compare_losses([*runs, runs[0]])
    with pytest.raises(InputError, match="no training runs"):
        compare_losses([])
    assert epochs_to([0.95, 0.2, 1.0]) == 1
