"""The simulation behind the calibration has the truth that it says, and the calibration runs."""

import json

import numpy as np
import pytest

from benchmarks.null_calibration import markdown, simulate
from benchmarks.simulation import Design, Truth, draw
from hueprobe.errors import InputError

SMALL = Design(n_classes=4, images_per_class=12, n_blocks=3)


def drawn(truth, n=12):
    return [draw(SMALL, truth, seed=seed).matches for seed in range(n)]


def test_blocks_share_no_image_and_no_image_matches_itself():
    data = draw(SMALL, Truth(), seed=0)
    assert (data.matches.query_image != data.matches.image).all()
    images = [set(part.query_image) | set(part.image) for part in data.of_blocks]
    assert len(images) == 3 and sorted(set.union(*images)) == list(range(48))
    assert sum(map(len, images)) == 48
    again = draw(SMALL, Truth(), seed=0)
    np.testing.assert_array_equal(data.matches.match_cell, again.matches.match_cell)


def test_flat_matches_lie_anywhere_on_average():
    cells = np.concatenate([matches.match_cell for matches in drawn(Truth(pull="flat"), n=40)])
    share = np.bincount(cells, minlength=49) / len(cells) * 49
    assert share.min() > 0.75 and share.max() < 1.25, f"cells from {share.min():.2f} to {share.max():.2f}"


def test_memory_effects_grow_with_the_ratio():
    """Variance of the mean place at which each memory image is matched."""

    def variance(ratio):
        total = 0.0
        for matches in drawn(Truth(ratio=ratio, pull="flat")):
            u, _ = matches.grid.centered(matches.y, matches.x)
            count = np.bincount(matches.image, minlength=48)
            total += np.var((np.bincount(matches.image, u, 48) / np.maximum(count, 1))[count > 20])
        return total / 12

    none, equal, double = (variance(ratio) for ratio in (0.0, 1.0, 2.0))
    assert none < 0.6 * equal < 0.6 * 0.6 * double


def test_planted_effects_move_same_class_matches_only():
    stays = {}
    for name, truth in {"null": Truth(), "planted": Truth(planted="stay", share=0.3)}.items():
        parts = drawn(truth)
        same = np.concatenate([matches.same_class for matches in parts])
        stay = np.concatenate([matches.query_cell == matches.match_cell for matches in parts])
        stays[name] = stay[same].mean(), stay[~same].mean()
    assert stays["null"][0] == pytest.approx(stays["null"][1], abs=0.02)
    assert stays["planted"][1] == pytest.approx(stays["null"][1], abs=0.02)
    # 30 % stay for certain, the rest as before
    assert stays["planted"][0] == pytest.approx(0.3 + 0.7 * stays["null"][0], abs=0.02)


def test_planted_class_positions_are_where_they_should_be():
    parts = drawn(Truth(planted="class position", share=1.0), n=2)
    for matches in parts:
        same = matches.select(matches.same_class)
        u, v = same.grid.centered(same.y, same.x)
        for c in range(4):
            own = same.query_class == c
            angle = np.pi / 2 * c
            assert u[own].mean() == pytest.approx(2 * np.cos(angle), abs=0.1)
            assert v[own].mean() == pytest.approx(2 * np.sin(angle), abs=0.1)


def test_unknown_truths_are_named():
    with pytest.raises(InputError, match="near, flat, confounded"):
        Truth(pull="far")
    with pytest.raises(InputError, match="around"):
        Truth(planted="hue")


@pytest.mark.slow
def test_calibration_runs_and_its_records_are_json():
    records = simulate(1, 1)
    json.dumps(records, allow_nan=False)
    tests = {record["test"] for record in records}
    assert {"3b angle, both components", "wrong: permuted query labels", "4b spread, adjusted"} <= tests
    table = markdown(records)
    assert "### level" in table and "### power" in table
    assert all(record["rejections"] <= record["n"] for record in records)
