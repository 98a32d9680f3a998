"""Parts: their text, and shares that are contiguous, disjoint, whole and even."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hueprobe.errors import InputError
from hueprobe.scale import Part, part_path


def test_a_text_is_parsed_once():
    assert Part.parse("3/16") == Part(3, 16) == Part.parse(" 03/016 ")
    assert str(Part.parse("3/16")) == "3/16"
    assert part_path("a/m.memory", Part(3, 16)).as_posix() == "a/m.memory.parts/0003-of-0016"
    assert part_path("m", Part(12_345, 20_000)).name == "12345-of-20000"


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "3", "3/", "/4", "a/4", "3/4/5", "-1/4", "3.0/4", "0/0", "1/100000", ""]
)
def test_another_text_is_refused_with_its_value_and_what_is_allowed(text):
    with pytest.raises(InputError, match=r"is not I/N with I from 1 to N .*give for example 3/16") as caught:
        Part.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("numbers", [(0, 4), (5, 4), (1, 0), (-1, 4)])
def test_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(InputError, match=f"'{numbers[0]}/{numbers[1]}' is not I/N"):
        Part(*numbers)


@given(st.integers(1, 200), st.integers(0, 500))
def test_shares_are_contiguous_whole_and_even(n, pieces):
    shares = [Part(number, n).share(pieces) for number in range(1, n + 1)]
    assert [piece for share in shares for piece in share] == list(range(pieces))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert pieces < n or min(map(len, shares)) >= 1
