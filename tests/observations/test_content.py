from dataclasses import replace

import numpy as np
import pytest

from hueprobe.errors import InputError, ShapeError
from hueprobe.grid import Grid
from hueprobe.observations.conditional.mirrored import content_or_position, position_slope


def test_shares_are_those_of_the_slow_loop(simulate_matches):
    matches = simulate_matches(np.random.default_rng(0), np.arange(12) % 3)
    followed = matches.select(np.arange(len(matches)) % 3 > 0)
    moved = np.where(np.arange(len(followed)) % 5 < 2, 6 - followed.query_x, followed.x)
    matches = replace(followed, x=moved.astype(np.int32))
    kept = position = content = 0
    for row in range(len(matches)):
        asked, found = matches.query_x[row], matches.x[row]
        if asked != 3:
            kept += 1
            position += (matches.query_y[row], asked) == (matches.y[row], found)
            content += (matches.query_y[row], 6 - asked) == (matches.y[row], found)
    result = content_or_position(matches)
    assert result.n == kept
    assert result.position.estimate == pytest.approx(position / kept)
    assert result.content.estimate == pytest.approx(content / kept)
    assert result.content_less_position.estimate == pytest.approx((content - position) / kept)
    assert result.content_less_position.low < result.content_less_position.high


def test_even_grids_have_no_middle_and_bad_grids_are_named(simulate_matches):
    matches = simulate_matches(np.random.default_rng(1), np.arange(6) % 2, grid=Grid(2, 4))
    assert content_or_position(matches).n == len(matches)
    with pytest.raises(ShapeError, match="different grids"):
        content_or_position(replace(matches, query_grid=Grid(4, 2)))
    with pytest.raises(InputError, match="needs a grid"):
        content_or_position(replace(matches, grid=Grid(1, 1), query_grid=Grid(1, 1)))


def test_slope_of_class_positions():
    before = np.array([-1.0, 0.5, 2.0, np.nan])
    assert position_slope(before, -before + 3) == pytest.approx(-1)
    assert position_slope(before, before) == pytest.approx(1)
    assert np.isnan(position_slope(before[:1], before[:1]))
    assert np.isnan(position_slope(np.ones(3), np.arange(3.0)))
