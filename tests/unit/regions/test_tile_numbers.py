"""Choosing tiles: what a text and a mask name, and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tilework.blending import TileLayout
from tilework.blending.regions.tile_numbers import chosen, read_numbers, touched, write_numbers

LAYOUT = TileLayout.grid(300, 400, 112, 112, 16, 8)  # 3 rows of 4


@given(st.sets(st.integers(0, 11)))
def test_what_is_written_is_read_back(numbers):
    assert read_numbers(write_numbers(numbers), LAYOUT) == numbers


def test_numbers_ranges_and_blanks():
    assert read_numbers(" 0 , 3 - 5,,\n7;", LAYOUT) == {0, 3, 4, 5, 7}
    assert chosen(LAYOUT, "3, 7").present == (3, 7)
    assert chosen(LAYOUT, "3, 7", invert=True).present == tuple(n for n in range(12) if n not in (3, 7))
    assert chosen(LAYOUT) is chosen(LAYOUT, " , ") is LAYOUT
    assert chosen(LAYOUT, "0-11").present == tuple(range(12)), "they are chosen, which a base shows"
    assert len(chosen(LAYOUT, invert=True)) == len(chosen(LAYOUT, " none ")) == 0 and len(chosen(LAYOUT, "none", invert=True)) == 12


def test_a_mask_chooses_every_tile_that_shows_something_of_it():
    mask = torch.zeros(1, 300, 400)
    mask[:, 150, 5] = 1
    assert touched(LAYOUT, mask) == {4}
    mask[:, 150, 100] = 1  # where 4 and 5 overlap
    assert touched(LAYOUT, mask) == {4, 5} and chosen(LAYOUT, "11", mask).present == (4, 5, 11)
    half = torch.nn.functional.max_pool2d(mask[None], 2)[0]
    assert touched(LAYOUT, half) >= {4, 5}


def test_of_those_that_are_here():
    some = chosen(LAYOUT, "1-6")
    assert chosen(some, "2, 5").present == (2, 5)
    with pytest.raises(ValueError, match="tile 8 is not among those that are here: 1-6"):
        chosen(some, "8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12", "there is no tile 12: the layout has tiles 0 to 11"),
        ("0-999999999", "there is no tile 999999999"),
        ("9999999999999999", "in it: type numbers"),
        ("5-3", "runs backwards"),
        ("1, two", "'two' in it"),
        ("-1", "'-1' in it"),
        ("1.5", "'1.5' in it"),
        ("\x00", "in it: type numbers"),
        ("\u0663", "in it: type numbers"),
        ("1," * 600_000, "1,200,000 characters"),
        ("<img src=x>", "in it: type numbers"),
    ],
)
def test_what_is_no_list_of_tiles_is_refused_at_once(text, words):
    with pytest.raises(ValueError, match=words):
        chosen(LAYOUT, text)


def test_a_mask_of_another_picture_is_refused():
    with pytest.raises(ValueError, match="mask is 300 x 300 and the layout was planned for 400 x 300"):
        chosen(LAYOUT, "", torch.ones(1, 300, 300))
