"""Holm's correction against its definition, hypothesis by hypothesis."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hueprobe.stats.multiplicity import holm

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
