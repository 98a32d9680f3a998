"""Holm's correction against its definition, hypothesis by hypothesis."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hueprobe.stats.multiplicity import benjamini_hochberg, holm

P = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=1, max_size=12)


@given(P, st.floats(0.001, 0.999))
def test_what_is_rejected_is_what_the_step_down_procedure_rejects(p_values, level):
    corrected = holm(np.array(p_values))
    left = sorted((1.0 if np.isnan(p) else p, i) for i, p in enumerate(p_values))
    rejected = set()
    for place, (p, i) in enumerate(left):
        if p * (len(p_values) - place) > level:
            break
        rejected.add(i)
    rejected -= {i for i, p in enumerate(p_values) if np.isnan(p)}
    assert {i for i, p in enumerate(corrected) if p <= level} == rejected
    assert np.isnan(corrected).tolist() == np.isnan(p_values).tolist()


def test_worked_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, 0.5, 0.02])), [0.03, 0.5, 0.04])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_benjamini_hochberg_is_scipys(p_values):
    expected = stats.false_discovery_control(p_values)
    np.testing.assert_allclose(benjamini_hochberg(np.array(p_values)), expected)
    assert (benjamini_hochberg(np.array(p_values)) <= holm(np.array(p_values)) + 1e-12).all()


def test_missing_p_values_count_as_tests():
    corrected = benjamini_hochberg(np.array([0.01, np.nan]))
    assert corrected[0] == 0.02 and np.isnan(corrected[1])
