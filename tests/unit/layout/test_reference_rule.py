"""One rule of which reference can show a picture's scene, whoever asks: Color Match, Seam Check, Seam Blend."""

import pytest
import torch
from tilework.blending import TileLayout, compose
from tilework.blending.color.gain import compensate
from tilework.blending.color.match import match_tiles
from tilework.blending.composition.gradient import check_reference
from tilework.blending.layout.reference import same_shape
from tilework.blending.seam_check.beside_reference import fitted

CANVAS = (3000, 4000)
LAYOUT = TileLayout.grid(*CANVAS, 1024, 1024, 128, 8)


def plane(height, width):
    """A picture of that size in the memory of one pixel."""
    return torch.full((1, 1, 1, 3), 0.5).expand(1, height, width, 3)


def asked(size):
    """What each of those who take a reference says to one of that size; "" where it takes it."""

    def said(call):
        try:
            call()
        except ValueError as error:
            return str(error)
        return ""

    reference = plane(*size)
    return {
        "color": said(lambda: match_tiles([], LAYOUT, reference, "mean-std")),
        "gradient": said(lambda: check_reference(reference, (1, *CANVAS, 3))),
        "check": said(lambda: fitted(reference, plane(*CANVAS))),
    }


@pytest.mark.parametrize("size", [(3000, 4000), (1538, 2048), (1536, 2048), (768, 1024), (750, 1000), (96, 128), (75, 101), (1500, 2030)])
def test_a_preview_that_is_right_but_for_rounding_is_taken_by_all(size):
    assert same_shape(size, CANVAS) and same_shape(CANVAS, size)
    said = asked(size)
    assert set(said.values()) == {""}, said


@pytest.mark.parametrize("size", [(3000, 3000), (4000, 3000), (1600, 2048), (2000, 2048), (75, 128), (1500, 2100)])
def test_another_shape_is_refused_by_all_and_each_says_so(size):
    assert not same_shape(size, CANVAS) and not same_shape(CANVAS, size)
    words = {"color": "which is another shape", "gradient": "which is not the shape of", "check": "which is not one scale for both sides"}
    for who, said in asked(size).items():
        assert words[who] in said and f"{size[1]} x {size[0]}" in said


@pytest.mark.parametrize(
    ("size", "other", "same"),
    [
        ((1, 1000), (100, 100), False),
        ((2, 8), (100, 100), False),
        ((1, 19), (1, 70), True),
        ((3, 40), (30, 400), True),
        ((5, 8), (50, 50), False),
    ],
)
def test_small_sides_are_no_excuse_and_both_directions_are_alike(size, other, same):
    for one, two in ((size, other), (size[::-1], other[::-1])):
        assert same_shape(one, two) == same_shape(two, one) == same


def test_the_preview_runs_through_all_of_them():
    """The sizes of the report, 16 times smaller: 128 x 97 for 250 x 188."""
    layout = TileLayout.grid(188, 250, 96, 96, 32, 4)
    tiles = [torch.full((1, 96, 96, 3), 0.5 + 0.02 * (i % 2)) for i in range(len(layout))]
    reference = torch.full((1, 97, 128, 3), 0.5)
    out = compose(tiles, layout, "gradient", reference=reference)
    assert float((out - 0.5).abs().max()) < 0.02
    matched = list(match_tiles(tiles, layout, reference, "mean-std"))
    assert all(float((tile - 0.5).abs().max()) < 1e-3 for tile in matched)
    assert compensate(tiles, layout, reference).after < 1e-3
    assert fitted(reference, out).shape == out.shape
