"""How large a network's maps are beside its picture, and which of their cells belong to which tile."""

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tilework.blending.whole_picture.map_scale import MapScales, added_cells, core_cells, guessed_scale
from torch.overrides import TorchFunctionMode


class Followed(TorchFunctionMode):
    def __init__(self, size, samples=1):
        super().__init__()
        self.scales = MapScales(samples, size)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.scales.follow(func, args, kwargs or {}, result)
        return result


KERNEL = torch.ones(4, 4, 3, 3)
TWO = torch.ones(4, 4, 2, 2)
# name -> what is done to a map [1, 4, h, w], cells per pixel of what comes of it
CALLS = {
    "convolution without padding": (lambda x: F.conv2d(x, KERNEL), 1),
    "padding": (lambda x: F.pad(x, (18, 18, 18, 18), "reflect"), 1),
    "crop": (lambda x: F.pad(x, (-4, -4, -4, -4)) + x[:, :, 4:-4, 4:-4], 1),
    "stride": (lambda x: F.conv2d(x, KERNEL, None, 2), Fraction(1, 2)),
    "stride by name, of two": (lambda x: F.conv2d(F.conv2d(x, TWO, stride=(2, 2)), TWO, stride=2), Fraction(1, 4)),
    "transposed": (lambda x: F.conv_transpose2d(x, torch.ones(4, 4, 4, 4), None, 2, 3), 2),
    "transposed by three": (lambda x: F.conv2d(F.conv_transpose2d(x, torch.ones(4, 4, 5, 5), None, 3, 2), TWO, None, 2), Fraction(3, 2)),
    "pools": (lambda x: torch.nn.MaxPool2d(2)(torch.nn.AvgPool2d(2)(x)), Fraction(1, 4)),
    "adaptive pool to a half": (lambda x: F.adaptive_avg_pool2d(x, (x.shape[2] // 2, x.shape[3] // 2)), Fraction(1, 2)),
    "shuffles": (lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 4), Fraction(1, 2)),
    "resized": (lambda x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=4, mode="nearest"), 2),
    "to the size of another": (lambda x: F.interpolate(F.conv2d(x, KERNEL, None, 2), size=x.shape[2:], mode="bilinear"), 1),
    "every other cell": (lambda x: torch.cat((x[..., ::2, ::2], x[..., 1::2, ::2]), 1), Fraction(1, 2)),
    "every other cell, all named": (lambda x: x[:, :, ::2, ::2], Fraction(1, 2)),
    "space to channels by hand": (
        lambda x: x.view(1, 4, x.shape[2] // 2, 2, x.shape[3] // 2, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 16, x.shape[2] // 2, -1),
        Fraction(1, 2),
    ),
    "gated": (lambda x: torch.sigmoid(F.adaptive_avg_pool2d(x, 1)) * F.conv2d(x, KERNEL), 1),
    "there and back": (lambda x: F.conv2d(x.flatten(2).transpose(1, 2).transpose(1, 2).view_as(x), KERNEL, None, 2), Fraction(1, 2)),
}


@pytest.mark.parametrize("size", [(64, 64), (48, 48), (96, 64), (32, 32)], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_the_scale_is_followed_through_every_call(name, size):
    call, scale = CALLS[name]
    # What is between them makes the sides tell little.
    with Followed(size) as watch:
        x = F.conv2d(F.pad(torch.rand(1, 4, *size), (6, 6, 6, 6)), KERNEL)
        result = call(x)
    assert watch.scales.is_map(result, 2) and watch.scales.scale(result, 2) == scale


def test_a_pool_to_so_many_cells_has_no_scale():
    with Followed((64, 64)) as watch:
        coarse = F.adaptive_avg_pool2d(torch.rand(1, 4, 64, 64) + 0, 6) + 0
    assert watch.scales.scale(coarse, 2) is None


def test_windows_are_no_maps_and_flattened_maps_are_known_by_their_sides():
    with Followed((64, 96)) as watch:
        x = F.conv2d(torch.rand(1, 4, 64, 96), KERNEL)  # 62 x 94
        flat = x.flatten(2)
        tokens = flat.transpose(1, 2) * 2
        grouped = x.reshape(1, 2, -1)
    assert watch.scales.flattened(flat, 2) == watch.scales.flattened(tokens, 1) == ((62, 94), 1)
    assert watch.scales.flattened(grouped, 2) == ((2, 62, 94), 1)
    assert not watch.scales.is_map(torch.rand(1, 4, 8, 8), 2)


@pytest.mark.parametrize(
    ("sides", "size", "scale"),
    [
        ((128, 96), (128, 96), 1),
        ((64, 48), (128, 96), Fraction(1, 2)),
        ((76, 60), (128, 96), Fraction(1, 2)),
        ((99, 75), (128, 96), Fraction(3, 4)),
        ((292, 228), (128, 96), 2),
        ((76, 76), (128, 128), Fraction(1, 2)),
        ((142, 142), (128, 128), 1),
        ((126, 126), (128, 128), 1),
        ((8, 8), (128, 96), None),
        ((77, 60), (128, 96), None),
        ((76, 60), (128, 128), None),
    ],
)
def test_the_scale_of_a_map_of_unknown_origin(sides, size, scale):
    assert guessed_scale(sides, size) == scale


@settings(deadline=None, max_examples=300)
@given(st.data(), st.sampled_from([Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(3, 2), Fraction(2), Fraction(3)]))
def test_the_cells_of_all_tiles_are_those_of_the_whole_map_once(data, scale):
    step = scale.denominator
    # A network may fill up to more than its maps so far tell; the last tile ends with the picture, or reaches over it.
    ends = data.draw(st.booleans())
    fill = step * (data.draw(st.sampled_from([1, 2, 3, 8])) if ends else 1)
    tile = fill * data.draw(st.integers(10, 30))
    size = data.draw(st.integers(tile, 4 * tile))
    padding = data.draw(st.integers(-6, 3 * tile // 2))
    origins = list(range(0, size - tile + 1, fill * data.draw(st.integers(3, 8))))
    if origins[-1] + tile < size:
        origins.append(-(-(size - tile) // fill) * fill)
    # Maps without the cells at their tiles' edges cover the picture where each overlap is wider than what they lack:
    # the line lies on a whole pixel, up to half a pixel from the overlap's middle.
    assume(all((before + tile - after - 1) * scale >= -padding for before, after in pairwise(origins)))

    def cells_of(side):
        return int(-(-side // fill) * fill * scale) + padding

    # Wherever the line between two tiles is, in the overlap.
    lines = [0, *(after + (before + tile - after) // 2 for before, after in pairwise(origins)), size]
    count = torch.zeros(max(cells_of(size), int(origins[-1] * scale) + cells_of(tile)), dtype=torch.int64)
    added = added_cells(cells_of(tile), tile, scale, step)
    for origin, (start, stop) in zip(origins, pairwise(lines), strict=True):
        side = min(tile, size - origin) if ends else tile
        low, high = core_cells(cells_of(side), side, scale, step, start - origin, stop - origin, start == 0, stop == size, added)
        count[int(origin * scale) + low : int(origin * scale) + high] += 1
    expected = torch.ones_like(count)
    expected[cells_of(size) :] = 0
    if not padding and not ends:
        expected[round(size * scale + 1e-9) :] = 0  # what reaches over the picture is none of it
    assert torch.equal(count, expected)
