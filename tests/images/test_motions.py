"""Flips and translations against NumPy's own, and where content goes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueprobe.errors import InputError
from hueprobe.images.motions import FLIPS, flipped, translated

IMAGES = np.random.default_rng(0).random((3, 5, 4, 2))  # (n, h, w, channels)


def test_flips_turn_rows_columns_or_both():
    np.testing.assert_array_equal(flipped(IMAGES, "e"), IMAGES)
    np.testing.assert_array_equal(flipped(IMAGES, "h"), IMAGES[:, :, ::-1])
    np.testing.assert_array_equal(flipped(IMAGES, "v"), IMAGES[:, ::-1])
    np.testing.assert_array_equal(flipped(IMAGES, "r"), np.rot90(IMAGES, 2, axes=(1, 2)))


@pytest.mark.parametrize("first", FLIPS)
@pytest.mark.parametrize("second", FLIPS)
def test_flips_are_a_group_and_their_signs_multiply(first, second):
    product = tuple(a * b for a, b in zip(FLIPS[first], FLIPS[second], strict=True))
    (third,) = (flip for flip, signs in FLIPS.items() if signs == product)
    np.testing.assert_array_equal(flipped(flipped(IMAGES, first), second), flipped(IMAGES, third))


def test_content_goes_right_and_up():
    image = np.zeros((9, 9, 1))
    image[4, 4] = 1
    y, x, _ = np.argwhere(translated(image, 2, 3))[0]
    assert (y, x) == (1, 6)  # row 0 is on top


@given(st.integers(-4, 4), st.integers(-3, 3))
def test_what_enters_is_reflected(right, up):
    image = IMAGES[0]
    wide = np.pad(image, ((4, 4), (3, 3), (0, 0)), mode="reflect")
    up = int(np.clip(up, -4, 4))
    right = int(np.clip(right, -3, 3))
    expected = wide[4 + up : 9 + up, 3 - right : 7 - right]
    np.testing.assert_array_equal(translated(image, right, up), expected)


def test_refuses_what_it_cannot_do():
    with pytest.raises(InputError, match="unknown flip 'x'"):
        flipped(IMAGES, "x")
    with pytest.raises(InputError, match="an image of 4 pixels cannot move by 4"):
        translated(IMAGES[0], 4, 0)
