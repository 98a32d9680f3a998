"""How much of an image nearly equals another one, against a slow loop."""

import numpy as np

import hueprobe as hp
from hueprobe.studies.observing.near_pairs import matched_shares


def test_matched_shares_against_a_loop(small_memory):
    memory = small_memory(n=6, grid=(3, 3))
    matches = hp.KernelDensityClassifier(memory, k=8).leave_one_out().matches
    near = float(np.quantile(matches.distance, 0.4))
    expected = {}
    for q in range(6):
        for m in range(6):
            rows = (matches.query_image == q) & (matches.image == m) & (matches.distance < near)
            cells = set(zip(matches.query_y[rows].tolist(), matches.query_x[rows].tolist(), strict=True))
            if cells:
                expected[q, m] = len(cells) / 9
    found = matched_shares(matches, near=near)
    assert dict(zip(zip(found.query_image, found.image, strict=True), found.share, strict=True)) == expected
    assert len(expected) > 10
