"""The pseudo-class null: dealing, counting, and that it catches a test that is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hueprobe.errors import InputError, ShapeError
from hueprobe.observations.verdicts.selftest import (
    blocked_tests,
    match_tests,
    pseudo_classes,
    rejection_rate,
    relabeled,
    self_test,
)
from hueprobe.stats.dealing import deal


def test_rates_have_the_exact_binomial_interval():
    found = rejection_rate("x", [0.01, 0.05, 0.06, np.nan, 0.9])
    assert (found.rejections, found.n, found.n_undecided, found.rate) == (2, 4, 1, 0.5)
    expected = stats.binomtest(2, 4).proportion_ci(method="exact")
    assert found.ci95 == pytest.approx((expected.low, expected.high))
    assert rejection_rate("x", [0.5]).ci95[0] == 0 and rejection_rate("x", [0.0]).ci95[1] == 1
    nothing = rejection_rate("x", [np.nan])
    assert np.isnan(nothing.rate) and nothing.ci95 == (0, 1)


def test_classes_are_dealt_with_their_sizes_within_strata_and_whole_groups():
    image_class = np.array([0] * 6 + [1] * 6 + [2] * 12 + [-1] * 2)
    strata = np.arange(26) % 2
    dealt = pseudo_classes(image_class, seed=0, strata=strata)
    assert not np.array_equal(dealt, image_class)
    for stratum in (0, 1):
        here = strata == stratum
        np.testing.assert_array_equal(np.sort(dealt[here]), np.sort(image_class[here]))
    np.testing.assert_array_equal(dealt[24:], -1)
    np.testing.assert_array_equal(dealt, pseudo_classes(image_class, seed=0, strata=strata))
    groups = [f"g{i // 3}" for i in range(24)] + [None] * 2
    dealt = pseudo_classes(image_class, seed=1, groups=groups)
    for start in range(0, 24, 3):
        assert len(set(dealt[start : start + 3])) == 1
    np.testing.assert_array_equal(np.sort(dealt), np.sort(image_class))
    with pytest.raises(ShapeError, match="3 strata for 26"):
        pseudo_classes(image_class, seed=0, strata=np.zeros(3))


def leave_one_out(matches):
    return replace(matches, query_paths=matches.image_paths)


def test_only_leave_one_out_matches_can_be_relabeled(simulate_matches):
    matches = simulate_matches(np.random.default_rng(0), np.arange(12) % 3)
    with pytest.raises(InputError, match="leave_one_out"):
        relabeled(matches, np.zeros(12, int))
    matches = leave_one_out(matches)
    assert relabeled(matches, np.zeros(12, int)).same_class.all()
    with pytest.raises(ShapeError, match="11 classes"):
        relabeled(matches, np.zeros(11, int))


@pytest.mark.slow
def test_right_tests_pass_and_a_wrong_one_is_caught(simulate_matches):
    rng = np.random.default_rng(1)
    image_class = np.arange(40) % 4
    matches = leave_one_out(simulate_matches(rng, image_class, k=1, same=0.25, query_sd=1, memory_sd=1))
    right = match_tests(matches)

    def both(dealt, seed):
        u = matches.grid.centered(matches.y, matches.x)[0]
        same = relabeled(matches, dealt)
        groups = [u[same.same_class & (same.query_class == c)] for c in range(4)]
        return {**right(dealt, seed), "matches as if independent": stats.f_oneway(*groups).pvalue}

    found = {rate.test: rate for rate in self_test(image_class, both, n_draws=40, seed=0)}
    assert found.pop("matches as if independent").ci95[0] > 0.05
    assert found.pop("4 information, same less other").n_undecided == 40  # 40 images are too few
    for rate in found.values():
        assert rate.n == 40 and rate.ci95[0] < 0.05, f"{rate.test} rejects {rate.rate:.2f}"


def test_blocked_tests_run_on_dealt_classes(simulate_matches):
    rng = np.random.default_rng(2)
    image_class = np.arange(64) % 4
    blocks = deal(np.arange(64), image_class, n_parts=4)
    of_blocks = [
        leave_one_out(simulate_matches(rng, image_class, np.flatnonzero(blocks == b), k=1)) for b in range(4)
    ]
    test = blocked_tests(of_blocks, n_permutations=99)
    found = self_test(image_class, test, n_draws=10, seed=0, strata=blocks)
    assert [rate.test for rate in found] == [
        "3b angle, both components", "3b angle, u", "3b angle, v", "3b any class, minP",
    ]  # fmt: skip
    assert all(rate.n == 10 and rate.rate < 0.5 for rate in found)


def test_draws_are_needed():
    with pytest.raises(InputError, match="n_draws must be at least 1, got 0"):
        self_test(np.zeros(3, int), lambda dealt, seed: {}, n_draws=0, seed=0)
