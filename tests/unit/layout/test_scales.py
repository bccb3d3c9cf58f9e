"""Scales between split and blend: found, placed exactly or between pixels, and refused."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import Mosaic, TileLayout, compose, cut
from tilework.blending.layout.placement import find_scale, read_scale


def resize(image, size, mode="bicubic"):
    options = {} if mode in ("area", "nearest") else {"align_corners": False}
    return torch.nn.functional.interpolate(image.movedim(-1, 1), size=size, mode=mode, **options).movedim(1, -1)


def resize_by(image, scale, mode="bicubic"):
    return resize(image, (round(image.shape[1] * scale), round(image.shape[2] * scale)), mode)


def plane_wave(height, width, amplitude=0.4, frequency=0.05):
    y = torch.arange(height, dtype=torch.float64)[:, None]
    x = torch.arange(width, dtype=torch.float64)[None]
    wave = 0.5 + amplitude * torch.sin(2 * math.pi * frequency * (x + y))
    return wave.float()[None, ..., None].expand(-1, -1, -1, 3)


def interior_error(a, b, margin=16):
    error = (a - b).abs()[:, margin:-margin, margin:-margin]
    return float(error.max()), float(error.mean())


@pytest.mark.parametrize("tile", [512, 1024])
@pytest.mark.parametrize("text", ["1.01", "1.1", "1.25", "1.33", "1.37", "1.5", "2.37", "0.75", "0.5", "1", "2", "3", "4", "8"])
def test_the_scale_a_person_meant_is_found(tile, text):
    scale = Fraction(text)
    for rounded in (round(tile * scale), math.floor(tile * scale)):
        assert find_scale((tile, tile), (rounded, rounded)) == scale


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 1500), st.integers(1, 1500), st.floats(0.05, 8), st.booleans())
def test_whatever_scale_made_the_tiles_one_is_found_that_does(height, width, scale, floored):
    to_whole = math.floor if floored else round
    came = tuple(max(1, to_whole(side * scale)) for side in (height, width))
    if any(to_whole(side * scale) < 1 for side in (height, width)):
        return
    found = find_scale((height, width), came)
    for side, got in zip((height, width), came, strict=True):
        assert got in (math.floor(side * found), math.floor(side * found + Fraction(1, 2)), math.ceil(side * found - Fraction(1, 2)))


def test_odd_sizes_give_the_simplest_fraction():
    # 731 of 512: no familiar denominator fits between 730.5 and 732, and 7 is the smallest that does (10/7 = 731.43).
    assert find_scale((512, 512), (731, 731)) == Fraction(10, 7)
    # 293 of 512 alone would be 4/7; together with 439 of 768 it still is (438.86).
    assert find_scale((512, 768), (293, 439)) == Fraction(4, 7)


@pytest.mark.parametrize("came", [(600, 512), (512, 700), (0, 0), (1024, 1000)])
def test_two_scales_are_refused(came):
    with pytest.raises(ValueError, match=r"came back .* not one scale for both sides.*another layout"):
        find_scale((512, 512), came)


@pytest.mark.parametrize(("value", "words"), [(-1, "not a scale"), (float("nan"), "not a scale"), (float("inf"), "not a scale")])
def test_a_scale_that_is_none_is_refused(value, words):
    with pytest.raises(ValueError, match=words):
        read_scale(value)


def test_a_typed_scale_must_fit_the_tiles():
    layout = TileLayout.grid(100, 100, 64, 64, 16)
    with pytest.raises(ValueError, match=r"scale 2 turns a tile 64 px high into 128 px, and the tiles came back 192 px.*set scale to 0"):
        Mosaic(layout, (192, 192), scale=2)


@pytest.mark.parametrize("scale", [0.5, 2, 3, 4])
def test_whole_scales_are_placed_exactly(scale):
    image = plane_wave(500, 778, frequency=0.004)
    layout = TileLayout.grid(500, 778, 256, 256, 32, 8)
    out = compose((resize_by(tile, scale) for tile in cut(image, layout)), layout)
    assert Mosaic(layout, (round(256 * scale),) * 2).exact
    worst, mean = interior_error(out, resize_by(image, scale))
    print(f"x{scale}: interior error max {worst:.6f} mean {mean:.7f}")
    assert out.shape[1:3] == (500 * scale, 778 * scale) and worst <= 1e-3


def rounded_placement(image, layout, scale):
    """The same blend with every tile put on the nearest whole pixel: what this must be better than."""
    height, width = (round(side * scale) for side in layout.canvas)
    total, weights = torch.zeros(1, height, width, 3), torch.zeros(height, width)
    mosaic = Mosaic(layout, tuple(round(512 * scale) for _ in range(2)), scale=scale)
    for index, tile in enumerate(cut(image, layout)):
        row, column = divmod(index, len(layout.axes[1].origins))
        y, x = mosaic.windows[0][row], mosaic.windows[1][column]
        tile = resize_by(tile, scale)
        top, left = round(layout.tiles[index].y * scale), round(layout.tiles[index].x * scale)
        stop_y, stop_x = min(y.stop, top + tile.shape[1]), min(x.stop, left + tile.shape[2])
        start_y, start_x = max(y.start, top), max(x.start, left)
        weight = (y.weight[start_y - y.start : stop_y - y.start, None] * x.weight[start_x - x.start : stop_x - x.start]).float()
        total[:, start_y:stop_y, start_x:stop_x] += (
            tile[:, start_y - top : stop_y - top, start_x - left : stop_x - left] * weight[..., None]
        )
        weights[start_y:stop_y, start_x:stop_x] += weight
    return total / weights[..., None]


@pytest.mark.parametrize(("scale", "bound"), [(1.1, 0.025), (1.37, 0.025), (1.5, 0.012)])
@pytest.mark.parametrize("multiple_of", [1, 8])
def test_fractional_scales_are_placed_between_pixels(scale, bound, multiple_of):
    image = plane_wave(600, 1110)
    layout = TileLayout.grid(600, 1110, 512, 512, 64, multiple_of)
    whole = resize_by(image, scale)
    out = compose((resize_by(tile, scale) for tile in cut(image, layout)), layout, scale=scale)
    worst, mean = interior_error(out, whole)
    rounded, _ = interior_error(rounded_placement(image, layout, scale), whole)
    print(f"x{scale} multiple_of {multiple_of}: max {worst:.4f} mean {mean:.5f}; rounded to whole pixels {rounded:.4f}")
    assert out.shape == whole.shape
    assert worst <= bound and mean <= 0.005
    if (scale, multiple_of) == (1.5, 8):
        assert Mosaic(layout, (768, 768)).exact, "origins on multiples of 8 are whole pixels at x1.5"
    else:
        assert rounded > bound, "the bound tells sub-pixel placement from rounding"


@settings(max_examples=40, deadline=None)
@given(st.integers(40, 200), st.integers(40, 200), st.floats(0.4, 3), st.sampled_from(["hann", "average", "none"]))
def test_a_flat_picture_stays_flat_at_any_scale(height, width, scale, method):
    layout = TileLayout.grid(height, width, 64, 48, 16, 4)
    flat = torch.full((1, height, width, 3), 0.37)
    out = compose((resize_by(tile, scale) for tile in cut(flat, layout)), layout, method)
    assert torch.allclose(out, torch.full_like(out, 0.37), atol=1e-5)


def test_resampling_never_leaves_the_tiles_range():
    image = (torch.rand(1, 120, 160, 3, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    layout = TileLayout.grid(120, 160, 64, 64, 16, 1)
    out = compose((resize_by(tile, 1.37, "nearest") for tile in cut(image, layout)), layout)
    assert not Mosaic(layout, (88, 88)).exact and float(out.min()) >= 0 and float(out.max()) <= 1
